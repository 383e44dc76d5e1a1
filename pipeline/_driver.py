"""What drives an engine on trio: who takes items out of it, who reads, and who waits for what.

Rules for this file: there is no task here but the callers'. Two roles go round among them:

- one task at a time *drives inbound*: it takes items out of the engine, and reads the transport
  (`_reading`); what comes out while nobody receives is kept for who does (`_parking`);
- one task at a time *has the wire* (`_writing`). With no send running, whoever drives inbound writes
  the replies before it waits, and then waits for room or for input, whichever comes first (P14).

While nothing else is to be done, reads and sends take fast paths (`_fastreading`, `_fastwriting`).
Whoever cannot take a role waits for `news` and looks again; so a task that is cancelled or fails
just leaves. A `Waiting` is awaited inside the scope in which its stage began to wait.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import trio

from ._core import Engine
from ._ends import NOTHING
from ._fastreading import FastReading
from ._flow import NEED_INPUT, WOULD_WAIT
from ._stage import END
from ._transport import Wire
from ._writing import through


class HasReady(Protocol):
    """What a handshake is driven for: whether it is over."""

    @property
    def ready(self) -> bool: ...


class Driver(FastReading):
    """An engine on a wire.

    Args:
        engine: the chain, running.
        wire: what it reads from and writes to.
        merge_writes: whether a send may stay in the buffer while nobody waits for the transport.
    """

    __slots__ = ("__dict__",)  # for those that are counted, see `_asking`

    def __init__(self, engine: Engine[Any, Any], wire: Wire, *, merge_writes: bool) -> None:
        super().__init__(engine, wire, merge_writes=merge_writes)
        self.news.deadline = self._deadline

    # ---- roles

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

    def stop(self) -> None:
        """The pipeline is closed: every task leaves what it waits for."""
        self.news.close()
        self._disturb()
        self.wire.interrupt(closing=True)

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
