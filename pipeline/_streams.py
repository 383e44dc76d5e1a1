"""Many streams over one connection, each shown as a trio channel of its own (M2).

 task ─► stream 1 send() ─┐                             ┌─► stream 1 receive() ─► task
 task ─► stream 2 send() ─┼─► writer ─► pipeline ─► reader ─► stream 2 receive() ─► task
 credit, resets           ─┘                             └─► new streams, events

Rules for this file: the public face only. Two tasks beside the block do all the writing (`_streamwriter`) and all the
reading (`_demux`), so that a sender who is cancelled stops nothing that has begun.
"""

from __future__ import annotations

import operator
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from typing import Any, Generic, Literal, TypeAlias

import trio
from typing_extensions import TypeVar

from ._beside import Events, OnFull, Shared, beside
from ._demux import Demux
from ._errors import LimitError
from ._pipeline import Pipeline
from ._streamgroup import LEFT
from ._streamrules import StreamRules
from ._substream import Substream

Received = TypeVar("Received", covariant=True, default=Any)
Sent = TypeVar("Sent", contravariant=True, default=Any)
R = TypeVar("R", default=Any)
S = TypeVar("S", default=Any)

Overflow: TypeAlias = Literal["reset", "block"]


@asynccontextmanager
async def open_streams(
    pipeline: Shared[R, S],
    rules: StreamRules | None = None,
    *,
    key: Callable[[Any], Hashable] | None = None,
    overflow: Overflow = "reset",
    max_stream_bytes: int = 1 << 20,
    max_streams: int = 100,
    max_events: int = 64,
    on_full: OnFull = "drop-oldest",
    close_seconds: float = 5,
) -> AsyncIterator[Streams[R, S]]:
    """Show the streams that share a pipeline as a channel each; use it with `async with`.

    task 1: stream 1  ─►  (1, "a") (2, "x") (1, "b")  ─►  the peer
    task 2: stream 2  ◄─  (2, "y") (1, "c") (2, END)  ◄─  in any order

    One task beside the block writes, another one receives, all the time: pings are answered and windows opened
    meanwhile, and nobody else is to receive from the pipeline. A stream that nobody reads, or that may not send, does
    not hold up the others. When the block is left, streams that are open are given up, and their users get
    `trio.ClosedResourceError`; the pipeline stays open, for whoever opened it to close.

    Args:
        pipeline: what the streams share, entered.
        rules: what is to be known of the protocol. Default: those of the stage in the chain that has `stream_rules`.
        key: the stream of a received item, where no other rule is needed: short for `StreamRules(key=key)`.
        overflow: what happens when more comes for a stream than may wait. "reset": that stream fails, with a
            `LimitError`; "block": nothing is read until its consumer has taken some, so all wait.
        max_stream_bytes: how much may wait in each stream that nobody has received, in bytes. Each item counts
            100 beside its own. Where the protocol has credit: more than the peer is given of it.
        max_streams: how many streams of the peer may be open at a time; more are given up at once, and counted.
        max_events: how many items that belong to no stream may wait in `streams.events`.
        on_full: what happens when one more comes. "drop-oldest": the oldest is dropped, and counted;
            "fail": all streams fail as if the connection had, with a `LimitError`.
        close_seconds: how long leaving the block may wait for what is still to be written: the item that is
            begun, and the resets of streams that are open.

    Raises:
        ValueError, TypeError: a number or an option is none that works, or there are no rules; nothing was begun.
        Exception: what the block raised, itself. The connection's errors are raised by the streams.

    Cancellation: the item that is just being written is cut short, as in a cancelled `send()`.
    """
    rules = _rules_for(pipeline, rules, key)
    for name, value in ("max_stream_bytes", max_stream_bytes), ("max_streams", max_streams):
        if operator.index(value) < 1:
            raise ValueError(f"{name} is {value}; it must be 1 or more")
    if overflow not in ("reset", "block"):
        raise ValueError(f'overflow is {overflow!r}; it must be "reset" or "block"')
    events: Events[Any] = Events(max_events, on_full, of="streams", left=LEFT)
    group = Demux(
        pipeline, rules, events, block=overflow == "block", max_stream_bytes=max_stream_bytes, max_streams=max_streams
    )

    async def finish() -> None:
        with trio.move_on_after(close_seconds):
            await group.written.wait()

    if rules.attach is not None:
        rules.attach()
    try:
        async with beside(group.read, group.write, leave=group.leave, finish=finish):
            yield Streams(group)
    finally:
        if rules.detach is not None:
            rules.detach()


def _rules_for(pipeline: Any, rules: StreamRules | None, key: Callable[[Any], Hashable] | None) -> StreamRules:
    if rules is not None and key is not None:
        raise ValueError("the key is one of the rules: open_streams(pipeline, StreamRules(key=..., ...))")
    if key is not None:
        return StreamRules(key=key)
    if rules is None and isinstance(pipeline, Pipeline):
        for seat in reversed(pipeline._engine.seats):
            rules = rules or getattr(seat.place.piece, "stream_rules", None)
    if rules is None:
        raise ValueError(
            f"no stage of {pipeline!r} says which item belongs to which stream (stream_rules): "
            f"open_streams(pipeline, key=lambda item: ...), or open_streams(pipeline, StreamRules(key=..., ...))"
        )
    if not isinstance(rules, StreamRules):
        raise TypeError(f"the rules are StreamRules(key=..., ...), not {rules!r}; a function alone: key=...")
    return rules


class Streams(trio.abc.ReceiveChannel[Substream[Received, Sent]], Generic[Received, Sent]):
    """What `open_streams` gives: a channel of the streams that the peer opens, and a way to open one's own."""

    def __init__(self, group: Demux) -> None:
        self._group = group

    def __repr__(self) -> str:
        return f"<Streams, {len(self._group.open)} open>"

    @property
    def late_items(self) -> int:
        """How many items were dropped that came for a stream that was not open any more."""
        return self._group.late_items

    @property
    def refused_streams(self) -> int:
        """How many streams of the peer were given up at once, being more than `max_streams`."""
        return self._group.refused_streams

    @property
    def dropped_events(self) -> int:
        """How many events were dropped because nobody received them."""
        return self._group.events.dropped

    @property
    def events(self) -> trio.abc.ReceiveChannel[Received]:
        """What came and belongs to no stream, for one task or several to receive.

        It ends when the connection does. Whoever wants no events closes it, and they are dropped and counted.
        """
        return self._group.events

    async def receive(self) -> Substream[Received, Sent]:
        """Return the next stream that the peer opened; `async for` does so, too. Several tasks may.

        Raises:
            trio.EndOfChannel: the connection ended cleanly.
            trio.ClosedResourceError: the block was left, or `aclose()` called, or the pipeline closed.
            trio.BrokenResourceError: the connection failed; an earlier call has raised by what.
            Exception: what failed the connection, once.

        Cancellation: nothing is lost.
        """
        while True:
            stream = await self._group.new.receive()
            failure = stream._state.failure
            if failure is None or isinstance(failure, LimitError):
                return stream
            stream.reset()  # there is nobody left to answer

    async def aclose(self) -> None:
        """Accept no more streams: those that the peer opens from now on are given up at once."""
        for stream in self._group.new.close():
            stream.reset()
        await trio.lowlevel.checkpoint()

    def open(self, key: Hashable = None) -> Substream[Received, Sent]:
        """Begin a stream of one's own; the peer knows of it when its first item is written.

        The first items of streams are written in the order in which they were sent.

        Args:
            key: which one it is to be; None: where the rules make keys (`new_key`), the next one when its `key` is
                first asked for.

        Raises:
            ValueError: another stream has this key, or the rules know none.
            trio.BrokenResourceError: the connection failed or ended.
            trio.ClosedResourceError: the block was left, or the pipeline closed.
        """
        return self._group.begin(key)
