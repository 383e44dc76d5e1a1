"""What stages take for bytes."""

from __future__ import annotations

import pytest

from stages._bytes import as_bytes


def test_bytes_of_every_kind_become_bytes() -> None:
    for data in (b"ab", bytearray(b"ab"), memoryview(b"ab")):
        assert b"ab" == as_bytes("X", data)
        assert bytes is type(as_bytes("X", data))


def test_an_int_is_not_as_many_zero_bytes() -> None:
    with pytest.raises(TypeError, match=r"X takes bytes, not int: encode it first, as JSONCodec\(\) does"):
        as_bytes("X", 3)


def test_text_is_refused_with_the_stage_that_encodes_it() -> None:
    with pytest.raises(TypeError, match=r"X takes bytes, not str: put a TextCodec\(\) next to it"):
        as_bytes("X", "a")
