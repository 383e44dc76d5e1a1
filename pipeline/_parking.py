"""Items that came out while nobody received: kept for the next receive, as far as there is room.

Rules for this file: whatever drives inbound for another end than to receive (a handshake, a send at a gate, a deadline)
leaves here what came out; at most 64 items or 64 KiB (S7). More is not let out until somebody receives.
"""

from __future__ import annotations

from typing import Any, Final

from ._core import Engine
from ._items import size_of
from ._reading import Reading
from ._transport import Wire

MAX_PARKED_ITEMS: Final = 64
MAX_PARKED_BYTES: Final = 65536


class Parking(Reading):
    """What is parked of an engine on a wire.

    Args:
        engine, wire, merge_writes: as of `Writing`.

    Attributes:
        parked: the items, the first one first.
    """

    __slots__ = ("_parked_bytes", "parked")

    def __init__(self, engine: Engine[Any, Any], wire: Wire, *, merge_writes: bool) -> None:
        super().__init__(engine, wire, merge_writes=merge_writes)
        self.parked: list[Any] = []
        self._parked_bytes = 0

    @property
    def park_is_full(self) -> bool:
        """Whether nothing more may come out until somebody receives."""
        return len(self.parked) >= MAX_PARKED_ITEMS or self._parked_bytes >= MAX_PARKED_BYTES

    def park(self, item: Any) -> None:
        """Keep an item for the next receive."""
        self._disturb()
        self.parked.append(item)
        self._parked_bytes += size_of(item)

    def park_again(self, items: list[Any]) -> None:
        """Keep for the next receive what was received before what is parked."""
        self._disturb()
        self.parked[:0] = items
        self.count_parked()
        self.news.tell()

    def unpark(self) -> Any:
        """Give the first parked item; there is room for another one then."""
        item = self.parked.pop(0)
        self._parked_bytes -= size_of(item)
        self.news.tell()
        return item

    def count_parked(self) -> None:
        """Take note that what was parked may have gone back into the chain."""
        self._parked_bytes = sum(map(size_of, self.parked))
