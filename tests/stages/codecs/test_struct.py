"""StructCodec: records of a fixed layout."""

from __future__ import annotations

import struct
from collections import namedtuple
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.testing import Harness, check_codec
from stages import LengthFramer, StructCodec, recover

Point = namedtuple("Point", ["x", "y"])  # noqa: PYI024 - what users have beside struct


@given(values=st.tuples(st.integers(0, 2**16 - 1), st.integers(-128, 127), st.floats(allow_nan=False)))
def test_values_come_back(values: tuple[Any, ...]) -> None:
    check_codec(lambda: StructCodec(">Hbd"), [values], wire=[struct.pack(">Hbd", *values)])


def test_behind_a_framer_the_cut_makes_no_difference() -> None:
    check_codec(
        lambda: LengthFramer(1) | StructCodec("<H3s"),
        [(1, b"abc"), (513, b"\0\0\0")],
        wire=[b"\x05\x01\0abc\x05\x01\x02\0\0\0"],
        cut=True,
        random_cuts=50,
    )


def test_one_field_is_a_tuple_too() -> None:
    assert [(7,)] == StructCodec(">H").inbound.process_sync(b"\0\x07")


def test_no_field_is_the_empty_tuple() -> None:
    check_codec(lambda: StructCodec("4x"), [()], wire=[b"\0\0\0\0"])


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_of_every_kind_are_unpacked(kind: Any) -> None:
    (record,) = StructCodec("2s").inbound.process_sync(kind(b"ab"))
    assert (b"ab",) == record
    assert bytes is type(record[0])


def test_what_is_no_bytes_is_refused() -> None:
    with pytest.raises(TypeError, match="StructCodec takes bytes, not int"):
        StructCodec("B").inbound.process_sync(1)  # type: ignore[arg-type]


def test_another_size_tells_both_and_the_framer() -> None:
    with pytest.raises(ValueError) as info:
        StructCodec(">HI").inbound.process_sync(b"abcde")
    assert (
        "StructCodec('>HI'): an item of 5 bytes, but a record has 6. Is there a framer before it, as in "
        "FixedFramer(6) | StructCodec('>HI')?" == str(info.value)
    )


def test_recover_skips_a_record_of_another_size() -> None:
    harness = Harness(recover(StructCodec("B"), lambda item, error: ()))
    assert [(1,), (2,)] == harness.receive(b"\x01", b"", b"ab", b"\x02")


def test_size_is_for_the_framer() -> None:
    assert 6 == StructCodec(">HI").size


# ---- outbound


@pytest.mark.parametrize("values", [(1, 2), [1, 2], range(1, 3), Point(1, 2)])
def test_every_sequence_is_packed(values: Any) -> None:
    assert [b"\x01\x02"] == Harness(StructCodec("BB")).send(values)


@pytest.mark.parametrize("values", [1, b"ab", bytearray(b"ab"), "ab", {1: 2, 3: 4}, iter((1, 2)), None])
def test_what_is_no_record_is_refused(values: Any) -> None:
    """Bytes would be packed as their numbers, where somebody only forgot to take StructCodec out."""
    with pytest.raises(TypeError, match=r"StructCodec\('BB'\) packs a tuple or list of values, not .*\(value,\)"):
        StructCodec("BB").outbound.process_sync(values)


@pytest.mark.parametrize(
    ("layout", "values", "message"),
    [
        ("BB", (1,), r"StructCodec\('BB'\): pack expected 2 items for packing \(got 1\): \(1,\)$"),
        ("B", (256,), r"StructCodec\('B'\): .*255.*: \(256,\)$"),
        ("B", ("a",), r"StructCodec\('B'\): required argument is not an integer: \('a',\)$"),
        (">f", (1e300,), r"StructCodec\('>f'\): float too large to pack with f format: \(1e\+300,\)$"),
        ("B", ("a" * 200,), r"aaa\.\.\.$"),
    ],
)
def test_values_that_do_not_fit_are_refused(layout: str, values: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StructCodec(layout).outbound.process_sync(values)


@pytest.mark.parametrize(("layout", "room"), [("B3s", 3), ("B4p", 3)])
def test_a_string_that_struct_would_cut_is_refused(layout: str, room: int) -> None:
    codec = StructCodec(layout)
    assert [struct.pack(layout, 1, b"abc")] == codec.outbound.process_sync((1, b"abc"))
    assert [struct.pack(layout, 1, b"a")] == codec.outbound.process_sync((1, b"a"))
    with pytest.raises(ValueError, match=r"b'abcd' has 4 bytes, but its field takes 3; struct would cut it"):
        codec.outbound.process_sync((1, b"abcd"))


# ---- the object


def test_it_has_no_state() -> None:
    codec = StructCodec("B")
    assert codec.inbound.shareable
    assert codec.outbound.shareable
    assert codec.outbound.keeps_outbound_state is False
    assert 0 == codec.inbound.holds == codec.outbound.holds
    Harness(codec)
    Harness(codec)


def test_nothing_is_held_so_nothing_is_given_back() -> None:
    inbound = StructCodec("B").inbound
    assert () == inbound.unread(())
    assert inbound.unread(inbound.process_sync(b"a")) is None


@pytest.mark.parametrize(
    ("layout", "kind", "message"),
    [
        ("Z", ValueError, r"StructCodec\('Z'\): bad char in struct format. Take .* StructCodec\('>HI'\)"),
        ("é", ValueError, r"Take a format of the struct module"),
        (4, TypeError, r"StructCodec\(4\): .*Take a format of the struct module"),
    ],
)
def test_what_is_no_format_is_refused_at_once(layout: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        StructCodec(layout)


def test_repr_shows_it_as_it_is_written() -> None:
    assert "StructCodec('>HI')" == repr(StructCodec(">HI"))
