"""Frames behind a header with `Content-Length`: `ContentLengthFramer`.

The base protocol of the Language Server Protocol (3.17, "Header Part"), which debug adapters and other JSON-RPC
peers share: lines of `Name: value` in ASCII, each ended by CRLF, an empty line, then so many bytes. Where that
text is silent, RFC 9110 section 5 and RFC 9112 section 5 count, and what they warn of is refused: what one
reader takes for the end of a line, for a name or for a length, and another does not, can hide a message.
"""

from __future__ import annotations

import re
from typing import NoReturn, cast

from pipeline import CorruptFrameError, FrameError, FrameTooLongError, Result

from .._bytes import BytesLike, as_bytes
from ._base import Framer, InboundFramer, OutboundFramer, check_size

__all__ = ["ContentLengthFramer"]

_DEFAULT_BYTES = 16777216
_DEFAULT_HEADER_BYTES = 8192
_SHORTEST_HEADER = b"Content-Length:0\r\n\r\n"
_MOST_DIGITS = 20
"""What 2**64 - 1 has. Beyond, it is no length, and Python takes its time over very many digits."""

_CR, _LF, _COLON = b"\r\n:"
# The parts of a header, each a pattern for its bytes. All quantifiers are possessive: nothing is tried twice.
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]*+")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*+")
_LINE_END = re.compile(rb"")  # behind CR
# A header as peers write it, at once.
_TYPE = rb"(?:[Cc]ontent-[Tt]ype:[\t\x20-\x7e\x80-\xff]*+\r\n)?+"
_USUAL = re.compile(_TYPE + rb"[Cc]ontent-[Ll]ength: ([0-9]{1,18}+)\r\n" + _TYPE + rb"\r\n")


class ContentLengthFramer(Framer):
    r"""Cut a byte stream into frames behind `Content-Length` headers, and write such frames.

    in:  b"Content-Length: 2\r\n"  b"\r\n{}Content-Le"        out:  b"{}"

    As the Language Server Protocol, the Debug Adapter Protocol and JSON-RPC over pipes have it.

    Args:
        max_bytes: the longest frame in bytes, without its header.
        max_header_bytes: the longest header in bytes, with the empty line at its end.

    Names of headers are taken in any case; `Content-Type` and others are ignored. Outbound writes
    `Content-Length` alone.

    Raises:
        FrameTooLongError: from the header alone, when the frame is over `max_bytes`, or as soon as the
            header is certain to be over `max_header_bytes`; inbound stays failed. Outbound refuses such a
            payload, and goes on.
        CorruptFrameError: a header with no `Content-Length`, with two, or with one that is not 1 to 20 digits;
            a line that is not `Name: value` or does not end in CRLF; inbound stays failed.
        IncompleteFrameError: the stream ended inside a frame; `leftover` has it, with its header.
    """

    def __init__(self, max_bytes: int = _DEFAULT_BYTES, *, max_header_bytes: int = _DEFAULT_HEADER_BYTES) -> None:
        check_size("ContentLengthFramer", "max_bytes", max_bytes, default=_DEFAULT_BYTES)
        check_size("ContentLengthFramer", "max_header_bytes", max_header_bytes, default=_DEFAULT_HEADER_BYTES)
        if max_header_bytes < len(_SHORTEST_HEADER):
            raise ValueError(
                f"ContentLengthFramer(max_header_bytes={max_header_bytes}): no frame would ever pass, as the shortest "
                f"header has {len(_SHORTEST_HEADER)} bytes. Leave it out for the default, {_DEFAULT_HEADER_BYTES}"
            )
        super().__init__(
            ContentLengthInbound(max_bytes, max_header_bytes), ContentLengthOutbound(max_bytes, max_header_bytes)
        )


class _Header:
    """Reads one header, which may come in pieces, byte after byte; keeps its place between them."""

    def __init__(self) -> None:
        self._line = bytearray()
        self.clear()

    def clear(self) -> None:
        """Begin a header."""
        self._size = 0  # bytes of the header so far
        self._part = _NAME
        self._line.clear()
        self.length: int | None = None

    @property
    def least(self) -> int:
        """The bytes that the header has at least: those that were there, and what must follow."""
        if self._part is _LINE_END:
            return self._size + (len(b"\n\r\n") if self._line else len(b"\n"))
        if self._part is _NAME and self._line:
            return self._size + len(b":\r\n\r\n")
        return self._size + (len(b"\r\n\r\n") if self._line else len(b"\r\n"))

    def go_on(self, data: bytes, at: int) -> int | None:
        """Go on with `data` from `at` and return where the header ends; None: not in `data`.

        Raises:
            CorruptFrameError: what is wrong; `least` then counts the bytes before it.
        """
        before = self._size - at
        while at < len(data):
            end = cast("re.Match[bytes]", self._part.match(data, at)).end()
            self._line += data[at:end]
            self._size = before + end
            if end == len(data):
                break
            at = end + 1
            if self._pass(data[end]):
                return at
            self._size = before + at
        return None

    def _pass(self, byte: int) -> bool:
        """Go on behind the byte that ended a part; whether it is the header's last."""
        if self._part is _LINE_END and byte == _LF:
            return self._end_line()
        if byte == _CR and (self._part is _VALUE or not self._line) and self._part is not _LINE_END:
            self._part = _LINE_END
        elif byte == _COLON and self._part is _NAME and self._line:
            self._line.append(byte)
            self._part = _VALUE
        else:
            self._refuse(byte)
        return False

    def _refuse(self, byte: int) -> None:
        problem = repr(bytes([byte]))
        if self._part is _LINE_END or byte == _LF:
            problem = "a lone CR" if self._part is _LINE_END else "a lone LF"
        remedy = "" if self._size else ". Does the peer send headers? For JSON without them there is JSONFramer()"
        raise CorruptFrameError(
            f"ContentLengthFramer: {problem} after {bytes(self._line[-40:])!r} in a header, which is lines of "
            f"'Name: value', each ended by CRLF, and an empty one{remedy}"
        )

    def _end_line(self) -> bool:
        line = bytes(self._line)
        if line:
            self._take(*line.split(b":", 1))
            self._line.clear()
            self._part = _NAME
        elif self.length is None:
            raise CorruptFrameError("ContentLengthFramer: a header without Content-Length")
        return not line

    def _take(self, name: bytes, value: bytes) -> None:
        if name.lower() != b"content-length":
            return
        digits = value.strip(b" \t")
        if self.length is not None:
            raise CorruptFrameError(
                f"ContentLengthFramer: a second Content-Length in one header, {digits[:30]!r} after {self.length}"
            )
        if not digits.isdigit() or len(digits) > _MOST_DIGITS:
            raise CorruptFrameError(
                f"ContentLengthFramer: Content-Length is {digits[:30]!r}, not a number of 1 to {_MOST_DIGITS} digits"
            )
        self.length = int(digits)


class ContentLengthInbound(InboundFramer):
    """The inbound half of `ContentLengthFramer`."""

    name = "ContentLengthFramer.inbound"
    framer = "ContentLengthFramer"
    can_skip = False

    def __init__(self, max_bytes: int, max_header_bytes: int) -> None:
        super().__init__(max_bytes=max_bytes)
        self._max_header_bytes = max_header_bytes
        self._header = _Header()
        self._needed = 0  # bytes that the unfinished frame must have, or 0 while its header is unfinished

    def _may_complete(self, data: bytes) -> bool:
        if not self._needed:
            try:
                found = self._header_in(data, 0)
            except FrameError:
                return True  # it is raised again, behind the frames before it
            if found is None:
                return False
            end, length = found
            if length > self._max_bytes:
                return True
            self._needed = len(self._tail) + end + length
        return len(self._tail) + len(data) >= self._needed

    def _cut(self, data: bytes) -> Result[bytes]:
        frames: list[bytes] = []
        at = 0
        try:
            while (found := self._next(data, at)) is not None:
                frames.append(found[0])
                at = found[1]
        except FrameError:
            return self._carefully(data)
        return self._gives(frames, data, at)

    def _next(self, data: bytes, at: int) -> tuple[bytes, int] | None:
        usual = _USUAL.match(data, at)
        if usual is not None and usual.end() - at <= self._max_header_bytes:
            start, length = usual.end(), int(usual[1])
        else:
            self._header.clear()
            found = self._header_in(data, at)
            if found is None:
                self._needed = 0
                return None
            start, length = found
        if length > self._max_bytes:
            self._too_long(length)
        end = start + length
        self._needed = end - at
        return (data[start:end], end) if end <= len(data) else None

    def _header_in(self, data: bytes, at: int) -> tuple[int, int] | None:
        """Where the header ends that is being read, and what its length is; None: not in `data`."""
        wrong: FrameError | None = None
        end = None
        try:
            end = self._header.go_on(data, at)
        except CorruptFrameError as error:
            wrong = error
        # What is certain first, counts: too long before what is wrong behind.
        if self._header.least > self._max_header_bytes:
            raise FrameTooLongError(
                f"ContentLengthFramer: a header of at least {self._max_header_bytes + 1} bytes is over the limit, "
                f"max_header_bytes={self._max_header_bytes}. Raise max_header_bytes if it is a right one",
                limit=self._max_header_bytes,
                size=self._max_header_bytes + 1,
            )
        if wrong is not None:
            raise wrong
        return None if end is None else (end, cast("int", self._header.length))

    def _what_is_missing(self, leftover: bytes) -> str:
        if self._needed:
            return f"the stream ended {len(leftover)} bytes into a frame of {self._needed} bytes, its header counted"
        return f"the stream ended {len(leftover)} bytes into a header"


class ContentLengthOutbound(OutboundFramer):
    """The outbound half of `ContentLengthFramer`."""

    name = "ContentLengthFramer.outbound"
    framer = "ContentLengthFramer"

    def __init__(self, max_bytes: int, max_header_bytes: int) -> None:
        self._max_bytes, self._max_header_bytes = max_bytes, max_header_bytes

    def process_sync(self, payload: BytesLike, /) -> Result[bytes]:
        """Put a header before a payload.

        Raises:
            FrameTooLongError: the payload or its header is over the limit; nothing is written.
        """
        if type(payload) is not bytes:
            payload = as_bytes("ContentLengthFramer", payload)
        if len(payload) > self._max_bytes:
            self._refuse_size("a frame", len(payload), "max_bytes", self._max_bytes)
        header = b"Content-Length: %d\r\n\r\n" % len(payload)
        if len(header) > self._max_header_bytes:
            self._refuse_size("a header", len(header), "max_header_bytes", self._max_header_bytes)
        return [header + payload]

    def _refuse_size(self, what: str, size: int, parameter: str, limit: int) -> NoReturn:
        raise FrameTooLongError(
            f"ContentLengthFramer: {what} of {size} bytes is over the limit, {parameter}={limit}; nothing was written. "
            f"Raise {parameter}, here and at the peer",
            limit=limit,
            size=size,
        )
