"""What the tests of the wire end share: real transports in pairs, and a few stages."""

from __future__ import annotations

import fcntl
import functools
import os
import ssl
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import trio
import trio.testing
import trustme

from pipeline import Inbound, IncompleteFrameError, Outbound, Reply

Bytes: TypeAlias = "bytes | bytearray | memoryview"

# Of a TCP connection on Linux: what waits to be acknowledged or sent, and what waits to be sent. Python has no names.
SIOCOUTQ, SIOCOUTQNSD = 0x5411, 0x894B


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


class Answers(Inbound[Any, Any]):
    """Replies what it gets, many times over."""

    def __init__(self, times: int = 1) -> None:
        self.times = times

    def process_sync(self, item: Any, /) -> list[Any]:
        return [Reply(item)] * self.times


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


async def memory_pair() -> tuple[Any, Any]:
    await trio.lowlevel.checkpoint()
    return trio.testing.memory_stream_pair()


async def lockstep_pair() -> tuple[Any, Any]:
    await trio.lowlevel.checkpoint()
    return trio.testing.lockstep_stream_pair()


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


async def tls_pair() -> tuple[Any, Any]:
    return tls(*await tcp_pair())


async def tls_in_memory() -> tuple[Any, Any]:
    return tls(*await memory_pair())


async def clog(stream: trio.SocketStream, data: bytes = b"x" * 65536) -> int:
    """Fill a connection until it takes nothing more, with this again and again; returns how many bytes went in."""
    count = 0
    while True:
        await trio.lowlevel.checkpoint()
        settled = not _in_flight(stream.socket.fileno())
        try:
            count += os.write(stream.socket.fileno(), data)
        except BlockingIOError:
            if settled:
                return count
            time.sleep(0.001)  # noqa: ASYNC251 - the kernel's time, not the test's clock's


def _in_flight(fd: int) -> int:
    """Bytes that TCP has sent, and the peer's kernel acknowledges soon (0.04 seconds later), which makes room here."""
    try:
        waiting, unsent = (struct.unpack("i", fcntl.ioctl(fd, what, bytes(4)))[0] for what in (SIOCOUTQ, SIOCOUTQNSD))
    except OSError:  # it is no TCP; or this is no Linux, where it is taken as it is
        return 0
    return int(waiting - unsent)


def small_buffers(*streams: trio.SocketStream) -> None:
    """Let the kernel keep little; with less, TCP has to wait for its timers."""
    for stream in streams:
        stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_SNDBUF, 65536)
        stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, 65536)


async def read_all(stream: trio.abc.ReceiveStream) -> bytes:
    """What comes until the end."""
    return b"".join([bytes(piece) async for piece in stream])


PATIENCE = 60
"""Seconds after which something that hangs fails: many, as a machine may have other things to do."""


async def until(condition: Callable[[], Any]) -> None:
    """Wait for what the kernel or another task brings about in its own time."""
    with trio.fail_after(PATIENCE):
        while not condition():  # noqa: ASYNC110 - what is waited for sets no event
            await trio.sleep(0.001)


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
