"""Each file of `stages` and of the test kit is covered by its own test file alone, branches included.

`make test` cannot tell: there one stage's test runs through another's lines, and what a file's own tests leave out
stays unseen until the other stage changes.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.code_blocks import ROOT

# A file whose tests stand in another's.
TESTED_IN = {"stages/__main__.py": "tests/stages/test_catalogue.py"}

SOURCES = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in ("stages", "pipeline/testing")
    for path in (ROOT / folder).rglob("*.py")
    if path.name != "__init__.py"
)


def mirror_of(source: str) -> str:
    """`tests/stages/framing/test_line.py` for `stages/framing/_line.py`."""
    folder, _, name = source.rpartition("/")
    return TESTED_IN.get(source) or f"tests/{folder}/test_{name.removeprefix('_')}"


@pytest.mark.parametrize("source", SOURCES)
def test_file_has_a_test_file(source: str) -> None:
    assert (ROOT / mirror_of(source)).is_file(), f"{source} needs {mirror_of(source)}"


@pytest.mark.full
@pytest.mark.parametrize("source", SOURCES)
def test_file_is_covered_by_its_own_tests(source: str, tmp_path: Path) -> None:
    coverage = [sys.executable, "-m", "coverage"]
    data = f"--data-file={tmp_path / 'coverage'}"
    tests = [*coverage, "run", data, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not full"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "EVERY_CUT": "1"}
    report = [*coverage, "report", data, f"--include={source}", "--fail-under=100"]
    for command in ([*tests, mirror_of(source)], report):
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert 0 == done.returncode, done.stdout[-3000:] + done.stderr
