"""Framing as one writes it by hand: the loops that the framers of `stages` are measured against.

Each is what a good programmer would leave in a program of their own: one format, one limit, linear for one byte at a
time, and `bytes.split` or one pass over a read where the format allows it. Each does the work of the framer with its
default parameters, inbound, limit included; none has the options, the other direction, `unread` or messages.
`test_cost.py` checks that they give the same frames and refuse the same ones.
"""

from __future__ import annotations

import re
import struct


class RefusedError(ValueError):
    """A frame is over the limit, or corrupt."""


class Lines:
    """LF or CRLF ends a line."""

    def __init__(self, max_bytes: int = 65536) -> None:
        self.max_bytes = max_bytes
        self.tail = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        lines: list[bytes] = []
        if b"\n" in data:
            if self.tail:
                data = bytes(self.tail) + data
            lines = data.split(b"\n")
            self.tail = bytearray(lines.pop())
            if b"\r" in data:
                lines = [line.removesuffix(b"\r") for line in lines]
            if len(data) > self.max_bytes and max(map(len, lines)) > self.max_bytes:
                raise RefusedError
        else:
            self.tail += data
        if len(self.tail) > self.max_bytes and len(self.tail) - self.tail.endswith(b"\r") > self.max_bytes:
            raise RefusedError
        return lines


class Delimited:
    """A NUL ends a frame."""

    def __init__(self, max_bytes: int = 65536) -> None:
        self.max_bytes = max_bytes
        self.tail = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        frames: list[bytes] = []
        if b"\0" in data:
            if self.tail:
                data = bytes(self.tail) + data
            frames = data.split(b"\0")
            self.tail = bytearray(frames.pop())
            if len(data) > self.max_bytes and max(map(len, frames)) > self.max_bytes:
                raise RefusedError
        else:
            self.tail += data
        if len(self.tail) > self.max_bytes:
            raise RefusedError
        return frames


class Fixed:
    """Frames of one size."""

    def __init__(self, size: int = 64) -> None:
        self.size = size
        self.tail = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        size = self.size
        if len(self.tail) + len(data) < size:
            self.tail += data
            return []
        if self.tail:
            data = bytes(self.tail) + data
        whole = len(data) - len(data) % size
        self.tail = bytearray(data[whole:])
        return [data[at : at + size] for at in range(0, whole, size)]


class Lengths:
    """Four bytes of length, big-endian, then so many bytes; the limit counts both."""

    def __init__(self, max_bytes: int = 1048576) -> None:
        self.max_bytes = max_bytes
        self.tail = bytearray()
        self.needed = 4

    def feed(self, data: bytes) -> list[bytes]:
        if len(self.tail) + len(data) < self.needed:
            self.tail += data
            return []
        if self.tail:
            data = bytes(self.tail) + data
        frames = []
        at, size, most, length_at = 0, len(data), self.max_bytes - 4, _LENGTH
        self.needed = 4
        while size - at >= 4:
            (length,) = length_at(data, at)
            if length > most:
                raise RefusedError
            end = at + 4 + length
            if end > size:
                self.needed = 4 + length
                break
            frames.append(data[at + 4 : end])
            at = end
        self.tail = bytearray(data[at:])
        return frames


_LENGTH = struct.Struct(">I").unpack_from


class Varints:
    """A varint of at most five bytes, then so many bytes."""

    def __init__(self, max_bytes: int = 1048576) -> None:
        self.max_bytes = max_bytes
        self.tail = bytearray()
        self.needed = 1

    def feed(self, data: bytes) -> list[bytes]:
        if len(self.tail) + len(data) < self.needed:
            self.tail += data
            return []
        if self.tail:
            data = bytes(self.tail) + data
        frames = []
        at, size, most = 0, len(data), self.max_bytes
        self.needed = 1
        while at < size:
            length, begin = data[at], at + 1
            if length > 127:
                found = self._long(data, at)
                if found is None:
                    break
                length, begin = found
            if length > most:
                raise RefusedError
            end = begin + length
            if end > size:
                self.needed = end - at
                break
            frames.append(data[begin:end])
            at = end
        self.tail = bytearray(data[at:])
        return frames

    def _long(self, data: bytes, at: int) -> tuple[int, int] | None:
        length = 0
        for width, byte in enumerate(data[at : at + 5]):
            length |= (byte & 127) << 7 * width
            if byte < 128:
                return length, at + width + 1
        if len(data) - at >= 5:
            raise RefusedError
        return None


class Netstrings:
    """Digits, a colon, so many bytes, a comma."""

    def __init__(self, max_bytes: int = 65536) -> None:
        self.max_bytes = max_bytes
        self.digits = len(str(max_bytes))
        self.tail = bytearray()
        self.needed = 1

    def feed(self, data: bytes) -> list[bytes]:
        if len(self.tail) + len(data) < self.needed:
            self.tail += data
            return []
        if self.tail:
            data = bytes(self.tail) + data
        frames = []
        at, size, most, digits = 0, len(data), self.max_bytes, self.digits
        self.needed = 1
        while (colon := data.find(b":", at, at + digits + 1)) >= 0:
            head = data[at:colon]
            if not head.isdigit() or (head[0] == 48 and len(head) > 1):
                raise RefusedError
            length = int(head)
            if length > most:
                raise RefusedError
            end = colon + 1 + length
            if end >= size:
                self.needed = end + 1 - at
                break
            if data[end] != 44:
                raise RefusedError
            frames.append(data[colon + 1 : end])
            at = end + 1
        else:
            head = data[at : at + digits + 1]
            if head and (not head.isdigit() or len(head) > digits or (head[0] == 48 and len(head) > 1)):
                raise RefusedError
        self.tail = bytearray(data[at:])
        return frames


class JSONTexts:
    """Objects and arrays, one behind the other, white space between them."""

    # A bracket, or a string with its quotes; one that is cut lacks the second quote, and perhaps half of an escape.
    tokens = re.compile(rb'[\[\]{}]|"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)', re.DOTALL).finditer
    string = re.compile(rb'[^"\\]*(?:\\.[^"\\]*)*("|\\?\Z)', re.DOTALL).match

    def __init__(self, max_bytes: int = 1048576, max_depth: int = 64) -> None:
        self.max_bytes, self.max_depth = max_bytes, max_depth
        self.tail = bytearray()  # the unfinished text
        self.closing = bytearray()  # what must close what is open
        self.in_string = self.escaped = False

    def feed(self, data: bytes) -> list[bytes]:
        frames: list[bytes] = []
        at = self._through_string(data) if self.in_string else 0
        begin, closing = 0, self.closing
        for token in self.tokens(data, at):
            byte = data[token.start()]
            if not closing:
                if data[begin : token.start()].strip(b" \t\r\n") or byte not in b"{[":
                    raise RefusedError
                begin = token.start()
            if byte == 34:
                if token.end() < len(data):
                    continue
                text = token[0]
                self.in_string = len(text) == 1 or not text.endswith(b'"') or self._is_escaped(text)
                self.escaped = self.in_string and self._is_escaped(text + b'"')
            elif byte in b"{[":
                closing.append(byte + 2)
                if len(closing) > self.max_depth:
                    raise RefusedError
            elif closing.pop() != byte:
                raise RefusedError
            elif not closing:
                frames.append(bytes(self.tail) + data[begin : token.end()])
                self.tail.clear()
                begin = token.end()
        if closing:
            self.tail += data[begin:]
        elif data[begin:].strip(b" \t\r\n"):
            raise RefusedError
        if len(self.tail) > self.max_bytes or (frames and max(map(len, frames)) > self.max_bytes):
            raise RefusedError
        return frames

    def _through_string(self, data: bytes) -> int:
        at = 1 if self.escaped and data else 0
        found = self.string(data, at)
        assert found
        self.in_string = found[1] != b'"'
        if data:
            self.escaped = found[1] == b"\\"
        return found.end()

    def _is_escaped(self, text: bytes) -> bool:
        """Whether the last byte is, by an odd number of backslashes before it."""
        return (len(text) - 1 - len(text[:-1].rstrip(b"\\"))) % 2 == 1


class ContentLengths:
    """A header block with `Content-Length: N`, an empty line, so many bytes."""

    header = re.compile(rb"(?:^|\r\n)content-length:[ \t]*(\d{1,19})[ \t]*(?:\r\n|$)", re.IGNORECASE).search

    def __init__(self, max_bytes: int = 16777216, max_header_bytes: int = 8192) -> None:
        self.max_bytes, self.max_header_bytes = max_bytes, max_header_bytes
        self.tail = bytearray()
        self.scanned = 0
        self.needed = 1

    def feed(self, data: bytes) -> list[bytes]:
        self.tail += data
        if len(self.tail) < self.needed:
            return []
        at = self.tail.find(b"\r\n\r\n", max(0, self.scanned - 3)) if self.needed == 1 else 0
        if at < 0:
            self.scanned = len(self.tail)
            if self.scanned > self.max_header_bytes:
                raise RefusedError
            return []
        return self._cut(bytes(self.tail))

    def _cut(self, data: bytes) -> list[bytes]:
        frames = []
        at, size = 0, len(data)
        self.needed, self.scanned = 1, 0
        while (end := data.find(b"\r\n\r\n", at, at + self.max_header_bytes)) >= 0:
            found = self.header(data[at:end])
            if found is None:
                raise RefusedError
            length = int(found[1])
            if length > self.max_bytes:
                raise RefusedError
            body = end + 4
            if body + length > size:
                self.needed = body + length - at
                break
            frames.append(data[body : body + length])
            at = body + length
        else:
            self.scanned = size - at
            if self.scanned > self.max_header_bytes:
                raise RefusedError
        self.tail = bytearray(data[at:])
        return frames


class SLIP:
    """RFC 1055: 0xC0 ends a frame, empty ones do not count, 0xDB escapes the two."""

    def __init__(self, max_bytes: int = 65536) -> None:
        self.max_bytes = max_bytes
        self.tail = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        frames: list[bytes] = []
        if b"\xc0" in data:
            if self.tail:
                data = bytes(self.tail) + data
            frames = [frame for frame in data.split(b"\xc0")[:-1] if frame]
            self.tail = bytearray(data[data.rfind(b"\xc0") + 1 :])
            if b"\xdb" in data:
                frames = [self._unescape(frame) if b"\xdb" in frame else frame for frame in frames]
            if len(data) > self.max_bytes and frames and max(map(len, frames)) > self.max_bytes:
                raise RefusedError
        else:
            self.tail += data
        if len(self.tail) > self.max_bytes and len(self.tail) - self.tail.count(b"\xdb") > self.max_bytes:
            raise RefusedError
        return frames

    def _unescape(self, frame: bytes) -> bytes:
        if frame.count(b"\xdb") != frame.count(b"\xdb\xdc") + frame.count(b"\xdb\xdd"):
            raise RefusedError
        return frame.replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb")


class COBS:
    """Cheshire & Baker: a zero ends a frame, and each block says how far the next zero is."""

    def __init__(self, max_bytes: int = 65536) -> None:
        self.max_bytes = max_bytes
        self.most_encoded = max_bytes + max_bytes // 254 + 1
        self.tail = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        frames: list[bytes] = []
        if b"\0" in data:
            if self.tail:
                data = bytes(self.tail) + data
            encoded = data.split(b"\0")
            self.tail = bytearray(encoded.pop())
            frames = [self._decode(frame) for frame in encoded if frame]
        else:
            self.tail += data
        if len(self.tail) > self.most_encoded:
            raise RefusedError
        return frames

    def _decode(self, encoded: bytes) -> bytes:
        out, at, size = bytearray(), 0, len(encoded)
        while at < size:
            code = encoded[at]
            end = at + code
            if end > size:
                raise RefusedError
            out += encoded[at + 1 : end]
            if code < 255 and end < size:
                out.append(0)
            at = end
        if len(out) > self.max_bytes:
            raise RefusedError
        return bytes(out)


class Chunks:
    """Pieces of at most so many bytes."""

    def __init__(self, size: int = 64) -> None:
        self.size = size

    def feed(self, data: bytes) -> list[bytes]:
        size = self.size
        return [data] if len(data) <= size else [data[at : at + size] for at in range(0, len(data), size)]
