"""The engine: a whole chain, running, with both directions, and nothing that reads or writes.

Rules for this file: no event loop and no I/O. A driver moves the bytes; this is one, for blocking sockets:

    engine.start()
    while (item := engine.next_item()) is not END:
        if item is NEED_INPUT:
            for data in engine.to_write(): sock.sendall(data)
            if data := sock.recv(65536): engine.feed(data)
            else: engine.feed_eof()
        else:
            engine.send(answer(item))
    engine.close()

`Pipeline` is the driver for trio; `Harness` one without any I/O. Where a stage waits, `next_item()` and
`to_write()` return a `Waiting`, to be awaited on the stage's event loop before the same call is made again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Generic, Literal, NoReturn

from typing_extensions import TypeVar

from ._chain import Duplex, Inbound, Outbound, Passthrough, chain_of, claim, places_of
from ._counting import Counting
from ._errors import FrameError, LimitError, PipelineError, StageTimeoutError
from ._fastflow import FastFlow
from ._flow import BLOCKED, NEED_INPUT, NeedInput, Waiting
from ._outgoing import WRITE_BYTES, ClientOut, Outgoing, refuse_marks
from ._slot import Slot
from ._stage import END, End, Stage
from ._wiring import Seat, connect, held_below, take_seat

__all__ = ["WRITE_BYTES", "Engine"]

ClientIn = TypeVar("ClientIn", covariant=True, default=Any)


_PEER_ERRORS: Final = (FrameError, LimitError, StageTimeoutError)
"""What an inbound stage raises for what the peer did, whatever it says of itself."""
_GIVEN_UP: Final = 16
"""So many are remembered."""


class Engine(Outgoing[ClientOut], Generic[ClientIn, ClientOut]):
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

    given_up: tuple[BaseException, ...] = ()

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
        self._inbound, self._outbound = (
            FastFlow(slots, describe, show_items=show_items, max_reply_bytes=max_reply_bytes)
            for slots in connect(self.seats)
        )
        self._inbound.other, self._outbound.other = self._outbound, self._inbound
        super().__init__(chain, self._outbound, byte_wire=byte_wire)
        self.inbound_error: BaseException | None = None
        self._clock = clock
        self.counting: Counting | None = None
        self._starting: list[Slot] | None = None
        self._input_ended = False
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
    def wants_input(self) -> bool:
        """Whether reading makes sense: False while a stage pauses, replies pile up, or inbound has ended."""
        return not (
            self._input_ended
            or self._outbound.full
            or self.inbound_error is not None
            or not self._inbound.takes()
            or self.input_paused()
        )

    def input_paused(self) -> bool:
        """Whether a stage pauses; see `Stage.input_paused`."""
        return not all(slot.stage.wants_input for slot in self._inbound.slots if self._inbound.takes(slot.index))

    def held_below(self, stage: Stage[Any, Any], /) -> int | None:
        """How much the stages below it hold; see `Stage.held_below`."""
        return held_below(stage, self._slots)

    @property
    def has_inbound_news(self) -> bool:
        """Whether something came in since `next_item()` found nothing to do."""
        return self._inbound.stirred

    @property
    def inbound_ended(self) -> bool:
        """Whether `next_item()` has given END."""
        return self._inbound.ended

    @property
    def dropped_replies(self) -> int:
        """How many replies came too late, after their direction had ended or broken."""
        return self._inbound.dropped_replies + self._outbound.dropped_replies

    @property
    def timed(self) -> bool:
        """Whether any stage has timers at all."""
        return bool(self._timed)

    @property
    def deadline(self) -> float | None:
        """When to call `tick()` at the latest, or None."""
        times = [slot.stage.deadline for slot in self._timed if slot.awaits_deadline]
        return min((time for time in times if time is not None), default=None)

    @property
    def gate_deadline(self) -> float | None:
        """When the timer of an outbound stage that is not ready is due, or None: it can open without any input."""
        times = [slot.stage.deadline if slot.due is None else slot.due for slot in self._gates_with_timer()]
        return min((time for time in times if time is not None), default=None)

    # ---- driving

    def start(self) -> None:
        """Begin: the stages' `start()` run, wire side first, in the next `next_item()`."""
        if self._starting is not None:
            raise PipelineError("start() was called already")
        self._starting = [slot for slot in self._slots if slot.starts]
        self._begun = not self._starting

    def feed(self, item: Any) -> None:
        """Take one item that was read from the wire; behind a stage's END it has no effect.

        Raises:
            PipelineError: the wire has ended, or the engine is closed.
        """
        refuse_marks(item, "fed", "feed_eof()")
        self._check_open()
        if self._input_ended:
            raise PipelineError("nothing can be fed after feed_eof(): the wire has ended")
        self._inbound.put(item)

    def feed_eof(self) -> None:
        """Take note that the wire has ended cleanly; a second call does nothing."""
        if not self._input_ended:
            self._input_ended = True
            self._inbound.put(END)

    def end_input(self) -> None:
        """End the input although the wire has not ended: behind a stage for which that would be an error (TLS)."""
        stages = [(slot, slot.stage) for slot in self._inbound.slots]
        told = [slot for slot, stage in stages if stage.is_trust_boundary or stage.end_is_told]
        if self._input_ended or not told:
            self.feed_eof()
            return
        self._input_ended = True
        self._inbound.end_behind(told[-1])

    def next_item(self) -> ClientIn | Literal[NeedInput.NEED_INPUT, End.END] | Waiting:
        """Run inbound until an item for the client is out.

        Returns:
            The item; NEED_INPUT when there is none without more input (see `wants_input`) or before
            replies were written; END at the end, for ever; a `Waiting` to await.

        Raises:
            Exception: what a stage raised, with a note. Inbound is broken then, outbound still works.
            PipelineError: inbound was broken before.
        """
        item: ClientIn | Literal[NeedInput.NEED_INPUT, End.END] | Waiting = self.advance_inbound(never_wait=False)
        return item

    def quicken(self) -> bool:
        """Make ready for `advance_quickly`; whether that can be done at all."""
        self._inbound.never_wait = True
        polls = any(slot.stage.has_more for slot in self._polled)
        return self._begun and not polls and self.inbound_error is None and not self.replies_full

    def advance_quickly(self) -> Any:
        """Do what `advance_inbound` does, for a driver that knows that nothing happened since `quicken`.

        Returns:
            An item, or what `Flow.advance` gives instead of one.
        """
        try:
            return self._inbound.advance()
        except Exception as error:
            self.break_inbound(error)
            raise

    @property
    def inbound_is_steady(self) -> bool:
        """Whether this chain lets through whatever is read, as long as no stage pauses or is polled; see `take_in`."""
        return self._inbound.steady and not self._timed

    @property
    def idle(self) -> bool:
        """Whether nothing waits anywhere in the chain, and inbound goes on."""
        inbound = self.inbound_error is None and not self._input_ended and self._inbound.idle
        return inbound and self._begun and not self.owes_replies

    @property
    def inbound(self) -> FastFlow:
        """Inbound by itself, for a driver in a hurry."""
        return self._inbound

    def take_in(self, item: Any) -> Iterator[Any]:
        """Feed an item to a steady chain that is idle, and return what `ready_items` gives then."""
        try:
            return self._inbound.take_in(item)
        except Exception as error:
            self.break_inbound(error)
            raise

    def ready_taken(self) -> int:
        """How much what was taken of `ready_items()` counts, at least."""
        return self._inbound.ready_taken()

    def ready_items(self) -> Iterator[Any]:
        """What can be taken in between instead of `advance_quickly`, faster; see `FastFlow.ready`."""
        return self._inbound.ready()

    def take_over(self, yielded: Any) -> Waiting:
        """Begin to wait where the `loop` does: what is returned is to be awaited at once."""
        return self._inbound.take_over(yielded)

    def forget_fused(self) -> None:
        """What was made of the stages for `ready_items` is to be made anew."""
        for slot in self._slots:
            slot.fused = None

    def fail_ready(self, error: BaseException) -> NoReturn:
        """Raise what `ready_items()` raised as `advance_quickly` would have."""
        try:
            self._inbound.fail_ready(error)
        except Exception as failed:
            self.break_inbound(failed)
            raise

    def advance_inbound(self, *, never_wait: bool) -> Any:
        """Do what `next_item` does, or give WOULD_WAIT before a call that may wait."""
        inbound, outbound = self._inbound, self._outbound
        inbound.never_wait = never_wait
        if not self._begun or self.inbound_error is not None:
            status = self._begin(never_wait=never_wait)
            if status is not None:
                return status
        for slot in self._polled:
            if slot.stage.has_more:
                self._ask_for_poll(slot)
        try:
            if outbound.owed >= outbound.max_reply_bytes and not inbound.ended:
                item = inbound.only_timers()
            else:
                item = inbound.advance()
        except Exception as error:
            self.break_inbound(error)
            raise
        return NEED_INPUT if item is BLOCKED else item

    def tick(self, now: float | None = None) -> None:
        """Let stages whose deadline is over act; what they give comes with the next call."""
        self._tick(self._timed, self._clock() if now is None else now)

    def tick_gates(self) -> None:
        """Do what `tick` does, for outbound stages that are not ready: nothing that comes in matters to them."""
        self._tick(self._gates_with_timer(), self._clock())

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

    def has_begun_input(self) -> bool:
        """Whether a stage holds a part of an item that the client has not seen."""
        return any(slot.busy or slot.holds_input() for slot in self._inbound.slots)

    def break_inbound(self, error: BaseException) -> None:
        """Nothing can be received any more."""
        self.inbound_error = self.inbound_error or error
        self._inbound.break_off(self.inbound_error)
        self._inbound.stirred = True

    def note_given_up(self, error: BaseException) -> None:
        """Take note of the error of a stream that the peer gave up; a server asks for the last ones."""
        self.given_up = (*self.given_up[1 - _GIVEN_UP :], error)

    def at_fault(self) -> Stage[Any, Any] | None:
        """The stage whose error broke inbound, if it is one of those that say that the peer is at fault."""
        stage, error = self._inbound.failed or (None, None)
        if stage is None or error is not self.inbound_error:
            return None
        return stage if isinstance(error, (*_PEER_ERRORS, *stage.peer_errors)) else None

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

    @property
    def _slots(self) -> list[Slot]:
        return [slot for seat in self.seats for slot in seat.slots]

    @property
    def _gates(self) -> list[Stage[Any, Any]]:
        return [half for slot in self._outbound.slots for half in slot.gates]

    def _note_slots(self) -> None:
        self._timed = tuple([slot for slot in self._slots if slot.timed])
        self._polled = tuple([slot for slot in self._inbound.slots if slot.polls])
        if self.counting is not None:
            self.counting.count(self._slots)

    # ---- inside

    def _begin(self, *, never_wait: bool) -> Any:
        """Run the stages' `start()`, wire side first, then let the replies among the results go first."""
        if self._starting is None:
            raise PipelineError("call start() first")
        if self.inbound_error is not None:
            raise PipelineError(f"inbound is broken: {self.inbound_error!r}") from self.inbound_error
        self._outbound.never_wait = never_wait
        try:
            while self._starting:
                status = self._starting[0].flow.start(self._starting[0])
                if status is not None:
                    return status
                del self._starting[0]
            self._begun = True
            for slot in self._slots:
                slot.flow.lead(slot)
        except Exception as error:
            self.break_inbound(error)
            if not self._begun:  # a stage that did not start can process nothing
                self.break_outbound(error)
            raise
        return None

    def _gates_with_timer(self) -> list[Slot]:
        timed = [slot for slot in self._timed if slot.flow is self._outbound and slot.flow.takes(slot.index)]
        return [slot for slot in timed if not slot.stage.ready]

    def _tick(self, slots: Sequence[Slot], now: float) -> None:
        for slot in slots:
            if slot.awaits_deadline and slot.stage.deadline is not None and slot.stage.deadline <= now:
                slot.due = now
                slot.flow.touch(slot.index)

    def _ask_for_poll(self, slot: Slot) -> None:
        if self._inbound.takes(slot.index):
            slot.fresh = True
            self._inbound.touch(slot.index)

    def _describe(self, slot: Slot) -> str:
        direction = "inbound" if slot.flow is self._inbound else "outbound"
        where = f"stage {slot.place.number} of {len(self.seats)}"
        try:
            chain = repr(self.chain)
        except Exception as error:  # a stage's own __repr__; what is being described matters more
            chain = f"a chain whose repr raised {type(error).__name__}"
        return f"{direction} stage {slot.name} ({where} of {chain})"
