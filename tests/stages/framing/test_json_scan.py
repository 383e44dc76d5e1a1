"""Where a JSON value ends; what the framer makes of it is in test_json.py."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import CorruptFrameError, FrameTooLongError
from stages.framing._json_scan import SPACE, Scanner, behind, value_pattern


def scan(*pieces: bytes, max_depth: int = 64) -> tuple[Scanner, int | None]:
    """Go through a value in pieces, and say where in the last one it ends."""
    scanner = Scanner(max_depth)
    scanner.begin(pieces[0][0])
    end = scanner.go_on(pieces[0], 1)
    for piece in pieces[1:]:
        assert end is None
        end = scanner.go_on(piece, 0)
    return scanner, end


VALUES = st.recursive(
    st.text('ab{}[]"\\\n é') | st.integers() | st.none(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text('"{\\'), inner),
)


@given(value=VALUES.map(lambda value: [value]), indent=st.sampled_from([None, 1]), more=st.binary(max_size=5))
def test_value_ends_at_its_bracket_whatever_it_contains_and_follows(
    value: Any, indent: int | None, more: bytes
) -> None:
    wire = json.dumps(value, indent=indent, ensure_ascii=False).encode()
    assert len(wire) == scan(wire + more)[1]
    for place in range(1, len(wire)):
        assert len(wire) - place == scan(wire[:place], wire[place:] + more)[1]
    scanner, end = scan(*(wire[at : at + 1] for at in range(len(wire))))
    assert (1, len(wire)) == (end, scanner.least)


@given(value=VALUES.map(lambda value: [value]))
def test_least_bytes_of_a_value_never_become_fewer_and_end_at_its_size(value: Any) -> None:
    wire = json.dumps(value).encode()
    sizes = [scan(wire[:end])[0].least for end in range(1, len(wire) + 1)]
    assert sorted(sizes) == sizes
    assert len(wire) == sizes[-1]


@pytest.mark.parametrize(
    ("wire", "least"), [(b"[", 2), (b"[{", 4), (b'["', 4), (b'["a', 5), (b'["\\', 6), (b'["\\"', 6), (b'["\\""', 6)]
)
def test_missing_brackets_a_quote_and_an_escaped_byte_count(wire: bytes, least: int) -> None:
    assert least == scan(wire)[0].least


def test_empty_pieces_change_nothing() -> None:
    assert 3 == scan(b'["\\', b"", b'""]')[1]
    assert 1 == scan(b"[", b"", b"]")[1]


@pytest.mark.parametrize("wire", [b'["a"}', b"[1, {]", b"{]", b"[[[[[[}"])
def test_wrong_bracket_is_corrupt_and_least_counts_what_was_before_it(wire: bytes) -> None:
    for pieces in ([wire], [wire[:1], wire[1:]], [bytes([byte]) for byte in wire]):
        scanner = Scanner(64)
        scanner.begin(wire[0])
        with pytest.raises(CorruptFrameError, match=f"{len(wire) - 1} bytes into a value"):
            for piece, at in zip(pieces, itertools.chain([1], itertools.repeat(0)), strict=False):
                scanner.go_on(piece, at)
        assert scan(wire[:-1])[0].least == scanner.least


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5, 8])
def test_depth_is_limited_however_much_the_pattern_passes_at_once(depth: int) -> None:
    wire = b"[" * depth + b"]" * depth
    assert 2 * depth == scan(wire, max_depth=depth)[1]
    if depth > 1:
        with pytest.raises(FrameTooLongError, match=f"nested {depth} deep is over the limit, max_depth={depth - 1}"):
            scan(wire, max_depth=depth - 1)


def test_cleared_scanner_is_outside_of_any_value() -> None:
    scanner, _ = scan(b"[[")
    assert b"]]" == scanner.closers
    scanner.clear()
    assert b"" == scanner.closers


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_pattern_takes_a_value_of_its_depth_and_no_deeper_one(depth: int) -> None:
    match = value_pattern(depth).match
    wire = b'{"]":[' * (depth // 2) + b'["}"]' * (depth % 2) + b"]}" * (depth // 2)
    found = match(b" \t\r\n" + wire + b"]")
    assert found is not None
    assert wire == found[1]
    assert match(b"[" + wire + b"]") is None
    assert match(wire[:-1]) is None
    assert match(wire[:-1] + (b"]" if wire.endswith(b"}") else b"}")) is None


def test_pattern_of_many_levels_is_the_one_of_a_few() -> None:
    assert value_pattern(4) is value_pattern(64)


def test_white_space_is_what_json_calls_so() -> None:
    assert [4, 0, 0, 0] == [behind(SPACE, data, 0) for data in (b" \t\r\n\x0b", b"\x0c", b"\xa0", b"")]
