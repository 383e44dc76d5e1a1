"""What the limits share: items pass as they are, constructors refuse, and what a byte is."""

from __future__ import annotations

import math
from typing import Any

import pytest

from stages.limits._half import Half, bytes_of, check_amount, check_count, check_direction


def test_a_half_holds_nothing_and_gives_back_what_was_not_taken() -> None:
    assert 0 == Half().holds
    assert Half().keeps_outbound_state is False
    assert ["b"] == Half().unread(iter(["b"]))


@pytest.mark.parametrize(
    ("item", "size"),
    [
        (b"abc", 3),
        (bytearray(b"ab"), 2),
        (memoryview(b"abcdefgh").cast("I"), 8),
        ("abc", 3),
        ("é€😀", 9),
        ("\udc80", 3),
        ("", 0),
    ],
)
def test_bytes_are_those_on_the_wire(item: Any, size: int) -> None:
    assert size == bytes_of("Stage", item)


@pytest.mark.parametrize("item", [None, 5, {"a": 1}])
def test_what_has_no_size_is_refused_with_a_better_place(item: Any) -> None:
    kind = type(item).__name__
    right = r"put it on the wire's side of the codec, as in LineFramer\(\) \| Stage\(...\) \| JSONCodec\(\)"
    with pytest.raises(TypeError, match=f"Stage counts bytes or text, and cannot tell how large a {kind} is: {right}"):
        bytes_of("Stage", item)


def test_whole_numbers_from_1_are_counts() -> None:
    check_count("Stage", "items", 1, right="Stage(5)")


@pytest.mark.parametrize(("value", "kind"), [(0, ValueError), (-1, ValueError), (True, ValueError), (1.5, TypeError)])
def test_what_is_no_count_is_refused(value: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=r"Stage\(items=.*\): must be a whole number, 1 or more, as in Stage\(5\)"):
        check_count("Stage", "items", value, right="Stage(5)")


def test_numbers_above_0_are_amounts() -> None:
    check_amount("Stage", "seconds", 0.001, right="Stage(5)")
    check_amount("Stage", "burst", 1, right="Stage(5)", least=1)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (0, ValueError),
        (-1, ValueError),
        (math.inf, ValueError),
        (math.nan, ValueError),
        (True, TypeError),
        ("1", TypeError),
        (None, TypeError),
    ],
)
def test_what_is_no_amount_is_refused(value: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=r"Stage\(seconds=.*\): must be a number, above 0, as in Stage\(5\)"):
        check_amount("Stage", "seconds", value, right="Stage(5)")


def test_an_amount_below_the_least_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Stage\(burst=0.5\): must be a number, 1 or more, as in Stage\(5\)"):
        check_amount("Stage", "burst", 0.5, right="Stage(5)", least=1)


def test_a_direction_is_one_of_those_that_are_named() -> None:
    check_direction("Stage", "inbound", "inbound", "outbound")
    with pytest.raises(ValueError, match="Stage: 'up' is no direction here, but one of 'inbound', 'outbound' is"):
        check_direction("Stage", "up", "inbound", "outbound")
