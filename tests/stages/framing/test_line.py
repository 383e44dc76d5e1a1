"""LineFramer: lines in, lines out."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline import CorruptFrameError, FrameTooLongError, IncompleteFrameError
from pipeline.testing import Harness, check_framer, check_limit, check_linear
from stages import LineFramer

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

PARAMETERS: list[dict[str, Any]] = [
    {},
    {"ending": "lf"},
    {"ending": "crlf"},
    {"max_bytes": 3},
    {"max_bytes": 1, "ending": "lf", "at_eof": "emit"},
    {"max_bytes": 3, "ending": "crlf", "keep_ends": True},
    {"max_bytes": 2, "oversize": "skip", "at_eof": "emit"},
    {"max_bytes": 2, "oversize": "skip", "ending": "crlf", "at_eof": "drop"},
    {"max_bytes": 2, "oversize": "skip", "ending": "lf"},
    {"keep_ends": True},
    {"keep_ends": True, "ending": "lf"},
]
EVERY_KIND = pytest.mark.parametrize("parameters", PARAMETERS, ids=str)
WIRES = st.lists(st.sampled_from([b"a", b"b", b"\r", b"\n", b"\r\n", b"abc\r\n"]), max_size=20).map(b"".join)


def lines_of(*pieces: bytes, **parameters: Any) -> list[bytes]:
    frames, error, _, _ = outcome(LineFramer(**parameters), pieces)
    assert error is None
    return frames


# ---- what a line is


def test_lf_or_crlf_ends_a_line() -> None:
    """One CR before LF is part of the ending, and a CR elsewhere is data."""
    assert [b"a", b"b", b"", b"c\rd", b"e\r", b"\rf"] == lines_of(b"a\nb\r\n\r\nc\rd\ne\r\r\n\rf\n")


def test_lines_that_all_end_in_crlf() -> None:
    assert [b"a", b"", b"b"] == lines_of(b"a\r\n\r\nb\r\n")


def test_lf_alone_leaves_cr_in_the_line() -> None:
    assert [b"a\r", b"b"] == lines_of(b"a\r\nb\n", ending="lf")


def test_crlf_alone_ends_a_line_where_it_is_asked_for() -> None:
    assert [b"a", b"", b"b"] == lines_of(b"a\r\n\r\nb\r", b"\n", ending="crlf")


@pytest.mark.parametrize(
    ("wire", "lines", "lone"),
    [
        (b"a\r\nb\nc\r\n", [b"a"], "LF after b'b'"),
        (b"a\rb\r\n", [], "CR after b'a'"),
        (b"a\r\r\n", [], "CR after b'a'"),
        (b"\n", [], "LF after b''"),
        (b"a\r\nb\rc", [b"a"], "CR after b'b'"),
        (b"ab\ncd", [], "LF after b'ab'"),
    ],
)
def test_crlf_refuses_what_another_reader_might_take_for_an_ending(wire: bytes, lines: list[bytes], lone: str) -> None:
    """So nobody can smuggle a message past us (RFC 5321 section 2.3.8)."""
    check_framer(lambda: LineFramer(ending="crlf"), wire=wire, frames=lines, errors=CorruptFrameError)
    with pytest.raises(CorruptFrameError, match=f"a lone {lone}; only CRLF ends a line here.*ending='any'"):
        list(LineFramer(ending="crlf").inbound.process_sync(wire))


def test_lone_cr_is_certain_with_the_next_byte() -> None:
    framer = LineFramer(ending="crlf")
    assert [] == list(framer.inbound.process_sync(b"a"))
    assert [] == list(framer.inbound.process_sync(b"\r"))
    with pytest.raises(CorruptFrameError):
        list(framer.inbound.process_sync(b"b"))


def test_keep_ends_gives_lines_with_their_endings() -> None:
    assert [b"a\n", b"b\r\n", b"\n"] == lines_of(b"a\nb\r\n\n", keep_ends=True)
    assert [b"a\rb\n", b"c\r\r\n"] == lines_of(b"a\rb\nc\r\r\n", keep_ends=True)
    assert [b"a\r\n", b"b\n"] == lines_of(b"a\r\nb\n", keep_ends=True, ending="lf")
    assert [b"a\r\n"] == lines_of(b"a\r\n", keep_ends=True, ending="crlf")


def test_nothing_in_nothing_out() -> None:
    assert [] == lines_of(b"", b"")
    assert [] == lines_of(b"", ending="crlf")


@pytest.mark.parametrize("split", [b"\n", b"\r\n"])
@given(lines=st.lists(st.binary(max_size=9).filter(lambda line: not {10, 13} & {*line}), max_size=9))
def test_lines_are_what_joining_them_was(split: bytes, lines: list[bytes]) -> None:
    assert lines == lines_of(b"".join(line + split for line in lines))


# ---- the cut does not matter


@EVERY_KIND
@given(wire=WIRES, places=st.lists(st.integers(0, 40), max_size=6).map(sorted))
@example(wire=b"aaaaaa\n\r\na", places=[6, 8])
def test_cuts_make_no_difference(parameters: dict[str, Any], wire: bytes, places: list[int]) -> None:
    whole = outcome(LineFramer(**parameters), [wire])
    assert whole == outcome(LineFramer(**parameters), pieces_at(wire, places))
    assert whole == outcome(LineFramer(**parameters), pieces_at(wire, range(1, len(wire))))


def test_ten_thousand_random_cuts() -> None:
    rng = random.Random(1)
    alphabet = [b"a", b"bb", b"\r", b"\n", b"\r\n", b"x" * 70]
    for _ in range(RANDOM_CUTS // 10):
        wire = b"".join(rng.choices(alphabet, weights=[5, 5, 1, 2, 3, 1], k=25))
        parameters = {**rng.choice(PARAMETERS), "max_bytes": rng.choice([3, 70, 72, 65536])}
        whole = outcome(LineFramer(**parameters), [wire])
        for _ in range(10):
            pieces = random_pieces(rng, wire)
            assert whole == outcome(LineFramer(**parameters), pieces), (parameters, pieces)


@EVERY_KIND
@pytest.mark.parametrize("wire", [b"ab\r\nc\r\n\r\nde\n", b"a\n\nb\r\nabcd\nx\n", b"a\rb\r\r\nc\r", b"ab\r\ncd\r\nef"])
def test_every_rule_for_framers(parameters: dict[str, Any], wire: bytes) -> None:
    """F1 and F4 to F8, as the test kit checks them."""
    frames, error, leftover, _ = outcome(LineFramer(**parameters), [wire])
    kinds = {kind.__name__: kind for kind in (CorruptFrameError, FrameTooLongError, IncompleteFrameError)}
    # What was emitted at the end without its ending cannot go out as it came; a final CR under "any" neither.
    same = all(frame.endswith(b"\n") for frame in frames) if parameters.get("keep_ends") else b"\r" not in wire[-1:]
    check_framer(
        lambda: LineFramer(**parameters),
        wire=wire,
        frames=frames,
        errors=kinds[error.partition(":")[0]] if error else None,
        leftover=leftover,
        outbound="frames" if same and not any(frame.endswith(b"\r") for frame in frames) else "none",
        drops_rest=parameters.get("at_eof") == "drop",
        random_cuts=50,
    )


def test_what_was_kept_goes_out_as_the_same_bytes() -> None:
    lines = [b"a\n", b"b\r\n", b"\r\n", b"c\rd\n", b"\re\r\r\n"]
    check_framer(lambda: LineFramer(keep_ends=True), wire=b"".join(lines), frames=lines, outbound="bytes")
    check_framer(
        lambda: LineFramer(keep_ends=True, ending="crlf"),
        wire=b"a\r\n\r\n",
        frames=[b"a\r\n", b"\r\n"],
        outbound="bytes",
    )


# ---- limits


@pytest.mark.parametrize("ending", ["any", "lf", "crlf"])
@pytest.mark.parametrize("keep_ends", [False, True])
def test_exactly_the_limit_passes_and_one_more_byte_fails(ending: Any, keep_ends: bool) -> None:
    """The ending does not count, and the error comes as soon as it is certain."""
    mark = b"\n" if ending == "lf" else b"\r\n"
    check_limit(
        lambda n: LineFramer(n, ending=ending, keep_ends=keep_ends),
        lambda n: b"x" * n + mark,
        payload=lambda n: b"x" * n + mark * keep_ends,
        certain=lambda n: n + 1,
        limits=(1, 2, 30),
        random_cuts=50,
    )


def test_cr_behind_the_limit_may_yet_be_part_of_the_ending() -> None:
    for rest, lines in ((b"\n", [b"abc"]), (b"d", None), (b"\r", None)):
        framer = LineFramer(3)
        assert [] == list(framer.inbound.process_sync(b"abc\r"))
        if lines is None:
            with pytest.raises(FrameTooLongError):
                list(framer.inbound.process_sync(rest))
        else:
            assert lines == list(framer.inbound.process_sync(rest))


def test_cr_behind_the_limit_is_data_when_the_stream_ends() -> None:
    framer = LineFramer(3, at_eof="emit")
    list(framer.inbound.process_sync(b"abc\r"))
    with pytest.raises(FrameTooLongError, match="at least 4 bytes"):
        finished(framer)

    assert ([], None, None, 1) == outcome(LineFramer(3, at_eof="emit", oversize="skip"), [b"abc\r"])


def test_lines_before_a_long_one_are_delivered_first() -> None:
    harness = Harness(LineFramer(5))
    with pytest.raises(FrameTooLongError, match="a line of at least 6 bytes is over the limit, max_bytes=5"):
        harness.receive(b"one\ntwo\ntoo long\nthree\n")
    assert [b"one", b"two"] == harness.received


def test_many_short_lines_in_one_read_are_checked_against_a_small_limit() -> None:
    """Whichever way it is checked: line by line, or from limit to limit."""
    short = b"abc\n" * 10
    for limit in (3, 10, 20, 39):
        assert [b"abc"] * 10 == lines_of(short, max_bytes=limit)
    for limit, wire in ((2, short), (3, short + b"abcd\n"), (10, short + b"x" * 11), (3, short + b"abcd")):
        frames, error, _, _ = outcome(LineFramer(limit), [wire])
        assert error is not None
        assert error.startswith("FrameTooLongError")
        assert ([] if limit == 2 else [b"abc"] * 10) == frames


def test_skip_drops_long_lines_and_stays_in_step() -> None:
    assert ([b"a", b"b"], None, None, 2) == outcome(LineFramer(2, oversize="skip"), [b"a\nlong\nlonger\nb\n"])
    assert ([b"a"], None, None, 1) == outcome(LineFramer(2, oversize="skip"), [b"lo", b"n", b"g\r", b"\na\n"])


def test_skip_still_refuses_a_lone_cr() -> None:
    frames, error, _, skipped = outcome(LineFramer(2, oversize="skip", ending="crlf"), [b"long", b"er\ra"])
    assert ([], 1) == (frames, skipped)
    assert error is not None
    assert "a lone CR after a line that was being dropped" in error


def test_what_is_wrong_first_counts() -> None:
    """Behind the limit a line is too long, however it goes on."""
    for wire, kind in ((b"ab\nc", "Corrupt"), (b"abc\nd", "FrameTooLong"), (b"ab\rd", "Corrupt")):
        _, error, _, _ = outcome(LineFramer(2, ending="crlf"), [wire])
        assert error is not None
        assert error.startswith(kind)


# ---- the end


def test_end_of_stream_inside_a_line() -> None:
    """An unfinished last line is an error which carries the unread bytes and shows the remedy."""
    harness = Harness(LineFramer())
    assert [b"one"] == harness.receive(b"one\ntw")

    with pytest.raises(IncompleteFrameError, match=r"2 bytes into a line, before its ending.*at_eof='emit'") as info:
        harness.finish()

    assert b"tw" == info.value.leftover


def test_last_line_without_ending_can_be_emitted_or_dropped() -> None:
    assert [b"a", b"b\r"] == lines_of(b"a\nb\r", at_eof="emit")
    assert [b"a"] == lines_of(b"a\nb", at_eof="drop")
    assert [b"a"] == lines_of(b"a\n", at_eof="emit")


def test_last_line_of_crlf_may_not_end_in_half_an_ending() -> None:
    assert [b"a"] == lines_of(b"a", at_eof="emit", ending="crlf")
    frames, error, _, _ = outcome(LineFramer(at_eof="emit", ending="crlf"), [b"a\r"])
    assert [] == frames
    assert error is not None
    assert error.startswith("CorruptFrameError")


# ---- giving back


@pytest.mark.parametrize(
    ("parameters", "wire"),
    [({}, b"a\r\nbc\n\nd\re"), ({"keep_ends": True}, b"a\r\nbc\n\nd\re"), ({"ending": "crlf"}, b"a\r\n\r\nb\r")],
    ids=str,
)
def test_unread_gives_back_the_original_bytes(parameters: dict[str, Any], wire: bytes) -> None:
    """Endings included, whichever they were."""
    lines = [line for line in wire.splitlines(keepends=True) if line.endswith(b"\n")]
    for taken in range(len(lines) + 1):
        framer = LineFramer(**parameters)
        results = list(framer.inbound.process_sync(wire))
        rest = framer.inbound.unread(results[taken:])
        assert rest is not None
        assert wire == b"".join(lines[:taken]) + b"".join(rest)


# ---- outbound


def test_outbound_adds_the_ending() -> None:
    assert [b"a\n", b"\n", b"b\rc\n"] == Harness(LineFramer()).send(b"a", b"", b"b\rc")
    assert [b"a\r\n"] == Harness(LineFramer(ending="crlf")).send(bytearray(b"a"))
    assert [b"a\r\n"] == Harness(LineFramer(ending="lf")).send(b"a\r")
    assert [b"a\r\n"] == Harness(LineFramer(keep_ends=True)).send(memoryview(b"a\r\n"))


@pytest.mark.parametrize(
    ("ending", "line", "byte"),
    [("any", b"a\nb", 1), ("any", b"ab\r", 2), ("lf", b"a\n", 1), ("crlf", b"a\nb", 1), ("crlf", b"a\rb\n", 1)],
)
def test_outbound_refuses_a_line_with_an_ending_in_it(ending: Any, line: bytes, byte: int) -> None:
    """Or a client's text could put lines of its own on the wire (header injection)."""
    with pytest.raises(CorruptFrameError, match=f"byte {byte} of the line is .*Send one line an item"):
        LineFramer(ending=ending).outbound.process_sync(line)


@pytest.mark.parametrize(
    ("ending", "line"), [("any", b"a\nb\n"), ("lf", b"\n\n"), ("crlf", b"a\rb\r\n"), ("crlf", b"a\nb\r\n")]
)
def test_keep_ends_refuses_a_second_ending(ending: Any, line: bytes) -> None:
    with pytest.raises(CorruptFrameError, match="Send one line an item"):
        LineFramer(ending=ending, keep_ends=True).outbound.process_sync(line)


@pytest.mark.parametrize(("ending", "line"), [("any", b"a"), ("lf", b""), ("crlf", b"a\n")])
def test_keep_ends_refuses_a_line_without_ending(ending: Any, line: bytes) -> None:
    with pytest.raises(CorruptFrameError, match=r"so the peer would take the next line for a part of it. Add the end"):
        LineFramer(ending=ending, keep_ends=True).outbound.process_sync(line)


def test_outbound_limit_shows_both_numbers() -> None:
    with pytest.raises(FrameTooLongError, match="a line of 4 bytes is over the limit, max_bytes=3; nothing was w"):
        LineFramer(3).outbound.process_sync(b"abcd")


def test_outbound_refuses_text_with_the_way_to_get_bytes() -> None:
    with pytest.raises(TypeError, match=r"LineFramer takes bytes, not str: put a TextCodec\(\)"):
        LineFramer().outbound.process_sync("a")  # type: ignore[arg-type]


# ---- building


def test_a_limit_of_zero_shows_the_remedy() -> None:
    with pytest.raises(ValueError, match=r"LineFramer\(max_bytes=0\): .* 1 or more.*LineFramer\(max_bytes=65536\)"):
        LineFramer(max_bytes=0)


def test_an_unknown_ending_shows_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"LineFramer\(ending='\\n'\): must be one of 'any', 'lf', 'crlf'"):
        LineFramer(ending="\n")  # type: ignore[arg-type]


def test_repr_shows_it_as_it_is_written() -> None:
    assert "LineFramer(100, ending='crlf')" == repr(LineFramer(100, ending="crlf"))


# ---- heavy


def endless(size: int) -> Iterator[bytes]:
    piece = b"x" * 1024
    return (piece for _ in range(size // 1024))


@pytest.mark.parametrize("ending", ["any", "lf", "crlf"])
def test_one_endless_line_byte_by_byte_is_linear(ending: Any) -> None:
    check_linear(lambda: LineFramer(1 << 30, ending=ending), lambda n: [b"x"] * n, n=8192)


@pytest.mark.full
def test_64_mib_line_dropped_in_1_kib_pieces_is_linear() -> None:
    assert cpu_ratio(partial(LineFramer, oversize="skip"), endless, 64 * MIB, "1 KiB, dropped") < 8


@pytest.mark.full
def test_136_mib_line_kept_in_1_kib_pieces_is_linear() -> None:
    """A quarter of it is over 32 MiB too: below, malloc reuses what was freed, and the times do not compare."""
    assert cpu_ratio(partial(LineFramer, 1 << 30), endless, 136 * MIB, "1 KiB, kept") < 8


@pytest.mark.full
@pytest.mark.parametrize("ending", ["any", "crlf"])
def test_4_mib_line_byte_by_byte_is_linear(ending: Any) -> None:
    make = partial(LineFramer, 1 << 30, ending=ending)
    assert cpu_ratio(make, lambda size: itertools.repeat(b"x", size), 4 * MIB, f"1 byte, {ending}") < 8


@pytest.mark.full
def test_64_mib_line_takes_no_more_memory_than_the_limit() -> None:
    """Dropping it, no more than the limit and the piece at hand; below the limit, a small multiple of its size."""
    check_dropping_takes_no_memory(LineFramer(oversize="skip"), endless(64 * MIB))
    check_keeping_takes_little_memory(LineFramer(8 * MIB), [*endless(8 * MIB - 1024), b"\n"])
