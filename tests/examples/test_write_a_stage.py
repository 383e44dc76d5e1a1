"""write_a_stage.py: what it shows when run, and its stages, each alone and in the chain."""

from __future__ import annotations

import runpy
from types import SimpleNamespace

import pytest

from pipeline import IncompleteFrameError, Reply
from pipeline.testing import Harness, check_codec
from stages import LineFramer, TextCodec
from tests.code_blocks import ROOT
from tests.examples.programs import run

PROGRAM = "examples/write_a_stage.py"
SHOWN = r"""
inbound(drop_comments): ['tea']
Unfold(): ['tea, milk']
Acknowledged():
  sends ['1 tea', '2 milk'], unheard {1: 'tea', 2: 'milk'}
  receives ['sugar'], unheard {2: 'milk'}
  replies ['heard 1']
LineFramer() | TextCodec() | Acknowledged() | inbound(drop_comments) | Unfold():
  the shop receives 'tea, milk'
  the shopper receives 'that is 4.20'
  unheard {}
"""


@pytest.fixture(scope="module")
def example() -> SimpleNamespace:
    """The program's names; importing it runs nothing."""
    return SimpleNamespace(**runpy.run_path(str(ROOT / PROGRAM)))


def test_shows_each_stage_alone_and_all_over_a_socket() -> None:
    done = run(PROGRAM)
    assert (done.returncode, done.stderr) == (0, "")
    assert SHOWN.lstrip() == done.stdout


@pytest.mark.parametrize(
    ("lines", "out"),
    [(["a"], ["a"]), (["a\\", "b\\", "c"], ["abc"]), (["\\", "\\", "a", "b"], ["a", "b"]), ([""], [""])],
)
def test_unfold_joins_lines(example: SimpleNamespace, lines: list[str], out: list[str]) -> None:
    harness = Harness(example.Unfold())
    assert out == harness.receive(*lines)
    assert [] == harness.finish()


@pytest.mark.parametrize(("lines", "leftover"), [(["a\\"], b"a"), (["\\"], b""), (["a", "ü\\"], "ü".encode())])
def test_unfold_refuses_an_end_behind_a_backslash(example: SimpleNamespace, lines: list[str], leftover: bytes) -> None:
    harness = Harness(example.Unfold())
    harness.receive(*lines)
    with pytest.raises(IncompleteFrameError) as info:
        harness.finish()
    assert leftover == info.value.leftover


def test_unfold_has_a_limit(example: SimpleNamespace) -> None:
    """It is one on what is joined, however many lines that is made of."""
    assert ["abcd"] == Harness(example.Unfold(max_chars=4)).receive("ab\\", "cd")
    with pytest.raises(ValueError, match="5 characters is over the limit, max_chars=4"):
        Harness(example.Unfold(max_chars=4)).receive("ab\\", "cde\\")


def test_an_acknowledgement_is_not_numbered(example: SimpleNamespace) -> None:
    """It turns round at its own half, so it does not pass the other one."""
    harness = Harness(LineFramer() | TextCodec() | example.Acknowledged())
    assert [b"1 tea\n"] == harness.send("tea")
    assert ["milk"] == harness.receive(b"1 milk\n")
    assert [b"heard 1\n"] == harness.replies


def test_half_of_it_is_a_stage_that_can_be_called(example: SimpleNamespace) -> None:
    unheard = {7: "tea"}
    acknowledge = example.Acknowledge(unheard)
    assert acknowledge.process_sync("heard 8") == ()
    assert acknowledge.process_sync("1 heard 7") == [Reply("heard 1"), "heard 7"]
    assert unheard == {7: "tea"}


def test_a_line_without_a_number_is_an_error(example: SimpleNamespace) -> None:
    with pytest.raises(ValueError, match="tea"):
        Harness(example.Acknowledged()).receive("tea")


def test_lines_come_back_as_they_were_sent(example: SimpleNamespace) -> None:
    check_codec(lambda: LineFramer() | TextCodec() | example.Acknowledged(), ["tea", "", "heard 1", "2 milk", " "])
