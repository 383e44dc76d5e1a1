"""Stages written out as one function: each shape does what the stages do one after the other, and leaves in time."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import END, Outbound, Reply
from pipeline._quick import Left
from pipeline._written import (
    ALL,
    FULL,
    ITEMS,
    MANY,
    MAX_BYTES,
    MERGED,
    NONE_CAME,
    NOT_NOW,
    ONE,
    PAUSE,
    SHUT,
    SIZED,
    YIELD_AFTER,
    Written,
    functions_of,
)
from stages import Map, Tap

from .engines import running

pytestmark = pytest.mark.short_ways


class Many(Outbound[Any, Any]):
    """Gives what its function does, whatever that is."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function

    def process_sync(self, item: Any, /) -> Any:
        return self.function(item)


def slots_of(*stages: Any) -> Any:
    """The slots of outbound stages, of which the first one gets the item."""
    chain = stages[-1]
    for stage in reversed(stages[:-1]):
        chain = chain | stage
    return running(chain).outbound_slots


def more(item: bytes) -> Any:
    """Nothing for "0" and "-", two for "2", a reply for "!", one for all else."""
    return {b"0": (), b"-": [], b"2": [item, item], b"!": [Reply(item)], b".": [END]}.get(item, [item])


def fails(item: bytes) -> bytes:
    if item == b"x":
        raise ValueError("x")
    return item


# ---- loops


@pytest.mark.parametrize("shape", [ITEMS, SIZED])
def test_a_loop_gives_what_the_stages_do_until_something_is_out_of_the_ordinary(shape: Any) -> None:
    """A tap, a function and a stage that gives any number."""
    seen: list[Any] = []
    slots = slots_of(Map(outbound=bytes.upper), Tap(lambda *what: seen.append(what)), Many(more))
    left: list[Any] = []

    def loop(*items: Any) -> list[Any]:
        return list(Written(slots, shape).run(iter(items), lambda *why: left.append(why), *functions_of(slots)))

    assert [b"A", b"B"] == loop(b"a", b"0", b"-", b"b")
    assert [("outbound", b"A"), ("outbound", b"0")] == seen[:2]
    assert [b"A"] == loop(b"a", b"2", b"never")
    assert [] == loop(Reply(b"a"))
    assert [(2, b"2", [b"2", b"2"]), (-1, None, Reply(b"a"))] == left


def test_a_loop_that_comes_to_much_ends() -> None:
    slots = slots_of(Map(outbound=lambda item: item * (MAX_BYTES // 2)))
    left: list[Any] = []
    run = Written(slots, SIZED).run
    assert 2 == len(list(run(iter([b"a"] * 9), lambda *why: left.append(why), *functions_of(slots))))
    assert [(FULL, None, None)] == left


# ---- one item


def test_what_one_item_becomes_is_one_or_nothing_or_is_left() -> None:
    slots = slots_of(Map(outbound=bytes.upper), Many(more))
    out = Written(slots, ONE).run(Left, *functions_of(slots))
    assert [b"A", NONE_CAME, NONE_CAME] == [out(b"a"), out(b"0"), out(b"-")]
    assert Left(1, b"2", [b"2", b"2"]) == out(b"2")
    assert Left(-1, None, END) == out(END)


def test_a_gate_is_asked_first() -> None:
    slots = slots_of(Map(outbound=bytes.upper))
    gate = Outbound[Any, Any]()
    out = Written(slots, ONE, gates=1).run(Left, *functions_of(slots), gate)
    assert b"A" == out(b"a")
    gate.ready = False
    assert Left(-1, None, b"a") == out(b"a")


def test_it_is_known_which_stage_failed_and_with_which_item() -> None:
    slots = slots_of(Map(outbound=bytes.lower), Map(outbound=fails))
    one, many = Written(slots, ONE), Written(slots, MANY)
    with pytest.raises(ValueError, match="x") as caught:
        one.run(Left, *functions_of(slots))(b"X")
    assert (1, b"x") == one.where(caught.value)
    assert many.where(caught.value) is None
    assert one.where(ValueError("elsewhere")) is None


# ---- many items


def fill(slots: Any, items: Iterator[Any], room: int = 65536) -> tuple[Any, list[bytes]]:
    """How it ended, and what was added."""
    added: list[bytes] = []
    return Written(slots, MANY).run(items, added.append, room, Left, *functions_of(slots)), added


def test_many_are_added_as_long_as_there_is_room() -> None:
    slots = slots_of(Map(outbound=bytes.upper), Many(more))
    assert (ALL, [b"A", b"B"]) == fill(slots, iter([b"a", b"0", b"b"]))
    rest = iter([b"aa", b"bb", b"cc"])
    assert (PAUSE, [b"AA", b"BB"]) == fill(slots, rest, room=3)
    assert [b"cc"] == list(rest)
    assert (Left(0, b"!", [Reply(b"!")]), [b"a"]) == fill(slots_of(Many(more)), iter([b"a", b"!", b"b"]))


@pytest.mark.parametrize("out", [b"", "text", bytearray(b"a")])
def test_what_is_not_simply_to_be_added_is_given(out: Any) -> None:
    rest = iter([1, 2])
    assert (out, []) == fill(slots_of(Map(outbound=lambda item: out)), rest)
    assert [2] == list(rest)


@pytest.mark.parametrize("item", [b"a", b"0"])
def test_however_many_there_are_there_is_a_pause(item: bytes) -> None:
    """Also where nothing comes of any of them."""
    endless = itertools.repeat(item)
    assert (PAUSE, [b"a"] * (YIELD_AFTER if item == b"a" else 0)) == fill(slots_of(Many(more)), endless)


def test_an_error_of_the_source_is_none_of_a_stage() -> None:
    def source() -> Iterator[bytes]:
        yield b"a"
        raise ValueError("of the source")

    slots = slots_of(Map(outbound=fails))
    many = Written(slots, MANY)
    for items, found in ((source(), None), (iter([b"a", b"x"]), (0, b"x"))):
        with pytest.raises(ValueError, match=r"x|source") as caught:
            many.run(items, list[bytes]().append, 99, Left, *functions_of(slots))
        assert found == many.where(caught.value)


# ---- one item, merged


@dataclass
class Lane:
    """What a lane is open or shut by, and where it leads."""

    lane: int = 1
    changes: int = 1
    reading: bool = False
    size: int = 0
    loose: list[bytes] = field(default_factory=list)

    def way(self, *stages: Any, most: int = 65536) -> Callable[[Any], Any]:
        slots = slots_of(*stages)
        way: Callable[[Any], Any] = Written(slots, MERGED).run(
            self, self, self, self.loose, most, Left, *functions_of(slots)
        )
        return way


def test_a_merged_item_waits_in_the_buffer_unless_something_else_goes_on() -> None:
    lane = Lane()
    way = lane.way(Map(outbound=bytes.upper), Many(more))
    assert (ALL, NONE_CAME) == (way(b"a"), way(b"0"))
    lane.reading = True
    assert b"B" == way(b"b")
    lane.reading = False
    lane.changes = 2
    assert NOT_NOW is way(b"c")
    assert (1, [b"A"]) == (lane.size, lane.loose)


def test_what_would_be_too_much_to_wait_is_given() -> None:
    lane = Lane()
    way = lane.way(Map(outbound=bytes.upper), most=4)
    assert [ALL, b"BB", ALL] == [way(b"aa"), way(b"bb"), way(b"c")]
    assert (3, [b"AA", b"C"]) == (lane.size, lane.loose)


def test_after_so_many_the_lane_is_shut() -> None:
    lane = Lane()
    way = lane.way(Map(outbound=bytes.upper))
    assert [ALL] * YIELD_AFTER == [way(b"a") for _ in range(YIELD_AFTER)]
    assert SHUT == lane.lane
    assert NOT_NOW is way(b"a")


# ---- at random


@given(st.lists(st.sampled_from([b"A", b"0", b"-", b"2", b"!", b".", b"x"]), max_size=6))
def test_random_items_are_the_same_in_every_shape(items: list[bytes]) -> None:
    """What each item becomes alone, many together become, up to the first that is out of the ordinary."""
    slots = slots_of(Map(outbound=fails), Many(more), Map(outbound=bytes.upper))
    out = Written(slots, ONE).run(Left, *functions_of(slots))
    expected: list[bytes] = []
    end: Any = ALL
    for item in items:
        try:
            became = out(item)
        except ValueError as error:
            end = str(error)
            break
        if type(became) is bytes:
            expected.append(became)
        elif became is not NONE_CAME:
            end = became
            break
    added: list[bytes] = []
    try:
        ended = Written(slots, MANY).run(iter(items), added.append, 65536, Left, *functions_of(slots))
    except ValueError as error:
        ended = str(error)
    assert (end, expected) == (ended, added)
    lane = Lane()
    way = lane.way(Map(outbound=fails), Many(more), Map(outbound=bytes.upper))
    assert [ALL] * len(expected) == [way(item) for item in expected]
    assert expected == lane.loose
