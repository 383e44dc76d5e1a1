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
        self._buffer = bytearray()
        self._start = 0  # what is before it was cut

    @property
    def held(self) -> int:
        """Bytes of what was not cut yet."""
        return len(self._buffer) - self._start

    def feed(self, data: bytes) -> None:
        """Add what was received."""
        del self._buffer[: self._start]
        self._start = 0
        self._buffer += data

    def cut(self) -> Iterator[tuple[int, int, bytes]]:
        """Give type, request and content of each record that is there.

        Raises:
            ProtocolError: it is no record, or none that a web server sends.
        """
        buffer = self._buffer
        while self.held >= _HEADER.size:
            version, kind, request_id, size, padding = _HEADER.unpack_from(buffer, self._start)
            if version != 1:
                raise self._error(f"a record of version {version}; there is only 1")
            self._check_kind(kind, request_id)
            if kind == PARAMS:
                self._check_params(request_id, size)
            if self.held < _HEADER.size + size + padding:
                break
            content = self._start + _HEADER.size
            self._start = content + size + padding
            yield kind, request_id, bytes(buffer[content : content + size])

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
    pairs, at = [], 0
    while at < len(data):
        name_size, at = _size(data, at, error)
        value_size, at = _size(data, at, error)
        middle, end = at + name_size, at + name_size + value_size
        if end > len(data):
            raise error(f"a name and its value of {end - at} bytes, of which {len(data) - at} are there")
        pairs.append((_text(data[at:middle]), _text(data[middle:end])))
        at = end
    return pairs


def _size(data: bytes, at: int, error: type[Exception]) -> tuple[int, int]:
    """A length of one byte or four, and where it ends."""
    end = at + (4 if data[at : at + 1] >= b"\x80" else 1)
    if end > len(data):
        raise error("names and values end inside a length")
    return int.from_bytes(data[at:end], "big") & 0x7FFFFFFF, end


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def encode_pairs(pairs: dict[str, Any]) -> bytes:
    """Short names and values."""
    return b"".join(bytes((len(name), len(str(value)))) + f"{name}{value}".encode() for name, value in pairs.items())
