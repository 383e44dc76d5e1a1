r"""A line protocol that switches to length-prefixed frames, as HTTP's `Upgrade` switches to another protocol.

    python examples/upgrade.py              # both ends, over a real socket
    python examples/upgrade.py serve        # or the server alone, for a client of yours

    client                    server
    hello\n                 ►
                            ◄ you said: hello\n
    UPGRADE frames\n        ►
                            ◄ 101 frames\n
    \0\5a\nb\nc             ►                           from here on: a length of two bytes, then so much text
                            ◄ \0\x0fyou said: a\nb\nc

What follows the switch goes through the new framer to the byte, even if it came in the same segment. The text codec
stays where it is.
"""

from __future__ import annotations

import argparse
from functools import partial

import trio

from pipeline import Codec, FrameError, Pipeline, open_tcp_pipeline, serve_tcp
from stages import LengthFramer, LineFramer, TextCodec

HOST = "127.0.0.1"


def make_chain() -> Codec[bytes, str]:
    return LineFramer(max_bytes=1000) | TextCodec()


async def switch(pipeline: Pipeline[str, str]) -> None:
    """From lines to frames; the stages above see only the text."""
    await pipeline.replace(LineFramer, LengthFramer(2, max_bytes=1000))


# ---- the server


async def echo(pipeline: Pipeline[str, str]) -> None:
    """Answer each line; once asked to, each frame."""
    switched = False
    try:
        async for text in pipeline:
            if text == "UPGRADE frames" and not switched:
                await pipeline.send("101 frames")  # still a line
                await switch(pipeline)
                switched = True
            else:
                await pipeline.send(f"you said: {text}")
    except (FrameError, UnicodeError):
        await pipeline.send("400 that is no text, or too long")


async def serve(port: int, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED) -> None:
    """Serve until cancelled; says which port it became."""
    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(serve_tcp, host=HOST), echo, port, make_chain)
        port = listener.socket.getsockname()[1]
        print(f"echo on {HOST}:{port}, chain: {make_chain()!r}", flush=True)
        task_status.started(port)


# ---- the client


async def talk(port: int) -> None:
    """Say something, ask for frames, and say what is no line."""
    async with await open_tcp_pipeline(HOST, port, make_chain()) as pipeline:
        await ask(pipeline, "hello")
        await ask(pipeline, "UPGRADE frames")
        # The server has switched; it says nothing before this end sends a frame.
        await switch(pipeline)
        await ask(pipeline, "a\nb\nc")
        print(f"the client's chain is now {pipeline.chain!r}")


async def ask(pipeline: Pipeline[str, str], text: str) -> None:
    await pipeline.send(text)
    print(f"{text!r}  ->  {await pipeline.receive()!r}", flush=True)


async def show() -> None:
    """Server and client in one process, over a socket."""
    async with trio.open_nursery() as nursery:
        await talk(await nursery.start(serve, 0))
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A line protocol that switches to frames.")
    parser.add_argument("command", nargs="?", choices=["serve"], help="only the server (without: both ends)")
    parser.add_argument("--port", type=int, default=8009, help="the port to serve on, 0: any (%(default)s)")
    arguments = parser.parse_args()
    try:
        if arguments.command:
            trio.run(serve, arguments.port)
        else:
            trio.run(show)
    except* KeyboardInterrupt:
        print("closed")
