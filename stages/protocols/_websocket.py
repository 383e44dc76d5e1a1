"""`WebSocket`: RFC 6455 by wsproto, as client or server.

wsproto frames, masks, and watches that both sides keep to the protocol. What each of its users has to add is added
here: in `_websocket_halves` what answers the peer and makes whole messages, in `_websocket_handshake` how a connection
begins, in `_websocket_frames` limits and compression. They need wsproto, and are imported when a stage is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, overload

from pipeline import Duplex

from .._arguments import check_choice, check_size
from .._bytes import BytesLike
from .._extras import Extra

if TYPE_CHECKING:
    import h11
    import wsproto.connection
    import wsproto.events

__all__ = ["WebSocket"]

_DEFAULT_BYTES: Final = 1048576
_DEFAULT_HEADER_BYTES: Final = 16384


class WebSocket(Duplex[BytesLike, "wsproto.events.Event", "wsproto.events.Event", bytes]):
    r"""WebSocket with wsproto: bytes in, wsproto's events out, and the reverse; as client or server.

    in:  b"\x81\x05Hel"  b"lo"        out:  TextMessage(data="Hello")

    A server is shown the `Request`, and answers it by sending `AcceptConnection()` or `RejectConnection()`. A client
    sends its request by itself, and is shown the answer: `AcceptConnection`, or `RejectConnection` and `RejectData`.
    Then each message is a `TextMessage` or `BytesMessage`, both ways.

    A ping is answered, and not shown; a pong is shown. A `Ping` sent while the connection is not open is dropped. When
    the peer closes, the close is answered, shown as `CloseConnection`, and both directions end. To close, send
    `CloseConnection(code=1000)` and receive on until the peer has answered; `send_eof()` and leaving the pipeline close
    with the code 1000, too.

    In a running chain it takes the place of `HTTP1`: `await pipeline.replace(HTTP1, WebSocket("server", request))`
    goes on with a request that `HTTP1` has read, and what follows it is exact; a client's
    `await pipeline.replace(HTTP1, WebSocket("client", Request(...)))` asks on the connection that is there.

    Needs the extra `penstock[wsproto]`.

    Args:
        role: "client" or "server".
        request: a client's `wsproto.events.Request`, which goes out when the pipeline is entered. A server's
            `h11.Request`, which is then the first item, as wsproto's; None: it is to come.
        max_bytes: the longest message accepted, all fragments together and decompressed, text counted in UTF-8.
        max_header_bytes: the longest head of the peer's part of the handshake.
        deflate: whether messages are compressed if the peer agrees (permessage-deflate). Costs CPU, and some 300 KiB
            of memory for each connection.
        whole_messages: False: show the pieces of a message as they come, the last one with `message_finished`, and
            hold none of them; `max_bytes` counts all of them nevertheless.

    Raises:
        wsproto.utilities.RemoteProtocolError: what the peer sent is wrong, too long, or it ended the stream without a
            close. It was told before: the close frame (of a server in the handshake, the HTTP response) that was sent
            is the error's `event_hint`. The stage stays failed. From the constructor: `request` asks for no WebSocket;
            the hint has the status to answer with.
        wsproto.utilities.LocalProtocolError: the event cannot be sent now, or outbound ended inside a message;
            nothing was written, and others can be sent.
        TypeError: what is sent is no event of wsproto; nothing was written, and others can be sent.
        ImportError: wsproto is not there.

    Attributes:
        connection: the `wsproto.connection.Connection`, to ask for its `state`; None until the handshake is over.
    """

    @overload
    def __init__(
        self,
        role: Literal["client"],
        request: wsproto.events.Request,
        *,
        max_bytes: int = _DEFAULT_BYTES,
        max_header_bytes: int = _DEFAULT_HEADER_BYTES,
        deflate: bool = False,
        whole_messages: bool = True,
    ) -> None: ...
    @overload
    def __init__(
        self,
        role: Literal["server"],
        request: h11.Request | None = None,
        *,
        max_bytes: int = _DEFAULT_BYTES,
        max_header_bytes: int = _DEFAULT_HEADER_BYTES,
        deflate: bool = False,
        whole_messages: bool = True,
    ) -> None: ...
    def __init__(
        self,
        role: Literal["client", "server"],
        request: wsproto.events.Request | h11.Request | None = None,
        *,
        max_bytes: int = _DEFAULT_BYTES,
        max_header_bytes: int = _DEFAULT_HEADER_BYTES,
        deflate: bool = False,
        whole_messages: bool = True,
    ) -> None:
        check_choice("WebSocket", "role", role, ("client", "server"))
        check_size("WebSocket", "max_bytes", max_bytes, default=_DEFAULT_BYTES)
        check_size("WebSocket", "max_header_bytes", max_header_bytes, default=_DEFAULT_HEADER_BYTES)
        library = _library()
        self._session = library.Session(role, request, max_bytes, max_header_bytes, deflate=deflate)
        super().__init__(*library.halves(self._session, self.name, whole_messages=whole_messages))

    @property
    def connection(self) -> wsproto.connection.Connection | None:
        """The connection behind the handshake."""
        connection: wsproto.connection.Connection | None = self._session.connection
        return connection

    @staticmethod
    def is_asked_for(request: h11.Request) -> bool:
        """Whether an HTTP request asks for a WebSocket connection, be it rightly or not."""
        return any(name == b"upgrade" and value.lower() == b"websocket" for name, value in request.headers)


def _library() -> Any:
    with Extra("WebSocket", "wsproto"):
        from . import _websocket_halves  # noqa: PLC0415 - an extra
    return _websocket_halves
