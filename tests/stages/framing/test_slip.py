"""SLIPFramer: Serial Line IP, RFC 1055."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline import CorruptFrameError, FrameError, FrameTooLongError, IncompleteFrameError
from pipeline.testing import Harness, check_framer, check_limit, check_linear
from stages import SLIPFramer

from .driving import MIB, RANDOM_CUTS, cpu_ratio, outcome, peak_bytes, pieces_at, random_pieces

END, ESC, ESC_END, ESC_ESC = b"\xc0", b"\xdb", b"\xdb\xdc", b"\xdb\xdd"
WIRES = st.lists(st.sampled_from([b"a", b"bc", END, ESC, ESC_END, ESC_ESC, b"\xdc", b"\xdd"]), max_size=16).map(
    b"".join
)


def error_of(wire: bytes, **parameters: Any) -> str:
    _, error, _, _ = outcome(SLIPFramer(**parameters), [wire])
    assert error is not None
    return error


def by_the_rfc(wire: bytes) -> tuple[list[bytes], bool]:
    """RFC 1055's recv_packet(), byte by byte, up to an ESC that escapes nothing; whether one came."""
    frames: list[bytes] = []
    packet = b""
    data = iter(wire)
    for byte in data:
        if byte == 0xC0:
            frames += [packet] if packet else []
            packet = b""
        elif byte == 0xDB:
            escaped = {0xDC: END, 0xDD: ESC, None: b""}.get(next(data, None))
            if escaped is None:
                return frames, True
            packet += escaped
        else:
            packet += bytes((byte,))
    return frames, False


# ---- what a frame is


def test_end_ends_a_frame_and_escapes_are_undone() -> None:
    check_framer(
        SLIPFramer,
        wire=END + b"ab" + END + END + ESC_END + b"c" + ESC_ESC + END,
        frames=[b"ab", END + b"c" + ESC],
        outbound="bytes",
        random_cuts=200,
    )


def test_escape_that_stands_before_what_looks_like_one() -> None:
    assert ([ESC + b"\xdc", ESC + b"\xdd", END + b"\xdd"], None, None, 0) == outcome(
        SLIPFramer(), [ESC_ESC + b"\xdc" + END + ESC_ESC + b"\xdd" + END + ESC_END + b"\xdd" + END]
    )


def test_empty_frames_are_ignored() -> None:
    check_framer(SLIPFramer, wire=END * 3 + b"a" + END * 3 + b"b" + END * 2, frames=[b"a", b"b"], random_cuts=200)


@given(wire=WIRES)
@example(wire=ESC_ESC + b"\xdc" + END)
def test_frames_are_what_the_rfc_says(wire: bytes) -> None:
    frames, corrupt = by_the_rfc(wire)
    got, error, _, _ = outcome(SLIPFramer(), [wire])
    assert frames == got
    assert corrupt == (error is not None and error.startswith("CorruptFrameError"))


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_frames_are_bytes_whatever_the_transport_gives(kind: Any) -> None:
    (frame,) = SLIPFramer().inbound.process_sync(kind(b"a" + END))
    assert bytes is type(frame)


# ---- the cut does not matter


@pytest.mark.parametrize("max_bytes", [1, 2, 3, 65536])
@given(wire=WIRES, places=st.lists(st.integers(0, 30), max_size=6).map(sorted))
def test_cuts_make_no_difference(max_bytes: int, wire: bytes, places: list[int]) -> None:
    whole = outcome(SLIPFramer(max_bytes), [wire])
    assert whole == outcome(SLIPFramer(max_bytes), pieces_at(wire, places))
    assert whole == outcome(SLIPFramer(max_bytes), pieces_at(wire, range(1, len(wire))))


def test_ten_thousand_random_cuts() -> None:
    rng = random.Random(1)
    alphabet = [b"a", b"bb", END, ESC_END, ESC_ESC, ESC, b"x" * 30]
    for _ in range(RANDOM_CUTS // 10):
        wire = b"".join(rng.choices(alphabet, weights=[9, 9, 9, 9, 9, 1, 3], k=25))
        limit = rng.choice([3, 33, 65536])
        whole = outcome(SLIPFramer(limit), [wire])
        for _ in range(10):
            pieces = random_pieces(rng, wire)
            assert whole == outcome(SLIPFramer(limit), pieces), (limit, pieces)


# ---- limits


@pytest.mark.parametrize(("byte", "written"), [(b"x", b"x"), (END, ESC_END), (ESC, ESC_ESC)])
def test_exactly_the_limit_passes_and_one_more_byte_fails(byte: bytes, written: bytes) -> None:
    """An escape counts as the one byte that it stands for."""
    check_limit(
        SLIPFramer,
        lambda n: written * n + END,
        payload=lambda n: byte * n,
        certain=lambda n: (n + 1) * len(written),
        limits=(1, 2, 30),
        random_cuts=50,
    )


def test_half_an_escape_behind_the_limit_is_no_byte_yet() -> None:
    assert ([], "IncompleteFrameError: SLIPFramer: the stream ended 3 bytes into a frame", b"ab" + ESC, 0) == outcome(
        SLIPFramer(2), [b"ab" + ESC]
    )


def test_what_is_wrong_first_counts() -> None:
    for wire, kind in ((b"ab" + ESC + b"c", "Corrupt"), (b"abc" + ESC + b"c", "FrameTooLong")):
        assert error_of(wire, max_bytes=2).startswith(kind)
        assert error_of(wire + END, max_bytes=2).startswith(kind)


def test_frames_before_a_long_one_are_delivered_first() -> None:
    harness = Harness(SLIPFramer(3))
    with pytest.raises(
        FrameTooLongError, match=r"a frame of at least 4 bytes is over the limit, max_bytes=3. Raise max"
    ):
        harness.receive(b"abc" + END + ESC_END * 3 + END + b"abcd" + END)
    assert [b"abc", END * 3] == harness.received


def test_many_short_frames_in_one_read_are_checked_against_a_small_limit() -> None:
    wire = (ESC_END + b"bc" + END) * 10
    for limit in (3, 5, 39):
        assert ([b"\xc0bc"] * 10, None, None, 0) == outcome(SLIPFramer(limit), [wire])
    assert error_of(wire, max_bytes=2).startswith("FrameTooLongError")


# ---- what is corrupt


@pytest.mark.parametrize(
    ("wire", "shown"), [(ESC + b"a", "b'a'"), (ESC + ESC_END, r"b'\\xdb'"), (ESC + END, r"b'\\xc0'")]
)
def test_escape_before_a_byte_that_it_does_not_escape_is_corrupt(wire: bytes, shown: str) -> None:
    check_framer(SLIPFramer, wire=b"ok" + END + b"no" + wire, frames=[b"ok"], errors=CorruptFrameError, random_cuts=100)
    with pytest.raises(CorruptFrameError, match=f"SLIPFramer: ESC before {shown}, which it does not escape"):
        list(SLIPFramer().inbound.process_sync(wire))


# ---- the end


def test_end_of_stream_inside_a_frame() -> None:
    """The error carries the bytes as they came, without the END before them."""
    wire = b"ab" + END + END + b"c" + ESC_ESC
    check_framer(SLIPFramer, wire=wire, frames=[b"ab"], errors=IncompleteFrameError, leftover=b"c" + ESC_ESC)


# ---- giving back


def test_unread_gives_back_the_original_bytes() -> None:
    wire = END + b"a" + ESC_END + END + END + ESC_ESC + END + b"c" + ESC
    for taken, length in ((0, 0), (1, 5), (2, 9)):
        stage = SLIPFramer().inbound
        results = list(stage.process_sync(wire))
        assert [wire[length:]] == stage.unread(results[taken:])
        assert [b"x"] == list(stage.process_sync(b"x" + END))


# ---- outbound


def test_outbound_escapes_and_puts_a_frame_between_two_ends() -> None:
    harness = Harness(SLIPFramer())
    assert [END + b"a" + ESC_END + b"b" + ESC_ESC + END] == harness.send(b"a" + END + b"b" + ESC)
    assert [END + b"a" + END] == harness.send(bytearray(b"a"))


def test_outbound_refuses_an_empty_payload() -> None:
    with pytest.raises(FrameError, match=r"SLIPFramer: an empty payload cannot be sent.* or take a COBSFramer"):
        SLIPFramer().outbound.process_sync(b"")


def test_outbound_limit_shows_both_numbers() -> None:
    with pytest.raises(FrameTooLongError, match="a frame of 4 bytes is over the limit, max_bytes=3; nothing was wr"):
        SLIPFramer(3).outbound.process_sync(b"abcd")


@given(payloads=st.lists(st.lists(st.sampled_from([b"a", END, ESC, b"\xdc", b"\xdd"]), min_size=1).map(b"".join)))
def test_any_payload_comes_back(payloads: list[bytes]) -> None:
    written = b"".join(Harness(SLIPFramer()).send(*payloads))
    assert (payloads, None, None, 0) == outcome(SLIPFramer(), [written])


# ---- building


def test_a_limit_of_zero_shows_the_remedy() -> None:
    with pytest.raises(ValueError, match=r"SLIPFramer\(max_bytes=0\): .*SLIPFramer\(max_bytes=65536\)"):
        SLIPFramer(0)


# ---- heavy


@pytest.mark.parametrize("written", [b"x", ESC_END], ids=repr)
def test_one_endless_frame_byte_by_byte_is_linear(written: bytes) -> None:
    check_linear(
        lambda: SLIPFramer(1 << 30), lambda n: [written[at : at + 1] for at in range(len(written))] * n, n=2048
    )


def test_many_small_frames_in_one_read_are_linear() -> None:
    check_linear(SLIPFramer, lambda n: [(ESC_END + END) * n], n=2048)


@pytest.mark.parametrize("together", [False, True])
def test_nothing_but_ends_is_linear_and_holds_nothing(together: bool) -> None:
    check_linear(SLIPFramer, lambda n: [END * n] if together else [END] * n, n=2048)
    framer = SLIPFramer()
    assert peak_bytes(framer, (END for _ in range(20_000))) < 10_000
    assert 0 == framer.inbound.holds


def endless(size: int) -> Iterator[bytes]:
    return (b"x" * 511 + ESC_END * 256 + b"x" for _ in range(size // 1024))


@pytest.mark.full
def test_136_mib_frame_in_1_kib_pieces_is_linear() -> None:
    assert cpu_ratio(partial(SLIPFramer, 1 << 30), endless, 136 * MIB, "1 KiB, kept") < 8


@pytest.mark.full
def test_long_frame_takes_a_small_multiple_of_its_size() -> None:
    assert peak_bytes(SLIPFramer(8 * MIB), [*endless(8 * MIB), END]) < 6 * 8 * MIB
