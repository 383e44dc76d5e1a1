"""What a failed check says."""

from __future__ import annotations

import pytest

from pipeline.testing._report import fail, show_pieces, shown


def test_the_rule_comes_first_then_the_facts() -> None:
    """A line each, and the error that shows it as the cause."""
    cause = ValueError("why")
    with pytest.raises(AssertionError) as info:
        fail("F1", "broken", cause=cause, came_back=[b"a"], stage="Lines()", error=cause, limit=3)

    assert "F1: broken\n  came back: [b'a']\n  stage: Lines()\n  error: ValueError: why\n  limit: 3" == str(info.value)
    assert info.value.__cause__ is cause


def test_long_facts_are_cut() -> None:
    """A list of many items, an item of many bytes."""
    assert shown([1] * 30).endswith("1, 1, ... (30 in all)]")
    assert len(shown([b"x" * 1_000_000])) < 300


def test_pieces_are_shown_as_they_were_fed() -> None:
    """With a bar where one call ended; many of them are cut."""
    assert r"b'on' | b'e\n'" == show_pieces([b"on", b"e\n"])
    assert show_pieces([b"x"] * 100).endswith("b'x' | ... (100 pieces)")
