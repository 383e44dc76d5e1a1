"""What `HTTP2` costs beside bare h2 in a loop written by hand, on trio.

    python tests/benchmarks/http2.py            print it, a minute
    python tests/benchmarks/http2.py --write    put it into docs/stages/HTTP2.md

The answer is 1 KiB; each connection has one request open, or ten. How it is measured stands in `beside.py`.
"""

from __future__ import annotations

import socket
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # run as a script, it is to find the clone's packages

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import trio

from pipeline import Pipeline
from stages import HTTP2, HTTP2Item, SendData, SendHeaders
from tests.benchmarks.beside import Beside, read

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


class WithStreams:
    """One connection, whose requests cost this process little: each is the same few bytes but for the stream."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end
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
        read(self.end, self.size * times)


BESIDE = Beside(
    "HTTP2", "h2", Path(__file__), by_hand, with_stage, partial(HTTP2, "server"), WithStreams, at_once=AT_ONCE
)

if __name__ == "__main__":
    BESIDE.script_main()
