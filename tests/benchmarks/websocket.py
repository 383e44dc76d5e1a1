"""What `WebSocket` costs beside bare wsproto in a loop written by hand, on trio.

    python tests/benchmarks/websocket.py            print it, half a minute
    python tests/benchmarks/websocket.py --write    put it into docs/stages/WebSocket.md

Each message, always 32 bytes of text, is sent back. How it is measured stands in `beside.py`.
"""

from __future__ import annotations

import socket
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # run as a script, it is to find the clone's packages

import trio
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Event, Ping, Request, TextMessage

from pipeline import Pipeline
from stages import WebSocket
from tests.benchmarks.beside import Beside, SameAnswers, read_until

TEXT = "x" * 32
REQUEST = (
    b"GET /echo HTTP/1.1\r\nHost: example.org\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
MESSAGE = bytes([0x81, 0x80 | len(TEXT), 0, 0, 0, 0]) + TEXT.encode()
ANSWER = bytes([0x81, len(TEXT)]) + TEXT.encode()


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


def connect(end: socket.socket) -> SameAnswers:
    """A client's connection, the handshake behind it."""
    end.sendall(REQUEST)
    assert read_until(end, b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
    return SameAnswers(end, [MESSAGE], last=ANSWER)


BESIDE = Beside(
    "WebSocket",
    "wsproto",
    Path(__file__),
    by_hand,
    with_stage,
    partial(WebSocket, "server"),
    connect,
    request="message",
)

if __name__ == "__main__":
    BESIDE.script_main()
