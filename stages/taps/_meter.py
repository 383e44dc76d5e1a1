"""How much passed, and when: `Meter`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pipeline import Inbound, Outbound, Passthrough

from .._bytes import size_of
from ._half import Half

__all__ = ["Meter", "MeterSnapshot", "Traffic"]


@dataclass(frozen=True, slots=True)
class Traffic:
    """What passed a `Meter` in one direction until a snapshot was taken.

    Attributes:
        items: how many items.
        bytes: how many bytes they had in all: of `bytes`, `bytearray` and `memoryview`. Any other item, text
            too, counts 0: its size on the wire is known only behind a codec.
        first: when the first item passed, in seconds on the pipeline's clock; None: none did.
        last: when the last item passed.
    """

    items: int = 0
    bytes: int = 0
    first: float | None = None
    last: float | None = None

    @property
    def seconds(self) -> float:
        """How long from the first item to the last; 0.0 while there are fewer than two."""
        return 0.0 if self.first is None or self.last is None else self.last - self.first

    @property
    def items_per_s(self) -> float:
        """`items / seconds`; 0.0 while no time has passed between items."""
        return self.items / self.seconds if self.seconds > 0 else 0.0

    @property
    def bytes_per_s(self) -> float:
        """`bytes / seconds`; 0.0 while no time has passed between items."""
        return self.bytes / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True, slots=True)
class MeterSnapshot:
    """What a `Meter` has counted until now; it does not change any more.

    Attributes:
        inbound: what came from the wire.
        outbound: what went to the wire.
    """

    inbound: Traffic
    outbound: Traffic


class Meter(Passthrough):
    """Count items and bytes in both directions, and note when they passed; the items go on as they are.

    in:  b"ab"  b"c"        out:  b"ab"  b"c"        snapshot().inbound.bytes:  3

    It counts what passes its place: bytes on the wire where it stands first, frames behind a framer,
    messages behind a codec. A `send()` that fails on the wire's side of it has been counted.

    A meter belongs to one pipeline, whose clock it reads (`trio.current_time()`). For several, sum
    what their snapshots say.
    """

    def __init__(self) -> None:
        self._halves = MeterInbound(), MeterOutbound()
        super().__init__(*self._halves)

    def snapshot(self) -> MeterSnapshot:
        """Return what was counted until now; at any time, also before the pipeline runs and after it closed."""
        inbound, outbound = self._halves
        return MeterSnapshot(inbound.traffic, outbound.traffic)


class _MeterHalf(Half):
    def __init__(self) -> None:
        self._items = self._bytes = 0
        self._first: float | None = None
        self._last: float | None = None

    def process_one(self, item: Any, /) -> Any:
        self._last = self.now()
        if self._first is None:
            self._first = self._last
        self._items += 1
        self._bytes += size_of(item)
        return item

    def unread(self, outputs: Iterable[Any], /) -> Iterable[Any]:
        """Give everything back; it is counted when it passes again."""
        items = list(outputs)
        self._items -= len(items)
        self._bytes -= sum(map(size_of, items))
        return items

    @property
    def traffic(self) -> Traffic:
        return Traffic(self._items, self._bytes, self._first, self._last)


class MeterInbound(_MeterHalf, Inbound[Any, Any]):
    """Inbound half of `Meter`."""

    name = "Meter.inbound"


class MeterOutbound(_MeterHalf, Outbound[Any, Any]):
    """Outbound half of `Meter`."""

    name = "Meter.outbound"
