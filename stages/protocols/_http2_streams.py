"""What `open_streams` is told of `HTTP2`: which event belongs to which stream, how streams begin, end, and may send.

With it each stream has a consumer of its own. Credit is given as that one takes what came, and an item is sent when
nothing of its stream waits for a window any more: so the stage keeps one item of a stream at most, and no stream
holds up another.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from pipeline import StreamRules

from ._http2_items import CANCEL, SendCredit, SendData, SendReset

if TYPE_CHECKING:
    from ._http2 import HTTP2


def stream_rules(stage: HTTP2) -> StreamRules:
    """Return the rules of a connection."""
    events = stage._h2.events
    hidden = {events.StreamEnded, events.StreamReset, events.WindowUpdated, events.RemoteSettingsChanged}

    def taken(event: Any) -> SendCredit | None:
        if type(event) is not events.DataReceived:
            return None
        size = stage._credit.due(event.stream_id, event.flow_controlled_length)
        return SendCredit(event.stream_id, size) if size else None

    def error(event: Any) -> Exception | None:
        return _error(stage, event) if type(event) is events.StreamReset else None

    def eof(key: int) -> SendData | SendReset:
        stream = stage.connection.streams.get(key)
        if stream is None or stream.state_machine.headers_sent:
            return SendData(key, b"", end_stream=True)
        # A response without a head would be a connection error to the peer.
        return SendReset(key, stage._h2.errors.ErrorCodes.INTERNAL_ERROR)

    def reset(key: Hashable, reason: Any) -> SendReset | None:
        # The answer is complete, though it waits for a window: the peer gets it all, and is told that no more is read.
        if reason is None and stage._sending.reset_behind_end(key):
            return None
        return SendReset(key, CANCEL if reason is None else reason)  # type: ignore[arg-type]

    return StreamRules(
        key=lambda event: getattr(event, "stream_id", 0) or None,
        opens=lambda event: type(event) is events.RequestReceived,
        ends=lambda event: type(event) is events.StreamEnded,
        error=error,
        hides=lambda event: type(event) in hidden,
        size=lambda event: _size(event, events),
        taken=taken,
        may_send=stage._may_send,
        gone=lambda error: isinstance(error, stage._h2.exceptions.StreamClosedError),
        sends_end=lambda item: item.end_stream,
        eof=eof,
        reset=reset,
        new_key=stage.new_stream_id if stage._client else None,
        attach=lambda: stage._attach(attached=True),
        detach=lambda: stage._attach(attached=False),
    )


def _size(event: Any, events: Any) -> int:
    if type(event) is events.DataReceived:
        return len(event.data)
    return sum(len(name) + len(value) + 32 for name, value in getattr(event, "headers", ()))


def _error(stage: HTTP2, event: Any) -> Exception:
    """What a reset is to those who use the stream."""
    error: Exception = stage._h2.exceptions.StreamClosedError(event.stream_id)
    who = "the peer reset it" if event.remote_reset else "it was reset, as the peer kept to no rules"
    code = event.error_code
    error.error_code = code  # type: ignore[attr-defined]
    error.args = (f"HTTP2: stream {event.stream_id} is over: {who}, {getattr(code, 'name', 'error')} ({int(code)})",)
    return error
