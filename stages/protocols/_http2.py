"""`HTTP2`: HTTP/2 by h2, as client or server.

h2 reads and writes frames, compresses headers, and watches that both sides keep to the protocol (RFC 9113). What is
added here is what each of its users has to add: to send no more than the windows have room for and the rest later, to
give credit for what was taken and not for what came, to say GOAWAY, to go on after the peer's, and to refuse floods.
`_http2_frames.py` has what is let in, `_http2_reading.py` what is made of it, `_http2_sending.py` and
`_http2_credit.py` the windows, `_http2_opening.py` how many streams a client may open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, Literal

from pipeline import StreamRules

from .._arguments import check_choice, check_size
from ._http2_connection import h2_library, make_connection, refuse
from ._http2_credit import DEFAULT_WINDOW, LARGEST_WINDOW, Credit
from ._http2_frames import Frames
from ._http2_headers import Headers
from ._http2_items import HTTP2Item, SendCredit, SendData, SendGoAway, SendHeaders, SendPing, SendReset, error_code
from ._http2_opening import Opening
from ._http2_reading import Reading
from ._http2_sending import MAY_SEND, Sending, stream_closed
from ._http2_streams import stream_rules
from ._http2_upgrade import begin_client, begin_server
from .sansio import SansIO

if TYPE_CHECKING:
    import h2.connection
    import h2.events

__all__ = ["HTTP2"]

_NO_LIMIT: Final = (1 << 31) - 1


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
        TypeError, ValueError: what is sent is none of the items, or cannot be written; nothing was, and others can be
            sent.
        ImportError: h2 is not there.

    Attributes:
        connection: the `h2.connection.H2Connection`, to ask: `remote_settings`, `open_inbound_streams`.
    """

    connection: h2.connection.H2Connection
    close_waits = True
    sending_ended = False
    _ended = False  # the peer ended the connection

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
        _check_limits(max_streams, window_bytes, max_header_bytes, max_resets, max_control_frames)
        self._h2 = library = h2_library()
        self.peer_errors = (library.exceptions.ProtocolError,)
        self._client = client = role == "client"
        self._max_header_bytes = max_header_bytes
        self.connection = make_connection(library, max_streams, window_bytes, max_header_bytes, client=client)
        super().__init__()
        self.inbound.end_is_told = True
        self._frames = Frames(
            library.exceptions,
            server=not client,
            now=self.inbound.now,
            max_header_bytes=max_header_bytes,
            max_resets=max_resets,
            max_control_frames=max_control_frames,
        )
        self._headers = Headers(library, client=client)
        self._sending = Sending(self.connection, library.exceptions, self._frames.allow_updates)
        self._credit = Credit(self.connection, window_bytes)
        self._opening = Opening(self.connection, library.exceptions, client=client)
        self._reading = Reading(
            library, self.connection, self._frames, self._credit, self._sending, self._opening, max_streams
        )
        self._read = self.connection.receive_data
        self._senders = self._make_senders()
        self.upgrade_headers: list[tuple[str, str]] = []
        self._upgraded = _is_asked(upgrade, client=client)
        self._first = self._take_over(upgrade) if self._upgraded else []

    @property
    def ready(self) -> bool:
        """Whether nothing waits for a window, or `open_streams` looks after that."""
        return self._reading.attached or not self._sending.waits

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
        return self._opening.new_stream_id()

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
        next_frame, read, readers = frames.next_frame, self._read, self._reading.readers
        events: list[h2.events.Event] = []
        try:
            while (frame := next_frame()) is not None:
                if frames.is_data:
                    return self._events(events, frame)
                for event in self._reading.goaway(frame) if frames.is_goaway else read(frame):
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
            left = self._opening.goaway
            after = f"; it had said GOAWAY, error {left.error_code:d}" if left else ""
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
        frames, readers, goaway = self._frames, self._reading.readers, self._reading.goaway
        try:
            while frame is not None:
                for event in goaway(frame) if frames.is_goaway else self._read(frame):
                    reader = readers.get(type(event))
                    if reader is None:
                        yield event
                    else:
                        yield from reader(event)
                frame = frames.next_frame()
        except Exception as error:
            raise self._refused(error) from error

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
        return self._reading.take_written() + self.connection.data_to_send()

    def send_eof(self) -> None:
        """Say that this is the end, unless the peer has left."""
        if not (self._reading.leaves or self._ended or self.sending_ended):
            self._send_goaway(SendGoAway())

    def _make_senders(self) -> dict[type, Callable[[Any], None]]:
        return {
            SendHeaders: self._send_headers,
            SendData: self._sending.data,
            SendReset: self._send_reset,
            SendPing: lambda item: self.connection.ping(item.data),
            SendGoAway: self._send_goaway,
            SendCredit: lambda item: self._credit.give(item.stream_id, item.size),
        }

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
        self._opening.check()
        connection.send_headers(stream_id, self._headers.of(item, began=False), item.end_stream)
        self._credit.open(stream_id)
        self._opening.opened(stream_id)

    def _send_reset(self, item: SendReset) -> None:
        code = error_code(item)
        self._reading.forget(item.stream_id)
        stream = self.connection.streams.get(item.stream_id)
        if stream is not None and (stream.closed_by is None or not stream.closed):
            self.connection.reset_stream(item.stream_id, code)

    def _send_goaway(self, item: SendGoAway) -> None:
        """To h2 a connection is over with GOAWAY; but the streams that are open go on."""
        connection = self.connection
        code, state = error_code(item), connection.state_machine.state
        connection.close_connection(code)
        connection.state_machine.state = state
        self._reading.leaves = True

    # ---- before all

    def _take_over(self, upgrade: Any) -> list[h2.events.Event]:
        """Begin with stream 1, which HTTP/1.1 has opened; return what is to be shown of it."""
        if self._client:
            self.upgrade_headers = begin_client(self.connection)
            self._credit.open(1)
            self._opening.opened(1)
            return []
        events = self._h2.events
        headers = begin_server(self.connection, upgrade)
        end = events.StreamEnded(stream_id=1)
        return [events.RequestReceived(stream_id=1, headers=headers, stream_ended=end), end]


def _then_raise(events: list[Any], error: Exception) -> Iterator[Any]:
    yield from events
    raise error


def _is_asked(upgrade: Any, *, client: bool) -> bool:
    if upgrade is None or upgrade is False:
        return False
    if client is not (upgrade is True):
        raise ValueError(
            f"HTTP2({'client' if client else 'server'!r}, upgrade={upgrade!r}): a client gives True, a server the "
            f"h11.Request that asked for it"
        )
    return True


def _check_limits(streams: int, window_bytes: int, header_bytes: int, resets: int, control_frames: int) -> None:
    check_size("HTTP2", "window_bytes", window_bytes, default=DEFAULT_WINDOW, least=DEFAULT_WINDOW)
    if window_bytes > LARGEST_WINDOW:
        raise ValueError(f"HTTP2(window_bytes={window_bytes}): no window is larger than {LARGEST_WINDOW} bytes")
    check_size("HTTP2", "max_header_bytes", header_bytes, default=65536)
    check_size("HTTP2", "max_streams", streams, default=100, unit="streams")
    check_size("HTTP2", "max_resets", resets, default=1000, unit="streams")
    check_size("HTTP2", "max_control_frames", control_frames, default=1000, unit="frames")
