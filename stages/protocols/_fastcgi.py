"""`FastCGI`: the application's side of FastCGI (specification 1.0), with the events of fcgiproto.

What a request may go through is here; its records are in `_fastcgi_records.py`. Requests of one connection may come
mixed, so each is told by its number; the web server closes the connection, or we do after the response, as it asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from struct import Struct
from typing import TYPE_CHECKING, Any, Final

from pipeline import END, End

from .._arguments import check_size
from .._bytes import as_bytes
from ._fastcgi_items import Abandon, FastCGIData, FastCGIEnd, FastCGIHeaders, FastCGIItem, FastCGILog
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
        self._readers: dict[int, Callable[[int, bytes], Iterable[Any]]] = {
            BEGIN_REQUEST: self._begin,
            PARAMS: self._params,
            STDIN: self._stdin,
            DATA: self._data,
            ABORT_REQUEST: self._abort,
            GET_VALUES: self._get_values,
        }
        self._senders: dict[type, Callable[..., None]] = {
            FastCGIHeaders: self._send_headers,
            FastCGIData: self._send_data,
            FastCGILog: self._send_log,
            FastCGIEnd: self._send_end,
            Abandon: self._abandon,
        }
        self._last = False  # no more requests on this connection
        self._to_write = b""
        self.stream_rules = stream_rules(library, self._requests)
        super().__init__()

    @property
    def sending_ended(self) -> bool:
        """Whether the connection is over, as the web server did not ask to keep it."""
        return self._last and not self._requests

    @property
    def holds(self) -> int:
        """Bytes of an unfinished record."""
        return self._records.held

    # ---- in

    def receive_data(self, data: bytes, /) -> Iterable[fcgiproto.RequestEvent | End]:
        """Parse, record by record."""
        self._records.feed(data)
        return self._events()

    def receive_eof(self) -> Iterable[fcgiproto.RequestEvent | End]:
        """Take the end of the stream: whatever has not come of requests will not."""
        rest = self._records.held
        for request_id, request in list(self._requests.items()):
            if not request.input_ended:
                del self._requests[request_id]
                if request.params is None:
                    yield self._library.RequestAbortEvent(request_id)
        if rest:
            raise self._error(f"the stream ended inside a record, of which {rest} bytes are there")

    def poll(self) -> Iterable[fcgiproto.RequestEvent | End]:
        """End inbound behind the last response."""
        return (END,) if self.sending_ended else ()

    def _events(self) -> Iterator[fcgiproto.RequestEvent | End]:
        for kind, request_id, content in self._records.cut():
            read = self._readers.get(kind)
            if read is None:
                self._to_write += record(UNKNOWN_TYPE, 0, bytes((kind, 0, 0, 0, 0, 0, 0, 0)))
            else:
                yield from read(request_id, content)

    def _begin(self, request_id: int, content: bytes) -> Iterable[Any]:
        if len(content) != _BEGIN.size:
            raise self._error(f"BEGIN_REQUEST has {len(content)} bytes, not {_BEGIN.size}")
        if request_id in self._requests:
            raise self._error(f"request {request_id} begins, but is open already")
        role, flags = _BEGIN.unpack(content)
        self._last = self._last or not flags & _KEEP_CONNECTION
        if role not in self._roles:
            self._end(request_id, 0, _UNKNOWN_ROLE)
        elif len(self._requests) >= self._max_requests:
            self._end(request_id, 0, _OVERLOADED)
        else:
            self._requests[request_id] = Request(role, flags)
        return ()

    def _params(self, request_id: int, content: bytes) -> Iterator[Any]:
        request = self._requests.get(request_id)
        if request is None:
            return  # what comes of a request that is over is not looked at, says the specification
        if request.params is None:
            raise self._error(f"more parameters of request {request_id} behind their end")
        request.params += content
        if not content:
            pairs, request.params = decode_pairs(bytes(request.params), self._error), None
            request.input_ended = request.role == AUTHORIZER
            yield self._library.RequestBeginEvent(request_id, request.role, request.flags, pairs)

    def _check_params(self, request_id: int, size: int) -> None:
        request = self._requests.get(request_id)
        size += len(request.params or b"") if request is not None else 0
        if request is not None and size > self._max_params_bytes:
            raise self._error(
                f"the parameters of request {request_id} have {size} bytes or more, over the limit, "
                f"max_params_bytes={self._max_params_bytes}. Raise max_params_bytes if they are right"
            )

    def _stdin(self, request_id: int, content: bytes) -> Iterator[Any]:
        request = self._requests.get(request_id)
        if request is None or request.role == AUTHORIZER:
            return
        if request.params is not None or request.stdin_ended:
            raise self._error(f"data of request {request_id} before its parameters, or behind the end of its data")
        request.stdin_ended = not content
        request.input_ended = request.stdin_ended and request.role == RESPONDER
        yield self._library.RequestDataEvent(request_id, content)

    def _data(self, request_id: int, content: bytes) -> Iterator[Any]:
        request = self._requests.get(request_id)
        if request is None:
            return
        if request.role != FILTER or not request.stdin_ended or request.input_ended:
            raise self._error(f"secondary data of request {request_id}, which has none now")
        request.input_ended = not content
        yield self._library.RequestSecondaryDataEvent(request_id, content)

    def _abort(self, request_id: int, _content: bytes) -> Iterator[Any]:
        request = self._requests.get(request_id)
        if request is not None:
            self._finish(request_id, 0)
            if request.params is None:
                yield self._library.RequestAbortEvent(request_id)

    def _get_values(self, _request_id: int, content: bytes) -> Iterable[Any]:
        known = {"FCGI_MAX_REQS": self._max_requests, "FCGI_MPXS_CONNS": 1}
        asked = {name for name, _ in decode_pairs(content, self._error)}
        values = {name: value for name, value in known.items() if name in asked}
        self._to_write += record(GET_VALUES + 1, 0, encode_pairs(values))
        return ()

    # ---- out

    def send_event(self, event: FastCGIItem, /) -> None:
        """Write an item."""
        send = self._senders.get(type(event))
        if send is None:
            raise TypeError(f"{_RIGHT}; not {type(event).__name__}")
        request = self._requests.get(event.request_id)
        if type(event) is not Abandon and (request is None or request.params is not None):
            raise self._over(f"request {event.request_id} is over, or was never there; nothing can be sent for it")
        send(event, request)

    def _send_headers(self, item: FastCGIHeaders, request: Request) -> None:
        if request.answered:
            raise self._error(f"headers of request {item.request_id} behind its headers or its data")
        self._to_write += pieces(STDOUT, item.request_id, _head(item))
        request.answered = True

    def _send_data(self, item: FastCGIData, request: Request) -> None:
        self._to_write += pieces(STDOUT, item.request_id, _data_of(item))
        request.answered = True

    def _send_log(self, item: FastCGILog, _request: Request) -> None:
        self._to_write += pieces(STDERR, item.request_id, _data_of(item))

    def _send_end(self, item: FastCGIEnd, _request: Request) -> None:
        status: object = item.app_status
        if not isinstance(status, int) or not 0 <= status < 1 << 32:
            raise ValueError(f"FastCGIEnd(app_status={status!r}): must be a whole number, 0 to 4294967295")
        self._finish(item.request_id, item.app_status)

    def data_to_send(self) -> bytes:
        """Take what is to be written."""
        data, self._to_write = self._to_write, b""
        return data

    def send_eof(self) -> None:
        """End in good order: not inside a response."""
        for request_id, request in self._requests.items():
            if request.answered:
                raise self._error(f"the direction ended inside the response to request {request_id}: send FastCGIEnd")

    def _finish(self, request_id: int, app_status: int) -> None:
        del self._requests[request_id]
        self._to_write += record(STDOUT, request_id, b"")
        self._end(request_id, app_status, _COMPLETE)

    def _end(self, request_id: int, app_status: int, protocol_status: int) -> None:
        self._to_write += record(END_REQUEST, request_id, _END.pack(app_status, protocol_status))

    def _abandon(self, item: Abandon, request: Request | None) -> None:
        """What has begun of a response must not look whole: the connection ends without its end."""
        if request is None or request is not item.request:
            return
        if request.answered:
            del self._requests[item.request_id]
            self._last = True
        else:
            self._finish(item.request_id, 1)


def _fcgiproto() -> Any:
    try:
        import fcgiproto  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ImportError("FastCGI needs fcgiproto: pip install 'penstock[fcgiproto]'") from error
    return fcgiproto


def _head(item: FastCGIHeaders) -> bytes:
    """The head of a CGI response (RFC 3875, section 6)."""
    try:
        reason = f" {HTTPStatus(item.status).phrase}"
    except ValueError:
        reason = ""
    lines = [f"Status: {item.status:d}{reason}".encode()]
    for line in _lines(item.headers):
        if b"\n" in line or b"\r" in line or b"\0" in line:
            raise ValueError(f"FastCGIHeaders: a header with a line break or a zero byte: {line[:200]!r}")
        lines.append(line)
    return b"\r\n".join([*lines, b"", b""])


def _lines(headers: Iterable[tuple[str | bytes, str | bytes]]) -> Iterator[bytes]:
    try:
        if isinstance(headers, Mapping):
            raise TypeError("a mapping")
        for name, value in headers:
            yield _encoded(name) + b": " + _encoded(value)
    except (TypeError, AttributeError) as error:
        raise TypeError(
            "FastCGIHeaders(headers=...): must be pairs of text or bytes, [('Content-Type', 'text/plain')]; of a dict, "
            "list(headers.items()); of a number, str(number)"
        ) from error


def _data_of(item: FastCGIData | FastCGILog) -> bytes:
    data: object = item.data
    if isinstance(data, str):
        raise TypeError(f"{type(item).__name__}(data=...): must be bytes, not str: text.encode()")
    return as_bytes(type(item).__name__, data)


def _encoded(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1")
