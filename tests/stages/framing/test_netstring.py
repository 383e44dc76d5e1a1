"""NetstringFramer: `5:hello,`."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import CorruptFrameError, FrameTooLongError, IncompleteFrameError
from pipeline.testing import Harness, check_framer, check_limit, check_linear
from stages import NetstringFramer

from .driving import (
    MIB,
    RANDOM_CUTS,
    check_keeping_takes_little_memory,
    cpu_ratio,
    finished,
    outcome,
    pieces_at,
    random_pieces,
)


def frame(size: int) -> bytes:
    return b"%d:%b," % (size, b"x" * size)


# ---- what a netstring is


def test_a_netstring_is_its_length_a_colon_its_bytes_and_a_comma() -> None:
    check_framer(
        NetstringFramer,
        wire=b"5:hello,0:,3:4:,,12:hello world!,",
        frames=[b"hello", b"", b"4:,", b"hello world!"],
        outbound="bytes",
        random_cuts=200,
    )


def test_frames_are_bytes_also_of_a_bytearray() -> None:
    (payload,) = NetstringFramer().inbound.process_sync(bytearray(b"1:a,"))
    assert bytes is type(payload)


# ---- the cut does not matter


@pytest.mark.parametrize("max_bytes", [1, 5, 10, 65536])
@given(
    wire=st.lists(st.sampled_from([b"0:,", b"1:a,", b"2:bc,", b"10:abcdefghij,", b"1", b"0", b":", b",", b"x"])).map(
        b"".join
    ),
    places=st.lists(st.integers(0, 30), max_size=6).map(sorted),
)
def test_cuts_make_no_difference(max_bytes: int, wire: bytes, places: list[int]) -> None:
    whole = outcome(NetstringFramer(max_bytes), [wire])
    assert whole == outcome(NetstringFramer(max_bytes), pieces_at(wire, places))
    assert whole == outcome(NetstringFramer(max_bytes), pieces_at(wire, range(1, len(wire))))


def test_ten_thousand_random_cuts() -> None:
    rng = random.Random(2)
    for _ in range(RANDOM_CUTS // 10):
        wire = b"".join(map(frame, rng.choices(range(130), k=9)))
        wire += rng.choice([b"", b"1", b"9:abc", b"01:", b"2:abc", b"x", b"123456:"])
        max_bytes = rng.choice([100, 120, 65536])
        whole = outcome(NetstringFramer(max_bytes), [wire])
        for _ in range(10):
            pieces = random_pieces(rng, wire)
            assert whole == outcome(NetstringFramer(max_bytes), pieces), (max_bytes, pieces)


# ---- limits


def test_exactly_the_limit_passes_and_one_more_byte_fails() -> None:
    """The payload counts, and its length alone is enough to fail."""
    check_limit(
        NetstringFramer,
        frame,
        payload=lambda n: b"x" * n,
        certain=lambda n: len(f"{n + 1}:"),
        limits=(1, 2, 5, 100, 998),
        random_cuts=50,
    )


@pytest.mark.parametrize("limit", [9, 99])
def test_one_more_byte_than_a_limit_of_nines_is_one_digit_too_many(limit: int) -> None:
    assert ([b"x" * limit], None, None, 0) == outcome(NetstringFramer(limit), [frame(limit)])
    _, error, _, _ = outcome(NetstringFramer(limit), [str(limit + 1).encode()])
    digits = len(str(limit))
    assert error is not None
    assert f"a length of more than {digits} digits, b'{limit + 1}', while max_bytes={limit} has {digits}" in error


def test_frames_before_a_long_one_are_delivered_first() -> None:
    harness = Harness(NetstringFramer(4))
    with pytest.raises(
        FrameTooLongError, match="a netstring of at least 9 bytes is over the limit, max_bytes=4"
    ) as info:
        harness.receive(b"1:a,9:bcdefghij,1:k,")
    assert [b"a"] == harness.received
    assert "oversize" not in str(info.value)
    assert (4, 9) == (info.value.limit, info.value.size)


# ---- what is corrupt


@pytest.mark.parametrize(
    ("wire", "message"),
    [
        (b"00:,", "a length with a leading zero, b'00'"),
        (b"05:hello,", "a length with a leading zero, b'05'"),
        (b"0x", "b'x' after b'0', where a length in digits and a colon should be"),
        (b":,", "b':' after b'', where a length"),
        (b"+1:a,", r"b'\+' after b'', where a length"),
        (b"-1:a,", "b'-' after b'', where a length"),
        (b" 1:a,", "b' ' after b'', where a length"),
        (b"1 :a,", "b' ' after b'1', where a length"),
        (b"1_0:", "b'_' after b'1', where a length"),
        (b"\n1:a,", r"b'\\n' after b'', where"),
        ("\N{ARABIC-INDIC DIGIT ONE}:a,".encode(), "after b'', where"),
        (b"100000:", r"a length of more than 5 digits, b'100000', while max_bytes=65536 has 5"),
        (b"9" * 10_000, "a length of more than 5 digits, b'999999', while"),
        (b"1:a;", "b';' instead of a comma behind a netstring of 1 bytes"),
        (b"1:ab,", "b'b' instead of a comma behind a netstring of 1 bytes"),
    ],
)
def test_anything_else_is_corrupt(wire: bytes, message: str) -> None:
    check_framer(NetstringFramer, wire=b"1:a," + wire[:20], frames=[b"a"], errors=CorruptFrameError, random_cuts=20)
    with pytest.raises(CorruptFrameError, match=message):
        list(NetstringFramer().inbound.process_sync(wire))


# ---- the end


@pytest.mark.parametrize(
    ("wire", "message"),
    [
        (b"1", "1 bytes into the length of a netstring"),
        (b"5:hel", "5 bytes into a netstring of 8 bytes, all counted"),
        (b"5:hello", "7 bytes into a netstring of 8 bytes"),
    ],
)
def test_end_inside_a_netstring_tells_both_numbers(wire: bytes, message: str) -> None:
    framer = NetstringFramer()
    list(framer.inbound.process_sync(wire))
    with pytest.raises(IncompleteFrameError, match=f"NetstringFramer: the stream ended {message}") as info:
        finished(framer)
    assert wire == info.value.leftover


# ---- giving back


def test_unread_gives_back_the_original_bytes() -> None:
    wire = b"2:ab,0:,1:c,5:de"
    for taken, length in ((0, 0), (1, 5), (2, 8), (3, 12)):
        framer = NetstringFramer()
        results = list(framer.inbound.process_sync(wire))
        assert [wire[length:]] == framer.inbound.unread(results[taken:])
        assert [b"x"] == list(framer.inbound.process_sync(b"1:x,"))


# ---- outbound and building


def test_outbound_takes_all_kinds_of_bytes_and_refuses_what_is_over_the_limit() -> None:
    assert [b"2:ab,"] == Harness(NetstringFramer()).send(bytearray(b"ab"))
    with pytest.raises(FrameTooLongError, match="a netstring of 3 bytes is over the limit, max_bytes=2; nothing was"):
        NetstringFramer(2).outbound.process_sync(b"abc")


def test_wrong_parameters_show_the_remedy() -> None:
    with pytest.raises(ValueError, match=r"NetstringFramer\(max_bytes=0\): .*NetstringFramer\(max_bytes=65536\)"):
        NetstringFramer(0)


# ---- heavy


def one_frame(size: int, piece: int) -> Iterator[bytes]:
    yield b"%d:" % size
    block = b"x" * piece
    yield from (block for _ in range(size // piece))
    yield b","


def test_one_frame_byte_by_byte_is_linear() -> None:
    check_linear(lambda: NetstringFramer(1 << 30), lambda n: one_frame(n, 1), n=8192)


def test_many_small_frames_in_one_read_are_linear() -> None:
    check_linear(NetstringFramer, lambda n: [b"1:a," * n], n=8192)


@pytest.mark.full
def test_136_mib_frame_in_1_kib_pieces_is_linear() -> None:
    """A quarter of it is over 32 MiB too: below, malloc reuses what was freed, and the times do not compare."""
    make = partial(NetstringFramer, max_bytes=1 << 30)
    assert cpu_ratio(make, lambda size: one_frame(size, 1024), 136 * MIB, "1 KiB, kept") < 8


@pytest.mark.full
def test_4_mib_frame_byte_by_byte_is_linear() -> None:
    make = partial(NetstringFramer, max_bytes=1 << 30)
    assert cpu_ratio(make, lambda size: one_frame(size, 1), 4 * MIB, "1 byte") < 8


@pytest.mark.full
def test_a_frame_takes_a_small_multiple_of_its_size() -> None:
    check_keeping_takes_little_memory(NetstringFramer(9 * MIB), one_frame(8 * MIB, 1024))
