"""demo.py, which `make demo` runs: what it shows, and that its exit status tells the truth."""

from __future__ import annotations

import pytest

from tests.code_blocks import ROOT
from tests.examples.programs import run

BREAK_THE_SERVER = """
import sys
sys.path.insert(0, "examples")
import chat_server
{how}
import demo
demo.SECONDS = globals().get("seconds", 60)
sys.exit(demo.main())
"""


@pytest.fixture(scope="module")
def shown() -> str:
    done = run("examples/demo.py")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_make_demo_runs_it() -> None:
    assert "$(BIN)/python examples/demo.py" in (ROOT / "Makefile").read_text("utf-8")


def test_shows_the_chain_as_it_is_written(shown: str) -> None:
    assert "LineFramer(max_bytes=1024) | TextCodec() | Logger('chat')" in shown


def test_shows_the_tap_in_both_directions_between_write_and_answer(shown: str) -> None:
    places = [
        shown.index(text)
        for text in (
            r"client writes   b'hello\r\n'",
            "→ in  'hello'",
            "← out 'You sent: hello'",
            r"client reads    b'You sent: hello\r\n'  ✓",
        )
    ]
    assert places == sorted(places)


def test_shows_a_conversation_one_byte_at_a_time(shown: str) -> None:
    """The tap sees a line once it is whole."""
    assert r"b'\xc3'  b'\xaf'  b'v'" in shown
    assert "→ in  'naïve café'" in shown


def test_shows_a_stage_tested_in_three_lines(shown: str) -> None:
    """The three lines that are shown are those that ran."""
    lines = shown.partition("tested alone in three lines\n\n")[2].partition("\n\n")[0].splitlines()
    assert len(lines) == 3
    assert "✓ passed" in shown
    namespace: dict[str, object] = {}
    exec("from pipeline.testing import Harness\nfrom stages import LineFramer", namespace)
    exec("\n".join(line.strip() for line in lines), namespace)


def test_says_that_all_was_right(shown: str) -> None:
    assert "All 5 replies were right." in shown
    assert "✗" not in shown


def test_does_not_colour_what_is_no_terminal(shown: str) -> None:
    assert "\x1b" not in shown


def test_shows_something_on_a_terminal_without_arrows() -> None:
    done = run("examples/demo.py", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert "? in  'hello'" in done.stdout


CLOSES_AT_ONCE = """
async def close(pipeline): pass
chat_server.chat = close
"""
MUTE = """
async def mute(pipeline): await chat_server.trio.sleep_forever()
chat_server.chat, seconds = mute, 0.2
"""
SHOUTS = """
async def shout(pipeline):
    async for line in pipeline:
        if line == '.': return
        await pipeline.send(f'You SENT: {line}')
chat_server.chat = shout
"""


@pytest.mark.parametrize(
    ("how", "said"),
    [(CLOSES_AT_ONCE, "the end of the stream  ✗ wrong"), (MUTE, "no answer within"), (SHOUTS, "✗ wrong")],
    ids=["closes at once", "mute", "answers wrongly"],
)
def test_wrong_replies_make_it_fail(how: str, said: str) -> None:
    done = run("-c", BREAK_THE_SERVER.format(how=how))
    assert done.returncode == 1
    assert said in done.stdout
    assert "replies were wrong." in done.stdout
