"""A chat server of lines: it answers each with `You sent: ...`, and a single `.` closes.

    python examples/chat_server.py

Then, in another terminal, any of these:

    python examples/chat_client.py
    telnet localhost 8007
    nc localhost 8007
"""

from __future__ import annotations

import argparse
import logging
from functools import partial

import trio

from pipeline import Codec, FrameError, Pipeline, serve_tcp
from stages import LineFramer, Logger, TextCodec

log = logging.getLogger("chat")


def make_chain() -> Codec[bytes, str]:
    """Text by the line, logged; from wire to client. Each connection gets a chain of its own."""
    lines = LineFramer(max_bytes=1024)  # reads LF, as nc sends it, and CRLF, as telnet does
    lines.outbound = LineFramer(ending="crlf").outbound  # and always writes CRLF: a half is a stage of its own
    return lines | TextCodec() | Logger("chat")


async def chat(pipeline: Pipeline[str, str]) -> None:
    """Serve one client. Whatever goes wrong in here closes this connection only."""
    try:
        async for line in pipeline:
            if line == ".":
                break
            await pipeline.send(f"You sent: {line}")
    except (FrameError, UnicodeError) as error:
        # Only receiving is broken by that, so the client can be told.
        log.info("closing: %s", error)
        await pipeline.send("Goodbye: that is too long, or no line of text")
    except trio.BrokenResourceError:
        log.info("the client vanished")


async def main(host: str, port: int) -> None:
    async with trio.open_nursery() as nursery:
        # `start` returns once the server listens; port 0 is a free port, so ask which one it became.
        (listener, *_) = await nursery.start(partial(serve_tcp, host=host), chat, port, make_chain)
        host, port = listener.socket.getsockname()[:2]
        print(f"chat server on {host}:{port}, chain: {make_chain()!r}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A chat server of lines.")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=8007, help="the port to listen on, 0: any (%(default)s)")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.DEBUG, format="%(asctime)s %(name)s %(message)s")
    try:
        trio.run(main, arguments.host, arguments.port)
    except* KeyboardInterrupt:
        print("chat server closed")
