"""Penstock among the peers: the contract is in README.md of the peers benchmark, `penstock.toml` names this file to it.

Written as a user would, with public names only: peer.py ingest PORT | memory PORT | echo
"""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import trio

from pipeline import Codec, Inbound, Outbound, Pipeline, open_tcp_pipeline, serve_tcp
from stages import JSONCodec, LineFramer, Tap

HOST = "127.0.0.1"


class Consumer:
    """Counts items and sums their `id`."""

    def __init__(self) -> None:
        self.count = self.total = self.tapped = 0

    def tap(self, direction: str, item: Any) -> None:
        self.tapped += 1

    def add(self, item: Any) -> None:
        self.total += item["id"]
        self.count += 1

    def report(self) -> None:
        print(json.dumps({"count": self.count, "sum": self.total, "tap": self.tapped}), flush=True)


async def ingest(port: int) -> None:
    consumer = Consumer()
    chain = LineFramer(ending="lf") | JSONCodec() | Tap(consumer.tap)
    async with await open_tcp_pipeline(HOST, port, chain) as pipeline:
        async for item in pipeline:
            consumer.add(item)
    consumer.report()


async def memory(port: int) -> None:
    """The same with a slow consumer."""
    consumer = Consumer()
    chain = LineFramer(ending="lf") | JSONCodec() | Tap(consumer.tap)
    async with await open_tcp_pipeline(HOST, port, chain) as pipeline:
        async for item in pipeline:
            consumer.add(item)
            if consumer.count == 1:
                await trio.sleep(2)
            elif consumer.count % 4096 == 0:
                await trio.sleep(0.02)
    consumer.report()


@dataclass(slots=True)
class Message:
    """`TYPE:DATA`."""

    type: str
    data: str


class MessageDecoder(Inbound[bytes, Message]):
    def process_sync(self, item: bytes, /) -> list[Message]:
        type_, _, data = item.decode().partition(":")
        return [Message(type_, data)]


class MessageEncoder(Outbound[Message, bytes]):
    keeps_outbound_state = False

    def process_sync(self, item: Message, /) -> list[bytes]:
        return [f"{item.type}:{item.data}".encode()]


class MessageCodec(Codec[bytes, Message]):
    def __init__(self) -> None:
        self.inbound = MessageDecoder()
        self.outbound = MessageEncoder()


def reply_to(message: Message) -> Message:
    match message.type:
        case "ECHO":
            return message
        case "PING":
            return Message("PONG", message.data)
        case unknown:
            return Message("ERROR", f"unknown type {unknown}")


async def answer(pipeline: Pipeline[Message, Message]) -> None:
    async for message in pipeline:
        await pipeline.send(reply_to(message))


async def echo() -> None:
    serve = partial(serve_tcp, answer, 0, lambda: LineFramer(ending="lf") | MessageCodec(), host=HOST)
    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(serve)
        print(listener.socket.getsockname()[1], flush=True)


WORKLOADS: dict[str, Callable[..., Awaitable[None]]] = {"ingest": ingest, "memory": memory, "echo": echo}

if __name__ == "__main__":
    workload, *ports = sys.argv[1:]
    trio.run(WORKLOADS[workload], *map(int, ports))
