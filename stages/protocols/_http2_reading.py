"""What `HTTP2` makes of the events that h2 reads: what is done before they are shown, or instead of it.

Windows, settings and pings are dealt with here and mostly not shown; a stream too many is refused; and a connection
goes on behind the peer's GOAWAY, which to h2 is its end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ._http2_credit import Credit
from ._http2_frames import Frames
from ._http2_opening import Opening
from ._http2_sending import Sending

if TYPE_CHECKING:
    from h2.connection import H2Connection

Reader: TypeAlias = Callable[[Any], Iterable[Any]]

_TABLE_BYTES: Final = 4096
"""How much is remembered of the headers that were sent, however much the peer allows: h2 would search all of it."""


class Reading:
    """The events of a connection, on their way in.

    Args:
        library: h2.
        connection: its connection.
        frames: counts what the peer gives up.
        credit: the windows of what comes.
        sending: what waits for the peer's windows.
        opening: the streams that are opened by us.
        max_streams: so many streams of the peer may be open at a time.
    """

    def __init__(
        self,
        library: Any,
        connection: H2Connection,
        frames: Frames,
        credit: Credit,
        sending: Sending,
        opening: Opening,
        max_streams: int,
    ) -> None:
        self._h2, self._connection, self._max_streams = library, connection, max_streams
        self._frames, self._credit, self._sending, self._opening = frames, credit, sending, opening
        self._refused_id = 0  # the stream that was refused last
        self._written = b""
        self.attached = False
        """Whether `open_streams` looks after streams: it is told of windows, and gives credit for data."""
        self.leaves = False
        """Whether we said GOAWAY, and take no more streams."""
        self.readers = self._make_readers(library.events)
        """For each kind of event that is not shown as it is: what is shown instead."""

    def take_written(self) -> bytes:
        """Take what is to be written before what h2 has to send."""
        data, self._written = self._written, b""
        return data

    def forget(self, stream_id: int) -> None:
        """The stream is over, both ways."""
        self._credit.close(stream_id)
        self._sending.drop(stream_id)

    def goaway(self, frame: bytes | bytearray) -> list[Any]:
        """To h2 a connection is over with the peer's GOAWAY; but the streams that are open go on (RFC 9113, 6.8)."""
        connection, events = self._connection, self._h2.events
        self._written += connection.data_to_send()  # h2 would forget it
        state = connection.state_machine.state
        shown: list[Any] = connection.receive_data(frame)
        connection.state_machine.state = state
        self._opening.goaway = left = shown[-1]
        refused, is_own = self._h2.errors.ErrorCodes.REFUSED_STREAM, self._opening.is_own
        for stream_id in self._credit.unfinished:
            if stream_id <= left.last_stream_id or not is_own(stream_id):
                continue
            self.forget(stream_id)
            shown.append(events.StreamReset(stream_id=stream_id, error_code=refused))
        return shown

    # ---- event by event

    def _make_readers(self, events: Any) -> dict[type, Reader]:
        return {
            events.RequestReceived: self._read_request,
            events.DataReceived: self._read_data,
            events.StreamEnded: self._read_end,
            events.StreamReset: self._read_reset,
            events.WindowUpdated: self._read_window,
            events.RemoteSettingsChanged: self._read_settings,
            events.PingReceived: _nothing,
            events.SettingsAcknowledged: _nothing,
            events.PriorityUpdated: _nothing,
            events.UnknownFrameReceived: _nothing,
        }

    def _read_request(self, event: Any) -> Iterable[Any]:
        if self.leaves or self._is_one_too_many():
            self._frames.count_reset()
            self._refused_id = event.stream_id
            self._connection.reset_stream(event.stream_id, self._h2.errors.ErrorCodes.REFUSED_STREAM)
            return ()
        if event.stream_ended is None:
            self._credit.open(event.stream_id)
        return (event,)

    def _is_one_too_many(self) -> bool:
        """Whether the stream that was just opened is; h2 looks at all that it remembers, so it is asked only then."""
        connection, most = self._connection, self._max_streams
        return len(connection.streams) > most and connection.open_inbound_streams > most

    def _read_data(self, event: Any) -> Iterator[Any]:
        """Nobody asks for what is behind it before it is taken."""
        self._credit.came(event.flow_controlled_length)
        try:
            if event.data:
                yield event
        finally:
            stream_id = event.stream_id
            if not (self.attached and event.data):
                self._credit.give(stream_id, self._credit.due(stream_id, event.flow_controlled_length))

    def _read_end(self, event: Any) -> Iterable[Any]:
        self._credit.close(event.stream_id)
        return (event,) if event.stream_id != self._refused_id else ()

    def _read_reset(self, event: Any) -> Iterable[Any]:
        self.forget(event.stream_id)
        if not event.remote_reset:  # the peer made h2 do it
            self._frames.count_reset()
        return (event,)

    def _read_window(self, event: Any) -> Iterable[Any]:
        return self._flush(event) if self._sending.waits else ()

    def _read_settings(self, event: Any) -> Iterable[Any]:
        self._opening.settings_came = True
        encoder = self._connection.encoder
        encoder.header_table_size = min(encoder.header_table_size, _TABLE_BYTES)
        shown = self._flush(event) if self._sending.waits else ()
        return shown or ((event,) if self.attached else ())

    def _flush(self, event: Any) -> list[Any]:
        """Send what waited. `open_streams` is told when any may send."""
        freed = list(self._sending.flush())
        return [event] if freed and self.attached else []


def _nothing(event: object) -> tuple[()]:
    return ()
