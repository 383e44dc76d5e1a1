"""What is in a Markdown file: code blocks, so that tests can run what readers will copy, commands, links."""

from __future__ import annotations

import importlib.util
import re
import shlex
import textwrap
import tomllib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from tests.forking import forker

ROOT = Path(__file__).parent.parent

_FENCED = re.compile(
    r"^(?P<indent> *)(?P<fence>```+)(?P<info>[^\n`]*)\n(?P<text>.*?)^ *(?P=fence) *$", re.DOTALL | re.MULTILINE
)

_LINK = re.compile(r"\]\((?!https?://)([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)


@dataclass(frozen=True)
class CodeBlock:
    """One fenced block; `line` is where its text begins in the file."""

    path: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.path.name}:{self.line}"

    def run(self, directory: Path, *, seconds: int = 60) -> str:
        """Run a Python block as a program of its own, warnings being errors, and return what it printed.

        Raises:
            AssertionError: it failed; the message has its output, with line numbers of the Markdown file.
            subprocess.TimeoutExpired: it did not end.
        """
        program = directory / f"{self.path.stem}_{self.line}.py"
        program.write_text("\n" * (self.line - 1) + self.text, "utf-8")
        done = forker().run(program, directory, seconds=seconds)
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


def programs(path: Path) -> list[tuple[CodeBlock, str]]:
    """Each Python block with what it must print: the `text` block that comes next, or nothing."""
    blocks = code_blocks(path, "python", "text", "sh")
    return [
        (block, after.text if after is not None and after.language == "text" else "")
        for block, after in pairwise([*blocks, None])
        if block is not None and block.language == "python"
    ]


def commands(path: Path) -> list[list[str]]:
    """The commands that a reader is to type, in words."""
    return [
        shlex.split(line.removeprefix("$ "), comments=True)
        for block in code_blocks(path, "sh", "shell", "bash", "console")
        for line in block.text.splitlines()
        if line.strip() and not line.lstrip().startswith("#")
    ]


def make_targets() -> set[str]:
    """What `make` knows."""
    return set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


def check_command(command: list[str]) -> None:
    """Check that a command names only targets, extras and files that there are."""
    program, *arguments = command
    if program == "make":
        assert {argument for argument in arguments if "=" not in argument} <= make_targets()
    elif program in {"pip", "python", "python3"}:
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
        for argument in arguments:
            if found := re.fullmatch(r"penstock\[([\w,]+)\]", argument):
                assert set(found[1].split(",")) <= extras.keys()
            elif argument.endswith(".py"):
                assert (ROOT / argument).is_file(), argument
        if arguments[0] == "-m":
            assert importlib.util.find_spec(arguments[1]), arguments[1]
    else:
        assert program in {"cd", "git", "nc", "telnet"}, "a command that no test knows"


def links(path: Path) -> list[str]:
    """The targets of all links that stay inside the repository; those in code do not count."""
    text = _FENCED.sub("", path.read_text("utf-8"))
    return _LINK.findall(re.sub(r"`[^`\n]+`(?!\])", "", text))


def anchors(path: Path) -> set[str]:
    """What a `#...` may lead to, named as GitHub and MyST name headings."""
    text = _FENCED.sub("", path.read_text("utf-8"))
    plain = (re.sub(r"\[([^]]*)\]\([^)]*\)|[`*]", r"\1", heading) for heading in _HEADING.findall(text))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}


def broken_links(path: Path) -> list[str]:
    """The links of a file that lead to no file, or to no heading of one."""
    broken = []
    for link in links(path):
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    return broken
