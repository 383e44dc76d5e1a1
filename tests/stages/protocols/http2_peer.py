"""The other end of an HTTP/2 connection, by bare h2 or frame by frame, and our server with it, for tests of `HTTP2`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.settings

from pipeline.testing import Harness
from stages import HTTP2

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED = 1, 1, 4, 8

GET = [(":method", "GET"), (":scheme", "https"), (":authority", "a"), (":path", "/")]
POST = [(":method", "POST"), *GET[1:]]
OK = [(":status", "200")]

GOT = "RequestReceived"
ENDED = "StreamEnded"


def frame(kind: int, payload: bytes = b"", flags: int = 0, stream_id: int = 0) -> bytes:
    """One frame as it is on the wire."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream_id.to_bytes(4, "big") + payload


def client_bytes(*frames: bytes) -> bytes:
    """What a client sends first, and then these frames."""
    return PREFACE + frame(SETTINGS) + b"".join(frames)


def window_update(size: int, stream_id: int = 0) -> bytes:
    return frame(WINDOW_UPDATE, size.to_bytes(4, "big"), 0, stream_id)


class Peer(h2.connection.H2Connection):
    """Bare h2 that has begun."""

    def __init__(self, *, client: bool = True, settings: dict[Any, int] | None = None) -> None:
        super().__init__(h2.config.H2Configuration(client_side=client))
        self.local_settings.update(settings or {})
        self.local_settings.acknowledge()
        self.initiate_connection()

    def read(self, pieces: Iterable[bytes]) -> list[Any]:
        """The events that the bytes are."""
        return [event for piece in pieces for event in self.receive_data(piece)]

    def get(self, stream_id: int, headers: Any = GET) -> bytes:
        self.send_headers(stream_id, headers, end_stream=True)
        return self.data_to_send()


def bodies(events: Iterable[Any]) -> dict[int, bytes]:
    """All data, stream by stream."""
    found: dict[int, bytes] = {}
    for event in events:
        if isinstance(event, h2.events.DataReceived):
            found[event.stream_id] = found.get(event.stream_id, b"") + bytes(event.data)
    return found


def names(events: Iterable[Any]) -> list[str]:
    return [type(event).__name__ for event in events]


def told(events: Iterable[Any]) -> list[Any]:
    """What was said, to be compared."""
    return [repr(event) for event in events]


def frames_of(data: bytes) -> list[bytes]:
    data, found = data.removeprefix(PREFACE), []
    while data:
        size = 9 + int.from_bytes(data[:3], "big")
        found.append(data[:size])
        data = data[size:]
    return found


class Serving:
    """Our server and a client of bare h2."""

    def __init__(self, peer: Peer | None = None, **options: Any) -> None:
        self.stage = HTTP2("server", **options)
        self.harness, self.peer = Harness(self.stage), peer or Peer()
        self.turn()

    def turn(self) -> list[Any]:
        """What was written goes to the peer, and what it has to say comes in; return the peer's events."""
        out = self.written()
        events = self.peer.receive_data(out) if out else []
        self.receive(self.peer.data_to_send())
        return events

    def written(self) -> bytes:
        """All that was written since."""
        out = b"".join(self.harness.sent)
        self.harness.sent.clear()
        return out

    def receive(self, *pieces: bytes) -> list[Any]:
        return self.harness.receive(*pieces)

    def ask(self, *stream_ids: int) -> list[Any]:
        for stream_id in stream_ids:
            self.peer.send_headers(stream_id, GET, end_stream=True)
        return self.receive(self.peer.data_to_send())
