"""What `WebSocket` costs beside bare wsproto in a loop written by hand, on trio: messages per second, and CPU of each.

    python tests/benchmarks/websocket.py            print the table
    python tests/benchmarks/websocket.py --write    put it into docs/stages/WebSocket.md

Each server is a process of its own, which sends back every message; eight connections send in turn, always 32 bytes
of text. Best of some rounds, taken in turns, so that what else the machine does meets both.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))  # run as a script, it is to find the clone's packages

import trio
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Event, Ping, Request, TextMessage

from pipeline import Pipeline, serve_tcp
from stages import WebSocket
from tests.benchmarks.http1 import cpu_seconds
from tests.benchmarks.page import ROOT, run

PAGE = ROOT / "docs/stages/WebSocket.md"
HEAD = "| | messages per second |"
TEXT = "x" * 32
REQUEST = (
    b"GET /echo HTTP/1.1\r\nHost: example.org\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
MESSAGE = bytes([0x81, 0x80 | len(TEXT), 0, 0, 0, 0]) + TEXT.encode()
ANSWER = bytes([0x81, len(TEXT)]) + TEXT.encode()
CONNECTIONS = 8
KINDS = ("by hand", "WebSocket")


async def by_hand(stream: trio.SocketStream) -> None:
    """Bare wsproto, with all that the stage does for a server whose clients behave, but for the limits."""
    connection = WSConnection(ConnectionType.SERVER)
    while data := await stream.receive_some(65536):
        connection.receive_data(data)
        for event in connection.events():
            if type(event) is TextMessage:
                await stream.send_all(connection.send(event))
            elif type(event) is Request:
                await stream.send_all(connection.send(AcceptConnection()))
            elif type(event) is Ping or type(event) is CloseConnection:
                await stream.send_all(connection.send(event.response()))


async def with_stage(pipeline: Pipeline[Event, Event]) -> None:
    """The same with the stage."""
    async for event in pipeline:
        if type(event) is TextMessage:
            await pipeline.send(event)
        elif type(event) is Request:
            await pipeline.send(AcceptConnection())


async def serve(kind: str) -> None:
    async with trio.open_nursery() as nursery:
        if kind == "by hand":
            (listener,) = await nursery.start(partial(trio.serve_tcp, host="127.0.0.1"), by_hand, 0)
        else:
            serving: Any = partial(serve_tcp, host="127.0.0.1")
            (listener,) = await nursery.start(serving, with_stage, 0, partial(WebSocket, "server"))
        print(listener.socket.getsockname()[1], flush=True)


@contextmanager
def server(kind: str) -> Iterator[tuple[subprocess.Popen[str], list[socket.socket]]]:
    """A server of the kind, and connections whose handshake is over."""
    process = subprocess.Popen([sys.executable, __file__, kind], stdout=subprocess.PIPE, text=True)
    stack = ExitStack()
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        ends = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(CONNECTIONS)]
        for end in ends:
            end.sendall(REQUEST)
            assert read(end, until=b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
        yield process, ends
    finally:
        process.kill()  # first: that the ends go without a close is an error, which would be logged
        process.communicate()
        stack.close()


def read(end: socket.socket, *, until: bytes) -> bytes:
    data = b""
    while not data.endswith(until):
        piece = end.recv(65536)
        if not piece:
            raise ConnectionError("the server closed the connection")
        data += piece
    return data


def ask(ends: list[socket.socket], messages: int) -> None:
    """Let all connections send, then read all that comes back, until there were so many messages."""
    for _ in range(messages // len(ends)):
        for end in ends:
            end.sendall(MESSAGE)
        for end in ends:
            read(end, until=ANSWER)


def measure(messages: int = 16000, rounds: int = 10) -> dict[str, tuple[float, float]]:
    """For each server, messages per second and microseconds of CPU per message: the best round of each."""
    found: dict[str, list[tuple[float, float]]] = {kind: [] for kind in KINDS}
    with ExitStack() as stack:
        servers = {kind: stack.enter_context(server(kind)) for kind in found}
        for _, ends in servers.values():
            ask(ends, messages // 10)
        for _ in range(rounds):
            for kind, (process, ends) in servers.items():
                cpu, start = cpu_seconds(process), time.perf_counter()
                ask(ends, messages)
                seconds = time.perf_counter() - start
                found[kind].append((messages / seconds, (cpu_seconds(process) - cpu) / messages * 1e6))
    return {kind: (max(each[0] for each in row), min(each[1] for each in row)) for kind, row in found.items()}


def table(found: dict[str, tuple[float, float]]) -> str:
    """The figures in Markdown."""
    rows = [f"{HEAD} CPU per message |", "|---|---:|---:|"]
    return "\n".join([*rows, *(f"| {kind} | {speed:,.0f} | {cpu:.0f} µs |" for kind, (speed, cpu) in found.items())])


def main(arguments: list[str] | None = None, **sizes: int) -> None:
    run("What WebSocket costs beside bare wsproto.", HEAD, lambda: table(measure(**sizes)), arguments, page=PAGE)


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1] in KINDS:  # it is one of the servers
        trio.run(serve, sys.argv[1])
    else:
        main()
