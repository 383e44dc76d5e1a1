"""Stages that never wait, written out as one function: its source is made for a row of stages, and compiled once.

Rules for this file: it knows how the lines go, and not what for (`_fused`, `_quick`). They only ever do what
`Flow.advance` would do, in the same order and as lazily; at the first result out of the ordinary they leave. What they
assume of a stage the stage declares.

For stages f (one item for each) and g (any number), in the shape ITEMS, these are the lines:

    def run(source, leave, f0, ..., f1, ...):
        for x0 in source:
            x1 = f0(x0)
            result = f1(x1)
            if type(result) is list and result:
                x2, = result  # or leave, if there are more
                if type(x2) is Reply or x2 is END: return leave(1, x1, result)
            elif type(result) in NONE and not result: continue
            else: return leave(1, x1, result)
            yield x2

A stage that may wait is awaited, `result = yield from f1(x1)`. When it does wait, the loop yields what is to be passed
on to whatever the task runs on, and is in the middle of something: it never goes on from there.
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from types import CodeType, FrameType, TracebackType, coroutine
from typing import Any, Final

from ._chain import Inbound
from ._slot import Slot
from ._stage import END, Reply

MAX_BYTES: Final = 1 << 20
"""So much bytes or text may come out of one loop, which then ends."""
FULL: Final = 1 << 30
"""What `leave` is told then."""
SHUT: Final = -1
"""A lane that no send may take."""
YIELD_AFTER: Final = 1000
"""So many items pass without a checkpoint: of what one read became (or as many KiB of them), or merged."""


class Said(enum.Enum):
    """What such a function says instead of what an item became."""

    NONE_CAME = enum.auto()
    ALL = enum.auto()
    PAUSE = enum.auto()
    NOT_NOW = enum.auto()
    CHECK_FIRST = enum.auto()


NONE_CAME: Final = Said.NONE_CAME
"""Nothing came of the item."""
ALL: Final = Said.ALL
"""Nothing is left of the items."""
PAUSE: Final = Said.PAUSE
"""There is enough to write, or it is time for a checkpoint."""
NOT_NOW: Final = Said.NOT_NOW
"""Something else is going on, and nothing was done."""
CHECK_FIRST: Final = Said.CHECK_FIRST
"""Nothing was done yet: what is done cannot be taken back, so this is the last moment for a cancellation."""

_LOCAL: Final = "type=type, list=list, bytes=bytes, str=str, len=len, Reply=Reply, END=END, NONE=NONE"
"""What a loop looks up for each item, as defaults: a name of the function's own is found faster."""
_SCOPE: Final = {
    "Reply": Reply,
    "END": END,
    "FULL": FULL,
    "NONE": frozenset((list, tuple)),
    **{said.name: said for said in Said},
}

_IS_TURNED: Final = "type({x}) is Reply or {x} is END"
# On the way to bytes it mostly is some already.
_IS_TURNED_IF_NO_BYTES: Final = f"type({{x}}) is not bytes and ({_IS_TURNED})"
# Stages that could give any number mostly pass on the item itself, or drop it.
_IS_TURNED_IF_CHANGED: Final = f"{{x}} is not {{item}} and ({_IS_TURNED})"


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """What is written around the stages.

    Args:
        head: above them; {names} is what the stages need, `x0` is the item.
        end: below them, where {x} is what the item became, and {turned} leaves if that is no item.
        none: where it became nothing.
        is_turned: asks of the one item {x} that a stage gave for each of its own whether it is a reply or the end.
        last_is_turned: asks it of what the last stage gave, by {turned}; "": that is asked right behind that stage.
    """

    head: tuple[str, ...]
    end: tuple[str, ...]
    none: tuple[str, ...] = ("continue",)
    is_turned: str = _IS_TURNED
    last_is_turned: str = ""

    @property
    def is_bound(self) -> bool:
        """Whether it is a function inside one that is called once, with what the stages need."""
        return self.end[-1] == " return run"


ITEMS: Final = Shape(
    (f"def run(source, {{names}}, {_LOCAL}):", " for x0 in source:"),
    ("  yield {x}",),
)
"""What becomes of the items of `source`."""

SIZED: Final = Shape(
    (f"def run(source, {{names}}, {_LOCAL}):", f" left, seen = {MAX_BYTES}, None", " for x0 in source:"),
    (
        *("  kind = type({x})", "  if kind is seen:", "   yield {x}", "   continue"),
        *("  {turned}", "  yield {x}"),
        *("  if kind is bytes or kind is str:", "   left -= len({x})"),
        *("   if left <= 0: return leave(FULL, None, None)", "  else: seen = kind"),
    ),
    last_is_turned="kind is Reply or {x} is END",
)
"""The same, where it may come to much, so that bytes and text are counted; a type `seen` before is none of these."""

ONE: Final = Shape(
    ("def bind({names}):", " def run(x0):"),
    ("  return {x}", " return run"),
    none=("return NONE_CAME",),
)
"""What one item becomes."""

MANY: Final = Shape(
    (
        *(f"def run(source, add, room, {{names}}, {_LOCAL}):", f" left = {YIELD_AFTER}"),
        *(" for x0 in source:", "  left -= 1"),
    ),
    (
        *("  if type({x}) is not bytes or not {x}:", "   {turned}", "   return {x}"),
        *("  add({x})", "  room -= len({x})"),
        *("  if room <= 0 or not left: return PAUSE", " return ALL"),
    ),
    none=("if left: continue", "return PAUSE"),
    is_turned=_IS_TURNED_IF_NO_BYTES,
    last_is_turned=_IS_TURNED_IF_NO_BYTES,
)
"""What the items of `source` become, to be added, as much as there is room for."""

MERGED: Final = Shape(
    (
        "def bind(state, news, buffer, loose, most, {names}):",
        " def run(x0):",
        "  if state.lane != news.changes: return NOT_NOW",
    ),
    (
        *("  if type({x}) is not bytes or state.reading:", "   {turned}", "   return {x}"),
        "  size = buffer.size + len({x})",
        *("  if size >= most: return {x}", "  loose.append({x})", "  buffer.size = size"),
        *(f"  if len(loose) >= {YIELD_AFTER}: state.lane = {SHUT}", "  return ALL", " return run"),
    ),
    none=("return NONE_CAME",),
    is_turned=_IS_TURNED_IF_NO_BYTES,
    last_is_turned=_IS_TURNED_IF_NO_BYTES,
)
"""The same for one item, unless something else is going on."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What is written for one stage.

    Args:
        how: "watch": it lets each item pass; "one": it gives one for each; "many": any number; "await": and may wait.
        only_items: among its results is no reply and no end.
    """

    how: str
    only_items: bool

    @classmethod
    def of(cls, slot: Slot) -> Kind:
        """What the stage there declares."""
        if slot.sync is None:
            return cls("await", bool(slot.stage.only_items))
        how = "watch" if slot.watches else "one" if slot.one is not None else "many"
        return cls(how, bool(slot.stage.only_items))


class Written:
    """Stages as one function, written out for them.

    Args:
        slots: all steady.
        shape: what is written around them.
        only_items: whether what goes in is known to be no reply and no end.
        gates: how many halves there are whose `ready` decides whether items pass.

    Attributes:
        run: the function, or what gives it where it is bound.
    """

    __slots__ = ("_code", "_lines", "run", "slots")

    def __init__(self, slots: Sequence[Slot], shape: Shape, *, only_items: bool = False, gates: int = 0) -> None:
        self.slots = slots
        kinds = tuple(Kind.of(slot) for slot in slots)
        self.run, self._code, self._lines = _written(kinds, shape, only_items, gates)

    def where(self, error: BaseException) -> tuple[int, Any] | None:
        """Which of the stages raised it, and with which item; its number is behind the last if the item was through.

        None: none of them; where there is a source, it was the source.
        """
        trace: TracebackType | None = error.__traceback__
        while trace is not None and trace.tb_frame.f_code is not self._code:
            trace = trace.tb_next
        if trace is None:
            return None
        return self._at(trace.tb_frame, trace.tb_lineno)

    def _at(self, frame: FrameType, line: int) -> tuple[int, Any] | None:
        at = sum(start <= line for start in self._lines) - 1
        return None if at < 0 else (at, frame.f_locals[f"x{at}"])


def _leave_if(is_turned: str, at: int, kind: Kind) -> str:
    """The line that leaves if what the stage gave is no item."""
    if kind.only_items or kind.how == "watch":
        return "pass"
    item, out = f"x{at}", f"x{at + 1}"
    return f"if {is_turned.format(item=item, x=out)}: return leave({at}, {item}, [{out}])"


@functools.cache
def _written(kinds: tuple[Kind, ...], shape: Shape, only_items: bool, gates: int) -> tuple[Any, CodeType, list[int]]:  # noqa: FBT001
    """The function for such stages, its code, and the line of each stage and of what comes behind them."""
    halves = [f"h{at}" for at in range(gates)]
    names = ", ".join(["leave", *(f"f{at}, d{at}, g{at}" for at in range(len(kinds))), *halves])
    last = f"x{len(kinds)}"
    lines = [line.format(names=names) for line in shape.head]
    starts = [len(lines) + 1]
    if not only_items:
        lines += ["  if type(x0) is Reply or x0 is END: return leave(-1, None, x0)"]
    lines += [f"  if not {half}.ready: return leave(-1, None, x0)" for half in halves]
    turned = "pass"
    for at, kind in enumerate(kinds):
        asked_below = shape.last_is_turned if at + 1 == len(kinds) else ""
        asked_here = shape.is_turned if kind.how == "one" else _IS_TURNED_IF_CHANGED
        turned = _leave_if(asked_below or asked_here, at, kind)
        lines += _lines_of(at, kind, "pass" if asked_below else turned, shape.none)
        starts.append(len(lines) + 1)
    lines += [line.format(x=last, turned=turned) for line in shape.end]
    scope: dict[str, Any] = dict(_SCOPE)
    exec(compile("\n".join(lines), "<fused stages>", "exec"), scope)  # noqa: S102 - of nothing but these lines
    if shape.is_bound:
        inner = next(each for each in scope["bind"].__code__.co_consts if type(each) is CodeType)
        return scope["bind"], inner, starts
    run = coroutine(scope["run"]) if any(kind.how == "await" for kind in kinds) else scope["run"]
    return run, run.__code__, starts


def functions_of(slots: Sequence[Slot]) -> tuple[Any, ...]:
    """What the function is called with for the stages."""
    return tuple([function for slot in slots for function in _functions_at(slot)])


def _functions_at(slot: Slot) -> tuple[Any, ...]:
    """The same for one stage: its own function; for a tap the direction and `watch_failed`, too."""
    if slot.watches:
        direction = "inbound" if isinstance(slot.stage, Inbound) else "outbound"
        return slot.stage.watch, direction, slot.stage.watch_failed
    return slot.one or slot.sync or slot.stage.process, None, None


def _lines_of(at: int, kind: Kind, turned: str, none: tuple[str, ...]) -> list[str]:
    item, function, out = f"x{at}", f"f{at}", f"x{at + 1}"
    if kind.how == "watch":
        return [f"  {out} = {item}", f"  try: {function}(d{at}, {item})", f"  except Exception as error: g{at}(error)"]
    if kind.how == "one":
        return [f"  {out} = {function}({item})", f"  {turned}"]
    return [
        f"  result = {'yield from ' if kind.how == 'await' else ''}{function}({item})",
        "  if type(result) is list and result:",
        f"   try: {out}, = result",
        f"   except ValueError: return leave({at}, {item}, result)",
        f"   {turned}",
        "  elif type(result) in NONE and not result:",
        *(f"   {line}" for line in none),
        f"  else: return leave({at}, {item}, result)",
    ]
