"""The records of FastCGI (specification 1.0, section 3.3): how they are cut, which may come, how they are written.

fcgiproto does this, too, but what a web server, or whoever can reach the port, may send makes it raise
`AssertionError`, `struct.error` and `UnicodeDecodeError`, or forget the events before the fault; it cannot write more
than 65,535 bytes at once; and it lets no response begin before the whole body is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from struct import Struct
from typing import Any, Final

BEGIN_REQUEST, ABORT_REQUEST, END_REQUEST, PARAMS, STDIN, STDOUT, STDERR, DATA, GET_VALUES = range(1, 10)
UNKNOWN_TYPE: Final = 11
_TO_APPLICATION: Final = {BEGIN_REQUEST, ABORT_REQUEST, PARAMS, STDIN, DATA}

_HEADER: Final = Struct(">BBHHBx")
_PIECE_BYTES: Final = 65528
"""The longest content of a record that is a multiple of eight bytes, as the specification recommends."""


class Records:
    """Cuts records out of what was received.

    Args:
        error: `fcgiproto.ProtocolError`.
        check: is told request and size of parameters that begin to come, and raises if they are too long.
    """

    def __init__(self, error: type[Exception], check: Callable[[int, int], None]) -> None:
        self._error, self._check_params = error, check
        self._buffer: bytes | bytearray = b""
        self._start = 0  # what is before it was cut
        self._last = 0  # where the record begins that was cut last

    @property
    def held(self) -> int:
        """Bytes of what was not cut yet."""
        return len(self._buffer) - self._start

    def feed(self, data: bytes) -> None:
        """Add what was received."""
        rest = self._buffer
        if self._start == len(rest):
            self._buffer = data  # nothing is copied where a read is whole records, as a small request is
        elif isinstance(rest, bytes):
            self._buffer = bytearray(rest[self._start :]) + data
        else:
            del rest[: self._start]
            rest += data
        self._start = 0

    def cut(self) -> Iterator[tuple[int, int, bytes]]:
        """Give type, request and content of each record that is there.

        Raises:
            ProtocolError: it is no record, or none that a web server sends.
        """
        buffer = self._buffer
        there, header, parse = len(buffer), _HEADER.size, _HEADER.unpack_from
        while self._start + header <= there:
            self._last = self._start
            version, kind, request_id, size, padding = parse(buffer, self._start)
            if version != 1:
                raise self._error(f"a record of version {version}; there is only 1")
            if not request_id or kind not in _TO_APPLICATION:
                self._check_kind(kind, request_id)
            if kind == PARAMS:
                self._check_params(request_id, size)
            start = self._start + header
            end = start + size
            if end + padding > there:
                return
            self._start = end + padding
            yield kind, request_id, bytes(buffer[start:end])
        if self._start == there:
            self._buffer, self._start = b"", 0  # an idle connection holds nothing

    def put_back(self) -> None:
        """Let the record that was cut last, or is no right one, be the next of `cut` called anew."""
        self._start = self._last

    def _check_kind(self, kind: int, request_id: int) -> None:
        """A management record has request 0 and is GET_VALUES or of an unknown type; others have a request."""
        if (kind not in _TO_APPLICATION) if request_id else (kind != GET_VALUES and kind <= UNKNOWN_TYPE):
            raise self._error(f"a record of type {kind} for request {request_id}, which web servers do not send")


def pieces(kind: int, request_id: int, data: bytes) -> bytes:
    """Records of one type with the data, as many as it takes; no data: none, as an empty record means the end."""
    if len(data) <= _PIECE_BYTES:
        return record(kind, request_id, data) if data else b""
    starts = range(0, len(data), _PIECE_BYTES)
    return b"".join([record(kind, request_id, data[start : start + _PIECE_BYTES]) for start in starts])


def record(kind: int, request_id: int, content: bytes) -> bytes:
    """A whole record."""
    return _HEADER.pack(1, kind, request_id, len(content), 0) + content


def decode_pairs(data: bytes, error: type[Exception]) -> list[tuple[str, str]]:
    """Names and values; bytes that are no UTF-8 (a path may have some) come as surrogates, as in `os.fsdecode`.

    Raises:
        ProtocolError: the data ends inside a pair.
    """
    pairs, at, there = [], 0, len(data)
    text = data.decode("latin-1")  # of bytes that are all ASCII, as most are, the text is cut, which is faster
    plain = text.isascii()
    try:
        while at < there:
            name_size, value_size = data[at], data[at + 1]
            if plain or (name_size < 128 and value_size < 128):
                at += 2
            else:
                name_size, at = _size(data, at, error)
                value_size, at = _size(data, at, error)
            middle = at + name_size
            end = middle + value_size
            if end > there:
                raise error(f"a name and its value of {end - at} bytes, of which {there - at} are there")
            if plain:
                pairs.append((text[at:middle], text[middle:end]))
            else:
                pairs.append((_text(data[at:middle]), _text(data[middle:end])))
            at = end
    except IndexError:
        raise error("names and values end inside a length") from None
    return pairs


def _size(data: bytes, at: int, error: type[Exception]) -> tuple[int, int]:
    """A length of one byte or four, and where it ends."""
    end = at + (4 if data[at] >= 0x80 else 1)
    if end > len(data):
        raise error("names and values end inside a length")
    return int.from_bytes(data[at:end], "big") & 0x7FFFFFFF, end


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def encode_pairs(pairs: dict[str, Any]) -> bytes:
    """Short names and values."""
    return b"".join(bytes((len(name), len(str(value)))) + f"{name}{value}".encode() for name, value in pairs.items())
