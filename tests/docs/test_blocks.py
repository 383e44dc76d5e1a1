"""What docs/ shows works: code blocks run, commands exist, links lead somewhere, every public name is there."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from tests.code_blocks import ROOT, CodeBlock, broken_links, check_command, commands, programs

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
MISTAKES = DOCS / "mistakes.md"  # has a test of its own: what it shows must fail
PROGRAMS = [found for page in PAGES if page != MISTAKES for found in programs(page)]
COMMANDS = [command for page in PAGES for command in commands(page)]


def name_of(value: object) -> str:
    return str(value.relative_to(DOCS)) if isinstance(value, Path) else str(value)


def test_pages_were_found() -> None:
    assert {"index.md", "tutorial.md"} <= {page.name for page in PAGES}
    assert PROGRAMS


@pytest.mark.parametrize(
    ("program", "printed"),
    PROGRAMS,
    ids=[f"{name_of(program.path)}:{program.line}" for program, _ in PROGRAMS],
)
def test_program_runs_and_prints_what_is_shown_below_it(program: CodeBlock, printed: str, tmp_path: Path) -> None:
    """A `text` block is the output of the program before it; one without prints nothing."""
    assert printed == program.run(tmp_path)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_command_exists(command: list[str]) -> None:
    check_command(command)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    assert [] == broken_links(page)


@pytest.mark.parametrize(
    ("module", "pages"),
    [
        ("pipeline", [DOCS / "reference/pipeline.md"]),
        ("pipeline.testing", [DOCS / "reference/testing.md"]),
        ("stages", sorted(DOCS.glob("stages/*.md"))),
    ],
)
def test_reference_has_every_public_name_once(module: str, pages: list[Path]) -> None:
    shown = re.compile(rf"^\.\. auto\w+:: {re.escape(module)}\.(\w+)$", re.MULTILINE)
    names = [name for page in pages for name in shown.findall(page.read_text("utf-8"))]
    assert sorted(importlib.import_module(module).__all__) == sorted(names)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_page_is_in_a_table_of_contents(page: Path) -> None:
    """So a reader finds it from the first page."""
    listed = {
        found.resolve()
        for table in PAGES
        for tree in re.findall(r"^```\{toctree\}\n(.*?)^```", table.read_text("utf-8"), re.DOTALL | re.MULTILINE)
        for entry in tree.splitlines()
        if entry.strip() and not entry.startswith(":")
        for found in table.parent.glob(f"{entry.strip()}.md")
    }
    assert page in {*listed, DOCS / "index.md"}
