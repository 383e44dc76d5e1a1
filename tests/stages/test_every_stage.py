"""What every ready-made stage must have, stage by stage: a file, a test file, a page, the kit's checks.

The stages are those of the catalogue, so a new one is asked for all of it at once. Read from the sources: no stage and
no test is run here.
"""

from __future__ import annotations

import ast
import functools
import inspect
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from stages._catalogue import Entry, catalogue
from tests.code_blocks import ROOT, code_blocks

# Halves that are public stand in the file, the test file and on the page of the whole.
HALVES = {"JSONDecoder": "JSONCodec", "JSONEncoder": "JSONCodec"}

# What a rule below asks for and a stage rightly does not have: (stage, rule) and why.
EXCEPTIONS = {
    ("Logger", "check_limit"): "max_chars cuts what is shown; the item passes whatever its size",
    ("HexDump", "check_limit"): "max_bytes cuts what is shown; the item passes whatever its size",
    ("Recorder", "check_limit"): "max_bytes is when the next file begins; the item passes whatever its size",
    ("PcapTap", "check_limit"): "max_bytes is where the capture ends; the item passes whatever its size",
    ("Peek", "check_framer"): "it shows what comes first and pauses; all else is given back, never framed",
    ("Peek", "check_linear"): "it takes a few bytes and then pauses",
    ("ProtobufCodec", "check_linear"): "an item is one message, never a part of a stream; protobuf's own code reads it",
    ("Rechunk", "check_framer"): "its pieces depend on how the bytes came: it bounds them and cuts no frames",
    ("StructCodec", "check_linear"): "an item is one record of a fixed size, never a part of a stream",
}

STAGES = [entry for entry in catalogue() if entry.kinds]
EACH = pytest.mark.parametrize("entry", STAGES, ids=lambda entry: entry.name)


def source_of(entry: Entry) -> Path:
    return Path(inspect.getfile(entry.stage))


def mirror_of(entry: Entry) -> Path:
    """`tests/stages/framing/test_line.py` for `stages/framing/_line.py`."""
    source = source_of(entry).relative_to(ROOT)
    return ROOT / "tests" / source.parent / f"test_{source.stem.removeprefix('_')}.py"


def page_of(entry: Entry) -> Path:
    return ROOT / f"docs/stages/{HALVES.get(entry.name, entry.name)}.md"


# ---- which checks a stage needs


def takes_a_byte_stream(entry: Entry) -> bool:
    return any(direction == "inbound" and taken == "bytes" for direction, taken, _ in entry.flows)


def waits(entry: Entry) -> bool:
    """Whether anything in its file is awaited, but for what the class above does (`await super().finish()`)."""
    tree = ast.parse(source_of(entry).read_text("utf-8"))
    awaited = [ast.unparse(node.value) for node in ast.walk(tree) if isinstance(node, ast.Await)]
    return any(not call.startswith("super().") for call in awaited)


def needed(entry: Entry) -> set[str]:
    """The kit's checks that belong to a stage of this kind."""
    rules = {
        "check_framer": entry.family == "framing",
        "check_codec": entry.family == "codecs",
        "check_tap": entry.is_tap,
        "check_limit": any(each.name.startswith("max_") for each in entry.parameters),
        "check_linear": takes_a_byte_stream(entry),
        "check_cancellation": waits(entry),
    }
    return {rule for rule, holds in rules.items() if holds}


# ---- which it has


@dataclass(frozen=True)
class Uses:
    """Which names each top-level statement of a file uses, and by them the statements that it defines."""

    uses: dict[str, set[str]]

    def reached_from(self, start: str) -> set[str]:
        """All names that a function uses, those of the helpers and constants that it uses included."""
        found: set[str] = set()
        new = {start}
        while new:
            found |= new
            new = set().union(*(self.uses.get(name, set()) for name in new)) - found
        return found

    def tests_together(self, *names: str) -> list[str]:
        """The tests that use all of these names."""
        return [name for name in self.uses if name.startswith("test_") and {*names} <= self.reached_from(name)]


@functools.cache
def read(path: Path) -> Uses:
    uses: dict[str, set[str]] = {}
    for statement in ast.parse(path.read_text("utf-8")).body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            defined = [statement.name]
        else:
            defined = [
                node.id
                for node in ast.walk(statement)
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
            ]
        used = {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}
        for name in defined:
            uses[name] = uses.get(name, set()) | used
    return Uses(uses)


# ---- the rules


def test_stages_were_found() -> None:
    assert {"LineFramer", "JSONCodec", "Tap", "Map"} <= {entry.name for entry in STAGES}


@EACH
def test_it_has_a_file_of_its_own(entry: Entry) -> None:
    others = [each.name for each in STAGES if source_of(each) == source_of(entry) and each is not entry]
    assert [] == [name for name in others if HALVES.get(name, name) != HALVES.get(entry.name, entry.name)]
    assert source_of(entry).stem.startswith("_") or source_of(entry).parent.name == "stages"


@EACH
def test_it_has_a_test_file_of_its_own(entry: Entry) -> None:
    """The mirror of its own, with tests that use it."""
    assert mirror_of(entry).is_file(), mirror_of(entry)
    assert read(mirror_of(entry)).tests_together(entry.name)


@EACH
def test_its_tests_have_the_checks_of_the_kit(entry: Entry) -> None:
    """Each in a test that uses the stage, directly or by a helper."""
    tests = read(mirror_of(entry))
    whole = HALVES.get(entry.name, entry.name)
    missing = {rule for rule in needed(entry) if not tests.tests_together(whole, rule)}
    assert {rule for name, rule in EXCEPTIONS if name == entry.name} == missing


@EACH
def test_its_page_has_a_picture_and_a_program(entry: Entry) -> None:
    """Of what goes in and comes out, then a program that uses it and shows what comes of it, then its parameters."""
    page = page_of(entry)
    text = page.read_text("utf-8")
    assert text.startswith(f"# {page.stem}\n")
    assert re.search(rf"^\.\. auto(class|function):: stages\.{entry.name}$", text, re.MULTILINE)
    picture = re.search(r"^```\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert picture, "no picture: a fence without a language"
    assert re.search(r"in:.*out:", picture[1], re.DOTALL) or "─►" in picture[1] or "→" in picture[1]
    programs = [block.text for block in code_blocks(page, "python")]
    assert any(re.search(rf"\b{page.stem}\(", program) for program in programs)
    assert code_blocks(page, "text") or any("\nassert " in program for program in programs), "nothing is shown"


def test_no_exception_is_out_of_date() -> None:
    known = {entry.name: needed(entry) for entry in STAGES}
    assert [] == [key for key in EXCEPTIONS if key[1] not in known.get(key[0], set())]
    assert {*HALVES, *HALVES.values()} <= known.keys()


# ---- the reader of test files itself


def test_names_are_followed_through_helpers_and_constants(tmp_path: Path) -> None:
    path = tmp_path / "test_x.py"
    path.write_text(
        "from stages import X, Y\n"
        "KINDS = [X]\n"
        "def check(stage):\n    check_tap(stage)\n"
        "def test_x():\n    check(KINDS[0])\n"
        "def test_y():\n    Y()\n"
    )
    tests = read(path)
    assert ["test_x"] == tests.tests_together("X", "check_tap")
    assert [] == tests.tests_together("Y", "check_tap")
