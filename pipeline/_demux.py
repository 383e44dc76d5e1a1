"""What reads the items of many streams: one task, which gives each item to its stream.

Rules for this file: it waits for no consumer, unless it was asked to (`block`). What is held is bounded: each stream's
untaken items, and what is owed to the peer.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Final

import trio

from ._beside import Events, Shared, afresh
from ._errors import LimitError
from ._news import LOOKS
from ._pipeline import Pipeline
from ._streamgroup import StreamGroup
from ._streamrules import StreamRules
from ._substream import Substream

MAX_RESETS: Final = 1000
"""Nothing is read while more resets than that wait for the peer to read them: they have no end, as credit has."""


class Demux(StreamGroup):
    """A group of streams, and the task that reads for all of them.

    Args:
        pipeline, rules, block, max_stream_bytes, max_streams: as of `open_streams`.
        events: where items go that belong to no stream.

    Attributes:
        late_items: as of `Streams`.
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
        super().__init__(pipeline, rules, events, max_streams=max_streams)
        self._block, self._max_stream_bytes = block, max_stream_bytes
        self._full: Substream[Any, Any] | None = None  # for which all wait
        self._reading = trio.CancelScope()
        self._unsendable: Exception | None = None
        self.late_items = 0

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

    def unsendable(self, error: Exception) -> None:
        """What was owed cannot be sent: the peer would wait for ever, so all fail."""
        error.add_note("in open_streams(): the rules made this, to reset a stream or to return credit")
        self._unsendable = error
        self._reading.cancel()

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

    # ---- an item came

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

    def _take_late(self, key: Hashable, item: Any, *, hidden: bool, ends: bool) -> None:
        """Drop an item of a stream that is not open."""
        if not hidden:
            self.late_items += 1
            self.return_credit(item)
        if ends:
            self._gone.pop(key, None)

    # ---- waiting for a consumer, or for the peer

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
