"""What drives an engine on trio: who runs which direction, who writes, and who waits for what.

Rules for this file: there is no task here but the callers'. Two roles go round among them:

- one task at a time *drives inbound*: it takes items out of the engine and reads the transport;
- one task at a time *has the wire*: it runs outbound and writes. A running send takes replies along;
  with none running, whoever drives inbound writes them before it waits, and then waits for room or
  for input, whichever comes first (P14).

Whoever cannot take a role waits for `news` and looks again; so a task that is cancelled or fails
just leaves. A `Waiting` is awaited inside the scope in which its stage began to wait.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import trio

from ._core import WRITE_BYTES, Engine
from ._errors import HalfCloseError, PipelineError
from ._flow import NEED_INPUT, WOULD_WAIT, Mark, Waiting
from ._items import size_of
from ._news import Newsroom, briefly
from ._quick import QuickSend
from ._stage import END
from ._transport import SocketWriter, Wire

NOTHING: Final = Mark.NOTHING
MAX_PARKED_ITEMS: Final = 64
MAX_PARKED_BYTES: Final = 65536


class Role:
    """What only one task does at a time; when it leaves, the others look again."""

    __slots__ = ("_driver", "_name")

    def __init__(self, driver: Driver, name: str) -> None:
        self._driver, self._name = driver, name

    def __enter__(self) -> None:
        setattr(self._driver, self._name, True)

    def __exit__(self, *_: object) -> None:
        setattr(self._driver, self._name, False)
        self._driver.news.tell()


class Driver:
    """An engine on a wire.

    Args:
        engine: the chain, running.
        wire: what it reads from and writes to.
        merge_writes: whether a send may stay in the buffer while nobody waits for the transport.
    """

    def __init__(self, engine: Engine[Any, Any], wire: Wire, *, merge_writes: bool) -> None:
        self.engine, self.wire, self.news = engine, wire, Newsroom()
        self.parked: deque[Any] = deque()  # items that came out while nobody received
        self.half_close_error: HalfCloseError | None = None
        self.unraised: Exception | None = None  # an outbound error that no caller has seen
        self.reads = 0  # how often the transport gave something
        self.eof_read = False
        self.kept_rest = False  # a send was cancelled whose rest goes out with the next write
        self.torn_bytes = 0  # what of a cut write may not have gone out
        self.driving = self.writing = False
        self.merge_writes = merge_writes
        self.writes = 0  # how often something was written
        self._parked_bytes = 0
        self._reading = self._half_closed = self._draining = False
        engine.on_news = self._interrupt
        self.news.on_close = partial(wire.interrupt, closing=True)
        if isinstance(wire.writer, SocketWriter) and not merge_writes:
            self.quick: QuickSend | None = QuickSend(engine)
        else:
            self.quick = None
        self.news.deadline = self._deadline
        if wire.writer is None:
            engine.break_outbound(PipelineError("this transport can only be received from"))

    # ---- roles

    def drives_inbound(self) -> Role:
        """Hold the role; only for a task which saw that `driving` is False."""
        return Role(self, "driving")

    def has_wire(self) -> Role:
        """Hold the role; only for a task which saw that `writing` is False."""
        return Role(self, "writing")

    async def wait_for_news(self) -> None:
        """Wait until something changed; a deadline that passes meanwhile is acted on."""
        if await self.news.wait():
            await self.on_deadline()

    async def on_deadline(self) -> None:
        """A deadline passed while this task waited for something else, and nobody else looks after it."""
        if not self.driving:
            with self.drives_inbound():
                await self._judge_deadline()
                await self.park_what_is_there()

    def _deadline(self) -> float | None:
        """What a task that waits has to look after; with no room to park, input could not be read first."""
        if not self.engine.timed or self.driving or self.park_is_full:
            return None
        return self.engine.deadline

    # ---- inbound; the role is held

    async def look(self) -> Any:
        """An item, END or NEED_INPUT, without reading the transport.

        Raises:
            Exception: what a stage raised; a reply that it gave before is written.
        """
        if self.engine.inbound_error is not None:
            raise trio.BrokenResourceError(
                f"inbound is broken since a stage or the transport failed: {self.engine.inbound_error!r}"
            ) from self.engine.inbound_error
        try:
            item = self.engine.advance_inbound(never_wait=True)
            if item is WOULD_WAIT:
                item = await self.news.until_closed(_through, self.engine.next_item)
        except Exception:
            await self._flush_shielded()
            raise
        if item is not NEED_INPUT and self.engine.owes_replies:
            await self._flush_shielded()
        return item

    async def step(self) -> Any:
        """An item, END, or NOTHING: something happened, look again."""
        item = await self.look()
        if item is not NEED_INPUT:
            return item
        await self._wait_for_input()
        return NOTHING

    async def enter(self) -> None:
        """Begin: ends when every stage is ready, or an item for the client is there."""
        await self.news.until_closed(self.wire.enter)
        self.engine.start()
        item: Any = NEED_INPUT
        while item is NEED_INPUT:
            with self.drives_inbound():
                item = await self.look()
                if item is NEED_INPUT and self.engine.ready:
                    if not await self._flush_now():
                        return
                    await self._flush_or_read(until_flushed=True)
                elif item is NEED_INPUT:
                    await self._wait_for_input()
        if item is not END:
            self.park(item)

    async def park_what_is_there(self) -> None:
        """Let items out for which nobody waits, as far as there is room."""
        while not self.park_is_full:
            item = await self.look()
            if item is NEED_INPUT or item is END:
                break
            self.park(item)
        await self._flush_now()

    def park(self, item: Any) -> None:
        """Keep an item for the next receive."""
        self.parked.append(item)
        self._parked_bytes += size_of(item)

    def unpark(self) -> Any:
        """Give the first parked item; there is room for another one then."""
        item = self.parked.popleft()
        self._parked_bytes -= size_of(item)
        self.news.tell()
        return item

    @property
    def park_is_full(self) -> bool:
        """Whether nothing more may come out until somebody receives."""
        return len(self.parked) >= MAX_PARKED_ITEMS or self._parked_bytes >= MAX_PARKED_BYTES

    async def _wait_for_input(self) -> None:
        """Nothing comes out: write what is owed, and wait for input, a deadline or news."""
        owed = self.engine.owes_replies or self.engine.to_write_bytes
        if owed and await self._flush_now() and not self.writing:
            await self._flush_or_read(until_flushed=False)
        else:
            await self._read()

    def drain(self) -> None:
        """From now on, input counts as ended wherever nothing has begun."""
        self._draining = True
        self._interrupt()

    def _interrupt(self) -> None:
        """Something is to be done inbound of which the transport knows nothing."""
        if self._reading and self.wire.can_interrupt:
            self.wire.interrupt()
        self.news.interrupt()

    async def _read(self) -> None:
        """Wait for input, or, while none is wanted, for news; in any case for a deadline."""
        if self._draining and self.engine.wants_input and not self.engine.has_begun_input():
            self._draining = False
            self._feed(END)
            return
        deadline = self.engine.deadline if self.engine.timed else None
        wants_input = self.wire.reader is not None and self.engine.wants_input
        if wants_input and deadline is None and self.wire.can_interrupt:
            data = await self._read_transport()
        else:
            data = await self._read_in_scope(deadline, wants_input=wants_input)
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

    async def _read_transport(self) -> Any:
        assert self.wire.reader is not None
        self._reading = True
        try:
            return await self.wire.reader.read()
        except Exception as error:
            self.news.check_open()
            self.engine.break_inbound(error)
            raise
        finally:
            self._reading = False

    def _feed(self, data: Any) -> None:
        self.reads += 1
        if data is END:
            self.eof_read = True
            self.engine.feed_eof()
        else:
            self.engine.feed(data)

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

    # ---- replies, while no send is running

    def owes_replies(self) -> bool:
        """Whether replies may wait to be written."""
        return self.engine.owes_replies

    async def _flush_shielded(self) -> None:
        """Write replies as far as it needs no waiting, with an item or an error in hand that must not get lost."""
        with trio.CancelScope(shield=True):
            await self._flush_now()

    async def _flush_now(self) -> bool:
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

    async def _flush_or_read(self, *, until_flushed: bool) -> None:
        """Write replies and read at the same time; the first input ends both."""
        failed: Exception | None = None

        async def flush(scope: trio.CancelScope) -> None:
            await self._flush_all()
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

    async def _flush_all(self) -> None:
        """Write replies until none is left, however long it takes; a failure breaks outbound only."""
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
        return await _through(partial(self.engine.work_out, replies_only=True))

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
        self.engine.break_outbound(error, torn=isinstance(error, trio.BrokenResourceError | trio.ClosedResourceError))
        if not self.news.closed:
            self.unraised = self.unraised or error

    # ---- sends; the caller has its turn

    async def send_out(self, *, merge: bool) -> None:
        """Take what the engine was given through the stages and write it, or with `merge` leave it in the buffer."""
        while True:
            while self.writing:
                await self.wait_for_news()
            with self.has_wire():
                await self.run_out(merge=merge)
            if self.engine.timed:
                self.news.hurry(self.engine.deadline)
            if not self.engine.sending:
                return
            await self._pass_gate()

    async def send_quickly(self, data: bytes) -> None:
        """Write what a send became at once; what the socket does not take now is written by the long way."""
        assert isinstance(self.wire.writer, SocketWriter)
        self.news.turn_taken = self.writing = True
        self.writes += 1
        try:
            sent = await self.wire.writer.send_some(data)
            if sent < len(data):
                self.engine.add_unsent(data[sent:])
                self.kept_rest = True
                await self._write()
                self.kept_rest = False
        except Exception as error:
            self.news.check_open()
            self.engine.break_outbound(error, torn=True)
            raise
        finally:
            self.writing = False
            self.news.pass_turn()

    async def end_out(self) -> None:
        """Let the stages finish and half-close; waits until none of them holds the end back."""
        await self.send_out(merge=False)
        while not self.engine.outbound_ended and self.engine.outbound_error is None:
            await self._pass_gate()
            await self.send_out(merge=False)

    async def run_out(self, *, merge: bool = False) -> None:
        """Run outbound as far as it goes, and write; the wire is held."""
        status: Any = None
        while status is None:
            status = self.engine.work_out(never_wait=True)
            if status is WOULD_WAIT:
                status = await self.news.until_closed(_through, self.engine.work_out)
            pending = self.engine.to_write_bytes
            if pending and not (merge and pending < WRITE_BYTES and not self._reading):
                if self.wire.can_interrupt:
                    await self._write()
                else:
                    await self.news.until_closed(self._write)
        if self.engine.sending and self.engine.send_is_out:
            self.engine.finish_send()
        await self._half_close_if_ended()

    async def _write(self) -> None:
        assert self.wire.writer is not None
        self.writes += 1
        try:
            await self.wire.writer.write(self.engine.peek(), self.engine.wrote)
        except Exception as error:
            self.news.check_open()
            self.engine.break_outbound(error, torn=True)
            raise
        except BaseException:
            if not self.wire.counts:
                self.torn_bytes = self.engine.to_write_bytes
                torn = PipelineError("a write was cancelled, and this transport cannot say how much of it went out")
                self.engine.break_outbound(torn, torn=True)
            raise

    async def _pass_gate(self) -> None:
        """What is sent waits above a stage that is not ready: help it on, or wait until somebody did."""
        if self.engine.inbound_ended or self.engine.inbound_error is not None:
            raise trio.BrokenResourceError(
                f"a stage of {self.engine.chain!r} is not ready to send, and never will be, since inbound is over"
            ) from self.engine.inbound_error
        if self.driving or self.park_is_full:
            await self.wait_for_news()
            return
        with self.drives_inbound():
            item = await self.look()
            if item is not NEED_INPUT and item is not END:
                self.park(item)
            elif self.engine.send_is_held_back and item is NEED_INPUT:
                await self._wait_for_input()

    async def _half_close_if_ended(self) -> None:
        """A stage ended outbound: so does the wire, if it can; else the end shows when it is closed."""
        if self.engine.outbound_ended and not self._half_closed:
            self._half_closed = True
            assert self.wire.writer is not None
            try:
                await self.wire.writer.send_eof()
            except HalfCloseError as error:
                self.half_close_error = error


async def _through(call: Callable[[], Any]) -> Any:
    """Make a call of the engine, and await what its stages wait for."""
    result = call()
    while isinstance(result, Waiting):
        await result
        result = call()
    return result
