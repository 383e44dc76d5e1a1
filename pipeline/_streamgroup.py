"""A group of streams over one connection: which are open, what each has, and the task that reads for all.

Rules for this file: the reader waits for no consumer, unless it was asked to (`block`). What is held is bounded: each
stream's untaken items, the streams of the peer, the keys that are remembered, and what is owed to the peer.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any, Final

import trio

from ._beside import Events, Inbox, Shared, afresh
from ._errors import LimitError
from ._news import LOOKS
from ._pipeline import Pipeline
from ._streamrules import StreamRules
from ._streamwriter import StreamWriter
from ._substream import CLOSED, Group, Substream

LEFT: Final = "the block of open_streams() was left: use the streams inside it only"
REFUSED: Final = "streams.aclose() was called, or the block left: no more streams of the peer are accepted"
MAX_RESETS: Final = 1000
"""Nothing is read while more resets than that wait for the peer to read them: they have no end, as credit has."""
MAX_GONE: Final = 1000
"""The keys of so many streams are remembered that were given up before the peer had ended them."""


class StreamGroup(StreamWriter, Group):
    """The streams that share a pipeline.

    Args:
        pipeline, rules, block, max_stream_bytes, max_streams: as of `open_streams`.
        events: where items go that belong to no stream.

    Attributes:
        open: the streams that are not over, by key.
        new: those of the peer that nobody has accepted.
        over: why nothing more comes.
        late_items, refused_streams: as of `Streams`.
    """

    def __init__(
        self,
        pipeline: Shared[Any, Any],
        rules: StreamRules,
        events: Events[Any],
        *,
        block: bool,
        max_stream_bytes: int,
        max_streams: int,
    ) -> None:
        super().__init__(pipeline, rules)
        self.events = events
        self._block, self._max_stream_bytes, self._max_streams = block, max_stream_bytes, max_streams
        self.new: Inbox[Substream[Any, Any]] = Inbox(max_streams, left=REFUSED)
        self.open: dict[Hashable, Substream[Any, Any]] = {}
        self.over: Exception | None = None
        self.late_items = self.refused_streams = 0
        self._of_peer = 0  # how many of the open ones the peer opened
        self._gone: OrderedDict[Hashable, None] = OrderedDict()  # given up, but the peer may not know yet
        self._full: Substream[Any, Any] | None = None  # for which all wait
        self._reading = trio.CancelScope()
        self._unsendable: Exception | None = None

    # ---- for its streams and their users

    def begin(self, key: Hashable) -> Substream[Any, Any]:
        """Begin a stream of one's own; see `Streams.open`."""
        if self.left:
            raise trio.ClosedResourceError(LEFT)
        if self.over is not None:
            raise afresh(self.over, "no stream can be opened any more")
        if key is None and self.rules.new_key is None:
            raise ValueError("the rules of this protocol make no keys (new_key): streams.open(key)")
        if key in self.open:
            raise ValueError(f"a stream with the key {key!r} is open already: give each stream a key of its own")
        if key in self._gone:
            raise ValueError(
                f"the stream with the key {key!r} was given up before the peer had ended it, and its items may still "
                f"come: take another key"
            )
        stream: Substream[Any, Any] = Substream(self, key, by_peer=False)
        self.open[stream.place] = stream
        return stream

    def name(self, stream: Substream[Any, Any]) -> Hashable:
        """Make the key of a stream that was opened without one."""
        assert self.rules.new_key is not None
        if self.open.pop(stream.place, None) is None:
            raise trio.ClosedResourceError(CLOSED)
        key = self.rules.new_key()
        self.open[key] = stream
        return key

    def ends_stream(self, item: Any) -> bool:
        """Whether an item that is sent is the last one of its stream."""
        return self.rules.sends_end is not None and self.rules.sends_end(item)

    def eof_item(self, stream: Substream[Any, Any]) -> tuple[Any] | None:
        """What ends a stream's direction, if the protocol has that."""
        return None if self.rules.eof is None else (self.rules.eof(stream.key),)

    def took(self, stream: Substream[Any, Any], item: Any, cost: int) -> None:
        """A consumer has an item: there is room for another one."""
        stream._state.waiting -= cost
        self.room.unpark_all()
        self.return_credit(item)

    def give_up(self, stream: Substream[Any, Any], reason: Any) -> None:
        """Forget a stream; if it was not over, tell the peer."""
        state = stream._state
        if state.closed:
            return
        was_over, state.closed = state.over, True
        self.fail_sends(stream, lambda: trio.ClosedResourceError("this stream was closed meanwhile"))
        for item, _ in state.inbox.close():
            self.return_credit(item)
        self.room.unpark_all()
        if self.open.get(stream.place) is not stream:
            return
        self._forget(stream)
        if not was_over and state.begun:
            self._refuse(stream.key, reason, ended=state.ended)

    def leave(self) -> None:
        """Nobody is to wait any more; what is just being written goes out, and the peer is told of what was open."""
        for stream in [*self.open.values(), *self.new.close()]:
            stream.reset()
        self.events.dropped += len(self.events.close())
        self.stop(trio.ClosedResourceError(LEFT))

    # ---- for the task that writes

    def unsendable(self, error: Exception) -> None:
        """What was owed cannot be sent: the peer would wait for ever, so all fail."""
        error.add_note("in open_streams(): the rules made this, to reset a stream or to return credit")
        self._unsendable = error
        self._reading.cancel()

    def sent_end(self, stream: Substream[Any, Any]) -> None:
        """The last item of a stream was sent."""
        self._forget_if_over(stream)

    # ---- the task that reads

    async def read(self) -> None:
        """Read until the connection is over."""
        error: Exception | None = None
        try:
            with self._reading:
                async for item in self.pipeline:
                    self._take(item)
                    if self._full is not None or self.resets > MAX_RESETS:
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
        self.failed = error or self.broken
        self.over = over = self.failed or trio.EndOfChannel("the peer ended the connection")
        for stream in list(self.open.values()):
            if self.failed is not None:
                self._fail(stream, afresh(over, "the connection failed"))
            elif self.rules.ends is None:
                stream._state.end()
                self._forget_if_over(stream)
            else:
                stream._state.end(afresh(over, "the connection is over, and this stream was not"))
        self.new.end(error)
        self.events.end(None if error is None else afresh(error, "nothing more comes"))

    def _take(self, item: Any) -> None:
        rules = self.rules
        try:
            key = rules.key(item)
            hidden = rules.hides is not None and rules.hides(item)
            if key is not None:
                self._take_for(key, item, hidden=hidden)
            elif not hidden:
                self.events.add(item)
        except LimitError:
            raise
        except Exception as error:
            error.add_note(f"in open_streams(), the rules, of what was received: {type(item).__name__}")
            raise
        self.look_again()

    def _take_for(self, key: Hashable, item: Any, *, hidden: bool) -> None:
        rules = self.rules
        error = None if rules.error is None else rules.error(item)
        hidden = hidden or error is not None
        ends = error is not None or (rules.ends is not None and rules.ends(item))
        stream = self.open.get(key)
        if not hidden and (
            stream is None or (stream._state.sent_all and rules.opens is not None and rules.opens(item))
        ):
            stream = self._begin(key, item)
        if stream is not None and error is not None:
            is_broken = isinstance(error, trio.BrokenResourceError)
            if isinstance(self.pipeline, Pipeline):
                self.pipeline._engine.note_given_up(error)
            self._fail(stream, error, error if is_broken else afresh(error, "the peer has given this stream up"))
        elif stream is None or stream._state.ended:
            self._take_late(key, item, hidden=hidden, ends=ends)
        elif (hidden or self._put(stream, item)) and ends:
            stream._state.end()
            self._forget_if_over(stream)

    def _put(self, stream: Substream[Any, Any], item: Any) -> bool:
        """Give an item to a stream's consumer; False: there is no room, and the stream has failed."""
        state, cost = stream._state, self.rules.cost(item)
        size = state.waiting + cost
        if not self._block and state.waiting and size > self._max_stream_bytes:
            error = LimitError(
                f"{state.waiting} bytes wait in stream {stream.key!r} that nobody has received, and {cost} more came, "
                f"over the limit, max_stream_bytes={self._max_stream_bytes}. Receive faster, raise max_stream_bytes, "
                f'or let all streams wait: open_streams(..., overflow="block")',
                limit=self._max_stream_bytes,
                size=size,
            )
            self.return_credit(item)
            self._fail(stream, error)
            self._refuse(stream.key, None, ended=False)
            return False
        state.waiting = size
        state.inbox.put((item, cost))
        if self._block and size >= self._max_stream_bytes:
            self._full = stream
        return True

    def _has_room(self) -> bool:
        state = None if self._full is None else self._full._state
        full = state is not None and not state.closed and state.waiting >= self._max_stream_bytes
        return not full and self.resets <= MAX_RESETS

    async def _wait_for_room(self) -> None:
        if isinstance(self.pipeline, Pipeline):
            await self.pipeline._driver.wait_aside(self.room, self._has_room)
        else:
            while not self._has_room():
                await self.room.park()
        self._full = None

    # ---- streams begin and end

    def _begin(self, key: Hashable, item: Any) -> Substream[Any, Any] | None:
        """Let the peer open a stream with an item, if it may."""
        opens = self.rules.opens
        if (key in self._gone) if opens is None else not opens(item):
            return None
        old = self.open.get(key)
        if old is not None:
            self._fail(old, trio.BrokenResourceError(f"the peer began another stream with the key {key!r}"))
        self._gone.pop(key, None)
        if self.new.closed or self.new.is_full or not self._has_place():
            self.refused_streams += 1
            self._refuse(key, None, ended=False)
            return None
        stream: Substream[Any, Any] = Substream(self, key, by_peer=True)
        self.open[key] = stream
        self._of_peer += 1
        self.new.put(stream)
        return stream

    def _has_place(self) -> bool:
        """Whether the peer may open one more; those whose last item is just being written it may know to be over."""
        if self._of_peer < self._max_streams:
            return True
        over = sum(stream.over for stream in self.ending() if stream.by_peer)
        return self._of_peer - over < self._max_streams

    def _take_late(self, key: Hashable, item: Any, *, hidden: bool, ends: bool) -> None:
        """Drop an item of a stream that is not open."""
        if not hidden:
            self.late_items += 1
            self.return_credit(item)
        if ends:
            self._gone.pop(key, None)

    def _fail(self, stream: Substream[Any, Any], error: Exception, raised: Exception | None = None) -> None:
        """A stream is over both ways, not in good order; whoever receives gets `raised`, or the error itself."""
        stream._state.failure = error
        stream._state.end(raised or error)
        self.fail_sends(stream, lambda: afresh(error, "this was not sent"))
        self._forget(stream)

    def _forget_if_over(self, stream: Substream[Any, Any]) -> None:
        if stream._state.over:
            self._forget(stream)

    def _forget(self, stream: Substream[Any, Any]) -> None:
        if self.open.get(stream.place) is stream:
            del self.open[stream.place]
            self._of_peer -= stream._state.by_peer
            self.look_again()

    def _refuse(self, key: Hashable, reason: Any, *, ended: bool) -> None:
        """Tell the peer that a stream is given up; what still comes for it is nobody's."""
        if not ended:
            self._gone[key] = None
            if len(self._gone) > MAX_GONE:
                self._gone.popitem(last=False)
        if self.rules.reset is not None:
            told = self.rules.reset(key, reason)
            if told is not None:
                self.owe_reset(told)
