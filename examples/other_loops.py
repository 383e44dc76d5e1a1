"""The very same chain without trio: over blocking sockets, and under asyncio.

    python examples/other_loops.py                          # a conversation with each
    python examples/other_loops.py blocking --port 8009     # or serve until Ctrl+C
    python examples/other_loops.py asyncio --port 8009

Stages never read or write. `Engine` runs a chain of them, and whoever has the bytes drives it: feed what was
read, write what it gives. This is all that a driver must do for chains like the one below; a chain with timers
or pauses also has it look at `engine.deadline` and `engine.wants_input`, as `Pipeline`, the driver for trio, does.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import socket
from collections.abc import AsyncIterator, Iterator

from pipeline import END, NEED_INPUT, Duplex, Engine, Inbound, Reply, Result, Waiting, inbound
from stages import LineFramer, TextCodec

HOST = "127.0.0.1"


@inbound
def answer_pings(line: str) -> Result[str]:
    """A stage that answers the wire itself: the reply turns round, from here."""
    return [Reply("pong")] if line == "ping" else [line]


def make_chain() -> Duplex[bytes, str, str, bytes]:
    """The chain that runs on both."""
    return LineFramer() | TextCodec() | answer_pings


# ---- over blocking sockets


def items_of(engine: Engine[str, str], sock: socket.socket) -> Iterator[str]:
    """The items for the client, until the end of the stream."""
    engine.start()
    while (item := engine.next_item()) is not END:
        if isinstance(item, Waiting):
            raise TypeError(f"{item.stage_name} waits, and there is no event loop here to wait with")
        if item is not NEED_INPUT:
            yield item
        elif not write(engine, sock):  # what stages replied goes out before we wait; more may have waited behind it
            data = sock.recv(65536)
            if data:
                engine.feed(data)
            else:
                engine.feed_eof()


def write(engine: Engine[str, str], sock: socket.socket) -> bool:
    """Write all that is to be written, and tell whether there was anything."""
    wrote = False
    while data := engine.to_write():
        if isinstance(data, Waiting):
            raise TypeError(f"{data.stage_name} waits, and there is no event loop here to wait with")
        for piece in data:
            sock.sendall(piece)
        wrote = True
    return wrote


def shout_over_a_socket(sock: socket.socket) -> None:
    """Answer each line in capitals, then close."""
    engine = Engine(make_chain(), byte_wire=True)
    with sock:
        try:
            for line in items_of(engine, sock):
                engine.send(line.upper())
                write(engine, sock)
            engine.send_eof()
            write(engine, sock)
        finally:
            engine.close()


def serve_one(listener: socket.socket) -> None:
    """Serve one client; what it does wrong ends its own connection only."""
    sock, _ = listener.accept()
    try:
        shout_over_a_socket(sock)
    except Exception as error:
        print(f"a connection failed and was closed: {error!r}", flush=True)


# ---- under asyncio: the same two loops, which now may wait


class Fingerprint(Inbound[str, str]):
    """Add a hash to each line, made by a thread meanwhile: a stage that really waits, on asyncio's loop.

    in:  "hello"        out:  "hello 2cf24dba"
    """

    async def process(self, item: str, /) -> list[str]:
        digest = await asyncio.to_thread(hashlib.sha256, item.encode())
        return [f"{item} {digest.hexdigest()[:8]}"]


async def async_items_of(
    engine: Engine[str, str], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> AsyncIterator[str]:
    """The items for the client, until the end of the stream."""
    engine.start()
    while (item := engine.next_item()) is not END:
        if isinstance(item, Waiting):
            await item  # at once, in this task; then the same call is made again
        elif item is not NEED_INPUT:
            yield item
        elif not await async_write(engine, writer):
            data = await reader.read(65536)
            if data:
                engine.feed(data)
            else:
                engine.feed_eof()


async def async_write(engine: Engine[str, str], writer: asyncio.StreamWriter) -> bool:
    """Write all that is to be written, and tell whether there was anything."""
    wrote = False
    while data := engine.to_write():
        if isinstance(data, Waiting):
            await data
        else:
            writer.writelines(data)
            await writer.drain()
            wrote = True
    return wrote


async def shout_under_asyncio(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each line in capitals, with its hash, then close."""
    engine = Engine(make_chain() | Fingerprint(), byte_wire=True)
    try:
        async for line in async_items_of(engine, reader, writer):
            engine.send(line.upper())
            await async_write(engine, writer)
        engine.send_eof()
        await async_write(engine, writer)
    except Exception as error:
        print(f"a connection failed and was closed: {error!r}", flush=True)
    finally:
        engine.close()
        writer.close()


async def serve_asyncio(listener: socket.socket) -> None:
    async with await asyncio.start_server(shout_under_asyncio, sock=listener) as server:
        await server.serve_forever()


# ---- a conversation with each


def converse(address: tuple[str, int]) -> None:
    """What a client sees, byte for byte."""
    with socket.create_connection(address, timeout=10) as sock:
        for wire in (b"hello\r\n", b"ping\n", b"two\nlines\n"):
            sock.sendall(wire)
            print(f"  {wire!r}")
            received = b""
            while received.count(b"\n") < wire.count(b"\n"):
                received += sock.recv(65536)
            print(f"      ->  {received!r}")


async def show() -> None:
    """Both servers, one after the other, with the same client."""
    with socket.create_server((HOST, 0)) as listener:
        print(f"over blocking sockets: {make_chain()!r}")
        serving = asyncio.create_task(asyncio.to_thread(serve_one, listener))
        await asyncio.to_thread(converse, listener.getsockname())
        await serving
    with socket.create_server((HOST, 0)) as listener:
        print(f"under asyncio: {make_chain() | Fingerprint()!r}")
        async with await asyncio.start_server(shout_under_asyncio, sock=listener):
            await asyncio.to_thread(converse, listener.getsockname())


def main(loop: str | None, port: int) -> None:
    if loop is None:
        asyncio.run(show())
        return
    with socket.create_server((HOST, port)) as listener:
        print(f"{loop} server on {HOST}:{listener.getsockname()[1]}", flush=True)
        if loop == "blocking":
            while True:
                serve_one(listener)
        else:
            asyncio.run(serve_asyncio(listener))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="One chain under asyncio and over blocking sockets.")
    parser.add_argument("loop", nargs="?", choices=["blocking", "asyncio"], help="serve with; without it: show both")
    parser.add_argument("--port", type=int, default=8009, help="the port to listen on, 0: any (%(default)s)")
    arguments = parser.parse_args()
    try:
        main(arguments.loop, arguments.port)
    except KeyboardInterrupt:
        print("closed")
