"""What there is: the ready-made stages as text, read from the stages themselves.

Rules for this file: it has no list of its own. What a stage is called, takes, gives and does stands at the
stage, in `stages.__all__`, the bases of its class, its signature and its docstring, and is only laid out here.
"""

from __future__ import annotations

import argparse
import difflib
import enum
import importlib
import inspect
import io
import re
import shutil
import sys
import textwrap
import types
import typing
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import stages
from pipeline import Duplex, Inbound, Outbound, Passthrough, Stage
from stages.protocols import SansIO

_DIRECTIONS = {Inbound: "inbound", Outbound: "outbound", Duplex: "both", Passthrough: "both"}
_WIDTH = 100

_LEGEND = """\
a → b   takes a, gives b; a ⇄ b   inbound takes a and gives b, outbound the reverse; T, A, B …   any type, and the same
both    inbound and outbound; either   as what it is made of; tap   watches and changes nothing

python -m stages NAME shows one of them in full.
"""


@dataclass(frozen=True)
class Entry:
    """One stage of the catalogue.

    Attributes:
        stage: the class, or the function that makes the stage.
        name: how it is imported from `stages`.
        family: of which of its modules it is, such as "framing".
        direction: "inbound", "outbound", "both", "either", which depends on the arguments, or "function",
            "class" for what is no stage.
        is_tap: whether it watches and changes nothing.
        kinds: what it is by its types, of `Inbound`, `Outbound`, `Duplex` and `Passthrough`.
        flows: what it takes and gives, (inbound or outbound, in, out), each type as text.
    """

    stage: Any
    name: str
    family: str
    direction: str
    is_tap: bool
    kinds: frozenset[type]
    flows: tuple[tuple[str, str, str], ...]

    @property
    def parameters(self) -> list[inspect.Parameter]:
        """What it is called with, without annotations."""
        is_class = isinstance(self.stage, type)
        # Not the class's own signature: that is of `__new__`, which takes everything and remembers it.
        call: Callable[..., Any] = inspect.getattr_static(self.stage, "__init__") if is_class else self.stage
        if call is object.__init__:
            return []
        shown = [each.replace(annotation=each.empty) for each in inspect.signature(call).parameters.values()]
        return shown[1:] if is_class else shown

    @property
    def doc(self) -> str:
        """Its docstring."""
        return inspect.getdoc(self.stage) or ""

    @property
    def extra(self) -> str:
        """The extra that its docstring says it needs."""
        found = re.search(r"^Needs the extra `penstock\[(\w+)\]`", self.doc, re.MULTILINE)
        return found[1] if found else ""

    @property
    def types(self) -> str:
        """`bytes ⇄ str`, `bytes → str`, or both directions where they differ by more than the direction."""
        if self.direction == "function":
            return f"→ {type_name(_returned(self.stage)[0])}"
        if len(self.flows) == 2:
            (_, wire_in, client_in), (_, client_out, wire_out) = self.flows
            if (wire_in, client_in) == (wire_out, client_out):
                return f"{wire_in} ⇄ {client_in}"
        return ", ".join(f"{taken} → {given}" for _, taken, given in self.flows)


def catalogue() -> list[Entry]:
    """Every name of `stages`, family by family, in the order of the alphabet."""
    entries = [_entry(name, getattr(stages, name)) for name in stages.__all__]
    return sorted(entries, key=lambda entry: (entry.family, entry.name.lower()))


def _entry(name: str, stage: Any) -> Entry:
    made = [stage] if isinstance(stage, type) else _returned(stage)
    kinds = {kind: each for each in made for kind in _DIRECTIONS if issubclass(typing.get_origin(each) or each, kind)}
    directions = {_DIRECTIONS[kind] for kind in kinds} or {"class" if isinstance(stage, type) else "function"}
    most = kinds.get(Duplex) or next(iter(kinds.values()), None)
    return Entry(
        stage=stage,
        name=name,
        family=stage.__module__.split(".")[1],
        direction=directions.pop() if len(directions) == 1 else "either",
        is_tap=bool(kinds) and _is_tap(stage),
        kinds=frozenset(kinds),
        flows=_flows(most) if most else (),
    )


def _returned(function: Callable[..., Any]) -> list[Any]:
    """The types of what a function returns, one for each of its overloads."""
    found = []
    for each in typing.get_overloads(function) or [function]:
        # Of the annotations only this one: `Result[...]` of a parameter is for type checkers and does not evaluate.
        bare = types.SimpleNamespace(__annotations__={"return": each.__annotations__["return"]})
        found.append(typing.get_type_hints(bare, vars(sys.modules[function.__module__]))["return"])
    return found


def _is_tap(stage: Any) -> bool:
    """Whether a half in the file of the stage, which has one stage, says so."""
    alone = isinstance(stage, type) and issubclass(stage, Stage)
    halves = [stage] if alone else vars(sys.modules[stage.__module__]).values()
    own = [half for half in halves if isinstance(half, type) and half.__module__ == stage.__module__]
    return any(issubclass(half, Stage) and half.is_tap is True for half in own)


# ---- types


def _flows(stage: Any) -> tuple[tuple[str, str, str], ...]:
    kind = next(kind for kind in _DIRECTIONS if issubclass(typing.get_origin(stage) or stage, kind))
    if kind is Passthrough:
        return (("inbound", "any", "any"), ("outbound", "any", "any"))
    arguments = type_arguments(stage, kind)
    variables = {each for each in arguments if isinstance(each, TypeVar)}
    only = dict.fromkeys(variables, "T") if len(variables) == 1 else {}
    words = [only.get(each) or type_name(each) for each in arguments]
    if kind is Duplex:
        return (("inbound", words[0], words[1]), ("outbound", words[2], words[3]))
    return ((_DIRECTIONS[kind], words[0], words[1]),)


def type_arguments(stage: Any, base: type) -> tuple[Any, ...]:
    """What `base` is subscripted with where `stage`, a class or a subscripted one, derives from it."""
    origin = typing.get_origin(stage) or stage
    given = typing.get_args(stage)
    parameters = getattr(origin, "__parameters__", ())
    if origin is base:
        return given or parameters
    bases = vars(origin).get("__orig_bases__", origin.__bases__)
    above = next(each for each in bases if issubclass(typing.get_origin(each) or each, base))
    known = dict(zip(parameters, given, strict=False))
    return tuple(_with(known, each) for each in type_arguments(above, base))


def _with(known: dict[Any, Any], argument: Any) -> Any:
    if isinstance(argument, TypeVar):
        return known.get(argument, argument)
    inner = getattr(argument, "__parameters__", ())
    return argument[tuple(known.get(each, each) for each in inner)] if inner else argument


def type_name(given: Any) -> str:
    """A type as it is read: `bytes` for all kinds of bytes, without modules."""
    if given is Any:
        return "any"
    if typing.get_origin(given) in (typing.Union, types.UnionType):
        members = [each for each in typing.get_args(given) if each not in (bytearray, memoryview)]
        return " | ".join(dict.fromkeys(map(type_name, members)))
    if origin := typing.get_origin(given):
        return f"{type_name(origin)}[{', '.join(map(type_name, typing.get_args(given)))}]"
    if isinstance(given, typing.ForwardRef):  # of a library that need not be there
        return given.__forward_arg__
    odd = {types.NoneType: "None", Ellipsis: "..."}
    return odd.get(given) or str(getattr(given, "__name__", given))


# ---- text


def overview(entries: Iterable[Entry], width: int = _WIDTH) -> str:
    """The catalogue for a terminal: by family, each stage with its types, what it does, and how it is called."""
    entries = list(entries)
    names, directions = (max(map(len, column)) for column in zip(*map(_head, entries), strict=True))
    lines: list[str] = []
    family = ""
    for entry in entries:
        if entry.family != family:
            family = entry.family
            lines += [f"stages.{family}   {_family_line(family)}", ""]
        name, direction = _head(entry)
        needs = f"   needs penstock[{entry.extra}]" if entry.extra else ""
        lines += [f"  {name:{names}}  {direction:{directions}}  {entry.types}".rstrip() + needs]
        lines += [*_wrapped(entry.doc.split("\n")[0], width, indent="    "), *_call(entry, width, indent="    "), ""]
    return "\n".join([*lines, _LEGEND])


def _head(entry: Entry) -> tuple[str, str]:
    return entry.name, f"{entry.direction}, tap" if entry.is_tap else entry.direction


def _family_line(family: str) -> str:
    return (inspect.getdoc(importlib.import_module(f"stages.{family}")) or "").split("\n")[0]


def _call(entry: Entry, width: int, *, indent: str) -> list[str]:
    if isinstance(entry.stage, enum.EnumMeta):
        return _wrapped(", ".join(f"{entry.name}.{name}" for name in entry.stage.__members__), width, indent=indent)
    head = f"{indent}{entry.name}("
    words: list[str] = []
    for each in entry.parameters:
        if each.kind is each.KEYWORD_ONLY and "*" not in words:
            words.append("*")
        words.append(_shown(each))
    # A break only between parameters: a default may have spaces.
    rows, row = [], head
    for at, word in enumerate(words):
        piece = word + (", " if at + 1 < len(words) else ")")
        if len(row) + len(piece.rstrip()) > width and row.strip():
            rows.append(row.rstrip())
            row = " " * len(head)
        row += piece
    return [*rows, row if words else f"{head})"]


def _shown(parameter: inspect.Parameter) -> str:
    default = parameter.default
    if default is parameter.empty or not (isinstance(default, type) or inspect.isroutine(default)):
        return str(parameter)
    return f"{parameter.name}={default.__name__}"  # and not <class '...'>


def _wrapped(text: str, width: int, *, indent: str) -> list[str]:
    return textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=indent, break_long_words=False)


def in_full(entry: Entry, width: int = _WIDTH) -> str:
    """One stage: how it is imported and called, what it takes and gives, its docstring, its public members."""
    direction = _head(entry)[1]
    lines = [f"from stages import {entry.name}", ""]
    lines += [
        *_call(entry, width, indent=""),
        "",
        f"{entry.family}, {direction}   {entry.types}".rstrip(),
        "",
        entry.doc,
    ]
    members = dict(_members(entry.stage)) if isinstance(entry.stage, type) else {}
    if members:
        longest = max(map(len, members))
        lines += ["", "Members:", *(f"    {name:{longest}}  {line}" for name, line in members.items())]
    return "\n".join([*lines, ""])


def _members(stage: type) -> Iterable[tuple[str, str]]:
    """What a stage has beside what every stage has, and what its half alone calls (`SansIO`)."""
    common = {name for base in (Stage, *_DIRECTIONS, SansIO) for name in vars(base)} | {"inbound", "outbound"}
    for name, member in inspect.getmembers(stage):
        if (
            not name.startswith("_")
            and name not in common
            and (inspect.isroutine(member) or isinstance(member, property))
        ):
            yield name, (inspect.getdoc(member) or "").split("\n")[0]


# ---- the command


def main(arguments: list[str] | None = None) -> int:
    """Run `python -m stages [NAME]`: print the catalogue, or one stage in full."""
    parser = argparse.ArgumentParser(prog="python -m stages", description="The ready-made stages.")
    parser.add_argument("name", nargs="?", help="show this one in full")
    name: str | None = parser.parse_args(arguments).name
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that has no arrows is to show the rest
    width = min(shutil.get_terminal_size((_WIDTH, 0)).columns, 120)
    entries = catalogue()
    if name is None:
        sys.stdout.write(overview(entries, width))
        return 0
    found = [entry for entry in entries if entry.name.lower() == name.lower()]
    if found:
        sys.stdout.write(in_full(found[0], width))
        return 0
    names = {entry.name.lower(): entry.name for entry in entries}
    meant = [names[near] for near in difflib.get_close_matches(name.lower(), names, 2)]
    hint = f"did you mean {' or '.join(meant)}?" if meant else "python -m stages lists them"
    sys.stderr.write(f"there is no stage {name!r}: {hint}\n")
    return 2
