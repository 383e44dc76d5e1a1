"""follow_a_process.py: real programs, followed line by line."""

from __future__ import annotations

import sys

from tests.examples.programs import run

PROGRAM = "examples/follow_a_process.py"


def follow(program: str, *options: str) -> tuple[int, list[str]]:
    """Follow a Python program; return the exit status, and what was shown."""
    done = run(PROGRAM, *options, "--", sys.executable, "-c", program)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout.splitlines()


def test_alone_it_shows_both_pipes_of_its_own_program() -> None:
    """Each pipe is in order; a last line without its end is shown, too."""
    done = run(PROGRAM)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert ["out │ fetch ...", "out │ build ...", "out │ test ...", "out │ all done"] == [
        line for line in lines if line.startswith("out")
    ]
    assert "err │ 2 warnings" in lines
    assert lines[-1] == "ended with exit status 0"


def test_nothing_that_a_program_prints_is_an_error() -> None:
    """Blank lines are dropped, an endless one is skipped (the log says so), what is no UTF-8 is marked."""
    program = r"import sys; sys.stdout.buffer.write(b'a\n\n \n' + b'x' * 70_000 + b'\n\xff\nlast')"
    assert follow(program) == (0, ["out │ a", "out │ \ufffd", "out │ last", "ended with exit status 0"])


def test_more_than_both_pipes_hold() -> None:
    """Neither pipe waits for the other one to be read to its end."""
    program = "import sys\nfor i in range(2_000): print('x' * 100), print('y' * 100, file=sys.stderr)"
    status, lines = follow(program)
    assert 0 == status
    assert 4_001 == len(lines)


def test_its_exit_status_is_the_programs() -> None:
    assert follow("raise SystemExit(3)") == (3, ["ended with exit status 3"])


def test_until_a_word_stops_the_program() -> None:
    """A line is seen while the program runs: this one would run for ever."""
    program = "import time\nprint('not yet', flush=True)\nprint('ready', flush=True)\nwhile True: time.sleep(60)"
    assert follow(program, "--until", "ready") == (0, ["out │ not yet", "out │ ready", "it said 'ready': stopped"])


def test_a_program_that_there_is_not() -> None:
    done = run(PROGRAM, "no-such-program")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("cannot run it: ")
    assert "no-such-program" in done.stderr
    assert "Traceback" not in done.stderr
