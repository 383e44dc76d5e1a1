"""What drives an engine on trio: who takes items out of it, who reads, and who waits for what.

Rules for this file: there is no task here but the callers'. Two roles go round among them:

- one task at a time *drives inbound*: it takes items out of the engine and reads the transport;
- one task at a time *has the wire* (`_writing`). With no send running, whoever drives inbound writes
  the replies before it waits, and then waits for room or for input, whichever comes first (P14).

Whoever cannot take a role waits for `news` and looks again; so a task that is cancelled or fails
just leaves. A `Waiting` is awaited inside the scope in which its stage began to wait.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Final, NoReturn, Protocol

import trio

from ._core import Engine
from ._flow import NEED_INPUT, WOULD_WAIT, Mark, Waiting
from ._fused import waits
from ._items import size_of
from ._news import briefly
from ._stage import END
from ._transport import Wire
from ._writing import Role, Writing, through

NOTHING: Final = Mark.NOTHING
_NOTHING_READY: Final[Iterator[Any]] = iter(())
MAX_PARKED_ITEMS: Final = 64
MAX_PARKED_BYTES: Final = 65536


class HasReady(Protocol):
    """What a handshake is driven for: whether it is over."""

    @property
    def ready(self) -> bool: ...


class Driver(Writing):
    """An engine on a wire.

    Args:
        engine: the chain, running.
        wire: what it reads from and writes to.
        merge_writes: whether a send may stay in the buffer while nobody waits for the transport.
    """

    # fmt: off
    __slots__ = (
        "__dict__", "_calm", "_draining", "_inbound", "_parked_bytes", "changing", "driving", "eof_read", "loop",
        "parked", "reads", "ready", "straight", "unsure", "waiting",
    )
    # fmt: on

    def __init__(self, engine: Engine[Any, Any], wire: Wire, *, merge_writes: bool) -> None:
        super().__init__(engine, wire, merge_writes=merge_writes)
        self.parked: list[Any] = []  # items that came out while nobody received
        self.driving = False  # somebody drives inbound
        self.changing = False  # the chain is being changed: nobody else is to begin to drive
        self.ready: Iterator[Any] = iter(())  # what may be taken as long as nothing else happens
        self.unsure: Iterator[Any] = iter(())  # the same, where a stage may wait: then `stage_waits`
        self.loop: Any = None  # what `unsure` comes from
        self.waiting: Waiting | None = None  # what a stage waits for that did; to be awaited at once
        self._calm = False  # nothing else has happened since reading was all there was to do
        self.reads = 0  # how often the transport gave something
        self.eof_read = False
        self._inbound = engine.inbound
        self._parked_bytes = 0
        self._draining = False
        engine.on_news = self._interrupt
        self.news.deadline = self._deadline

    def chain_changed(self) -> None:
        """The engine has other stages than before."""
        super().chain_changed()
        self._disturb()
        self.engine.forget_fused()
        self.straight = self.wire.can_interrupt and self.engine.inbound_is_steady

    # ---- roles

    def drives_inbound(self) -> Role:
        """Hold the role; only for a task which saw that `driving` is False."""
        self._disturb()
        return Role(self, "driving")

    async def on_deadline(self) -> None:
        """A deadline passed while this task waited for something else, and nobody else looks after it."""
        if not (self.driving or self.changing):
            with self.drives_inbound():
                await self._judge_deadline()
                await self.park_what_is_there()

    async def wait_aside(self, lot: trio.lowlevel.ParkingLot, done: Callable[[], bool]) -> None:
        """Wait in `lot` until `done`, without reading; deadlines are looked after meanwhile."""
        while not done():
            if await self.news.park_until_due(lot):
                await self.on_deadline()

    def _deadline(self) -> float | None:
        """What a task that waits has to look after; with no room to park, input could not be read first."""
        if not self.engine.timed or self.driving or self.changing or self.park_is_full:
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
                item = await self.news.until_closed(through, self.engine.next_item)
                self.news.check_open()  # a stage that cannot be cancelled may have held it up beyond the end
        except Exception:
            await self.flush_shielded()
            raise
        if item is not NEED_INPUT and self.engine.owes_replies:
            await self.flush_shielded()
        return item

    @property
    def idle(self) -> bool:
        """Whether all there is to do is to read, and nobody does."""
        return (self._calm or self._is_calm()) and not self._buffer.size and self._inbound.rests()

    def may_read(self) -> bool:
        """The same, once what was merged is written; here it is, as far as there is room."""
        if not (self._calm or self._is_calm()) or not self._inbound.rests():
            return False
        return not self._buffer.size or (self.merge_writes and self._write_merged())

    def _is_calm(self) -> bool:
        waits = self.driving or self.changing or self.parked or self._draining or self.news.closed
        self._calm = self.straight and not waits and self.engine.idle
        return self._calm

    async def read_straight(self, most: int) -> Any:
        """Read until an item is out, where that is all there is to do, or NOTHING: the long way knows what to do.

        What else came of the read, at `most` so many items of it, is `ready` then.
        """
        assert self.wire.reader is not None
        read = self.wire.reader.read
        while True:
            self.driving = self.reading = True
            try:
                data = await read()
            except Exception as error:
                self._read_failed(error)
            finally:
                self.driving = self.reading = False
                if self.news.awaited:
                    self.news.tell()
            if data is END or not self._calm:
                self.news.check_open()
                if data is not NOTHING:
                    self._feed(data)
                return NOTHING
            self.reads += 1
            item = self._take_straight(data, most)
            if item is not NOTHING:
                return item
            if self.waiting is not None:
                await self.waited()
            if not self.idle:
                return NOTHING

    def _take_straight(self, data: Any, most: int) -> Any:
        """The first item that data became, or NOTHING: there is none, or a stage waits."""
        self.make_ready(self.engine.take_in(data), most)
        try:
            for item in self.ready:
                return item
            for item in self.unsure:
                if not self.stage_waits:
                    return item
                self.wait_for(item)
                break
        except BaseException as error:
            self.engine.fail_ready(error)
        return NOTHING

    def make_ready(self, items: Iterator[Any], most: int) -> None:
        """Let so many of the items be taken."""
        inbound = self._inbound
        if inbound.ready_from > most:
            items = islice(items, most)
        if inbound.loop is None:
            self.ready, self.unsure = items, _NOTHING_READY
        else:
            self.ready, self.unsure, self.loop = _NOTHING_READY, items, inbound.loop

    @property
    def stage_waits(self) -> bool:
        """Whether what was taken last of `unsure` is no item, but a stage waits, and that is for `wait_for`."""
        return waits(self.loop)

    def wait_for(self, yielded: Any) -> None:
        """Take note that a stage waits, and of what it yielded; `waited` is to be awaited at once."""
        self.waiting = self.engine.take_over(yielded)

    async def waited(self) -> None:
        """Wait for the stage; what comes of it is at its place then."""
        waiting, self.waiting = self.waiting, None
        assert waiting is not None
        with self.drives_inbound():
            await self.news.until_closed_midway(waiting)
            self.news.check_open()  # a stage that cannot be cancelled may have held it up beyond the end

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
        await self.settle(self.engine)

    async def settle(self, of: HasReady) -> None:
        """Drive inbound until all is ready, or an item for the client is there."""
        item: Any = NEED_INPUT
        while item is NEED_INPUT:
            with self.drives_inbound():
                item = await self.look()
                if item is NEED_INPUT and of.ready:
                    if not await self.flush_now():
                        return
                    await self._flush_or_read(until_flushed=True)
                elif item is NEED_INPUT:
                    await self._wait_for_input()
        if item is not END:
            self.park(item)

    async def park_what_is_there(self) -> None:
        """Let items out for which nobody waits, as far as there is room."""
        while not self.park_is_full and self.engine.inbound_error is None:
            item = await self.look()
            if item is NEED_INPUT or item is END:
                break
            self.park(item)
        await self.flush_now()

    def count_parked(self) -> None:
        """Take note that what was parked may have gone back into the chain."""
        self._parked_bytes = sum(map(size_of, self.parked))

    def park(self, item: Any) -> None:
        """Keep an item for the next receive."""
        self._disturb()
        self.parked.append(item)
        self._parked_bytes += size_of(item)

    def park_again(self, items: list[Any]) -> None:
        """Keep for the next receive what was received before what is parked."""
        self._disturb()
        self.parked[:0] = items
        self.count_parked()
        self.news.tell()

    def unpark(self) -> Any:
        """Give the first parked item; there is room for another one then."""
        item = self.parked.pop(0)
        self._parked_bytes -= size_of(item)
        self.news.tell()
        return item

    @property
    def park_is_full(self) -> bool:
        """Whether nothing more may come out until somebody receives."""
        return len(self.parked) >= MAX_PARKED_ITEMS or self._parked_bytes >= MAX_PARKED_BYTES

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

    def interrupt(self) -> None:
        """Let whoever waits for input look again."""
        self._interrupt()

    def drain(self) -> None:
        """From now on, input counts as ended wherever nothing has begun."""
        self._draining = True
        self._interrupt()

    def _disturb(self) -> None:
        """What was ready, and all there was to do, may be so no more."""
        self.ready, self.unsure = _NOTHING_READY, _NOTHING_READY
        self.loop, self._calm = None, False

    def stop(self) -> None:
        """The pipeline is closed: every task leaves what it waits for."""
        self.news.close()
        self._disturb()
        self.wire.interrupt(closing=True)

    def _interrupt(self) -> None:
        """Something is to be done inbound of which the transport knows nothing."""
        self._disturb()
        if self.reading and self.wire.can_interrupt:
            self.wire.interrupt()
        self.news.interrupt()

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

    # ---- sends; the caller has its turn

    async def send_out(self, *, merge: bool) -> None:
        """Take what the engine was given through the stages and write it, or with `merge` leave it in the buffer."""
        while True:
            while self.writing:
                await self.news.wait()
            with self.has_wire():
                await self.run_out(merge=merge)
            if self.engine.timed:
                self.news.hurry(lambda: self.engine.deadline)
            if not self.engine.sending:
                break
            if merge:
                merge = False  # what went through before does not wait with it
                continue
            await self._pass_gate()
            while self.engine.is_stuck:  # to take the wire would be news to the others, who would wake this task
                await self._pass_gate()
        error = self.engine.take_send_error()
        if error is not None:  # while this task waited, or by an END in its way
            ended = self.engine.outbound_error is None
            raise (trio.ClosedResourceError if ended else trio.BrokenResourceError)(str(error)) from error

    async def end_out(self) -> None:
        """Let the stages finish and half-close; waits until none of them holds the end back."""
        await self.send_out(merge=False)
        while not self.engine.outbound_ended and self.engine.outbound_error is None:
            await self._pass_gate()
            await self.send_out(merge=False)

    async def _pass_gate(self) -> None:
        """What is sent waits above a stage that is not ready: help it on, or wait until somebody did."""
        deadline = self.engine.gate_deadline
        over = self.engine.inbound_ended or self.engine.inbound_error is not None
        if over and deadline is None:
            raise trio.BrokenResourceError(
                f"a stage of {self.engine.chain!r} is not ready to send, and never will be, since inbound is over"
            ) from self.engine.inbound_error
        if over or self.driving or self.park_is_full:
            await self.news.wait(deadline)
            self.engine.tick_gates()
            return
        with self.drives_inbound():
            item = await self.look()
            if item is not NEED_INPUT and item is not END:
                self.park(item)
            elif self.engine.send_is_held_back and item is NEED_INPUT:
                await self._wait_for_input()
