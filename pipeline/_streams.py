"""Many streams over one connection, each shown as a trio channel of its own (M2).

 task ─► stream 1 send() ─┐                             ┌─► stream 1 receive() ─► task
 task ─► stream 2 send() ─┼─► writer ─► pipeline ─► reader ─► stream 2 receive() ─► task
 credit, resets           ─┘                             └─► new streams, events

Rules for this file: two tasks beside the block do all the writing and all the reading, so that a sender who is
cancelled stops nothing that has begun. The reader waits for no consumer, unless it was asked to (`overflow="block"`);
the writer waits for the wire only. What is held is bounded: each stream's untaken items, the streams of the peer, and
what is owed to it.
"""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from typing import Any, Final, Generic, Literal, TypeAlias

import trio
from typing_extensions import TypeVar

from ._beside import Events, Inbox, OnFull, Shared, afresh, beside
from ._errors import LimitError
from ._news import LOOKS
from ._pipeline import Pipeline
from ._streamrules import StreamRules
from ._substream import CLOSED, Substream
from ._turns import Turns

Received = TypeVar("Received", covariant=True, default=Any)
Sent = TypeVar("Sent", contravariant=True, default=Any)
R = TypeVar("R", default=Any)
S = TypeVar("S", default=Any)

Overflow: TypeAlias = Literal["reset", "block"]

LEFT: Final = "the block of open_streams() was left: use the streams inside it only"
REFUSED: Final = "streams.aclose() was called: no more streams of the peer are accepted"
MAX_OWED: Final = 1000
"""Nothing is read while so many resets and returns of credit wait for the peer to read them."""
MAX_GONE: Final = 1000
"""The keys of so many streams are remembered that were given up before the peer had ended them."""


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
    streams = Streams(
        pipeline, rules, events, block=overflow == "block", max_stream_bytes=max_stream_bytes, max_streams=max_streams
    )

    async def finish() -> None:
        with trio.move_on_after(close_seconds):
            await streams._written.wait()

    if rules.attach is not None:
        rules.attach()
    try:
        async with beside(streams._read, streams._write, leave=streams._leave, finish=finish):
            yield streams
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
    """What `open_streams` gives: a channel of the streams that the peer opens, and a way to open one's own.

    Attributes:
        late_items: how many items were dropped that came for a stream that was not open any more.
        refused_streams: how many streams of the peer were given up at once, being more than `max_streams`.
    """

    def __init__(
        self,
        pipeline: Shared[Received, Sent],
        rules: StreamRules,
        events: Events[Received],
        *,
        block: bool,
        max_stream_bytes: int,
        max_streams: int,
    ) -> None:
        self._pipeline, self._rules, self._events = pipeline, rules, events
        self._block, self._max_stream_bytes, self._max_streams = block, max_stream_bytes, max_streams
        self._new: Inbox[Substream[Received, Sent]] = Inbox(max_streams, left=REFUSED)
        self._open: dict[Hashable, Substream[Received, Sent]] = {}
        self._of_peer = 0  # how many of those the peer opened
        self._full: Substream[Received, Sent] | None = None  # for which all wait
        self._gone: OrderedDict[Hashable, None] = OrderedDict()  # given up, but the peer may not know yet
        self._turns: Turns[Substream[Received, Sent], _Sending] = Turns()
        self._work = trio.lowlevel.ParkingLot()  # where the writer waits for something to write
        self._room = trio.lowlevel.ParkingLot()  # where the reader waits until something was taken or written
        self._reading = trio.CancelScope()
        self._broken: Exception | None = None  # how writing failed first
        self._unsendable: Exception | None = None  # how something failed that belongs to no sender
        self._over: Exception | None = None  # why nothing more comes
        self._failed: Exception | None = None  # why nothing more can be sent, either
        self._left = False
        self._written = trio.Event()  # nothing is being written any more
        self.late_items = self.refused_streams = 0

    def __repr__(self) -> str:
        return f"<Streams, {len(self._open)} open>"

    @property
    def dropped_events(self) -> int:
        """How many events were dropped because nobody received them."""
        return self._events.dropped

    @property
    def events(self) -> trio.abc.ReceiveChannel[Received]:
        """What came and belongs to no stream, for one task or several to receive.

        It ends when the connection does. Whoever wants no events closes it, and they are dropped and counted.
        """
        return self._events

    # ---- for users

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
            stream = await self._new.receive()
            failure = stream._state.failure
            if failure is None or isinstance(failure, LimitError):  # else there is nobody left to answer
                return stream

    async def aclose(self) -> None:
        """Accept no more streams: those that the peer opens from now on are given up at once."""
        for stream in self._new.close():
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
        if self._left:
            raise trio.ClosedResourceError(LEFT)
        if self._over is not None:
            raise afresh(self._over, "no stream can be opened any more")
        if key is None and self._rules.new_key is None:
            raise ValueError("the rules of this protocol make no keys (new_key): streams.open(key)")
        if key in self._open:
            raise ValueError(f"a stream with the key {key!r} is open already: give each stream a key of its own")
        if key in self._gone:
            raise ValueError(
                f"the stream with the key {key!r} was given up before the peer had ended it, and its items may still "
                f"come: take another key"
            )
        stream: Substream[Received, Sent] = Substream(self, key, by_peer=False)
        self._open[stream.place] = stream
        return stream

    # ---- for its streams

    def name(self, stream: Substream[Any, Any]) -> Hashable:
        """Make the key of a stream that was opened without one."""
        assert self._rules.new_key is not None
        if self._open.pop(stream.place, None) is None:
            raise trio.ClosedResourceError(CLOSED)
        key = self._rules.new_key()
        self._open[key] = stream
        return key

    def ends_stream(self, item: Any) -> bool:
        """Whether an item that is sent is the last one of its stream."""
        return self._rules.sends_end is not None and self._rules.sends_end(item)

    def eof_item(self, stream: Substream[Any, Any]) -> tuple[Any] | None:
        """What ends a stream's direction, if the protocol has that."""
        return None if self._rules.eof is None else (self._rules.eof(stream.key),)

    async def send(self, stream: Substream[Any, Any], item: Any, *, ends: bool) -> None:
        """Let the writer send an item of a stream."""
        state = stream._state
        sending = _Sending(item, stream, ends=ends)
        state.sending_ended = ends
        self._turns.add(stream, sending)
        self._work.unpark()
        try:
            await sending.over.wait()
        except BaseException:
            if self._turns.withdraw(stream, sending) and ends:
                state.sending_ended = False
            raise
        if sending.error is not None:
            raise sending.error

    def took(self, stream: Substream[Any, Any], item: Any) -> None:
        """A consumer has an item: there is room for another one."""
        stream._state.waiting -= self._rules.cost(item)
        self._room.unpark_all()
        self._return_credit(item)

    def give_up(self, stream: Substream[Any, Any], reason: Any) -> None:
        """Forget a stream; if it was not over, tell the peer."""
        state = stream._state
        if state.closed:
            return
        was_over, state.closed = state.over, True
        self._fail_sends(stream, lambda: trio.ClosedResourceError("this stream was closed meanwhile"))
        self._drop(state.inbox.close())
        self._room.unpark_all()
        if self._open.get(stream.place) is not stream:
            return
        self._forget(stream)
        if not was_over and state.begun:
            self._refuse(stream.key, reason, ended=state.ended)

    # ---- the task that writes

    async def _write(self) -> None:
        while (sending := await self._next()) is not None:
            try:
                if sending.error is not None:
                    raise sending.error
                if sending.stream is not None:
                    sending.stream._state.begun = True
                await self._pipeline.send(sending.item)
            except Exception as error:
                self._not_sent(sending, error)
            else:
                self._sent(sending)
            sending.over.set()
            self._room.unpark_all()
        self._written.set()

    async def _next(self) -> _Sending | None:
        """Whose turn it is, or None: nothing more is to be written."""
        while True:
            sending = self._turns.next(self._may_send)
            if sending is not None or self._left:
                return sending
            await self._work.park()

    def _may_send(self, stream: Substream[Any, Any], sending: _Sending) -> bool:
        try:
            return self._rules.may_send is None or self._rules.may_send(stream.key, sending.item)
        except Exception as error:
            sending.error = error
            return True

    def _sent(self, sending: _Sending) -> None:
        if sending.stream is None:
            self._turns.look_again()
        elif sending.ends:
            sending.stream._state.sent_all = True
            self._turns.look_again()
            self._forget_if_over(sending.stream)

    def _not_sent(self, sending: _Sending, error: Exception) -> None:
        sending.error = error
        if isinstance(error, trio.BrokenResourceError | trio.ClosedResourceError):
            self._broken = self._broken or error
        elif sending.stream is None:
            error.add_note("in open_streams(): the rules made this, to reset a stream or to return credit")
            self._unsendable = error
            self._reading.cancel()
        if sending.stream is not None and sending.ends:
            sending.stream._state.sending_ended = False

    def _owe(self, item: Any) -> None:
        self._turns.add_first(_Sending(item))
        self._work.unpark()

    def _fail_sends(self, stream: Substream[Any, Any], make_error: Callable[[], Exception]) -> None:
        for sending in self._turns.drop(stream):
            sending.error = make_error()
            sending.over.set()

    # ---- the task that reads

    async def _read(self) -> None:
        error: Exception | None = None
        try:
            with self._reading:
                async for item in self._pipeline:
                    self._take(item)
                    if self._full is not None or self._turns.ahead > MAX_OWED:
                        await self._wait_for_room()
            error = self._unsendable
        except Exception as failure:
            error = failure
        if error is None:
            # A reset connection tells so once only: who writes is told, a moment later, and who reads sees a clean end.
            for _ in range(LOOKS):
                await trio.lowlevel.checkpoint()
        self._no_more(error)

    def _no_more(self, error: Exception | None) -> None:
        """Nothing more can come: every stream is told. After a clean end things can still be sent."""
        self._failed = error or self._broken
        self._over = over = self._failed or trio.EndOfChannel("the peer ended the connection")
        for stream in list(self._open.values()):
            if self._failed is not None:
                self._fail(stream, afresh(over, "the connection failed"))
            elif self._rules.ends is None:
                stream._state.end()
                self._forget_if_over(stream)
            else:
                stream._state.end(afresh(over, "the connection is over, and this stream was not"))
        self._new.end(error)
        self._events.end(None if error is None else afresh(error, "nothing more comes"))

    def _take(self, item: Any) -> None:
        rules = self._rules
        try:
            key = rules.key(item)
            hidden = rules.hides is not None and rules.hides(item)
            if key is not None:
                self._take_for(key, item, hidden=hidden)
            elif not hidden:
                self._events.add(item)
        except LimitError:
            raise
        except Exception as error:
            error.add_note(f"in open_streams(), the rules, of what was received: {type(item).__name__}")
            raise
        if self._turns.look_again():
            self._work.unpark()

    def _take_for(self, key: Hashable, item: Any, *, hidden: bool) -> None:
        rules = self._rules
        error = None if rules.error is None else rules.error(item)
        ends = error is not None or (rules.ends is not None and rules.ends(item))
        stream = self._open.get(key)
        if stream is None or (stream._state.sent_all and rules.opens is not None and rules.opens(item)):
            stream = None if error is not None or hidden else self._begin(key, item)
        if stream is not None and error is not None:
            self._fail(stream, error)
        elif stream is None or stream._state.ended:
            self._take_late(key, item, hidden=hidden, ends=ends)
        elif (hidden or self._put(stream, item)) and ends:
            stream._state.end()
            self._forget_if_over(stream)

    def _put(self, stream: Substream[Any, Any], item: Any) -> bool:
        """Give an item to a stream's consumer; False: there is no room, and the stream has failed."""
        state, cost = stream._state, self._rules.cost(item)
        size = state.waiting + cost
        if not self._block and state.waiting and size > self._max_stream_bytes:
            error = LimitError(
                f"{state.waiting} bytes wait in stream {stream.key!r} that nobody has received, and {cost} more came, "
                f"over the limit, max_stream_bytes={self._max_stream_bytes}. Receive faster, raise max_stream_bytes, "
                f'or let all streams wait: open_streams(..., overflow="block")',
                limit=self._max_stream_bytes,
                size=size,
            )
            self._return_credit(item)
            self._fail(stream, error)
            self._refuse(stream.key, None, ended=False)
            return False
        state.waiting = size
        state.inbox.put(item)
        if self._block and size >= self._max_stream_bytes:
            self._full = stream
        return True

    def _has_room(self) -> bool:
        state = None if self._full is None else self._full._state
        full = state is not None and not state.closed and state.waiting >= self._max_stream_bytes
        return not full and self._turns.ahead <= MAX_OWED

    async def _wait_for_room(self) -> None:
        if isinstance(self._pipeline, Pipeline):
            await self._pipeline._driver.wait_aside(self._room, self._has_room)
        else:
            while not self._has_room():
                await self._room.park()
        self._full = None

    # ---- streams begin and end

    def _begin(self, key: Hashable, item: Any) -> Substream[Received, Sent] | None:
        """Let the peer open a stream with an item, if it may."""
        opens = self._rules.opens
        if (key in self._gone) if opens is None else not opens(item):
            return None
        old = self._open.get(key)
        if old is not None:
            self._fail(old, trio.BrokenResourceError(f"the peer began another stream with the key {key!r}"))
        self._gone.pop(key, None)
        if self._new.closed or self._new.is_full or self._of_peer >= self._max_streams:
            self.refused_streams += 1
            self._refuse(key, None, ended=False)
            return None
        stream: Substream[Received, Sent] = Substream(self, key, by_peer=True)
        self._open[key] = stream
        self._of_peer += 1
        self._new.put(stream)
        return stream

    def _take_late(self, key: Hashable, item: Any, *, hidden: bool, ends: bool) -> None:
        """Drop an item of a stream that is not open."""
        if not hidden:
            self.late_items += 1
            self._return_credit(item)
        if ends:
            self._gone.pop(key, None)

    def _fail(self, stream: Substream[Any, Any], error: Exception) -> None:
        """A stream is over both ways, not in good order."""
        stream._state.failure = error
        stream._state.end(error)
        self._fail_sends(stream, lambda: afresh(error, "this was not sent"))
        self._forget(stream)

    def _forget_if_over(self, stream: Substream[Any, Any]) -> None:
        if stream._state.over:
            self._forget(stream)

    def _forget(self, stream: Substream[Any, Any]) -> None:
        if self._open.get(stream.place) is stream:
            del self._open[stream.place]
            self._of_peer -= stream._state.by_peer
            self._turns.look_again()
            self._work.unpark()

    def _refuse(self, key: Hashable, reason: Any, *, ended: bool) -> None:
        """Tell the peer that a stream is given up; what still comes for it is nobody's."""
        if not ended:
            self._gone[key] = None
            if len(self._gone) > MAX_GONE:
                self._gone.popitem(last=False)
        if self._rules.reset is not None and self._failed is None:
            told = self._rules.reset(key, reason)
            if told is not None:
                self._owe(told)

    def _return_credit(self, item: Any) -> None:
        if self._rules.taken is not None:
            credit = self._rules.taken(item)
            if credit is not None and self._failed is None:
                self._owe(credit)

    def _drop(self, items: list[Any]) -> None:
        for item in items:
            self._return_credit(item)

    # ---- leaving the block

    def _leave(self) -> None:
        """Nobody is to wait any more; what is just being written goes out, and the peer is told of what was open."""
        for stream in list(self._open.values()):
            stream.reset()
        self._left = True
        self._new.close()
        self._events.dropped += len(self._events.close())
        self._work.unpark()


class _Sending:
    """An item on its way out, and the task that waits until it is written; or nobody's.

    Attributes:
        over: it is written, or will not be.
        error: why it was not written.
    """

    __slots__ = ("ends", "error", "item", "over", "stream")

    def __init__(self, item: Any, stream: Substream[Any, Any] | None = None, *, ends: bool = False) -> None:
        self.item, self.stream, self.ends = item, stream, ends
        self.over = trio.Event()
        self.error: Exception | None = None
