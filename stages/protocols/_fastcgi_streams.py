"""What `open_streams` is told of `FastCGI`: how requests begin and end, and what gives one up."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from pipeline import StreamRules

from ._fastcgi_items import Abandon, FastCGIEnd

RESPONDER: Final = 1
AUTHORIZER: Final = 2
FILTER: Final = 3


class Request:
    """One request, and how far it is."""

    __slots__ = ("answered", "flags", "input_ended", "params", "role", "stdin_ended")

    def __init__(self, role: int, flags: int) -> None:
        self.role, self.flags = role, flags
        self.params: bytearray | None = bytearray()  # None: they were shown
        self.stdin_ended = self.input_ended = self.answered = False


@cache
def request_over(library: Any) -> type[Exception]:
    """Return the error of whoever sends for a request that is over."""

    class RequestOverError(library.ProtocolError):  # type: ignore[misc]
        """A request is over: others go on."""

    return RequestOverError


def stream_rules(library: Any, requests: dict[int, Request]) -> StreamRules:
    """Return the rules of a connection.

    Args:
        library: fcgiproto.
        requests: those that are open; the stage keeps them.
    """

    def begins(event: Any) -> bool:
        return isinstance(event, library.RequestBeginEvent)

    def ends_body(event: Any) -> bool:
        if isinstance(event, library.RequestSecondaryDataEvent):
            return not event.data
        request = requests.get(event.request_id)
        more = request is not None and request.role == FILTER
        return isinstance(event, library.RequestDataEvent) and not event.data and not more

    def error(event: Any) -> Exception | None:
        if not isinstance(event, library.RequestAbortEvent):
            return None
        return ConnectionAbortedError(f"FastCGI: the web server has aborted request {event.request_id}")

    def reset(key: int, _reason: Any) -> Abandon | None:
        return Abandon(key, requests[key]) if key in requests else None

    return StreamRules(
        key=lambda event: event.request_id,
        opens=begins,
        ends=lambda event: ends_body(event) or (begins(event) and event.role == AUTHORIZER),
        error=error,
        hides=ends_body,
        size=_size,
        gone=lambda error: isinstance(error, request_over(library)),
        sends_end=lambda item: isinstance(item, FastCGIEnd),
        eof=FastCGIEnd,
        reset=reset,
    )


def _size(event: Any) -> int:
    params = getattr(event, "params", None)
    if params is not None:
        return sum(len(name) + len(value) for name, value in params.items())
    return len(getattr(event, "data", b""))
