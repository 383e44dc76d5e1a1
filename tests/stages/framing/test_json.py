"""JSONFramer: objects and arrays one after another."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import CorruptFrameError, FrameError, FrameTooLongError, IncompleteFrameError
from pipeline.testing import Harness, check_framer, check_limit, check_linear
from stages import JSONFramer

from .driving import (
    MIB,
    RANDOM_CUTS,
    byte_by_byte,
    cpu_ratio,
    error_of,
    finished,
    outcome,
    peak_bytes,
    pieces_at,
    random_pieces,
)

# ---- what a value is


def test_objects_and_arrays_follow_each_other() -> None:
    check_framer(
        JSONFramer,
        wire=b'{"a":1}[2,3]{}[[]]',
        frames=[b'{"a":1}', b"[2,3]", b"{}", b"[[]]"],
        outbound="bytes",
        random_cuts=200,
    )


def test_white_space_between_them_is_no_part_of_any() -> None:
    check_framer(JSONFramer, wire=b" \t{ }\r\n\n[1 ]\n", frames=[b"{ }", b"[1 ]"], random_cuts=200)


@pytest.mark.parametrize(
    "value",
    [
        rb'{"}":"]"}',
        rb'["{",{"[":"}"}]',
        rb'["\"]"]',
        rb'["\\"]',
        rb'["\\\"}\\\\"]',
        b'["\\u0022]"]',
        '["ünï→😀"]'.encode(),
        b'{"a\\\nb":["\x00"]}',
    ],
    ids=repr,
)
def test_brackets_and_quotes_in_strings_are_data(value: bytes) -> None:
    check_framer(JSONFramer, wire=value + b"{}", frames=[value, b"{}"], outbound="bytes", random_cuts=100)


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5, 6, 9, 64])
def test_values_of_any_depth(depth: int) -> None:
    value = b'{"[":[' * (depth // 2) + b'["]"]' * (depth % 2) + b"]}" * (depth // 2)
    for max_depth in (depth, 64):
        for pieces in ([value * 2], byte_by_byte(value * 2), [value[:depth], value[depth:] + value]):
            assert ([value, value], None, None, 0) == outcome(JSONFramer(max_depth=max_depth), pieces)
        assert [value] == JSONFramer(max_depth=max_depth).outbound.process_sync(value)


def test_what_stands_in_the_brackets_is_left_to_the_codec() -> None:
    assert ([b"{a'b}", b"[,\x80]"], None, None, 0) == outcome(JSONFramer(), [b"{a'b}[,\x80]"])


def test_frames_are_bytes_also_of_a_bytearray() -> None:
    (frame,) = JSONFramer().inbound.process_sync(bytearray(b"{}"))
    assert bytes is type(frame)


# ---- the cut does not matter


def naive(wire: bytes, max_bytes: int, max_depth: int) -> tuple[list[bytes], str | None, bytes]:
    """Byte by byte, as one would write it without thinking of time: frames, what is wrong, what is left."""
    frames: list[bytes] = []
    closers, start, in_string, escaped = "", 0, False, False
    for at, char in enumerate(map(chr, wire)):
        if not closers:
            if char in "{[":
                closers, start = "}" if char == "{" else "]", at
            elif char not in " \t\r\n":
                return frames, "Corrupt", b""
        elif in_string:
            in_string = escaped or char != '"'
            escaped = not escaped and char == "\\"
        elif char == '"':
            in_string = True
        elif char in "{[":
            if len(closers) == max_depth:
                return frames, "TooLong", b""
            closers += "}" if char == "{" else "]"
        elif char in "}]":
            if char != closers[-1]:
                return frames, "Corrupt", b""
            closers = closers[:-1]
            if not closers and at + 1 - start <= max_bytes:
                frames.append(wire[start : at + 1])
                continue
        if at + 1 - start + len(closers) + in_string + escaped > max_bytes and (closers or char in "}]"):
            return frames, "TooLong", b""
    return (frames, "Incomplete", wire[start:]) if closers else (frames, None, b"")


PARTS = [*'{}[]"\\, a', "{}", "[]", '{"', '"}', "[{", "}]", '""', '\\"', "[[[[[", "]]]]]", '{"a":["b"]}', "\n"]


@pytest.mark.parametrize(("max_bytes", "max_depth"), [(1000, 64), (5, 64), (12, 3), (1000, 2), (1000, 1), (1, 1)])
@given(
    wire=st.lists(st.sampled_from([part.encode() for part in PARTS]), max_size=25).map(b"".join),
    places=st.lists(st.integers(0, 50), max_size=6).map(sorted),
)
def test_cuts_make_no_difference_and_all_is_as_in_a_naive_framer(
    max_bytes: int, max_depth: int, wire: bytes, places: list[int]
) -> None:
    make = partial(JSONFramer, max_bytes, max_depth=max_depth)
    frames, wrong, left = naive(wire, max_bytes, max_depth)
    whole = outcome(make(), [wire])
    assert frames == whole[0]
    assert (wrong or "") in (whole[1] or "")
    assert (wrong is None) == (whole[1] is None)
    assert left == (whole[2] or b"")
    assert whole == outcome(make(), pieces_at(wire, places))
    assert whole == outcome(make(), byte_by_byte(wire))


def random_value(rng: random.Random, depth: int) -> Any:
    kind = rng.randrange(6 if depth else 4)
    if kind < 2:
        return "".join(rng.choices('ab{}[]"\\\nü', k=rng.randrange(8)))
    if kind < 4:
        return rng.choice([None, True, 12, -3.5])
    items = [random_value(rng, depth - 1) for _ in range(rng.randrange(4))]
    return items if kind == 4 else {str(item): item for item in items}


def test_ten_thousand_random_cuts() -> None:
    rng = random.Random(2)
    for _ in range(RANDOM_CUTS // 10):
        values = [[random_value(rng, 7)] for _ in range(5)]
        wire = b"".join(json.dumps(value).encode() + rng.choice([b"", b"\n"]) for value in values)
        wire += rng.choice([b"", b"[", b'{"\\', b"[}", b"1", b" "])
        parameters = {"max_bytes": rng.choice([40, 200, 65536]), "max_depth": rng.choice([3, 5, 64])}
        whole = outcome(JSONFramer(**parameters), [wire])
        for _ in range(10):
            pieces = random_pieces(rng, wire)
            assert whole == outcome(JSONFramer(**parameters), pieces), (parameters, pieces)
        if parameters == {"max_bytes": 65536, "max_depth": 64}:
            assert values == [json.loads(frame) for frame in whole[0]]


# ---- limits


def text_of(size: int) -> bytes:
    return b"[" + b"1" * (size - 2) + b"]"


def test_exactly_the_limit_passes_and_one_more_byte_fails() -> None:
    """As soon as no bracket can come in time: the missing one counts."""
    check_limit(JSONFramer, text_of, payload=text_of, certain=lambda n: n, limits=(2, 3, 8, 100), random_cuts=50)


def test_what_must_still_come_counts() -> None:
    """Brackets, a quote and the byte after a backslash."""
    for wire, least in ((b"[[[", 6), (b'["a', 5), (b'["\\', 6), (b'[[]"', 6)):
        assert "Incomplete" in error_of(JSONFramer(least), wire)
        assert f"of at least {least} bytes is over the limit, max_bytes={least - 1}" in error_of(
            JSONFramer(least - 1), wire
        )


def test_white_space_does_not_count() -> None:
    assert ([b"[]", b"[]"], None, None, 0) == outcome(JSONFramer(2), [b"   []      []    "])


def test_exactly_the_depth_passes_and_one_more_level_fails() -> None:
    def nested(levels: int) -> bytes:
        return b"[" * levels + b"]" * levels

    check_limit(
        lambda n: JSONFramer(max_depth=n),
        nested,
        payload=nested,
        certain=lambda n: n + 1,
        limits=(1, 2, 4, 5, 20),
        random_cuts=20,
    )


def test_too_deep_tells_both_numbers() -> None:
    message = "a value nested 3 deep is over the limit, max_depth=2. Raise max_depth if it is a right one"
    with pytest.raises(FrameTooLongError, match=message) as info:
        list(JSONFramer(max_depth=2).inbound.process_sync(b"[[["))
    assert (2, 3) == (info.value.limit, info.value.size)


def test_values_before_a_long_one_are_delivered_first() -> None:
    harness = Harness(JSONFramer(4))
    with pytest.raises(FrameTooLongError, match="a value of at least 5 bytes is over the limit, max_bytes=4") as info:
        harness.receive(b"[1][222][3]")
    assert [b"[1]"] == harness.received
    assert "oversize" not in str(info.value)


# ---- what is corrupt


@pytest.mark.parametrize(
    ("wire", "message"),
    [
        (b"[}", "'}' 1 bytes into a value, where only ']' may close, 1 deep"),
        (b'{"a": [1, 2}', "'}' 11 bytes into a value, where only ']' may close, 2 deep"),
        (b"]", "b']' where an object or an array must begin"),
        (b",{}", "b',' where an object or an array must begin"),
        (b"12", "b'1' where an object or an array must begin. Other values do not say where they end"),
        (b'"a"', "b'\"' where an object"),
        (b"null", "b'n' where an object"),
        (b"\xef\xbb\xbf{}", r"b'\xef' where an object"),
        (b"\x1e{}", r"b'\x1e' where an object"),
        (b"\xa0{}", r"b'\xa0' where an object"),
        (b"\x0b{}", r"b'\x0b' where an object"),
    ],
)
def test_anything_else_is_corrupt(wire: bytes, message: str) -> None:
    check_framer(JSONFramer, wire=b"[1]" + wire, frames=[b"[1]"], errors=CorruptFrameError, random_cuts=20)
    assert message in error_of(JSONFramer(), wire)


# ---- the end


@pytest.mark.parametrize(
    ("wire", "message"),
    [
        (b'{"a": [1', "8 bytes into a value, before its ']}'"),
        (b'["a', "3 bytes into a value, inside a string, before its ']'"),
        (b"[" * 30, "30 bytes into a value, before its ']]]]]]]]]]]]]]]]]]]]'"),
    ],
)
def test_end_inside_a_value_tells_what_is_missing(wire: bytes, message: str) -> None:
    for before in (b"", b" \n"):
        framer = JSONFramer()
        list(framer.inbound.process_sync(before + wire))
        with pytest.raises(IncompleteFrameError, match=f"JSONFramer: the stream ended {message}$") as info:
            finished(framer)
        assert wire == info.value.leftover


def test_end_behind_white_space_is_clean() -> None:
    assert ([b"{}"], None, None, 0) == outcome(JSONFramer(), [b"{}\r\n ", b" "])


# ---- giving back, holding


def test_unread_gives_back_the_original_bytes() -> None:
    wire = b' [1]\n{"a": [[[[[2]]]]]}[]\n ["'
    for taken, length in ((0, 0), (1, 4), (2, 23), (3, 25)):
        for first in (0, 3, 10):
            framer = JSONFramer()
            before = list(framer.inbound.process_sync(wire[:first]))
            results = list(framer.inbound.process_sync(wire[first:]))
            if taken >= len(before):
                assert [wire[length:]] == framer.inbound.unread(results[taken - len(before) :])
                assert 0 == framer.inbound.holds
                assert ([b"{}"], None, None, 0) == outcome(framer, [b"{}"])


def test_unread_gives_back_white_space_behind_the_last_value() -> None:
    framer = JSONFramer()
    assert [b"{}"] == list(framer.inbound.process_sync(b"{}\r\n"))
    assert [] == list(framer.inbound.process_sync(b"\n"))
    assert [b"\r\n\n"] == framer.inbound.unread(())


def test_endless_white_space_is_dropped_and_not_given_back() -> None:
    framer = JSONFramer()
    space = b" \r\n\t" * 16384
    assert [b"{}"] == list(framer.inbound.process_sync(b"{}" + space))
    assert [] == list(framer.inbound.process_sync(b"\n"))
    assert framer.inbound.unread(()) is None
    results = framer.inbound.process_sync(b"[1][2]")
    assert framer.inbound.unread(()) is None
    assert [b"[1]", b"[2]"] == list(results)
    assert [] == framer.inbound.unread(())


def test_only_an_unfinished_value_is_held() -> None:
    framer = JSONFramer()
    for piece, holds in ((b" \n", 0), (b" [1", 5), (b"]\n", 0), (b"[] [", 2), (b"]", 0)):
        list(framer.inbound.process_sync(piece))
        assert holds == framer.inbound.holds


# ---- outbound and building


def test_outbound_adds_nothing() -> None:
    assert [b'{"a":1}'] == Harness(JSONFramer()).send(bytearray(b'{"a":1}'))


@pytest.mark.parametrize(
    ("payload", "error", "message"),
    [
        (b"", CorruptFrameError, "the payload begins with b'', not with an object or an array"),
        (b"12", CorruptFrameError, "the payload begins with b'12'"),
        (b" {}", CorruptFrameError, "the payload begins with b' {}'"),
        (b"{}\n", CorruptFrameError, r"value ends after 2 of 3 bytes, .* another: b'\\n'. Send one value an item"),
        (b"[][]", CorruptFrameError, "value ends after 2 of 4 bytes"),
        (b'{"a":1', CorruptFrameError, "6 bytes are the beginning of a value only"),
        (b'["]', CorruptFrameError, "3 bytes are the beginning of a value only"),
        (b"[}", CorruptFrameError, "'}' 1 bytes into a value"),
        (b"[[[[[[]]]]]]", FrameTooLongError, "nested 6 deep is over the limit, max_depth=5"),
        (text_of(21), FrameTooLongError, "a value of 21 bytes is over the limit, max_bytes=20; nothing was written"),
    ],
)
def test_outbound_refuses_what_is_not_one_value(payload: bytes, error: type[FrameError], message: str) -> None:
    with pytest.raises(error, match=message):
        JSONFramer(20, max_depth=5).outbound.process_sync(payload)


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"max_bytes": 0}, ValueError, r"JSONFramer\(max_bytes=0\): .*JSONFramer\(max_bytes=1048576\)"),
        ({"max_depth": 0}, ValueError, r"JSONFramer\(max_depth=0\): must be .* levels.*JSONFramer\(max_depth=64\)"),
        ({"max_depth": True}, ValueError, r"JSONFramer\(max_depth=True\): must be a whole number of levels"),
        ({"max_depth": None}, TypeError, r"JSONFramer\(max_depth=None\): must be a whole number of levels"),
    ],
    ids=str,
)
def test_wrong_parameters_show_the_remedy(parameters: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        JSONFramer(**parameters)


# ---- heavy

HOSTILE = {
    "a string": b"a",
    "backslashes": b"\\",
    "empty arrays": b"],[",
    "strings": b'","',
    "deep and flat": b"[" * 60 + b"]" * 60,
    "deeper than the pattern": b"[[[[[1]]]]],",
}


def endless(what: str, size: int) -> bytes:
    """One unfinished value of about `size` bytes."""
    head = b'["' if what in ("a string", "backslashes", "strings") else b"[["
    return head + HOSTILE[what] * (size // len(HOSTILE[what]))


@pytest.mark.parametrize("what", HOSTILE)
def test_one_endless_value_is_linear(what: str) -> None:
    """In one read, in pieces, and byte by byte."""
    make = partial(JSONFramer, 1 << 30)
    check_linear(make, lambda n: [endless(what, n)], n=8192)
    check_linear(make, lambda n: pieces_at(endless(what, n), range(99, n, 99)), n=4096)
    check_linear(make, lambda n: byte_by_byte(endless(what, n)), n=512)


def test_many_values_in_one_read_are_linear() -> None:
    check_linear(JSONFramer, lambda n: [b"{}" * n], n=2048)
    check_linear(JSONFramer, lambda n: [b"[[[[[]]]]]\n" * n], n=1024)


def test_values_at_many_depths_at_once_are_passed_a_few_times_at_most() -> None:
    """Each level has much before the next bracket, and none of them is closed."""
    check_linear(
        partial(JSONFramer, 1 << 30, max_depth=1 << 20),
        lambda n: [(b"[" + b'"{",' * 25) * (n // 100)],
        n=16384,
    )


def one_value(size: int, piece: int) -> Iterator[bytes]:
    block = (b'{"key": ["a", 1]},' * (piece // 18 + 1))[: piece - 1] + b" "
    yield b"["
    for _ in range(size // piece):
        yield from (b'"', block.replace(b'"', b"x"), b'",', block[: piece // 18 * 18])


@pytest.mark.full
def test_64_mib_value_in_1_kib_pieces_is_linear() -> None:
    make = partial(JSONFramer, 1 << 30)
    assert cpu_ratio(make, lambda size: one_value(size, 1024), 64 * MIB, "1 KiB, kept") < 8


@pytest.mark.full
def test_2_mib_value_byte_by_byte_is_linear() -> None:
    make = partial(JSONFramer, 1 << 30)
    assert cpu_ratio(make, lambda size: (b"1" if n else b"[" for n in range(size)), 2 * MIB, "1 byte") < 8


@pytest.mark.full
def test_64_mib_of_white_space_take_no_memory() -> None:
    space = peak_bytes(JSONFramer(), (b" " * 1024 for _ in range(64 * 1024)))
    kept = peak_bytes(JSONFramer(40 * MIB), one_value(8 * MIB, 1024))
    print(f"peak: 64 MiB of white space {space / 1024:.0f} KiB, keeping 16 MiB {kept / MIB:.1f} MiB")
    assert space < 4 * 65536
    assert kept < 4 * 16 * MIB
