"""`FastCGI`: the application's side of FastCGI (specification 1.0), with the events of fcgiproto.

What a request may go through is here; its records are in `_fastcgi_records.py`. Requests of one connection may come
mixed, so each is told by its number; the web server closes the connection, or we do after the response, as it asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from struct import Struct
from typing import TYPE_CHECKING, Any, Final

from pipeline import END, End

from .._arguments import check_size
from ._fastcgi_items import Abandon, FastCGIData, FastCGIEnd, FastCGIHeaders, FastCGIItem, FastCGILog, data_of, head_of
from ._fastcgi_records import (
    ABORT_REQUEST,
    BEGIN_REQUEST,
    DATA,
    END_REQUEST,
    GET_VALUES,
    PARAMS,
    STDERR,
    STDIN,
    STDOUT,
    UNKNOWN_TYPE,
    Records,
    decode_pairs,
    encode_pairs,
    pieces,
    record,
)
from ._fastcgi_streams import AUTHORIZER, FILTER, RESPONDER, Request, request_over, stream_rules
from .sansio import SansIO

if TYPE_CHECKING:
    import fcgiproto

__all__ = ["FastCGI"]

_BEGIN: Final = Struct(">HB5x")
_END: Final = Struct(">IB3x")
_COMPLETE, _OVERLOADED, _UNKNOWN_ROLE = 0, 2, 3
_KEEP_CONNECTION: Final = 1
_DEFAULT_BYTES: Final = 65536
_OF_REQUEST: Final = {PARAMS, STDIN, DATA}
"""Records of which an event is made that is outdated when the request is over."""
_MOST_AT_ONCE: Final = 64
"""So many events are made before the first of them is asked for."""
_RIGHT: Final = (
    "FastCGI sends FastCGIHeaders(request_id, headers, status=200), then FastCGIData(request_id, b'...'), then "
    "FastCGIEnd(request_id)"
)


class FastCGI(SansIO["fcgiproto.RequestEvent", FastCGIItem]):
    r"""FastCGI, the application's side: bytes in, fcgiproto's events out; to send, `FastCGIHeaders` and the like.

    in:  b"\1\1\0\1\0\x08\0\0..."     out:  fcgiproto.RequestBeginEvent(1, ...)  fcgiproto.RequestDataEvent(1, b"")

    A request is a `RequestBeginEvent` with the CGI parameters, then `RequestDataEvent`s with its body, the last of them
    with no data; or a `RequestAbortEvent` in the place of those that are missing: the web server has given it up, and
    it is over. A response is `FastCGIHeaders`, any number of `FastCGIData`, and `FastCGIEnd`; it may begin, and end,
    before the body is there. Requests of one connection may be mixed; `open_streams` sorts them.

    After a request that does not ask to keep the connection it ends both ways, behind the response.

    Needs the extra `penstock[fcgiproto]`.

    Args:
        roles: what requests may ask the application to be, of fcgiproto's FCGI_RESPONDER, FCGI_AUTHORIZER and
            FCGI_FILTER; others are refused, and not shown. Default: responder.
        max_requests: so many requests of a connection may be open at a time; more are refused as overload.
        max_params_bytes: the size of a request's parameters, names and values as they come.

    Raises:
        fcgiproto.ProtocolError: what the web server sent is no right FastCGI, or over a limit; the stage stays failed.
            When sending: the request is over, or its headers were sent; nothing was written, and others can be sent.
            It is raised, too, when the direction ends inside a response.
        TypeError, ValueError: what is sent is none of the items, or cannot be written; nothing was.
        ImportError: fcgiproto is not there.
    """

    def __init__(
        self, *, roles: Iterable[int] = (RESPONDER,), max_requests: int = 100, max_params_bytes: int = _DEFAULT_BYTES
    ) -> None:
        check_size("FastCGI", "max_requests", max_requests, default=100, unit="requests")
        check_size("FastCGI", "max_params_bytes", max_params_bytes, default=_DEFAULT_BYTES)
        self._roles = frozenset(roles)
        if not self._roles or not self._roles <= {RESPONDER, AUTHORIZER, FILTER}:
            raise ValueError(f"FastCGI(roles={set(self._roles)!r}): must be some of fcgiproto.FCGI_RESPONDER (1), ...")
        self._library = library = _fcgiproto()
        self._error: type[Exception] = library.ProtocolError
        self.peer_errors = (self._error,)
        self._over = request_over(library)
        self._max_requests, self._max_params_bytes = max_requests, max_params_bytes
        self._records = Records(self._error, self._check_params)
        self._requests: dict[int, Request] = {}
        self._readers: dict[int, Callable[[int, bytes], Any]] = {
            BEGIN_REQUEST: self._begin,
            PARAMS: self._params,
            STDIN: self._stdin,
            DATA: self._data,
            ABORT_REQUEST: self._abort,
            GET_VALUES: self._get_values,
        }
        self._senders: dict[type, Callable[..., bytes]] = {
            FastCGIHeaders: self._send_headers,
            FastCGIData: self._send_data,
            FastCGILog: self._send_log,
            FastCGIEnd: self._send_end,
            Abandon: self._abandon,
        }
        self._last = False  # no more requests on this connection
        self.sending_ended = self.has_more = False  # the connection is over, as the web server did not ask to keep it
        self._to_write = b""
        self.stream_rules = stream_rules(library, self._requests)
        super().__init__()

    @property
    def holds(self) -> int:
        """Bytes of an unfinished record."""
        return self._records.held

    # ---- in

    def receive_data(self, data: bytes, /) -> Iterable[fcgiproto.RequestEvent | End]:
        """Parse, record by record: at once, but from where it matters what is done in between as they are asked for."""
        self._records.feed(data)
        events: list[Any] = []
        try:
            for kind, request_id, content in self._records.cut():
                if events and self._depends(kind, len(events)):
                    break
                event = self._read(kind, request_id, content)
                if event is not None:
                    events.append(event)
            else:
                return events
        except self._error:
            if not events:
                raise
        self._records.put_back()
        return self._behind(events)

    def receive_eof(self) -> Iterable[fcgiproto.RequestEvent | End]:
        """Take the end of the stream: whatever has not come of requests will not."""
        rest = self._records.held
        for request_id, request in list(self._requests.items()):
            if not request.input_ended:
                del self._requests[request_id]
                self._look()
                if request.params is None:
                    yield self._library.RequestAbortEvent(request_id)
        if rest:
            raise self._error(f"the stream ended inside a record, of which {rest} bytes are there")

    def poll(self) -> Iterable[fcgiproto.RequestEvent | End]:
        """End inbound behind the last response."""
        return (END,) if self.sending_ended else ()

    def outdated(self, event: fcgiproto.RequestEvent, /) -> bool:
        """Whether the client has ended the request meanwhile."""
        return event.request_id not in self._requests and type(event) is not self._library.RequestAbortEvent

    def _depends(self, kind: int, events: int) -> bool:
        """Whether what a record means depends on what the client does with the events before it; or they are many."""
        if kind == BEGIN_REQUEST:
            return len(self._requests) >= self._max_requests
        return kind not in _OF_REQUEST or events >= _MOST_AT_ONCE

    def _behind(self, events: list[fcgiproto.RequestEvent]) -> Iterator[fcgiproto.RequestEvent]:
        """The events of a list, then those of the rest of the records, made as they are asked for."""
        for event in events:
            if not self.outdated(event):
                yield event
        for kind, request_id, content in self._records.cut():
            event = self._read(kind, request_id, content)
            if event is not None:
                yield event

    def _read(self, kind: int, request_id: int, content: bytes) -> Any:
        """What a record becomes: an event, or None."""
        read = self._readers.get(kind)
        if read is not None:
            return read(request_id, content)
        self._to_write += record(UNKNOWN_TYPE, 0, bytes((kind, 0, 0, 0, 0, 0, 0, 0)))
        return None

    def _begin(self, request_id: int, content: bytes) -> None:
        if len(content) != _BEGIN.size:
            raise self._error(f"BEGIN_REQUEST has {len(content)} bytes, not {_BEGIN.size}")
        if request_id in self._requests:
            raise self._error(f"request {request_id} begins, but is open already")
        role, flags = _BEGIN.unpack(content)
        self._last = self._last or not flags & _KEEP_CONNECTION
        if role not in self._roles:
            self._to_write += _end(request_id, 0, _UNKNOWN_ROLE)
        elif len(self._requests) >= self._max_requests:
            self._to_write += _end(request_id, 0, _OVERLOADED)
        else:
            self._requests[request_id] = Request(role, flags)
        self._look()

    def _params(self, request_id: int, content: bytes) -> Any:
        request = self._requests.get(request_id)
        if request is None:
            return None  # what comes of a request that is over is not looked at, says the specification
        if request.params is None:
            raise self._error(f"more parameters of request {request_id} behind their end")
        if content:
            request.params += content
            return None
        pairs, request.params = decode_pairs(bytes(request.params), self._error), None
        request.input_ended = request.role == AUTHORIZER
        return self._library.RequestBeginEvent(request_id, request.role, request.flags, pairs)

    def _check_params(self, request_id: int, size: int) -> None:
        request = self._requests.get(request_id)
        size += len(request.params or b"") if request is not None else 0
        if request is not None and size > self._max_params_bytes:
            raise self._error(
                f"the parameters of request {request_id} have {size} bytes or more, over the limit, "
                f"max_params_bytes={self._max_params_bytes}. Raise max_params_bytes if they are right"
            )

    def _stdin(self, request_id: int, content: bytes) -> Any:
        request = self._requests.get(request_id)
        if request is None or request.role == AUTHORIZER:
            return None
        if request.params is not None or request.stdin_ended:
            raise self._error(f"data of request {request_id} before its parameters, or behind the end of its data")
        if not content:
            request.stdin_ended = True
            request.input_ended = request.role == RESPONDER
        return self._library.RequestDataEvent(request_id, content)

    def _data(self, request_id: int, content: bytes) -> Any:
        request = self._requests.get(request_id)
        if request is None:
            return None
        if request.role != FILTER or not request.stdin_ended or request.input_ended:
            raise self._error(f"secondary data of request {request_id}, which has none now")
        request.input_ended = not content
        return self._library.RequestSecondaryDataEvent(request_id, content)

    def _abort(self, request_id: int, _content: bytes) -> Any:
        request = self._requests.get(request_id)
        if request is None:
            return None
        self._to_write += self._finish(request_id, 0)
        return self._library.RequestAbortEvent(request_id) if request.params is None else None

    def _get_values(self, _request_id: int, content: bytes) -> None:
        known = {"FCGI_MAX_REQS": self._max_requests, "FCGI_MPXS_CONNS": 1}
        asked = {name for name, _ in decode_pairs(content, self._error)}
        values = {name: value for name, value in known.items() if name in asked}
        self._to_write += record(GET_VALUES + 1, 0, encode_pairs(values))

    # ---- out

    def send_event(self, event: FastCGIItem, /) -> bytes:
        """Write an item."""
        kind = type(event)
        send = self._senders.get(kind)
        if send is None:
            raise TypeError(f"{_RIGHT}; not {kind.__name__}")
        request = self._requests.get(event.request_id)
        if (request is None or request.params is not None) and kind is not Abandon:
            raise self._over(f"request {event.request_id} is over, or was never there; nothing can be sent for it")
        return send(event, request)

    def _send_headers(self, item: FastCGIHeaders, request: Request) -> bytes:
        if request.answered:
            raise self._error(f"headers of request {item.request_id} behind its headers or its data")
        head = pieces(STDOUT, item.request_id, head_of(item))
        request.answered = True
        return head

    def _send_data(self, item: FastCGIData, request: Request) -> bytes:
        data = pieces(STDOUT, item.request_id, data_of(item))
        request.answered = True
        return data

    def _send_log(self, item: FastCGILog, _request: Request) -> bytes:
        return pieces(STDERR, item.request_id, data_of(item))

    def _send_end(self, item: FastCGIEnd, _request: Request) -> bytes:
        status: object = item.app_status
        if not isinstance(status, int) or not 0 <= status < 1 << 32:
            raise ValueError(f"FastCGIEnd(app_status={status!r}): must be a whole number, 0 to 4294967295")
        return self._finish(item.request_id, item.app_status)

    def data_to_send(self) -> bytes:
        """Take what is to be written."""
        data, self._to_write = self._to_write, b""
        return data

    def send_eof(self) -> None:
        """End in good order: not inside a response."""
        for request_id, request in self._requests.items():
            if request.answered:
                raise self._error(f"the direction ended inside the response to request {request_id}: send FastCGIEnd")

    def _finish(self, request_id: int, app_status: int) -> bytes:
        del self._requests[request_id]
        self._look()
        return record(STDOUT, request_id, b"") + _end(request_id, app_status, _COMPLETE)

    def _abandon(self, item: Abandon, request: Request | None) -> bytes:
        """What has begun of a response must not look whole: the connection ends without its end."""
        if request is None or request is not item.request:
            return b""
        if not request.answered:
            return self._finish(item.request_id, 1)
        del self._requests[item.request_id]
        self._last = True
        self._look()
        return b""

    def _look(self) -> None:
        """Requests have begun or ended."""
        self.sending_ended = self.has_more = self._last and not self._requests


def _fcgiproto() -> Any:
    try:
        import fcgiproto  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ImportError("FastCGI needs fcgiproto: pip install 'penstock[fcgiproto]'") from error
    return fcgiproto


def _end(request_id: int, app_status: int, protocol_status: int) -> bytes:
    return record(END_REQUEST, request_id, _END.pack(app_status, protocol_status))
