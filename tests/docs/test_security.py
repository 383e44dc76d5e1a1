"""docs/security.md: each of the sixteen classes has tests behind it, and they exist."""

from __future__ import annotations

import ast
import re

import pytest

from tests.code_blocks import ROOT

PAGE = (ROOT / "docs/security.md").read_text("utf-8")
SECTIONS = re.findall(r"^## (\d+ .*?)\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)


def named(text: str) -> list[tuple[str, str]]:
    """File and test, for each that a section names."""
    entries = re.findall(r"^- `(tests/[\w/]+\.py)`: (.*(?:\n  .*)*)$", text, re.MULTILINE)
    return [(path, test) for path, rest in entries for test in re.findall(r"`(test_\w+)`", rest)]


def test_there_are_sixteen() -> None:
    assert [str(number) for number in range(1, 17)] == [title.split()[0] for title, _ in SECTIONS]


@pytest.mark.parametrize(("title", "text"), SECTIONS, ids=[title for title, _ in SECTIONS])
def test_each_has_a_guard_and_tests(title: str, text: str) -> None:
    assert text.strip().partition("\n\n- ")[0]
    assert len(named(text)) >= len(re.findall(r"^- ", text, re.MULTILINE)) > 0


@pytest.mark.parametrize(("path", "test"), sorted(set(named(PAGE))))
def test_each_test_that_the_page_names_exists(path: str, test: str) -> None:
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    assert test in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
