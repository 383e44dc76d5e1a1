"""What `HTTP2` sends on streams: as much as the windows let it at once, the rest as they open.

h2 raises if more is sent than the peer's windows have room for, and does not keep it. Here it is kept, stream by
stream, and goes out in turns, a frame of each (RFC 9113, section 5.2). A window update of stream 0 is one for all of
them; so is a larger SETTINGS_INITIAL_WINDOW_SIZE.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from ._http2_items import SendData, SendHeaders

if TYPE_CHECKING:
    from h2.connection import H2Connection

Rest: TypeAlias = deque[SendHeaders | SendData]

_TURN_BYTES: Final = 65536
"""How much a stream sends in its turn, however large the peer's frames may be."""
MAY_SEND: Final = ("OPEN", "HALF_CLOSED_REMOTE")
"""States of a stream in which there may be more data; others are closed, or ended by us."""


class Sending:
    """The sending half of all streams of a connection.

    Args:
        connection: h2's.
        errors: the module `h2.exceptions`.
        on_frame: called for each frame of data that was sent.
    """

    def __init__(self, connection: H2Connection, errors: Any, on_frame: Callable[[], None]) -> None:
        self._connection, self._errors, self._on_frame = connection, errors, on_frame
        self._rests: dict[int, Rest] = {}
        self._done_with: set[int] = set()  # to be reset behind their end
        self._turns: deque[int] = deque()  # the streams with a rest; who was served last is last

    @property
    def waits(self) -> bool:
        """Whether anything waits for a window."""
        return bool(self._rests)

    @property
    def waiting_bytes(self) -> int:
        """How much data waits for windows, of all streams."""
        return sum(len(each.data) for rest in self._rests.values() for each in rest if type(each) is SendData)

    def has_rest(self, stream_id: int) -> bool:
        """Whether something of this stream waits for a window."""
        return stream_id in self._rests

    def drop(self, stream_id: int) -> None:
        """Forget what waits: the stream is over."""
        if self._rests.pop(stream_id, None) is not None:
            self._turns.remove(stream_id)
            self._done_with.discard(stream_id)

    def reset_behind_end(self, stream_id: Any) -> bool:
        """Reset a stream when its last data, which waits, is sent; False: its end does not wait."""
        rest = self._rests.get(stream_id)
        if rest is None or not rest[-1].end_stream:
            return False
        self._done_with.add(stream_id)
        return True

    def headers(self, item: SendHeaders) -> None:
        """Send a head, or trailers behind the data that waits; they have been checked."""
        if item.stream_id in self._rests:
            self._keep(item)
        else:
            self._connection.send_headers(item.stream_id, item.headers, item.end_stream)

    def data(self, item: SendData) -> None:
        """Send data as far as it may be sent now, and keep the rest."""
        connection, stream_id, data = self._connection, item.stream_id, item.data
        if type(data) is not bytes:
            data = _view(data)
        size = len(data)
        stream = connection.streams.get(stream_id)
        if stream is None:
            raise stream_closed(self._errors, stream_id)
        if not stream.state_machine.headers_sent:  # to the peer an error of the whole connection
            raise self._errors.ProtocolError(
                f"HTTP2: data before the head of stream {stream_id}: SendHeaders({stream_id}, [(':status', '200')]) "
                f"comes first"
            )
        if (
            size <= connection.max_outbound_frame_size
            and size <= stream.outbound_flow_control_window
            and size <= connection.outbound_flow_control_window
            and stream_id not in self._rests
        ):
            if size or item.end_stream:
                connection.send_data(stream_id, data, item.end_stream)
                self._on_frame()
            return
        if stream.state_machine.state.name not in MAY_SEND:
            raise stream_closed(self._errors, stream_id)
        piece = SendData(stream_id, memoryview(data), item.end_stream)
        if stream_id in self._rests:
            self._keep(piece)
            return
        rest: Rest = deque([piece])
        while rest and self._send_frame(rest):
            pass
        if rest:
            self._rests[stream_id] = rest
            self._turns.append(stream_id)

    def flush(self) -> Iterator[int]:
        """Send what waits as far as the windows let it, a frame of each stream in turn.

        Returns:
            The streams of which nothing waits any more.
        """
        turns, blocked = self._turns, 0
        while blocked < len(turns):
            stream_id = turns[0]
            rest = self._rests[stream_id]
            turns.rotate(-1)
            blocked = 0 if self._send_frame(rest) else blocked + 1
            if not rest:
                if stream_id in self._done_with and not self._connection.streams[stream_id].closed:
                    self._connection.reset_stream(stream_id)
                self.drop(stream_id)
                yield stream_id

    # ---- inside

    def _keep(self, item: SendHeaders | SendData) -> None:
        rest = self._rests[item.stream_id]
        if rest[-1].end_stream:
            raise stream_closed(self._errors, item.stream_id)
        rest.append(item)

    def _send_frame(self, rest: Rest) -> bool:
        """Send one frame of what is first; False: a window has no room for it."""
        item, connection = rest[0], self._connection
        if isinstance(item, SendHeaders):
            rest.popleft()
            connection.send_headers(item.stream_id, item.headers, item.end_stream)
            return True
        data, size = cast("memoryview", item.data), len(item.data)
        most = min(connection.max_outbound_frame_size, _TURN_BYTES)
        room = min(connection.local_flow_control_window(item.stream_id), most)
        if room <= 0 and size:
            return False
        if size <= room or not size:
            rest.popleft()
            connection.send_data(item.stream_id, data, item.end_stream)
        else:
            item.data = data[room:]
            connection.send_data(item.stream_id, data[:room])
        self._on_frame()
        return True


def _view(data: Any) -> memoryview:
    try:
        return memoryview(data).cast("B")
    except TypeError:
        remedy = ": text.encode()" if isinstance(data, str) else ""
        raise TypeError(f"SendData(data=...): must be bytes, not {type(data).__name__}{remedy}") from None


def stream_closed(errors: Any, stream_id: int) -> Exception:
    """An error of h2, with a message."""
    error: Exception = errors.StreamClosedError(stream_id)
    error.args = (f"HTTP2: stream {stream_id} is over, was given up, or was never opened: nothing can be sent on it",)
    return error
