"""What type checkers accept and refuse, by samples: `composes.py` must pass, each line marked in `refused.py` must not.

A mark is `# error: rule`, with mypy's name of the rule. Each checker runs once for all samples.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.code_blocks import ROOT, code_blocks

SAMPLES = Path(__file__).parent

PYRIGHT_RULES = {
    "arg-type": {"reportArgumentType", "reportCallIssue"},
    "assignment": {"reportAssignmentType"},
    "list-item": {"reportArgumentType"},
    "misc": {"reportArgumentType"},
    "operator": {"reportOperatorIssue", "reportOptionalOperand"},
    "override": {"reportIncompatibleMethodOverride"},
}

Errors = set[tuple[str, int, str]]
"""(file, line, rule)"""


def expected_errors() -> Errors:
    return {
        (path.name, number, found[1])
        for path in SAMPLES.glob("*.py")
        if not path.name.startswith("test_")
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if (found := re.search(r"# error: ([\w-]+)$", line))
    }


def run(*command: str) -> str:
    # pyright looks for trio where the first `python` of PATH has it, and for installed packages where that one does.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


def test_samples_are_marked() -> None:
    """The marks are found, and every rule among them is known by both names."""
    assert expected_errors()
    assert {rule for _, _, rule in expected_errors()} == PYRIGHT_RULES.keys()


@pytest.mark.full
def test_mypy_refuses_what_is_wrong_and_nothing_else() -> None:
    found = re.findall(
        r"^\S*?(\w+\.py):(\d+): error: .*\[([\w-]+)\]$",
        run("mypy", "--strict", *map(str, SAMPLES.glob("[!t]*.py"))),
        re.MULTILINE,
    )
    assert expected_errors() == {(file, int(line), rule) for file, line, rule in found}


@pytest.mark.full
def test_stages_and_chains_that_the_documentation_shows(tmp_path: Path) -> None:
    """What a reader copies passes the strictest settings."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    programs = [
        block
        for page in pages
        for block in code_blocks(page, "python")
        if re.search(
            r"^class \w+\((In|Out)bound\[|^class \w+\(Codec\[|^def make_chain\(\) ->", block.text, re.MULTILINE
        )
        and page.name != "mistakes.md"  # whose programs begin in the middle
    ]
    assert {"README.md", "tutorial.md", "write-a-stage.md"} <= {program.path.name for program in programs}
    for number, program in enumerate(programs):  # the line is that of the page
        name = f"{re.sub(r'[^a-z]', '_', program.path.stem)}_{number}.py"
        (tmp_path / name).write_text("\n" * (program.line - 1) + program.text, "utf-8")

    assert "" == "\n".join(re.findall(r".*: error: .*", run("mypy", "--strict", *map(str, tmp_path.glob("*.py")))))


@pytest.mark.full
def test_pyright_refuses_what_is_wrong_and_nothing_else() -> None:
    report = json.loads(run("pyright", "--outputjson", "--project", str(SAMPLES)))
    found = {
        (Path(error["file"]).name, error["range"]["start"]["line"] + 1, error.get("rule", error["message"]))
        for error in report["generalDiagnostics"]
        if error["severity"] == "error"
    }
    expected = expected_errors()
    assert {place[:2] for place in expected} == {place[:2] for place in found}
    for file, line, rule in expected:
        assert {name for *place, name in found if place == [file, line]} <= PYRIGHT_RULES[rule], f"{file}:{line}"


@pytest.mark.full
@pytest.mark.parametrize("package", ["pipeline", "stages"])
def test_no_public_type_is_unknown(package: str) -> None:
    """Seen from outside, as an installed package, everything public has a type."""
    report = json.loads(run("pyright", "--outputjson", "--ignoreexternal", "--verifytypes", package))
    symbols = report["typeCompleteness"]["symbols"]
    assert symbols
    assert [] == [
        symbol["name"]
        for symbol in symbols
        if symbol["isExported"] and not symbol["isTypeKnown"] and not symbol["isTypeAmbiguous"]
    ]
