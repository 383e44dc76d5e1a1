"""A client for the chat server: sends each line that you type, and prints the answer.

python examples/chat_server.py        # in another terminal
python examples/chat_client.py
"""

from __future__ import annotations

import argparse
import sys

import trio

from pipeline import Codec, open_tcp_pipeline
from stages import LineFramer, TextCodec


def make_chain() -> Codec[bytes, str]:
    """Lines of text, each ended by CRLF."""
    return LineFramer(ending="crlf") | TextCodec()


async def main(host: str, port: int) -> None:
    async with await open_tcp_pipeline(host, port, make_chain()) as pipeline:
        async for line in trio.wrap_file(sys.stdin):
            await pipeline.send(line.rstrip("\r\n"))
            try:
                print(await pipeline.receive(), flush=True)
            except trio.EndOfChannel:
                break


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Talk to the chat server; a single . closes.")
    parser.add_argument("--host", default="127.0.0.1", help="where the server is (%(default)s)")
    parser.add_argument("--port", type=int, default=8007, help="the server's port (%(default)s)")
    arguments = parser.parse_args()
    try:
        trio.run(main, arguments.host, arguments.port)
    except OSError as error:
        sys.exit(f"{error}. Is the server running? python examples/chat_server.py")
    except trio.BrokenResourceError as error:
        sys.exit(f"the server has gone: {error}")
