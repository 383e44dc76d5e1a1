"""VarintFramer: frames with protobuf's varint in front."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import CorruptFrameError, FrameTooLongError, IncompleteFrameError
from pipeline.testing import Harness, check_framer, check_limit, check_linear
from stages import VarintFramer

from .driving import (
    MIB,
    RANDOM_CUTS,
    check_dropping_takes_no_memory,
    check_keeping_takes_little_memory,
    cpu_ratio,
    finished,
    outcome,
    pieces_at,
    random_pieces,
)

pytestmark = pytest.mark.usefixtures("quiet")


def varint(value: int) -> bytes:
    if value < 128:
        return bytes([value])
    return bytes([128 + value % 128]) + varint(value // 128)


def frame(size: int) -> bytes:
    return varint(size) + b"x" * size


# ---- what a frame is


def test_the_varint_says_how_many_bytes_follow() -> None:
    check_framer(VarintFramer, wire=b"\x02AB\0\x01C", frames=[b"AB", b"", b"C"], outbound="bytes")
    check_framer(VarintFramer, wire=frame(200) + b"\x01C", frames=[b"x" * 200, b"C"], outbound="bytes", random_cuts=100)


@pytest.mark.parametrize(("size", "length"), [(150, b"\x96\x01"), (300, b"\xac\x02")])
def test_examples_of_protobufs_documentation(size: int, length: bytes) -> None:
    assert [length + b"x" * size] == VarintFramer().outbound.process_sync(b"x" * size)


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16383, 16384, 2097151, 2097152])
def test_lengths_of_one_to_four_bytes(size: int) -> None:
    framer = Harness(VarintFramer(1 << 22))
    assert [frame(size)] == framer.send(b"x" * size)
    assert [b"x" * size] == framer.receive(frame(size))


def test_a_length_of_five_bytes() -> None:
    framer = VarintFramer(2**32 - 1)
    assert [] == list(framer.inbound.process_sync(b"\xff\xff\xff\xff\x0fabc"))
    assert b"\xff\xff\xff\xff\x0fabc" == b"".join(framer.inbound.unread(()) or ())
    with pytest.raises(FrameTooLongError) as info:
        list(VarintFramer().inbound.process_sync(b"\xff\xff\xff\xff\x0f"))
    assert (1048576, 2**32 - 1) == (info.value.limit, info.value.size)


@pytest.mark.parametrize("length", [b"\x82\0", b"\x82\x80\0", b"\x82\x80\x80\x80\0"], ids=repr)
def test_a_longer_encoding_than_needed_is_taken(length: bytes) -> None:
    """As protobuf's readers do; the frame goes out with the shortest one."""
    check_framer(VarintFramer, wire=length + b"ab\x01c", frames=[b"ab", b"c"])


def test_frames_are_bytes_also_of_a_bytearray() -> None:
    (payload,) = VarintFramer().inbound.process_sync(bytearray(b"\x01a"))
    assert bytes is type(payload)


# ---- the cut does not matter


@pytest.mark.parametrize(
    "parameters",
    [{}, {"max_bytes": 4}, {"max_bytes": 4, "oversize": "skip"}, {"max_bytes": 2**32 - 1, "oversize": "skip"}],
    ids=str,
)
@given(
    wire=st.lists(st.integers(0, 7) | st.sampled_from([15, 16, 128, 129, 255]), max_size=30).map(bytes),
    places=st.lists(st.integers(0, 30), max_size=6).map(sorted),
)
def test_cuts_make_no_difference(parameters: dict[str, Any], wire: bytes, places: list[int]) -> None:
    whole = outcome(VarintFramer(**parameters), [wire])
    assert whole == outcome(VarintFramer(**parameters), pieces_at(wire, places))
    assert whole == outcome(VarintFramer(**parameters), pieces_at(wire, range(1, len(wire))))


def test_ten_thousand_random_cuts() -> None:
    rng = random.Random(2)
    for _ in range(RANDOM_CUTS // 10):
        wire = b"".join(map(frame, rng.choices(range(300), k=9)))
        wire += rng.choice([b"", b"\x80", b"\x09abc", b"\xff\xff\xff\xff\xff"])
        parameters: dict[str, Any] = {
            "max_bytes": rng.choice([100, 200, 65536]),
            "oversize": rng.choice(["error", "skip"]),
        }
        whole = outcome(VarintFramer(**parameters), [wire])
        for _ in range(10):
            pieces = random_pieces(rng, wire)
            assert whole == outcome(VarintFramer(**parameters), pieces), (parameters, pieces)


# ---- limits


def test_exactly_the_limit_passes_and_one_more_byte_fails() -> None:
    """The payload counts, and its length alone is enough to fail."""
    check_limit(
        lambda n: VarintFramer(max_bytes=n),
        frame,
        payload=lambda n: b"x" * n,
        certain=lambda n: len(varint(n + 1)),
        limits=(1, 2, 5, 127, 128),
        random_cuts=50,
    )


def test_frames_before_a_long_one_are_delivered_first() -> None:
    harness = Harness(VarintFramer(max_bytes=4))
    with pytest.raises(FrameTooLongError, match="a frame of at least 9 bytes is over the limit, max_bytes=4"):
        harness.receive(b"\x01a\x09bcdefghij\x01k")
    assert [b"a"] == harness.received


def test_skip_drops_long_frames_and_stays_in_step() -> None:
    wire = b"\x01a\x09bcdefghij\x01k\x04abcd\0"
    framer = VarintFramer(max_bytes=4, oversize="skip")
    assert ([b"a", b"k", b"abcd", b""], None, None, 1) == outcome(framer, [wire])
    framer = VarintFramer(max_bytes=4, oversize="skip")
    assert ([b"a", b"k", b"abcd", b""], None, None, 1) == outcome(framer, pieces_at(wire, range(1, len(wire))))


def test_skip_stays_in_step_for_ten_thousand_long_frames() -> None:
    rng = random.Random(5)
    wire = b"".join(b"\x03%03d" % (n % 1000) + frame(rng.randint(5, 200)) for n in range(10_000))
    frames = [b"%03d" % (n % 1000) for n in range(10_000)]
    places = sorted(rng.randint(0, len(wire)) for _ in range(5_000))
    framer = VarintFramer(max_bytes=4, oversize="skip")
    assert (frames, None, None, 10_000) == outcome(framer, pieces_at(wire, places))


# ---- what is corrupt


@pytest.mark.parametrize(
    ("wire", "message"),
    [
        (b"\x80\x80\x80\x80\x80", "the length 80 80 80 80 80 has more than 5 bytes"),
        (b"\xff\xff\xff\xff\xff\x01", "the length ff ff ff ff ff has more than 5 bytes"),
        (b"\x80\x80\x80\x80\x10", "the length 80 80 80 80 10 is 4294967296, over 4294967295"),
        (b"\x80\x80\x80\x80\x7f", "is 34091302912, over 4294967295. Does the peer write varints?"),
    ],
)
def test_a_length_over_32_bits_or_5_bytes_is_corrupt(wire: bytes, message: str) -> None:
    check_framer(VarintFramer, wire=b"\x01a" + wire, frames=[b"a"], errors=CorruptFrameError)
    with pytest.raises(CorruptFrameError, match=message):
        list(VarintFramer().inbound.process_sync(wire))


# ---- the end


@pytest.mark.parametrize(
    ("wire", "message"),
    [(b"\x80", "1 bytes into the length of a frame"), (b"\x05ab", "3 bytes into a frame of 6 bytes")],
)
def test_end_inside_a_frame_tells_both_numbers(wire: bytes, message: str) -> None:
    framer = VarintFramer()
    list(framer.inbound.process_sync(wire))
    with pytest.raises(IncompleteFrameError, match=f"VarintFramer: the stream ended {message}") as info:
        finished(framer)
    assert wire == info.value.leftover


def test_end_inside_a_dropped_frame_tells_what_was_to_come() -> None:
    _, error, leftover, _ = outcome(VarintFramer(max_bytes=4, oversize="skip"), [b"\x09", b"a"])
    assert error is not None
    assert "being dropped; 8 more bytes were to come" in error
    assert b"" == leftover


# ---- giving back


def test_unread_gives_back_the_original_bytes() -> None:
    wire = b"\x82\0ab\0\x01c\x05de"
    for taken, length in ((0, 0), (1, 4), (2, 5), (3, 7)):
        framer = VarintFramer()
        results = list(framer.inbound.process_sync(wire))
        assert [wire[length:]] == framer.inbound.unread(results[taken:])
        assert [b"x"] == list(framer.inbound.process_sync(b"\x01x"))


# ---- outbound and building


def test_outbound_takes_all_kinds_of_bytes_and_refuses_what_is_over_the_limit() -> None:
    assert [b"\x02ab"] == Harness(VarintFramer()).send(bytearray(b"ab"))
    with pytest.raises(FrameTooLongError, match="a frame of 3 bytes is over the limit, max_bytes=2; nothing was wr"):
        VarintFramer(2).outbound.process_sync(b"abc")


def test_wrong_parameters_show_the_remedy() -> None:
    with pytest.raises(ValueError, match=r"VarintFramer\(max_bytes=0\): .*VarintFramer\(max_bytes=1048576\)"):
        VarintFramer(0)
    with pytest.raises(ValueError, match=r"max_bytes=4294967296\): a length has at most 5 bytes and says at most 4294"):
        VarintFramer(2**32)


# ---- heavy


def one_frame(size: int, piece: int) -> Iterator[bytes]:
    yield varint(size)
    block = b"x" * piece
    yield from (block for _ in range(size // piece))


def test_one_frame_byte_by_byte_is_linear() -> None:
    check_linear(lambda: VarintFramer(1 << 30), lambda n: one_frame(n, 1), n=8192)


def test_many_small_frames_in_one_read_are_linear() -> None:
    check_linear(VarintFramer, lambda n: [b"\x01a" * n], n=8192)


@pytest.mark.full
def test_64_mib_frame_dropped_in_1_kib_pieces_is_linear() -> None:
    make = partial(VarintFramer, max_bytes=65536, oversize="skip")
    assert cpu_ratio(make, lambda size: one_frame(size, 1024), 64 * MIB, "1 KiB, dropped") < 8


@pytest.mark.full
def test_4_mib_frame_byte_by_byte_is_linear() -> None:
    make = partial(VarintFramer, max_bytes=1 << 30)
    assert cpu_ratio(make, lambda size: one_frame(size, 1), 4 * MIB, "1 byte") < 8


@pytest.mark.full
def test_64_mib_frame_takes_no_more_memory_than_the_limit() -> None:
    """Dropping it, next to nothing; below the limit, a small multiple of its size."""
    check_dropping_takes_no_memory(VarintFramer(max_bytes=65536, oversize="skip"), one_frame(64 * MIB, 1024))
    check_keeping_takes_little_memory(VarintFramer(max_bytes=9 * MIB), one_frame(8 * MIB, 1024))
