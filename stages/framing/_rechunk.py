"""Pieces of a bounded size: `Rechunk`.

It knows no frames: it only divides what is too large, at once and without waiting for more. So unlike a framer it
may give other pieces where the stream was cut otherwise, but together they are the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pipeline import Duplex, Inbound, Outbound, Result

from .._bytes import BytesLike, as_bytes
from ._base import check_size

__all__ = ["Rechunk"]


class Rechunk(Duplex[BytesLike, bytes, BytesLike, bytes]):
    """Divide what is larger than `size` bytes, in both directions.

    in:  b"ABCDEFG"  b"H"        Rechunk(3)        out:  b"ABC"  b"DEF"  b"G"  b"H"

    It joins nothing and waits for nothing: what is not too large passes as it is. The pieces of a large
    item are made one by one, when they are asked for.

    Args:
        size: the largest piece in bytes.

    Raises:
        TypeError: an item is no bytes.
    """

    def __init__(self, size: int) -> None:
        check_size("Rechunk", "size", size)
        super().__init__(RechunkInbound(size), RechunkOutbound(size))


class RechunkInbound(Inbound[BytesLike, bytes]):
    """The inbound half of `Rechunk`."""

    name = "Rechunk.inbound"

    def __init__(self, size: int) -> None:
        self._size = size
        self._rest = b""  # what is still to be divided begins in it at `_at`
        self._at = 0

    def process_sync(self, data: BytesLike, /) -> Result[bytes]:
        """Divide an item."""
        if type(data) is not bytes:
            # A copy: whose it is may change it before the last piece is asked for.
            data = as_bytes("Rechunk", data)
        if len(data) <= self._size:
            return [data]
        # Not in the generator: one that is closed before its first piece never runs.
        self._rest, self._at = data, 0
        return self._divide()

    def _divide(self) -> Iterator[bytes]:
        while self._at < len(self._rest):
            piece = self._rest[self._at : self._at + self._size]
            self._at += len(piece)
            yield piece
        self._rest, self._at = b"", 0

    def unread(self, outputs: Iterable[Any], /) -> Iterable[bytes]:
        """Give back what was not divided yet, and be empty."""
        rest = b"".join((*outputs, self._rest[self._at :]))
        self._rest, self._at = b"", 0
        return [rest] if rest else []

    @property
    def holds(self) -> int:
        """Bytes that are still to be divided; 0 as soon as all pieces were asked for."""
        return len(self._rest) - self._at


class RechunkOutbound(Outbound[BytesLike, bytes]):
    """The outbound half of `Rechunk`."""

    name = "Rechunk.outbound"
    keeps_outbound_state = False
    holds = 0

    def __init__(self, size: int) -> None:
        self._size = size

    def process_sync(self, data: BytesLike, /) -> Result[bytes]:
        """Divide an item; it must not be changed meanwhile, as no copy is made of the whole."""
        if isinstance(data, bytearray | memoryview):
            view = memoryview(data)
            # In bytes, whatever its items are; where it has gaps there is nothing to divide without a copy.
            data = view.cast("B") if view.c_contiguous and view.nbytes else bytes(view)
        elif type(data) is not bytes:
            data = as_bytes("Rechunk", data)
        return [bytes(data)] if len(data) <= self._size else self._divide(data)

    def _divide(self, data: bytes | memoryview) -> Iterator[bytes]:
        for at in range(0, len(data), self._size):
            yield bytes(data[at : at + self._size])
