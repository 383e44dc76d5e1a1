"""The fast path of sends over a socket: what an item becomes is written at once, or put into the buffer to be merged.

Rules for this file: it is taken only while nothing else happens: a `lane` is open from when that was found out to the
next change of the news. However such a send ends, everything is as after the same send the long way (`_writing`).
"""

from __future__ import annotations

from typing import Any, NoReturn

import trio

from ._core import Engine
from ._news import closed_error
from ._quick import CHECK_FIRST, NOT_NOW, SHUT, QuickSend
from ._socketends import SocketWriter
from ._transport import Wire
from ._writing import Writing


class FastWriting(Writing):
    """The writing side of an engine on a wire, with its fast path.

    Args:
        engine, wire, merge_writes: as of `Writing`.

    Attributes:
        quick: what takes items through the stages; None: they cannot go that way.
        lane: the state of the news since when a send may go the short way, or SHUT.
        take_lane: what takes an item along the lane; see `QuickSend.lane`.
        checks_first: whether there has to be a checkpoint before.
    """

    __slots__ = ("_take", "checks_first", "lane", "quick", "take_lane")

    def __init__(self, engine: Engine[Any, Any], wire: Wire, *, merge_writes: bool) -> None:
        super().__init__(engine, wire, merge_writes=merge_writes)
        self.chain_changed()

    def chain_changed(self) -> None:
        """The engine has other stages than before."""
        is_socket = isinstance(self.wire.writer, SocketWriter)
        self.quick = quick = QuickSend.through(self.engine, self.hurry) if is_socket else None
        self.lane = SHUT
        self._take = _shut if quick is None else quick.lane(self, self.news, merge=self.merge_writes)
        # What such a chain is given cannot be taken back any more.
        self.checks_first = quick is not None and quick.keeps_state
        self.take_lane = _check_first if self.checks_first else self._take

    def hurry(self) -> None:
        """What was sent may have moved a deadline: whoever looks after it is to notice."""
        self.news.hurry(lambda: self.engine.deadline)

    def outbound_failed(self, error: Exception) -> None:
        """As of `Writing`; the lane is shut."""
        self.lane = SHUT
        super().outbound_failed(error)

    # ---- the lane; the caller has the turn

    def open_lane(self) -> bool:
        """Whether the next send may go the short way; it may until something happens."""
        self.kept_rest = False
        if self.news.turn_taken or self.news.closed or self.free_way is None:
            return False
        self.lane = self.news.changes
        return True

    @property
    def lane_is_open(self) -> bool:
        """Whether nothing has happened since `open_lane` said so: no role was taken, no turn, and no reply given."""
        return self.lane == self.news.changes

    @property
    def free_way(self) -> QuickSend | None:
        """The short way, where nothing is on it; the task which has the turn may take it up to its next wait."""
        return None if self.writing or self.unraised or not self.engine.outbound_idle else self.quick

    def take_checked(self, item: Any) -> Any:
        """Do what `take_lane` wanted a check for."""
        try:
            return self._take(item)
        except BaseException as error:
            self.fail_lane(item, error)

    def fail_lane(self, item: Any, error: BaseException) -> NoReturn:
        """Raise what `take_lane` raised."""
        assert self.quick is not None
        self.lane = SHUT
        self.quick.fail(item, error)

    # ---- the socket

    async def send_quickly(self, data: bytes, *, of_many: bool = False) -> None:
        """Write what a send became at once; what the socket does not take now is written by the long way.

        Args:
            data: what is to be written, and nothing else is.
            of_many: whether it is of several sends, which count even if this is cancelled: the next write goes on.
        """
        writer, news, sent = self.wire.writer, self.news, 0
        assert isinstance(writer, SocketWriter)
        lane, self.lane = self.lane, SHUT
        changes, news.turn_taken = news.changes, True
        self.writing = True
        self.writes += 1
        try:
            if not (of_many or self.checks_first):  # else it was done before
                await trio.lowlevel.checkpoint_if_cancelled()
            sent = writer.send_now(data)
            if sent:
                await trio.lowlevel.cancel_shielded_checkpoint()
            else:
                sent = await writer.send_some(data)
            if sent < len(data):
                lane, self.kept_rest = SHUT, True
                self.engine.add_unsent(data[sent:])
                await self._write()
            if changes != news.changes and self.engine.owes_replies:
                lane, self.kept_rest = SHUT, True
                await self.run_out()
            self.kept_rest = False
        except BaseException as error:
            lane = SHUT
            self._quick_failed(error, b"" if sent else data, of_many=of_many)
            raise
        finally:
            self.lane = lane
            self.writing = False
            if news.awaited or lane == SHUT:
                self.pass_turn()
            else:
                news.turn_taken = False

    def _quick_failed(self, error: BaseException, unsent: bytes, *, of_many: bool) -> None:
        """Leave everything as when a send fails the long way, or is cut short; `unsent` is empty if a part was sent."""
        closed = self.news.closed and isinstance(error, trio.ClosedResourceError)
        if isinstance(error, Exception) and not closed:
            if self.engine.outbound_error is None:
                self.engine.break_outbound(error, torn=True)
            return
        if unsent and of_many:
            self.engine.add_unsent(unsent)
        elif unsent and self.quick is not None:
            self.quick.cut_short(closed_error() if closed else error)
        if closed:
            self.news.check_open()

    def _write_merged(self) -> bool:
        """Write what was merged before somebody reads, as far as there is room; whether all of it was."""
        writer = self.wire.writer
        if not isinstance(writer, SocketWriter):
            return False
        if self.lane != self.news.changes and (self.writing or self.news.turn_taken or not self.engine.outbound_idle):
            return False
        self.writes += 1
        data = self._buffer.take_loose()
        try:
            if not data:  # a part of it was written before, or begun
                self.engine.wrote(writer.send_now(self.engine.peek()))
            elif (sent := writer.send_now(data)) < len(data):
                self.engine.add_unsent(data[sent:])
        except Exception as error:
            self.outbound_failed(error)
        return not self._buffer.size


def _shut(_item: Any) -> Any:
    return NOT_NOW


def _check_first(_item: Any) -> Any:
    return CHECK_FIRST
