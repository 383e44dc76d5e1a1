"""Where a MessagePack value ends; what the codec makes of it is in test_msgpack.py."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import CorruptFrameError, FrameTooLongError
from stages.codecs._msgpack_scan import Scan

encode = msgspec.msgpack.encode

VALUES = st.recursive(
    st.none() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=17) | st.dictionaries(st.text(), inner, max_size=17),
    max_leaves=10,
)


@settings(max_examples=30)
@given(value=VALUES, more=st.binary(max_size=5))
def test_a_value_ends_behind_its_last_item_whatever_follows(value: Any, more: bytes) -> None:
    wire = encode(value)
    assert len(wire) + 3 == Scan(1 << 20).end(b"\xc0\xc0\xc0" + wire + more, 3)


@settings(max_examples=30)
@given(value=VALUES)
def test_a_value_that_is_not_there_yet_is_not_looked_at_again(value: Any) -> None:
    wire, scan = encode(value), Scan(1 << 20)
    for end in range(len(wire)):
        assert scan.end(wire[:end], 0) is None
    assert len(wire) == scan.end(wire, 0)
    assert len(wire) == scan.end(wire, 0)  # it has begun again


def test_it_begins_again_where_it_is_told_to() -> None:
    scan = Scan(100)
    assert scan.end(b"\x92\xc0", 0) is None
    scan.restart()
    assert 1 == scan.end(b"\xc0", 0)


@pytest.mark.parametrize(
    ("limit", "wire", "size"),
    [
        (4, b"\x94", 5),  # four items: each has at least a byte
        (4, b"\x83", 7),
        (4, b"\xa7", 8),
        (4, b"\xdc\x00\x04", 7),
        (4, b"\xde\x00\x04", 11),
        (4, b"\xc4\x03", 5),
        (100, b"\xc9\xff\xff\xff\xff\x05", (1 << 32) + 5),
        (100, b"\xdf\xff\xff\xff\xff", (1 << 33) + 3),
    ],
    ids=lambda given: given.hex() if isinstance(given, bytes) else None,
)
def test_what_is_over_the_limit_is_known_from_the_header_alone(limit: int, wire: bytes, size: int) -> None:
    with pytest.raises(FrameTooLongError, match=f"at least {size} bytes is over the limit, max_bytes=") as caught:
        Scan(limit).end(wire, 0)
    assert (limit, size) == (caught.value.limit, caught.value.size)


def test_exactly_the_limit_passes() -> None:
    assert 4 == Scan(4).end(b"\x93\1\2\3", 0)
    assert 4 == Scan(4).end(b"\xc4\2ab", 0)


@pytest.mark.parametrize("wire", [b"\xc1", b"\x92\xc0\xc1"])
def test_the_byte_that_is_never_used_is_corrupt(wire: bytes) -> None:
    with pytest.raises(CorruptFrameError, match="the byte 0xc1, which MessagePack never uses"):
        Scan(100).end(wire, 0)
