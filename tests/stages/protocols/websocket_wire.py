"""What the tests of `WebSocket` write: frames and heads by hand, and both roles with their handshake over."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import pytest
import trio
import trio.testing
from wsproto.events import (
    AcceptConnection,
    CloseConnection,
    Event,
    Request,
)
from wsproto.utilities import RemoteProtocolError, generate_accept_token

from pipeline import Duplex, Pipeline, Reply, inbound
from pipeline.testing import Harness
from stages import WebSocket

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ASKED = (
    b"GET /chat HTTP/1.1\r\nHost: example.org\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
    b"Sec-WebSocket-Key: " + KEY + b"\r\nSec-WebSocket-Version: 13\r\n"
)
ACCEPTED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
)
END_OF_HEAD = b"\r\n"
REFUSED = b"HTTP/1.1 %d \r\n"
DEFLATE = b"Sec-WebSocket-Extensions: permessage-deflate%s\r\n"
CLOSE = CloseConnection(code=1000, reason="")
GOING = CloseConnection(code=1001, reason="going")


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, masked: bool = True, rsv: int = 0) -> bytes:
    """A frame as a client (masked) or a server sends it."""
    head = bytes([fin << 7 | rsv << 4 | opcode])
    size, mask = len(payload), 0x80 if masked else 0
    if size < 126:
        head += bytes([mask | size])
    elif size < 65536:
        head += bytes([mask | 126]) + size.to_bytes(2, "big")
    else:
        head += bytes([mask | 127]) + size.to_bytes(8, "big")
    if not masked:
        return head + payload
    return head + b"\1\2\3\4" + bytes(byte ^ (at % 4 + 1) for at, byte in enumerate(payload))


def close(code: int, reason: str = "", *, masked: bool = False) -> bytes:
    return frame(8, code.to_bytes(2, "big") + reason.encode(), masked=masked)


def asking(**options: Any) -> WebSocket:
    return WebSocket("client", Request(host="example.org", target="/chat"), **options)


@inbound
def accept(event: Event) -> list[Event | Reply[Event]]:
    """Every request is accepted."""
    return [Reply(AcceptConnection())] if isinstance(event, Request) else [event]


def accepting(**options: Any) -> Duplex[Any, Event, Event, bytes]:
    return WebSocket("server", **options) | accept


def server(head: bytes = ASKED, **options: Any) -> Harness:
    """A server whose handshake is over."""
    harness = Harness(accepting(**options))
    harness.receive(head + END_OF_HEAD)
    harness.received.clear()
    harness.replies.clear()
    harness.sent.clear()
    return harness


def client(head: bytes = b"", **options: Any) -> Harness:
    """A client whose handshake is over."""
    harness = Harness(asking(**options))
    key = harness.replies[0].partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0]
    answer = ACCEPTED.replace(b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", generate_accept_token(key))
    harness.receive(answer + head + END_OF_HEAD)
    assert isinstance(harness.received.pop(), AcceptConnection)
    harness.replies.clear()
    return harness


def wire_error(harness: Harness, *pieces: bytes) -> RemoteProtocolError:
    with pytest.raises(RemoteProtocolError) as info:
        harness.receive(*pieces)
    assert harness.outbound_ended
    return info.value


def cuts(wire: bytes) -> Iterable[list[bytes]]:
    return ([wire[:at], b"", wire[at:]] for at in range(1, len(wire)))


def compressed(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


FRAMES = b"".join(
    [
        frame(1, "a\u00e9\r\n".encode()),
        frame(2, b"\0\1"),
        frame(10, b"pong"),
        frame(2, b"ab", fin=False),
        frame(9, b"ping"),
        frame(0, b"", fin=False),
        frame(0, b"cd"),
        frame(1, b"\xe2\x82", fin=False),
        frame(0, b"\xac!"),
        frame(1, b""),
        close(1001, "going", masked=True),
    ]
)


# ---- two pipelines


Peer: TypeAlias = Pipeline[Event, Event]


@asynccontextmanager
async def joined() -> AsyncIterator[tuple[Peer, Peer, trio.Nursery]]:
    """A client and a server, in memory, whose handshake is over; and a nursery."""
    near, far = trio.testing.memory_stream_pair()
    serving = Pipeline[Event, Event](far, WebSocket("server"))

    async def answer() -> None:
        assert isinstance(await serving.receive(), Request)
        await serving.send(AcceptConnection())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        async with Pipeline[Event, Event](near, asking()) as asker:
            assert isinstance(await asker.receive(), AcceptConnection)
            yield asker, serving, nursery
