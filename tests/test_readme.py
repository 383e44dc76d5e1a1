"""What README.md shows works: each Python block is run as it stands, each command is one that there is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.code_blocks import ROOT, CodeBlock, broken_links, check_command, code_blocks, commands, programs

README = ROOT / "README.md"
PROGRAMS = programs(README)
COMMANDS = commands(README)


def test_readme_has_a_program_and_the_two_commands() -> None:
    assert PROGRAMS
    assert ["make", "demo"] in COMMANDS
    assert ["make", "test"] in COMMANDS


def test_first_program_is_short() -> None:
    lines = [line for line in PROGRAMS[0][0].text.splitlines() if line.strip()]
    assert len(lines) <= 15


@pytest.mark.parametrize(("program", "printed"), PROGRAMS, ids=[str(program) for program, _ in PROGRAMS])
def test_program_runs_and_prints_what_is_shown_below_it(program: CodeBlock, printed: str, tmp_path: Path) -> None:
    """A `text` block is the output of the program before it; one without prints nothing."""
    assert printed == program.run(tmp_path)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_command_exists(command: list[str]) -> None:
    check_command(command)


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_lead_to_files_and_headings(name: str) -> None:
    assert [] == broken_links(ROOT / name)


def lines_of(text: str) -> str:
    return "\n".join(line.strip() for line in text.strip().splitlines())


def test_session_is_one_that_the_demo_shows() -> None:
    (session,) = code_blocks(README, "terminal")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    demo = [sys.executable, str(ROOT / "examples" / "demo.py")]
    shown = subprocess.run(demo, env=environment, capture_output=True, encoding="utf-8", timeout=60, check=True).stdout
    assert lines_of(session.text) in lines_of(shown)


@pytest.mark.parametrize(
    ("path", "test"), re.findall(r"\]\((tests/[\w/]+\.py)\): `(test_\w+)`", README.read_text("utf-8"))
)
def test_statement_has_the_test_behind_it(path: str, test: str) -> None:
    assert f"def {test}(" in (ROOT / path).read_text("utf-8")


def test_each_example_is_named() -> None:
    """A reader has no other list of them."""
    # `demo.py` is what `make demo` runs
    examples = {path.name for path in (ROOT / "examples").glob("*.py")} - {"demo.py"}
    assert examples == set(re.findall(r"\]\(examples/(\w+\.py)\)", README.read_text("utf-8")))


def test_the_extras_of_the_examples_are_those_that_they_say_they_need() -> None:
    (named,) = re.findall(r"`pip install '\.\[([\w,]+)\]'`", README.read_text("utf-8"))
    programs = [path.read_text("utf-8") for path in (ROOT / "examples").glob("*.py")]
    needed = re.findall(r"`pip install 'penstock\[([\w,]+)\]'`", "".join(programs))
    assert sorted(set(",".join(needed).split(","))) == named.split(",")
