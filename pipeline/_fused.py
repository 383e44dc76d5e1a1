"""A run of stages that never wait, as one loop: what a flow does for each item, done once for the chain.

Rules for this file: it only ever does what `Flow.advance` would do, in the same order and as lazily; at the first
result out of the ordinary it leaves that to the flow, and ends. What it assumes of a stage the stage declares.

For stages f (one item for each) and g (any number), this is the loop; it is written out for each such row:

    for x0 in source:
        x1 = f(x0)
        result = g(x1)
        if type(result) is list and result:
            x2, = result  # or leave, if there are more
            if type(x2) is Reply or x2 is END: return leave(1, x1, result)
        elif type(result) in NONE and not result: continue
        else: return leave(1, x1, result)
        yield x2

A stage that may wait is awaited, `result = yield from g(x1)`. When it does wait, the loop yields what is to be passed
on to whatever the task runs on, and is in the middle of something: it `waits`. It never goes on from there: `Waiting`
takes the stage's coroutine over.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import CodeType, FrameType, GeneratorType, TracebackType, coroutine
from typing import Any, Final, NamedTuple, TypeAlias

from ._chain import Inbound
from ._slot import Slot
from ._stage import END, Reply

MAX_BYTES: Final = 1 << 20
"""So much bytes or text may come out of one loop, which then ends."""
FULL: Final = 1 << 30
"""What `leave` is told then."""
NONE_CAME: Final = object()
"""What one item became of which nothing came."""

_LOCAL: Final = "type=type, list=list, bytes=bytes, str=str, Reply=Reply, END=END, NONE=NONE"
"""What is looked up for each item, as defaults: a name of the function's own is found faster."""

Leave: TypeAlias = Callable[[int, Any, Any], Any]


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
        only_items: whether what goes in is known to be no reply and no end.
        sized: whether it may come to much, so that it has to be counted; None: for one item only.
    """

    __slots__ = ("_code", "_lines", "_run", "slots")

    def __init__(self, slots: Sequence[Slot], *, only_items: bool, sized: bool | None, gates: int = 0) -> None:
        self.slots = slots
        kinds = tuple(Kind.of(slot) for slot in slots)
        self._run, self._code, self._lines = _written(kinds, only_items, sized, gates)

    def where(self, error: BaseException) -> tuple[int, Any] | None:
        """Which of the stages raised it, and with which item; its number is behind the last if the item was through."""
        trace: TracebackType | None = error.__traceback__
        while trace is not None and trace.tb_frame.f_code is not self._code:
            trace = trace.tb_next
        if trace is None:
            return None
        return self._at(trace.tb_frame, trace.tb_lineno)

    def _at(self, frame: FrameType, line: int) -> tuple[int, Any] | None:
        at = sum(start <= line for start in self._lines) - 1
        return None if at < 0 else (at, frame.f_locals[f"x{at}"])


class Fused(Written):
    """The stages behind a slot, to the end of the flow, as one loop over its results.

    Attributes:
        may_wait: whether any of the stages may; then ask `waits` of what the loop gives.
    """

    __slots__ = ("_functions", "_waiting", "may_wait")

    def __init__(self, slot: Slot, following: Sequence[Slot]) -> None:
        sized = not all(each.stage.never_expands for each in (slot, *following))
        super().__init__(following, only_items=bool(slot.stage.only_items), sized=sized)
        self._functions = _functions_of(following)
        self._waiting = tuple([each for each in following if each.may_wait])
        self.may_wait = bool(self._waiting)

    @property
    def prompt(self) -> bool:
        """Whether none of the stages waited when it was last called."""
        return all(slot.prompt for slot in self._waiting)

    def where_it_waits(self, loop: GeneratorType[Any, Any, Any]) -> tuple[Slot, Any]:
        """Which of the stages waits, and with which item."""
        assert loop.gi_frame is not None
        found = self._at(loop.gi_frame, loop.gi_frame.f_lineno)
        assert found is not None
        return self.slots[found[0]], found[1]

    def items(self, source: Iterator[Any], leave: Leave) -> Iterator[Any]:
        """What comes out of the last stage.

        Args:
            source: the results of the slot; what is not taken stays in it.
            leave: told when the flow has to go on: which of the stages (-1: the slot itself, FULL: none), with which
                item, and what it gave; then the loop ends.
        """
        items: Iterator[Any] = self._run(source, leave, *self._functions)
        return items


def waits(loop: GeneratorType[Any, Any, Any]) -> bool:
    """Whether what the loop gave last is no item, since a stage in it waits."""
    return loop.gi_yieldfrom is not None


class Left(NamedTuple):
    """Where `Direct` leaves the rest to the flow.

    Attributes:
        at: which of the stages; -1: before the first.
        item: with which item.
        result: what it gave; before the first stage, what is no item.
    """

    at: int
    item: Any
    result: Any


class Direct(Written):
    """All stages of a flow as one call for one item, if all are ready.

    Attributes:
        out: the call: what the item becomes, NONE_CAME, or a `Left`.
    """

    __slots__ = ("out",)

    def __init__(self, slots: Sequence[Slot]) -> None:
        gates = [half for slot in slots for half in slot.gates]
        super().__init__(slots, only_items=False, sized=None, gates=len(gates))
        self.out: Callable[[Any], Any] = self._run(Left, *_functions_of(slots), *gates)


@functools.cache
def _written(
    kinds: tuple[Kind, ...],
    only_items: bool,  # noqa: FBT001
    sized: bool | None,  # noqa: FBT001
    gates: int,
) -> tuple[Any, CodeType, list[int]]:
    """The function for such stages, its code, and the line of each stage and of what comes behind them."""
    halves = [f"h{at}" for at in range(gates)]
    names = ", ".join(["leave", *(f"f{at}, d{at}, g{at}" for at in range(len(kinds))), *halves])
    last = f"x{len(kinds)}"
    if sized is None:
        lines = [f"def bind({names}):", f" def run(x0, {_LOCAL}):"]
    else:
        lines = [f"def run(source, {names}, {_LOCAL}):", f" left = {MAX_BYTES}", " for x0 in source:"]
    if not only_items:
        lines += ["  if type(x0) is Reply or x0 is END: return leave(-1, None, x0)"]
    lines += [f"  if not {half}.ready: return leave(-1, None, x0)" for half in halves]
    starts = []
    for at, kind in enumerate(kinds):
        starts.append(len(lines) + 1)
        lines += _lines_of(at, kind, drops=sized is not None)
    starts.append(len(lines) + 1)
    lines += [f"  return {last}" if sized is None else f"  yield {last}"]
    if sized:
        lines += [f"  if type({last}) is bytes or type({last}) is str:", f"   left -= len({last})"]
        lines += ["   if left <= 0: return leave(FULL, None, None)"]
    none = {"NONE": frozenset((list, tuple)), "NONE_CAME": NONE_CAME}
    scope: dict[str, Any] = {"Reply": Reply, "END": END, "FULL": FULL, **none}
    if sized is None:
        lines.append(" return run")
    exec(compile("\n".join(lines), "<fused stages>", "exec"), scope)  # noqa: S102 - of nothing but these lines
    if sized is None:
        return scope["bind"], next(each for each in scope["bind"].__code__.co_consts if type(each) is CodeType), starts
    run = coroutine(scope["run"]) if any(kind.how == "await" for kind in kinds) else scope["run"]
    return run, run.__code__, starts


def _functions_of(slots: Sequence[Slot]) -> tuple[Any, ...]:
    """What the function is called with for the stages."""
    return tuple([function for slot in slots for function in _functions_at(slot)])


def _functions_at(slot: Slot) -> tuple[Any, ...]:
    """The same for one stage: its own function; for a tap the direction and `watch_failed`, too."""
    if slot.watches:
        direction = "inbound" if isinstance(slot.stage, Inbound) else "outbound"
        return slot.stage.watch, direction, slot.stage.watch_failed
    return slot.one or slot.sync or slot.stage.process, None, None


def _lines_of(at: int, kind: Kind, *, drops: bool) -> list[str]:
    item, function, out = f"x{at}", f"f{at}", f"x{at + 1}"
    turned = f"if type({out}) is Reply or {out} is END: return leave({at}, {item}, [{out}])"
    if kind.how == "watch":
        return [f"  {out} = {item}", f"  try: {function}(d{at}, {item})", f"  except Exception as error: g{at}(error)"]
    if kind.how == "one":
        return [f"  {out} = {function}({item})", *([] if kind.only_items else [f"  {turned}"])]
    return [
        f"  result = {'yield from ' if kind.how == 'await' else ''}{function}({item})",
        "  if type(result) is list and result:",
        f"   try: {out}, = result",
        f"   except ValueError: return leave({at}, {item}, result)",
        *([] if kind.only_items else [f"   {turned}"]),
        f"  elif type(result) in NONE and not result: {'continue' if drops else 'return NONE_CAME'}",
        f"  else: return leave({at}, {item}, result)",
    ]
