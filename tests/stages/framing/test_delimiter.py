"""DelimiterFramer: frames that end in one of some delimiters."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline import CorruptFrameError, FrameError, FrameTooLongError, IncompleteFrameError
from pipeline.testing import Harness, check_framer, check_limit, check_linear
from stages import DelimiterFramer

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

SETS: list[tuple[bytes, ...]] = [
    (b"\r",),
    (b"\r\n",),
    (b"\r\r",),  # overlaps itself
    (b"\n", b"\r"),
    (b"\n", b"\r\n"),  # the one ends the other
    (b"\r", b"\r\n"),  # the one begins the other: CR has to wait
    (b"\r\n", b"\n", b"\r"),
    (b"\n\n", b"\r\r", b"\r\n\r\n"),  # server-sent events
    (b"\n", b"\r\n\r"),  # in the middle of the other
    (b"\r\n", b"\n\r"),  # they overlap
    (b"\r\na", b"\n"),
    (b"a", b"aaab", b"\r"),
    (b"\n", b"a\n", b"b\n"),  # none can be replaced by LF before the others
    (b"ab", b"aba\r", b"b\r\n"),
    (b"\nab\r", b"\n", b"b"),
]
SOME_SETS = pytest.mark.parametrize("delimiters", [*SETS[1:3], *SETS[4:9]], ids=repr)
PARAMETERS: list[dict[str, Any]] = [
    {},
    {"keep_delimiter": True},
    {"max_bytes": 2},
    {"max_bytes": 1, "at_eof": "emit"},
    {"max_bytes": 2, "oversize": "skip", "at_eof": "drop"},
    {"max_bytes": 3, "oversize": "skip", "keep_delimiter": True},
    {"max_bytes": 1, "oversize": "skip", "at_eof": "emit"},
]
WIRES = st.lists(st.sampled_from([b"a", b"b", b"\r", b"\n", b"\r\n", b"aaab"]), max_size=20).map(b"".join)


def frames_of(*pieces: bytes, delimiters: tuple[bytes, ...], **parameters: Any) -> list[bytes]:
    frames, error, _, _ = outcome(DelimiterFramer(*delimiters, **parameters), pieces)
    assert error is None
    return frames


def by_definition(wire: bytes, delimiters: tuple[bytes, ...]) -> tuple[list[bytes], list[bytes], bytes]:
    """Frames, their delimiters and the rest: place after place, of all delimiters there the longest."""
    frames: list[bytes] = []
    ends: list[bytes] = []
    start = place = 0
    while place < len(wire):
        here = [mark for mark in delimiters if wire.startswith(mark, place)]
        if here:
            ends.append(max(here, key=len))
            frames.append(wire[start:place])
            start = place = place + len(ends[-1])
        else:
            place += 1
    return frames, ends, wire[start:]


# ---- what a frame is


def test_delimiter_ends_a_frame() -> None:
    assert [b"ab", b"", b"c"] == frames_of(b"ab\0\0c\0", delimiters=(b"\0",))


def test_delimiter_of_several_bytes() -> None:
    assert [b"a\r", b"b\n"] == frames_of(b"a\r\r", b"\nb\n\r\n", delimiters=(b"\r\n",))


def test_shortest_frame_wins() -> None:
    assert [b"a", b"b", b"c"] == frames_of(b"a;b|c;", delimiters=(b"|", b";"))


def test_longest_delimiter_wins_at_one_place() -> None:
    assert [b"a", b"b", b"c"] == frames_of(b"a\rb\r\nc\n", delimiters=(b"\r", b"\n", b"\r\n"))


def test_delimiter_that_overlaps_itself_is_found_from_the_left() -> None:
    assert [b"x", b";y"] == frames_of(b"x;;;y;;", delimiters=(b";;",))


def test_keep_delimiter_gives_frames_with_the_one_they_had() -> None:
    assert [b"a\r", b"\r\n", b"b\n"] == frames_of(
        b"a\r\r\nb\n", delimiters=(b"\r", b"\n", b"\r\n"), keep_delimiter=True
    )
    assert [b"a\0", b"\0"] == frames_of(b"a\0\0", delimiters=(b"\0",), keep_delimiter=True)


@given(delimiters=st.sampled_from(SETS), wire=WIRES)
@example(delimiters=(b"a", b"aaab", b"\r"), wire=b"aaa\r")
def test_frames_are_what_the_definition_says(delimiters: tuple[bytes, ...], wire: bytes) -> None:
    frames, ends, rest = by_definition(wire, delimiters)
    got, _, _, _ = outcome(DelimiterFramer(*delimiters, at_eof="emit"), [wire])
    assert [*frames, *([rest] if rest else [])] == got
    got, _, _, _ = outcome(DelimiterFramer(*delimiters, keep_delimiter=True, at_eof="drop"), [wire])
    assert [frame + end for frame, end in zip(frames, ends, strict=True)] == got


# ---- the cut does not matter


@pytest.mark.parametrize("parameters", PARAMETERS, ids=str)
@given(delimiters=st.sampled_from(SETS), wire=WIRES, places=st.lists(st.integers(0, 40), max_size=6).map(sorted))
def test_cuts_make_no_difference(
    delimiters: tuple[bytes, ...], parameters: dict[str, Any], wire: bytes, places: list[int]
) -> None:
    whole = outcome(DelimiterFramer(*delimiters, **parameters), [wire])
    assert whole == outcome(DelimiterFramer(*delimiters, **parameters), pieces_at(wire, places))
    assert whole == outcome(DelimiterFramer(*delimiters, **parameters), pieces_at(wire, range(1, len(wire))))


def test_ten_thousand_random_cuts() -> None:
    rng = random.Random(1)
    alphabet = [b"a", b"b", b"\r", b"\n", b"\r\n", b"x" * 70]
    for _ in range(RANDOM_CUTS // 10):
        wire = b"".join(rng.choices(alphabet, weights=[5, 5, 3, 3, 3, 1], k=25))
        delimiters = rng.choice(SETS)
        parameters = {**rng.choice(PARAMETERS), "max_bytes": rng.choice([3, 70, 72, 65536])}
        whole = outcome(DelimiterFramer(*delimiters, **parameters), [wire])
        for _ in range(10):
            pieces = random_pieces(rng, wire)
            assert whole == outcome(DelimiterFramer(*delimiters, **parameters), pieces), (
                delimiters,
                parameters,
                pieces,
            )


@SOME_SETS
@pytest.mark.parametrize("parameters", [{}, {"keep_delimiter": True, "max_bytes": 3}], ids=str)
def test_every_rule_for_framers(delimiters: tuple[bytes, ...], parameters: dict[str, Any]) -> None:
    """F1 and F4 to F8, as the test kit checks them."""
    wire = b"x\r\naaab\r\r\n\n"
    frames, error, leftover, _ = outcome(DelimiterFramer(*delimiters, **parameters), [wire])
    kinds = {kind.__name__: kind for kind in (FrameTooLongError, IncompleteFrameError)}
    check_framer(
        lambda: DelimiterFramer(*delimiters, **parameters),
        wire=wire,
        frames=frames,
        errors=kinds[error.partition(":")[0]] if error else None,
        leftover=leftover,
        outbound="frames" if comes_back(frames, delimiters, **parameters) else "none",
        random_cuts=10,
    )


def comes_back(frames: list[bytes], delimiters: tuple[bytes, ...], **parameters: Any) -> bool:
    """Whether the first delimiter behind a frame ends it there: not so where it makes another one, begun before."""
    if parameters.get("keep_delimiter"):
        return True
    return all(by_definition(frame + delimiters[0], delimiters)[0] == [frame] for frame in frames)


def test_delimiter_that_may_go_on_waits_for_the_next_byte() -> None:
    framer = DelimiterFramer(b"\r", b"\r\n")
    assert [] == list(framer.inbound.process_sync(b"a\r"))
    assert [b"a"] == list(framer.inbound.process_sync(b"b"))
    assert [] == list(framer.inbound.process_sync(b"\r"))
    assert [b"b"] == list(framer.inbound.process_sync(b"\n"))


def test_earlier_delimiter_that_may_come_makes_the_frame_wait() -> None:
    framer = DelimiterFramer(b";", b"a;b")
    assert [b""] == list(framer.inbound.process_sync(b";a;"))
    assert [b""] == list(framer.inbound.process_sync(b"b"))
    assert [] == list(framer.inbound.process_sync(b"a;"))
    assert [b"a", b"c"] == list(framer.inbound.process_sync(b"c;"))


def test_the_end_of_the_stream_decides_what_waits() -> None:
    assert [b"a"] == frames_of(b"a\r", delimiters=(b"\r", b"\r\n"))
    assert [b"", b"", b"b"] == frames_of(b"aab", delimiters=(b"a", b"aabc"), at_eof="emit")


def test_frames_that_waited_come_before_the_error_of_the_end() -> None:
    harness = Harness(DelimiterFramer(b"a", b"aabc"))
    assert [] == harness.receive(b"aab")
    with pytest.raises(IncompleteFrameError, match="the stream ended 1 bytes into a frame") as info:
        harness.finish()
    assert ([b"", b""], b"b") == (harness.received, info.value.leftover)


# ---- limits


@pytest.mark.parametrize("delimiters", [(b";;",), (b"\n", b"\r\n\r"), (b"\r", b"\r\n")])
@pytest.mark.parametrize("keep", [False, True])
def test_exactly_the_limit_passes_and_one_more_byte_fails(delimiters: tuple[bytes, ...], keep: bool) -> None:
    """The delimiter does not count, and the error comes as soon as it is certain."""
    for mark in delimiters if keep else delimiters[:1]:
        check_limit(
            lambda n: DelimiterFramer(*delimiters, max_bytes=n, keep_delimiter=keep),
            lambda n, mark=mark: b"x" * n + mark,  # type: ignore[misc]
            payload=lambda n, mark=mark: b"x" * n + mark * keep,  # type: ignore[misc]
            certain=lambda n: n + 1,
            limits=(1, 12),
            random_cuts=10,
        )


def test_beginning_of_a_delimiter_behind_the_limit_may_yet_be_one() -> None:
    for rest, expected in ((b"\n", [b"abc"]), (b"d", None), (b"\r", None)):
        harness = Harness(DelimiterFramer(b"\r\n", max_bytes=3))
        assert [] == harness.receive(b"abc\r")
        if expected is None:
            with pytest.raises(FrameTooLongError, match="a frame of at least 4 bytes is over the limit, max_bytes=3"):
                harness.receive(rest)
        else:
            assert expected == harness.receive(rest)


@pytest.mark.parametrize("delimiters", [(b"\r\n",), (b"\r\n", b"\r\n\r\n")])
def test_beginning_of_a_delimiter_behind_the_limit_is_data_when_the_stream_ends(delimiters: tuple[bytes, ...]) -> None:
    parameters: dict[str, Any] = {"max_bytes": 3, "at_eof": "emit"}
    framer = DelimiterFramer(*delimiters, **parameters)
    list(framer.inbound.process_sync(b"abc\r"))
    with pytest.raises(FrameTooLongError, match="at least 4 bytes"):
        finished(framer)

    skipping = DelimiterFramer(*delimiters, oversize="skip", **parameters)
    assert ([], None, None, 1) == outcome(skipping, [b"abc\r"])


def test_frames_before_a_long_one_are_delivered_first() -> None:
    harness = Harness(DelimiterFramer(b"\n", b"\0", max_bytes=5))
    with pytest.raises(FrameTooLongError, match="a frame of at least 6 bytes is over the limit, max_bytes=5"):
        harness.receive(b"one\ntwo\0too long\nthree\n")
    assert [b"one", b"two"] == harness.received


@pytest.mark.parametrize("delimiters", [(b"\n",), (b"\r\n",), (b"\n", b"\r"), (b"\r\n\r\n",)])
def test_many_short_frames_in_one_read_are_checked_against_a_small_limit(delimiters: tuple[bytes, ...]) -> None:
    """Whichever way it is checked: frame by frame, or from limit to limit."""
    mark = delimiters[0]
    short = (b"abc" + mark) * 10
    for limit in (3, 10, 20, 39):
        assert [b"abc"] * 10 == frames_of(short, delimiters=delimiters, max_bytes=limit)
    for limit, wire in ((2, short), (3, short + b"abcd" + mark), (10, short + b"x" * 11), (3, short + b"abcd")):
        frames, error, _, _ = outcome(DelimiterFramer(*delimiters, max_bytes=limit), [wire])
        assert error is not None
        assert error.startswith("FrameTooLongError")
        assert ([] if limit == 2 else [b"abc"] * 10) == frames


def test_skip_drops_ten_thousand_long_frames_and_stays_in_step() -> None:
    rng = random.Random(3)
    for delimiters in ((b"\0",), (b"\r\n",), (b"\r", b"\r\n"), (b"\n\n", b"\r\n\r\n")):
        sizes = rng.choices((0, 1, 4, 5, 6, 50), k=5000)
        wire = b"".join(b"x" * size + rng.choice(delimiters) for size in sizes)
        framer = DelimiterFramer(*delimiters, max_bytes=4, oversize="skip")
        pieces = pieces_at(wire, sorted(rng.choices(range(len(wire)), k=4000)))
        frames = [b"x" * size for size in sizes if size <= 4]
        assert (frames, None, None, len(sizes) - len(frames)) == outcome(framer, pieces)


def test_delimiter_inside_what_is_dropped_is_found_however_it_is_cut() -> None:
    wire = b"long\r\r\nab\r\n"
    for places in itertools.combinations(range(1, len(wire)), 3):
        framer = DelimiterFramer(b"\r\n", max_bytes=2, oversize="skip")
        assert ([b"ab"], None, None, 1) == outcome(framer, pieces_at(wire, places))


def test_a_delimiter_that_may_go_on_ends_what_is_dropped_at_the_end() -> None:
    framer = DelimiterFramer(b"\r", b"\r\n", max_bytes=2, oversize="skip")
    assert ([], None, None, 1) == outcome(framer, [b"long", b"er\r"])


# ---- the end


def test_end_of_stream_inside_a_frame() -> None:
    """An unfinished last frame is an error which carries the unread bytes and shows the remedy."""
    harness = Harness(DelimiterFramer(b"\0"))
    assert [b"one"] == harness.receive(b"one\0tw")
    with pytest.raises(
        IncompleteFrameError, match=r"2 bytes into a frame, before its delimiter.*at_eof='emit'"
    ) as info:
        harness.finish()
    assert b"tw" == info.value.leftover


def test_last_frame_without_delimiter_can_be_emitted_or_dropped() -> None:
    assert [b"a", b"b\r"] == frames_of(b"a\r\nb\r", delimiters=(b"\r\n",), at_eof="emit")
    assert [b"a"] == frames_of(b"a\0b", delimiters=(b"\0",), at_eof="drop")
    assert [b"a"] == frames_of(b"a\0", delimiters=(b"\0",), at_eof="emit")


# ---- giving back


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("delimiters", [(b"\r\n",), (b"\n", b"\r\n"), (b"\r", b"\r\n", b"\n")])
def test_unread_gives_back_the_original_bytes(delimiters: tuple[bytes, ...], keep: bool) -> None:
    """Delimiters included, whichever they were."""
    wire = b"a\r\nbc\r\n\r\nd\r\nef\r"
    frames = [b"a\r\n", b"bc\r\n", b"\r\n", b"d\r\n"]
    for taken in range(len(frames) + 1):
        framer = DelimiterFramer(*delimiters, keep_delimiter=keep)
        results = list(framer.inbound.process_sync(wire))
        rest = framer.inbound.unread(results[taken:])
        assert rest is not None
        assert wire == b"".join(frames[:taken]) + b"".join(rest)


# ---- outbound


def test_outbound_adds_the_first_delimiter() -> None:
    assert [b"a\n", b"\n", b"b\rc\n"] == Harness(DelimiterFramer(b"\n", b"\r\n")).send(b"a", b"", b"b\rc")
    assert [b"a\r\n"] == Harness(DelimiterFramer(b"\r\n", b"\n")).send(bytearray(b"a"))
    assert [b"a\n", b"b\r\n"] == Harness(DelimiterFramer(b"\n", b"\r\n", keep_delimiter=True)).send(
        memoryview(b"a\n"), b"b\r\n"
    )


@pytest.mark.parametrize(
    ("delimiters", "frame", "byte"),
    [
        ((b"\0",), b"a\0b", 1),
        ((b"\0", b"\n"), b"ab\n", 2),
        ((b"\n", b"\r\n"), b"a\r", 1),  # with the delimiter behind it, it ends in the other one
        ((b";;",), b"a;", 1),  # with the delimiter behind it, there is one a byte earlier
        ((b"\r\n", b"a\r"), b"xa", 1),
    ],
)
def test_outbound_refuses_what_would_be_cut_elsewhere(delimiters: tuple[bytes, ...], frame: bytes, byte: int) -> None:
    """Or a client's data could put frames of its own on the wire."""
    harness = Harness(DelimiterFramer(*delimiters))
    with pytest.raises(CorruptFrameError, match=f"byte {byte} of the frame begins .*Send one frame an item"):
        harness.send(frame)
    assert [b"ok" + delimiters[0]] == harness.send(b"ok")


@pytest.mark.parametrize("frame", [b"a\0b\0", b"a\0b", b"\0\n"])
def test_keep_delimiter_refuses_a_second_one(frame: bytes) -> None:
    with pytest.raises(CorruptFrameError, match="Send one frame an item"):
        DelimiterFramer(b"\0", b"\n", keep_delimiter=True).outbound.process_sync(frame)


@pytest.mark.parametrize("delimiters", [(b"\0",), (b"\0", b"\n")])
def test_keep_delimiter_refuses_a_frame_without_one(delimiters: tuple[bytes, ...]) -> None:
    with pytest.raises(CorruptFrameError, match=r"so the peer would take the next frame for a part of it. Add one"):
        DelimiterFramer(*delimiters, keep_delimiter=True).outbound.process_sync(b"a")


def test_outbound_limit_shows_both_numbers() -> None:
    with pytest.raises(FrameTooLongError, match="a frame of 4 bytes is over the limit, max_bytes=3; nothing was wr"):
        DelimiterFramer(b"\0", max_bytes=3).outbound.process_sync(b"abcd")


def test_outbound_refuses_a_beginning_that_goes_on_with_the_delimiter_before() -> None:
    """CR was written, and LF behind it would make CRLF of it: the peer would lose a byte."""
    harness = Harness(DelimiterFramer(b"\r", b"\r\n"))
    assert [b"\na\r"] == harness.send(b"\na")
    with pytest.raises(CorruptFrameError, match=r"begins with b'\\n', .* Give first a delimiter that is not inside"):
        harness.send(b"\nb")
    assert [b"c\r"] == harness.send(b"c")


def test_outbound_sees_a_delimiter_over_several_frames() -> None:
    harness = Harness(DelimiterFramer(b";", b"a;b;c"))
    harness.send(b"a", b"b")
    with pytest.raises(CorruptFrameError, match="begins with b'c'"):
        harness.send(b"cd")
    harness.send(b"x")
    assert [b"cd;"] == harness.send(b"cd")


def test_outbound_keeps_state_only_where_a_delimiter_may_go_on() -> None:
    assert DelimiterFramer(b"\r", b"\r\n").outbound.keeps_outbound_state is True
    assert DelimiterFramer(b"\r\n", b"\r", keep_delimiter=True).outbound.keeps_outbound_state is True
    assert DelimiterFramer(b"\r\n", b"\r").outbound.keeps_outbound_state is False
    assert DelimiterFramer(b"\n", b"\r\n", keep_delimiter=True).outbound.keeps_outbound_state is False


@pytest.mark.parametrize("keep", [False, True])
@given(delimiters=st.sampled_from(SETS), frames=st.lists(st.text("ab\r\n", max_size=4).map(str.encode), max_size=6))
@example(delimiters=(b"a", b"aaab"), frames=[b"", b"", b"b"])
def test_what_goes_out_comes_in_as_the_same_frames(
    keep: bool, delimiters: tuple[bytes, ...], frames: list[bytes]
) -> None:
    """All that were not refused, together on one wire."""
    framer = DelimiterFramer(*delimiters, keep_delimiter=keep)
    sent, written = [], b""
    for frame in frames:
        try:
            (out,) = framer.outbound.process_sync(frame)
        except FrameError:
            continue
        sent.append(frame)
        written += out  # type: ignore[operator]
    assert (sent, None, None, 0) == outcome(DelimiterFramer(*delimiters, keep_delimiter=keep), [written])


@given(delimiters=st.sampled_from(SETS), wire=WIRES)
def test_what_was_kept_goes_out_as_the_same_bytes(delimiters: tuple[bytes, ...], wire: bytes) -> None:
    frames = frames_of(wire, delimiters=delimiters, keep_delimiter=True, at_eof="drop")
    harness = Harness(DelimiterFramer(*delimiters, keep_delimiter=True))
    assert frames == harness.send(*frames)


# ---- building


@pytest.mark.parametrize(
    ("delimiters", "error", "message"),
    [
        ((), ValueError, r"DelimiterFramer\(\): give it the bytes that end a frame, as in DelimiterFramer\(b'\\0'\)"),
        (("\0",), TypeError, r"a delimiter is bytes, as in DelimiterFramer\(b'\\0'\), not str"),
        ((0,), TypeError, r"not int"),
        ((b"a", b""), ValueError, r"DelimiterFramer\(b'a', b''\): a delimiter must have a byte at least"),
        ((b"a", b"b", b"a"), ValueError, r"DelimiterFramer\(b'a', b'b', b'a'\): the same delimiter twice"),
    ],
)
def test_wrong_delimiters_show_a_right_call(delimiters: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        DelimiterFramer(*delimiters)


def test_a_limit_of_zero_shows_the_remedy() -> None:
    with pytest.raises(ValueError, match=r"DelimiterFramer\(max_bytes=0\): .*DelimiterFramer\(max_bytes=65536\)"):
        DelimiterFramer(b"\0", max_bytes=0)


# ---- heavy


def endless(size: int) -> Iterator[bytes]:
    piece = b"x" * 1024
    return (piece for _ in range(size // 1024))


@pytest.mark.parametrize("delimiters", [(b"\0",), (b"\r\n", b"\r"), (b"\r\nBOUNDARY" * 5,)], ids=str)
def test_one_endless_frame_byte_by_byte_is_linear(delimiters: tuple[bytes, ...]) -> None:
    check_linear(lambda: DelimiterFramer(*delimiters, max_bytes=1 << 30), lambda n: [b"x"] * n, n=1024)


@pytest.mark.parametrize("oversize", ["error", "skip"])
def test_a_delimiter_that_always_begins_is_linear(oversize: Any) -> None:
    """Each byte may be the first one of the delimiter, and never is."""
    limit = 1 << 30 if oversize == "error" else 1
    check_linear(
        lambda: DelimiterFramer(b"a" * 20 + b"b", max_bytes=limit, oversize=oversize), lambda n: [b"a"] * n, n=1024
    )


def test_many_small_frames_in_one_read_are_linear() -> None:
    check_linear(lambda: DelimiterFramer(b"\r", b"\r\n"), lambda n: [b"a\r" * n], n=1024)
    check_linear(
        lambda: DelimiterFramer(b"\r", b"\r\n", max_bytes=1, oversize="skip"), lambda n: [b"a\rbb\r" * n], n=1024
    )


@pytest.mark.full
@pytest.mark.parametrize("delimiters", [(b"\0",), (b"\r\n", b"\r")], ids=str)
def test_64_mib_frame_dropped_in_1_kib_pieces_is_linear(delimiters: tuple[bytes, ...]) -> None:
    make = partial(DelimiterFramer, *delimiters, oversize="skip")
    assert cpu_ratio(make, endless, 64 * MIB, "1 KiB, dropped") < 8


@pytest.mark.full
@pytest.mark.parametrize("delimiters", [(b"\0",), (b"\r\n", b"\r")], ids=str)
def test_64_mib_frame_takes_no_more_memory_than_the_limit(delimiters: tuple[bytes, ...]) -> None:
    check_dropping_takes_no_memory(DelimiterFramer(*delimiters, oversize="skip"), endless(64 * MIB))
    check_keeping_takes_little_memory(
        DelimiterFramer(*delimiters, max_bytes=8 * MIB), [*endless(8 * MIB - 1024), delimiters[0]]
    )
