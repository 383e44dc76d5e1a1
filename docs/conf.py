"""How `make docs` builds these pages: Markdown, with the reference out of the docstrings."""

from __future__ import annotations

import ast
import inspect
import re
import tomllib
from enum import Enum
from itertools import pairwise
from pathlib import Path
from typing import Any

from sphinx.util.inspect import stringify_signature

import pipeline
import pipeline.testing
import stages
from pipeline import Duplex, Passthrough, Stage

ROOT = Path(__file__).parent.parent

project = "Penstock"
author = "the Penstock contributors"
copyright = author  # noqa: A001 - Sphinx's word
version = release = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinxcontrib_trio"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"Penstock {release}"
html_show_sphinx = False

myst_heading_anchors = 3  # links to headings, as GitHub makes them
highlight_language = "none"  # a fence without a language is a picture

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True  # `time.monotonic`, and not its repr
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
napoleon_use_ivar = True
python_maximum_signature_line_length = 80

# ---- docstrings: written to be read in an editor, so their pictures and single backticks are made RST here

PUBLIC = {name: module.__name__ for module in (stages, pipeline.testing, pipeline) for name in module.__all__}
SECTION = re.compile(r"(Args|Attributes|Raises|Returns|Yields):$")
CODE = re.compile(r"(async |await |def |check_\w+\(|\s)|.*\S  +\S|.*[│─◄]")
TICKS = re.compile(r"(?<!`)`([^`]+)`(?!`)")


def documented_values() -> dict[str, str]:
    """The strings under constants and type aliases, of which Python itself keeps none."""
    found: dict[str, str] = {}
    for path in (ROOT / "pipeline").glob("*.py"):
        body = ast.parse(path.read_text("utf-8")).body
        for node, after in pairwise(body):
            if isinstance(node, ast.AnnAssign) and isinstance(after, ast.Expr):
                found[ast.unparse(node.target)] = ast.literal_eval(after.value)
    return found


VALUES = documented_values()


def linked(text: str) -> str:
    """Single backticks as RST: a link where it is one of our names, else a literal."""

    def one(found: re.Match[str]) -> str:
        name = found[1].removesuffix("()")
        if name in PUBLIC:
            return f":py:obj:`{found[1]} <{PUBLIC[name]}.{name}>`"
        return f"``{found[1]}``"

    return TICKS.sub(one, text)


def is_picture(paragraph: list[str]) -> bool:
    """Whether a paragraph is to stay as it stands: in → out, a drawing, code."""
    return not paragraph[0].startswith("- ") and any(CODE.match(line) for line in paragraph)


def as_rst(text: str) -> list[str]:
    """A docstring with its pictures marked as literal blocks; sections are left to napoleon."""
    out: list[str] = []
    in_section = False
    for paragraph in re.split(r"\n\s*\n", text.strip("\n")):
        lines = paragraph.split("\n")
        if not lines[0].startswith(" "):
            in_section = bool(SECTION.match(lines[0]))
        if not in_section and is_picture(lines):
            out += ["::", "", *(f"    {line}" for line in lines), ""]
        else:
            out += [*linked(paragraph).split("\n"), ""]
    return out


def make_rst(app: Any, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Called by autodoc with the lines of each docstring, before napoleon."""
    lines[:] = as_rst("\n".join(lines))


def put_value(app: Any, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """The same after napoleon, which would take what stands before a colon for a type."""
    if what == "data":
        lines[:] = as_rst(VALUES[name.rpartition(".")[2]])


def own_signature(app: Any, what: str, name: str, obj: Any, options: object, args: str, returns: str) -> Any:
    """The signature of a stage's `__init__`: its `__new__`, which autodoc takes first, only remembers the call.

    What is made by its own members only, an enum or a stage to be subclassed, is called with nothing.
    """
    if what == "function":
        return re.sub(r"<class '[\w.]*?(\w+)'>", r"\1", args), returns  # a default that is a class, by its name
    if what != "class" or not issubclass(obj, Stage | Duplex | Passthrough | Enum):
        return None
    if issubclass(obj, Enum):
        return "", returns
    parameters = list(inspect.signature(obj.__init__).parameters.values())[1:]
    if obj.__init__ is object.__init__:
        return "()", returns
    return stringify_signature(inspect.Signature(parameters), unqualified_typehints=True), returns


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", make_rst, priority=400)
    app.connect("autodoc-process-docstring", put_value, priority=600)
    app.connect("autodoc-process-signature", own_signature)
