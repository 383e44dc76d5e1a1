"""Filter: items that pass and items that do not."""

from __future__ import annotations

import pytest

from pipeline.testing import Harness
from stages import Filter


def test_what_is_true_passes() -> None:
    harness = Harness(Filter(inbound=bool, outbound=lambda item: item > 1))
    assert ["a", "b"] == harness.receive("a", "", "b")
    assert [2, 3] == harness.send(1, 2, 3)


def test_a_direction_without_a_function_passes_unseen() -> None:
    assert ["", 0] == Harness(Filter(inbound=bool)).send("", 0)
    assert ["", 0] == Harness(Filter(outbound=bool)).receive("", 0)


def test_what_the_function_raises_is_the_stages_error() -> None:
    with pytest.raises(TypeError, match="no len"):
        Harness(Filter(inbound=len)).receive(1)


def test_one_object_serves_many_pipelines() -> None:
    stage = Filter(inbound=bool)
    assert [1] == Harness(stage).receive(1)
    assert [2] == Harness(stage).receive(2)


def test_what_was_not_taken_can_be_given_back() -> None:
    stage = Filter(inbound=bool, outbound=bool)
    assert stage.inbound
    assert stage.outbound
    assert [1] == stage.inbound.unread([1])
    assert stage.outbound.keeps_outbound_state is False


def test_no_function_at_all_shows_the_right_call() -> None:
    with pytest.raises(TypeError, match=r"Filter\(\) would let pass everything: .*Filter\(inbound=bool\)"):
        Filter()


def test_repr_shows_it_as_it_is_written() -> None:
    assert "Filter(inbound=bool)" == repr(Filter(inbound=bool))
