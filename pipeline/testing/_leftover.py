"""What is still inside a chain when a test believes that all of it is through."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .._core import Engine
from .._flow import Flow
from .._items import show_item
from .._slot import Slot
from .._stage import END


def left_over(engine: Engine[Any, Any], unsent: Iterable[Any]) -> list[str]:
    """Describe, a line each, what waits between the stages and why; `[]` if there is nothing.

    What a stage keeps to itself cannot be seen from outside: its `finish()` gives it out or raises.
    """
    lines = _in_flow("inbound", engine._inbound) + _in_flow("outbound", engine._outbound)
    return lines + [f"outbound: {_shown(item)} waits for the item sent before it" for item in unsent]


def _in_flow(direction: str, flow: Flow) -> list[str]:
    return [f"{direction}: {line}" for slot in flow.slots for line in _at(slot)]


def _at(slot: Slot) -> list[str]:
    lines = [f"{_shown(item)} waits before {slot.name}{_why(slot)}" for item, _, _ in slot.inbox]
    if slot.results is not None:
        lines.append(f"results of {slot.name}.{slot.op}() that were not taken")
    return lines


def _why(slot: Slot) -> str:
    closed = [half.name for half in slot.gates if not half.ready]
    if closed:
        return f", which is not ready (`{closed[0]}.ready` is False)"
    return "" if slot.stage.wants_input else f", which wants no input (`{slot.stage.name}.wants_input` is False)"


def _shown(item: Any) -> str:
    return "the end of the stream" if item is END else show_item(item)
