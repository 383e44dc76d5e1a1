"""How a WebSocket connection begins: a client's request in HTTP/1.1, and the server's answer.

wsproto makes both and judges them. What is added here is what it leaves to its users, or forgets: a limit for the
head, what comes with the head in the same read, the peer's bytes that make it raise something else than its own
errors, and what RFC 6455, section 4, asks for besides. It needs wsproto, so it is imported only when a stage is made.
"""

from __future__ import annotations

import binascii
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, Final, cast

import h11
from wsproto import ConnectionType
from wsproto.connection import Connection, ConnectionState
from wsproto.events import AcceptConnection, Event, RejectConnection, RejectData, Request
from wsproto.handshake import H11Handshake
from wsproto.utilities import LocalProtocolError, ProtocolError, RemoteProtocolError

from ._websocket_frames import Frames

_EARLY_BYTES: Final = 65536
_CLOSE: Final = (b"connection", b"close")


class Handshake(ABC):
    """What both roles share.

    Args:
        role: which of them.
        frames: how the connection is to make frames.
        max_header_bytes: the longest head of the peer's that is read.
    """

    def __init__(self, role: ConnectionType, frames: Frames, max_header_bytes: int) -> None:
        self._role, self._frames = role, frames
        self._wsproto = H11Handshake(role)
        self._head = Head(max_header_bytes)
        self.connection: Connection | None = None

    @property
    def held(self) -> int:
        """Bytes that nothing has come of."""
        return len(self._head)

    @property
    def is_over(self) -> bool:
        """Whether it has failed in good order: all of the refusal is out."""
        return self._wsproto.state is ConnectionState.CLOSED

    @abstractmethod
    def start(self) -> tuple[list[Event], bytes]:
        """Begin: what the client is shown, and what the peer is sent."""

    @abstractmethod
    def receive(self, data: bytes) -> list[Event]:
        """Take bytes."""

    @abstractmethod
    def receive_eof(self) -> list[Event]:
        """Take the end of the stream."""

    def send(self, event: Event) -> bytes:
        """Take what the client sends."""
        raise LocalProtocolError(f"{type(event).__name__} cannot be sent before the server has answered")

    def refusal(self, error: RemoteProtocolError) -> bytes:
        """What the peer is told of its error."""
        return b""


class ServerHandshake(Handshake):
    """A server's: the request is shown, and the client of the stage answers.

    Args:
        request: one that was read by somebody else.
    """

    def __init__(self, frames: Frames, max_header_bytes: int, request: h11.Request | None) -> None:
        super().__init__(ConnectionType.SERVER, frames, max_header_bytes)
        self._request: Request | None = None
        self._early = bytearray()
        if request is not None:
            self._check_method(request.method)
            with _peers_fault():
                self._wsproto.initiate_upgrade_connection(list(request.headers), request.target)
            self._take_request()

    def start(self) -> tuple[list[Event], bytes]:
        """Show the request that was read by somebody else."""
        return [] if self._request is None else [self._request], b""

    def receive(self, data: bytes) -> list[Event]:
        """Read a request; what comes behind it waits for the answer."""
        if self._request is not None:
            self._keep(data)
            return []
        head = self._head.feed(data)
        if head is None:
            return []
        with _peers_fault():
            self._wsproto.receive_data(head)
        request = self._take_request()
        self._keep(self._head.take_rest())
        return [request]

    def receive_eof(self) -> list[Event]:
        """End: right only where nothing has begun; a request that is not answered yet will not be missed."""
        if self._request is None and self.held:
            raise RemoteProtocolError("the client ended the stream inside its request", event_hint=RejectConnection())
        return []

    def send(self, event: Event) -> bytes:
        """Answer the request."""
        if not isinstance(event, AcceptConnection | RejectConnection | RejectData):
            raise LocalProtocolError(f"{type(event).__name__} cannot be sent before AcceptConnection()")
        if self._request is None:
            raise LocalProtocolError(f"{type(event).__name__} cannot be sent before there is a Request")
        if isinstance(event, RejectConnection):
            return self._reject(event)
        if isinstance(event, RejectData):
            return self._wsproto.send(event)
        if event.extensions:
            raise LocalProtocolError("extensions are the stage's: WebSocket('server', deflate=True)")
        data = self._wsproto.send(replace(event, extensions=[self._frames.deflate]))
        self.connection = self._frames.connect(self._role, bytes(self._early))
        self._early.clear()
        return data

    def refusal(self, error: RemoteProtocolError) -> bytes:
        """The response that says what is wrong."""
        hint = error.event_hint
        with suppress(ProtocolError, h11.ProtocolError):  # something was answered already
            return self._reject(hint if isinstance(hint, RejectConnection) else RejectConnection())
        return b""

    def _reject(self, event: RejectConnection) -> bytes:
        headers = list(event.headers)
        if not any(name.lower() == b"connection" for name, _ in headers):
            headers.append(_CLOSE)  # there will be no other request on this connection
        return self._wsproto.send(replace(event, headers=headers))

    def _take_request(self) -> Request:
        request: Any = next(self._wsproto.events())
        headers = dict(request.extra_headers)
        if b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0":
            raise RemoteProtocolError("the request has a body", event_hint=RejectConnection())
        if not _is_key(headers[b"sec-websocket-key"]):
            raise RemoteProtocolError("Sec-WebSocket-Key is not 16 bytes in base64", event_hint=RejectConnection())
        self._request = request
        return cast("Request", request)

    def _check_method(self, method: bytes) -> None:
        if method != b"GET":
            raise RemoteProtocolError(f"the request's method is {method!r}, not GET", event_hint=RejectConnection())

    def _keep(self, data: bytes) -> None:
        """A client is to wait for the answer; one that does not is not to fill the memory."""
        self._early += data
        if len(self._early) > _EARLY_BYTES:
            raise RemoteProtocolError(
                f"the client sent {len(self._early)} bytes before its request was answered, more than {_EARLY_BYTES}",
                event_hint=RejectConnection(),
            )


class ClientHandshake(Handshake):
    """A client's: the request goes out by itself.

    Args:
        request: what the server is asked.
    """

    def __init__(self, frames: Frames, max_header_bytes: int, request: Request) -> None:
        super().__init__(ConnectionType.CLIENT, frames, max_header_bytes)
        if request.extensions:
            raise ValueError("extensions are the stage's: WebSocket('client', Request(...), deflate=True)")
        self._hello = self._wsproto.send(replace(request, extensions=[frames.deflate]))

    def start(self) -> tuple[list[Event], bytes]:
        """Send the request."""
        return [], self._hello

    def receive(self, data: bytes) -> list[Event]:
        """Read the response, and of a refusal its body."""
        if self._wsproto.state is ConnectionState.REJECTING:
            return self._take(data)
        head = self._head.feed(data)
        while head is not None and _is_informational(head):
            head = self._head.feed(b"")
        return [] if head is None else self._take(head)

    def receive_eof(self) -> list[Event]:
        """End: right only where it ends the body of a refusal."""
        if self._wsproto.state is not ConnectionState.REJECTING:
            raise RemoteProtocolError("the server ended the stream before it answered the request")
        return self._take(b"")

    def _take(self, data: bytes) -> list[Event]:
        with _peers_fault():
            self._wsproto.receive_data(data)
        rest = self._head.take_rest()
        if rest and self._wsproto.state is ConnectionState.REJECTING:
            with _peers_fault():
                self._wsproto.receive_data(rest)
        events = list(self._wsproto.events())
        if self._wsproto.connection is not None:
            self.connection = self._frames.connect(self._role, rest)
        return events


class Head:
    """Gathers the head of an HTTP message.

    Args:
        max_bytes: its greatest length.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._buffer = bytearray()
        self._scanned = 0

    def __len__(self) -> int:
        return len(self._buffer)

    def feed(self, data: bytes) -> bytes | None:
        """Take bytes; return the head as soon as it is whole.

        Raises:
            RemoteProtocolError: it is too long, or no HTTP.
        """
        self._buffer += data
        if self._buffer and self._buffer[0] < 0x21:  # such as TLS, which would wait for an answer
            raise RemoteProtocolError("this is no HTTP", event_hint=RejectConnection())
        start = max(0, self._scanned - 2)
        ends = [at + len(mark) for mark in (b"\n\r\n", b"\n\n") if (at := self._buffer.find(mark, start)) >= 0]
        size = min(ends, default=len(self._buffer) + 1)  # without its end it is at least so long
        if size > self._max_bytes:
            raise RemoteProtocolError(
                f"WebSocket: a head of {'' if ends else 'at least '}{size} bytes is over the limit, "
                f"max_header_bytes={self._max_bytes}. Raise max_header_bytes if it is a right one",
                event_hint=RejectConnection(status_code=431),
            )
        self._scanned = 0 if ends else len(self._buffer)
        if not ends:
            return None
        head = bytes(self._buffer[:size])
        del self._buffer[:size]
        return head

    def take_rest(self) -> bytes:
        """Take what came behind the head."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest


@contextmanager
def _peers_fault() -> Iterator[None]:
    """Take note that wsproto decodes, counts and rebuilds what the peer wrote, and not all of it can be."""
    try:
        yield
    except (ValueError, h11.ProtocolError) as error:
        raise RemoteProtocolError(f"a header of the handshake is wrong: {error}", RejectConnection()) from error


def _is_informational(head: bytes) -> bool:
    """Whether the real response is still to come."""
    return head[8:10] == b" 1" and head[10:12] != b"01"


def _is_key(value: bytes) -> bool:
    try:
        return len(binascii.a2b_base64(value, strict_mode=True)) == 16
    except ValueError:
        return False
