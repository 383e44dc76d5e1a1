"""What a pipeline gives over a socket, where reads go the short way: in batches, and through stages that wait."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from pipeline import Inbound, Pipeline
from stages import LineFramer, Map
from tests.pipeline.parts import tcp_pair
from tests.pipeline.test_fused_waits import Sometimes, ten_seconds


class Async(Inbound[bytes, bytes]):
    """Could wait, and does not."""

    async def process(self, line: bytes, /) -> list[bytes]:
        if not line:
            await trio.sleep(1)
        return [line.upper()]


@asynccontextmanager
async def sent(data: bytes, chain: Any) -> AsyncIterator[Pipeline[Any, Any]]:
    async with tcp_pair() as (near, far), Pipeline(near, chain) as pipeline:
        await far.send_all(data)
        await far.aclose()
        yield pipeline


@pytest.mark.parametrize("stage", [Map(inbound=bytes.upper), Async])
async def test_a_batch_is_what_one_read_became(stage: Any) -> None:
    chain = LineFramer() | (stage() if stage is Async else stage)
    async with sent(b"a\nb\nc\n", chain) as pipeline:
        assert [[b"A", b"B", b"C"]] == [batch async for batch in pipeline.batches()]


@pytest.mark.parametrize("waits", [False, True])
async def test_a_batch_with_an_error_comes_first(*, waits: bool) -> None:
    """Also where one of the stages could wait."""

    def number(line: bytes) -> int:
        return int(line)

    chain: Any = LineFramer() | Async() if waits else LineFramer()
    async with sent(b"1\n2\nx\n3\n", chain | Map(inbound=number)) as pipeline:
        batches = pipeline.batches()
        assert [1, 2] == await anext(batches)
        with pytest.raises(ValueError, match="invalid literal") as caught:
            await anext(batches)
        (note,) = caught.value.__notes__
        assert note.startswith("in inbound stage Map ")
        with pytest.raises(trio.BrokenResourceError):
            await anext(batches)


async def test_a_stage_that_waits_for_the_first_item_of_a_read() -> None:
    stage = Sometimes({b"b": ten_seconds})
    async with tcp_pair() as (near, far), Pipeline(near, LineFramer() | stage) as pipeline:
        await far.send_all(b"a\n")
        got = []
        async for line in pipeline:
            got.append((line, trio.current_time()))
            if line == b"c":
                break
            await far.send_all({b"a": b"b\n", b"b": b"c\n"}[line])
        assert [(b"a", 0), (b"b", 10), (b"c", 10)] == got


async def test_an_error_in_the_first_item_of_a_read() -> None:
    """Each time with its own note; what came before was received."""
    async with tcp_pair() as (near, far), Pipeline(near, LineFramer() | Map(inbound=int)) as pipeline:
        await far.send_all(b"1\n")
        async for number in pipeline:
            assert 1 == number
            break
        await far.send_all(b"x\n")
        with pytest.raises(ValueError, match="invalid literal") as caught:
            await pipeline.receive()
        (note,) = caught.value.__notes__
        assert note.startswith("in inbound stage Map ")


async def test_batches_behind_a_receive() -> None:
    """What `receive` left of a read is a batch."""
    async with sent(b"a\nb\nc\n", LineFramer() | Map(inbound=bytes.upper)) as pipeline:
        assert b"A" == await pipeline.receive()
        assert [[b"B", b"C"]] == [batch async for batch in pipeline.batches()]


async def test_batches_of_a_chain_that_is_to_be_polled() -> None:
    """Each time before it is fed, so its items do not come the short way."""

    class Polled(Inbound[bytes, bytes]):
        def process_sync(self, line: bytes, /) -> list[bytes]:
            return [line]

        def poll(self) -> list[bytes]:
            return []

    async with sent(b"a\nb\nc\n", LineFramer() | Polled()) as pipeline:
        assert [b"a", b"b", b"c"] == [line async for batch in pipeline.batches() for line in batch]
