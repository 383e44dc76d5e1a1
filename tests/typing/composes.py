"""Samples that must type-check; `test_typing.py` has them checked, nobody runs them.

Parameters stand for values: `framer: Codec[bytes, bytes]` is any such stage.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any, assert_type

import trio

from pipeline import (
    END,
    Attended,
    Calls,
    Codec,
    Duplex,
    End,
    Engine,
    Inbound,
    Outbound,
    Passthrough,
    Pipeline,
    Reply,
    Result,
    StreamRules,
    Streams,
    Substream,
    inbound,
    open_attended,
    open_calls,
    open_streams,
    open_tcp_pipeline,
    outbound,
    serve_tcp,
)


class Message: ...


class Request: ...


class Response: ...


class Decode(Inbound[bytes, str]):
    """A stage which never waits."""

    def process_sync(self, item: bytes, /) -> Iterator[str]:
        yield item.decode()


class Encode(Outbound[str, bytes]):
    """A stage which may wait."""

    async def process(self, item: str, /) -> list[bytes]:
        await trio.lowlevel.checkpoint()
        return [item.encode()]


class Pong(Inbound[bytes, bytes]):
    """A stage with replies and an end among its results."""

    async def process(self, item: bytes, /) -> Result[bytes]:
        return [Reply(b"pong"), END] if item == b"ping" else [item]

    async def start(self) -> Result[bytes]:
        return ()

    @property
    def ready(self) -> bool:
        return True

    @property
    def deadline(self) -> float | None:
        return None


class TextCodec(Codec[bytes, str]):
    """A duplex that sets its halves itself."""

    def __init__(self, encoding: str = "utf-8") -> None:
        self.inbound = Decode()
        self.outbound = Encode()


def codecs_compose_in_both_directions(
    framer: Codec[bytes, bytes], text: Codec[bytes, str], message: Codec[str, Message]
) -> None:
    assert_type(framer | text, Duplex[bytes, str, str, bytes])
    assert_type(framer | text | message, Duplex[bytes, Message, Message, bytes])
    assert_type(framer | (text | message), Duplex[bytes, Message, Message, bytes])


def what_goes_in_may_differ_from_what_comes_out(
    framer: Codec[bytes, bytes], server: Duplex[bytes, Request, Response, bytes]
) -> None:
    assert_type(framer | server, Duplex[bytes, Request, Response, bytes])


def one_direction_stays_one_direction(
    decode: Inbound[bytes, str],
    parse: Inbound[str, Message],
    encode: Outbound[str, bytes],
    show: Outbound[Message, str],
) -> None:
    assert_type(decode | parse, Inbound[bytes, Message])
    assert_type(encode | show, Outbound[Message, bytes])


def two_directions_make_a_duplex(
    decode: Inbound[bytes, str], parse: Inbound[str, Message], encode: Outbound[str, bytes], text: Codec[bytes, str]
) -> None:
    assert_type(decode | encode, Duplex[bytes, str, str, bytes])
    assert_type(encode | decode, Duplex[bytes, str, str, bytes])
    assert_type(text | parse, Duplex[bytes, Message, str, bytes])
    assert_type(decode | encode | parse, Duplex[bytes, Message, str, bytes])


def one_direction_passes_the_other_unseen(
    upper: Inbound[bytes, bytes], lower: Outbound[bytes, bytes], text: Codec[bytes, str]
) -> None:
    assert_type(upper | text, Duplex[bytes, str, str, bytes])
    assert_type(lower | text, Duplex[bytes, str, str, bytes])


def a_tap_takes_its_neighbours_types(
    tap: Passthrough,
    framer: Codec[bytes, bytes],
    text: Codec[bytes, str],
    decode: Inbound[bytes, str],
    encode: Outbound[str, bytes],
) -> None:
    assert_type(framer | tap | text | tap, Duplex[bytes, str, str, bytes])
    assert_type(tap | framer, Duplex[bytes, bytes, bytes, bytes])
    assert_type(tap | decode, Inbound[bytes, str])
    assert_type(decode | tap, Inbound[bytes, str])
    assert_type(tap | encode, Outbound[str, bytes])
    assert_type(encode | tap, Outbound[str, bytes])
    assert_type(tap | tap, Passthrough)
    assert_type(framer | (tap | tap) | text, Duplex[bytes, str, str, bytes])


def a_more_general_stage_fits(
    decode: Inbound[bytes, str],
    anything: Inbound[object, Message],
    bools: Inbound[bytes, bool],
    ints: Inbound[int, str],
) -> None:
    assert_type(decode | anything, Inbound[bytes, Message])
    assert_type(bools | ints, Inbound[bytes, str])


def classes_written_by_a_user(framer: Codec[bytes, bytes]) -> None:
    assert_type(framer | TextCodec("ascii"), Duplex[bytes, str, str, bytes])
    assert_type(framer | Pong() | Decode() | Encode(), Duplex[bytes, str, str, bytes])
    assert_type(Duplex(Decode(), Encode()), Duplex[bytes, str, str, bytes])


@inbound
def words(line: str) -> list[str]:
    return line.split()


@outbound
async def lines(message: Message) -> Iterable[str]:
    await trio.lowlevel.checkpoint()
    return [str(message)]


@inbound
def until_dot(line: str) -> list[str | End]:
    return [END] if line == "." else [line]


def functions_as_stages(text: Codec[bytes, str]) -> None:
    assert_type(words, Inbound[str, str])
    assert_type(lines, Outbound[Message, str])
    assert_type(until_dot, Inbound[str, str])
    assert_type(text | words | lines, Duplex[bytes, str, Message, bytes])
    assert_type(inbound(str.split), Inbound[str, str])


async def a_stage_alone(text: Codec[bytes, str]) -> None:
    assert_type(await text.inbound.process(b"x"), "Result[str]")
    assert_type(await text.outbound.process("x"), "Result[bytes]")
    assert_type(await Encode().process("x"), list[bytes])


def an_engine_has_the_clients_types(server: Duplex[bytes, Request, Response, bytes]) -> None:
    engine = Engine(server)
    engine.send(Response())
    item = engine.next_item()
    if isinstance(item, Request):
        assert_type(item, Request)


async def a_pipeline_has_the_clients_types(
    stream: trio.abc.Stream, server: Duplex[bytes, Request, Response, bytes]
) -> AsyncIterator[Request]:
    async with Pipeline(stream, server) as pipeline:
        assert_type(pipeline, Pipeline[Request, Response])
        assert_type(await pipeline.receive(), Request)
        await pipeline.send(Response())
        await pipeline.send_many([Response()])
        async for request in pipeline:
            assert_type(request, Request)
            yield request
        async for batch in pipeline.batches():
            for request in batch:
                assert_type(request, Request)


def a_pipeline_is_a_channel(pipeline: Pipeline[Request, Response]) -> None:
    receive: trio.abc.ReceiveChannel[Request] = pipeline
    send: trio.abc.SendChannel[Response] = pipeline
    del receive, send


async def serving_and_connecting(framer: Codec[bytes, bytes], text: Codec[bytes, str]) -> None:
    def make_chain() -> Duplex[bytes, str, str, bytes]:
        return framer | text

    async def handler(pipeline: Pipeline[str, str]) -> None:
        async for line in pipeline:
            await pipeline.send(line)

    async with trio.open_nursery() as nursery:
        await nursery.start(serve_tcp, handler, 0, make_chain)
        await serve_tcp(handler, 0, make_chain, host="127.0.0.1", max_connections=10)
        await serve_tcp(handler, 0, lambda: framer | text)

    async with await open_tcp_pipeline("127.0.0.1", 1, framer | text) as pipeline:
        assert_type(pipeline, Pipeline[str, str])


async def any_transport(
    halves: tuple[trio.abc.ReceiveStream, trio.abc.SendStream],
    channel: trio.MemoryReceiveChannel[bytes],
    under: Pipeline[Any, Any],
    text: Codec[bytes, str],
) -> None:
    assert_type(Pipeline(halves, text), Pipeline[str, str])
    assert_type(Pipeline(channel, text), Pipeline[str, str])
    assert_type(Pipeline(under, text), Pipeline[str, str])


async def calls_have_the_pipelines_types(pipeline: Pipeline[Response, Request], anything: Pipeline) -> None:
    async with open_calls(pipeline) as calls:
        assert_type(calls, Calls[Response, Request])
        assert_type(await calls.call(Request()), Response)
        await calls.notify(Request())
        async for event in calls.events:
            assert_type(event, Response)
    async with open_calls(pipeline, id, request_key=hash, is_event=bool, max_events=9, on_full="fail") as calls:
        assert_type(calls, Calls[Response, Request])
    async with open_calls(anything, lambda message: message["id"]) as untyped:
        await untyped.call({"id": 1})


async def streams_have_the_pipelines_types(pipeline: Pipeline[Response, Request], anything: Pipeline) -> None:
    async with open_streams(pipeline) as streams:
        assert_type(streams, Streams[Response, Request])
        async for stream in streams:
            assert_type(stream, Substream[Response, Request])
            assert_type(await stream.receive(), Response)
            await stream.send(Request())
        assert_type(streams.open(), Substream[Response, Request])
        async for event in streams.events:
            assert_type(event, Response)
    rules = StreamRules(key=id, ends=bool, eof=lambda key: key)
    async with open_streams(pipeline, rules, overflow="block", max_stream_bytes=9, max_streams=9) as streams:
        assert_type(streams, Streams[Response, Request])
    async with open_streams(anything, key=lambda message: message["stream"]) as untyped:
        await untyped.open(1).send({"stream": 1})


async def attended_has_the_pipelines_types(pipeline: Pipeline[Request, Response]) -> None:
    async with open_attended(pipeline, max_items=4) as attended:
        assert_type(attended, Attended[Request, Response])
        assert_type(await attended.receive(), Request)
        await attended.send(Response())
        async for request in attended:
            assert_type(request, Request)
