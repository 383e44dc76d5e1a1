"""log_a_session.py: what each of its taps shows of one session over a real socket."""

from __future__ import annotations

import subprocess

import pytest

from tests.examples.programs import run

PROGRAM = "examples/log_a_session.py"


@pytest.fixture(scope="module")
def shown() -> list[str]:
    return lines_of(run(PROGRAM))


def lines_of(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_an_item_passes_all_taps_and_is_answered_before_the_next_one(shown: list[str]) -> None:
    """What the client wrote behind the first line does not show until the first line is answered."""
    expected = [
        r"""bytes    → in  b'{"say": "hi"}\n{"say": "gr\xc3'""",
        """lines    → in  b'{"say": "hi"}'""",
        """text     → in  '{"say": "hi"}'""",
        """objects  → in  {'say': 'hi'}""",
        """objects  ← out {'heard': 'hi'}""",
        """text     ← out '{"heard": "hi"}'""",
        """lines    ← out b'{"heard": "hi"}'""",
        r"""bytes    ← out b'{"heard": "hi"}\n'""",
    ]
    assert expected == shown[:8]


def test_a_character_cut_in_two_is_whole_above_the_framer(shown: list[str]) -> None:
    expected = [
        r"""bytes    → in  b'\xbc\xc3\x9fe"}\n'""",
        r"""lines    → in  b'{"say": "gr\xc3\xbc\xc3\x9fe"}'""",
        """text     → in  '{"say": "grüße"}'""",
        """objects  → in  {'say': 'grüße'}""",
    ]
    assert expected == shown[8:12]


def test_a_tap_of_its_own_counts_the_bytes(shown: list[str]) -> None:
    assert shown[16:] == ["in all 33 bytes in, 37 bytes out"]


def test_only_some_taps(shown: list[str]) -> None:
    """The others are in the chain all the same, and the traffic does not notice."""
    chosen = lines_of(run(PROGRAM, "objects", "bytes"))
    assert [line for line in shown if not line.startswith(("lines", "text"))] == chosen


def test_a_tap_that_there_is_not() -> None:
    done = run(PROGRAM, "frames")
    assert done.returncode == 2
    assert "there is no tap frames: take some of bytes, lines, text, objects" in done.stderr
