"""Netstrings: `NetstringFramer`.

https://cr.yp.to/proto/netstrings.txt (D. J. Bernstein, 1997): the length in decimal digits, a colon, that many
bytes, a comma. Signs, spaces and leading zeros are refused as the text asks for, since what one reader takes
for a length and another does not can hide a message.
"""

from __future__ import annotations

from pipeline import CorruptFrameError, FrameError, Result

from .._bytes import BytesLike, as_bytes
from ._base import Framer, InboundFramer, OutboundFramer, check_size

__all__ = ["NetstringFramer"]

_DEFAULT_BYTES = 65536
_DIGITS = b"0123456789"


class NetstringFramer(Framer):
    r"""Cut a byte stream into netstrings, and write netstrings.

    in:  b"5:he"  b"llo,0:,"        out:  b"hello"  b""

    Args:
        max_bytes: the longest payload in bytes, without its length and the comma.

    Raises:
        FrameTooLongError: from the length alone, when the payload is over `max_bytes`; inbound stays
            failed. Outbound refuses such a payload, and goes on.
        CorruptFrameError: what should be a length has other bytes than digits, a leading zero or more
            digits than `max_bytes` has, or the comma is missing; inbound stays failed.
        IncompleteFrameError: the stream ended inside a netstring; `leftover` has it, with its length.
    """

    def __init__(self, max_bytes: int = _DEFAULT_BYTES) -> None:
        check_size("NetstringFramer", "max_bytes", max_bytes, default=_DEFAULT_BYTES)
        super().__init__(NetstringInbound(max_bytes), NetstringOutbound(max_bytes))


class NetstringInbound(InboundFramer):
    """The inbound half of `NetstringFramer`."""

    name = "NetstringFramer.inbound"
    framer = "NetstringFramer"
    unit = "netstring"
    can_skip = False

    def __init__(self, max_bytes: int) -> None:
        super().__init__(max_bytes=max_bytes)
        self._most_digits = len(str(max_bytes))
        self._needed = 0  # bytes that the unfinished netstring must have, or 0 while its length is unfinished

    def _may_complete(self, data: bytes) -> bool:
        return len(self._tail) + len(data) >= self._needed

    def _cut(self, data: bytes) -> Result[bytes]:
        frames: list[bytes] = []
        at, end, most, digits = 0, len(data), self._max_bytes, self._most_digits
        while (colon := data.find(b":", at, at + digits + 1)) > at:
            field = data[at:colon]
            if not field.isdigit() or (field[0] == 48 and colon - at > 1):
                return self._carefully(data)
            comma = colon + 1 + int(field)
            if comma >= end or data[comma] != 44 or comma - colon > most + 1:
                break
            frames.append(data[colon + 1 : comma])
            at = comma + 1
        try:
            self._next(data, at)  # says what is needed; what is wrong comes behind the frames before it
        except FrameError:
            return self._carefully(data)
        return self._gives(frames, data, at)

    def _next(self, data: bytes, at: int) -> tuple[bytes, int] | None:
        self._needed = 0
        colon = data.find(b":", at, at + self._most_digits + 1)
        digits = data[at:colon]
        if colon < 0 or not digits.isdigit() or (digits[0] == 48 and digits != b"0"):
            self._check_unfinished(data[at : at + self._most_digits + 1])
            return None
        length = int(digits)
        if length > self._max_bytes:
            self._too_long(length)
        comma = colon + 1 + length
        if comma >= len(data):
            self._needed = comma + 1 - at
            return None
        if data[comma] != 44:
            raise CorruptFrameError(
                f"NetstringFramer: {data[comma : comma + 1]!r} instead of a comma behind a netstring of {length} "
                f"bytes: the length is wrong"
            )
        return data[colon + 1 : comma], comma + 1

    def _check_unfinished(self, head: bytes) -> None:
        """Refuse what can be no beginning of a length; says the same however much of it is there."""
        digits = len(head) - len(head.lstrip(_DIGITS))
        if digits > 1 and head.startswith(b"0"):
            raise CorruptFrameError(f"NetstringFramer: a length with a leading zero, {head[:2]!r}")
        if digits > self._most_digits:
            raise CorruptFrameError(
                f"NetstringFramer: a length of more than {self._most_digits} digits, {head!r}, while max_bytes="
                f"{self._max_bytes} has {self._most_digits}. Raise max_bytes if it is a right one"
            )
        if digits < len(head):
            raise CorruptFrameError(
                f"NetstringFramer: {head[digits : digits + 1]!r} after {head[:digits]!r}, where a length in digits "
                f"and a colon should be, as in b'5:hello,'. Does the peer write netstrings?"
            )

    def _what_is_missing(self, leftover: bytes) -> str:
        if self._needed:
            return f"the stream ended {len(leftover)} bytes into a netstring of {self._needed} bytes, all counted"
        return f"the stream ended {len(leftover)} bytes into the length of a netstring"


class NetstringOutbound(OutboundFramer):
    """The outbound half of `NetstringFramer`."""

    name = "NetstringFramer.outbound"
    framer = "NetstringFramer"
    unit = "netstring"

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes

    def process_sync(self, payload: BytesLike, /) -> Result[bytes]:
        """Make a netstring of a payload.

        Raises:
            FrameTooLongError: the payload is over the limit; nothing is written.
        """
        if type(payload) is not bytes:
            payload = as_bytes("NetstringFramer", payload)
        if len(payload) > self._max_bytes:
            self._refuse_long(len(payload))
        return [b"%d:%b," % (len(payload), payload)]
