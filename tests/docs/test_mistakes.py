"""docs/mistakes.md: each mistake is made, and the page shows what the terminal shows.

Run as a program, it writes the real messages into the page:

    PYTHONPATH=. python tests/docs/test_mistakes.py
"""

from __future__ import annotations

import ast
import contextlib
import gc
import inspect
import io
import logging
import os
import re
import subprocess
import sys
import textwrap
import traceback
import types
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from tests.code_blocks import ROOT, CodeBlock, code_blocks

PAGE = ROOT / "docs/mistakes.md"
HANGS = "(nothing: it hangs)"

# What every program on the page begins with: the page says so.
PRELUDE = """\
import trio
from pipeline import *
from pipeline.testing import Harness
from stages import *
"""


@dataclass(frozen=True)
class Mistake:
    """A program, the end of what the terminal shows, and the programs that are right, where the page has some."""

    code: CodeBlock
    shown: CodeBlock
    right: list[CodeBlock]

    def __str__(self) -> str:
        return str(self.code)


def mistakes() -> list[Mistake]:
    """What the page has, in its order: `python mistake`, `text`, and any number of `python instead`."""
    blocks = code_blocks(PAGE, "python", "text")
    lines = PAGE.read_text("utf-8").splitlines()
    kinds = [lines[block.line - 2].strip("` ") for block in blocks]
    assert set(kinds) <= {"python mistake", "text", "python instead"}, "a block that no test knows"
    found = []
    for at, kind in enumerate(kinds):
        if kind == "python mistake":
            assert kinds[at + 1] == "text", f"{blocks[at]}: what does the terminal show?"
            found.append(Mistake(blocks[at], blocks[at + 1], []))
        elif kind == "python instead":
            found[-1].right.append(blocks[at])
    return found


MISTAKES = mistakes() if PAGE.exists() else []


def run(code: str) -> str:
    """Run a program's lines inside an `async def` with a connected `stream` and `peer`.

    Returns:
        What it prints, and the last lines of the traceback: the error itself, with its notes.
    """
    compiled = compile(code, "mistake.py", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    output = io.StringIO()
    with contextlib.redirect_stdout(output), _log_shown(output), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as Python does, but for code of `__main__`
        warnings.simplefilter("always", RuntimeWarning)
        warnings.showwarning = _shower(output)
        try:
            trio.run(_main, compiled, clock=trio.testing.MockClock(autojump_threshold=0))
        except BaseException as error:
            text = "".join(traceback.format_exception_only(_innermost(error)))
        else:
            text = ""
        gc.collect()
    return _the_same_each_time(output.getvalue() + text)


async def _main(compiled: types.CodeType) -> None:
    scope: dict[str, Any] = {"__name__": "__main__"}
    exec(PRELUDE, scope)
    stream, peer = (trio.SocketStream(end) for end in trio.socket.socketpair())
    async with stream, peer:
        scope["stream"], scope["peer"] = stream, peer
        with trio.move_on_after(60) as limit:
            result = types.FunctionType(compiled, scope)()
            if inspect.iscoroutine(result):
                await result
        if limit.cancelled_caught:
            print(HANGS)


def _innermost(error: BaseException) -> BaseException:
    """The one error inside the groups that nurseries make; the terminal shows it last, indented."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


@contextlib.contextmanager
def _log_shown(output: io.StringIO) -> Iterator[None]:
    """Show the log as Python does where nobody has configured it."""
    logger, terminal = logging.getLogger("pipeline"), logging.StreamHandler(output)
    terminal.setLevel(logging.WARNING)
    logger.addHandler(terminal)
    try:
        yield
    finally:
        logger.removeHandler(terminal)


def _shower(output: io.StringIO) -> Callable[..., None]:
    def show(message: Warning | str, category: type[Warning], *args: object) -> None:
        output.write(f"{category.__name__}: {message}\n")

    return show


def _the_same_each_time(text: str) -> str:
    text = re.sub(r" \(missed __\w+__ method\)", "", text)  # newer Pythons say it
    text = re.sub(r" fd=\d+", " fd=3", text)
    return re.sub(r" at 0x[0-9a-f]+", " at 0x7f...", text)


# What a mistake leaves behind (a coroutine never awaited, a socket never closed) is no fault of the test.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("mistake", MISTAKES, ids=str)
def test_the_page_shows_what_the_terminal_shows(mistake: Mistake) -> None:
    assert mistake.shown.text == run(mistake.code.text)


@pytest.mark.parametrize("right", [right for mistake in MISTAKES for right in mistake.right], ids=str)
def test_what_to_write_instead_works(right: CodeBlock) -> None:
    """It ends by itself, without an error or a warning."""
    shown = run(right.text)

    assert HANGS not in shown
    assert not re.search(r"^\w+(Error|Warning|Exception|Channel)\b", shown, re.MULTILINE), shown


def test_there_are_twenty_of_them() -> None:
    assert len(MISTAKES) >= 20


def test_a_terminal_ends_with_these_lines(tmp_path: Path) -> None:
    """Programs of their own end like those which are run inside the test."""
    mistake = MISTAKES[0]
    body = textwrap.indent(mistake.code.text, "    ")
    streams = "    stream, peer = map(trio.SocketStream, trio.socket.socketpair())\n"
    program = tmp_path / "program.py"
    program.write_text(f"{PRELUDE}\nasync def main():\n{streams}{body}\ntrio.run(main)\n", "utf-8")
    done = subprocess.run(
        [sys.executable, str(program)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert 1 == done.returncode
    assert done.stderr.endswith(mistake.shown.text)


def write_page() -> None:
    """Put the real messages into the page."""
    lines = PAGE.read_text("utf-8").splitlines(keepends=True)
    for mistake in reversed(mistakes()):
        first = mistake.shown.line - 1
        lines[first : first + mistake.shown.text.count("\n")] = [run(mistake.code.text)]
    PAGE.write_text("".join(lines), "utf-8")


if __name__ == "__main__":
    write_page()
