"""Who writes: replies while no send is running, and sends, over one engine and one wire.

Rules for this file: one task at a time *has the wire*; it runs outbound and writes. A running send takes
replies along. Nothing here reads, so whoever needs progress inbound asks `_driver`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

import trio

from ._core import WRITE_BYTES, Engine
from ._errors import HalfCloseError, PipelineError
from ._flow import WOULD_WAIT, Waiting
from ._news import Newsroom, briefly, closed_error
from ._quick import CHECK_FIRST, NOT_NOW, SHUT, QuickSend
from ._socketends import SocketWriter
from ._transport import Wire


class Role:
    """What only one task does at a time; when it leaves, the others look again."""

    __slots__ = ("_name", "_of")

    def __init__(self, of: Writing, name: str) -> None:
        self._of, self._name = of, name

    def __enter__(self) -> None:
        setattr(self._of, self._name, True)
        self._of.news.changes += 1

    def __exit__(self, *_: object) -> None:
        setattr(self._of, self._name, False)
        self._of.news.tell()


class Writing:
    """The writing side of an engine on a wire.

    Args:
        engine: the chain, running.
        wire: what it writes to.
        merge_writes: whether a send may stay in the buffer while nobody waits for the transport.
    """

    # fmt: off
    __slots__ = (
        "_buffer", "_half_closed", "_take", "checks_first", "engine", "gathering", "half_close_error", "kept_rest",
        "lane", "merge_writes", "news", "quick", "reading", "take_lane", "torn_bytes", "unraised", "wire", "writes",
        "writing",
    )
    # fmt: on

    def __init__(self, engine: Engine[Any, Any], wire: Wire, *, merge_writes: bool) -> None:
        self.engine, self.wire, self.news = engine, wire, Newsroom()
        self.merge_writes = merge_writes
        self.writing = False  # somebody has the wire
        self.reading = False  # somebody waits for the transport
        self.gathering = False  # who has the turn sends several items, and flushes behind them
        self.writes = 0  # how often something was written
        self.unraised: Exception | None = None  # an outbound error that no caller has seen
        self.half_close_error: HalfCloseError | None = None
        self.kept_rest = False  # a send was cancelled that has gone out, or whose rest does with the next write
        self.torn_bytes = 0  # what of a cut write may not have gone out
        self.lane = SHUT  # the state of the news since when a send may go the short way
        self._buffer = engine.buffer
        self._half_closed = False
        self.chain_changed()
        if wire.writer is None:
            engine.break_outbound(PipelineError("this transport can only be received from"))

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

    def pass_turn(self) -> None:
        """End a send, however it ended; whoever waits for input writes the replies that it has left."""
        if self.reading and self.engine.owes_replies:
            self.engine.on_news()
        self.news.pass_turn()

    def has_wire(self) -> Role:
        """Hold the wire; only for a task which saw that `writing` is False."""
        return Role(self, "writing")

    # ---- replies, while no send is running

    async def flush_shielded(self) -> None:
        """Write replies as far as it needs no waiting, with an item or an error in hand that must not get lost."""
        with trio.CancelScope(shield=True):
            await self.flush_now()

    async def flush_now(self) -> bool:
        """Write replies as far as it needs no waiting; whether something is left that does."""
        if self.writing or self.wire.writer is None:
            return False
        with self.has_wire():
            try:
                while True:
                    status = self.engine.work_out(never_wait=True, replies_only=True)
                    if status is WOULD_WAIT and await briefly(self._work_replies, otherwise=WOULD_WAIT) is WOULD_WAIT:
                        return True
                    if not self.engine.to_write_bytes:
                        await self._half_close_if_ended()
                        return False
                    room = self.wire.writer.has_room()
                    if room is False or (room is None and not await briefly(self._write_piece, otherwise=False)):
                        return True
                    if room:
                        await self._write_some()
            except Exception as error:
                self.outbound_failed(error)
                return False

    async def flush_all(self) -> None:
        """Write replies until none is left, however long it takes; a failure breaks outbound only."""
        if self.writing:
            return  # this task was started when nobody had the wire; who took it since takes replies along
        with self.has_wire():
            try:
                status: Any = None
                while status is None or self.engine.to_write_bytes:
                    status = self.engine.work_out(never_wait=True, replies_only=True)
                    if status is WOULD_WAIT:
                        status = await self.news.until_closed(self._work_replies)
                    if self.engine.to_write_bytes:
                        await self._write_piece()
                        self.news.tell()
                await self._half_close_if_ended()
            except Exception as error:
                self.outbound_failed(error)

    async def _work_replies(self) -> Any:
        return await through(partial(self.engine.work_out, replies_only=True))

    async def _write_piece(self) -> bool:
        assert self.wire.writer is not None
        await self.wire.writer.wait_room()
        await self._write_some()
        return True

    async def _write_some(self) -> None:
        assert self.wire.writer is not None
        self.writes += 1
        await self.wire.writer.write_some(self.engine.peek(), self.engine.wrote)

    def outbound_failed(self, error: Exception) -> None:
        """An error that belongs to no caller: the next one who wants to send gets it."""
        if self.news.closed and isinstance(error, trio.ClosedResourceError):
            return  # woken only to leave; what is not written yet is written by aclose()
        self.lane = SHUT
        self.engine.break_outbound(error, torn=isinstance(error, trio.BrokenResourceError | trio.ClosedResourceError))
        self.unraised = self.unraised or error

    # ---- sends; the caller has its turn

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

    async def write_out(self) -> None:
        """Write what is in the buffer; the way is free."""
        with self.has_wire():
            await self._write()

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

    async def run_out(self, *, merge: bool = False) -> None:
        """Run outbound as far as it goes, and write; the wire is held."""
        status: Any = None
        while status is None:
            status = self.engine.work_out(never_wait=True)
            if status is WOULD_WAIT:
                status = await self.news.until_closed(through, self.engine.work_out)
            pending = self.engine.to_write_bytes
            # Behind an end the wire is half-closed: nothing may wait to be merged then.
            waits = merge and pending < WRITE_BYTES and (self.gathering or not self.reading)
            waits = waits and not self.engine.outbound_ended
            if pending and not waits:
                if self.wire.can_interrupt:
                    await self._write()
                else:
                    await self.news.until_closed(self._write)
                if self.engine.owes_replies:
                    status = None  # whoever receives left those to this task, which has the wire
        if self.engine.sending and self.engine.send_is_out:
            self.engine.finish_send()
        await self._half_close_if_ended()

    async def _write(self) -> None:
        assert self.wire.writer is not None
        self.writes += 1
        try:
            await self.wire.writer.write(self.engine.peek(), self.engine.wrote)
        except Exception as error:
            if isinstance(error, trio.ClosedResourceError):
                self.news.check_open()
            self.torn_bytes = self.engine.to_write_bytes
            self.engine.break_outbound(error, torn=True)
            raise
        except BaseException:
            if not self.wire.counts:
                self.torn_bytes = self.engine.to_write_bytes
                torn = PipelineError("a write was cancelled, and this transport cannot say how much of it went out")
                self.engine.break_outbound(torn, torn=True)
            raise

    async def _half_close_if_ended(self) -> None:
        """A stage ended outbound: so does the wire, if it can; else the end shows when it is closed."""
        if self.engine.outbound_ended and not self._half_closed:
            self._half_closed = True
            assert self.wire.writer is not None
            try:
                await self.wire.writer.send_eof()
            except HalfCloseError as error:
                self.half_close_error = error


def _shut(_item: Any) -> Any:
    return NOT_NOW


def _check_first(_item: Any) -> Any:
    return CHECK_FIRST


async def through(call: Callable[[], Any]) -> Any:
    """Make a call of the engine, and await what its stages wait for."""
    result = call()
    while isinstance(result, Waiting):
        await result
        result = call()
    return result
