"""A protocol of messages, `TYPE:DATA` on a line, as a codec of one's own: server and client.

    python examples/messages.py                             # both, over a real socket
    python examples/messages.py serve --port 8008           # or apart
    python examples/messages.py send --port 8008 PING:hello EXIT

`PING` is answered with `PONG:ack`, `EXIT` ends the connection, any other type gets an `ERROR`.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from functools import partial

import trio

from pipeline import Codec, Inbound, Outbound, Pipeline, open_tcp_pipeline, serve_tcp
from stages import LineFramer, TextCodec

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Message:
    """`TYPE:DATA`; of a line without a colon all is type."""

    type: str
    data: str = ""


class MessageDecoder(Inbound[str, Message]):
    """Make messages of lines.

    in:  "PING:hello"        out:  Message("PING", "hello")
    """

    def process_sync(self, item: str, /) -> list[Message]:
        kind, _, data = item.partition(":")
        return [Message(kind, data)]


class MessageEncoder(Outbound[Message, str]):
    """Make lines of messages.

    in:  Message("PONG", "ack")        out:  "PONG:ack"
    """

    keeps_outbound_state = False  # so that a send() which failed in here, or was cancelled, had no effect

    def process_sync(self, item: Message, /) -> list[str]:
        if ":" in item.type:  # a line break is LineFramer's to refuse
            raise ValueError(f"the peer would take another type out of {item}: leave the colon out of it")
        return [f"{item.type}:{item.data}"]


class MessageCodec(Codec[str, Message]):
    """Both directions as one stage; each half can be tested, and used, alone."""

    def __init__(self) -> None:
        self.inbound = MessageDecoder()
        self.outbound = MessageEncoder()


def make_chain() -> Codec[bytes, Message]:
    """Bytes ─► lines ─► text ─► messages, and back; what is no UTF-8 becomes an unknown type."""
    return LineFramer(max_bytes=4096) | TextCodec(errors="replace") | MessageCodec()


async def serve_client(pipeline: Pipeline[Message, Message]) -> None:
    """Answer each message until EXIT, or the end of the stream."""
    async for message in pipeline:
        match message.type:
            case "PING":
                await pipeline.send(Message("PONG", "ack"))
            case "EXIT":
                return
            case unknown:
                await pipeline.send(Message("ERROR", f"unknown type {unknown}"))


async def serve(port: int, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED) -> None:
    """Serve until cancelled; says which port it became, to the caller and on the terminal."""
    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(serve_tcp, host=HOST), serve_client, port, make_chain)
        port = listener.socket.getsockname()[1]
        print(f"serving messages on {HOST}:{port}, chain: {make_chain()!r}", flush=True)
        task_status.started(port)


async def send(port: int, lines: list[str]) -> None:
    """Send each message, and show what comes back for it, until the server closes."""
    async with await open_tcp_pipeline(HOST, port, make_chain()) as pipeline:
        for line in lines:
            (message,) = MessageDecoder().process_sync(line)  # a stage can be called by hand, too
            await pipeline.send(message)
            try:
                answer = await pipeline.receive()
            except trio.EndOfChannel:
                print(f"{message}  ->  the connection was closed", flush=True)
                return
            print(f"{message}  ->  {answer}", flush=True)


async def show() -> None:
    """Server and client, in one process, over a socket."""
    async with trio.open_nursery() as nursery:
        port = await nursery.start(serve, 0)
        await send(port, ["PING:hello", "PING", "DANCE:tango", "EXIT"])
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A server and a client of TYPE:DATA messages.")
    commands = parser.add_subparsers(dest="command", help="without one: a short conversation of both")
    server = commands.add_parser("serve", help="serve until Ctrl+C")
    server.add_argument("--port", type=int, default=8008, help="the port to listen on, 0: any (%(default)s)")
    client = commands.add_parser("send", help="send messages and show the answers")
    client.add_argument("--port", type=int, default=8008, help="the server's port (%(default)s)")
    client.add_argument("messages", nargs="+", metavar="TYPE:DATA")
    arguments = parser.parse_args()
    try:
        match arguments.command:
            case "serve":
                trio.run(serve, arguments.port)
            case "send":
                trio.run(send, arguments.port, arguments.messages)
            case _:
                trio.run(show)
    except* OSError as errors:
        sys.exit(f"{errors.exceptions[0]}")  # nobody is there, or somebody else is
    except* KeyboardInterrupt:
        print("closed")
