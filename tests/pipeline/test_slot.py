"""A stage at its place: its name, and how it stands to the rest of the chain."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline import Duplex, Inbound
from pipeline._chain import places_of
from pipeline._slot import Slot
from pipeline._wiring import Gate, connect, take_seat
from tests.pipeline.engines import Handshake, In, Out, Polls


def slots(chain: Any) -> tuple[tuple[Slot, ...], tuple[Slot, ...]]:
    return connect([take_seat(place) for place in places_of(chain)])


@pytest.mark.parametrize(
    ("chain", "names"),
    [
        (In(), ["In"]),
        (In(name="tap"), ["tap"]),
        (Duplex(In(), Out()), ["Duplex.In", "Duplex.Out"]),
        (Duplex(In(name="DuplexIn"), Out()), ["DuplexIn", "Duplex.Out"]),
        (Handshake(), ["Handshake", "Handshake.Gate"]),
    ],
)
def test_a_slot_is_called_by_its_half_and_the_duplex(chain: Any, names: list[str]) -> None:
    """Unless the half's name says it already."""
    inbound, outbound = slots(chain)

    assert names == [slot.name for slot in inbound + outbound]


# ---- wiring


def test_the_flows_are_in_their_own_order() -> None:
    """Inbound as written, outbound backwards; a gate stands in for an inbound stage that may be not ready."""
    inbound, outbound = slots(In(name="a") | Out(name="b") | Handshake() | Duplex(In(name="c"), Out(name="d")))

    assert ["a", "Handshake", "c"] == [slot.stage.name for slot in inbound]
    assert ["d", "Gate", "b"] == [slot.stage.name for slot in outbound]
    assert isinstance(outbound[1].stage, Gate)
    assert [3, 2, 1] == [slot.back for slot in inbound]
    assert [3, 2, 1] == [slot.back for slot in outbound]


def test_where_replies_go_in() -> None:
    """Behind what is on the far side and the own other half."""
    inbound, outbound = slots(Duplex(In(), Out()) | Duplex(In(), Out()) | Duplex(In(), Out()))

    assert [3, 2, 1] == [slot.back for slot in inbound]
    assert [3, 2, 1] == [slot.back for slot in outbound]


def test_a_plain_slot_is_one_that_needs_no_asking() -> None:
    """A stage that never waits, has no timer, no gate and nothing that a send could spoil."""

    class Timer(In):
        async def on_timer(self, now: float, /) -> Any: ...

    class Waits(Inbound[Any, Any]):
        async def process(self, item: Any, /) -> Any: ...

    class Free(Out):
        keeps_outbound_state = False

    for stage, plain in (
        (In(), True),
        (Out(), False),
        (Free(), True),
        (Timer(), False),
        (Waits(), False),
        (Polls(), False),
    ):
        inbound, outbound = slots(stage)
        (slot,) = inbound + outbound
        slot.wire(0, None)
        assert plain == slot.plain
