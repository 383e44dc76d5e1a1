"""How the stages of a chain become two flows that know of each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ._chain import Inbound, Outbound, Place
from ._slot import Slot
from ._stage import Stage, declares


class Gate(Outbound[Any, Any]):
    """Stands for an inbound stage that may be not ready: what is sent must wait there too."""

    shareable = True
    keeps_outbound_state = False

    def process_sync(self, item: Any, /) -> list[Any]:
        return [item]


@dataclass(slots=True)
class Seat:
    """A piece of a chain, running: its slots in both flows, wire side first."""

    place: Place
    inbound: tuple[Slot, ...]
    outbound: tuple[Slot, ...]

    @property
    def slots(self) -> tuple[Slot, ...]:
        """All of them."""
        return self.inbound + self.outbound


def take_seat(place: Place) -> Seat:
    """Make slots of the stages of one piece."""
    stages = (*place.inbound_stages, *place.outbound_stages)
    gates = tuple(stage for stage in stages if declares(stage, "ready"))
    inward = tuple([Slot(stage, place) for stage in place.inbound_stages])
    outward = tuple([Slot(stage, place) for stage in place.outbound_stages or ([Gate()] if gates else [])])
    for slot in outward:
        slot.tracked = bool(slot.stage.keeps_outbound_state)
        slot.wakes = tuple(other.stage for other in inward if other.polls)
    for slot in outward[-1:]:  # the first that an item of the client's comes to
        slot.gates = gates
    return Seat(place, inward, outward)


def connect(seats: Sequence[Seat]) -> tuple[tuple[Slot, ...], tuple[Slot, ...]]:
    """Number the pieces; return the inbound and the outbound slots, each in the order of the flow."""
    for number, seat in enumerate(seats, 1):
        if seat.place.number != number:
            seat.place = replace(seat.place, number=number)
        for slot in seat.slots:
            slot.place = seat.place
    inbound = tuple([slot for seat in seats for slot in seat.inbound])
    outbound = tuple([slot for seat in reversed(seats) for slot in reversed(seat.outbound)])
    for slots, others in ((inbound, outbound), (outbound, inbound)):
        for slot in slots:
            # A reply goes in behind all stages of the other flow that are on the far side, or here.
            slot.back = sum(_is_before(other, slot, wire_first=others is inbound) for other in others)
    return inbound, outbound


def held_below(stage: Stage[Any, Any], slots: Sequence[Slot]) -> int | None:
    """How much the inbound stages on the wire's side of `stage` say that they hold; `slots` are those of both flows."""
    # Of one place, the inbound half does not stand below the outbound one.
    order = {slot: (slot.place.number, slot.index if isinstance(slot.stage, Inbound) else -1) for slot in slots}
    own = next((order[slot] for slot in slots if slot.stage is stage), (0, 0))
    below = [slot.stage for slot in slots if isinstance(slot.stage, Inbound) and order[slot] < own]
    said = [holds for half in below if not half.shareable and (holds := half.holds) is not None]
    return sum(said) if said else None


def _is_before(other: Slot, slot: Slot, *, wire_first: bool) -> bool:
    """Whether, in its own flow, `other` comes before the place of `slot`, or is its other half."""
    number, here = other.place.number, slot.place.number
    return number <= here if wire_first else number >= here
