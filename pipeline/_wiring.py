"""How the stages of a chain become two flows that know of each other."""

from __future__ import annotations

from typing import Any

from ._chain import Outbound, Place
from ._slot import Slot
from ._stage import declares


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
        halves = [half for half in (place.inbound, place.outbound) if half is not None]
        gates = tuple(half for half in halves if declares(half, "ready"))
        if place.inbound is not None:
            inbound.append(Slot(place.inbound, place))
        if place.outbound is not None or gates:
            outbound.append(Slot(place.outbound or Gate(), place))
            outbound[-1].gates = gates
            outbound[-1].tracked = bool(outbound[-1].stage.keeps_outbound_state)
            outbound[-1].wakes = place.inbound is not None and inbound[-1].polls
    outbound.reverse()
    for slots, others in ((inbound, outbound), (outbound, inbound)):
        for slot in slots:
            # A reply goes in behind all stages of the other flow that are on the far side, or here.
            slot.back = sum(_is_before(other, slot, wire_first=others is inbound) for other in others)
    return inbound, outbound


def _is_before(other: Slot, slot: Slot, *, wire_first: bool) -> bool:
    """Whether, in its own flow, `other` comes before the place of `slot`, or is its other half."""
    number, here = other.place.number, slot.place.number
    return number <= here if wire_first else number >= here
