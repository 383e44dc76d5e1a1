"""What stages take for bytes."""

from __future__ import annotations

import pytest

from stages._bytes import as_bytes, size_of


def test_bytes_of_every_kind_become_bytes() -> None:
    for data in (b"ab", bytearray(b"ab"), memoryview(b"ab")):
        assert b"ab" == as_bytes("X", data)
        assert bytes is type(as_bytes("X", data))


def test_an_int_is_not_as_many_zero_bytes() -> None:
    with pytest.raises(TypeError, match=r"X takes bytes, not int: .* JSONCodec\(\), goes on its client's side$"):
        as_bytes("X", 3)


def test_text_is_refused_with_the_stage_that_encodes_it() -> None:
    with pytest.raises(TypeError, match=r"X takes bytes, not str: put a TextCodec\(\) next to it"):
        as_bytes("X", "a")


def test_size_of_is_in_bytes_and_of_bytes_alone() -> None:
    assert [2, 3, 8] == [*map(size_of, (b"ab", bytearray(3), memoryview(b"abcdefgh").cast("I")))]
    assert [0, 0, 0] == [*map(size_of, ("ab", None, [b"a"]))]


def test_a_released_memoryview_has_no_size() -> None:
    view = memoryview(b"ab")
    view.release()
    assert 0 == size_of(view)
