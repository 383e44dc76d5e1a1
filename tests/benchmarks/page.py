"""What the benchmarks share: their options, where their tables stand in docs/, and where they were measured."""

from __future__ import annotations

import argparse
import os
import platform
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs/cost.md"


def machine(*libraries: str) -> str:
    """Where and when it was measured, and with which libraries of others."""
    cpuinfo = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.*)", cpuinfo.read_text()) if cpuinfo.exists() else None
    processor = found[1] if found else platform.processor()
    python = f"{platform.python_implementation()} {platform.python_version()}"
    measured = [
        f"{datetime.now(UTC):%Y-%m-%d}",
        python,
        *libraries,
        platform.system(),
        f"{os.cpu_count()} × {processor}",
    ]
    return f"{', '.join(measured)}."


def run(
    about: str,
    head: str,
    table: Callable[[], str],
    arguments: list[str] | None,
    *,
    page: Path = PAGE,
    libraries: tuple[str, ...] = (),
) -> None:
    """Print a table, the machine below it; `--write` puts it where the page has the one that begins with `head`."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--write", action="store_true", help=f"put the table into {page.relative_to(ROOT)}")
    write: bool = parser.parse_args(arguments).write
    text = f"{table()}\n\n{machine(*libraries)}"
    print(text, flush=True)
    if write:
        put_into(page, head, text)


def put_into(page: Path, head: str, text: str) -> None:
    """Replace the table of the page that begins so, and the line with the machine behind it."""
    shown = page.read_text("utf-8")
    old = re.search(rf"^{re.escape(head)}.*?^\n.*?\n(?=\n)", shown, re.DOTALL | re.MULTILINE)
    assert old, f"{page} has no table that begins with {head}"
    page.write_text(shown.replace(old[0], text + "\n"), "utf-8")


def labels(page: Path, head: str) -> list[str]:
    """What the rows of the table that begins so are called."""
    _, _, rest = page.read_text("utf-8").partition(f"\n{head}")
    cells = re.findall(r"^\|(.*?)\|", rest.partition("\n\n")[0], re.MULTILINE)
    return [cell.strip() for cell in cells[1:]]
