"""The catalogue: what `python -m stages` shows is read from the stages, so none is missing and none is wrong."""

from __future__ import annotations

import io
import runpy
import sys
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import pytest

import stages
from pipeline import Codec, Duplex, Inbound
from stages._catalogue import Entry, catalogue, in_full, main, overview, type_arguments, type_name

A = TypeVar("A")
B = TypeVar("B")


def entry(name: str) -> Entry:
    (found,) = (each for each in catalogue() if each.name == name)
    return found


def test_every_public_name_is_there_once_family_by_family() -> None:
    entries = catalogue()
    assert sorted(stages.__all__) == sorted(each.name for each in entries)
    assert sorted(each.family for each in entries) == [each.family for each in entries]
    assert {"codecs", "framing", "taps"} <= {each.family for each in entries}


@pytest.mark.parametrize(
    ("name", "direction", "is_tap", "types"),
    [
        ("LineFramer", "both", False, "bytes ⇄ bytes"),
        ("TextCodec", "both", False, "bytes ⇄ str"),
        ("JSONCodec", "both", False, "bytes | str → T, T → bytes"),
        ("JSONDecoder", "inbound", False, "bytes | str → T"),
        ("JSONEncoder", "outbound", False, "T → bytes"),
        ("StructCodec", "both", False, "bytes → tuple[any, ...], Sequence[any] → bytes"),
        ("HTTP1", "both", False, "bytes ⇄ h11.Event"),
        ("Tap", "both", True, "any ⇄ any"),
        ("Filter", "both", False, "any ⇄ any"),
        ("Map", "either", False, "A → B, C → D"),
        ("recover", "either", False, "A → B, C → D"),
        ("replay", "function", False, "→ Replayed[ClientIn]"),
        ("Replayed", "class", False, ""),
    ],
)
def test_direction_and_types_are_read_from_the_class(name: str, direction: str, is_tap: bool, types: str) -> None:
    found = entry(name)
    assert (direction, is_tap, types) == (found.direction, found.is_tap, found.types)


def test_overview_has_for_each_stage_its_types_its_first_line_and_its_call() -> None:
    shown = overview([entry("LineFramer"), entry("Tap")])
    expected = """\
stages.framing   Framers: from a byte stream to frames, and back.

  LineFramer  both       bytes ⇄ bytes
    Cut a byte stream into lines, and write lines.
    LineFramer(max_bytes=65536, *, ending='any', keep_ends=False, at_eof='error', oversize='error')

stages.taps   """
    assert shown.startswith(expected)
    assert "\n  Tap         both, tap  any ⇄ any\n    Call a function with each item that passes;" in shown
    assert shown.endswith("shows one of them in full.\n")


def test_a_stage_that_needs_an_extra_says_so() -> None:
    assert ("h11", "msgspec", "") == tuple(entry(name).extra for name in ("HTTP1", "MessagePackCodec", "LineFramer"))
    assert "  bytes ⇄ h11.Event   needs penstock[h11]\n" in overview([entry("HTTP1")])


@pytest.mark.parametrize("width", [60, 80, 100, 120])
def test_lines_fit_the_terminal(width: int) -> None:
    """Types and what they mean stay on one line, and so does a family's."""
    shown = [line for line in overview(catalogue(), width).splitlines() if line.startswith("    ")]
    assert max(map(len, shown)) <= width
    assert all(line == line.rstrip() for line in shown)


def test_a_long_call_is_broken_between_parameters_and_aligned() -> None:
    shown = overview([entry("LineFramer")], 60)
    expected = """\
    LineFramer(max_bytes=65536, *, ending='any',
               keep_ends=False, at_eof='error',
               oversize='error')
"""
    assert expected in shown


def test_an_enumeration_shows_its_members_and_no_call() -> None:
    assert "\n    SOCKSReply.GRANTED, SOCKSReply.FAILURE, " in overview([entry("SOCKSReply")])


def test_one_in_full_has_its_docstring_and_its_members() -> None:
    shown = in_full(entry("LineFramer"))
    assert shown.startswith("from stages import LineFramer\n\nLineFramer(max_bytes=65536, *, ending='any', ")
    assert "\n\nframing, both   bytes ⇄ bytes\n\nCut a byte stream into lines, and write lines.\n\nin:  b" in shown
    assert "\nRaises:\n    FrameTooLongError: " in shown
    assert shown.endswith(
        'Members:\n    skipped  Frames dropped so far because they were over the limit (`oversize="skip"`).\n'
    )


def test_methods_that_the_adapter_calls_are_nobody_elses_to_call() -> None:
    """What a protocol overrides of `SansIO`."""
    shown = in_full(entry("DBus"))
    assert ["number", "reply_key"] == [line.split()[0] for line in shown.partition("Members:\n")[2].splitlines()]


def test_one_without_members_has_no_list_of_them() -> None:
    assert "Members:" not in in_full(entry("TextCodec"))
    assert "Members:" not in in_full(entry("recover"))


# ---- what a stage of another kind would look like


class Halves(Duplex[bytes, str, str, bytes]):
    """Sets its halves itself."""


def default(item: Any) -> Any:
    return item


def made_of(kind: type = bytes, by: Any = default) -> Inbound[Any, Any]:
    """Takes a class and a function."""
    raise NotImplementedError


@pytest.mark.parametrize(
    ("stage", "call"), [(object, "X()"), (made_of, "X(kind=bytes, by=default)"), (Halves, "X(inbound, outbound)")]
)
def test_calls_are_shown_as_they_are_written(stage: Any, call: str) -> None:
    shown = in_full(Entry(stage, "X", "framing", "inbound", is_tap=False, kinds=frozenset(), flows=()))
    assert f"\n{call}\n" in shown


class Pair(Codec[A, list[B]], Generic[A, B]):
    """In terms of others."""


class Named(Pair[bytes, str]):
    """Says which."""


def test_types_are_followed_through_the_bases() -> None:
    assert (bytes, list[str], list[str], bytes) == type_arguments(Named, Duplex)
    assert (int, list[str], list[str], int) == type_arguments(Pair[int, str], Duplex)
    assert Pair.__parameters__[:1] == type_arguments(Pair, Duplex)[:1]  # type: ignore[attr-defined]
    assert 4 == len(type_arguments(Duplex, Duplex))


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (Any, "any"),
        (bytes | bytearray | memoryview, "bytes"),
        (str | None, "str | None"),
        (Sequence[tuple[int, ...]], "Sequence[tuple[int, ...]]"),
        (A, "A"),
        ("text", "text"),
    ],
)
def test_types_are_named_as_they_are_read(given: Any, name: str) -> None:
    assert name == type_name(given)


# ---- the command


def test_command_prints_the_catalogue(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["stages"])
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit) as info:
        runpy.run_module("stages", run_name="__main__")
    assert not info.value.code
    assert overview(catalogue(), 100) == capsys.readouterr().out


def test_main_alone_does_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_module("stages.__main__", run_name="imported")
    assert "" == capsys.readouterr().out


def test_command_prints_one_in_full_however_it_is_spelt(capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == main(["lineframer"])
    assert capsys.readouterr().out.startswith("from stages import LineFramer\n")


@pytest.mark.parametrize(
    ("name", "hint"),
    [("LinesFramer", "did you mean LineFramer"), ("Sausage", "python -m stages lists them")],
)
def test_command_helps_with_a_name_that_there_is_not(name: str, hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert 2 == main([name])
    assert f"there is no stage {name!r}: {hint}" in capsys.readouterr().err


def test_output_without_arrows_shows_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    ascii_only = io.TextIOWrapper(io.BytesIO(), "ascii")
    monkeypatch.setattr(sys, "stdout", ascii_only)
    assert 0 == main(["TextCodec"])
    ascii_only.seek(0)
    assert "bytes ? str" in ascii_only.read()


def test_output_that_is_no_terminal_at_all_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    text = io.StringIO()
    monkeypatch.setattr(sys, "stdout", text)
    assert 0 == main([])
    assert "LineFramer" in text.getvalue()
