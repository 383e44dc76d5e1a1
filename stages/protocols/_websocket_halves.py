"""The halves of `WebSocket`, behind and during the handshake: frames in, messages out, and the reverse.

They answer pings and the close, put fragments together, tell the peer what is wrong before the error is raised, and
end both directions where the connection ends. They need wsproto, so this is imported only when a stage is made.

Rules for this file: a message that comes or goes whole costs one call of the stage; all else may cost more.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import chain
from typing import Any, Final, Literal, TypeAlias

import h11
from wsproto.connection import Connection, ConnectionState
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, Request, TextMessage
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from pipeline import END, End, Inbound, Outbound, Reply, Result

from .._bytes import BytesLike, as_bytes
from ._websocket_frames import Frames
from ._websocket_handshake import ClientHandshake, Handshake, ServerHandshake

_Results: TypeAlias = Iterator[Event | Reply[Any] | End]

_OPEN: Final = ConnectionState.OPEN
_MESSAGES: Final[frozenset[type]] = frozenset((TextMessage, BytesMessage))
_CODES: Final = frozenset(map(int, CloseReason))
_AT_ONCE: Final = 64
"""So many messages are made of one read before somebody asks for them."""


class Session:
    """What the halves share.

    Args:
        role: "client" or "server".
        request: what a client asks, or what a server was asked already.
        max_bytes: the longest message accepted.
        max_header_bytes: the longest head accepted.
        deflate: whether compression may be agreed on.
    """

    connection: Connection | None = None
    failure: Exception | None = None

    def __init__(
        self,
        role: Literal["client", "server"],
        request: Request | h11.Request | None,
        max_bytes: int,
        max_header_bytes: int,
        *,
        deflate: bool,
    ) -> None:
        self.frames = Frames(max_bytes, deflate=deflate)
        self.handshake: Handshake
        if role == "client":
            if not isinstance(request, Request):
                raise TypeError(
                    f"WebSocket('client', {request!r}): a client needs wsproto's request: "
                    f"WebSocket('client', Request(host='example.org', target='/chat'))"
                )
            self.handshake = ClientHandshake(self.frames, max_header_bytes, request)
        elif request is None or isinstance(request, h11.Request):
            self.handshake = ServerHandshake(self.frames, max_header_bytes, request)
        else:
            raise TypeError(
                f"WebSocket('server', {request!r}): a server takes the h11.Request that HTTP1 has read, or none"
            )


def halves(session: Session, name: str, *, whole_messages: bool) -> tuple[MessagesIn, MessagesOut]:
    """Make the two halves of the stage that has the name."""
    is_client = isinstance(session.handshake, ClientHandshake)
    inbound = (ClientMessagesIn if is_client else MessagesIn)(session, name, whole_messages=whole_messages)
    return inbound, MessagesOut(session, name, inbound)


class MessagesIn(Inbound[BytesLike, Event]):
    """The inbound half: frames in, messages out."""

    end_is_told = True
    peer_errors = (RemoteProtocolError,)

    def __init__(self, session: Session, name: str, *, whole_messages: bool) -> None:
        self.name = f"{name}.inbound"
        self._session, self._whole_messages = session, whole_messages
        self._gathered: io.StringIO | io.BytesIO | None = None

    @property
    def holds(self) -> int:
        """Bytes of what is not whole yet: a head, a message, a frame."""
        session = self._session
        if session.connection is None:
            return session.handshake.held
        return session.frames.held

    async def start(self) -> Result[Event]:
        """Ask the server, or show a request that was read by somebody else."""
        events, hello = self._session.handshake.start()
        return [*([Reply(hello)] if hello else []), *events]

    def process_sync(self, data: BytesLike, /) -> Result[Event]:
        """Take bytes; messages come out as they are asked for, but for some."""
        if type(data) is not bytes:
            data = as_bytes("WebSocket", data)
        connection = self._session.connection
        if connection is None or self._session.failure is not None:
            return self._shake_hands(self._session.handshake.receive, data) if data else ()
        connection.receive_data(data)
        messages: list[Event] = []
        event: Any
        for event in connection.events():
            # By far the most are whole messages, and then nothing is to be done.
            if type(event) not in _MESSAGES or not event.message_finished or self._gathered is not None:
                return chain(messages, self._take(connection, event), self.walk(connection))
            messages.append(event)
            if len(messages) == _AT_ONCE:
                return chain(messages, self.walk(connection))
        return messages

    async def finish(self) -> Result[Event]:
        """End of the stream: right behind a close only, which ended this direction before."""
        connection = self._session.connection
        if connection is None or self._session.failure is not None:
            return self._shake_hands(self._session.handshake.receive_eof)
        return self._fail(connection, CloseReason.ABNORMAL_CLOSURE, "the peer ended the stream without a close frame")

    def walk(self, connection: Connection) -> _Results:
        """Take what wsproto makes of the bytes it has, event by event."""
        for event in connection.events():
            yield from self._take(connection, event)

    def _take(self, connection: Connection, event: Event) -> _Results:
        if isinstance(event, TextMessage | BytesMessage):
            whole = self._gather(event) if self._whole_messages else event
            if whole is not None:
                yield whole
        elif isinstance(event, Ping):
            if connection.state is _OPEN:
                yield Reply(connection.send(event.response()))
        elif not isinstance(event, CloseConnection):
            yield event
        elif connection.state in (_OPEN, ConnectionState.LOCAL_CLOSING):  # not of the peer's: an error
            yield from self._fail(connection, event.code, event.reason or "")
        else:
            if connection.state is ConnectionState.REMOTE_CLOSING:
                yield Reply(connection.send(event.response()))
            yield from (Reply(END), event, END)

    def _gather(self, event: TextMessage | BytesMessage) -> Event | None:
        """The whole message if the event ends it."""
        if self._gathered is None:
            if event.message_finished:
                return event
            self._gathered = io.StringIO() if isinstance(event, TextMessage) else io.BytesIO()
        gathered: Any = self._gathered
        gathered.write(event.data)
        if not event.message_finished:
            return None
        self._gathered = None
        return type(event)(data=gathered.getvalue())

    def _fail(self, connection: Connection, code: int, reason: str) -> _Results:
        """Tell the peer what is wrong, and raise it."""
        session, reason = self._session, self._session.frames.deflate.complaint or reason
        remedy = ". Raise max_bytes if it is a right one" if code == CloseReason.MESSAGE_TOO_BIG else ""
        said = CloseConnection(code=code, reason=reason)
        session.failure = RemoteProtocolError(f"WebSocket: {reason}{remedy}", event_hint=said)
        if connection.state is _OPEN and code != CloseReason.ABNORMAL_CLOSURE:
            yield Reply(connection.send(said))
        yield Reply(END)
        raise session.failure

    def _shake_hands(self, take: Callable[..., list[Event]], *args: bytes) -> _Results:
        session = self._session
        if session.failure is not None:
            raise session.failure.with_traceback(None)
        handshake = session.handshake
        try:
            events = take(*args)
        except RemoteProtocolError as error:
            session.failure = error
            refusal = handshake.refusal(error)
            yield from (*([Reply(refusal)] if refusal else []), Reply(END))
            raise
        session.connection = handshake.connection
        yield from events
        if handshake.is_over:
            yield from (Reply(END), END)
        elif handshake.connection is not None:
            yield from self.walk(handshake.connection)


class ClientMessagesIn(MessagesIn):
    """The inbound half of a client, which sends nothing before the server has answered."""

    @property
    def ready(self) -> bool:
        """Whether the server has accepted; where it never will, outbound ends."""
        return self._session.connection is not None


class MessagesOut(Outbound[Event, bytes]):
    """The outbound half: messages in, frames out."""

    holds = 0
    keeps_outbound_state = True
    end_waits = False

    def __init__(self, session: Session, name: str, inbound: MessagesIn) -> None:
        self.name = f"{name}.outbound"
        self._session, self._inbound = session, inbound
        self._is_inside = False  # a message that was begun

    def process_sync(self, event: Any, /) -> Result[bytes]:
        """Make a frame."""
        connection = self._session.connection
        if connection is None or type(event) not in _MESSAGES:
            return self._send_other(connection, event)
        if isinstance(event.data, str) is not (type(event) is TextMessage):  # wsproto goes by the data alone
            wanted = "text" if type(event) is TextMessage else "bytes"
            raise TypeError(
                f"WebSocket: {type(event).__name__}(data=...) must be {wanted}, not {type(event.data).__name__}: "
                f"TextMessage(data='...') or BytesMessage(data=b'...')"
            )
        data = connection.send(event)
        self._is_inside = not event.message_finished
        return [data]

    async def finish(self) -> Result[bytes]:
        """Close, unless that was done."""
        connection = self._session.connection
        if connection is None or connection.state is not _OPEN:
            return ()
        if self._is_inside:
            raise LocalProtocolError(
                "WebSocket: outbound ended inside a message; send the last piece of it with message_finished=True"
            )
        return [connection.send(CloseConnection(code=CloseReason.NORMAL_CLOSURE))]

    def _send_other(self, connection: Connection | None, event: Event) -> Result[bytes]:
        if not isinstance(event, Event):
            raise TypeError(
                f"WebSocket sends events of wsproto, not {type(event).__name__}: TextMessage(data='...'), "
                f"BytesMessage(data=b'...'), CloseConnection(code=1000)"
            )
        if isinstance(event, Ping) and (connection is None or connection.state is not _OPEN):
            return ()  # of a Heartbeat, which cannot know how the connection stands
        if isinstance(event, CloseConnection):
            _check_close(event)
        return self._answer(event) if connection is None else [connection.send(event)]

    def _answer(self, event: Event) -> Result[bytes]:
        """Go on with the handshake; what came before its end is shown now."""
        handshake = self._session.handshake
        data = handshake.send(event)
        self._session.connection = connection = handshake.connection
        if handshake.is_over:
            return [data, Reply(END), END]
        return [data] if connection is None else chain([data], self._turned(self._inbound.walk(connection)))

    def _turned(self, results: _Results) -> Iterator[Any]:
        """What the inbound half would have given, given by this one, whose own end is the last of it."""
        end = []
        with suppress(RemoteProtocolError):  # it is raised when something comes in, if only the end
            for out in results:
                if out == Reply(END):
                    end = [END]
                else:
                    yield out.item if isinstance(out, Reply) else Reply(out)
        yield from end


def _check_close(event: CloseConnection) -> None:
    """Refuse what wsproto cannot write, or would not take itself (RFC 6455, section 7.4)."""
    code: object = event.code
    if code is not None and (not isinstance(code, int) or not (code in _CODES or 3000 <= code <= 4999)):
        raise LocalProtocolError(
            f"WebSocket: CloseConnection(code={code!r}): must be one of wsproto's CloseReason, or from 3000 to 4999"
        )
    if not isinstance(event.reason, str | None):
        raise TypeError(f"WebSocket: CloseConnection(reason={event.reason!r}): must be text, or None")
