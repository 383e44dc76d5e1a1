"""What a client of `HTTP2` sends. h2 has events for what is received only; to send, it has methods."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from .._bytes import BytesLike

CANCEL: Final = 8


class HTTP2Item:
    """What can be sent with `HTTP2`: `SendHeaders`, `SendData`, `SendReset`, `SendPing`, `SendGoAway`, `SendCredit`."""

    __slots__ = ()


@dataclass(slots=True)
class SendHeaders(HTTP2Item):
    """The head of a request or a response, or trailers, to be sent by `HTTP2`.

    Attributes:
        stream_id: the stream; a client's first item with a new one opens it.
        headers: pairs of name and value, names in lower case, those with a colon first: `(":status", "200")`.
        end_stream: whether nothing follows on this stream.
    """

    stream_id: int
    headers: Iterable[tuple[str | bytes, str | bytes]]
    end_stream: bool = False


@dataclass(slots=True)
class SendData(HTTP2Item):
    """A piece of a body, of any size, to be sent by `HTTP2` as the windows let it.

    Attributes:
        stream_id: the stream.
        data: the piece; it must not be changed until it is sent.
        end_stream: whether nothing follows on this stream.
    """

    stream_id: int
    data: BytesLike
    end_stream: bool = False


@dataclass(slots=True)
class SendReset(HTTP2Item):
    """Give a stream up, both ways: what of it waits to be sent is dropped. For one that is over it has no effect.

    Attributes:
        stream_id: the stream.
        error_code: why, of `h2.errors.ErrorCodes`; CANCEL unless given.
    """

    stream_id: int
    error_code: int = CANCEL


@dataclass(slots=True)
class SendPing(HTTP2Item):
    """Ask the peer for a sign of life, which comes as `h2.events.PingAckReceived`.

    Attributes:
        data: eight bytes, which come back.
    """

    data: bytes = bytes(8)


@dataclass(slots=True)
class SendGoAway(HTTP2Item):
    """Tell the peer to open no more streams; those that are open go on.

    Attributes:
        error_code: why, of `h2.errors.ErrorCodes`; NO_ERROR unless given.
    """

    error_code: int = 0


@dataclass(slots=True)
class SendCredit(HTTP2Item):
    """Let the peer send so many more bytes on a stream; only `open_streams` has to.

    Attributes:
        stream_id: the stream; for one that is over it has no effect.
        size: how many bytes were taken, padding included (`DataReceived.flow_controlled_length`).
    """

    stream_id: int
    size: int


def error_code(item: SendReset | SendGoAway) -> int:
    """Return why, before h2 has changed anything for it.

    Raises:
        ValueError: it is no number that can be written.
    """
    code: object = item.error_code
    if not isinstance(code, int) or not 0 <= code < 1 << 32:
        raise ValueError(
            f"{type(item).__name__}(error_code={code!r}): must be one of h2.errors.ErrorCodes, or another whole number "
            f"from 0 to 4294967295"
        )
    return code
