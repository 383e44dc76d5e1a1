"""Changing a running chain: where, what goes and what comes, and what becomes of bytes received too early.

Rules for this file: no event loop, and nothing is awaited. A change is a row of steps; until `commit` each can
be taken back, and then the chain is as it was (U2). Who else uses the chain meanwhile is the driver's matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

from ._chain import Inbound, Place, places_of
from ._core import Engine
from ._errors import SurgeryError
from ._items import show_item
from ._row import row_of
from ._slot import Slot, starts
from ._stage import END, Stage
from ._unread import has_undelivered, unread
from ._wiring import Seat, take_seat

Leftover: TypeAlias = Literal["forward", "forbid", "return"]
End: TypeAlias = Literal["wire", "client"]


def check_leftover(value: object) -> None:
    """Refuse what is none of the choices."""
    if value not in (None, "forward", "forbid", "return"):
        raise ValueError(f"leftover={value!r}: must be 'forward', 'forbid', 'return', or None for the stage's default")


class Cut:
    """Where a chain is cut: the pieces `first` to `last`, not included, go, and those of `new` come.

    Args:
        engine: whose chain it is.
        new: a stage or a chain; None for nothing.

    Raises:
        SurgeryError: a place was named that is not there, or there more than once.
    """

    def __init__(self, engine: Engine[Any, Any], first: int, last: int, new: object = None) -> None:
        self.engine, self.first, self.last = engine, first, last
        self.gone = engine.seats[first:last]
        self.places: list[Place] = [] if new is None else places_of(new)

    @property
    def at(self) -> int:
        """The inbound slot at the place, or the number of slots for the client's end."""
        return sum(len(seat.inbound) for seat in self.engine.seats[: self.first])

    @property
    def only_taps(self) -> bool:
        """Whether nothing changes for what passes, so that nothing need be given back (U4)."""
        return all(stage.is_tap for stage in _stages_of([*self.places, *(seat.place for seat in self.gone)]))

    @property
    def at_once(self) -> bool:
        """Whether nothing has to be waited for: no stage at work that goes, no `start()` of one that comes."""
        idle = all(slot.running is None and slot.failure is None for seat in self.gone for slot in seat.slots)
        return idle and not any(map(starts, _stages_of(self.places)))

    @property
    def is_trust_boundary(self) -> bool:
        """Whether what was received before is not to be trusted behind what comes."""
        return any(stage.is_trust_boundary for stage in _stages_of(self.places))

    def touches(self, direction: Literal["inbound", "outbound"]) -> bool:
        """Whether a stage of that direction goes or comes."""
        places = [*self.places, *(seat.place for seat in self.gone)]
        return any(getattr(place, direction) is not None for place in places)


class Catch(Inbound[Any, Any]):
    """Keeps what comes to the place of a change, for the caller."""

    shareable = True
    holds = 0
    only_items = True

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def process_sync(self, item: Any, /) -> tuple[()]:
        self.items.append(item)
        return ()


def _stages_of(places: list[Place]) -> list[Stage[Any, Any]]:
    return [stage for place in places for stage in (*place.inbound_stages, *place.outbound_stages)]


def place_of(engine: Engine[Any, Any], what: object) -> int:
    """The index of the piece that `what`, an object, a name or a class, means.

    Raises:
        SurgeryError: there is none, or more than one.
    """
    found = [index for index, seat in enumerate(engine.seats) if _is(seat, what)]
    if len(found) == 1:
        return found[0]
    shown = what.__name__ if isinstance(what, type) else repr(what)
    if found:
        numbers = " and ".join(str(index + 1) for index in found)
        raise SurgeryError(f"{shown} is there more than once in {engine.chain!r}, as stages {numbers}: name the object")
    names = ", ".join(seat.place.name for seat in engine.seats) or "nothing"
    raise SurgeryError(f"{shown} is not in the chain {engine.chain!r}. It has: {names}")


def _is(seat: Seat, what: object) -> bool:
    piece = seat.place.piece
    stages = (*seat.place.inbound_stages, *seat.place.outbound_stages)
    if isinstance(what, str):
        return seat.place.name == what
    if isinstance(what, type):
        return isinstance(piece, what)
    return piece is what or any(stage is what for stage in stages)


def insertion(engine: Engine[Any, Any], new: object, *, before: object, after: object, at: End | None) -> Cut:
    """Cut where `new` is to go in.

    Raises:
        TypeError: not exactly one place was named.
    """
    if sum(place is not None for place in (before, after, at)) != 1:
        raise TypeError(
            f"insert({new!r}) needs one place: before=stage, after=stage, at='wire' or at='client'; a stage by itself, "
            f"its name or its class"
        )
    if at is not None:
        if at not in ("wire", "client"):
            raise ValueError(f"insert(at={at!r}): must be 'wire' or 'client'; beside a stage: before=..., after=...")
        index = 0 if at == "wire" else len(engine.seats)
    else:
        index = place_of(engine, before) if before is not None else place_of(engine, after) + 1
    return Cut(engine, index, index, new)


def replacement(engine: Engine[Any, Any], old: object, new: object) -> Cut:
    """Cut `old` out; `new` (None: nothing) goes in."""
    index = place_of(engine, old)
    return Cut(engine, index, index + 1, new)


class Surgery:
    """One change, step by step; nothing of the chain is running meanwhile, and nothing is being sent.

    Args:
        cut: where, and what.
        delivered: what came out of the chain and was not received.
    """

    def __init__(self, cut: Cut, delivered: list[Any]) -> None:
        self.cut, self.engine, self.delivered = cut, cut.engine, delivered
        self.leftover: list[Any] = []
        self.came: list[Seat] = []
        self._old = cut.engine.seats
        self._at = cut.at
        self._flow = cut.engine._inbound
        self._end_waits = False

    def take_back(self, leftover: Leftover) -> None:
        """Take back what was received and not delivered, down to the place.

        Raises:
            SurgeryError: a stage cannot give it back, or there is some and it is forbidden; all is as it was.
        """
        flow = self._flow
        ended = flow.ended or flow._dead > self._at
        if leftover == "forbid" or ended:
            if has_undelivered(flow, self.delivered, at=self._at):
                raise self._too_early() if leftover == "forbid" else self._too_late()
            if ended:
                return
        self.leftover = unread(flow, self._at, self.delivered, byte_wire=self.engine._byte_wire)
        self._end_waits = self._take_end()
        if self.leftover and leftover == "forbid":
            error = self._too_early()
            self._feed(self._at)
            raise error

    def fit(self) -> None:
        """Put in what comes; what went has given back, or has nothing."""
        engine, cut = self.engine, self.cut
        self.came = [take_seat(place) for place in cut.places]
        engine.claim(self.came)
        engine.reseat((*self._old[: cut.first], *self.came, *self._old[cut.last :]))

    def undo(self) -> None:
        """Put back what went, and feed it what it gave back."""
        for seat in self.came:
            for slot in seat.slots:
                slot.failure = None
                slot.drop_work()
        self.engine.reseat(self._old)
        self._feed(self._at)
        _close(self.came)

    def commit(self, *, forward: bool) -> None:
        """What was received goes through the new chain, unless somebody else takes it; what went is closed.

        Raises:
            Exception: the first error of a `close()`; the change is made nevertheless.
        """
        if not forward:
            self.leftover = []
        self._feed(self._at)
        _close(self.cut.gone)

    @property
    def ready(self) -> bool:
        """Whether every new stage is."""
        return all(half.ready for slot in self.new_slots for half in slot.gates)

    @property
    def new_slots(self) -> list[Slot]:
        """Those that came, wire side first."""
        return [slot for seat in self.came for slot in seat.slots]

    @property
    def old_slots(self) -> list[Slot]:
        """Those that go, the outbound ones first; both in the order of their flow."""
        inbound = [slot for seat in self.cut.gone for slot in seat.inbound]
        return [slot for seat in reversed(self.cut.gone) for slot in reversed(seat.outbound)] + inbound

    def catch(self) -> Catch:
        """Let nothing pass the place any more: what comes there is kept, behind what was given back."""
        catch = Catch(self.leftover)
        seat = take_seat(Place(0, catch, catch, None))
        self.engine.reseat((*self._old[: self.cut.first], seat, *self._old[self.cut.first :]))
        return catch

    # ---- inside

    def _feed(self, at: int) -> None:
        for item in self.leftover:
            self._flow.put(item, at=at)
        if self._end_waits:
            self._flow.put(END, at=at)
        self.leftover, self._end_waits = [], False

    def _take_end(self) -> bool:
        """Take off an END that waits at the place: it has to stay behind what was given back."""
        flow = self._flow
        if self._at == len(flow.slots):
            return False  # there it would have ended the flow
        slot = flow.slots[self._at]
        entries = [entry for entry in slot.inbox if entry[0] is not END]
        found = len(entries) < len(slot.inbox)
        slot.inbox = row_of(entries)
        return found

    def _too_early(self) -> SurgeryError:
        shown = ""
        if self.leftover:
            shown = f", the first of it {show_item(self.leftover[0], show_items=self._flow.show_items)}"
        return SurgeryError(
            f"something was received before the change of {self.engine.chain!r} that was not delivered{shown}, and "
            f"leftover='forbid' lets nothing of that into the new chain: a peer that sends before it may can be trying "
            f"to inject. The chain is as it was. If the protocol allows it: leftover='forward', or 'return' to see it"
        )

    def _too_late(self) -> SurgeryError:
        return SurgeryError(
            f"inbound has ended, and what the stages of {self.engine.chain!r} gave was not received yet, so it cannot "
            f"go through a new chain. The chain is as it was: receive it first"
        )


def _close(seats: Sequence[Seat]) -> None:
    """Close what is no part of the chain any more."""
    errors: list[Exception] = []
    for slot in (slot for seat in seats for slot in seat.slots):
        try:
            _close_slot(slot)
        except Exception as error:
            error.add_note(f"in {slot.name}.close(), after it was taken out of the chain")
            errors.append(error)
    for other in errors[1:]:
        errors[0].add_note(f"and then {other!r}")
    if errors:
        raise errors[0]


def _close_slot(slot: Slot) -> None:
    try:
        slot.drop()
    finally:
        if not slot.stage.shareable:
            slot.stage.close()
