"""Request and reply over one connection that many tasks share (M1).

 task ─► call(request) ─┐                             ┌─► reply ─► the task that asked
 task ─► call(request) ─┼─► writer ─► pipeline ─► reader
 task ─► notify(item)  ─┘                             └─► events

Rules for this file: two tasks beside the block do all the writing and all the reading, so that a caller
who is cancelled stops nothing that has begun. A caller waits for one event; whoever sets it has left there
what the caller is to return or raise. Nothing here is held for more requests than callers wait with,
apart from `max_late` places of callers who have left.
"""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from typing import Any, Final, Generic

import trio
from typing_extensions import TypeVar

from ._beside import Events, OnFull, Shared, afresh, beside
from ._matching import ByKey, InOrder, Matching, Request
from ._news import LOOKS

Received = TypeVar("Received", covariant=True, default=Any)
Sent = TypeVar("Sent", contravariant=True, default=Any)
R = TypeVar("R", default=Any)
S = TypeVar("S", default=Any)

LEFT: Final = "the block of open_calls() was left: call inside it only"


@asynccontextmanager
async def open_calls(
    pipeline: Shared[R, S],
    key: Callable[[Any], Hashable] | None = None,
    *,
    request_key: Callable[[S], Hashable] | None = None,
    is_event: Callable[[R], bool] | None = None,
    max_events: int = 64,
    on_full: OnFull = "drop-oldest",
    max_late: int = 1000,
    close_seconds: float = 5,
) -> AsyncIterator[Calls[R, S]]:
    """Let many tasks ask over one pipeline, each of which gets its own reply; use it with `async with`.

    task 1: call({"id": 1})  ─►  {"id": 1} {"id": 2}  ─►  the peer
    task 2: call({"id": 2})  ◄─  {"id": 2} {"id": 1}  ◄─  answers in any order

    One task beside the block writes, another one receives, all the time: pings are answered and windows
    opened meanwhile, and nobody else is to receive from the pipeline. When the block is left, calls of
    other tasks get `trio.ClosedResourceError`; the pipeline stays open, for whoever opened it to close.

    Args:
        pipeline: what the calls go over, entered.
        key: by what a reply is known: the same, not None, as of its request. None: what came is
            an event. Without `key` the peer is to answer in order.
        request_key: the key of a request, where that takes another function than the key of a reply.
        is_event: tells what is no reply from what is one; asked before `key`.
        max_events: how many items that are no reply may wait in `calls.events`.
        on_full: what happens when one more comes. "drop-oldest": the oldest is dropped, and counted;
            "fail": all waiting calls fail as if the connection had, with a `LimitError`.
        max_late: how many replies may still come whose callers have left. Beyond, with `key`, the
            oldest is forgotten, and comes out of `calls.events` if it comes; in order, no more
            requests are written until some have come.
        close_seconds: how long leaving the block may wait for the item that is just being written.

    Raises:
        ValueError, TypeError: a number or an option is none that works; nothing was begun.
        Exception: what the block raised, itself. The connection's errors are raised by the calls.

    Cancellation: the item that is just being written is cut short, as in a cancelled `send()`.
    """
    matching: Matching[_Asked] = _matching(key, request_key, max_late)
    calls = Calls(pipeline, matching, is_event, max_events, on_full)

    async def finish() -> None:
        with trio.move_on_after(close_seconds):
            await calls._written.wait()

    async with beside(calls._read, calls._write, leave=calls._leave, finish=finish):
        yield calls


def _matching(
    key: Callable[[Any], Hashable] | None, request_key: Callable[[Any], Hashable] | None, max_late: int
) -> Matching[_Asked]:
    if operator.index(max_late) < 1:
        raise ValueError(f"max_late is {max_late}; it must be 1 or more")
    for name, function in ("key", key), ("request_key", request_key):
        if function is not None and not callable(function):
            raise TypeError(f"{name} is {function!r}; it must be a function: {name}=lambda message: message.get('id')")
    if key is not None:
        return ByKey(key, request_key or key, max_late=max_late)
    if request_key is not None:
        raise ValueError("request_key needs key, for the replies: open_calls(pipeline, key, request_key=...)")
    return InOrder(max_late=max_late)


class Calls(Generic[Received, Sent]):
    """What `open_calls` gives: requests go in, and each comes back with its reply.

    Attributes:
        late_replies: how many replies were dropped because their callers had left.
    """

    def __init__(
        self,
        pipeline: Shared[Received, Sent],
        matching: Matching[_Asked],
        is_event: Callable[[Any], bool] | None,
        max_events: int,
        on_full: OnFull,
    ) -> None:
        self._events: Events[Received] = Events(max_events, on_full, of="calls", left=LEFT)
        self._pipeline, self._matching, self._is_event = pipeline, matching, is_event
        self._callers: dict[_Asked, None] = {}  # whose tasks wait here
        self._queue: OrderedDict[_Asked, None] = OrderedDict()  # those whose turn to be written has not come
        self._work = trio.lowlevel.ParkingLot()  # where the writer waits for something to write
        self._broken: Exception | None = None  # how writing failed first
        self._over: Exception | None = None  # why no reply can come any more
        self._left = False
        self._written = trio.Event()  # nothing is being written any more
        self.late_replies = 0

    @property
    def waiting(self) -> int:
        """How many callers wait for a reply, or for their item to be written."""
        return len(self._callers)

    @property
    def dropped_events(self) -> int:
        """How many events were dropped because nobody received them."""
        return self._events.dropped

    @property
    def events(self) -> trio.abc.ReceiveChannel[Received]:
        """What came and is no reply, for one task or several to receive.

        It ends as the pipeline's own `receive()` would: with its end, or its error. Whoever wants no
        events closes it, and they are dropped and counted.
        """
        return self._events

    # ---- for callers

    async def call(self, request: Sent) -> Received:
        """Send a request, and return its reply.

        Raises:
            ValueError: the request has no key, or one that another call uses; nothing was sent.
            trio.BrokenResourceError: inbound failed or ended before the reply came, its cause tells by what.
            trio.ClosedResourceError: the block was left, or the pipeline closed.
            Exception: what sending raised, as the pipeline's `send()`, to this caller only.

        Cancellation: a request that still waits for its turn is withdrawn; one that is being written goes
        out whole. Its reply, if it comes, is dropped and counted.
        """
        self._check_not_left()
        if self._over is not None:
            raise afresh(self._over, "nothing was sent, since no reply can come any more")
        asked = _Asked(request)
        self._matching.reserve(asked)
        reply: Received = await self._ask(asked)
        return reply

    async def notify(self, item: Sent) -> None:
        """Send an item to which there is no reply; returns when it is written.

        Raises:
            trio.ClosedResourceError: the block was left, or the pipeline closed.
            Exception: what sending raised, as the pipeline's `send()`, to this caller only.

        Cancellation: an item that still waits for its turn is withdrawn; one that is being written goes
        out whole.
        """
        self._check_not_left()
        await self._ask(_Asked(item, expects_reply=False))

    def _check_not_left(self) -> None:
        if self._left:
            raise trio.ClosedResourceError(LEFT)

    async def _ask(self, asked: _Asked) -> Any:
        self._callers[asked] = self._queue[asked] = None
        self._work.unpark()
        try:
            await asked.answered.wait()
        except BaseException:
            self._caller_left(asked)
            raise
        finally:
            del self._callers[asked]
        if asked.error is not None:
            raise asked.error
        return asked.reply

    def _caller_left(self, asked: _Asked) -> None:
        if asked in self._queue:
            del self._queue[asked]
            self._matching.forget(asked)
        elif asked.expects_reply and not asked.answered.is_set():
            self._matching.leave(asked)
        elif asked.expects_reply and asked.error is None:  # it came while the cancellation was on its way
            self.late_replies += 1

    # ---- the task that writes

    async def _write(self) -> None:
        while (asked := await self._next()) is not None:
            if asked.expects_reply:
                self._matching.begin(asked)
            try:
                await self._pipeline.send(asked.item)
            except Exception as error:
                if isinstance(error, trio.BrokenResourceError):
                    self._broken = self._broken or error
                self._matching.forget(asked)
                asked.fail(error)
            else:
                asked.item = None  # the reply may take long
                if not asked.expects_reply:
                    asked.answer(None)
        self._written.set()

    async def _next(self) -> _Asked | None:
        """What waits longest, or None: nothing more is to be written."""
        while not self._left:
            asked = next(iter(self._queue), None)
            if asked is not None and not (asked.expects_reply and self._matching.holds_back):
                del self._queue[asked]
                return asked
            await self._work.park()
        return None

    # ---- the task that reads

    async def _read(self) -> None:
        try:
            async for item in self._pipeline:
                self._take(item)
        except Exception as error:
            self._no_more_replies(error)
            self._events.end(error)
        else:
            # A reset connection tells so once only: who writes is told, a moment later, and who reads sees a clean end.
            for _ in range(LOOKS):
                await trio.lowlevel.checkpoint()
            self._no_more_replies(self._broken or trio.EndOfChannel("the peer ended the stream"))
            self._events.end(None)

    def _no_more_replies(self, why: Exception) -> None:
        self._over = why
        for asked in self._callers:
            if asked.expects_reply:
                self._queue.pop(asked, None)
                asked.fail(afresh(why, "no reply came to this request"))

    def _take(self, item: Any) -> None:
        try:
            is_event = self._is_event is not None and self._is_event(item)
            asked = None if is_event else self._matching.find(item)
        except Exception as error:
            error.add_note(f"in open_calls(), is_event() or key() of what was received: {type(item).__name__}")
            raise
        if asked is None:
            self._events.add(item)
        elif asked.left:
            self.late_replies += 1
            self._work.unpark()
        else:
            asked.answer(item)

    # ---- leaving the block

    def _leave(self) -> None:
        """Nobody is to wait any more; what is just being written goes out."""
        self._left = True
        self._queue.clear()
        for asked in self._callers:
            asked.fail(trio.ClosedResourceError(LEFT))
        self._events.dropped += len(self._events.close())
        self._work.unpark()


class _Asked(Request):
    """A request, and the caller who waits for what becomes of it."""

    __slots__ = ("answered", "error", "expects_reply", "reply")

    def __init__(self, item: Any, *, expects_reply: bool = True) -> None:
        super().__init__(item)
        self.expects_reply = expects_reply
        self.answered = trio.Event()
        self.reply: Any = None
        self.error: Exception | None = None

    def answer(self, reply: Any) -> None:
        """Let the caller return."""
        self.reply = reply
        self.answered.set()

    def fail(self, error: Exception) -> None:
        """Let the caller raise this, if nothing has become of it yet."""
        if not self.answered.is_set():
            self.error = error
            self.answered.set()
