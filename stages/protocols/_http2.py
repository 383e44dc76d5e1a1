"""`HTTP2`: HTTP/2 by h2, as client or server.

h2 reads and writes frames, compresses headers, and watches that both sides keep to the protocol (RFC 9113). What is
added here is what each of its users has to add: to send no more than the windows have room for and the rest later, to
give credit for what was taken and not for what came, to say GOAWAY, to go on after the peer's, and to refuse floods.
`_http2_frames.py` has what is let in, `_http2_sending.py` the windows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, Literal

from pipeline import StreamRules

from .._arguments import check_choice, check_size
from ._http2_connection import h2_library, make_connection, refuse
from ._http2_credit import DEFAULT_WINDOW, LARGEST_WINDOW, Credit
from ._http2_frames import Frames
from ._http2_headers import Headers
from ._http2_items import HTTP2Item, SendCredit, SendData, SendGoAway, SendHeaders, SendPing, SendReset
from ._http2_sending import MAY_SEND, Sending, stream_closed
from ._http2_streams import stream_rules
from ._http2_upgrade import begin_client, begin_server
from .sansio import SansIO

if TYPE_CHECKING:
    import h2.connection
    import h2.events

__all__ = ["HTTP2"]

_ASSUMED_STREAMS: Final = 100
"""How many streams a client opens before it knows how many it may; other clients do the same."""
_NO_LIMIT: Final = (1 << 31) - 1
_TABLE_BYTES: Final = 4096
"""How much is remembered of the headers that were sent, however much the peer allows: h2 would search all of it."""


class HTTP2(SansIO["h2.events.Event", HTTP2Item]):
    r"""HTTP/2 with h2: bytes in, h2's events out; to send, `SendHeaders`, `SendData` and the like; client or server.

    in:  b"\0\0\x06\1\x05\0\0\0\1..."        out:  h2.events.RequestReceived(...)  h2.events.StreamEnded(...)

    Events of many streams come mixed, each with its `stream_id`; `open_streams` sorts them. On each stream there is a
    `RequestReceived` or `ResponseReceived`, any number of `DataReceived`, perhaps `TrailersReceived`, and a
    `StreamEnded`; or a `StreamReset` instead. A `ConnectionTerminated` says that the peer wants no more streams. What
    concerns no stream and needs no decision (settings, windows, pings) is dealt with and not shown.

    What is sent goes out as far as the peer's windows let it, and the rest as they open; until then a `send()` of the
    next item waits, whatever its stream: receive in another task meanwhile. With `open_streams` streams do not wait for
    each other. The peer gets new credit for a body as it is taken, piece by piece.

    Needs the extra `penstock[h2]`.

    Args:
        role: "client" or "server".
        upgrade: for "h2c", the upgrade from HTTP/1.1. A server gives the `h11.Request` that asked for it: it comes out
            as the request of stream 1. A client gives True, sends `upgrade_headers` with its request in HTTP/1.1, and
            gets the response on stream 1.
        max_streams: so many streams of the peer may be open at a time; it is told, and more are refused.
        window_bytes: how much of a body the peer may send ahead, on each stream; 65,535 or more.
        max_header_bytes: the size of a list of headers, counted as in RFC 9113, section 6.5.2; the peer is told.
        max_resets: so many streams may be given up before their time, within 30 seconds.
        max_control_frames: so many frames may come that say nothing about any request, within 30 seconds and of each
            kind: PING, SETTINGS, PRIORITY, empty DATA, WINDOW_UPDATE beyond four for each frame sent, unknown ones.

    Raises:
        h2.exceptions.ProtocolError: what the peer sent is no right HTTP/2, or it ended the connection inside a message.
            It was sent a GOAWAY with the error's code before; the stage stays failed.
        h2.exceptions.DenialOfServiceError: a limit on the peer is passed; a kind of the above.
        h2.exceptions.StreamClosedError: what is sent is for a stream that is over, or was never opened. Nothing was
            written, and other streams go on.
        h2.exceptions.TooManyStreamsError: the peer does not let a client open one more now. Nothing was written.
        TypeError: what is sent is none of the items; nothing was written, and others can be sent.
        ImportError: h2 is not there.

    Attributes:
        connection: the `h2.connection.H2Connection`, to ask: `remote_settings`, `open_inbound_streams`.
    """

    connection: h2.connection.H2Connection
    close_waits = True

    def __init__(
        self,
        role: Literal["client", "server"],
        *,
        upgrade: Any = None,
        max_streams: int = 100,
        window_bytes: int = DEFAULT_WINDOW,
        max_header_bytes: int = 65536,
        max_resets: int = 1000,
        max_control_frames: int = 1000,
    ) -> None:
        check_choice("HTTP2", "role", role, ("client", "server"))
        check_size("HTTP2", "window_bytes", window_bytes, default=DEFAULT_WINDOW, least=DEFAULT_WINDOW)
        if window_bytes > LARGEST_WINDOW:
            raise ValueError(f"HTTP2(window_bytes={window_bytes}): no window is larger than {LARGEST_WINDOW} bytes")
        check_size("HTTP2", "max_header_bytes", max_header_bytes, default=65536)
        check_size("HTTP2", "max_streams", max_streams, default=100, unit="streams")
        check_size("HTTP2", "max_resets", max_resets, default=1000, unit="streams")
        check_size("HTTP2", "max_control_frames", max_control_frames, default=1000, unit="frames")
        self._h2 = library = h2_library()
        self._client = role == "client"
        self._max_streams, self._max_header_bytes = max_streams, max_header_bytes
        self.connection = make_connection(library, max_streams, window_bytes, max_header_bytes, client=self._client)
        super().__init__()
        self.inbound.end_is_told = True
        self._frames = Frames(
            library.exceptions,
            server=not self._client,
            now=self.inbound.now,
            max_header_bytes=max_header_bytes,
            max_resets=max_resets,
            max_control_frames=max_control_frames,
        )
        self._headers = Headers(library, client=self._client)
        self._sending = Sending(self.connection, library.exceptions, self._frames.allow_updates)
        self._credit = Credit(self.connection, window_bytes)
        self._read = self.connection.receive_data
        self._senders: dict[type, Any] = {
            SendHeaders: self._send_headers,
            SendData: self._sending.data,
            SendReset: self._send_reset,
            SendPing: lambda item: self.connection.ping(item.data),
            SendGoAway: self._send_goaway,
            SendCredit: lambda item: self._credit.give(item.stream_id, item.size),
        }
        self._readers = self._make_readers(library.events)
        self._next_id = 1 if self._client else 2
        self._settings_came = self._leaves = self._ended = False
        self._left: Any = None  # the peer's GOAWAY
        self._refused_id = 0  # the stream that was refused last
        self._attached = False  # to `open_streams`
        self._written = b""
        self.sending_ended = False
        self.upgrade_headers: list[tuple[str, str]] = []
        self._first: list[Any] = []
        self._upgraded = upgrade is not None
        if upgrade is not None:
            self._take_over(upgrade)

    @property
    def ready(self) -> bool:
        """Whether nothing waits for a window, or `open_streams` looks after that."""
        return self._attached or not self._sending.waits

    @property
    def stream_rules(self) -> StreamRules:
        """What `open_streams` has to know."""
        return stream_rules(self)

    @property
    def holds(self) -> int:
        """Bytes of an unfinished frame."""
        return self._frames.held

    def new_stream_id(self) -> int:
        """Return the number of a client's next stream; send its `SendHeaders` before those of a later one."""
        stream_id, self._next_id = self._next_id, self._next_id + 2
        return stream_id

    # ---- in

    def start(self) -> Iterable[h2.events.Event]:
        """Send the preface and the settings, and open the window of all streams."""
        connection = self.connection
        if not self._upgraded:
            connection.initiate_connection()
        # To h2 one stream too many is an error of the connection; but a client may not know yet how many it may open.
        connection.local_settings.max_concurrent_streams = _NO_LIMIT
        connection.local_settings.acknowledge()
        self._credit.begin()
        return self._first

    def receive_data(self, data: bytes, /) -> Iterable[h2.events.Event]:
        """Read, frame by frame: at once, but from the first frame with data on as it is asked for."""
        frames = self._frames
        frames.feed(data)
        next_frame, read, readers = frames.next_frame, self._read, self._readers
        events: list[h2.events.Event] = []
        try:
            while (frame := next_frame()) is not None:
                if frames.is_data:
                    return self._events(events, frame)
                for event in self._read_goaway(frame) if frames.is_goaway else read(frame):
                    reader = readers.get(type(event))
                    if reader is None:
                        events.append(event)
                    else:
                        events += reader(event)
        except Exception as failure:
            error = self._refused(failure)
            error.__cause__ = failure if error is not failure else None
            return _then_raise(events, error)
        return events

    def receive_eof(self) -> Iterable[h2.events.Event]:
        """Take the end of the connection: right between messages."""
        self._ended = True
        unfinished = self._credit.unfinished
        if unfinished or self._frames.held:
            where = f"messages on streams {unfinished[:5]}" if unfinished else "a frame"
            after = f"; it had said GOAWAY, error {self._left.error_code:d}" if self._left else ""
            raise self._refused(
                self._h2.exceptions.ProtocolError(f"HTTP2: the peer ended the connection inside {where}{after}")
            )
        return ()

    def leftover(self) -> bytes:
        """Take out the frames that were not read."""
        return self._frames.take_rest()

    def _events(self, events: list[h2.events.Event], frame: Any) -> Iterator[h2.events.Event]:
        """Give these events, and those of this frame, and of the rest."""
        yield from events
        frames, readers = self._frames, self._readers
        try:
            while frame is not None:
                for event in self._read_goaway(frame) if frames.is_goaway else self._read(frame):
                    reader = readers.get(type(event))
                    if reader is None:
                        yield event
                    else:
                        yield from reader(event)
                frame = frames.next_frame()
        except Exception as error:
            raise self._refused(error) from error

    def _make_readers(self, events: Any) -> dict[type, Any]:
        """What is done with events before they are shown, or instead of it."""
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
        if self._leaves or self._is_one_too_many():
            self._frames.count_reset()
            self._refused_id = event.stream_id
            self.connection.reset_stream(event.stream_id, self._h2.errors.ErrorCodes.REFUSED_STREAM)
            return ()
        if event.stream_ended is None:
            self._credit.open(event.stream_id)
        return (event,)

    def _is_one_too_many(self) -> bool:
        """Whether the stream that was just opened is; h2 looks at all that it remembers, so it is asked only then."""
        connection, most = self.connection, self._max_streams
        return len(connection.streams) > most and connection.open_inbound_streams > most

    def _read_data(self, event: Any) -> Iterator[Any]:
        """Nobody asks for what is behind it before it is taken."""
        self._credit.came(event.flow_controlled_length)
        try:
            if event.data:
                yield event
        finally:
            stream_id = event.stream_id
            if not (self._attached and event.data):
                self._credit.give(stream_id, self._credit.due(stream_id, event.flow_controlled_length))

    def _read_end(self, event: Any) -> Iterable[Any]:
        self._credit.close(event.stream_id)
        return (event,) if event.stream_id != self._refused_id else ()

    def _read_reset(self, event: Any) -> Iterable[Any]:
        self._forget(event.stream_id)
        if not event.remote_reset:  # the peer made h2 do it
            self._frames.count_reset()
        return (event,)

    def _read_window(self, event: Any) -> Iterable[Any]:
        return self._flush(event) if self._sending.waits else ()

    def _read_settings(self, event: Any) -> Iterable[Any]:
        self._settings_came = True
        encoder = self.connection.encoder
        encoder.header_table_size = min(encoder.header_table_size, _TABLE_BYTES)
        shown = self._flush(event) if self._sending.waits else ()
        return shown or ((event,) if self._attached else ())

    def _read_goaway(self, frame: bytes | bytearray) -> list[Any]:
        """To h2 a connection is over with the peer's GOAWAY; but the streams that are open go on (RFC 9113, 6.8)."""
        connection, events = self.connection, self._h2.events
        self._written += connection.data_to_send()  # h2 would forget it
        state = connection.state_machine.state
        shown: list[Any] = self._read(frame)
        connection.state_machine.state = state
        self._left = shown[-1]
        refused, code = self._h2.errors.ErrorCodes.REFUSED_STREAM, self._left.last_stream_id
        lost = [stream_id for stream_id in self._credit.unfinished if self._is_own(stream_id) and stream_id > code]
        for stream_id in lost:
            self._forget(stream_id)
            shown.append(events.StreamReset(stream_id=stream_id, error_code=refused))
        return shown

    def _flush(self, event: Any) -> list[Any]:
        """Send what waited. `open_streams` is told when any may send."""
        freed = list(self._sending.flush())
        return [event] if freed and self._attached else []

    def _forget(self, stream_id: int) -> None:
        """The stream is over, both ways."""
        self._credit.close(stream_id)
        self._sending.drop(stream_id)

    def _is_own(self, stream_id: int) -> bool:
        return bool(stream_id % 2) is self._client

    def _refused(self, failure: Exception) -> Any:
        """Nothing more can be read, nor sent."""
        self.sending_ended = True
        return refuse(self._h2, self.connection, failure, self._frames.block_bytes, self._max_header_bytes)

    # ---- out

    def send_event(self, event: HTTP2Item, /) -> None:
        """Write an item, as far as the windows let it."""
        sender = self._senders.get(type(event))
        if sender is None:
            raise TypeError(
                f"HTTP2 sends SendHeaders, SendData, SendReset, SendPing, SendGoAway and SendCredit, not "
                f"{type(event).__name__}: SendHeaders(stream_id, [(':status', '200')]), then "
                f"SendData(stream_id, b'...', end_stream=True)"
            )
        try:
            sender(event)
        except self._h2.exceptions.NoSuchStreamError as error:
            raise stream_closed(self._h2.exceptions, error.stream_id) from error

    def data_to_send(self) -> bytes:
        """Take what is to be written."""
        data = self.connection.data_to_send()
        if self._written:
            data, self._written = self._written + data, b""
        return data

    def send_eof(self) -> None:
        """Say that this is the end, unless the peer has left."""
        if not (self._leaves or self._ended or self.sending_ended):
            self._send_goaway(SendGoAway())

    def _send_headers(self, item: SendHeaders) -> None:
        stream_id, connection = item.stream_id, self.connection
        stream = connection.streams.get(stream_id)
        if stream is not None:
            state = stream.state_machine
            if state.state.name not in MAY_SEND:
                raise stream_closed(self._h2.exceptions, stream_id)
            headers = self._headers.of(item, began=bool(state.headers_sent))
            if self._sending.waits:
                self._sending.headers(SendHeaders(stream_id, headers, item.end_stream))
            else:
                connection.send_headers(stream_id, headers, item.end_stream)
            return
        if not self._client or stream_id <= connection.highest_outbound_stream_id:
            raise stream_closed(self._h2.exceptions, stream_id)
        self._check_may_open()
        connection.send_headers(stream_id, self._headers.of(item, began=False), item.end_stream)
        self._credit.open(stream_id)
        self._next_id = max(self._next_id, stream_id + 2)

    def _check_may_open(self) -> None:
        if self._left is not None:
            raise self._h2.exceptions.TooManyStreamsError(
                "HTTP2: the peer wants no more streams on this connection (GOAWAY); open another connection"
            )
        limit, opened = self._peer_limit, self._open_streams()
        if opened >= limit:
            raise self._h2.exceptions.TooManyStreamsError(
                f"HTTP2: {opened} streams are open, and the peer allows {limit} at a time. Open another one when one "
                f"has ended"
            )

    def _open_streams(self) -> int:
        """How many a client has open; h2 looks at each of those it remembers, so it is asked only when it matters."""
        connection = self.connection
        remembered = len(connection.streams)
        return connection.open_outbound_streams if remembered >= self._peer_limit else remembered

    @property
    def _peer_limit(self) -> int:
        limit = self.connection.remote_settings.max_concurrent_streams
        return limit if self._settings_came else min(limit, _ASSUMED_STREAMS)

    def _send_reset(self, item: SendReset) -> None:
        self._forget(item.stream_id)
        stream = self.connection.streams.get(item.stream_id)
        if stream is not None and (stream.closed_by is None or not stream.closed):
            self.connection.reset_stream(item.stream_id, item.error_code)

    def _send_goaway(self, item: SendGoAway) -> None:
        """To h2 a connection is over with GOAWAY; but the streams that are open go on."""
        connection = self.connection
        state = connection.state_machine.state
        connection.close_connection(item.error_code)
        connection.state_machine.state = state
        self._leaves = True

    # ---- with `open_streams`

    def _attach(self, *, attached: bool) -> None:
        self._attached = attached

    def _may_send(self, stream_id: int, item: HTTP2Item) -> bool:
        """Whether nothing of this stream waits; or whether it may be opened."""
        if self._sending.has_rest(stream_id):
            return False
        opens = self._client and type(item) is SendHeaders and stream_id not in self.connection.streams
        return not opens or self._left is not None or self._open_streams() < self._peer_limit

    # ---- before all

    def _take_over(self, upgrade: Any) -> None:
        """Begin with stream 1, which HTTP/1.1 has opened."""
        events = self._h2.events
        if self._client:
            self.upgrade_headers = begin_client(self.connection)
            self._credit.open(1)
            self._next_id = 3
        else:
            headers = begin_server(self.connection, upgrade)
            end = events.StreamEnded(stream_id=1)
            self._first = [events.RequestReceived(stream_id=1, headers=headers, stream_ended=end), end]


def _then_raise(events: list[Any], error: Exception) -> Iterator[Any]:
    yield from events
    raise error


def _nothing(event: object) -> tuple[()]:
    return ()
