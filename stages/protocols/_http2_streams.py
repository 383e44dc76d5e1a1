"""What `open_streams` is told of `HTTP2`: which event belongs to which stream, how streams begin, end, and may send.

With it each stream has a consumer of its own. Credit is given as that one takes what came, and an item is sent when
nothing of its stream waits for a window any more: so the stage keeps one item of a stream at most, and no stream
holds up another.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from pipeline import StreamRules

from ._http2_items import CANCEL, HTTP2Item, SendCredit, SendData, SendHeaders, SendReset

if TYPE_CHECKING:
    from ._http2 import HTTP2


def stream_rules(stage: HTTP2) -> StreamRules:
    """Return the rules of a connection."""
    events = stage._h2.events
    hidden = {events.StreamEnded, events.StreamReset, events.WindowUpdated, events.RemoteSettingsChanged}
    rules = _Rules(stage)
    return StreamRules(
        key=lambda event: getattr(event, "stream_id", 0) or None,
        opens=lambda event: type(event) is events.RequestReceived,
        ends=lambda event: type(event) is events.StreamEnded,
        error=rules.error,
        hides=lambda event: type(event) in hidden,
        size=rules.size,
        taken=rules.taken,
        may_send=rules.may_send,
        gone=lambda error: isinstance(error, stage._h2.exceptions.StreamClosedError),
        sends_end=lambda item: item.end_stream,
        eof=rules.eof,
        reset=rules.reset,
        new_key=stage.new_stream_id if stage._client else None,
        attach=lambda: rules.attach(attached=True),
        detach=lambda: rules.attach(attached=False),
    )


class _Rules:
    """Those that take more than a line."""

    def __init__(self, stage: HTTP2) -> None:
        self._stage = stage
        self._events = stage._h2.events

    def error(self, event: Any) -> Exception | None:
        """What a reset is to those who use the stream."""
        if type(event) is not self._events.StreamReset:
            return None
        error: Exception = self._stage._h2.exceptions.StreamClosedError(event.stream_id)
        who = "the peer reset it" if event.remote_reset else "it was reset, as the peer kept to no rules"
        code = event.error_code
        error.error_code = code  # type: ignore[attr-defined]
        error.args = (
            f"HTTP2: stream {event.stream_id} is over: {who}, {getattr(code, 'name', 'error')} ({int(code)})",
        )
        return error

    def size(self, event: Any) -> int:
        """What an event counts while it waits for its stream's consumer."""
        if type(event) is self._events.DataReceived:
            return len(event.data)
        return sum(len(name) + len(value) + 32 for name, value in getattr(event, "headers", ()))

    def taken(self, event: Any) -> SendCredit | None:
        """The credit for what the consumer has taken."""
        if type(event) is not self._events.DataReceived:
            return None
        size = self._stage._credit.due(event.stream_id, event.flow_controlled_length)
        return SendCredit(event.stream_id, size) if size else None

    def may_send(self, stream_id: int, item: HTTP2Item) -> bool:
        """Whether nothing of this stream waits; or whether it may be opened."""
        stage = self._stage
        if stage._sending.has_rest(stream_id):
            return False
        opens = stage._client and type(item) is SendHeaders and stream_id not in stage.connection.streams
        return not opens or stage._opening.goaway is not None or stage._opening.has_room

    def eof(self, key: int) -> SendData | SendReset:
        """The end of what is sent on a stream."""
        stream = self._stage.connection.streams.get(key)
        if stream is None or stream.state_machine.headers_sent:
            return SendData(key, b"", end_stream=True)
        # A response without a head would be a connection error to the peer.
        return SendReset(key, self._stage._h2.errors.ErrorCodes.INTERNAL_ERROR)

    def reset(self, key: Hashable, reason: Any) -> SendReset | None:
        """How a stream is given up."""
        # The answer is complete, though it waits for a window: the peer gets it all, and is told that no more is read.
        if reason is None and self._stage._sending.reset_behind_end(key):
            return None
        return SendReset(key, CANCEL if reason is None else reason)  # type: ignore[arg-type]

    def attach(self, *, attached: bool) -> None:
        """`open_streams` looks after the streams from now on, or does not any more."""
        self._stage._reading.attached = attached
