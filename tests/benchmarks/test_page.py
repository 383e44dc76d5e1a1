"""What the benchmarks share: a table goes into its page, and nothing else there changes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.benchmarks.page import PAGE, labels, machine, put_into, run

HEADS = ["| | ns per frame |", "| | taken in, µs |", "| one more stage that passes items on |"]
HEADS += ["| | half of the answers within |", "| | KB per idle connection |"]


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "cost.md"
    path.write_text(PAGE.read_text("utf-8"), "utf-8")
    return path


@pytest.mark.parametrize("head", HEADS)
def test_a_table_is_replaced_and_the_line_behind_it(page: Path, head: str) -> None:
    put_into(page, head, f"{head} new |\n| row | 1 |\n\n2026-01-01, a machine.")
    written = page.read_text("utf-8")
    assert f"{head} new |\n| row | 1 |\n\n2026-01-01, a machine.\n\n" in written
    put_into(page, head, f"{head} newer |\n| row | 1 |\n\n2026-01-02, a machine.")
    assert page.read_text("utf-8") == written.replace("new |", "newer |").replace("01-01", "01-02")
    others = [each for each in HEADS if each != head]
    assert [labels(PAGE, each) for each in others] == [labels(page, each) for each in others]


def test_a_page_without_the_table_is_left_alone(page: Path) -> None:
    with pytest.raises(AssertionError, match=r"has no table that begins with \| nothing"):
        put_into(page, "| nothing", "| nothing |")
    assert PAGE.read_text("utf-8") == page.read_text("utf-8")


def test_it_is_printed_and_written_where_it_is_asked_for(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def table() -> str:
        return "| | KB per idle connection | new |\n| row | 1 |"

    run("About it.", HEADS[-1], table, [], page=PAGE)
    assert f"{table()}\n\n{machine()}\n" == capsys.readouterr().out
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.benchmarks.page.ROOT", page.parent)
        run("About it.", HEADS[-1], table, ["--write"], page=page)
    assert f"{table()}\n\n{machine()}\n" in page.read_text("utf-8")


def test_the_machine_is_told_with_the_day() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\d, \w+ 3\.\d+\.\d+\S*, \w+, \d+ × .*\.", machine())
    assert re.fullmatch(r"\d{4}-\d\d-\d\d, \w+ 3\.\d+\.\d+\S*, OpenSSL 3, \w+, \d+ × .*\.", machine("OpenSSL 3"))
