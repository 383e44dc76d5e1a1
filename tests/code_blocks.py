"""The code blocks of a Markdown file, so that tests can run what readers will copy."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent

_FENCED = re.compile(
    r"^(?P<indent> *)(?P<fence>```+)(?P<info>[^\n`]*)\n(?P<text>.*?)^ *(?P=fence) *$", re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True)
class CodeBlock:
    """One fenced block; `line` is where its text begins in the file."""

    path: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.path.name}:{self.line}"

    def run(self, directory: Path, *, seconds: float = 20) -> str:
        """Run a Python block as a program of its own, warnings being errors, and return what it printed.

        Raises:
            AssertionError: it failed; the message has its output, with line numbers of the Markdown file.
            subprocess.TimeoutExpired: it did not end.
        """
        program = directory / f"{self.path.stem}_{self.line}.py"
        program.write_text("\n" * (self.line - 1) + self.text, "utf-8")
        done = subprocess.run(
            [sys.executable, "-W", "error", str(program)],
            cwd=directory,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        if done.returncode:
            raise AssertionError(f"{self} failed:\n{done.stdout}{done.stderr}")
        return done.stdout


def code_blocks(path: Path, *languages: str) -> list[CodeBlock]:
    """The blocks of a file which are marked as one of `languages`; none if there is no such file."""
    text = path.read_text("utf-8") if path.exists() else ""
    return [
        CodeBlock(path, text.count("\n", 0, found.start("text")) + 1, info[0], textwrap.dedent(found["text"]))
        for found in _FENCED.finditer(text)
        if (info := found["info"].split()) and info[0] in languages
    ]
