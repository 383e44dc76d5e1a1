"""`HTTP1`: HTTP/1.1 and 1.0 by h11, as client or server.

h11 parses, writes, and watches that both sides keep to the protocol (RFC 9110, RFC 9112). What is added here is
what each of its users has to add: to give it nothing while it pauses, to begin the next request on the same
connection, to say `100 Continue`, to answer what is wrong, to end what will not go on, and to give back what
follows an upgrade.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, Literal

from pipeline import END, End

from .._arguments import check_choice, check_size
from .._extras import Extra
from .sansio import SansIO

if TYPE_CHECKING:
    import h11

    from ._http1_halves import EventsIn, EventsOut

__all__ = ["HTTP1", "MOST_AT_ONCE", "REASONS"]

_DEFAULT_BYTES: Final = 16384
_TOO_LONG: Final = 431
_NO_REASON: Final = re.compile(rb"[^\t\x20-\x7e\x80-\xff]").search
_KNOWN: Final = {status.value: b" %b\r\n" % status.phrase.encode() for status in HTTPStatus}
REASONS: Final = [_KNOWN.get(status, b" Unknown\r\n") for status in range(1000)]
"""How the first line of a response ends, by its status: there are clients that take no reason for a failure."""
MOST_AT_ONCE: Final = 64
"""So many events are made before the first of them is asked for."""


class HTTP1(SansIO["h11.Event", "h11.Event"]):
    r"""HTTP/1.1 with h11: bytes in, h11's events out, and the reverse; as client or server.

    in:  b"GET / HTTP/1.1\r\nHo"  b"st: a\r\n\r\n"        out:  h11.Request(...)  h11.EndOfMessage()

    A message is a `Request` or `Response`, any number of `Data`, and an `EndOfMessage`; `InformationalResponse`s may
    be before a `Response`. When both messages are over the next request may follow, without anybody's doing. A client's
    `send()` of the next request waits for that; the next request to a server comes out after it, however early it was
    sent. A connection that will not be used again ends both ways: behind the last response inbound, too.

    A server says `100 Continue` when the body of a request that waits for it is asked for and nothing was answered.
    After an upgrade or CONNECT nothing more is read; `await pipeline.replace(HTTP1, ...)` gives the next stage
    exactly what follows.

    Needs the extra `penstock[h11]`.

    Args:
        role: "client" or "server".
        max_header_bytes: the longest head of a message accepted: its first line and its headers.

    Raises:
        h11.RemoteProtocolError: what the peer sent is no right HTTP, the head is too long, a server sent more than was
            asked for, or the stream ended inside a message. A server that has not begun to answer has sent the response
            that says so: 400, 431 or 501. The stage stays failed.
        h11.LocalProtocolError: the event cannot be sent now; nothing was written, and nothing can be sent any more. It
            is raised, too, when a server ends its direction inside a response.
        TypeError: what is sent is no event of h11; nothing was written, and others can be sent.
        ValueError: a response's reason phrase has a line break in it; likewise.
        ImportError: h11 is not there.

    Attributes:
        connection: the `h11.Connection`, to ask: `their_http_version`, `our_state`, `trailing_data`.
    """

    connection: h11.Connection
    end_waits = False

    def __init__(self, role: Literal["client", "server"], *, max_header_bytes: int = _DEFAULT_BYTES) -> None:
        check_choice("HTTP1", "role", role, ("client", "server"))
        check_size("HTTP1", "max_header_bytes", max_header_bytes, default=_DEFAULT_BYTES)
        self._h11 = h11 = _h11()
        self.peer_errors = (h11.RemoteProtocolError,)
        self._is_client, self._max_header_bytes = role == "client", max_header_bytes
        # So many bytes without an end of the head are one too many already: the end has some, too.
        limit = max_header_bytes - 1
        self.connection = h11.Connection(h11.CLIENT if role == "client" else h11.SERVER, limit)
        self._to_write = b""
        self._input_ended = False
        super().__init__()

    def _halves(self) -> tuple[EventsIn, EventsOut]:
        from . import _http1_halves as halves  # noqa: PLC0415 - they need h11

        kind = halves.ClientEventsIn if self._is_client else halves.EventsIn
        self._in = kind(self, self._max_header_bytes)
        return self._in, halves.EventsOut(self, self._in)

    @property
    def holds(self) -> int:
        """Bytes of an unfinished head, or of the next request."""
        return len(self.connection._receive_buffer)

    # ---- in

    def receive_data(self, data: bytes, /) -> Iterable[h11.Event | End]:
        """Parse, event by event."""
        self.connection.receive_data(data)
        return self.parse()

    def receive_eof(self) -> Iterable[h11.Event | End]:
        """Take the end of the stream: right between messages, and behind a response that nothing else ends."""
        if self.connection.their_state is self._h11.SEND_RESPONSE and not self.holds:
            raise self._h11.RemoteProtocolError(
                "HTTP1: the server ended the connection without a response. If it had been open for a while, "
                "perhaps before the request came: ask again on a new one, where asking twice does no harm"
            )
        self._input_ended = True
        self.connection.receive_data(b"")
        return self.parse()

    def poll(self) -> Iterable[h11.Event | End]:
        """Give the next request once the one before is answered, or the end."""
        if self.connection.their_state is self._h11.MUST_CLOSE:
            return (END,)
        if self._in.is_excess:
            raise self._h11.RemoteProtocolError(
                f"HTTP1: {len(self.connection._receive_buffer)} bytes came behind the response, which nobody has asked "
                f"for: they would be taken for the next one"
            )
        return self.parse() if self._in.has_more else ()

    def leftover(self) -> bytes:
        """Take out what h11 has not parsed: what follows an upgrade, or the next request."""
        connection = self.connection
        rest: bytes = connection.trailing_data[0]
        # h11 has no way to take it out, and it must not come twice.
        connection._receive_buffer = type(connection._receive_buffer)()
        self._in.wants_input = self._in.wants_input or connection.their_state is self._h11.DONE
        self._in.begin_next()
        self._in.look()
        return rest

    def parse(self) -> Iterable[h11.Event | End]:
        """The events that are there: a list, or made one by one from where it matters what is done in between."""
        connection, h11 = self.connection, self._h11
        events: list[Any] = []
        try:
            while len(events) < MOST_AT_ONCE:
                event = self._next_event()
                if event is None:
                    return events
                events.append(event)
                kind = type(event)
                if kind is h11.EndOfMessage:
                    theirs = connection.their_state
                    if theirs is h11.MUST_CLOSE:
                        return [*events, END]
                    if theirs is h11.DONE and not self._in.begin_next() and not self._input_ended:
                        self._in.wants_input = not self.holds  # as h11 would say
                        return events
                elif kind is h11.Request and (
                    connection.client_is_waiting_for_100_continue or connection._cstate.pending_switch_proposals
                ):
                    break
        except h11.RemoteProtocolError as error:
            return chain(events, self.failing(error))
        finally:
            self._in.look()
        return chain(events, self.events())

    def events(self) -> Iterator[h11.Event | End]:
        """The events that are there, one by one."""
        connection, h11 = self.connection, self._h11
        try:
            while (event := self._next_event()) is not None:
                if type(event) is h11.EndOfMessage:
                    self._in.begin_next()
                self._in.look()
                yield event
                if type(event) is h11.EndOfMessage and connection.their_state is h11.MUST_CLOSE:
                    yield END  # what else the peer sends is no part of any message
                    return
            self._in.look()
        except h11.RemoteProtocolError as error:
            self._in.look()
            yield from self.failing(error)
        if connection.they_are_waiting_for_100_continue and connection.our_state is h11.SEND_RESPONSE:
            self._to_write = self.send_event(h11.InformationalResponse(status_code=100, headers=[]))

    def _next_event(self) -> Any:
        """The next one, or None."""
        connection, h11 = self.connection, self._h11
        size = len(connection._receive_buffer)
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError as error:
            named = self.explained(error)
            raise named from named.__cause__
        self._in.wants_input = event is not h11.PAUSED
        if event is h11.NEED_DATA or event is h11.PAUSED or type(event) is h11.ConnectionClosed:
            return None
        if type(event) not in (h11.Data, h11.EndOfMessage) and size > self._max_header_bytes:
            self._check_head(size - len(connection._receive_buffer))
        if type(event) is h11.Request:
            self.check_end(event)
        return event

    def explained(self, error: h11.RemoteProtocolError) -> h11.RemoteProtocolError:
        """The error, or one that names the limit."""
        if error.error_status_hint != _TOO_LONG:
            return error
        named = self._too_long(f"at least {self.holds + 1}")  # what is missing is a byte more, at least
        named.__cause__ = error
        return named

    def failing(self, error: h11.RemoteProtocolError) -> Iterator[h11.Event]:
        """When what came before was taken, tell the peer, and fail."""
        yield from ()
        self._refuse(error.error_status_hint)
        raise error

    def check_end(self, request: Any) -> None:
        """h11 goes by the chunks where there is a length, too (RFC 9112, section 6.1)."""
        chunked = type(self.connection._reader) is self._h11._readers.ChunkedReader
        if chunked and any(name == b"content-length" for name, _ in request.headers):
            raise self._h11.RemoteProtocolError(
                "HTTP1: a request with Content-Length and Transfer-Encoding: a proxy in front may have seen its end "
                "elsewhere",
                error_status_hint=400,
            )

    def _check_head(self, size: int) -> None:
        """h11 looks at the length of heads that are not whole yet; the limit is not to depend on how it was cut."""
        if size > self._max_header_bytes:
            raise self._too_long(str(size))

    def _too_long(self, size: str) -> h11.RemoteProtocolError:
        error: h11.RemoteProtocolError = self._h11.RemoteProtocolError(
            f"HTTP1: a head of {size} bytes is over the limit, max_header_bytes={self._max_header_bytes}. Raise "
            f"max_header_bytes if it is a right one",
            error_status_hint=_TOO_LONG,
        )
        return error

    def _refuse(self, status: int) -> None:
        """Tell the client what is wrong, where it is not told something else already."""
        h11, connection = self._h11, self.connection
        if not self._is_client and connection.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            headers = [("Connection", "close"), ("Content-Length", "0")]
            self._to_write = self.send_event(h11.Response(status_code=status, headers=headers))
            self._to_write = self.send_event(h11.EndOfMessage())

    # ---- out

    def send_event(self, event: Any, /) -> bytes:
        """Write an event."""
        kind, h11 = type(event), self._h11
        if kind is h11.Response or kind is h11.InformationalResponse:
            _check_reason(event)
        elif kind not in (h11.Request, h11.Data, h11.EndOfMessage, h11.ConnectionClosed):
            raise TypeError(
                f"HTTP1 sends events of h11, not {kind.__name__}: h11.Request(...) or h11.Response(...), then "
                f"h11.Data(data=b'...'), then h11.EndOfMessage()"
            )
        try:
            data: bytes = self.connection.send(event) or b""
        except Exception as error:
            named = self.not_sent(error)
            raise named from named.__cause__
        if kind is h11.EndOfMessage or kind is h11.ConnectionClosed:
            self._in.begin_next()
            self._in.look()
        elif (kind is h11.Response or kind is h11.InformationalResponse) and not event.reason:
            data = data.replace(b" \r\n", REASONS[event.status_code], 1)
        return self.data_to_send() + data if self._to_write else data

    def not_sent(self, error: Exception) -> Exception:
        """The error of an event that h11 does not take."""
        self._in.look()
        if not isinstance(error, AttributeError):
            return error
        # h11's own, where a request cannot be next for the server's part.
        named: Exception = self._h11.LocalProtocolError(
            "HTTP1: the server has answered without being asked, or wrongly; ask on another connection"
        )
        named.__cause__ = error
        return named

    def data_to_send(self) -> bytes:
        """Take what is to be written."""
        data, self._to_write = self._to_write, b""
        return data

    def send_eof(self) -> None:
        """End in good order: not inside a response."""
        if not self._is_client and self.connection.our_state is self._h11.SEND_BODY:
            raise self._h11.LocalProtocolError(
                "HTTP1: the server's direction ended inside a response; send h11.EndOfMessage() behind the last Data"
            )


def _h11() -> Any:
    with Extra("HTTP1", "h11"):
        import h11  # noqa: PLC0415 - an extra
    return h11


def _check_reason(response: Any) -> None:
    """h11 looks at headers only."""
    if _NO_REASON(response.reason):
        raise ValueError(
            f"HTTP1: the reason {response.reason[:100]!r} has a line break or another control character in it, which "
            f"could begin a header, or a second response"
        )
