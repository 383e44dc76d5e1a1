"""The most that was there at once is measured, and nothing goes on being measured."""

from __future__ import annotations

import tracemalloc

import pytest

from tests.memory import peak_memory

MIB = 1 << 20


def test_what_is_freed_again_counts_and_what_was_there_before_does_not() -> None:
    _before = bytes(8 * MIB)
    with peak_memory() as peak:
        for _ in range(3):
            bytes(2 * MIB)
    assert 2 * MIB < peak.bytes < 3 * MIB


def test_a_block_that_fails_is_no_longer_measured() -> None:
    with pytest.raises(ValueError, match="own"), peak_memory():
        raise ValueError("own")
    assert not tracemalloc.is_tracing()
