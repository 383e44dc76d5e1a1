"""What `HTTP2` costs beside bare h2 in a loop written by hand, on trio: requests per second, and CPU per request.

    python tests/benchmarks/http2.py            print it, half a minute
    python tests/benchmarks/http2.py --write    put it into docs/stages/HTTP2.md

Each server is a process of its own; eight connections ask it in turn, each for 1 KiB, one request at a time or ten at
once. Best of some rounds, taken in turns, so that what else the machine does meets both.
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

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import trio

from pipeline import Pipeline, serve_tcp
from stages import HTTP2, HTTP2Item, SendData, SendHeaders
from tests.benchmarks.http1 import cpu_seconds
from tests.benchmarks.page import ROOT, run

PAGE = ROOT / "docs/stages/HTTP2.md"
HEAD = "| | requests per second |"

BODY = b"x" * 1024
HEADERS = [(":status", "200"), ("content-type", "text/plain"), ("content-length", str(len(BODY)))]
REQUEST = [
    (":method", "GET"),
    (":scheme", "http"),
    (":authority", "example.org"),
    (":path", "/some/where?x=1"),
    ("user-agent", "benchmark"),
    ("accept", "*/*"),
]
CONNECTIONS = 8
KINDS = ("by hand", "HTTP2")
AT_ONCE = {1: "one at a time", 10: "ten at once"}


async def by_hand(stream: trio.SocketStream) -> None:
    """Bare h2, as its documentation shows a server: for clients that behave, and with windows that are never full."""
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    connection.initiate_connection()
    connection.increment_flow_control_window(15 * 65535)
    await stream.send_all(connection.data_to_send())
    while data := await stream.receive_some(65536):
        try:
            events = connection.receive_data(data)
        except h2.exceptions.ProtocolError:
            await stream.send_all(connection.data_to_send())
            return
        for event in events:
            if isinstance(event, h2.events.StreamEnded):
                connection.send_headers(event.stream_id, HEADERS)
                connection.send_data(event.stream_id, BODY, end_stream=True)
                await stream.send_all(connection.data_to_send())
            elif isinstance(event, h2.events.DataReceived):
                connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.ConnectionTerminated):
                return
        if rest := connection.data_to_send():
            await stream.send_all(rest)


async def with_stage(pipeline: Pipeline[h2.events.Event, HTTP2Item]) -> None:
    """The same with the stage."""
    async for event in pipeline:
        if isinstance(event, h2.events.StreamEnded):
            stream_id = event.stream_id
            await pipeline.send_many([SendHeaders(stream_id, HEADERS), SendData(stream_id, BODY, end_stream=True)])


async def serve(kind: str) -> None:
    async with trio.open_nursery() as nursery:
        if kind == "by hand":
            (listener,) = await nursery.start(partial(trio.serve_tcp, host="127.0.0.1"), by_hand, 0)
        else:
            serving: Any = partial(serve_tcp, host="127.0.0.1")
            (listener,) = await nursery.start(serving, with_stage, 0, partial(HTTP2, "server"))
        print(listener.socket.getsockname()[1], flush=True)


class Client:
    """One connection, whose requests cost this process little: each is the same few bytes but for the stream."""

    def __init__(self, port: int) -> None:
        self.end = socket.create_connection(("127.0.0.1", port))
        self.end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = h2.connection.H2Connection()
        connection.initiate_connection()
        connection.increment_flow_control_window((1 << 31) - 1 - 65535)
        self.end.sendall(connection.data_to_send())
        self.stream_id = -1
        self._ask(connection)  # twice: from then on all headers are in the table of HPACK
        self._ask(connection)
        connection.send_headers(self.stream_id + 2, REQUEST, end_stream=True)
        self.request = connection.data_to_send()

    def _ask(self, connection: h2.connection.H2Connection) -> None:
        self.stream_id += 2
        connection.send_headers(self.stream_id, REQUEST, end_stream=True)
        self.end.sendall(connection.data_to_send())
        size = 0
        while True:
            data = self.end.recv(65536)
            size += len(data)
            events = connection.receive_data(data)
            if any(isinstance(event, h2.events.StreamEnded) for event in events):
                break
        self.size = size  # of an answer, once nothing else comes with it
        if rest := connection.data_to_send():
            self.end.sendall(rest)

    def ask(self, times: int) -> None:
        requests = []
        for _ in range(times):
            self.stream_id += 2
            requests.append(self.request[:5] + self.stream_id.to_bytes(4, "big") + self.request[9:])
        self.end.sendall(b"".join(requests))

    def read(self, times: int) -> None:
        left = self.size * times
        while left > 0:
            data = self.end.recv(65536)
            if not data:
                raise ConnectionError("the server closed the connection")
            left -= len(data)


@contextmanager
def server(kind: str) -> Iterator[tuple[subprocess.Popen[str], list[Client]]]:
    process = subprocess.Popen([sys.executable, __file__, kind], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        clients = [Client(port) for _ in range(CONNECTIONS)]
        yield process, clients
        for client in clients:
            client.end.close()
    finally:
        process.kill()
        process.communicate()


def ask(clients: list[Client], requests: int, at_once: int) -> None:
    """Let all connections ask, then read all their answers, until there were so many requests."""
    for _ in range(requests // (len(clients) * at_once)):
        for client in clients:
            client.ask(at_once)
        for client in clients:
            client.read(at_once)


def measure(at_once: int, requests: int = 1600, rounds: int = 25) -> dict[str, tuple[float, float]]:
    """For each server, requests per second and microseconds of CPU per request: the best round of each."""
    found: dict[str, list[tuple[float, float]]] = {kind: [] for kind in KINDS}
    with ExitStack() as stack:
        servers = {kind: stack.enter_context(server(kind)) for kind in found}
        for _, clients in servers.values():
            ask(clients, requests // 10, at_once)
        for _ in range(rounds):
            for kind, (process, clients) in servers.items():
                cpu, start = cpu_seconds(process), time.perf_counter()
                ask(clients, requests, at_once)
                seconds = time.perf_counter() - start
                found[kind].append((requests / seconds, (cpu_seconds(process) - cpu) / requests * 1e6))
    return {kind: (max(each[0] for each in row), min(each[1] for each in row)) for kind, row in found.items()}


def table(found: dict[int, dict[str, tuple[float, float]]]) -> str:
    """The figures in Markdown."""
    rows = [f"{HEAD} CPU per request |", "|---|---:|---:|"]
    for at_once, figures in found.items():
        rows += [
            f"| {kind}, {AT_ONCE[at_once]} | {speed:,.0f} | {cpu:.0f} µs |" for kind, (speed, cpu) in figures.items()
        ]
    return "\n".join(rows)


def main(arguments: list[str] | None = None, **sizes: int) -> None:
    def measured() -> str:
        return table({at_once: measure(at_once, **sizes) for at_once in AT_ONCE})

    run("What HTTP2 costs beside bare h2.", HEAD, measured, arguments, page=PAGE)


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1] in KINDS:  # it is one of the servers
        trio.run(serve, sys.argv[1])
    else:
        main()
