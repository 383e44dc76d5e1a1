"""How large an item is, and how it looks in an error."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline._items import OBJECT_BYTES, show_item, size_of


@pytest.mark.parametrize(
    ("item", "size"),
    [
        (b"abc", 3),
        (bytearray(b"ab"), 2),
        (memoryview(b"abcd").cast("H"), 4),
        ("abc", 3),
        (b"", 0),
        (None, OBJECT_BYTES),
        ([1] * 10**6, OBJECT_BYTES),
    ],
)
def test_the_size_of_an_item_is_its_bytes_where_it_has_any(item: Any, size: int) -> None:
    """Bytes and text count what they are long, a view its bytes, anything else the same."""
    assert size == size_of(item)


class Failing:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class FailingBytes(bytes):
    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    def __len__(self) -> int:
        raise RuntimeError("no length")


def released() -> memoryview:
    view = memoryview(b"x")
    view.release()
    return view


@pytest.mark.parametrize(
    ("item", "shown"),
    [
        (5, "5"),
        (None, "None"),
        ("abc", "'abc'"),
        (b"abc", "b'abc'"),
        (bytearray(b"ab"), "bytearray(b'ab')"),
        (memoryview(b"ab"), "b'ab'"),
        (b"x" * 200, repr(b"x" * 200)),
        (b"x" * 201, f"{b'x' * 200!r}... (bytes of 201 bytes)"),
        ("y" * 10**6, f"{'y' * 200!r}... (str of 1000000 characters)"),
        ([1, 2], "[1, 2]"),
        (list(range(10**6)), "[0, 1, 2, 3, 4, 5, ...]"),
        (10**5000, "<int, whose repr raised ValueError>"),
        (FailingBytes(b"x"), "<FailingBytes, whose repr raised RuntimeError>"),
        (released(), "<memoryview, whose repr raised ValueError>"),
    ],
    ids=range(14),
)
def test_an_item_as_it_is_shown(item: Any, shown: str) -> None:
    """Cut before it is shown; a failing `repr` is survived."""
    assert shown == show_item(item)


def test_an_object_without_a_working_repr_is_named() -> None:
    """By its class."""
    assert "Failing" in show_item(Failing())
    assert "Failing" in show_item([Failing()])


def test_a_class_named_as_a_builtin_is_shown() -> None:
    """What a name promises need not be kept."""
    assert show_item(type("array", (), {})()).startswith("<")


def test_no_showing_is_longer_than_its_limit() -> None:
    """Nested or not."""
    assert len(show_item([["x" * 300] * 5] * 5)) <= 200
    assert len(show_item(type("Long", (), {"__repr__": lambda self: "z" * 10**6})())) <= 200


@pytest.mark.parametrize(
    ("item", "shown"),
    [
        ("secret", "str of 6 characters"),
        (b"secret", "bytes of 6 bytes"),
        (memoryview(b"abcd").cast("H"), "memoryview of 4 bytes"),
        (5, "int"),
        (released(), "memoryview"),
    ],
    ids=["str", "bytes", "memoryview", "int", "released"],
)
def test_a_secret_item_shows_type_and_length(item: Any, shown: str) -> None:
    """And nothing of its contents."""
    assert shown == show_item(item, show_items=False)
