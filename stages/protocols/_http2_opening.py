"""Which streams a client of `HTTP2` may open: their numbers, and how many at a time.

h2 counts them by looking at all that it remembers, and takes one too many for the end of the connection's use; here
it is asked only when it matters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from h2.connection import H2Connection

ASSUMED_STREAMS: Final = 100
"""How many streams a client opens before it knows how many it may; other clients do the same."""


class Opening:
    """The streams that one side opens.

    Args:
        connection: h2's.
        errors: the module `h2.exceptions`.
        client: whether it is the client's side, which opens odd ones.
    """

    def __init__(self, connection: H2Connection, errors: Any, *, client: bool) -> None:
        self._connection, self._errors = connection, errors
        self._client = client
        self._next_id = 1 if client else 2
        self.settings_came = False
        self.goaway: Any = None
        """The event that says the peer wants no more streams."""

    def new_stream_id(self) -> int:
        """Return the number of the next stream."""
        stream_id, self._next_id = self._next_id, self._next_id + 2
        return stream_id

    def opened(self, stream_id: int) -> None:
        """This one is open; those below it are used up."""
        self._next_id = max(self._next_id, stream_id + 2)

    def is_own(self, stream_id: int) -> bool:
        """Whether a stream with this number is one of these."""
        return bool(stream_id % 2) is self._client

    @property
    def has_room(self) -> bool:
        """Whether the peer allows one more now; it may have left."""
        return self._count() < self._limit

    def check(self) -> None:
        """Refuse one more.

        Raises:
            h2.exceptions.TooManyStreamsError: the peer does not let us open one now.
        """
        if self.goaway is not None:
            raise self._errors.TooManyStreamsError(
                "HTTP2: the peer wants no more streams on this connection (GOAWAY); open another connection"
            )
        if not self.has_room:
            raise self._errors.TooManyStreamsError(
                f"HTTP2: {self._count()} streams are open, and the peer allows {self._limit} at a time. Open another "
                f"one when one has ended"
            )

    def _count(self) -> int:
        """How many are open, exactly only where that matters."""
        connection = self._connection
        remembered = len(connection.streams)
        return connection.open_outbound_streams if remembered >= self._limit else remembered

    @property
    def _limit(self) -> int:
        limit = self._connection.remote_settings.max_concurrent_streams
        return limit if self.settings_came else min(limit, ASSUMED_STREAMS)
