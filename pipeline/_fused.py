"""A run of stages as one loop, or one call: what a flow does for each item, done once for the chain.

Rules for this file: at the first result out of the ordinary the loop leaves that to the flow, and ends; see `_written`.
When a stage in it waits, the loop `waits`, and never goes on from there: `Waiting` takes the stage's coroutine over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from types import GeneratorType
from typing import Any, TypeAlias

from ._slot import Slot
from ._written import ITEMS, SIZED, Written, functions_of

Leave: TypeAlias = Callable[[int, Any, Any], Any]


class Fused(Written):
    """The stages behind a slot, to the end of the flow, as one loop over its results.

    Attributes:
        may_wait: whether any of the stages may; then ask `waits` of what the loop gives.
        only_items: whether the results of the slot are known to be no reply and no end.
        passes: whether there is nothing to do but to look for those.
    """

    __slots__ = ("_functions", "_waiting", "may_wait", "only_items", "passes")

    def __init__(self, slot: Slot, following: Sequence[Slot]) -> None:
        sized = not all(each.stage.never_expands for each in (slot, *following))
        self.only_items = bool(slot.stage.only_items)
        self.passes = not (following or sized)
        super().__init__(following, SIZED if sized else ITEMS, only_items=self.only_items)
        self._functions = functions_of(following)
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
        items: Iterator[Any] = self.run(source, leave, *self._functions)
        return items


def waits(loop: GeneratorType[Any, Any, Any]) -> bool:
    """Whether what the loop gave last is no item, since a stage in it waits."""
    return loop.gi_yieldfrom is not None
