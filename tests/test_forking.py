"""Programs that are forked run as those do that are started."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.forking import forker


def run(
    text: str, directory: Path, *arguments: str, stdin: str = "", seconds: int = 60
) -> subprocess.CompletedProcess[str]:
    program = directory / "program.py"
    program.write_text(text, "utf-8")
    return forker().run(program, directory, *arguments, stdin=stdin, seconds=seconds)


def test_it_is_the_main_program_in_its_directory_without_input(tmp_path: Path) -> None:
    (tmp_path / "neighbour.py").write_text("name = 'found'", "utf-8")
    text = "import os, sys, neighbour; print(__name__, os.getcwd(), sys.argv, neighbour.name, sys.stdin.read())"
    done = run(text, tmp_path)
    assert f"__main__ {tmp_path} ['{tmp_path}/program.py'] found \n" == done.stdout
    assert (0, "") == (done.returncode, done.stderr)


def test_it_has_arguments_and_input(tmp_path: Path) -> None:
    """Both for each job anew, in UTF-8."""
    for text in ("one\ngrüße\n", "", "last"):
        done = run("import sys; print(sys.argv[1:], [*sys.stdin])", tmp_path, "--to", text, stdin=text)
        assert f"{['--to', text]} {text.splitlines(keepends=True)}\n" == done.stdout


def test_an_error_is_shown_and_told(tmp_path: Path) -> None:
    done = run("print('before')\n1 / 0", tmp_path)
    assert (1, "before\n") == (done.returncode, done.stdout)
    assert "program.py" in done.stderr
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")
    assert 3 == run("raise SystemExit(3)", tmp_path).returncode


def test_a_warning_is_an_error(tmp_path: Path) -> None:
    done = run("import warnings; warnings.warn('old')", tmp_path)
    assert 1 == done.returncode
    assert done.stderr.endswith("UserWarning: old\n")


def test_nothing_of_a_program_is_left_for_the_next(tmp_path: Path) -> None:
    run("import pipeline, os; pipeline.mark = 1; os.environ['MARK'] = '1'", tmp_path)
    assert (
        "False False\n"
        == run("import pipeline, os; print(hasattr(pipeline, 'mark'), 'MARK' in os.environ)", tmp_path).stdout
    )


def test_what_does_not_end_is_ended(tmp_path: Path) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        run("import time; time.sleep(60)", tmp_path, seconds=1)
    assert "next\n" == run("print('next')", tmp_path).stdout
