"""What README.md shows works: each Python block is run as it stands, each command is one that there is."""

from __future__ import annotations

import re
import shlex
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

from tests.code_blocks import ROOT, CodeBlock, code_blocks

README = ROOT / "README.md"
PROGRAMS = code_blocks(README, "python")
BLOCKS = code_blocks(README, "python", "sh", "text")
OUTPUTS = [(one, two) for one, two in pairwise(BLOCKS) if one.language == "python" and two.language == "text"]
COMMANDS = [
    shlex.split(line.removeprefix("$ "), comments=True)
    for block in code_blocks(README, "sh", "shell", "bash", "console")
    for line in block.text.splitlines()
    if line.strip() and not line.lstrip().startswith("#")
]


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


def test_readme_has_a_program_and_the_two_commands() -> None:
    assert PROGRAMS
    assert ["make", "demo"] in COMMANDS
    assert ["make", "test"] in COMMANDS


def test_first_program_is_short() -> None:
    lines = [line for line in PROGRAMS[0].text.splitlines() if line.strip()]
    assert len(lines) <= 15


@pytest.mark.parametrize("program", PROGRAMS, ids=str)
def test_program_runs_and_prints_what_is_shown_below_it(program: CodeBlock, tmp_path: Path) -> None:
    """A `text` block is the output of the program before it; one without prints nothing."""
    shown = [output.text for before, output in OUTPUTS if before == program]
    assert "".join(shown) == program.run(tmp_path)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_command_exists(command: list[str]) -> None:
    program, *arguments = command
    if program == "make":
        assert set(arguments) <= make_targets()
    elif program in {"pip", "python", "python3"}:
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
        for argument in arguments:
            if found := re.fullmatch(r"penstock\[([\w,]+)\]", argument):
                assert set(found[1].split(",")) <= extras.keys()
            elif argument.endswith(".py"):
                assert (ROOT / argument).is_file()
    else:
        assert program in {"cd", "git", "nc", "telnet"}, "a command that no test knows"


@pytest.mark.parametrize("target", re.findall(r"\]\((?!https?://|#)([^)#]+)", README.read_text("utf-8")))
def test_link_leads_to_a_file(target: str) -> None:
    assert (ROOT / target).exists()
