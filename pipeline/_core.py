"""The engine: a whole chain, running, with both directions, and nothing that reads or writes.

Rules for this file: no event loop and no I/O. A driver moves the bytes; this is one, for blocking sockets:

    engine.start()
    while (item := engine.next_item()) is not END:
        if item is not NEED_INPUT:
            engine.send(answer(item))
        elif not write_all(engine):  # else there may be more behind what was in the way
            if data := sock.recv(65536): engine.feed(data)
            else: engine.feed_eof()
        write_all(engine)
    engine.close()

    def write_all(engine):  # tells whether there was anything
        wrote = False
        while pieces := engine.to_write():
            for data in pieces: sock.sendall(data)
            wrote = True
        return wrote

`Pipeline` is the driver for trio; `Harness` one without any I/O. Where a stage waits, `next_item()` and
`to_write()` return a `Waiting`, to be awaited on the stage's event loop before the same call is made again.

How items come in is told in `_incoming`, how they go out in `_outgoing`; here is what concerns both directions.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from ._chain import Duplex, Inbound, Outbound, Passthrough, chain_of, claim, places_of
from ._counting import Counting
from ._errors import PipelineError
from ._fastflow import FastFlow
from ._incoming import ClientIn, Incoming
from ._outgoing import WRITE_BYTES, ClientOut
from ._slot import Slot
from ._stage import Stage
from ._wiring import Seat, connect, held_below, take_seat

__all__ = ["WRITE_BYTES", "Engine"]


class Engine(Incoming[ClientIn, ClientOut]):
    """A chain attached to nothing yet: feed it what was read, and write what it gives.

    feed(b"...")  ─►  next_item() -> item
    to_write() -> [b"..."]  ◄─  send(item)

    Args:
        chain: a stage or a chain; its stages belong to this engine from now on.
        clock: what deadlines are measured on, in seconds.
        byte_wire: whether the wire end is a byte stream: then only bytes-like items may come out
            there, empty ones are left out, and `to_write()` joins them.
        max_reply_bytes: how much of replies may wait to be written before inbound stops.
        show_items: whether errors may show (a piece of) the item.

    Raises:
        TypeError: a piece of the chain is no stage, or one without a direction.
        StageInUseError: a stage belongs to another engine already.
    """

    def __init__(
        self,
        chain: Duplex[Any, ClientIn, ClientOut, Any] | Inbound[Any, ClientIn] | Outbound[ClientOut, Any] | Passthrough,
        *,
        clock: Callable[[], float] = time.monotonic,
        byte_wire: bool = False,
        max_reply_bytes: int = 65536,
        show_items: bool = True,
    ) -> None:
        if max_reply_bytes < 1:
            raise ValueError(f"max_reply_bytes is {max_reply_bytes}; a reply needs room: give 1 or more")
        self.seats = tuple([take_seat(place) for place in places_of(chain)])
        describe = self._describe
        inbound, outbound = (
            FastFlow(slots, describe, show_items=show_items, max_reply_bytes=max_reply_bytes)
            for slots in connect(self.seats)
        )
        super().__init__(chain, inbound, outbound, byte_wire=byte_wire)
        self._clock = clock
        self.counting: Counting | None = None
        self._note_slots()
        self.claim(self.seats)

    # ---- state

    @property
    def on_news(self) -> Callable[[], None]:
        """Called when a stage gave a reply, or there is something to do by itself."""
        return self._inbound.on_news

    @on_news.setter
    def on_news(self, on_news: Callable[[], None]) -> None:
        self._inbound.on_news = self._outbound.on_news = on_news

    @property
    def ready(self) -> bool:
        """Whether every stage is; until then, what is sent may have to wait."""
        return all(half.ready for half in self._gates)

    @property
    def waits_for_peer(self) -> bool:
        """Whether what was sent waits in a stage for something to come in, and may."""
        waits = any(half.close_waits and not half.ready for half in self._gates)
        return waits and not self.outbound_ended and self.wants_input

    @property
    def _gates(self) -> list[Stage[Any, Any]]:
        return [half for slot in self._outbound.slots for half in slot.gates]

    def held_below(self, stage: Stage[Any, Any], /) -> int | None:
        """How much the stages below it hold; see `Stage.held_below`."""
        return held_below(stage, self._slots)

    @property
    def dropped_replies(self) -> int:
        """How many replies came too late, after their direction had ended or broken."""
        return self._inbound.dropped_replies + self._outbound.dropped_replies

    # ---- timers

    @property
    def timed(self) -> bool:
        """Whether any stage has timers at all."""
        return bool(self._timed)

    @property
    def deadline(self) -> float | None:
        """When to call `tick()` at the latest, or None."""
        times = [slot.stage.deadline for slot in self._timed if slot.awaits_deadline]
        return min((time for time in times if time is not None), default=None)

    def tick(self, now: float | None = None) -> None:
        """Let stages whose deadline is over act; what they give comes with the next call."""
        self._tick(self._timed, self._clock() if now is None else now)

    def _tick(self, slots: Sequence[Slot], now: float) -> None:
        for slot in slots:
            if slot.awaits_deadline and slot.stage.deadline is not None and slot.stage.deadline <= now:
                slot.due = now
                slot.flow.touch(slot.index)

    @property
    def gate_deadline(self) -> float | None:
        """When the timer of an outbound stage that is not ready is due, or None: it can open without any input."""
        times = [slot.stage.deadline if slot.due is None else slot.due for slot in self._gates_with_timer()]
        return min((time for time in times if time is not None), default=None)

    def tick_gates(self) -> None:
        """Do what `tick` does, for outbound stages that are not ready: nothing that comes in matters to them."""
        self._tick(self._gates_with_timer(), self._clock())

    def _gates_with_timer(self) -> list[Slot]:
        timed = [slot for slot in self._timed if slot.flow is self._outbound and slot.flow.takes(slot.index)]
        return [slot for slot in timed if not slot.stage.ready]

    # ---- the end

    def close(self) -> None:
        """Close every stage, wire side first, whatever state it is in; a second call does nothing.

        Raises:
            Exception: the first error of a stage's `close()`, the others as notes; all were closed.
        """
        if self.closed:
            return
        self.closed = True
        errors: list[BaseException] = []
        for slot in self._slots:
            for clean_up in (slot.drop, *(() if slot.stage.shareable else (slot.stage.close,))):
                try:
                    clean_up()
                except BaseException as failed:
                    failed.add_note(f"in {self._describe(slot)}, close()")
                    errors.append(failed)
        for flow in (self._inbound, self._outbound):
            flow.break_off(PipelineError("the engine is closed"))
        # What is no Exception comes first: somebody wants the program to stop.
        errors.sort(key=lambda error: isinstance(error, Exception))
        for other in errors[1:]:
            errors[0].add_note(f"and then {other!r}")
        if errors:
            raise errors[0]

    # ---- while the chain is changed

    def claim(self, seats: Sequence[Seat]) -> None:
        """Their stages belong to this engine from now on."""
        for seat in seats:
            claim(seat.place, self, self._clock)

    def reseat(self, seats: tuple[Seat, ...]) -> None:
        """Go on with other pieces; what waits at those that are gone goes on from where they were."""
        inbound, outbound = connect(seats)
        self.seats = seats
        self._inbound.reseat(inbound)
        self._outbound.reseat(outbound)
        self.chain = chain_of(tuple(seat.place.piece for seat in seats))
        self._note_slots()
        self.on_news()

    def _note_slots(self) -> None:
        self._slots = tuple([slot for seat in self.seats for slot in seat.slots])
        self._timed = tuple([slot for slot in self._slots if slot.timed])
        self._polled = tuple([slot for slot in self._inbound.slots if slot.polls])
        if self.counting is not None:
            self.counting.count(self._slots)

    def forget_fused(self) -> None:
        """What was made of the stages for `ready_items` is to be made anew."""
        for slot in self._slots:
            slot.fused = None

    # ---- for errors

    def _describe(self, slot: Slot) -> str:
        direction = "inbound" if slot.flow is self._inbound else "outbound"
        where = f"stage {slot.place.number} of {len(self.seats)}"
        try:
            chain = repr(self.chain)
        except Exception as error:  # a stage's own __repr__; what is being described matters more
            chain = f"a chain whose repr raised {type(error).__name__}"
        return f"{direction} stage {slot.name} ({where} of {chain})"
