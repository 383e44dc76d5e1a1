"""Frames that all have one size: `FixedFramer`.

Records of a file, packets of a bus (188 bytes of MPEG transport stream), Netty's FixedLengthFrameDecoder.
"""

from __future__ import annotations

import struct
from itertools import chain

from pipeline import CorruptFrameError, FrameTooLongError, Result

from .._bytes import BytesLike, as_bytes
from ._base import AtEOF, Framer, InboundFramer, OutboundFramer, check_size

__all__ = ["FixedFramer"]

_AT_ONCE = 32
_SMALL = 4096


class FixedFramer(Framer):
    """Cut a byte stream into frames of one size, and write such frames.

    in:  b"AB"  b"CDEF"  b"G"        FixedFramer(3)        out:  b"ABC"  b"DEF"

    Args:
        size: bytes of every frame.
        at_eof: an unfinished last frame is an "error", or "emit" it, shorter than the others, or "drop" it.

    Raises:
        IncompleteFrameError: the stream ended inside a frame; `leftover` has it.
        FrameTooLongError: outbound: the frame is longer; nothing was written, and outbound goes on.
        CorruptFrameError: outbound: the frame is shorter, so the peer would take the beginning of the
            next one for its end; nothing was written, and outbound goes on.
    """

    def __init__(self, size: int, *, at_eof: AtEOF = "error") -> None:
        check_size("FixedFramer", "size", size)
        super().__init__(FixedInbound(size, at_eof), FixedOutbound(size))


class FixedInbound(InboundFramer):
    """The inbound half of `FixedFramer`."""

    name = "FixedFramer.inbound"
    framer = "FixedFramer"

    def __init__(self, size: int, at_eof: AtEOF) -> None:
        super().__init__(max_bytes=size, at_eof=at_eof)
        self._size = size
        # Some at a time, small ones are cut several times as fast as one by one.
        self._several = struct.Struct(f"{size}s" * _AT_ONCE) if size <= _SMALL else None

    def _may_complete(self, data: bytes) -> bool:
        return len(self._tail) + len(data) >= self._size

    def _cut(self, data: bytes) -> Result[bytes]:
        size, frames, begin = self._size, [], 0
        if self._several is not None:
            begin = len(data) // self._several.size * self._several.size
            frames = list(chain.from_iterable(self._several.iter_unpack(memoryview(data)[:begin])))
        end = len(data) // size * size
        frames += [data[at : at + size] for at in range(begin, end, size)]
        return self._gives(frames, data, end)

    def _next(self, data: bytes, at: int) -> tuple[bytes, int]:
        # Only unread() asks, for frames that were cut from `data` before.
        return data[at : at + self._size], at + self._size

    def _what_is_missing(self, leftover: bytes) -> str:
        return f"the stream ended {len(leftover)} bytes into a frame of {self._size}"


class FixedOutbound(OutboundFramer):
    """The outbound half of `FixedFramer`."""

    name = "FixedFramer.outbound"
    framer = "FixedFramer"

    def __init__(self, size: int) -> None:
        self._size = size

    def process_sync(self, frame: BytesLike, /) -> Result[bytes]:
        """Pass a frame of the right size.

        Raises:
            FrameTooLongError: it is longer; nothing is written.
            CorruptFrameError: it is shorter; nothing is written.
        """
        if type(frame) is not bytes:
            frame = as_bytes("FixedFramer", frame)
        if len(frame) == self._size:
            return [frame]
        message = (
            f"FixedFramer: a frame of {len(frame)} bytes, but every frame has size={self._size}, and the peer would "
            f"cut this one elsewhere; nothing was written. Pad or divide it"
        )
        if len(frame) > self._size:
            raise FrameTooLongError(message, limit=self._size, size=len(frame))
        raise CorruptFrameError(message)
