"""The arrows of the layers: who may import whom, read from the source.

A new module needs a line in a table here; that is the moment to think about where it belongs.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import pipeline

ROOT = Path(__file__).parent.parent

# Each may import those before it. No event loop so far:
PURE = [
    "_errors",
    "_stage",
    "_stagechain",
    "_chain",
    "_function",
    "_items",
    "_row",
    "_results",
    "_slot",
    "_written",
    "_fused",
    "_call",
    "_counting",
    "_stock",
]
PURE += ["_flow", "_fastflow", "_wiring", "_buffer", "_outgoing", "_incoming", "_core"]
PURE += ["_quick", "_unread", "_surgery", "_matching", "_streamrules", "_turns", "_stats"]
# Here is trio:
ON_TRIO = [
    "_ends",
    "_socketends",
    "_transport",
    "_news",
    "_writing",
    "_fastwriting",
    "_reading",
    "_parking",
    "_fastreading",
    "_driver",
    "_changing",
    "_closing",
    "_lifetime",
    "_receiving",
    "_sending",
    "_stream",
    "_pipeline",
    "_datagrams",
    "_pump",
    "_blame",
    "_serve",
    "_asking",
    "_beside",
    "_calls",
    "_attended",
    "_substream",
    "_streamwriter",
    "_streamgroup",
    "_demux",
    "_streams",
]
LAYERS = PURE + ON_TRIO
# A lower module that names a higher one's class, for type checkers only.
TYPING_LOOPS = {("_slot", "_call"), ("_slot", "_flow"), ("_stream", "_pipeline")}

# Stages that really wait, by file. All others run on any loop, so they import no trio.
WAITING_STAGES: set[str] = set()

# Each extra is imported only where it serves.
EXTRAS = {
    "fcgiproto": ["stages/protocols/"],
    "h11": ["stages/protocols/"],
    "h2": ["stages/protocols/"],
    "jeepney": ["stages/protocols/_dbus.py"],
    "msgspec": ["stages/codecs/"],
    "google": ["stages/codecs/_protobuf.py"],
    "hypothesis": ["pipeline/testing/"],
    "siosocks": ["stages/protocols/_socks_handshake.py"],
    "smtpproto": ["stages/protocols/"],
    "wsproto": ["stages/protocols/"],
}

PIPELINE_FILES = sorted((ROOT / "pipeline").glob("*.py"))
TESTING_FILES = sorted((ROOT / "pipeline/testing").rglob("*.py"))
STAGE_FILES = sorted((ROOT / "stages").rglob("*.py"))


@dataclass(frozen=True)
class Import:
    """`from module import name`, or `import module` where name is empty."""

    module: str
    name: str
    line: int
    for_types: bool

    @property
    def top(self) -> str:
        return self.module.partition(".")[0]


def imports_of(path: Path) -> list[Import]:
    """Every import of a file, wherever it stands, relative ones made absolute."""
    package = ".".join(path.relative_to(ROOT).parent.parts)
    return list(_imports(ast.parse(path.read_text("utf-8")), package, for_types=False))


def _imports(node: ast.AST, package: str, *, for_types: bool) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        yield from (Import(alias.name, "", node.lineno, for_types) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
        module = ".".join([*parents, *([node.module] if node.module else [])])
        yield from (Import(module, alias.name, node.lineno, for_types) for alias in node.names)
    elif isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
        for statement in node.body:
            yield from _imports(statement, package, for_types=True)
        for statement in node.orelse:
            yield from _imports(statement, package, for_types=for_types)
    else:
        for child in ast.iter_child_nodes(node):
            yield from _imports(child, package, for_types=for_types)


def core_modules(found: Import) -> list[str]:
    """The modules of `pipeline` that it is of: `_chain`, be it `from ._chain import X` or `from . import _chain`."""
    if found.top != "pipeline":
        return []
    rest = found.module.partition(".")[2]
    return [rest.partition(".")[0] or found.name or "__init__"]


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", [path for path in PIPELINE_FILES if path.stem != "__init__"], ids=relative)
def test_core_imports_only_what_is_below(path: Path) -> None:
    assert path.stem in LAYERS, "a new module: give it a place in the table of layers"
    below = LAYERS[: LAYERS.index(path.stem)]
    for found in imports_of(path):
        for module in core_modules(found):
            if not (found.for_types and (path.stem, module) in TYPING_LOOPS):
                assert module in below, f"line {found.line}: {path.stem} may import {below}"


# Files of `pipeline` whose tests stand in another file's: parts of it, or what shows only where it is used.
TESTED_IN = {
    "_demux": "test_streams",
    "_news": "test_driver",
    "_stock": "test_asking",
    "_streamgroup": "test_streams",
    "_streamwriter": "test_streams",
    "_substream": "test_streams",
    "_wiring": "test_slot",
}


@pytest.mark.parametrize("path", [path for path in PIPELINE_FILES if path.stem != "__init__"], ids=relative)
def test_core_has_its_tests_where_they_are_looked_for(path: Path) -> None:
    """Of `stages` and the test kit this and more is shown in test_own_coverage.py."""
    own = f"test_{path.stem.removeprefix('_')}"
    assert (ROOT / f"tests/pipeline/{TESTED_IN.get(path.stem, own)}.py").is_file()
    assert path.stem not in TESTED_IN or not (ROOT / f"tests/pipeline/{own}.py").exists()


def test_layers_exist() -> None:
    """The table names no module that is gone."""
    assert set(LAYERS) <= {path.stem for path in PIPELINE_FILES}


@pytest.mark.parametrize("path", [ROOT / f"pipeline/{name}.py" for name in PURE], ids=relative)
def test_core_needs_no_trio(path: Path) -> None:
    """From `_errors` to `_core` nothing knows of an event loop (C5)."""
    assert [] == [found for found in imports_of(path) if found.top in {"trio", "asyncio", "socket", "selectors"}]


@pytest.mark.parametrize("path", [*PIPELINE_FILES, *TESTING_FILES], ids=relative)
def test_core_knows_no_ready_made_stage(path: Path) -> None:
    assert [] == [found for found in imports_of(path) if found.top == "stages"]


@pytest.mark.parametrize("path", STAGE_FILES, ids=relative)
def test_stages_use_public_names_of_pipeline(path: Path) -> None:
    for found in imports_of(path):
        if found.top == "pipeline":
            assert found.module == "pipeline", f"line {found.line}: import from `pipeline` itself"
            assert found.name in pipeline.__all__, f"line {found.line}: {found.name} is not public"


@pytest.mark.parametrize("path", [path for path in STAGE_FILES if len(path.relative_to(ROOT).parts) > 2], ids=relative)
def test_families_do_not_import_each_other(path: Path) -> None:
    """What two families share is in a module of `stages` that begins with an underscore."""
    family = path.relative_to(ROOT).parts[1]
    for found in imports_of(path):
        if found.top == "stages":
            other = f"{found.module}.{found.name}".split(".")[1]
            assert other == family or other.startswith("_"), f"line {found.line}"


@pytest.mark.parametrize("path", STAGE_FILES, ids=relative)
def test_stages_that_never_wait_need_no_trio(path: Path) -> None:
    if relative(path) not in WAITING_STAGES:
        assert [] == [found for found in imports_of(path) if found.top in {"trio", "asyncio"}]


@pytest.mark.parametrize("path", [*PIPELINE_FILES, *TESTING_FILES, *STAGE_FILES], ids=relative)
def test_dependencies_are_the_declared_ones(path: Path) -> None:
    known = {*sys.stdlib_module_names, "pipeline", "stages", "trio", "typing_extensions"}
    for found in imports_of(path):
        where = EXTRAS.get(found.top, [])
        assert found.top in known or relative(path).startswith(tuple(where)), f"line {found.line}: {found.module}"


@pytest.mark.parametrize(
    "statement", ["from pipeline import Engine", "from pipeline.testing import Harness", "import stages"]
)
def test_chains_run_without_trio_being_loaded(statement: str) -> None:
    """So they serve asyncio, or a program with no loop at all; the names that need trio are loaded on first use."""
    program = f"{statement}; import sys; print('trio' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "False" == done.stdout.strip()
