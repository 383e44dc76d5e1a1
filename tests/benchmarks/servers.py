"""The servers that `loops.py` and `connections.py` measure: ours, and the same by hand on trio and on asyncio.

    python tests/benchmarks/servers.py SYSTEM sum | answer

They take lines of JSON. `sum` adds up their `id`, as what only takes messages in; `answer` sends each one back, as what
is asked. A line may have 64 KiB in all of them. When a connection ends, the server prints what it cost.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))  # run as a script, it is to find the clone's packages

import msgspec
import trio

from pipeline import Pipeline, serve_tcp
from stages import JSONCodec, LineFramer
from tests.benchmarks.framing_by_hand import Lines
from tests.benchmarks.processes import HOST

LIMIT = 65536


class Message(msgspec.Struct):
    """What a line is."""

    id: int
    name: str
    tags: list[str]
    ok: bool


def line(number: int) -> bytes:
    """64 bytes, as compact as all of the servers write it."""
    return b'{"id":%d,"name":"some name","tags":["one","two"],"ok":true}\n' % (100_000 + number)


class Connection:
    """What one connection took, and what that cost this process."""

    def __init__(self) -> None:
        self.count = self.total = 0
        self._began = time.process_time_ns()

    def take(self, message: Any) -> None:
        self.count += 1
        self.total += message["id"]

    def take_typed(self, message: Message) -> None:
        self.count += 1
        self.total += message.id

    def report(self) -> None:
        spent = time.process_time_ns() - self._began
        print(json.dumps({"count": self.count, "sum": self.total, "cpu_ns": spent}), flush=True)


# ---- ours


async def take_each(pipeline: Pipeline[Any, Any]) -> None:
    connection = Connection()
    async for message in pipeline:
        connection.take(message)
    connection.report()


async def take_batches(pipeline: Pipeline[Any, Any], *, typed: bool = False) -> None:
    connection = Connection()
    take = connection.take_typed if typed else connection.take
    async for batch in pipeline.batches():
        for message in batch:
            take(message)
    connection.report()


async def answer_each(pipeline: Pipeline[Any, Any]) -> None:
    connection = Connection()
    async for message in pipeline:
        await pipeline.send(message)
    connection.report()


async def answer_batches(pipeline: Pipeline[Any, Any]) -> None:
    connection = Connection()
    async for batch in pipeline.batches():
        await pipeline.send_many(batch)
    connection.report()


def plain_chain() -> Any:
    return LineFramer(max_bytes=LIMIT) | JSONCodec()


def typed_chain() -> Any:
    return LineFramer(max_bytes=LIMIT) | JSONCodec(Message)


async def ours(handler: Callable[[Pipeline[Any, Any]], Awaitable[None]], make_chain: Any, **options: Any) -> None:
    async with trio.open_nursery() as nursery:
        serve: Any = partial(serve_tcp, handler, 0, make_chain, host=HOST, **options)
        (listener,) = await nursery.start(serve)
        print(listener.socket.getsockname()[1], flush=True)


# ---- by hand, on trio

loads = json.JSONDecoder().decode
dumps = json.JSONEncoder(separators=(",", ":")).encode
typed_loads = msgspec.json.Decoder(Message).decode
typed_dumps = msgspec.json.Encoder().encode


async def trio_takes(stream: trio.SocketStream, *, typed: bool = False) -> None:
    connection, lines = Connection(), Lines(LIMIT)
    async for data in stream:
        for text in lines.feed(bytes(data)):
            if typed:
                connection.take_typed(typed_loads(text))
            else:
                connection.take(loads(text.decode()))
    connection.report()


async def trio_answers(stream: trio.SocketStream, *, typed: bool = False) -> None:
    """One write for all that one read asked for."""
    connection, lines = Connection(), Lines(LIMIT)
    async for data in stream:
        if typed:
            answers = [typed_dumps(typed_loads(text)) + b"\n" for text in lines.feed(bytes(data))]
        else:
            answers = [dumps(loads(text.decode())).encode() + b"\n" for text in lines.feed(bytes(data))]
        await stream.send_all(b"".join(answers))
    connection.report()


async def by_hand(handler: Callable[[trio.SocketStream], Awaitable[None]]) -> None:
    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, host=HOST), handler, 0)
        print(listener.socket.getsockname()[1], flush=True)


# ---- asyncio


class Protocol(asyncio.Protocol):
    """Lines by hand; each is an event, as is the way of this interface."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.lines = Lines(LIMIT)

    def connection_made(self, transport: Any) -> None:
        self.connection = Connection()
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        for text in self.lines.feed(data):
            self.line_received(text)

    def line_received(self, text: bytes) -> None:
        raise NotImplementedError

    def connection_lost(self, exc: Exception | None) -> None:
        self.connection.report()


class Takes(Protocol):
    def line_received(self, text: bytes) -> None:
        self.connection.take(loads(text.decode()))


class Answers(Protocol):
    def line_received(self, text: bytes) -> None:
        self.transport.write(dumps(loads(text.decode())).encode() + b"\n")

    def pause_writing(self) -> None:
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self.transport.resume_reading()


async def protocols(make: Callable[[], Protocol]) -> None:
    server = await asyncio.get_running_loop().create_server(make, HOST, 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def streams_take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    connection = Connection()
    async for text in reader:
        connection.take(loads(text.decode()))
    connection.report()
    writer.close()


async def streams_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    connection = Connection()
    async for text in reader:
        writer.write(dumps(loads(text.decode())).encode() + b"\n")
        await writer.drain()
    connection.report()
    writer.close()


async def asyncio_streams(handler: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> None:
    server = await asyncio.start_server(handler, HOST, 0, limit=LIMIT)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


# ---- all of them

Work = Callable[[], object]


def on_trio(serve: Any, *arguments: Any, **options: Any) -> Work:
    return lambda: trio.run(partial(serve, *arguments, **options))


def on_asyncio(serve: Any, *arguments: Any) -> Work:
    return lambda: asyncio.run(serve(*arguments))


SYSTEMS: dict[str, dict[str, Work]] = {
    "Penstock": {"sum": on_trio(ours, take_each, plain_chain), "answer": on_trio(ours, answer_each, plain_chain)},
    "Penstock, `merge_writes=True`": {"answer": on_trio(ours, answer_each, plain_chain, merge_writes=True)},
    "Penstock, `batches()`": {
        "sum": on_trio(ours, take_batches, plain_chain),
        "answer": on_trio(ours, answer_batches, plain_chain),
    },
    "Penstock, `batches()`, msgspec": {
        "sum": on_trio(ours, partial(take_batches, typed=True), typed_chain),
        "answer": on_trio(ours, answer_batches, typed_chain),
    },
    "trio by hand": {"sum": on_trio(by_hand, trio_takes), "answer": on_trio(by_hand, trio_answers)},
    "trio by hand, msgspec": {
        "sum": on_trio(by_hand, partial(trio_takes, typed=True)),
        "answer": on_trio(by_hand, partial(trio_answers, typed=True)),
    },
    "asyncio.Protocol": {"sum": on_asyncio(protocols, Takes), "answer": on_asyncio(protocols, Answers)},
    "asyncio streams": {
        "sum": on_asyncio(asyncio_streams, streams_take),
        "answer": on_asyncio(asyncio_streams, streams_answer),
    },
}

if __name__ == "__main__":
    system, work = sys.argv[1:]
    SYSTEMS[system][work]()
