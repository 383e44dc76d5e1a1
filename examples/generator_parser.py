r"""A parser as a generator: it asks for a line, or for so many bytes, and yields commands.

    python examples/generator_parser.py

It speaks a small part of memcached's protocol, to itself; with --port 11211 to anybody:

    printf 'set tea 0 0 5\r\ngreen\r\nget tea\r\nquit\r\n' | nc -q 1 localhost 11211
"""

from __future__ import annotations

import argparse
from collections.abc import Generator
from dataclasses import dataclass
from functools import partial
from typing import Any

import trio

from pipeline import Inbound, Pipeline, Reply, serve_tcp
from stages import FromGenerator


@dataclass(frozen=True)
class Set:
    """`set key flags expires bytes`, and its data."""

    key: bytes
    data: bytes


@dataclass(frozen=True)
class Get:
    """`get key`."""

    key: bytes


def commands() -> Generator[Any, Any, None]:
    """The parser: what it needs next it asks for, whatever the network cuts the bytes into."""
    while True:
        line = yield b"\r\n"
        match line.split():
            case [b"set", key, _, _, size] if size.isdigit():
                data = yield int(size) + 2  # and its CRLF
                yield [Set(key, data[:-2])]
            case [b"get", key]:
                yield [Get(key)]
            case [b"quit"]:
                return
            case _:
                yield Reply(b"ERROR\r\n")


def make_chain() -> Inbound[bytes, Set | Get]:
    return FromGenerator[Set | Get](commands, max_bytes=1 << 20, then="end")


async def serve(store: dict[bytes, bytes], pipeline: Pipeline[Set | Get, bytes]) -> None:
    async for command in pipeline:
        match command:
            case Set(key, data):
                store[key] = data
                await pipeline.send(b"STORED\r\n")
            case Get(key) if key in store:
                data = store[key]
                await pipeline.send(b"VALUE %s 0 %d\r\n%s\r\nEND\r\n" % (key, len(data), data))
            case Get():
                await pipeline.send(b"END\r\n")


async def talk(port: int) -> None:
    """A client that sends everything at once, a few bytes at a time."""
    wire = b"set tea 0 0 12\r\ngreen\r\nblack\r\nget tea\r\nbrew\r\nget milk\r\nquit\r\n"
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        for start in range(0, len(wire), 7):
            await stream.send_all(wire[start : start + 7])
        async for data in stream:
            print(data.decode(), end="")


async def main(port: int | None) -> None:
    async with trio.open_nursery() as nursery:
        serving = partial(serve_tcp, host="127.0.0.1")
        (listener,) = await nursery.start(serving, partial(serve, {}), port or 0, make_chain)
        if port is None:
            await talk(listener.socket.getsockname()[1])
            nursery.cancel_scope.cancel()
        else:
            print("serving on {}:{}".format(*listener.socket.getsockname()), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A parser as a generator.")
    parser.add_argument("--port", type=int, help="serve there, 0: anywhere; without it, it talks to itself")
    try:
        trio.run(main, parser.parse_args().port)
    except* KeyboardInterrupt:
        print("closed")
