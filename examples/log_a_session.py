r"""A tap between any two stages: one session, seen as bytes, as lines, as text and as objects.

    python examples/log_a_session.py                  # all four
    python examples/log_a_session.py bytes objects    # or only some

A tap changes nothing, holds nothing and may stand anywhere. Read the log from the top: an item has passed all
taps, and been answered, before the next one is even made. Nothing is hurried through a chain that nobody asked for.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections import Counter
from functools import partial
from typing import Any

import trio

from pipeline import Codec, Pipeline, serve_tcp
from stages import LineFramer, Logger, Map, Tap, TextCodec

HOST = "127.0.0.1"
TAPS = ["bytes", "lines", "text", "objects"]

EXCHANGES = [b'{"say": "hi"}\n{"say": "gr\xc3', b'\xbc\xc3\x9fe"}\n']
"""What the client writes before it waits for an answer: a network cuts where it likes, also inside a character."""


def make_chain(sizes: Counter[str]) -> Codec[bytes, Any]:
    """Bytes ─► lines ─► text ─► objects, with a tap at each place."""

    def count(direction: str, data: bytes) -> None:
        sizes[direction] += len(data)

    return (
        Logger("bytes")
        | Tap(count)  # any function of yours: metrics, a recording, an assertion
        | LineFramer()
        | Logger("lines")
        | TextCodec()
        | Logger("text")
        | Map(inbound=json.loads, outbound=partial(json.dumps, ensure_ascii=False))
        | Logger("objects")
    )


async def answer(pipeline: Pipeline[Any, Any]) -> None:
    async for message in pipeline:
        await pipeline.send({"heard": message["say"]})


async def talk(port: int) -> None:
    """Be the client: a plain stream, so that all that is logged is the server's."""
    async with await trio.open_tcp_stream(HOST, port) as stream:
        for data in EXCHANGES:
            await stream.send_all(data)
            while not (await stream.receive_some()).endswith(b"\n"):
                pass
        await stream.send_eof()
        await stream.receive_some()  # the end: the server has seen ours


async def main() -> None:
    sizes: Counter[str] = Counter()
    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(serve_tcp, host=HOST), answer, 0, lambda: make_chain(sizes))
        await talk(listener.socket.getsockname()[1])
        nursery.cancel_scope.cancel()
    print(f"in all {sizes['inbound']} bytes in, {sizes['outbound']} bytes out")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="One session, logged at four places of its chain.")
    parser.add_argument("taps", nargs="*", metavar="TAP", help=f"which of {', '.join(TAPS)} (all)")
    arguments = parser.parse_args()
    if unknown := set(arguments.taps) - set(TAPS):
        parser.error(f"there is no tap {', '.join(sorted(unknown))}: take some of {', '.join(TAPS)}")
    logging.basicConfig(stream=sys.stdout, format="%(name)-8s %(message)s")
    for name in arguments.taps or TAPS:
        logging.getLogger(name).setLevel(logging.DEBUG)  # a tap whose logger is off costs next to nothing
    trio.run(main)
