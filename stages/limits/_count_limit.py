"""So many items and no more: `CountLimit`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from pipeline import Inbound, LimitError, Outbound, Passthrough

from ._half import Direction, Half, check_count, check_direction

__all__ = ["CountLimit"]


class CountLimit(Passthrough):
    """Let so many items pass in each direction; the next one is an error.

    in:  "a"  "b"  "c"        CountLimit(2)        out:  "a"  "b"  LimitError

    Args:
        items: how many may pass, in the life of the pipeline, each direction for itself.
        direction: "inbound" (from the peer), "outbound" (to it) or "both".

    Raises:
        LimitError: one more came, with both numbers; inbound is broken then, unless `recover` handles it.
            Outbound refuses one more before anything is written, each time it is tried.
        ValueError, TypeError: at once: no whole number, or no direction.
    """

    def __init__(self, items: int, *, direction: Direction = "both") -> None:
        check_count("CountLimit", "items", items, right="CountLimit(1000)")
        check_direction("CountLimit", direction, "both", "inbound", "outbound")
        super().__init__(
            CountInbound(items) if direction != "outbound" else None,
            CountOutbound(items) if direction != "inbound" else None,
        )


class _CountHalf(Half):
    what: ClassVar[str]

    def __init__(self, items: int) -> None:
        self._items, self._count = items, 0

    def process_one(self, item: Any, /) -> Any:
        if self._count == self._items:
            raise LimitError(
                f"CountLimit: item {self._count + 1} {self.what}, over the limit, items={self._items}. "
                f"Raise items, or begin a new connection for more",
                limit=self._items,
                size=self._count + 1,
            )
        self._count += 1
        return item

    def unread(self, outputs: Iterable[Any], /) -> Iterable[Any]:
        """Give back the items that were not taken; they count when they come again."""
        items = list(outputs)
        self._count -= len(items)
        return items


class CountInbound(_CountHalf, Inbound[Any, Any]):
    """Inbound half of `CountLimit`."""

    name = "CountLimit.inbound"
    what = "came from the peer"


class CountOutbound(_CountHalf, Outbound[Any, Any]):
    """Outbound half of `CountLimit`."""

    name = "CountLimit.outbound"
    what = "was to be sent"
