"""JSON as stages write it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stages._json_bytes import json_bytes


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ({"a": [1, 2.5, None, True]}, b'{"a":[1,2.5,null,true]}'),
        ("é😀", '"é😀"'.encode()),
        ("\ud800", b'"\\ud800"'),
    ],
)
def test_it_is_short_and_utf_8(value: Any, written: bytes) -> None:
    """What is no UTF-8 by itself is an escape, and is read as the same again."""
    assert written == json_bytes(value)
    assert value == json.loads(written)


def test_what_is_no_json_is_refused() -> None:
    circle: list[Any] = []
    circle.append(circle)
    for value in (float("nan"), float("inf"), circle):
        with pytest.raises(ValueError, match=r"JSON compliant|Circular"):
            json_bytes(value)
    with pytest.raises(TypeError, match="bytes is not JSON serializable"):
        json_bytes(b"x")
