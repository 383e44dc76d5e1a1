"""Where bytes are cut, and how a failing cut is made short."""

from __future__ import annotations

import sys

import pytest

from pipeline.testing._cuts import Cut, pieces_of, shortest_failing_cut


def all_tried(length: int, random_cuts: int = 20) -> list[Cut]:
    tried: list[Cut] = []

    def fails(cut: Cut) -> bool:
        tried.append(cut)
        return False

    assert shortest_failing_cut(length, fails, random_cuts=random_cuts) is None
    return tried


def test_pieces_of_a_cut() -> None:
    """The places are where a piece ends; a place at an end, or twice, makes an empty piece."""
    assert [b"on", b"e", b"\n"] == pieces_of(b"one\n", (2, 3))
    assert [b"", b"o", b"", b"ne\n"] == pieces_of(b"one\n", (0, 1, 1))
    assert [b"one\n"] == pieces_of(b"one\n", ())


def test_small_inputs_are_cut_in_every_way() -> None:
    """All 2 ** 5 ways of six bytes, and an empty piece at either end; those with few cuts first."""
    tried = all_tried(6)

    assert 32 == len({cut for cut in tried if 0 not in cut and 6 not in cut})
    assert {(0,), (6,)} < set(tried)
    assert tried == sorted(tried, key=len)


def test_large_inputs_are_cut_at_every_place_and_byte_by_byte() -> None:
    """Also in random ways, which are the same each time."""
    tried = all_tried(500)

    assert {(place,) for place in range(501)} | {(), tuple(range(1, 500))} < set(tried)
    assert all_tried(500) == tried


def test_very_large_inputs_are_not_cut_into_bytes() -> None:
    """That would take too long; a thousand single places are tried."""
    tried = all_tried(1_000_000, random_cuts=5)

    assert max(map(len, tried)) <= 1000
    assert len(tried) > 1000


def test_no_random_ways_on_request() -> None:
    """Then neither Hypothesis's."""
    assert 502 + 1 == len(all_tried(500, random_cuts=0))


@pytest.mark.parametrize("length", [8, 100])
def test_where_one_cut_is_enough_one_is_given(length: int) -> None:
    assert (5,) == shortest_failing_cut(length, lambda cut: 5 in cut)


def test_the_shortest_of_small_inputs_is_found() -> None:
    """Two cuts are needed, and two are given."""
    assert (2, 4) == shortest_failing_cut(8, lambda cut: {2, 4} <= set(cut))


def test_a_failing_cut_of_large_inputs_is_shrunk() -> None:
    """What byte-by-byte shows is told with the three places that matter."""
    assert (20, 21, 70) == shortest_failing_cut(100, lambda cut: {20, 21, 70} <= set(cut))


def test_hypothesis_finds_what_random_ways_miss() -> None:
    """With the extra, its cuts are tried beside the seeded ones."""
    tried: list[Cut] = []

    def fails(cut: Cut) -> bool:
        tried.append(cut)
        return len(tried) > 1003 + 5 and len(cut) > 1

    assert (0, 0) == shortest_failing_cut(5000, fails, random_cuts=5)


def test_without_hypothesis_the_seeded_ways_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is not needed."""
    with_it = len(all_tried(500))
    monkeypatch.setitem(sys.modules, "hypothesis", None)

    assert 503 + 20 == len(all_tried(500)) < with_it
