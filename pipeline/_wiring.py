"""How the stages of a chain become two flows that know of each other."""

from __future__ import annotations

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


def wire_up(places: list[Place]) -> tuple[list[Slot], list[Slot]]:
    """Make slots of the stages of a chain: the inbound and the outbound ones, each in the order of the flow."""
    inbound: list[Slot] = []
    outbound: list[Slot] = []
    for place in places:
        stages = (*place.inbound_stages, *place.outbound_stages)
        gates = tuple(stage for stage in stages if declares(stage, "ready"))
        inward = [Slot(stage, place) for stage in place.inbound_stages]
        outward = [Slot(stage, place) for stage in place.outbound_stages or ([Gate()] if gates else [])]
        for slot in outward:
            slot.tracked = bool(slot.stage.keeps_outbound_state)
            slot.wakes = any(other.polls for other in inward)
        for slot in outward[-1:]:  # the first that an item of the client's comes to
            slot.gates = gates
        inbound += inward
        outbound += outward
    outbound.reverse()
    for slots, others in ((inbound, outbound), (outbound, inbound)):
        for slot in slots:
            # A reply goes in behind all stages of the other flow that are on the far side, or here.
            slot.back = sum(_is_before(other, slot, wire_first=others is inbound) for other in others)
    return inbound, outbound


def held_below(stage: Stage[Any, Any], slots: list[Slot]) -> int | None:
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
