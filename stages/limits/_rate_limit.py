"""So much a second: `RateLimit`.

A token bucket that may be overdrawn: the stage sees an item only when it passes, so what has to be there is
one token, and an item that costs more is paid for afterwards. That is how tc-tbf's and nginx's limits would
have to treat a packet larger than the bucket, which they drop; here nothing is ever dropped.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from pipeline import Inbound, Outbound, Passthrough, Result

from ._half import Direction, Half, bytes_of, check_amount, check_direction

__all__ = ["RateLimit"]

_RIGHT = "RateLimit(items_per_s=10)"


class RateLimit(Passthrough):
    """Let so many items, or bytes, a second pass in each direction; what comes faster waits.

    in:  "a" "b" "c"  at once        RateLimit(items_per_s=1)        out:  "a"  …1 s…  "b"  …1 s…  "c"

    Nothing is dropped and nothing is stored: while inbound waits, the wire is not read, so the peer is
    held back; while outbound waits, `send()` does. After a pause `burst` may pass at once. An item that is
    more than that passes whole, and those behind it wait until it is paid for. The end never waits.

    Args:
        items_per_s: items a second.
        bytes_per_s: bytes a second; text counts as UTF-8. Of both limits, the tighter one counts.
        burst: what may pass at once after a pause, in items or bytes; by default what may pass in a second,
            and at least 1. With both rates it would be in no unit: take two RateLimits.
        direction: "inbound" (from the peer), "outbound" (to it) or "both", each with a bucket of its own.

    Raises:
        TypeError: with `bytes_per_s`, an item is neither bytes nor text.
        ValueError, TypeError: at once: no rate, one that is no number above 0, or a burst below 1.
    """

    def __init__(
        self,
        *,
        items_per_s: float | None = None,
        bytes_per_s: float | None = None,
        burst: float | None = None,
        direction: Direction = "both",
    ) -> None:
        rates = {"items_per_s": items_per_s, "bytes_per_s": bytes_per_s}
        given = {name: rate for name, rate in rates.items() if rate is not None}
        _check(given, burst)
        check_direction("RateLimit", direction, "both", "inbound", "outbound")
        super().__init__(
            RateInbound(given, burst) if direction != "outbound" else None,
            RateOutbound(given, burst) if direction != "inbound" else None,
        )


def _check(given: dict[str, float], burst: float | None) -> None:
    if not given:
        raise TypeError(f"RateLimit() limits nothing: give it a rate, as in {_RIGHT} or RateLimit(bytes_per_s=65536)")
    for name, rate in given.items():
        check_amount("RateLimit", name, rate, right=_RIGHT)
    if burst is None:
        return
    check_amount("RateLimit", "burst", burst, least=1, right="RateLimit(items_per_s=10, burst=50)")
    if len(given) > 1:
        raise ValueError(
            f"RateLimit(burst={burst!r}) with two rates: in items or in bytes? Take two: RateLimit(items_per_s=..., "
            f"burst=...) | RateLimit(bytes_per_s=..., burst=...)"
        )


class _Bucket:
    """Tokens: `rate` a second come in, up to `burst`; it may be overdrawn."""

    def __init__(self, rate: float, burst: float | None) -> None:
        self._rate = rate
        self._burst = max(1.0, rate) if burst is None else burst
        self._tokens, self._counted_at = self._burst, -math.inf

    def take(self, count: int, now: float) -> float:
        """Take tokens out; give the seconds until there is one again."""
        self._tokens = min(self._burst, self._tokens + (now - self._counted_at) * self._rate) - count
        self._counted_at = now
        return max(0.0, (1 - self._tokens) / self._rate)


class _RateHalf(Half):
    end_waits = False
    deadline: float | None

    def __init__(self, rates: dict[str, float], burst: float | None) -> None:
        self._buckets = {name: _Bucket(rate, burst) for name, rate in rates.items()}
        self.deadline = None  # while it is set, nothing passes

    def process_sync(self, item: Any, /) -> Result[Any]:
        self._pay(item, +1)
        return [item]

    async def on_timer(self, now: float, /) -> Result[Any]:
        """The buckets have filled."""
        self.deadline = None
        return ()

    def unread(self, outputs: Iterable[Any], /) -> Iterable[Any]:
        """Give back the items that were not taken, and what was paid for them."""
        items = list(outputs)
        for item in items:
            self._pay(item, -1)
        return items

    def _pay(self, item: Any, sign: int) -> None:
        costs = {name: bytes_of("RateLimit", item) if name == "bytes_per_s" else 1 for name in self._buckets}
        now = self.now()
        wait = max(bucket.take(sign * costs[name], now) for name, bucket in self._buckets.items())
        self.deadline = now + wait if wait else None


class RateInbound(_RateHalf, Inbound[Any, Any]):
    """Inbound half of `RateLimit`: while it waits, it wants no input."""

    name = "RateLimit.inbound"

    @property
    def wants_input(self) -> bool:
        """Whether the buckets have a token."""
        return self.deadline is None


class RateOutbound(_RateHalf, Outbound[Any, Any]):
    """Outbound half of `RateLimit`: while it waits, it is not ready."""

    name = "RateLimit.outbound"

    @property
    def ready(self) -> bool:
        """Whether the buckets have a token."""
        return self.deadline is None
