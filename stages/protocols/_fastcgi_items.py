"""What a client of `FastCGI` sends, and what it is on the wire.

fcgiproto has events for what is received only; to send, it has methods.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from .._bytes import BytesLike, as_bytes

_STATUS: Final = {each.value: f"Status: {each.value} {each.phrase}".encode() for each in HTTPStatus}


class FastCGIItem:
    """What can be sent with `FastCGI`: `FastCGIHeaders`, `FastCGIData`, `FastCGILog`, `FastCGIEnd`."""

    __slots__ = ()
    request_id: int


@dataclass(slots=True)
class FastCGIHeaders(FastCGIItem):
    """The head of a response, to be sent by `FastCGI` before its data.

    Attributes:
        request_id: the request that it answers.
        headers: pairs of name and value; `("Content-Type", "text/plain")`.
        status: of HTTP.
    """

    request_id: int
    headers: Iterable[tuple[str | bytes, str | bytes]] = ()
    status: int = 200


@dataclass(slots=True)
class FastCGIData(FastCGIItem):
    """A piece of a response's body, of any size, to be sent by `FastCGI`.

    Attributes:
        request_id: the request that it answers.
        data: the piece.
    """

    request_id: int
    data: BytesLike


@dataclass(slots=True)
class FastCGILog(FastCGIItem):
    """A line for the web server's error log, to be sent by `FastCGI`.

    Attributes:
        request_id: the request that it is about.
        data: the text.
    """

    request_id: int
    data: BytesLike


@dataclass(slots=True)
class FastCGIEnd(FastCGIItem):
    """The end of a response, to be sent by `FastCGI`; what else comes of the request is of no interest then.

    Attributes:
        request_id: the request that it answers.
        app_status: what a CGI program would have exited with.
    """

    request_id: int
    app_status: int = 0


@dataclass(slots=True)
class Abandon(FastCGIItem):
    """Give a request up, where `open_streams` has no more use for it; if it is over already this has no effect.

    Attributes:
        request_id: the request.
        request: the stage's own record of it, as the web server may use the number again.
    """

    request_id: int
    request: object


def head_of(item: FastCGIHeaders) -> bytes:
    """The head of a CGI response (RFC 3875, section 6)."""
    lines = [_STATUS.get(item.status) or _status(item.status), *_lines(item.headers)]
    head = b"\r\n".join([*lines, b"", b""])
    if head.count(b"\n") != len(lines) + 1 or head.count(b"\r") != len(lines) + 1 or b"\0" in head:
        line = next(line for line in lines if b"\n" in line or b"\r" in line or b"\0" in line)
        raise ValueError(f"FastCGIHeaders: a header with a line break or a zero byte: {line[:200]!r}")
    return head


def data_of(item: FastCGIData | FastCGILog) -> bytes:
    """The bytes of a piece."""
    data: object = item.data
    if type(data) is bytes:
        return data
    if isinstance(data, str):
        raise TypeError(f"{type(item).__name__}(data=...): must be bytes, not str: text.encode()")
    return as_bytes(type(item).__name__, data)


def _status(status: object) -> bytes:
    """A status that has no name."""
    if not isinstance(status, int) or not 100 <= status <= 999:
        raise ValueError(f"FastCGIHeaders(status={status!r}): must be a whole number of three digits")
    return f"Status: {status}".encode()


def _lines(headers: Iterable[tuple[str | bytes, str | bytes]]) -> list[bytes]:
    try:
        if type(headers) is not list and isinstance(headers, Mapping):
            raise TypeError("a mapping")
        return [_encoded(name) + b": " + _encoded(value) for name, value in headers]
    except (TypeError, AttributeError) as error:
        raise TypeError(
            "FastCGIHeaders(headers=...): must be pairs of text or bytes, [('Content-Type', 'text/plain')]; of a dict, "
            "list(headers.items()); of a number, str(number)"
        ) from error


def _encoded(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1")
