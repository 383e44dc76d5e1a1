"""`Harness`: a stage or a chain tested without an event loop and without a socket."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Final, Self

from ._bench import AnyChain, Bench, Script

_NO_LOOP: Final = ("must be called from async context", "no running event loop", "unknown async library")
"""What trio, asyncio and sniffio say to a stage which waits where no event loop runs."""


class Harness(Bench):
    r"""A stage or chain with both of its ends in the test's hands.

    receive(b"one\ntw")  ─►  LineFramer()  ─►  [b"one"]
    [b"three\n"]  ◄─  LineFramer()  ◄─  send(b"three")

    The stages' `start()` has run when the harness is made; what it turned round is in `replies`.
    `with Harness(...) as harness:` closes the stages at the end.

    Args:
        chain: an inbound or outbound stage, a duplex, or any of them joined with `|`.

    Raises:
        RuntimeError: from any call, and here: a stage really waits. Test it with `AsyncHarness`.
        Exception: what a stage's `start()` raised.
    """

    def __init__(self, chain: AnyChain) -> None:
        super().__init__(chain)
        self._run(self._start())

    def receive(self, *wire_items: Any) -> list[Any]:
        r"""Let wire items come in, one after the other.

        in:  b"one\ntw"        out:  [b"one"]

        Returns:
            The client items that came out by it. Items at a stage that wants no input wait inside.

        Raises:
            Exception: what a stage raised; what came out before it is in `received` and `sent`.
            PipelineError: inbound was broken before, or the wire has ended.
        """
        return self._run(self._receive(wire_items))

    def send(self, *client_items: Any) -> list[Any]:
        r"""Send client items, one after the other.

        in:  b"three"        out:  [b"three\n"]

        Returns:
            The wire items that came out by it. While a stage is not ready, items wait inside.

        Raises:
            Exception: what a stage raised; what came out before it is in `sent` and `received`.
            PipelineError: outbound was broken before, or has ended.
        """
        return self._run(self._send(client_items))

    def send_eof(self) -> list[Any]:
        """End outbound: the outbound stages finish. Returns the last wire items."""
        return self._run(self._send_eof())

    def advance(self, seconds: float) -> list[Any]:
        """Move the test's clock and let the timers run that are due by then, each at its own time.

        Args:
            seconds: how far, 0 or more.

        Returns:
            The client items that came out by it.

        Raises:
            Exception: what a stage's timer raised; the clock stands at that timer's time.
        """
        return self._run(self._advance(seconds))

    def finish(self) -> list[Any]:
        """End the wire's stream; check that nothing is left in the chain.

        Returns:
            The last client items.

        Raises:
            AssertionError: items wait inside: before a stage that is not ready or wants no input.
            IncompleteFrameError: a framer had begun a frame; `leftover` has its bytes.
        """
        return self._run(self._finish())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, script: Script) -> list[Any]:
        """Run a script to its end; refuse a stage that waits."""
        try:
            waiting = next(script)
        except StopIteration as stop:
            out: list[Any] = stop.value
            return out
        except RuntimeError as error:
            _hint_at_missing_loop(error)
            raise
        waiting.abandon()
        script.close()
        raise RuntimeError(f"{waiting.stage_name} waits, and Harness has no event loop to wait with: use AsyncHarness")


def _hint_at_missing_loop(error: RuntimeError) -> None:
    """The user's mistake served: a stage that calls trio or asyncio, tested without a loop."""
    if any(text in str(error) for text in _NO_LOOP):
        error.add_note("the stage waits, and Harness has no event loop to wait with: use AsyncHarness")
