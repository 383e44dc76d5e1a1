"""Frames with their length in front: `LengthFramer`.

The parameters are those of Netty's LengthFieldBasedFrameDecoder and tokio's LengthDelimitedCodec.
"""

from __future__ import annotations

import struct
from typing import Literal, NoReturn, TypeAlias, cast

from pipeline import CorruptFrameError, FrameError, FrameTooLongError, Result

from .._bytes import BytesLike, as_bytes
from ._base import Framer, InboundFramer, OutboundFramer, Oversize, check_choice, check_size

__all__ = ["LengthFramer"]

ByteOrder: TypeAlias = Literal["big", "little"]
_DEFAULT_BYTES = 1048576
_FORMATS = {1: "b", 2: "h", 4: "i", 8: "q"}


class LengthFramer(Framer):
    r"""Cut a byte stream into frames which say their length, and write such frames.

    in:  b"\x00\x00\x00\x02A"  b"B\x00\x00\x00\x01C"        out:  b"AB"  b"C"

    A frame on the wire has offset + width + field + adjustment bytes:

        │◄─ offset ─►│◄─ width ─►│◄──── field + adjustment ────►│
        │◄─ strip: cut off ─────►│◄─ what comes out ───────────►│

    Args:
        width: bytes of the length field: 1, 2, 3, 4 or 8.
        byteorder: "big" (network order) or "little".
        signed: whether the field is signed; a negative length is an error.
        offset: bytes before the length field.
        adjustment: bytes a frame has beyond its header and the field's value; negative where the
            field counts the header too.
        strip: bytes cut from the front of each frame; None: all up to the end of the length field.
        max_bytes: the longest frame in bytes, all of it counted.
        oversize: a frame over the limit is an "error", or "skip" it (counted in `skipped`).

    Outbound builds the header where `offset` is 0. With `strip=0` it takes whole frames and checks
    their length field. With other values of `strip` or `offset` it refuses: what was cut off is not known.

    Raises:
        FrameTooLongError: from the header alone, when the frame is over `max_bytes`; inbound stays
            failed. Outbound refuses such a payload, and one that the field cannot count, and goes on.
        CorruptFrameError: a negative length, or a frame shorter than its header or than `strip`; inbound
            stays failed. Outbound refuses a whole frame whose field is wrong, and goes on.
        IncompleteFrameError: the stream ended inside a frame; `leftover` has it.
    """

    def __init__(
        self,
        width: int = 4,
        *,
        byteorder: ByteOrder = "big",
        signed: bool = False,
        offset: int = 0,
        adjustment: int = 0,
        strip: int | None = None,
        max_bytes: int = _DEFAULT_BYTES,
        oversize: Oversize = "error",
    ) -> None:
        head = _Header(width, byteorder, signed=signed, offset=offset, adjustment=adjustment, strip=strip)
        check_size("LengthFramer", "max_bytes", max_bytes, default=_DEFAULT_BYTES)
        if max_bytes < head.least:
            raise ValueError(
                f"LengthFramer(max_bytes={max_bytes}): no frame would ever pass, as one has {head.least} bytes "
                f"or more; max_bytes counts the whole frame. Leave it out for the default, {_DEFAULT_BYTES}"
            )
        super().__init__(LengthInbound(head, max_bytes, oversize), LengthOutbound(head, max_bytes))


class _Header:
    """Where the length field is and what it says; the parameters are `LengthFramer`'s."""

    def __init__(
        self, width: int, byteorder: ByteOrder, *, signed: bool, offset: int, adjustment: int, strip: int | None
    ) -> None:
        check_choice("LengthFramer", "width", width, (1, 2, 3, 4, 8))
        check_choice("LengthFramer", "byteorder", byteorder, ("big", "little"))
        check_size("LengthFramer", "offset", offset, default=0, least=0)
        if strip is not None:
            check_size("LengthFramer", "strip", strip, least=0)
        if not isinstance(adjustment, int):
            raise TypeError(f"LengthFramer(adjustment={adjustment!r}): must be a whole number of bytes, as -4 or 0")
        self.byteorder: ByteOrder = byteorder
        self.width, self.signed, self.offset = width, signed, offset
        self.size = offset + width
        self.strip = self.size if strip is None else strip
        # A frame has `extra` bytes beyond what the field says.
        self.extra = self.size + adjustment
        self.greatest = 2 ** (8 * width - signed) - 1
        # One comparison finds all that is corrupt: the field is negative, or the frame too short.
        self.least = max(self.size, self.strip, self.extra)
        order = ">" if byteorder == "big" else "<"
        code = _FORMATS.get(width)  # struct knows no 3 bytes
        self._struct = struct.Struct(f"{order}{offset}x{code if signed else code.upper()}") if code else None

    def total(self, data: bytes, at: int) -> int:
        """The bytes of the frame that begins at `at`, as its header says; the header must be there."""
        if self._struct is not None:
            return cast("int", self._struct.unpack_from(data, at)[0]) + self.extra
        field = data[at + self.offset : at + self.size]
        return int.from_bytes(field, self.byteorder, signed=self.signed) + self.extra

    def check(self, total: int) -> None:
        """Refuse the length of a frame that is shorter than a frame can be."""
        if total >= self.least:
            return
        field = total - self.extra
        if field < 0:
            problem = "which is negative"
        else:
            problem = f"so the frame would have {total} bytes, but its header alone has {self.size}"
            if total >= self.size:
                problem = f"so the frame would have {total} bytes, of which strip={self.strip} are to be cut off"
        raise CorruptFrameError(
            f"LengthFramer: the length field says {field}, {problem}. If the peer is right, see to width, "
            f"byteorder, signed, offset, adjustment and strip"
        )


class LengthInbound(InboundFramer):
    """The inbound half of `LengthFramer`."""

    name = "LengthFramer.inbound"
    framer = "LengthFramer"

    def __init__(self, head: _Header, max_bytes: int, oversize: Oversize) -> None:
        super().__init__(max_bytes=max_bytes, oversize=oversize)
        self._head = head
        self._needed = 0  # bytes that the unfinished frame must have before more can be said of it

    def _may_complete(self, data: bytes) -> bool:
        return len(self._tail) + len(data) >= self._needed

    def _cut(self, data: bytes) -> Result[bytes]:
        if self._skipping:
            return self._carefully(data)
        head, most, size = self._head, self._max_bytes, len(data)
        total_of, least, strip, header = head.total, head.least, head.strip, head.size
        frames: list[bytes] = []
        at, total = 0, header
        while size - at >= header:
            total = total_of(data, at)
            if not least <= total <= most:
                return self._carefully(data)
            if total > size - at:
                break
            frames.append(data[at + strip : at + total])
            at += total
            total = header
        self._needed = total
        return self._gives(frames, data, at)

    def _next(self, data: bytes, at: int) -> tuple[bytes | None, int] | None:
        if self._skipping:
            return self._drop(data, at)
        self._needed = self._head.size
        left = len(data) - at
        if left < self._needed:
            return None
        self._needed = total = self._head.total(data, at)
        self._head.check(total)
        if total > self._max_bytes:
            self._too_long(total)
            self._to_drop = total
            return None, at
        return (data[at + self._head.strip : at + total], at + total) if left >= total else None

    def _what_is_missing(self, leftover: bytes) -> str:
        if self._skipping:
            return super()._what_is_missing(leftover)
        part = "header" if len(leftover) < self._head.size else "frame"
        return f"the stream ended {len(leftover)} bytes into a {part} of {self._needed} bytes"


class LengthOutbound(OutboundFramer):
    """The outbound half of `LengthFramer`."""

    name = "LengthFramer.outbound"
    framer = "LengthFramer"

    def __init__(self, head: _Header, max_bytes: int) -> None:
        self._head, self._max_bytes = head, max_bytes

    def process_sync(self, payload: BytesLike, /) -> Result[bytes]:
        """Put the header before a payload; with `strip=0`, check the one it has.

        Raises:
            FrameTooLongError: the frame is over the limit, or its length over what the field can say;
                nothing is written.
            CorruptFrameError: with `strip=0`, the length field is wrong; nothing is written.
            FrameError: the parameters are such that outbound cannot work; nothing is written.
        """
        if type(payload) is not bytes:
            payload = as_bytes("LengthFramer", payload)
        head = self._head
        if head.strip == 0:
            return [self._checked(payload)]
        if head.offset or head.strip != head.size:
            raise FrameError(
                f"LengthFramer(offset={head.offset}, strip={head.strip}) is inbound only: outbound cannot know the "
                f"bytes that were cut off. Take strip=0 and send whole frames"
            )
        total = len(payload) + head.size
        if total > self._max_bytes:
            self._refuse_size(total, "over the limit, max_bytes={}", self._max_bytes)
        field = total - head.extra
        if field > head.greatest:
            # The limit is in the same unit as the size: bytes of the whole frame.
            self._refuse_size(total, "more than its length field can say, {}", head.greatest + head.extra)
        head.check(total)
        return [field.to_bytes(head.width, head.byteorder, signed=head.signed) + payload]

    def _checked(self, frame: bytes) -> bytes:
        if len(frame) > self._max_bytes:
            self._refuse_size(len(frame), "over the limit, max_bytes={}", self._max_bytes)
        if len(frame) < self._head.size:
            raise CorruptFrameError(
                f"LengthFramer(strip=0): outbound takes whole frames, but this one has {len(frame)} bytes, "
                f"less than its header of {self._head.size}"
            )
        total = self._head.total(frame, 0)
        self._head.check(total)
        if total != len(frame):
            raise CorruptFrameError(
                f"LengthFramer(strip=0): the frame has {len(frame)} bytes, but its length field says {total}, so "
                f"the peer would cut it elsewhere"
            )
        return frame

    def _refuse_size(self, size: int, problem: str, limit: int) -> NoReturn:
        raise FrameTooLongError(
            f"LengthFramer: a frame of {size} bytes is {problem.format(limit)}; nothing was written",
            limit=limit,
            size=size,
        )
