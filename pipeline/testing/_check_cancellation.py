"""`check_cancellation`: cancelled at every checkpoint in turn, a chain loses nothing and doubles nothing."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import trio

from .._chain import places_of
from .._pipeline import Pipeline
from ._cancel_at import Cancelled, cancelled_at
from ._outcome import Factory, name_of, refuse_object
from ._report import fail


async def check_cancellation(factory: Factory, *, wire: Sequence[Any] = (), client: Sequence[Any] = ()) -> int:
    """Cancel a chain at every checkpoint in turn, and check what a pipeline promises then.

    await check_cancellation(lambda: Greylist() | Limit(5), wire=["a", "b"], client=["c"])

    - S5, inbound: `receive()` is cancelled and called again; the client's items and the replies on the
      wire are exactly those of a run without cancellation.
    - P10, outbound: a `send()` is cancelled and not repeated; its item is on the wire whole, or had no
      effect at all. Only where a stage keeps outbound state may outbound be broken instead.

    The usual fault is a stage that changes something before it waits: do that after the last `await`.
    Runs in trio; give it a clock that jumps (`trio.testing.MockClock(autojump_threshold=0)`) if
    stages sleep. Keep the input small: every checkpoint is a run of its own.

    Args:
        factory: makes a fresh chain for each run.
        wire: items that come in, one by one; also while items are sent, for stages that need an answer.
        client: items that are sent.

    Returns:
        How many checkpoints were cancelled.

    Raises:
        AssertionError: names the rule, the checkpoint, and where it is.
    """
    refuse_object(factory)
    places = await _check_inbound(factory, wire)
    if client:
        places += await _check_outbound(factory, wire, client)
    return places


@dataclass
class _Run:
    """What came out of one run, and where it was cancelled."""

    received: list[Any] = field(default_factory=list)
    wrote: list[Any] = field(default_factory=list)
    error: Exception | None = None
    cancelled: Cancelled | None = None
    uncut: list[Any] = field(default_factory=list)  # the client's items without the one whose send was cancelled

    def same_as(self, other: _Run) -> bool:
        return (self.received, self.wrote, type(self.error)) == (other.received, other.wrote, type(other.error))

    def __str__(self) -> str:
        end = f", then {self.error!r}" if self.error else ""
        return f"received {self.received!r:.300}, wrote {self.wrote!r:.300}{end}"


@asynccontextmanager
async def _running(factory: Factory, wire: Sequence[Any], run: _Run) -> AsyncIterator[Pipeline[Any, Any]]:
    """A chain on channels; wire items come one by one, and what is written, and an error, end up in `run`.

    Raises:
        Exception: the chain cannot be entered, so there is nothing to cancel.
    """
    feed, source = trio.open_memory_channel[Any](0)
    sink, written = trio.open_memory_channel[Any](math.inf)

    async def feeding() -> None:
        with suppress(trio.BrokenResourceError):  # the chain took what it wanted
            async with feed:
                for item in wire:
                    await feed.send(item)

    pipeline, entered = Pipeline[Any, Any]((source, sink), factory()), False
    async with trio.open_nursery() as nursery:
        nursery.start_soon(feeding)
        try:
            async with pipeline:
                entered = True
                yield pipeline
        except Exception as error:
            run.error = error
        nursery.cancel_scope.cancel()
    if run.error is not None and not entered:
        raise run.error
    while written.statistics().current_buffer_used:
        run.wrote.append(written.receive_nowait())


async def _check_inbound(factory: Factory, wire: Sequence[Any]) -> int:
    expected = await _receive_all(factory, wire, 0)
    number = 1
    while (run := await _receive_all(factory, wire, number)).cancelled:
        if not run.same_as(expected):
            _fail("S5", "items were lost, doubled or changed, inbound", factory, wire, run, [expected])
        number += 1
    return number - 1


async def _receive_all(factory: Factory, wire: Sequence[Any], number: int) -> _Run:
    """Receive until the end, cancelled once at the n-th checkpoint; 0: never."""
    run = _Run()
    async with _running(factory, wire, run) as pipeline:

        async def receive() -> None:
            with suppress(trio.EndOfChannel):
                while True:
                    run.received.append(await pipeline.receive())

        run.cancelled = await cancelled_at(number, receive)
        await receive()
    return run


async def _check_outbound(factory: Factory, wire: Sequence[Any], client: Sequence[Any]) -> int:
    whole = await _send_all(factory, wire, client, 0)
    number = 1
    while (run := await _send_all(factory, wire, client, number)).cancelled:
        without = await _send_all(factory, wire, run.uncut, 0)
        wrong = None if run.same_as(whole) or run.same_as(without) else _what_is_wrong(factory, run, whole)
        if wrong is not None:
            _fail("P10", wrong, factory, client, run, [whole, without])
        number += 1
    return number - 1


async def _send_all(factory: Factory, wire: Sequence[Any], client: Sequence[Any], number: int) -> _Run:
    """Send all items, cancelled once at the n-th checkpoint; the item of that send is not sent again."""
    run = _Run()
    async with _running(factory, wire, run) as pipeline:
        todo = deque(client)

        async def send() -> None:
            while todo:
                await pipeline.send(todo[0])
                todo.popleft()

        run.cancelled = await cancelled_at(number, send)
        done = len(client) - len(todo)
        run.uncut = [*client[:done], *client[done + 1 :]]
        if todo:
            todo.popleft()
        await send()
        await pipeline.send_eof()
    return run


def _what_is_wrong(factory: Factory, run: _Run, whole: _Run) -> str | None:
    """The cancelled item went out neither whole nor not at all: outbound may be broken loudly, for a reason."""
    if not isinstance(run.error, trio.BrokenResourceError):
        return "a cancelled send() left a part behind, or changed what follows"
    if not any(place.outbound and place.outbound.keeps_outbound_state for place in places_of(factory())):
        return "a cancelled send() broke outbound, though no stage keeps outbound state"
    if run.wrote != whole.wrote[: len(run.wrote)]:
        return "outbound is broken, and what was written is not how the whole begins"
    return None


def _fail(rule: str, what: str, factory: Factory, items: Sequence[Any], run: _Run, allowed: list[_Run]) -> None:
    assert run.cancelled is not None
    fail(
        rule,
        what,
        cause=run.error,
        stage=name_of(factory),
        items=list(items),
        cancelled=f"at checkpoint {run.cancelled.number}, {run.cancelled.where}",
        expected=" or ".join(map(str, allowed)),
        got=str(run),
    )
