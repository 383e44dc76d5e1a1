"""docs/stages/index.md and README.md show what `python -m stages` prints.

Run as a program, it writes that into the page:

    PYTHONPATH=. python tests/docs/test_catalogue.py
"""

from __future__ import annotations

import re

from stages._catalogue import catalogue, overview
from tests.code_blocks import ROOT, code_blocks

PAGE = ROOT / "docs/stages/index.md"
WIDTH = 100


def test_the_page_shows_what_the_terminal_shows() -> None:
    (block,) = code_blocks(PAGE, "text")
    again = "PYTHONPATH=. python tests/docs/test_catalogue.py writes it anew"
    assert overview(catalogue(), WIDTH) == block.text, again


def test_the_page_names_every_family() -> None:
    named = re.findall(r"^\| `stages\.(\w+)` \|", PAGE.read_text("utf-8"), re.MULTILINE)
    assert {entry.family for entry in catalogue()} == {*named}


def test_readme_shows_a_part_of_it() -> None:
    """Stage by stage, without what aligns the columns."""
    (block,) = (block for block in code_blocks(ROOT / "README.md", "text") if "Framer(" in block.text)
    printed = " ".join(overview(catalogue(), WIDTH).split())
    for stage in block.text.split("\n\n"):
        assert " ".join(stage.split()) in printed


if __name__ == "__main__":
    (old,) = code_blocks(PAGE, "text")
    PAGE.write_text(PAGE.read_text("utf-8").replace(old.text, overview(catalogue(), WIDTH)), "utf-8")
