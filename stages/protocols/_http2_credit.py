"""What `HTTP2` lets the peer send: credit for what was taken, stream by stream (RFC 9113, section 5.2).

A stream's window opens as its consumer takes what came, so a peer cannot send ahead of it by more than the window.
The window of all streams together opens as data comes: else one stream that nobody reads would close it for the
others. Memory is bounded nevertheless, by the windows of the streams that may be open at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from h2.connection import H2Connection

DEFAULT_WINDOW: Final = 65535
LARGEST_WINDOW: Final = (1 << 31) - 1
_STREAMS_AT_ONCE: Final = 16
"""So many streams can be filled without waiting for a WINDOW_UPDATE of the whole."""


class Credit:
    """The receiving windows of a connection.

    Args:
        connection: h2's.
        window_bytes: of each stream.
    """

    def __init__(self, connection: H2Connection, window_bytes: int) -> None:
        self._connection = connection
        self._window = window_bytes
        self._window_of_all = min(window_bytes * _STREAMS_AT_ONCE, LARGEST_WINDOW)
        self._taken: dict[int, int] = {}  # of streams on which the peer may still send: bytes taken, not given back
        self._received = 0  # bytes on all streams, not given back

    @property
    def unfinished(self) -> list[int]:
        """The streams on which the peer may still send."""
        return list(self._taken)

    def begin(self) -> None:
        """Open the window of all streams."""
        self._connection.increment_flow_control_window(self._window_of_all - DEFAULT_WINDOW)

    def open(self, stream_id: int) -> None:
        """The peer may send on this stream from now on."""
        self._taken[stream_id] = 0

    def close(self, stream_id: int) -> None:
        """It will send no more."""
        self._taken.pop(stream_id, None)

    def came(self, size: int) -> None:
        """So many bytes came, on whatever stream."""
        self._received += size
        if self._received >= self._window_of_all // 2:
            self._connection.increment_flow_control_window(self._received)
            self._received = 0

    def due(self, stream_id: int, size: int) -> int:
        """So many bytes were taken; return how much credit is to be given now, 0 until it is worth a frame."""
        taken = self._taken.get(stream_id)
        if taken is None:
            return 0
        taken += size
        worth = taken >= self._window // 2
        self._taken[stream_id] = 0 if worth else taken
        return taken if worth else 0

    def give(self, stream_id: int, size: int) -> None:
        """Give credit, if the stream is not over."""
        if size and stream_id in self._taken:
            self._connection.increment_flow_control_window(size, stream_id)
