"""Who reads the transport, and what else ends a wait for input: news, a deadline, room for what is to be written.

Rules for this file: only the task which drives inbound (`_driver`) reads. What was read goes into the engine and no
further. A deadline is judged only after input that is already there (S12). A read that is to end is interrupted where
that can be done, else cancelled, as it is cancel-safe (P11).
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, NoReturn

import trio

from ._core import Engine
from ._ends import NOTHING
from ._fastwriting import FastWriting
from ._news import briefly
from ._stage import END
from ._transport import Wire
from ._writing import Role


class Reading(FastWriting):
    """The reading side of an engine on a wire.

    Args:
        engine, wire, merge_writes: as of `Writing`.

    Attributes:
        driving: somebody drives inbound.
        changing: the chain is being changed: nobody else is to begin to drive.
        reads: how often the transport gave something.
        eof_read: whether its end was read.
    """

    __slots__ = ("_draining", "changing", "driving", "eof_read", "reads")

    def __init__(self, engine: Engine[Any, Any], wire: Wire, *, merge_writes: bool) -> None:
        super().__init__(engine, wire, merge_writes=merge_writes)
        self.driving = self.changing = False
        self.reads = 0
        self.eof_read = False
        self._draining = False
        engine.on_news = self.interrupt

    @abstractmethod
    def _disturb(self) -> None:
        """What was ready, and all there was to do, may be so no more."""

    def drives_inbound(self) -> Role:
        """Hold the role; only for a task which saw that `driving` is False."""
        self._disturb()
        return Role(self, "driving")

    # ---- for others

    def interrupt(self) -> None:
        """Let whoever waits for input look again: something is to be done of which the transport knows nothing."""
        self._disturb()
        if self.reading and self.wire.can_interrupt:
            self.wire.interrupt()
        self.news.interrupt()

    def drain(self) -> None:
        """From now on, input counts as ended wherever nothing has begun."""
        self._draining = True
        self.interrupt()

    # ---- inbound; the role is held

    async def _wait_for_input(self) -> None:
        """Nothing comes out: write what is owed, and wait for input, a deadline or news."""
        left = False
        if self.engine.owes_replies or self.engine.to_write_bytes:
            before = self.engine.wants_input, self.engine.replies_full
            left = await self.flush_now()
            if self.engine.has_inbound_news or before != (self.engine.wants_input, self.engine.replies_full):
                return  # something happened meanwhile, of which nobody else will tell
        if left and not self.writing:
            await self._flush_or_read(until_flushed=False)
        else:
            await self._read()

    async def _flush_or_read(self, *, until_flushed: bool) -> None:
        """Write replies and read at the same time; the first input ends both."""
        failed: Exception | None = None

        async def flush(scope: trio.CancelScope) -> None:
            await self.flush_all()
            if until_flushed:
                scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(flush, nursery.cancel_scope)
            try:
                await self._read()
            except Exception as error:
                failed = error
            nursery.cancel_scope.cancel()
        if failed is not None:
            raise failed

    async def _read(self) -> None:
        """Wait for input, or, while none is wanted, for news; in any case for a deadline."""
        if self._draining and self.engine.wants_input and not self.engine.has_begun_input():
            self._draining = False
            self.engine.end_input()  # the wire itself has not ended
            return
        wants_input = self.wire.reader is not None and self.engine.wants_input
        if wants_input and self.wire.can_interrupt and not self.engine.timed:
            data = await self._read_transport()
        else:
            data = await self._read_in_scope(self.engine.deadline, wants_input=wants_input)
        self.news.check_open()
        if data is not NOTHING:
            self._feed(data)

    async def _read_in_scope(self, deadline: float | None, *, wants_input: bool) -> Any:
        data: Any = NOTHING
        with self.news.reading(deadline) as scope:
            if wants_input:
                data = await self._read_transport()
            else:
                await self.news.changed()
        if scope.cancelled_caught and not self.news.closed:
            await self._judge_deadline()
        return data

    async def _judge_deadline(self) -> None:
        """If a deadline passed, let the stages act, but only after input that is already there was read."""
        deadline = self.engine.deadline
        if deadline is None or deadline > trio.current_time():
            return
        data: Any = NOTHING
        if self.wire.reader is not None and self.engine.wants_input:
            data = await briefly(self._read_transport, otherwise=NOTHING)
        if data is NOTHING:
            self.engine.tick()
        else:
            self._feed(data)

    # ---- the transport

    async def _read_transport(self) -> Any:
        assert self.wire.reader is not None
        self.reading = True
        try:
            return await self.wire.reader.read()
        except Exception as error:
            self._read_failed(error)
        finally:
            self.reading = False

    def _read_failed(self, error: Exception) -> NoReturn:
        if isinstance(error, trio.ClosedResourceError):
            self.news.check_open()
        self._disturb()
        self.engine.break_inbound(error)
        raise error

    def _feed(self, data: Any) -> None:
        self.reads += 1
        if data is END:
            self.eof_read = True
            self.engine.feed_eof()
        else:
            self.engine.feed(data)
