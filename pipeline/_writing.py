"""Who writes: replies while no send is running, and sends, over one engine and one wire.

Rules for this file: one task at a time *has the wire*; it runs outbound and writes. A running send takes
replies along. Nothing here reads, so whoever needs progress inbound asks `_driver`. How a send is made while nothing
else happens, over a socket, is told in `_fastwriting`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import trio

from ._core import WRITE_BYTES, Engine
from ._errors import HalfCloseError, PipelineError
from ._flow import WOULD_WAIT, Waiting
from ._news import Newsroom, briefly
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
        "_buffer", "_half_closed", "engine", "gathering", "half_close_error", "kept_rest", "merge_writes", "news",
        "reading", "torn_bytes", "unraised", "wire", "writes", "writing",
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
        self._buffer = engine.buffer
        self._half_closed = False
        if wire.writer is None:
            engine.break_outbound(PipelineError("this transport can only be received from"))

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
        self.engine.break_outbound(error, torn=isinstance(error, trio.BrokenResourceError | trio.ClosedResourceError))
        self.unraised = self.unraised or error

    # ---- sends; the caller has its turn

    async def write_out(self) -> None:
        """Write what is in the buffer; the way is free."""
        with self.has_wire():
            await self._write()

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


async def through(call: Callable[[], Any]) -> Any:
    """Make a call of the engine, and await what its stages wait for."""
    result = call()
    while isinstance(result, Waiting):
        await result
        result = call()
    return result
