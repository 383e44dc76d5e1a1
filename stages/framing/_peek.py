"""The first bytes of a stream, to choose by what is to read it: `Peek`.

One port serves two protocols, as nginx's `ssl_preread` and Netty's port unification do. Whoever has seen enough
replaces this stage, and what he chose begins with the very first byte.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pipeline import Inbound, IncompleteFrameError, Result

from .._bytes import BytesLike, as_bytes
from ._base import check_size

__all__ = ["Peek"]


class Peek(Inbound[BytesLike, bytes]):
    """Show the first bytes of a stream, and let nothing more come until another stage is in its place.

    in:  b"G"  b"ET / HTTP/1.1"        Peek(3)        out:  b"GET"

    What was shown is not used up: `await pipeline.replace(Peek, chain)` gives all bytes to the new chain, the
    shown ones, too. It holds what came in one read more than `size`, at most. What is sent passes as it is.

    Args:
        size: the bytes to be shown, exactly so many; the fewest that decide.

    Raises:
        IncompleteFrameError: the stream ended before; `leftover` has what came.
    """

    wants_input = True

    def __init__(self, size: int = 1) -> None:
        check_size("Peek", "size", size, default=1)
        self._size = size
        self._begun = bytearray()

    def process_sync(self, data: BytesLike, /) -> Result[bytes]:
        """Show the first bytes, once there are enough; then the stage wants no more."""
        self._begun += data if type(data) is bytes else as_bytes("Peek", data)
        if len(self._begun) < self._size:
            return ()
        self.wants_input = False
        return [bytes(self._begun[: self._size])]

    async def finish(self) -> Result[bytes]:
        """End of the stream: with too few bytes, nobody can choose."""
        if self._begun:
            raise IncompleteFrameError(
                f"Peek: the stream ended after {len(self._begun)} of the {self._size} bytes that were to be shown",
                leftover=bytes(self._begun),
            )
        return ()

    def unread(self, outputs: Iterable[Any], /) -> Iterable[bytes]:
        """Give back everything, the bytes that were shown, too."""
        # What was received is not shown again, if the change is refused and it comes back.
        self.wants_input = self.wants_input or bool(list(outputs))
        given, self._begun = bytes(self._begun), bytearray()
        return [given] if given else []

    @property
    def holds(self) -> int:
        """Bytes that came so far."""
        return len(self._begun)
