"""COBSFramer: Consistent Overhead Byte Stuffing."""

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
from stages import COBSFramer

from .driving import MIB, RANDOM_CUTS, cpu_ratio, outcome, peak_bytes, pieces_at, random_pieces

RUN = bytes(range(1, 255))  # 254 bytes without a zero: as many as a full group has
# Payload and frame, of the paper and of what implementations test each other with.
VECTORS = [
    (b"", b"\x01"),
    (b"\0", b"\x01\x01"),
    (b"\0\0", b"\x01\x01\x01"),
    (b"\0\x11\0", b"\x01\x02\x11\x01"),
    (b"\x11\x22\0\x33", b"\x03\x11\x22\x02\x33"),
    (b"\x11\x22\x33\x44", b"\x05\x11\x22\x33\x44"),
    (b"\x11\0\0\0", b"\x02\x11\x01\x01\x01"),
    (b"E\0\0,L\0\0@\6O7", b"\x02E\x01\x03,L\x01\x05@\x06O7"),
    (RUN, b"\xff" + RUN),
    (b"\0" + RUN, b"\x01\xff" + RUN),
    (RUN + b"\xff", b"\xff" + RUN + b"\x02\xff"),
    (RUN[1:] + b"\xff\0", b"\xff" + RUN[1:] + b"\xff\x01\x01"),
    (RUN[2:] + b"\xff\0\x01", b"\xfe" + RUN[2:] + b"\xff\x02\x01"),
    (RUN * 2, (b"\xff" + RUN) * 2),
    (RUN + b"\0" + RUN, b"\xff" + RUN + b"\x01\xff" + RUN),
]
WIRES = st.lists(st.integers(0, 5) | st.just(255), max_size=30).map(bytes)
PAYLOADS = st.lists(st.sampled_from([b"\0", b"a", b"bc", b"\xff", RUN, RUN[1:]]), max_size=9).map(b"".join)


def by_definition(block: bytes) -> bytes | None:
    """Decode a frame group by group; None: it is corrupt."""
    payload = b""
    while block:
        code, group, rest = block[0], block[1 : block[0]], block[block[0] :]
        if len(group) < code - 1:
            return None
        payload += group + (b"\0" if code < 255 and rest else b"")
        block = rest
    return payload


# ---- what a frame is


@pytest.mark.parametrize(("payload", "block"), VECTORS, ids=lambda value: repr(value[:12]))
def test_known_vectors_both_ways(payload: bytes, block: bytes) -> None:
    assert ([payload], None, None, 0) == outcome(COBSFramer(), [block + b"\0"])
    assert [block + b"\0"] == Harness(COBSFramer()).send(payload)


def test_zero_ends_a_frame() -> None:
    check_framer(
        COBSFramer,
        wire=b"\x03AB\x02C\0\x01\0\x01\x01\0",
        frames=[b"AB\0C", b"", b"\0"],
        outbound="bytes",
        random_cuts=200,
    )


def test_zeros_in_a_row_and_before_the_first_frame_are_ignored() -> None:
    check_framer(COBSFramer, wire=b"\0\0\x02a\0\0\0\x02b\0\0", frames=[b"a", b"b"], random_cuts=200)


def test_group_of_no_bytes_behind_a_full_one_is_understood() -> None:
    """The paper's own encoder writes it where a payload ends in a full group; it means nothing."""
    assert ([RUN, RUN + b"\0"], None, None, 0) == outcome(
        COBSFramer(), [b"\xff" + RUN + b"\x01\0\xff" + RUN + b"\x01\x01\0"]
    )


@given(wire=WIRES)
def test_frames_are_what_the_definition_says(wire: bytes) -> None:
    *blocks, rest = wire.split(b"\0")
    payloads = [by_definition(block) for block in blocks if block]
    got, error, leftover, _ = outcome(COBSFramer(), [wire])
    if None in payloads:
        assert payloads[: payloads.index(None)] == got
        assert error is not None
        assert error.startswith("CorruptFrameError")
    else:
        assert (payloads, rest) == (got, leftover or b"")


@given(payload=PAYLOADS)
def test_any_payload_comes_back_and_the_overhead_is_small(payload: bytes) -> None:
    (written,) = Harness(COBSFramer()).send(payload)
    assert ([payload], None, None, 0) == outcome(COBSFramer(), [written])
    assert payload == by_definition(written[:-1])
    assert len(written) <= len(payload) + len(payload) // 254 + 2


@pytest.mark.parametrize("kind", [bytearray, memoryview])
@pytest.mark.parametrize("wire", [b"\x02a\0", b"\x02a\x01\0"])
def test_frames_are_bytes_whatever_the_transport_gives(kind: Any, wire: bytes) -> None:
    (frame,) = COBSFramer().inbound.process_sync(kind(wire))
    assert bytes is type(frame)


# ---- the cut does not matter


@pytest.mark.parametrize("max_bytes", [1, 2, 4, 65536])
@given(wire=WIRES, places=st.lists(st.integers(0, 30), max_size=6).map(sorted))
def test_cuts_make_no_difference(max_bytes: int, wire: bytes, places: list[int]) -> None:
    whole = outcome(COBSFramer(max_bytes), [wire])
    assert whole == outcome(COBSFramer(max_bytes), pieces_at(wire, places))
    assert whole == outcome(COBSFramer(max_bytes), pieces_at(wire, range(1, len(wire))))


def test_ten_thousand_random_cuts() -> None:
    rng = random.Random(1)
    blocks = [block for _, block in VECTORS if len(block) < 300]
    for _ in range(RANDOM_CUTS // 10):
        wire = b"".join(rng.choice(blocks) + b"\0" * rng.choice([1, 1, 1, 2]) for _ in range(9))
        wire += rng.choice([b"", b"\x05ab", b"\x05ab\0", b"\xff"])
        limit = rng.choice([5, 12, 254, 255, 65536])
        whole = outcome(COBSFramer(limit), [wire])
        for _ in range(10):
            pieces = random_pieces(rng, wire)
            assert whole == outcome(COBSFramer(limit), pieces), (limit, pieces)


# ---- limits


def test_exactly_the_limit_passes_and_one_more_byte_fails() -> None:
    """The first code is enough to fail."""
    check_limit(
        COBSFramer,
        lambda n: bytes((n + 1,)) + b"x" * n + b"\0",
        payload=lambda n: b"x" * n,
        certain=lambda _: 1,
        limits=(1, 2, 30),
        random_cuts=50,
    )


@pytest.mark.parametrize("limit", [254, 255])
def test_exactly_the_limit_passes_around_full_groups(limit: int) -> None:
    check_limit(
        COBSFramer,
        lambda n: Harness(COBSFramer()).send(b"x" * n)[0],
        payload=lambda n: b"x" * n,
        limits=(limit,),
        random_cuts=20,
    )


def test_zeros_count_as_the_bytes_that_they_are() -> None:
    check_limit(
        COBSFramer,
        lambda n: b"\x01" * (n + 1) + b"\0",
        payload=bytes,
        certain=lambda n: n + 2,
        limits=(1, 2, 30),
        random_cuts=20,
    )


def test_too_long_error_has_the_size_that_the_code_tells() -> None:
    with pytest.raises(FrameTooLongError, match="a frame of at least 13 bytes is over the limit, max_bytes=10") as info:
        list(COBSFramer(10).inbound.process_sync(b"\x03AB\x0b"))
    assert (10, 13) == (info.value.limit, info.value.size)


def test_frames_before_a_long_one_are_delivered_first() -> None:
    harness = Harness(COBSFramer(3))
    with pytest.raises(FrameTooLongError):
        harness.receive(b"\x04abc\0\x01\x01\x01\x01\0\x05abcd\0\x01\0")
    assert [b"abc", b"\0\0\0"] == harness.received


def test_many_short_frames_in_one_read_are_checked_against_a_small_limit() -> None:
    wire = b"\x03ab\x01\0" * 10
    for limit in (3, 5, 39):
        assert ([b"ab\0"] * 10, None, None, 0) == outcome(COBSFramer(limit), [wire])
    _, error, _, _ = outcome(COBSFramer(2), [wire])
    assert error is not None
    assert error.startswith("FrameTooLongError")


# ---- what is corrupt


@pytest.mark.parametrize(
    ("block", "there", "code"),
    [(b"\x03a", 2, 3), (b"\x02", 1, 2), (b"\x02a\x05bc", 3, 5), (b"\x02" * 6 + b"\x03", 1, 3)],
)
def test_a_zero_inside_a_group_is_corrupt(block: bytes, there: int, code: int) -> None:
    check_framer(
        COBSFramer, wire=b"\x02a\0" + block + b"\0\x02b\0", frames=[b"a"], errors=CorruptFrameError, random_cuts=5
    )
    with pytest.raises(CorruptFrameError, match=f"COBSFramer: a zero came {there} bytes into a group of {code}"):
        list(COBSFramer().inbound.process_sync(block + b"\0"))


# ---- the end


def test_end_of_stream_inside_a_frame() -> None:
    """The error carries the bytes as they came, without the zeros before them; also if no group is unfinished."""
    for rest in (b"\x02", b"\x02b", b"\x02b\x05c"):
        check_framer(COBSFramer, wire=b"\x02a\0\0" + rest, frames=[b"a"], errors=IncompleteFrameError, leftover=rest)


# ---- giving back


def test_unread_gives_back_the_original_bytes() -> None:
    wire = b"\0\x02a\0\0\xff" + RUN + b"\x01\0\x02c"
    for taken, length in ((0, 0), (1, 4), (2, len(wire) - 2)):
        stage = COBSFramer().inbound
        results = list(stage.process_sync(wire))
        assert [wire[length:]] == stage.unread(results[taken:])
        assert [b"x"] == list(stage.process_sync(b"\x02x\0"))


# ---- outbound


def test_outbound_limit_shows_both_numbers() -> None:
    with pytest.raises(FrameTooLongError, match="a frame of 4 bytes is over the limit, max_bytes=3; nothing was wr"):
        COBSFramer(3).outbound.process_sync(b"abcd")


def test_outbound_takes_all_kinds_of_bytes() -> None:
    assert [b"\x02a\0", b"\x02b\0"] == Harness(COBSFramer()).send(bytearray(b"a"), memoryview(b"b"))


# ---- building


def test_a_limit_of_zero_shows_the_remedy() -> None:
    with pytest.raises(ValueError, match=r"COBSFramer\(max_bytes=0\): .*COBSFramer\(max_bytes=65536\)"):
        COBSFramer(0)


# ---- heavy


@pytest.mark.parametrize("byte", [b"\x01", b"\xff"], ids=["groups of a zero", "full groups"])
def test_one_endless_frame_byte_by_byte_is_linear(byte: bytes) -> None:
    check_linear(lambda: COBSFramer(1 << 30), lambda n: [byte] * n, n=4096)


def test_many_small_frames_in_one_read_are_linear() -> None:
    check_linear(COBSFramer, lambda n: [b"\x02a\x01\0" * n], n=4096)


@pytest.mark.parametrize("direction", ["inbound", "outbound"])
def test_one_large_frame_in_one_piece_is_linear(direction: Any) -> None:
    item = (b"\xff" + RUN) if direction == "inbound" else RUN
    check_linear(
        lambda: COBSFramer(1 << 30), lambda n: [item * n + b"\0" * (direction == "inbound")], n=512, direction=direction
    )


def endless(size: int) -> Iterator[bytes]:
    return ((b"\xff" + RUN) * 4 + b"\x01" * 4 for _ in range(size // 1024))


@pytest.mark.full
def test_136_mib_frame_in_1_kib_pieces_is_linear() -> None:
    assert cpu_ratio(partial(COBSFramer, 1 << 30), endless, 136 * MIB, "1 KiB, kept") < 8


@pytest.mark.full
def test_long_frame_takes_a_small_multiple_of_its_size() -> None:
    assert peak_bytes(COBSFramer(8 * MIB), [*endless(8 * MIB), b"\0"]) < 6 * 8 * MIB
