"""What waits in a row: in order, and without memory where nothing waits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline._row import Row, before, behind, rest, row_of


def test_an_empty_row_takes_no_memory() -> None:
    """However it came to be empty, it is the one empty tuple."""
    empty: Row[int] = row_of([])
    assert () == empty
    assert () == rest(behind(empty, 1))
    assert () == rest(rest(behind(behind(empty, 1), 2)))
    assert () == rest(before(empty, 1))
    assert () == before(empty)


def test_one_entry_needs_no_deque() -> None:
    assert (1,) == behind((), 1)


@given(st.lists(st.sampled_from(["behind", "before", "rest", "row_of"])))
def test_entries_leave_in_their_order(steps: list[str]) -> None:
    row: Row[int] = ()
    expected: list[int] = []
    for number, step in enumerate(steps):
        if step == "behind":
            row = behind(row, number)
            expected.append(number)
        elif step == "before":
            row = before(row, number, -number)
            expected[:0] = [number, -number]
        elif step == "row_of":
            row = row_of(row)
        elif row:
            assert expected.pop(0) == row[0]
            row = rest(row)
        assert expected == list(row)
        assert bool(expected) == bool(row)
