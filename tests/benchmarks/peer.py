"""Penstock among the peers: the contract is in README.md of the peers benchmark, `penstock.toml` names this file to it.

Written as a user would, with public names only: peer.py SYSTEM ingest PORT | memory PORT | echo
"""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
import trio

from pipeline import Duplex, Inbound, Pipeline, open_tcp_pipeline, serve_tcp
from stages import JSONCodec, LineFramer, Map, Tap

HOST = "127.0.0.1"


class Record(msgspec.Struct):
    """What a line of the generator is."""

    id: int
    name: str
    value: float
    ok: bool


class Same(Inbound[Any, Any]):
    """Passes each item on."""

    def process_one(self, item: Any, /) -> Any:
        return item


class SameInList(Inbound[Any, Any]):
    """The same, as a stage that could give any number of results."""

    def process_sync(self, item: Any, /) -> list[Any]:
        return [item]


def same(item: Any) -> Any:
    """The same, for `Map`."""
    return item


class SameAsync(Inbound[Any, Any]):
    """The same, as a stage that could wait."""

    async def process(self, item: Any, /) -> list[Any]:
        return [item]


class Consumer:
    """Counts items and sums their `id`."""

    def __init__(self) -> None:
        self.count = self.total = self.tapped = 0

    def tap(self, direction: str, item: Any) -> None:
        self.tapped += 1

    def add(self, item: Any) -> None:
        self.total += item["id"]
        self.count += 1

    def add_record(self, item: Record) -> None:
        self.total += item.id
        self.count += 1

    def report(self) -> None:
        print(json.dumps({"count": self.count, "sum": self.total, "tap": self.tapped}), flush=True)


def untyped(consumer: Consumer) -> Any:
    """JSON lines by the standard library."""
    return LineFramer(ending="lf") | JSONCodec() | Tap(consumer.tap)


def typed(consumer: Consumer) -> Any:
    """JSON lines by msgspec."""
    return LineFramer(ending="lf") | JSONCodec(Record) | Tap(consumer.tap)


def plus4(consumer: Consumer) -> Any:
    return untyped(consumer) | Same() | Same() | Same() | Same()


def plus4_list(consumer: Consumer) -> Any:
    return untyped(consumer) | SameInList() | SameInList() | SameInList() | SameInList()


def plus4_map(consumer: Consumer) -> Any:
    return untyped(consumer) | Map(inbound=same) | Map(inbound=same) | Map(inbound=same) | Map(inbound=same)


def plus4_async(consumer: Consumer) -> Any:
    return untyped(consumer) | SameAsync() | SameAsync() | SameAsync() | SameAsync()


async def ingest(make_chain: Callable[[Consumer], Any], port: int) -> None:
    consumer = Consumer()
    add = consumer.add_record if make_chain is typed else consumer.add
    async with await open_tcp_pipeline(HOST, port, make_chain(consumer)) as pipeline:
        async for item in pipeline:
            add(item)
    consumer.report()


async def ingest_batches(port: int) -> None:
    consumer = Consumer()
    async with await open_tcp_pipeline(HOST, port, typed(consumer)) as pipeline:
        async for batch in pipeline.batches():
            for item in batch:
                consumer.add_record(item)
    consumer.report()


async def memory(port: int) -> None:
    """JSON lines with a slow consumer."""
    consumer = Consumer()
    async with await open_tcp_pipeline(HOST, port, untyped(consumer)) as pipeline:
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


def decode(line: bytes) -> Message:
    type_, _, data = line.decode().partition(":")
    return Message(type_, data)


def encode(message: Message) -> bytes:
    return f"{message.type}:{message.data}".encode()


def reply_to(message: Message) -> Message:
    match message.type:
        case "ECHO":
            return message
        case "PING":
            return Message("PONG", message.data)
        case unknown:
            return Message("ERROR", f"unknown type {unknown}")


def make_messages() -> Duplex[Any, Message, Message, bytes]:
    """The chain of one connection."""
    return LineFramer(ending="lf") | Map(inbound=decode, outbound=encode)


async def answer(pipeline: Pipeline[Message, Message]) -> None:
    async for message in pipeline:
        await pipeline.send(reply_to(message))


async def answer_batches(pipeline: Pipeline[Message, Message]) -> None:
    async for batch in pipeline.batches():
        await pipeline.send_many(map(reply_to, batch))


async def echo(
    handler: Callable[[Pipeline[Message, Message]], Awaitable[None]] = answer, *, merge_writes: bool = False
) -> None:
    serve = partial(serve_tcp, handler, 0, make_messages, host=HOST)
    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(serve, merge_writes=merge_writes))
        print(listener.socket.getsockname()[1], flush=True)


SYSTEMS: dict[str, dict[str, Callable[..., Awaitable[None]]]] = {
    "default": {"ingest": partial(ingest, untyped), "memory": memory, "echo": echo},
    "msgspec": {"ingest": partial(ingest, typed)},
    "batches": {"ingest": ingest_batches},
    "merged": {"echo": partial(echo, merge_writes=True)},
    "merged-batches": {"echo": partial(echo, answer_batches, merge_writes=True)},
    "plus4": {"ingest": partial(ingest, plus4)},
    "plus4-list": {"ingest": partial(ingest, plus4_list)},
    "plus4-map": {"ingest": partial(ingest, plus4_map)},
    "plus4-async": {"ingest": partial(ingest, plus4_async)},
}

if __name__ == "__main__":
    system, workload, *ports = sys.argv[1:]
    trio.run(SYSTEMS[system][workload], *map(int, ports))
