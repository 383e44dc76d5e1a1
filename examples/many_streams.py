"""Many streams over one connection, with a protocol of one's own: each is begun, fed, ended and given up for itself.

    python examples/many_streams.py                      # server and client, over a real socket
    python examples/many_streams.py serve --port 8012    # or apart
    python examples/many_streams.py ask --port 8012

The server sorts: a client opens a stream, sends lines of text, ends its direction, and gets the lines back in order.
All streams share one connection, and a slow one does not hold up the others. One JSON object a line:

    {"stream": 1, "line": "pear"}       a line of text of stream 1, which is begun by its first one
    {"stream": 1, "end": true}          no more of them
    {"stream": 1, "reset": "why"}       this stream is given up
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from itertools import count
from typing import Any, TypeAlias

import trio

from pipeline import Codec, Pipeline, StreamRules, Streams, Substream, open_streams, open_tcp_pipeline, serve_tcp
from stages import JSONCodec, LineFramer

HOST = "127.0.0.1"
MAX_LINES = 100

Message: TypeAlias = dict[str, Any]
SortStream: TypeAlias = Substream[Message, Message]


def make_chain() -> Codec[bytes, Message]:
    return LineFramer(max_bytes=4096) | JSONCodec()


class GivenUpError(trio.BrokenResourceError):
    """The peer gave a stream up."""


def make_rules() -> StreamRules:
    """What `open_streams` must know of this protocol."""
    return StreamRules(
        key=lambda message: message.get("stream"),
        ends=lambda message: "end" in message,
        hides=lambda message: "end" in message,  # it says nothing but that
        error=lambda message: GivenUpError(message["reset"]) if "reset" in message else None,
        sends_end=lambda message: "end" in message,
        eof=lambda key: {"stream": key, "end": True},
        reset=lambda key, reason: {"stream": key, "reset": reason or "not needed any more"},
        new_key=count(1).__next__,
    )


# ---- the server


async def serve_client(pipeline: Pipeline[Message, Message]) -> None:
    async with open_streams(pipeline, make_rules()) as streams, trio.open_nursery() as nursery:
        async for stream in streams:
            nursery.start_soon(sort, stream)


async def sort(stream: SortStream) -> None:
    """Take the lines of one stream, and give them back in order."""
    try:
        async with stream:
            lines = []
            async for message in stream:
                lines.append(message["line"])
                if len(lines) > MAX_LINES:
                    stream.reset(f"more than {MAX_LINES} lines")
                    return
            for line in sorted(lines):
                await stream.send({"stream": stream.key, "line": line})
    except trio.BrokenResourceError as error:
        print(f"stream {stream.key} was given up: {error}", flush=True)


async def serve(port: int, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED) -> None:
    """Serve until cancelled; says which port it became, to the caller and on the terminal."""
    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(serve_tcp, host=HOST), serve_client, port, make_chain)
        port = listener.socket.getsockname()[1]
        print(f"sorting on {HOST}:{port}, chain: {make_chain()!r}", flush=True)
        task_status.started(port)


# ---- the client


async def sorted_by_server(streams: Streams[Message, Message], lines: list[str], seconds: float = 0) -> list[str]:
    """Let the server sort lines, that are there one by one."""
    async with streams.open() as stream:
        for line in lines:
            await stream.send({"stream": stream.key, "line": line})
            await trio.sleep(seconds)
        await stream.send_eof()
        return [message["line"] async for message in stream]


async def show(streams: Streams[Message, Message], name: str, lines: list[str], seconds: float = 0) -> None:
    print(f"{name}: {', '.join(await sorted_by_server(streams, lines, seconds))}", flush=True)


async def give_up(streams: Streams[Message, Message]) -> None:
    with trio.move_on_after(0.05):
        await show(streams, "never", ["slow", "slower"], seconds=1)
    print("a stream takes too long: that one is given up, the others go on", flush=True)


async def show_refusal(streams: Streams[Message, Message]) -> None:
    try:
        await sorted_by_server(streams, ["again"] * (MAX_LINES + 1))
    except trio.BrokenResourceError as error:
        print(f"the server gave up a stream: {error.__cause__ or error}", flush=True)


async def ask(port: int) -> None:
    """Have several things sorted at once, over one connection."""
    async with (
        await open_tcp_pipeline(HOST, port, make_chain()) as pipeline,
        open_streams(pipeline, make_rules()) as streams,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(show, streams, "fruit", ["pear", "fig", "apple"], 0.2)  # begun first, over last
        nursery.start_soon(show, streams, "colours", ["red", "green", "blue"])
        nursery.start_soon(give_up, streams)
        nursery.start_soon(show_refusal, streams)


async def show_both() -> None:
    """Server and client, in one process, over a socket."""
    async with trio.open_nursery() as nursery:
        port = await nursery.start(serve, 0)
        await ask(port)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Many streams over one connection.")
    parser.add_argument("command", nargs="?", choices=["serve", "ask"], help="one end only (without: both)")
    parser.add_argument("--port", type=int, default=8012, help="the port of one end (%(default)s)")
    arguments = parser.parse_args()
    try:
        match arguments.command:
            case "serve":
                trio.run(serve, arguments.port)
            case "ask":
                trio.run(ask, arguments.port)
            case _:
                trio.run(show_both)
    except* OSError as errors:
        sys.exit(f"{errors.exceptions[0]}")  # nobody is there, or somebody else is
    except* KeyboardInterrupt:
        print("closed")
