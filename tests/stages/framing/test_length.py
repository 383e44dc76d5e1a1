"""LengthFramer: frames which say their length."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import CorruptFrameError, FrameError, FrameTooLongError, IncompleteFrameError
from pipeline.testing import Harness, check_framer, check_limit, check_linear
from stages import LengthFramer

from .driving import (
    MIB,
    RANDOM_CUTS,
    check_dropping_takes_no_memory,
    check_keeping_takes_little_memory,
    cpu_ratio,
    error_of,
    finished,
    outcome,
    pieces_at,
    random_pieces,
)

pytestmark = pytest.mark.usefixtures("quiet")


# ---- what a frame is


def test_the_length_says_how_many_bytes_follow() -> None:
    check_framer(
        LengthFramer,
        wire=b"\0\0\0\x02AB\0\0\0\0\0\0\0\x01C",
        frames=[b"AB", b"", b"C"],
        outbound="bytes",
        random_cuts=100,
    )


@pytest.mark.parametrize("width", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("byteorder", ["big", "little"])
@pytest.mark.parametrize("signed", [False, True])
def test_every_width_order_and_sign(width: Any, byteorder: Any, signed: bool) -> None:
    parameters: dict[str, Any] = {"byteorder": byteorder, "signed": signed}
    frame = b"x" * 9
    wire = (9).to_bytes(width, byteorder) + frame
    check_framer(lambda: LengthFramer(width, **parameters), wire=wire, frames=[frame], outbound="bytes", random_cuts=10)


@pytest.mark.parametrize(
    ("parameters", "wire", "frames"),
    [
        # The field counts itself, as in PostgreSQL and DNS-over-TCP's cousins; whole frames come out.
        ({"width": 2, "adjustment": -2}, b"\0\x05abc\0\x02", [b"abc", b""]),
        ({"width": 2, "adjustment": -2, "strip": 0}, b"\0\x05abc\0\x02", [b"\0\x05abc", b"\0\x02"]),
        # A type byte before the length, kept or not.
        ({"width": 2, "offset": 1, "strip": 0}, b"Q\0\x02abT\0\0", [b"Q\0\x02ab", b"T\0\0"]),
        ({"width": 2, "offset": 1}, b"Q\0\x02abT\0\0", [b"ab", b""]),
        ({"width": 3, "offset": 2, "strip": 2}, b"QQ\0\0\x02ab", [b"\0\0\x02ab"]),
        # A checksum of two bytes behind the payload, which the field does not count.
        ({"width": 1, "adjustment": 2}, b"\x02abCC\0CC", [b"abCC", b"CC"]),
        # A sub-header cut off as well.
        ({"width": 1, "strip": 3}, b"\x04ABcd", [b"cd"]),
    ],
    ids=str,
)
def test_where_the_length_is_and_what_it_counts(parameters: dict[str, Any], wire: bytes, frames: list[bytes]) -> None:
    head = parameters.get("offset", 0) + parameters["width"]
    writes = parameters.get("strip", head) == 0 or (not parameters.get("offset") and "strip" not in parameters)
    check_framer(
        lambda: LengthFramer(**parameters),
        wire=wire,
        frames=frames,
        outbound="bytes" if writes else "none",
        random_cuts=50,
    )


def test_frames_are_bytes_also_of_a_bytearray() -> None:
    (frame,) = LengthFramer(1).inbound.process_sync(bytearray(b"\x01a"))
    assert bytes is type(frame)


# ---- the cut does not matter

PARAMETERS: list[dict[str, Any]] = [
    {"width": 1},
    {"width": 1, "max_bytes": 4},
    {"width": 1, "max_bytes": 4, "oversize": "skip"},
    {"width": 2, "byteorder": "little", "oversize": "skip", "max_bytes": 100},
    {"width": 1, "adjustment": -1, "strip": 0},
    {"width": 1, "adjustment": -1, "strip": 2, "oversize": "skip", "max_bytes": 5},
    {"width": 1, "signed": True, "adjustment": 2},
    {"width": 3, "offset": 1, "oversize": "skip"},
]


@pytest.mark.parametrize("parameters", PARAMETERS, ids=str)
@given(
    wire=st.lists(st.integers(0, 7) | st.just(255), max_size=30).map(bytes),
    places=st.lists(st.integers(0, 30), max_size=6).map(sorted),
)
def test_cuts_make_no_difference(parameters: dict[str, Any], wire: bytes, places: list[int]) -> None:
    whole = outcome(LengthFramer(**parameters), [wire])
    assert whole == outcome(LengthFramer(**parameters), pieces_at(wire, places))
    assert whole == outcome(LengthFramer(**parameters), pieces_at(wire, range(1, len(wire))))


def test_ten_thousand_random_cuts() -> None:
    rng = random.Random(2)
    for _ in range(RANDOM_CUTS // 10):
        wire = b"".join(struct.pack(">H", size) + b"x" * size for size in rng.choices(range(90), k=9))
        wire += rng.choice([b"", b"\0", b"\0\x09abc", b"\xff\xffabc"])
        parameters: dict[str, Any] = {
            "width": 2,
            "max_bytes": rng.choice([50, 92, 65537]),
            "oversize": rng.choice(["error", "skip"]),
            "strip": rng.choice([None, 0, 1]),
        }
        whole = outcome(LengthFramer(**parameters), [wire])
        for _ in range(10):
            pieces = random_pieces(rng, wire)
            assert whole == outcome(LengthFramer(**parameters), pieces), (parameters, pieces)


# ---- limits


@pytest.mark.parametrize("parameters", [{}, {"strip": 0}, {"width": 2, "adjustment": -2}, {"width": 3}], ids=str)
def test_exactly_the_limit_passes_and_one_more_byte_fails(parameters: dict[str, Any]) -> None:
    """The whole frame counts, and the header alone is enough to fail."""
    width: int = parameters.get("width", 4)
    whole = "strip" in parameters

    def frame(size: int) -> bytes:
        length: int = size if "adjustment" in parameters else size - width
        return length.to_bytes(width, "big") + b"x" * (size - width)

    check_limit(
        lambda n: LengthFramer(max_bytes=n, **parameters),
        frame,
        payload=frame if whole else lambda n: frame(n)[width:],
        certain=lambda _: width,
        limits=(4, 5, 30),
        random_cuts=50,
    )


def test_too_long_error_has_the_size_from_the_header_alone() -> None:
    """Nothing of the size that a header announces is allocated."""
    with pytest.raises(FrameTooLongError) as info:
        list(LengthFramer(8).inbound.process_sync(b"\xff" * 8))
    assert (1048576, 2**64 + 7) == (info.value.limit, info.value.size)


def test_frames_before_a_long_one_are_delivered_first() -> None:
    harness = Harness(LengthFramer(1, max_bytes=4))
    with pytest.raises(FrameTooLongError, match="a frame of at least 10 bytes is over the limit, max_bytes=4"):
        harness.receive(b"\x01a\x09bcdefghij\x01k")
    assert [b"a"] == harness.received


def test_skip_drops_long_frames_and_stays_in_step() -> None:
    framer = LengthFramer(1, max_bytes=4, oversize="skip")
    wire = b"\x01a\x09bcdefghij\x01k\x04abcd\0"
    assert ([b"a", b"k", b""], None, None, 2) == outcome(framer, [wire])


# ---- what is corrupt


def test_a_negative_length_is_corrupt() -> None:
    error = error_of(LengthFramer(2, signed=True, adjustment=100), b"\xff\xfe")
    assert "the length field says -2, which is negative" in error


def test_a_frame_shorter_than_its_header_is_corrupt() -> None:
    error = error_of(LengthFramer(2, adjustment=-2), b"\0\x01")
    assert "the length field says 1, so the frame would have 1 bytes, but its header alone has 2" in error


def test_a_frame_shorter_than_what_is_cut_off_is_corrupt() -> None:
    error = error_of(LengthFramer(1, strip=3), b"\x01a")
    assert "so the frame would have 2 bytes, of which strip=3 are to be cut off. If the peer is right" in error


def test_after_a_corrupt_length_every_call_raises() -> None:
    check_framer(lambda: LengthFramer(1, adjustment=-1), wire=b"\x02a\0\x02b", frames=[b"a"], errors=CorruptFrameError)


# ---- the end


def test_end_inside_a_header_or_a_frame_tells_both_numbers() -> None:
    for wire, message in (
        (b"\0\0", "2 bytes into a header of 4 bytes"),
        (b"\0\0\0\x05ab", "6 bytes into a frame of 9"),
    ):
        framer = LengthFramer()
        list(framer.inbound.process_sync(wire))
        with pytest.raises(IncompleteFrameError, match=f"LengthFramer: the stream ended {message}") as info:
            finished(framer)
        assert wire == info.value.leftover


def test_end_inside_a_dropped_frame_tells_what_was_to_come() -> None:
    assert "being dropped; 8 more bytes were to come" in error_of(
        LengthFramer(1, max_bytes=4, oversize="skip"), b"\x09", b"a"
    )


# ---- giving back


def test_unread_gives_back_the_original_bytes() -> None:
    wire = b"\x02ab\0\x01c\x05de"
    for taken, length in ((0, 0), (1, 3), (2, 4), (3, 6)):
        framer = LengthFramer(1)
        results = list(framer.inbound.process_sync(wire))
        assert [wire[length:]] == framer.inbound.unread(results[taken:])
        assert [b"x"] == list(framer.inbound.process_sync(b"\x01x"))


# ---- outbound


def test_outbound_builds_the_header() -> None:
    assert [b"\0\0\0\x02ab"] == Harness(LengthFramer()).send(bytearray(b"ab"))
    assert [b"\x04\0ab"] == Harness(LengthFramer(2, byteorder="little", adjustment=-2)).send(b"ab")
    assert [b"\x01abc"] == Harness(LengthFramer(1, adjustment=2, strip=1)).send(b"abc")


def test_outbound_refuses_what_the_field_cannot_say() -> None:
    with pytest.raises(FrameTooLongError, match="a frame of 257 bytes is more than its length field can say, 256"):
        LengthFramer(1).outbound.process_sync(b"x" * 256)
    with pytest.raises(FrameTooLongError, match="a frame of 129 bytes is more than its length field can say, 128"):
        LengthFramer(1, signed=True).outbound.process_sync(b"x" * 128)
    with pytest.raises(CorruptFrameError, match="says -1, which is negative"):
        LengthFramer(1, adjustment=2).outbound.process_sync(b"x")


def test_outbound_refuses_what_is_over_the_limit() -> None:
    with pytest.raises(FrameTooLongError, match="a frame of 6 bytes is over the limit, max_bytes=5; nothing was wr"):
        LengthFramer(max_bytes=5).outbound.process_sync(b"ab")
    with pytest.raises(FrameTooLongError, match="a frame of 6 bytes is over the limit, max_bytes=5; nothing was wr"):
        LengthFramer(max_bytes=5, strip=0).outbound.process_sync(b"\0\0\0\x02ab")


@pytest.mark.parametrize("parameters", [{"offset": 1}, {"strip": 1}, {"offset": 1, "strip": 1}], ids=str)
def test_outbound_refuses_where_it_cannot_know_the_header(parameters: dict[str, Any]) -> None:
    with pytest.raises(FrameError, match=r"is inbound only.*Take strip=0 and send whole frames"):
        LengthFramer(**parameters).outbound.process_sync(b"a")


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (b"\0", "this one has 1 bytes, less than its header of 2"),
        (b"\0\x03ab", "the frame has 4 bytes, but its length field says 5"),
        (b"\0\x01ab", "the frame has 4 bytes, but its length field says 3"),
    ],
)
def test_outbound_checks_whole_frames(frame: bytes, message: str) -> None:
    with pytest.raises(CorruptFrameError, match=message):
        LengthFramer(2, strip=0).outbound.process_sync(frame)


def test_outbound_checks_whole_frames_for_a_corrupt_length() -> None:
    with pytest.raises(CorruptFrameError, match="its header alone has 2"):
        LengthFramer(2, strip=0, adjustment=-2).outbound.process_sync(b"\0\x01")


# ---- building


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"width": 5}, r"LengthFramer\(width=5\): must be one of 1, 2, 3, 4, 8"),
        ({"byteorder": "native"}, r"must be one of 'big', 'little'"),
        ({"offset": -1}, r"LengthFramer\(offset=-1\): must be a whole number of bytes, 0 or more"),
        ({"strip": -1}, r"LengthFramer\(strip=-1\): must be a whole number of bytes, 0 or more$"),
        ({"max_bytes": 0}, r"LengthFramer\(max_bytes=0\): .*LengthFramer\(max_bytes=1048576\)"),
        ({"max_bytes": 3}, r"max_bytes=3\): no frame would ever pass, as one has 4 bytes or more"),
        ({"strip": 9, "max_bytes": 8}, r"as one has 9 bytes or more; max_bytes counts the whole frame"),
    ],
    ids=str,
)
def test_wrong_parameters_show_the_remedy(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LengthFramer(**parameters)


def test_adjustment_must_be_a_number() -> None:
    with pytest.raises(TypeError, match=r"LengthFramer\(adjustment=None\): must be a whole number"):
        LengthFramer(adjustment=None)  # type: ignore[arg-type]


# ---- heavy


def one_frame(size: int, piece: int) -> Iterator[bytes]:
    yield struct.pack(">I", size)
    block = b"x" * piece
    yield from (block for _ in range(size // piece))


def test_one_frame_byte_by_byte_is_linear() -> None:
    check_linear(lambda: LengthFramer(max_bytes=1 << 30), lambda n: one_frame(n, 1), n=8192)


def test_many_small_frames_in_one_read_are_linear() -> None:
    check_linear(lambda: LengthFramer(1), lambda n: [b"\x01a" * n], n=8192)


@pytest.mark.full
def test_64_mib_frame_dropped_in_1_kib_pieces_is_linear() -> None:
    make = partial(LengthFramer, max_bytes=65536, oversize="skip")
    assert cpu_ratio(make, lambda size: one_frame(size, 1024), 64 * MIB, "1 KiB, dropped") < 8


@pytest.mark.full
def test_136_mib_frame_kept_in_1_kib_pieces_is_linear() -> None:
    """A quarter of it is over 32 MiB too: below, malloc reuses what was freed, and the times do not compare."""
    make = partial(LengthFramer, max_bytes=1 << 30)
    assert cpu_ratio(make, lambda size: one_frame(size, 1024), 136 * MIB, "1 KiB, kept") < 8


@pytest.mark.full
def test_4_mib_frame_byte_by_byte_is_linear() -> None:
    make = partial(LengthFramer, max_bytes=1 << 30)
    assert cpu_ratio(make, lambda size: one_frame(size, 1), 4 * MIB, "1 byte") < 8


@pytest.mark.full
def test_64_mib_frame_takes_no_more_memory_than_the_limit() -> None:
    """Dropping it, next to nothing; below the limit, a small multiple of its size."""
    check_dropping_takes_no_memory(LengthFramer(max_bytes=65536, oversize="skip"), one_frame(64 * MIB, 1024))
    check_keeping_takes_little_memory(LengthFramer(max_bytes=9 * MIB), one_frame(8 * MIB, 1024))
