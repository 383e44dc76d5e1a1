"""What a client of `FastCGI` sends. fcgiproto has events for what is received only; to send, it has methods."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .._bytes import BytesLike


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
