"""The inbound half of an engine: what was read, what the stages make of it, and how they begin.

Rules for this file: no event loop and no I/O. An error of a stage breaks inbound and nothing else (P9). A driver goes
on by `advance_inbound`; where it knows that nothing else happens meanwhile, by the steps in a hurry.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Generic, Literal, NoReturn

from typing_extensions import TypeVar

from ._errors import FrameError, LimitError, PipelineError, StageTimeoutError
from ._fastflow import FastFlow
from ._flow import BLOCKED, NEED_INPUT, NeedInput, Waiting
from ._outgoing import ClientOut, Outgoing, refuse_marks
from ._slot import Slot
from ._stage import END, End, Stage

ClientIn = TypeVar("ClientIn", covariant=True, default=Any)

_PEER_ERRORS: Final = (FrameError, LimitError, StageTimeoutError)
"""What an inbound stage raises for what the peer did, whatever it says of itself."""
_GIVEN_UP: Final = 16
"""So many are remembered."""


class Incoming(Outgoing[ClientOut], Generic[ClientIn, ClientOut]):
    """What of an engine takes items from the wire to the client; see `Engine`.

    Args:
        chain: whose directions they are, for errors.
        inbound: its stages from the wire on.
        outbound: those from the client on.
        byte_wire: whether only bytes may come out at the wire.
    """

    given_up: tuple[BaseException, ...] = ()

    # Of the chain as it is now, wire side first: all slots, those with timers, those that are polled.
    _slots: tuple[Slot, ...]
    _timed: tuple[Slot, ...]
    _polled: tuple[Slot, ...]

    def __init__(self, chain: Any, inbound: FastFlow, outbound: FastFlow, *, byte_wire: bool) -> None:
        super().__init__(chain, outbound, byte_wire=byte_wire)
        self._inbound = inbound
        inbound.other, outbound.other = outbound, inbound
        self.inbound_error: BaseException | None = None
        self._starting: list[Slot] | None = None
        self._input_ended = False

    # ---- state

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

    @property
    def has_inbound_news(self) -> bool:
        """Whether something came in since `next_item()` found nothing to do."""
        return self._inbound.stirred

    @property
    def inbound_ended(self) -> bool:
        """Whether `next_item()` has given END."""
        return self._inbound.ended

    @property
    def idle(self) -> bool:
        """Whether nothing waits anywhere in the chain, and inbound goes on."""
        inbound = self.inbound_error is None and not self._input_ended and self._inbound.idle
        return inbound and self._begun and not self.owes_replies

    def has_begun_input(self) -> bool:
        """Whether a stage holds a part of an item that the client has not seen."""
        return any(slot.busy or slot.holds_input() for slot in self._inbound.slots)

    # ---- for everybody

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
            The item; END at the end, for ever; a `Waiting` to await; or NEED_INPUT: write what `to_write()`
            gives. If that was anything, ask again, as more may wait behind it; else feed, if `wants_input`.

        Raises:
            Exception: what a stage raised, with a note. Inbound is broken then, outbound still works.
            PipelineError: inbound was broken before.
        """
        item: ClientIn | Literal[NeedInput.NEED_INPUT, End.END] | Waiting = self.advance_inbound(never_wait=False)
        return item

    # ---- in smaller steps, for a driver that must not wait

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

    def _ask_for_poll(self, slot: Slot) -> None:
        if self._inbound.takes(slot.index):
            slot.fresh = True
            self._inbound.touch(slot.index)

    # ---- in a hurry, for a driver that knows that nothing else happens

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

    def ready_items(self) -> Iterator[Any]:
        """What can be taken in between instead of `advance_quickly`, faster; see `FastFlow.ready`."""
        return self._inbound.ready()

    def ready_taken(self) -> int:
        """How much what was taken of `ready_items()` counts, at least."""
        return self._inbound.ready_taken()

    def take_over(self, yielded: Any) -> Waiting:
        """Begin to wait where the `loop` does: what is returned is to be awaited at once."""
        return self._inbound.take_over(yielded)

    def fail_ready(self, error: BaseException) -> NoReturn:
        """Raise what `ready_items()` raised as `advance_quickly` would have."""
        try:
            self._inbound.fail_ready(error)
        except Exception as failed:
            self.break_inbound(failed)
            raise

    # ---- errors

    def break_inbound(self, error: BaseException) -> None:
        """Nothing can be received any more."""
        self.inbound_error = self.inbound_error or error
        self._inbound.break_off(self.inbound_error)
        self._inbound.stirred = True

    def at_fault(self) -> Stage[Any, Any] | None:
        """The stage whose error broke inbound, if it is one of those that say that the peer is at fault."""
        stage, error = self._inbound.failed or (None, None)
        if stage is None or error is not self.inbound_error:
            return None
        return stage if isinstance(error, (*_PEER_ERRORS, *stage.peer_errors)) else None

    def note_given_up(self, error: BaseException) -> None:
        """Take note of the error of a stream that the peer gave up; a server asks for the last ones."""
        self.given_up = (*self.given_up[1 - _GIVEN_UP :], error)
