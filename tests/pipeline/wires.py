"""What the tests of the wire end share: real transports in pairs, and a few stages."""

from __future__ import annotations

import functools
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import trio
import trustme

from pipeline import Inbound, IncompleteFrameError, Outbound

Bytes: TypeAlias = "bytes | bytearray | memoryview"


class Lines(Inbound[bytes, bytes]):
    """Cuts at LF and can give back what it holds; an unfinished line at the end is an error."""

    def __init__(self) -> None:
        self.rest = b""

    def process_sync(self, item: bytes, /) -> list[bytes]:
        *lines, self.rest = (self.rest + item).split(b"\n")
        return lines

    async def finish(self) -> tuple[()]:
        if self.rest:
            raise IncompleteFrameError("the stream ended inside a line", leftover=self.rest)
        return ()

    def unread(self, outputs: Any, /) -> list[bytes]:
        rest, self.rest = self.rest, b""
        return [*(line + b"\n" for line in outputs), rest]


class Closing(Outbound[bytes, bytes]):
    """Writes a terminator when it finishes, counts what is done to it, and raises at close if it is told to."""

    keeps_outbound_state = False

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.finished = self.closed = 0

    def process_sync(self, item: bytes, /) -> list[bytes]:
        return [item]

    async def finish(self) -> list[bytes]:
        self.finished += 1
        return [b"."]

    def close(self) -> None:
        self.closed += 1
        if self.error is not None:
            raise self.error


class Recorder(trio.abc.Stream):
    """A stream which is never read to an end, and remembers each write."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.closed = 0

    async def send_all(self, data: Bytes) -> None:
        await trio.lowlevel.checkpoint()
        self.writes.append(bytes(data))

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.sleep_forever()
        raise AssertionError("unreachable")

    async def aclose(self) -> None:
        self.closed += 1
        await trio.lowlevel.checkpoint()


class Clogged(Recorder):
    """A stream whose peer never reads."""

    async def send_all(self, data: Bytes) -> None:
        await trio.sleep_forever()

    async def wait_send_all_might_not_block(self) -> None:
        await trio.sleep_forever()


class Recording(trio.abc.HalfCloseableStream):
    """Keeps each write apart; what is read comes from a list."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = list(chunks)
        self.writes: list[bytes] = []
        self.gate = trio.Event()
        self.gate.set()

    async def send_all(self, data: Any) -> None:
        await trio.lowlevel.checkpoint()
        await self.gate.wait()
        self.writes.append(bytes(data))

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        return self.chunks.pop(0) if self.chunks else b""

    async def send_eof(self) -> None:
        self.writes.append(b"<eof>")

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


async def tcp_pair() -> tuple[trio.SocketStream, trio.SocketStream]:
    """Two ends of a TCP connection on the loopback."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        near = await trio.open_tcp_stream("127.0.0.1", listener.socket.getsockname()[1])
        return near, await listener.accept()


async def unix_pair() -> tuple[trio.SocketStream, trio.SocketStream]:
    """Two ends of a connection of Unix sockets."""
    await trio.lowlevel.checkpoint()
    near, far = trio.socket.socketpair()
    return trio.SocketStream(near), trio.SocketStream(far)


@functools.cache
def tls_contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """For a client and for the server "localhost"."""
    authority = trustme.CA()
    client, server = ssl.create_default_context(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.configure_trust(client)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(server)
    return client, server


def tls(
    near: trio.abc.Stream, far: trio.abc.Stream
) -> tuple[trio.SSLStream[trio.abc.Stream], trio.SSLStream[trio.abc.Stream]]:
    """TLS on two ends, before the handshake; the far one is the server."""
    client, server = tls_contexts()
    return (
        trio.SSLStream(near, client, server_hostname="localhost"),
        trio.SSLStream(far, server, server_side=True),
    )


async def clog(stream: trio.SocketStream) -> int:
    """Fill a connection until it takes nothing more; returns how many bytes went in."""
    count = 0
    with trio.move_on_after(0.02):
        while True:
            count += await stream.socket.send(b"x" * 65536)
    return count


def small_buffers(*streams: trio.SocketStream) -> None:
    """Let the kernel keep little; with less, TCP has to wait for its timers."""
    for stream in streams:
        stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_SNDBUF, 65536)
        stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, 65536)


async def read_all(stream: trio.abc.ReceiveStream) -> bytes:
    """What comes until the end."""
    return b"".join([bytes(piece) async for piece in stream])


async def all_of(stream: trio.abc.ReceiveStream, size: int) -> bytes:
    """The next so many bytes, and what came with them."""
    data = bytearray()
    while len(data) < size:
        data += await stream.receive_some()
    return bytes(data)


@asynccontextmanager
async def both_closed(*ends: trio.abc.AsyncResource) -> AsyncIterator[None]:
    """Close everything at the end of the block, however it ended."""
    try:
        yield
    finally:
        for end in ends:
            await trio.aclose_forcefully(end)
