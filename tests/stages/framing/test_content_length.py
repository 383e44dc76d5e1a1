"""ContentLengthFramer: frames behind a Content-Length header."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import CorruptFrameError, FrameTooLongError, IncompleteFrameError
from pipeline.testing import Harness, check_framer, check_limit, check_linear
from stages import ContentLengthFramer

from .driving import (
    MIB,
    RANDOM_CUTS,
    byte_by_byte,
    check_keeping_takes_little_memory,
    cpu_ratio,
    error_of,
    finished,
    outcome,
    pieces_at,
    random_pieces,
)


def frame(payload: bytes) -> bytes:
    return b"Content-Length: %d\r\n\r\n%b" % (len(payload), payload)


# ---- what a frame is


def test_the_header_says_how_many_bytes_follow() -> None:
    check_framer(
        ContentLengthFramer,
        wire=frame(b'{"id": 1}') + frame(b"") + frame(b"\r\n"),
        frames=[b'{"id": 1}', b"", b"\r\n"],
        outbound="bytes",
        random_cuts=100,
    )


@pytest.mark.parametrize(
    "header",
    [
        b"Content-Length: 2\r\n",
        b"Content-Length:2\r\n",
        b"content-length:\t 2 \r\n",
        b"CONTENT-LENGTH: 002\r\n",
        b"Content-Length: 2\r\nContent-Type: application/vscode-jsonrpc; charset=utf-8\r\n",
        b"Content-Type: application/vscode-jsonrpc; charset=utf-8\r\nContent-Length: 2\r\n",
        b"content-type:a\r\nX-Trace:\r\nContent-Length2: 9\r\ncontent-Length: 00000000000000000002\r\nX: \xe4:\r\n",
    ],
    ids=repr,
)
def test_names_in_any_case_and_other_headers_are_taken(header: bytes) -> None:
    wire = header + b"\r\n{}" + frame(b"[]")
    for pieces in ([wire], byte_by_byte(wire), [wire[:9], wire[9:]]):
        assert ([b"{}", b"[]"], None, None, 0) == outcome(ContentLengthFramer(), pieces)


def test_frames_are_bytes_also_of_a_bytearray() -> None:
    (payload,) = ContentLengthFramer().inbound.process_sync(bytearray(frame(b"{}")))
    assert bytes is type(payload)


# ---- the cut does not matter


LINES = rb"(?:[\w-]+:[^\r\n]*\r\n)*"


def naive(wire: bytes, max_bytes: int) -> tuple[list[bytes], str | None]:
    """Each header tried anew with one byte more: the frames, and what is wrong behind them."""
    frames: list[bytes] = []
    end = 0
    while end < len(wire):
        end += 1
        header = wire[:end]
        lengths = re.findall(rb"^content-length:[ \t]*(.*?)[ \t]*\r$", header, re.IGNORECASE | re.MULTILINE)
        if len(lengths) > 1 or not all(re.fullmatch(rb"[0-9]{1,20}", length) for length in lengths):
            if header.endswith(b"\n"):
                return frames, "Corrupt"
        elif re.fullmatch(LINES + rb"\r\n", header):
            if not lengths:
                return frames, "Corrupt"
            if int(lengths[0]) > max_bytes:
                return frames, "TooLong"
            body = wire[end:][: int(lengths[0])]
            if len(body) < int(lengths[0]):
                return frames, "Incomplete"
            frames.append(body)
            wire, end = wire[end + len(body) :], 0
            continue
        if not re.fullmatch(LINES + rb"(?:[\w-]+(?::[^\r\n]*\r?)?|\r)?", header):
            return frames, "Corrupt"
    return frames, "Incomplete" if wire else None


PARTS = [
    *(b"Content-Length: ", b"content-length:", b"0", b"2", b"9", b"\r\n", b"\r\n\r\n", b"\r", b"\n", b":", b" ", b"ab"),
    *(b"Content-Length: 2\r\n\r\nab", b"Content-Length: 0\r\n\r\n", b"X: y\r\n", b"Content-Type: z\r\n"),
]


@pytest.mark.parametrize("max_bytes", [5, 1000])
@given(
    wire=st.lists(st.sampled_from(PARTS), max_size=12).map(b"".join), places=st.lists(st.integers(0, 60), max_size=6)
)
def test_cuts_make_no_difference_and_all_is_as_in_a_naive_framer(
    max_bytes: int, wire: bytes, places: list[int]
) -> None:
    frames, wrong = naive(wire, max_bytes)
    whole = outcome(ContentLengthFramer(max_bytes), [wire])
    assert frames == whole[0]
    assert (wrong or "") in (whole[1] or "")
    assert (wrong is None) == (whole[1] is None)
    assert whole == outcome(ContentLengthFramer(max_bytes), pieces_at(wire, sorted(places)))
    assert whole == outcome(ContentLengthFramer(max_bytes), byte_by_byte(wire))


@pytest.mark.parametrize("limit", [20, 21, 25, 40])
@given(wire=st.lists(st.sampled_from(PARTS), max_size=12).map(b"".join))
def test_limit_of_the_header_is_the_same_however_cut(limit: int, wire: bytes) -> None:
    whole = outcome(ContentLengthFramer(max_header_bytes=limit), [wire])
    assert whole == outcome(ContentLengthFramer(max_header_bytes=limit), byte_by_byte(wire))


def test_ten_thousand_random_cuts() -> None:
    rng = random.Random(2)
    ends = [
        b"",
        b"Con",
        b"Content-Length: 9\r\n\r\nabc",
        b"Content-Length: x\r\n\r\n",
        b"A\n",
        b"A: b\r\n\r\n",
        b"a:" * 50,
    ]
    for _ in range(RANDOM_CUTS // 10):
        wire = b"".join(
            rng.choice([b"", b"", b"X-A: bc\r\n"]) + frame(b"x" * size) for size in rng.choices(range(90), k=6)
        )
        wire += rng.choice(ends)
        parameters = {"max_bytes": rng.choice([85, 65536]), "max_header_bytes": rng.choice([25, 40, 8192])}
        whole = outcome(ContentLengthFramer(**parameters), [wire])
        for _ in range(10):
            pieces = random_pieces(rng, wire)
            assert whole == outcome(ContentLengthFramer(**parameters), pieces), (parameters, pieces)


# ---- limits


def test_exactly_the_limit_passes_and_one_more_byte_fails() -> None:
    """The frame without its header counts, and the header alone is enough to fail."""
    check_limit(
        ContentLengthFramer,
        lambda n: frame(b"x" * n),
        payload=lambda n: b"x" * n,
        certain=lambda n: len(frame(b"x" * (n + 1))) - n - 1,
        limits=(1, 9, 30),
        random_cuts=20,
    )


@pytest.mark.parametrize("end", [b"A: %b\r\n\r\n", b"A%b:\r\n\r\n"])
def test_exactly_the_limit_of_the_header_passes_and_one_more_byte_fails(end: bytes) -> None:
    """As soon as the end of the line and the empty line have no room: no need to see them."""
    head = b"Content-Length: 0\r\n"

    def header(size: int) -> bytes:
        return head + end % (b"b" * (size - len(head) - len(end % b"")))

    check_limit(
        lambda n: ContentLengthFramer(max_header_bytes=n),
        header,
        certain=lambda n: n - 3 if end.startswith(b"A:") else n - 4,
        limits=(26, 60),
        random_cuts=20,
    )


def test_a_usual_header_may_be_too_long_too() -> None:
    assert ([b""], None, None, 0) == outcome(ContentLengthFramer(max_header_bytes=21), [frame(b"")])
    message = "a header of at least 21 bytes is over the limit, max_header_bytes=20. Raise max_header_bytes if"
    for pieces in ([frame(b"")], byte_by_byte(frame(b""))):
        assert message in error_of(ContentLengthFramer(max_header_bytes=20), *pieces)


def test_too_long_tells_both_numbers_and_allocates_nothing() -> None:
    with pytest.raises(FrameTooLongError, match="a frame of at least 99999999999999999999 bytes is over") as info:
        list(ContentLengthFramer().inbound.process_sync(b"Content-Length: 99999999999999999999\r\n\r\n"))
    assert (16777216, 99999999999999999999) == (info.value.limit, info.value.size)
    with pytest.raises(FrameTooLongError) as info:
        list(ContentLengthFramer(max_header_bytes=50).inbound.process_sync(b"X" * 51))
    assert (50, 51) == (info.value.limit, info.value.size)


def test_frames_before_a_long_one_are_delivered_first() -> None:
    harness = Harness(ContentLengthFramer(4))
    with pytest.raises(FrameTooLongError, match="a frame of at least 5 bytes is over the limit, max_bytes=4") as info:
        harness.receive(frame(b"1234") + frame(b"12345") + frame(b"6"))
    assert [b"1234"] == harness.received
    assert "oversize" not in str(info.value)


# ---- what is corrupt

LENGTH = b"Content-Length: "


@pytest.mark.parametrize(
    ("wire", "message"),
    [
        (b"Content-Type: a\r\n\r\n{}", "a header without Content-Length"),
        (b"\r\n{}", "a header without Content-Length"),
        (LENGTH + b"2\r\nContent-Length: 2\r\n\r\n{}", "a second Content-Length in one header, b'2' after 2"),
        (LENGTH + b"2\r\ncontent-length: 3\r\n\r\n{}", "a second Content-Length in one header, b'3' after 2"),
        (LENGTH + b"2, 2\r\n\r\n", "Content-Length is b'2, 2', not a number of 1 to 20 digits"),
        (LENGTH + b"+2\r\n\r\n", "is b'+2', not a number"),
        (LENGTH + b"-2\r\n\r\n", "is b'-2', not a number"),
        (LENGTH + b"1 2\r\n\r\n", "is b'1 2', not a number"),
        (LENGTH + b"1_2\r\n\r\n", "is b'1_2', not a number"),
        (LENGTH + b"0x2\r\n\r\n", "is b'0x2', not a number"),
        (LENGTH + b"2.0\r\n\r\n", "is b'2.0', not a number"),
        (LENGTH + b"\xb2\r\n\r\n", r"is b'\xb2', not a number"),
        (LENGTH + b"\r\n\r\n", "is b'', not a number"),
        (LENGTH + b"9" * 21 + b"\r\n\r\n", f"is b'{'9' * 21}', not a number"),
        (LENGTH + b"9" * 5000 + b"\r\n\r\n", f"is b'{'9' * 30}', not a number"),
        (LENGTH + b"2\n\n{}", "a lone LF after b'Content-Length: 2' in a header"),
        (LENGTH + b"2\r\n\n{}", "a lone LF after b'' in a header"),
        (LENGTH + b"2\rX: y\r\n\r\n{}", "a lone CR after b'Content-Length: 2' in a header"),
        (LENGTH + b"2\r\n\r{}", "a lone CR after b'' in a header"),
        (LENGTH + b"2\r\r\n\r\n{}", "a lone CR after b'Content-Length: 2' in a header"),
        (b"\n" + LENGTH, "a lone LF after b'' in a header"),
        (b"Content-Length : 2\r\n\r\n{}", "b' ' after b'Content-Length' in a header"),
        (b" Content-Length: 2\r\n\r\n{}", "b' ' after b'' in a header"),
        (b"X: y\r\n z\r\n", "b' ' after b'' in a header"),
        (b"X: y\0\r\n", r"b'\x00' after b'X: y' in a header"),
        (b": 2\r\n", "b':' after b'' in a header"),
        (b"Content-Length\r\n", r"b'\r' after b'Content-Length' in a header, which is lines of 'Name: value'"),
        (b"{}", "lines of 'Name: value', each ended by CRLF, and an empty one. Does the peer send headers? For JSON"),
    ],
)  # fmt: skip
def test_anything_else_is_corrupt(wire: bytes, message: str) -> None:
    for pieces in ([wire], byte_by_byte(wire)):
        error = error_of(ContentLengthFramer(), *pieces)
        assert error.startswith("CorruptFrameError: ContentLengthFramer: ")
        assert message in error


def test_after_a_corrupt_header_every_call_raises() -> None:
    wire = frame(b"1") + b"Content-Length: 1\n\n2"
    check_framer(ContentLengthFramer, wire=wire, frames=[b"1"], errors=CorruptFrameError, random_cuts=50)


# ---- the end


@pytest.mark.parametrize(
    ("wire", "message"),
    [
        (b"Content-Le", "10 bytes into a header"),
        (b"Content-Length: 5\r\n\r", "20 bytes into a header"),
        (b"Content-Length: 5\r\n\r\n", "21 bytes into a frame of 26 bytes, its header counted"),
        (b"Content-Length: 5\r\n\r\nabcd", "25 bytes into a frame of 26 bytes"),
    ],
)
def test_end_inside_a_frame_tells_both_numbers(wire: bytes, message: str) -> None:
    for pieces in ([wire], byte_by_byte(wire)):
        framer = ContentLengthFramer()
        for piece in pieces:
            assert [] == list(framer.inbound.process_sync(piece))
        with pytest.raises(IncompleteFrameError, match=f"ContentLengthFramer: the stream ended {message}") as info:
            finished(framer)
        assert wire == info.value.leftover


# ---- giving back


def test_unread_gives_back_the_original_bytes() -> None:
    frames = [b"X: y\r\n" + frame(b"ab"), frame(b""), frame(b"c"), b"content-length:2\r\n\r\nd"]
    for taken in range(4):
        framer = ContentLengthFramer()
        results = list(framer.inbound.process_sync(b"".join(frames)))
        assert [b"".join(frames[taken:])] == framer.inbound.unread(results[taken:])
        assert [b"x"] == list(framer.inbound.process_sync(frame(b"x")))


# ---- outbound and building


def test_outbound_puts_a_header_before_the_payload() -> None:
    assert [b"Content-Length: 2\r\n\r\n{}"] == Harness(ContentLengthFramer()).send(bytearray(b"{}"))


def test_outbound_refuses_what_is_over_a_limit() -> None:
    with pytest.raises(FrameTooLongError, match="a frame of 3 bytes is over the limit, max_bytes=2; nothing was wri"):
        ContentLengthFramer(2).outbound.process_sync(b"abc")
    with pytest.raises(FrameTooLongError, match="a header of 22 bytes is over the limit, max_header_bytes=21; nothing"):
        ContentLengthFramer(max_header_bytes=21).outbound.process_sync(b"x" * 10)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"max_bytes": 0}, r"\(max_bytes=0\): .*ContentLengthFramer\(max_bytes=16777216\)"),
        ({"max_header_bytes": 0}, r"\(max_header_bytes=0\): .*ContentLengthFramer\(max_header_bytes=8192\)"),
        (
            {"max_header_bytes": 19},
            r"max_header_bytes=19\): no frame would ever pass, as the shortest header has 20 by",
        ),
    ],
    ids=str,
)
def test_wrong_parameters_show_the_remedy(parameters: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ContentLengthFramer(**parameters)


# ---- heavy


def one_frame(size: int, piece: int) -> Iterator[bytes]:
    yield b"Content-Length: %d\r\n\r\n" % size
    block = b"x" * piece
    yield from (block for _ in range(size // piece))


@pytest.mark.parametrize("unit", [b"x", b"X: y\r\n", b"X:" + b"y" * 60 + b"\r\n"])
def test_one_endless_header_is_linear(unit: bytes) -> None:
    make = partial(ContentLengthFramer, max_header_bytes=1 << 30)
    check_linear(make, lambda n: [unit * (n // len(unit))], n=16384)
    check_linear(make, lambda n: byte_by_byte(unit * (n // len(unit))), n=2048)


def test_one_frame_byte_by_byte_is_linear() -> None:
    check_linear(lambda: ContentLengthFramer(1 << 30), lambda n: one_frame(n, 1), n=8192)


def test_many_small_frames_in_one_read_are_linear() -> None:
    check_linear(ContentLengthFramer, lambda n: [frame(b"{}") * n], n=2048)


@pytest.mark.full
def test_136_mib_frame_in_1_kib_pieces_is_linear() -> None:
    """A quarter of it is over 32 MiB too: below, malloc reuses what was freed, and the times do not compare."""
    make = partial(ContentLengthFramer, 1 << 30)
    assert cpu_ratio(make, lambda size: one_frame(size, 1024), 136 * MIB, "1 KiB, kept") < 8


@pytest.mark.full
def test_4_mib_frame_byte_by_byte_is_linear() -> None:
    make = partial(ContentLengthFramer, 1 << 30)
    assert cpu_ratio(make, lambda size: one_frame(size, 1), 4 * MIB, "1 byte") < 8


@pytest.mark.full
def test_a_frame_takes_a_small_multiple_of_its_size() -> None:
    check_keeping_takes_little_memory(ContentLengthFramer(), one_frame(8 * MIB, 1024))
