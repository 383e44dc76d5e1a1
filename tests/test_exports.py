"""The public names: reached by one path, documented, and the same for Python and for type checkers."""

from __future__ import annotations

import ast
import importlib
import inspect
import itertools
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import pipeline
import stages

ROOT = Path(__file__).parent.parent


def public_packages() -> Iterator[ModuleType]:
    """The modules whose `__all__` is a promise: the two packages and, inside, every family of stages."""
    for package in (pipeline, stages):
        yield package
        for info in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            if not info.name.rpartition(".")[2].startswith("_"):
                yield importlib.import_module(info.name)


MODULES = list(public_packages())
NAMES = [(module, name) for module in MODULES for name in getattr(module, "__all__", [])]
MODULE = pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
NAME = pytest.mark.parametrize(("module", "name"), NAMES, ids=[f"{module.__name__}.{name}" for module, name in NAMES])


def tree_of(module: ModuleType) -> ast.Module:
    return ast.parse(inspect.getsource(module))


def names_for_type_checkers(module: ModuleType) -> set[str]:
    """What a type checker finds in the source, `if TYPE_CHECKING:` included, and nothing that only exists when run."""
    names: set[str] = set()
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names if node.module != "__future__"}
        elif isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return names


def own_names(module: ModuleType) -> set[str]:
    """The public names a module has from its own distribution, modules apart, whether in `__all__` or not.

    A package hands out what it imports; a family of one file defines what it hands out.
    """
    found = {name for name, value in vars(module).items() if not inspect.ismodule(value) and not name.startswith("_")}
    borrowed = {
        alias.asname or alias.name
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.ImportFrom)
        and (not hasattr(module, "__path__") or (not node.level and node.module not in {"pipeline", "stages"}))
        for alias in node.names
    }
    return found - borrowed


def documented_values() -> set[str]:
    """Constants and type aliases with a string under them, as Python itself keeps no docstring of these."""
    names: set[str] = set()
    for path in [*(ROOT / "pipeline").rglob("*.py"), *(ROOT / "stages").rglob("*.py")]:
        body = ast.parse(path.read_text("utf-8")).body
        for node, after in itertools.pairwise(body):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and isinstance(after, ast.Expr):
                names.add(node.target.id)
    return names


def public_members(owner: type) -> Iterator[tuple[str, Any]]:
    """What a class of ours defines for its users."""
    for name, member in vars(owner).items():
        if not name.startswith("_") and (inspect.isroutine(member) or isinstance(member, property)):
            yield name, member


@MODULE
def test_all_is_there(module: ModuleType) -> None:
    assert module.__doc__
    assert module.__all__
    assert len(set(module.__all__)) == len(module.__all__), "a name is there twice"


@MODULE
def test_no_public_name_is_missing_from_all(module: ModuleType) -> None:
    assert set() == own_names(module) - set(module.__all__)


@MODULE
def test_type_checkers_see_the_same_names(module: ModuleType) -> None:
    assert set() == set(module.__all__) - names_for_type_checkers(module)


@MODULE
def test_dir_lists_every_public_name(module: ModuleType) -> None:
    """So completion in a shell shows also what is loaded on first use."""
    assert set() == set(module.__all__) - set(dir(module))


@NAME
def test_name_is_reachable_and_documented(module: ModuleType, name: str) -> None:
    value = getattr(module, name)
    if isinstance(value, type) or inspect.isroutine(value):
        assert vars(value).get("__doc__") if isinstance(value, type) else value.__doc__
    else:
        assert name in documented_values(), f"{name} needs a string under its definition"


@NAME
def test_methods_are_documented(module: ModuleType, name: str) -> None:
    """A method says what it does, or the class it overrides one of does."""
    value = getattr(module, name)
    if isinstance(value, type):
        assert [] == [member for member, _ in public_members(value) if not inspect.getdoc(getattr(value, member))]


@pytest.mark.parametrize("name", getattr(stages, "__all__", []))
def test_stage_is_in_its_family_too(name: str) -> None:
    """`from stages import LineFramer` and `from stages.framing import LineFramer` give the same class."""
    families = [module for module in MODULES if module.__name__.startswith("stages.") and name in module.__all__]
    assert [getattr(stages, name)] == [getattr(module, name) for module in families]


@pytest.mark.parametrize("module", [pipeline, importlib.import_module("pipeline.testing")], ids=lambda m: m.__name__)
def test_an_unknown_name_is_an_ordinary_error(module: ModuleType) -> None:
    """Loading names on first use does not change what a misspelt one gives."""
    with pytest.raises(AttributeError, match=f"module '{module.__name__}' has no attribute 'Pipelin'"):
        _ = module.Pipelin
