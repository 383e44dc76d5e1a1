"""Rechunk: pieces of a bounded size."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from pipeline.testing import Harness, check_linear, pipeline_pair
from stages import LineFramer, Rechunk
from tests.memory import peak_memory

from .driving import MIB


def divided(half: Any, *items: Any) -> list[bytes]:
    return [piece for item in items for piece in half.process_sync(item)]


@pytest.fixture(params=["inbound", "outbound"])
def direction(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def half_of(size: int, direction: str) -> Any:
    return getattr(Rechunk(size), direction)


# ---- what comes out


def test_what_is_too_large_is_divided(direction: str) -> None:
    assert [b"abc", b"def", b"g"] == divided(half_of(3, direction), b"abcdefg")


def test_what_is_not_too_large_passes_as_it_is(direction: str) -> None:
    """Nothing is joined, nothing waits for more; an empty item stays one."""
    assert [b"a", b"", b"bcd"] == divided(half_of(3, direction), b"a", b"", b"bcd")


@pytest.mark.parametrize("direction", ["inbound", "outbound"])
@given(size=st.integers(1, 9), items=st.lists(st.binary(max_size=30), max_size=9))
def test_pieces_are_the_same_bytes_in_as_few_as_can_be(direction: str, size: int, items: list[bytes]) -> None:
    half = half_of(size, direction)
    for item in items:
        pieces = list(half.process_sync(item))
        assert item == b"".join(pieces)
        assert [size] * (len(pieces) - 1) == [*map(len, pieces[:-1])]
        assert len(pieces[-1]) <= size
        assert max(1, -(-len(item) // size)) == len(pieces)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
@pytest.mark.parametrize("data", [b"", b"ab", b"abcde"])
def test_pieces_are_bytes_of_whatever_kind_the_item_is(direction: str, kind: Any, data: bytes) -> None:
    pieces = divided(half_of(2, direction), kind(data))
    assert data == b"".join(pieces)
    assert {bytes} == {*map(type, pieces)}


def test_memoryview_of_larger_items_or_with_gaps_is_divided_in_bytes(direction: str) -> None:
    words = memoryview(b"abcdefgh").cast("I")
    assert [b"abc", b"def", b"gh"] == divided(half_of(3, direction), words)
    assert [b"ace", b"g"] == divided(half_of(3, direction), memoryview(b"abcdefgh")[::2])


def test_text_is_refused_with_the_way_to_get_bytes(direction: str) -> None:
    with pytest.raises(TypeError, match=r"Rechunk takes bytes, not str: put a TextCodec\(\)"):
        half_of(3, direction).process_sync("abcdef")


# ---- one by one


def test_inbound_item_may_be_changed_by_its_owner_meanwhile() -> None:
    data = bytearray(b"abcdef")
    pieces = iter(Rechunk(3).inbound.process_sync(data))
    assert b"abc" == next(pieces)
    data[:] = b"xxxxxx"
    assert [b"def"] == list(pieces)


def test_huge_item_is_divided_when_asked_for(direction: str) -> None:
    """So the pieces never are in memory all at once."""
    data = bytes(16 * MIB)
    item = data if direction == "inbound" else memoryview(data)
    half = half_of(65536, direction)
    with peak_memory() as peak:
        assert len(data) == sum(map(len, half.process_sync(item)))
    assert peak.bytes < 4 * 65536


# ---- giving back


def test_unread_gives_back_what_was_not_divided() -> None:
    for taken, rest in enumerate((b"abcdefg", b"defg", b"g", b"")):
        stage = Rechunk(3).inbound
        pieces: Iterator[Any] = iter(stage.process_sync(b"abcdefg"))
        assert b"abcdefg"[: 3 * taken] == b"".join(next(pieces) for _ in range(taken))
        assert ([rest] if rest else []) == stage.unread(())
        assert [] == stage.unread(())
        assert [b"x"] == list(stage.process_sync(b"x"))


def test_unread_gives_back_an_item_that_was_not_taken() -> None:
    stage = Rechunk(3).inbound
    assert [b"ab"] == stage.unread(list(stage.process_sync(b"ab")))


def test_it_holds_only_what_is_being_divided() -> None:
    rechunk = Rechunk(3)
    list(rechunk.inbound.process_sync(b"ab"))
    assert 0 == rechunk.inbound.holds
    pieces = iter(rechunk.inbound.process_sync(b"abcde"))
    assert 5 == rechunk.inbound.holds
    next(pieces)
    assert 2 == rechunk.inbound.holds
    next(pieces)
    assert 0 == rechunk.inbound.holds
    assert 0 == rechunk.outbound.holds
    assert rechunk.outbound.keeps_outbound_state is False


# ---- in a chain


def test_pieces_below_a_framer_make_the_same_frames() -> None:
    harness = Harness(Rechunk(2) | LineFramer())
    assert [b"abcdef", b"g"] == harness.receive(b"abcdef\ng", b"\n")
    assert [b"ab", b"c\n"] == harness.send(b"abc")


async def test_both_ways_through_a_pipeline() -> None:
    data = random.Random(1).randbytes(2500)
    async with pipeline_pair(Rechunk(1000), Rechunk(300)) as (left, right), trio.open_nursery() as nursery:
        nursery.start_soon(left.send, data)
        pieces: list[bytes] = []
        while sum(map(len, pieces)) < len(data):
            pieces.append(await right.receive())
    assert data == b"".join(pieces)
    assert max(map(len, pieces)) == 300


# ---- building


@pytest.mark.parametrize(("size", "error"), [(0, ValueError), (-1, ValueError), (1.5, TypeError)])
def test_a_size_that_is_none_is_refused(size: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"Rechunk\(size=.*\): must be a whole number of bytes, 1 or more"):
        Rechunk(size)


@pytest.mark.parametrize("direction", ["inbound", "outbound"])
def test_one_large_item_is_linear(direction: Any) -> None:
    check_linear(lambda: Rechunk(2), lambda n: [b"x" * n], n=8192, direction=direction)
