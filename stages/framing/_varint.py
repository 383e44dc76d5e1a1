"""Frames with a varint length in front, as protobuf's delimited messages have it: `VarintFramer`.

https://protobuf.dev/programming-guides/encoding/#varints: seven bits a byte, the lowest first, and the top bit
says that another byte follows. What is a length here:

- Five bytes at most, and at most 2**32 - 1: what is beyond, one reader cuts off and another refuses, so a
  length over that could be read as two different ones.
- An encoding longer than it need be (`80 00` for 0) is taken, as every protobuf reader does: some writers keep
  room for a length that they do not know yet. Outbound writes the shortest.
"""

from __future__ import annotations

from pipeline import CorruptFrameError, Result

from .._bytes import BytesLike, as_bytes
from ._base import Framer, InboundFramer, OutboundFramer, Oversize, check_size

__all__ = ["VarintFramer"]

_DEFAULT_BYTES = 1048576
_MOST_BYTES = 2**32 - 1
_MOST_WIDTH = 5


class VarintFramer(Framer):
    r"""Cut a byte stream into frames with a varint length in front, and write such frames.

    in:  b"\x02A"  b"B\x01C"        out:  b"AB"  b"C"

    This is protobuf's `writeDelimitedTo`, and Netty's ProtobufVarint32FrameDecoder.

    Args:
        max_bytes: the longest payload in bytes, without its length; 4294967295 at most.
        oversize: a frame over the limit is an "error", or "skip" it (counted in `skipped`).

    Raises:
        FrameTooLongError: from the length alone, when the payload is over `max_bytes`; inbound stays
            failed. Outbound refuses such a payload, and goes on.
        CorruptFrameError: a length of more than 5 bytes or 4294967295; inbound stays failed.
        IncompleteFrameError: the stream ended inside a frame; `leftover` has it, with its length.

    Attributes:
        skipped: frames dropped so far because they were over the limit.
    """

    def __init__(self, max_bytes: int = _DEFAULT_BYTES, *, oversize: Oversize = "error") -> None:
        check_size("VarintFramer", "max_bytes", max_bytes, default=_DEFAULT_BYTES)
        if max_bytes > _MOST_BYTES:
            raise ValueError(
                f"VarintFramer(max_bytes={max_bytes}): a length has at most {_MOST_WIDTH} bytes and says at most "
                f"{_MOST_BYTES}. Leave it out for the default: VarintFramer(max_bytes={_DEFAULT_BYTES})"
            )
        super().__init__(VarintInbound(max_bytes, oversize), VarintOutbound(max_bytes))


def _read_length(data: bytes, at: int) -> tuple[int, int] | None:
    """The length that begins at `at`, and where its payload begins; None: `data` ends inside it."""
    length = 0
    for width, byte in enumerate(data[at : at + _MOST_WIDTH]):
        length |= (byte & 127) << 7 * width
        if length > _MOST_BYTES or (byte > 127 and width == _MOST_WIDTH - 1):
            problem = f"has more than {_MOST_WIDTH} bytes" if byte > 127 else f"is {length}, over {_MOST_BYTES}"
            raise CorruptFrameError(
                f"VarintFramer: the length {data[at : at + _MOST_WIDTH].hex(' ')} {problem}. Does the peer write "
                f"varints? For a length of fixed width there is LengthFramer(width=4)"
            )
        if byte < 128:
            return length, at + width + 1
    return None


def _varint(length: int) -> bytes:
    field = bytearray()
    while length > 127:
        field.append(length & 127 | 128)
        length >>= 7
    field.append(length)
    return bytes(field)


class VarintInbound(InboundFramer):
    """The inbound half of `VarintFramer`."""

    name = "VarintFramer.inbound"
    framer = "VarintFramer"

    def __init__(self, max_bytes: int, oversize: Oversize) -> None:
        super().__init__(max_bytes=max_bytes, oversize=oversize)
        self._needed = 0  # bytes that the unfinished frame must have, or 0 while its length is unfinished

    def _may_complete(self, data: bytes) -> bool:
        return len(self._tail) + len(data) >= self._needed

    def _cut(self, data: bytes) -> Result[bytes]:
        if self._skipping:
            return self._carefully(data)
        frames: list[bytes] = []
        at, size, most, self._needed = 0, len(data), self._max_bytes, 0
        while at < size:
            length, start = data[at], at + 1
            if length > 127 and start < size and data[start] < 128:
                # As `_read_length` has it, without a call: most lengths have one or two bytes.
                length, start = length & 127 | data[start] << 7, start + 1
            elif length > 127:
                try:
                    found = _read_length(data, at)
                except CorruptFrameError:
                    return self._carefully(data)
                if found is None:
                    break
                length, start = found
            if length > most:
                return self._carefully(data)
            end = start + length
            if end > size:
                self._needed = end - at
                break
            frames.append(data[start:end])
            at = end
        return self._gives(frames, data, at)

    def _next(self, data: bytes, at: int) -> tuple[bytes | None, int] | None:
        if self._skipping:
            return self._drop(data, at)
        self._needed = 0
        found = _read_length(data, at)
        if found is None:
            return None
        length, start = found
        if length > self._max_bytes:
            self._too_long(length)
            self._to_drop = length
            return None, start
        self._needed = start - at + length
        return (data[start : start + length], start + length) if len(data) - at >= self._needed else None

    def _what_is_missing(self, leftover: bytes) -> str:
        if self._skipping:
            return super()._what_is_missing(leftover)
        if self._needed:
            return f"the stream ended {len(leftover)} bytes into a frame of {self._needed} bytes, its length counted"
        return f"the stream ended {len(leftover)} bytes into the length of a frame"


class VarintOutbound(OutboundFramer):
    """The outbound half of `VarintFramer`."""

    name = "VarintFramer.outbound"
    framer = "VarintFramer"

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes

    def process_sync(self, payload: BytesLike, /) -> Result[bytes]:
        """Put its length before a payload.

        Raises:
            FrameTooLongError: the payload is over the limit; nothing is written.
        """
        if type(payload) is not bytes:
            payload = as_bytes("VarintFramer", payload)
        if len(payload) > self._max_bytes:
            self._refuse_long(len(payload))
        return [_varint(len(payload)) + payload]
