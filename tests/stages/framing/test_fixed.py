"""FixedFramer: frames of one size."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import CorruptFrameError, FrameTooLongError, IncompleteFrameError
from pipeline.testing import Harness, check_framer, check_limit, check_linear
from stages import FixedFramer

from .driving import MIB, RANDOM_CUTS, cpu_ratio, finished, outcome, peak_bytes, pieces_at, random_pieces

# ---- what a frame is


def test_every_frame_has_the_size() -> None:
    check_framer(lambda: FixedFramer(3), wire=b"abcdefghi", frames=[b"abc", b"def", b"ghi"], outbound="bytes")


def test_end_inside_a_frame_is_every_frames_leftover() -> None:
    check_framer(
        lambda: FixedFramer(4), wire=b"abcdefg", frames=[b"abcd"], errors=IncompleteFrameError, leftover=b"efg"
    )


@pytest.mark.parametrize("size", [1, 2, 5000])
@pytest.mark.parametrize("count", [0, 1, 31, 32, 33, 64, 100])
def test_any_number_of_frames_in_one_read(size: int, count: int) -> None:
    """Also where some are cut at a time."""
    wire = bytes(range(251)) * (size * count // 251 + 1)
    frames = [wire[at : at + size] for at in range(0, size * count, size)]
    harness = Harness(FixedFramer(size, at_eof="drop"))
    assert frames == harness.receive(wire[: size * count + size - 1])
    assert [] == harness.finish()


def test_frames_are_bytes_also_of_a_memoryview() -> None:
    frames = list(FixedFramer(1).inbound.process_sync(memoryview(b"a" * 50)))
    assert {bytes} == {*map(type, frames)}


@given(size=st.integers(1, 9), wire=st.binary(max_size=40), places=st.lists(st.integers(0, 40), max_size=6).map(sorted))
def test_cuts_make_no_difference(size: int, wire: bytes, places: list[int]) -> None:
    for at_eof in ("error", "emit", "drop"):
        make = partial(FixedFramer, size, at_eof=at_eof)
        whole = outcome(make(), [wire])
        assert whole == outcome(make(), pieces_at(wire, places))
        assert whole == outcome(make(), pieces_at(wire, range(1, len(wire))))


def test_ten_thousand_random_cuts() -> None:
    rng = random.Random(1)
    for _ in range(RANDOM_CUTS // 10):
        wire, size = rng.randbytes(rng.randint(0, 300)), rng.choice([1, 2, 3, 7, 30, 200])
        frames, error, leftover, _ = whole = outcome(FixedFramer(size), [wire])
        assert wire == b"".join(frames) + (leftover or b"")
        assert {size} >= {*map(len, frames)}
        assert (error is None) == (len(wire) % size == 0)
        for _ in range(10):
            pieces = random_pieces(rng, wire)
            assert whole == outcome(FixedFramer(size), pieces), (size, pieces)


# ---- the end


def test_end_inside_a_frame_tells_both_numbers() -> None:
    framer = FixedFramer(4)
    list(framer.inbound.process_sync(b"abcdef"))
    with pytest.raises(IncompleteFrameError, match="FixedFramer: the stream ended 2 bytes into a frame of 4") as info:
        finished(framer)
    assert b"ef" == info.value.leftover


def test_short_last_frame_can_be_emitted_or_dropped() -> None:
    assert ([b"ab", b"c"], None, None, 0) == outcome(FixedFramer(2, at_eof="emit"), [b"abc"])
    assert ([b"ab"], None, None, 0) == outcome(FixedFramer(2, at_eof="drop"), [b"abc"])


# ---- giving back


def test_unread_gives_back_the_original_bytes() -> None:
    wire = b"ab" * 40 + b"c"
    for taken in range(41):
        framer = FixedFramer(2)
        results = list(framer.inbound.process_sync(wire))
        assert [wire[2 * taken :]] == framer.inbound.unread(results[taken:])


# ---- outbound


def test_outbound_passes_the_right_size() -> None:
    assert [b"ab", b"cd"] == Harness(FixedFramer(2)).send(b"ab", bytearray(b"cd"))


def test_outbound_refuses_longer_frames() -> None:
    check_limit(FixedFramer, payload=lambda n: b"x" * n)
    with pytest.raises(FrameTooLongError, match=r"a frame of 3 bytes, but every frame has size=2.*Pad or divide it"):
        FixedFramer(2).outbound.process_sync(b"abc")


@pytest.mark.parametrize("frame", [b"", b"a"])
def test_outbound_refuses_shorter_frames(frame: bytes) -> None:
    with pytest.raises(CorruptFrameError, match=f"a frame of {len(frame)} bytes, but every frame has size=2"):
        FixedFramer(2).outbound.process_sync(frame)


# ---- building


@pytest.mark.parametrize(("size", "error"), [(0, ValueError), (-1, ValueError), ("4", TypeError)])
def test_a_size_that_is_none_is_refused(size: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"FixedFramer\(size=.*\): must be a whole number of bytes, 1 or more"):
        FixedFramer(size)


def test_repr_shows_it_as_it_is_written() -> None:
    assert "FixedFramer(188, at_eof='drop')" == repr(FixedFramer(188, at_eof="drop"))


# ---- heavy


def test_one_frame_byte_by_byte_is_linear() -> None:
    check_linear(lambda: FixedFramer(1 << 40), lambda n: [b"x"] * n, n=4096)


def test_many_small_frames_in_one_read_are_linear() -> None:
    check_linear(lambda: FixedFramer(2), lambda n: [b"ab" * n], n=8192)


def in_pieces(size: int) -> Iterator[bytes]:
    return itertools.repeat(b"x" * 1024, size // 1024)


@pytest.mark.full
def test_64_mib_frame_in_1_kib_pieces_is_linear_and_takes_a_small_multiple_of_memory() -> None:
    assert cpu_ratio(partial(FixedFramer, 1 << 40), in_pieces, 136 * MIB, "1 KiB") < 8
    assert peak_bytes(FixedFramer(8 * MIB), in_pieces(8 * MIB)) < 4 * 8 * MIB
