r"""One port, two protocols: the first byte decides.

    python examples/two_protocols_one_port.py            # the server and both kinds of client, over real sockets
    python examples/two_protocols_one_port.py serve      # or the server alone

    {"name": "Ada"}              a person with nc or telnet: JSON, one object after the other
    \0\0\0\x0f{"name": "Ada"}    a program: JSON with a length of four bytes before it

`Peek` shows the first byte and uses up none: the chain that is put in its place begins with that very byte.
"""

from __future__ import annotations

import argparse
import logging
from functools import partial
from typing import Any

import trio

from pipeline import Codec, FrameError, Pipeline, open_tcp_pipeline, serve_tcp
from stages import JSONCodec, JSONFramer, LengthFramer, Peek

HOST = "127.0.0.1"
PATIENCE_SECONDS = 10
"""How long a client may take for its first byte."""

log = logging.getLogger("greeter")


def make_text_chain() -> Codec[bytes, Any]:
    return JSONFramer(max_bytes=1000) | JSONCodec()


def make_binary_chain() -> Codec[bytes, Any]:
    return LengthFramer(4, max_bytes=1000) | JSONCodec()


# ---- the server


async def serve_either(pipeline: Pipeline[Any, Any]) -> None:
    """Find out what the client speaks; behind that, both are served alike."""
    try:
        with trio.fail_after(PATIENCE_SECONDS):
            first = await pipeline.receive()
    except (trio.EndOfChannel, trio.TooSlowError):
        return  # it has nothing to say
    chain = make_binary_chain() if first == b"\0" else make_text_chain()
    await pipeline.replace(Peek, chain)
    log.info("%r: %r", first, pipeline.chain)
    await greet(pipeline)


async def greet(pipeline: Pipeline[Any, Any]) -> None:
    """Greet whoever is named."""
    try:
        async for message in pipeline:
            await pipeline.send({"hello": message["name"]})
    except (FrameError, ValueError, LookupError, TypeError):
        await pipeline.send({"error": "that is neither"})


async def serve(port: int, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED) -> None:
    """Serve until cancelled; says which port it became."""
    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(serve_tcp, host=HOST), serve_either, port, Peek)
        port = listener.socket.getsockname()[1]
        print(f"both on {HOST}:{port}", flush=True)
        task_status.started(port)


# ---- the clients


async def ask(port: int, chain: Codec[bytes, Any]) -> None:
    shown = repr(chain)
    async with await open_tcp_pipeline(HOST, port, chain) as pipeline:
        await pipeline.send({"name": "Ada"})
        print(f"{shown}  ->  {await pipeline.receive()}", flush=True)


async def show() -> None:
    """The server and its clients in one process, over sockets."""
    async with trio.open_nursery() as nursery:
        port = await nursery.start(serve, 0)
        await ask(port, make_text_chain())
        await ask(port, make_binary_chain())
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="One port that serves two protocols.")
    parser.add_argument("command", nargs="?", choices=["serve"], help="only the server (without: clients, too)")
    parser.add_argument("--port", type=int, default=8010, help="the port to serve on, 0: any (%(default)s)")
    arguments = parser.parse_args()
    if arguments.command:
        logging.basicConfig(level=logging.INFO, format="%(name)s %(message)s")
    try:
        if arguments.command:
            trio.run(serve, arguments.port)
        else:
            trio.run(show)
    except* KeyboardInterrupt:
        print("closed")
