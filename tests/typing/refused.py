"""Samples that must not type-check: each line that says `# error: rule` must give that error, no other line any.

The rule is mypy's name for it; `test_typing.py` knows what pyright calls the same.
"""

from __future__ import annotations

import trio

from pipeline import (
    Codec,
    Duplex,
    Engine,
    Inbound,
    Outbound,
    Passthrough,
    Pipeline,
    inbound,
    open_attended,
    open_calls,
    serve_tcp,
)
from stages import JSONCodec, LineFramer, Map, TextCodec


class Request: ...


class Response: ...


def neighbours_must_fit(
    framer: Codec[bytes, bytes],
    text: Codec[bytes, str],
    decode: Inbound[bytes, str],
    encode: Outbound[str, bytes],
    numbers: Codec[int, float],
) -> None:
    text | framer  # error: operator
    framer | numbers  # error: operator
    decode | decode  # error: operator
    encode | encode  # error: operator
    text | decode  # error: operator
    text | encode  # error: operator
    framer | text | numbers  # error: operator


def each_direction_is_checked(
    framer: Codec[bytes, bytes],
    only_inward_fits: Duplex[bytes, str, str, str],
    only_outward_fits: Duplex[str, str, str, bytes],
    server: Duplex[bytes, Request, Response, bytes],
    parse: Inbound[Response, str],
) -> None:
    framer | only_inward_fits  # error: operator
    framer | only_outward_fits  # error: operator
    server | parse  # error: operator


def a_tap_does_not_hide_what_does_not_fit(
    tap: Passthrough, text: Codec[bytes, str], framer: Codec[bytes, bytes]
) -> None:
    text | tap | framer  # error: operator
    text | (tap | framer)  # error: operator


def only_stages_join(framer: Codec[bytes, bytes], text: Codec[bytes, str]) -> None:
    framer | str.upper  # error: operator
    framer | None  # error: operator
    str.upper | text  # error: operator


class ReturnsOneItem(Inbound[bytes, int]):
    async def process(self, item: bytes, /) -> int:  # error: override
        return len(item)


class ReturnsNothing(Inbound[bytes, int]):
    def process_sync(self, item: bytes, /) -> None:  # error: override
        return None


class ReturnsOtherItems(Inbound[bytes, int]):
    async def process(self, item: bytes, /) -> list[str]:  # error: override
        return [item.decode()]


class TakesOtherItems(Inbound[bytes, int]):
    async def process(self, item: str, /) -> list[int]:  # error: override
        return [len(item)]


class FinishesWithOtherItems(Outbound[str, bytes]):
    async def finish(self) -> list[str]:  # error: override
        return ["end"]


class IsNotAwaited(Inbound[bytes, int]):
    def process(self, item: bytes, /) -> list[int]:  # error: override
        return [len(item)]


def one(line: str) -> int:
    return len(line)


def a_function_must_return_items() -> None:
    inbound(one)  # error: arg-type


def halves_have_a_direction(decode: Inbound[bytes, str], encode: Outbound[str, bytes]) -> None:
    Duplex(encode, decode)  # error: arg-type


async def an_item_is_one_of_the_chains(
    stream: trio.abc.Stream, server: Duplex[bytes, Request, Response, bytes], decode: Inbound[bytes, str]
) -> None:
    pipeline = Pipeline(stream, server)
    await pipeline.send(Request())  # error: arg-type
    await pipeline.send_many([Request()])  # error: list-item
    response: Response = await pipeline.receive()  # error: assignment
    Engine(server).send(Request())  # error: arg-type
    await server.outbound.process(Request())  # error: arg-type


async def a_handler_takes_what_the_chain_gives(text: Codec[bytes, str]) -> None:
    async def handler(pipeline: Pipeline[bytes, bytes]) -> None: ...

    await serve_tcp(handler, 0, lambda: text)  # error: misc


def a_pipeline_needs_a_transport_and_a_chain(stream: trio.abc.Stream, text: Codec[bytes, str]) -> None:
    Pipeline("localhost", text)  # error: arg-type
    Pipeline(stream, one)  # error: arg-type


async def a_typed_codec_is_checked(stream: trio.abc.Stream) -> None:
    pipeline = Pipeline(stream, LineFramer() | JSONCodec(Request))
    await pipeline.send(Response())  # error: arg-type
    LineFramer() | TextCodec() | JSONCodec(Request)  # error: operator
    Map(inbound=len) | TextCodec()  # error: operator


async def a_call_takes_a_request_and_gives_a_reply(pipeline: Pipeline[Response, Request]) -> None:
    async with open_calls(pipeline) as calls:
        await calls.call(Response())  # error: arg-type
        await calls.notify(Response())  # error: arg-type
        request: Request = await calls.call(Request())  # error: assignment
    open_calls(pipeline, on_full="block")  # error: arg-type


async def an_attended_pipeline_takes_what_the_chain_takes(pipeline: Pipeline[Response, Request]) -> None:
    async with open_attended(pipeline) as attended:
        await attended.send(Response())  # error: arg-type
        request: Request = await attended.receive()  # error: assignment
