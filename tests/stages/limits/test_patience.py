"""What the timeouts share: how long the pipeline has waited for the peer, and for nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline import Inbound, StageTimeoutError
from pipeline.testing import Harness
from stages.limits._patience import Patience


class Patient(Patience):
    def _complaint(self, waited: float) -> str:
        return f"waited for {waited:g}"


class Choosy(Patient):
    """Waits for the peer only when it is told so."""

    waits = False

    def _awaits_peer(self) -> bool:
        return self.waits


class Pauses(Inbound[Any, Any]):
    def process_sync(self, item: Any, /) -> list[Any]:
        return [item]


def test_it_fails_when_the_time_is_over() -> None:
    harness = Harness(Patient(5))
    assert [] == harness.advance(4.9)
    with pytest.raises(StageTimeoutError, match=r"Patient\(5\): waited for 5"):
        harness.advance(0.1)
    assert ["out"] == harness.send("out"), "the peer can be told"


def test_an_item_begins_the_time_anew() -> None:
    harness = Harness(Patient(5))
    for item in range(10):
        harness.advance(4.9)
        assert [item] == harness.receive(item)


def test_time_begins_when_the_deadline_is_asked_for() -> None:
    """The pipeline asks when it begins to wait; what happens before is the client's own time."""
    stage = Patient(5)
    clock = [0.0]
    stage._clock = lambda: clock[0]
    stage.process_sync("item")
    clock[0] = 100
    assert 105 == stage.deadline
    clock[0] = 104
    assert 105 == stage.deadline


def test_time_does_not_count_while_input_is_paused() -> None:
    pauses = Pauses()
    harness = Harness(Patient(5) | pauses)
    harness.advance(4)
    pauses.wants_input = False
    harness.advance(100)
    pauses.wants_input = True
    harness.advance(4)
    with pytest.raises(StageTimeoutError):
        harness.advance(1)


def test_time_does_not_count_while_the_peer_has_nothing_to_do() -> None:
    stage = Choosy(5)
    harness = Harness(stage)
    harness.advance(100)
    stage.waits = True
    harness.advance(4)
    stage.waits = False
    harness.advance(100)
    stage.waits = True
    harness.advance(4)
    with pytest.raises(StageTimeoutError):
        harness.advance(1)


def test_the_end_of_the_stream_is_not_waited_for_any_more() -> None:
    harness = Harness(Patient(5))
    harness.finish()
    assert [] == harness.advance(100)
    assert harness.engine.deadline is None


async def test_what_a_kind_must_define() -> None:
    with pytest.raises(NotImplementedError):
        await Patience(5).on_timer(5)
