"""`StreamRules`: what an item counts while nobody takes it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pipeline import StreamRules
from pipeline._streamrules import ITEM_BYTES


def key(item: Any) -> int:
    return 1


@pytest.mark.parametrize(
    ("item", "size"),
    [
        (b"12345", 5),
        (bytearray(7), 7),
        ("text", 4),
        ((b"123", "45"), 5),
        ([b"x" * 1000, 1], 1256),
        ({"id": "abc", "data": "x" * 500}, 503),
        (SimpleNamespace(data=b"x" * 300), 300),
        (SimpleNamespace(data=None), 256),
        (3.5, 256),
        (b"", 0),
    ],
)
def test_an_item_counts_the_text_and_the_bytes_in_it(item: Any, size: int) -> None:
    """And something for itself, so that a flood of empty ones counts, too."""
    assert size + ITEM_BYTES == StreamRules(key=key).cost(item)


def test_the_rules_may_know_better() -> None:
    assert 7 + ITEM_BYTES == StreamRules(key=key, size=lambda item: 7).cost(b"x" * 1000)
