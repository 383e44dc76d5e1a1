"""Map: one item in, one item out."""

from __future__ import annotations

import pytest

from pipeline import Duplex, Inbound, Outbound
from pipeline.testing import Harness
from stages import LineFramer, Map


def test_inbound_alone_leaves_outbound_as_it_is() -> None:
    harness = Harness(Map(inbound=int))
    assert [1, 2] == harness.receive("1", "2")
    assert ["3"] == harness.send("3")


def test_outbound_alone_leaves_inbound_as_it_is() -> None:
    harness = Harness(Map(outbound=str))
    assert [1] == harness.receive(1)
    assert ["2"] == harness.send(2)


def test_each_direction_has_its_function() -> None:
    harness = Harness(LineFramer() | Map(inbound=bytes.decode, outbound=str.encode))
    assert ["a"] == harness.receive(b"a\n")
    assert [b"b\n"] == harness.send("b")


def test_none_is_an_item() -> None:
    assert [None] == Harness(Map(inbound=lambda item: None)).receive(1)


def test_an_item_that_is_iterable_stays_one_item() -> None:
    assert [["a", "b"]] == Harness(Map(inbound=str.split)).receive("a b")


def test_what_the_function_raises_is_the_stages_error() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        Harness(Map(inbound=int)).receive("x")


def test_it_is_the_kind_of_stage_that_it_was_given_functions_for() -> None:
    assert isinstance(Map(inbound=int), Inbound)
    assert isinstance(Map(outbound=str), Outbound)
    assert isinstance(Map(inbound=int, outbound=str), Duplex)


def test_one_object_serves_many_pipelines() -> None:
    stage = Map(inbound=int, outbound=str)
    assert [1] == Harness(stage).receive("1")
    assert [2] == Harness(stage).receive("2")


def test_it_holds_nothing() -> None:
    stage = Map(inbound=int)
    assert () == stage.unread(())
    assert stage.unread([1]) is None
    assert Map(outbound=str).keeps_outbound_state is False


def test_no_function_at_all_shows_the_right_call() -> None:
    with pytest.raises(TypeError, match=r"Map\(\) has nothing to do: .*Map\(inbound=int\) or Map\(outbound=str\)"):
        Map()  # type: ignore[call-overload]


def test_repr_shows_it_as_it_is_written() -> None:
    assert "Map(inbound=int) | Map(outbound=str)" == repr(Map(inbound=int) | Map(outbound=str))
    assert "Map(inbound=int, outbound=str)" == repr(Map(inbound=int, outbound=str))
