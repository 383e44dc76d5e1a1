"""All benchmarks, one after the other: what `make bench` prints.

    python tests/benchmarks/bench.py            print all tables, some minutes
    python tests/benchmarks/bench.py --write    and put each that has one into its page of docs/

Each is a program by itself, too, and runs here in a process of its own. Nothing asserts a time.
"""

from __future__ import annotations

import argparse
import ast
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent

WITH_PAGE = [
    "loops.py",
    "one_more_stage.py",
    "latency.py",
    "connections.py",
    "cost.py",
    "tls.py",
    "http1.py",
    "http2.py",
    "websocket.py",
    "fastcgi.py",
]
"""Those whose tables docs/ shows, in this order; each takes `--write`."""


def without_page() -> list[str]:
    """The others that print a table."""
    return sorted(
        path.name
        for path in HERE.glob("*.py")
        if not path.name.startswith("test_")
        and "\ndef table(" in path.read_text("utf-8")
        and path.name not in WITH_PAGE
    )


def title(script: Path) -> str:
    """The first line of what it says of itself."""
    said = ast.get_docstring(ast.parse(script.read_text("utf-8"))) or script.name
    return said.partition("\n")[0]


def run(script: Path, *options: str) -> None:
    """Run one, below its title."""
    print(f"\n{title(script)}\n", flush=True)
    subprocess.run([sys.executable, str(script), *options], check=True)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="All benchmarks, one after the other.")
    parser.add_argument("--write", action="store_true", help="put each table that has a page there into docs/")
    options = ["--write"] if parser.parse_args(arguments).write else []
    for name in WITH_PAGE:
        run(HERE / name, *options)
    for name in without_page():
        run(HERE / name)


if __name__ == "__main__":
    main()
