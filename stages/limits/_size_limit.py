"""Items up to a size and no larger: `SizeLimit`."""

from __future__ import annotations

from typing import Any, ClassVar

from pipeline import Inbound, LimitError, Outbound, Passthrough

from ._half import Direction, Half, bytes_of, check_count, check_direction

__all__ = ["SizeLimit"]

_UTF8_BYTES = 4  # of one character, at most


class SizeLimit(Passthrough):
    """Let items of at most so many bytes pass; a larger one is an error.

    in:  b"abc"  b"abcd"        SizeLimit(3)        out:  b"abc"  LimitError

    It counts each item for itself, so it stands on the client's side of a framer (below one, items are
    whatever the network made of them). Text counts as UTF-8. Holds nothing, so one object may serve
    many pipelines.

    Args:
        bytes: the largest item that passes, in bytes.
        direction: "inbound" (from the peer), "outbound" (to it) or "both".

    Raises:
        LimitError: an item is larger, with both numbers; inbound is broken then, unless `recover`
            handles it. Outbound refuses it before anything is written, and goes on.
        TypeError: an item is neither bytes nor text.
        ValueError, TypeError: at once: no whole number, or no direction.
    """

    def __init__(self, bytes: int, *, direction: Direction = "both") -> None:  # noqa: A002 - the word users know it by
        check_count("SizeLimit", "bytes", bytes, right="SizeLimit(65536)")
        check_direction("SizeLimit", direction, "both", "inbound", "outbound")
        super().__init__(
            SizeInbound(bytes) if direction != "outbound" else None,
            SizeOutbound(bytes) if direction != "inbound" else None,
        )


class _SizeHalf(Half):
    shareable = True
    what: ClassVar[str]

    def __init__(self, most: int) -> None:
        self._most = most

    def process_one(self, item: Any, /) -> Any:
        # Text is not encoded where its length alone tells.
        if isinstance(item, str) and len(item) * _UTF8_BYTES <= self._most:
            return item
        size = bytes_of("SizeLimit", item)
        if size > self._most:
            raise LimitError(
                f"SizeLimit: an item of {size} bytes {self.what}, over the limit, bytes={self._most}. "
                f"Raise bytes, or drop such items: recover(SizeLimit({self._most}), lambda item, error: ())",
                limit=self._most,
                size=size,
            )
        return item


class SizeInbound(_SizeHalf, Inbound[Any, Any]):
    """Inbound half of `SizeLimit`."""

    name = "SizeLimit.inbound"
    what = "came from the peer"


class SizeOutbound(_SizeHalf, Outbound[Any, Any]):
    """Outbound half of `SizeLimit`."""

    name = "SizeLimit.outbound"
    what = "was to be sent"
