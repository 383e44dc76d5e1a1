"""`AsyncHarness`: the same as `Harness`, for stages that really wait."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Any, Self

from .._flow import Waiting
from ._bench import AnyChain, Bench, Script


class AsyncHarness(Bench):
    r"""A stage or chain with both of its ends in the test's hands, on the event loop the stages wait with.

    await receive(b"one\ntw")  ─►  Greylist() | LineFramer()  ─►  [b"one"]

    It knows no event loop itself, so it runs on trio, asyncio or any other. One task may be in
    `receive()` while another is in `send()`; each item is returned to the call that saw it come out.
    `async with AsyncHarness(...) as harness:` starts the stages and closes them at the end; without
    it the first call starts them.

    Args:
        chain: an inbound or outbound stage, a duplex, or any of them joined with `|`.

    Cancellation: a cancelled `receive()`, `advance()` or `finish()` keeps what was fed; the next call,
    `receive()` without items too, goes on with it. A cancelled `send()` had no effect, or broke outbound.
    """

    def __init__(self, chain: AnyChain) -> None:
        super().__init__(chain)
        self._started = False

    async def start(self) -> list[Any]:
        """Run the stages' `start()`, unless that was done. Returns the wire items so far."""
        self._started = True
        return await self._await(self._start())

    async def receive(self, *wire_items: Any) -> list[Any]:
        """Let wire items come in; returns the client items that came out, as `Harness.receive()` does."""
        return await self._run(self._receive(wire_items))

    async def send(self, *client_items: Any) -> list[Any]:
        """Send client items; returns the wire items that came out, as `Harness.send()` does."""
        return await self._run(self._send(client_items))

    async def send_eof(self) -> list[Any]:
        """End outbound: the outbound stages finish. Returns the last wire items."""
        return await self._run(self._send_eof())

    async def advance(self, seconds: float) -> list[Any]:
        """Move the test's clock (not the event loop's) and let timers run, as `Harness.advance()` does."""
        return await self._run(self._advance(seconds))

    async def finish(self) -> list[Any]:
        """End the wire's stream; check that nothing is left in the chain, as `Harness.finish()` does."""
        return await self._run(self._finish())

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def _run(self, script: Script) -> list[Any]:
        if not self._started:
            await self.start()
        return await self._await(script)

    async def _await(self, script: Script) -> list[Any]:
        """Run a script to its end, awaiting what it waits for; a cancellation is raised inside it."""
        step: Callable[[], Waiting] = script.__next__
        while True:
            try:
                waiting = step()
            except StopIteration as stop:
                out: list[Any] = stop.value
                return out
            try:
                await waiting
            except BaseException as cancelled:
                step = partial(script.throw, cancelled)
            else:
                step = script.__next__
