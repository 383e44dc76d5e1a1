"""A group of streams over one connection: which are open, and how each begins and ends.

Rules for this file: what is held is bounded: the streams of the peer, the keys that are remembered, and, by the writer,
what is owed to the peer. What comes is given to the streams in `_demux`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any, Final

import trio

from ._beside import Events, Inbox, Shared, afresh
from ._streamrules import StreamRules
from ._streamwriter import StreamWriter
from ._substream import CLOSED, Group, Substream

LEFT: Final = "the block of open_streams() was left: use the streams inside it only"
REFUSED: Final = "streams.aclose() was called, or the block left: no more streams of the peer are accepted"
MAX_GONE: Final = 1000
"""The keys of so many streams are remembered that were given up before the peer had ended them."""


class StreamGroup(StreamWriter, Group):
    """The streams that share a pipeline.

    Args:
        pipeline, rules, max_streams: as of `open_streams`.
        events: where items go that belong to no stream.

    Attributes:
        open: the streams that are not over, by key.
        new: those of the peer that nobody has accepted.
        over: why nothing more comes.
        refused_streams: as of `Streams`.
    """

    def __init__(
        self, pipeline: Shared[Any, Any], rules: StreamRules, events: Events[Any], *, max_streams: int
    ) -> None:
        super().__init__(pipeline, rules)
        self.events = events
        self._max_streams = max_streams
        self.new: Inbox[Substream[Any, Any]] = Inbox(max_streams, left=REFUSED)
        self.open: dict[Hashable, Substream[Any, Any]] = {}
        self.over: Exception | None = None
        self.refused_streams = 0
        self._of_peer = 0  # how many of the open ones the peer opened
        self._gone: OrderedDict[Hashable, None] = OrderedDict()  # given up, but the peer may not know yet

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

    def sent_end(self, stream: Substream[Any, Any]) -> None:
        """The last item of a stream was sent."""
        self._forget_if_over(stream)

    # ---- streams begin and end

    def _begin(self, key: Hashable, item: Any) -> Substream[Any, Any] | None:
        """Let the peer open a stream with an item, if it may."""
        opens = self.rules.opens
        if (key in self._gone) if opens is None else not opens(item):
            return None
        old = self.open.get(key)
        if old is not None:
            what = f"the peer began another stream with the key {key!r}: opens(item) is true of what it sent"
            self._fail(old, trio.BrokenResourceError(what))
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
