"""test_a_stage.py: a plain pytest file, run as such."""

from __future__ import annotations

import pytest

from tests.examples.programs import start


@pytest.mark.parametrize(
    "command", [pytest.param(["-m", "pytest"], marks=pytest.mark.full), []], ids=["pytest", "alone"]
)
def test_it_passes_under_pytest_and_alone(command: list[str]) -> None:
    """None of this repository's own settings is needed."""
    options = ["-c", "/dev/null", "-p", "no:cacheprovider"] if command else []
    done = start(*command, *options, "examples/test_a_stage.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "9 passed" in done.stdout
