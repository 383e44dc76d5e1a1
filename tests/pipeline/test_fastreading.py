"""Receiving while there is nothing to do but to read: the same as the long way."""

from __future__ import annotations

import random
import socket
import struct
from typing import Any

import pytest
import trio
import trio.testing

from pipeline import Inbound, Pipeline, inbound
from stages import LineFramer, Map

from .parts import tcp_pair


async def test_receives_go_on_with_what_the_read_before_became() -> None:
    """Reads that became no item, one, or several; up to the end."""
    async with tcp_pair() as (near, far), Pipeline(near, LineFramer()) as pipeline:
        await far.send_all(b"a\nb\nc")
        assert [b"a", b"b"] == [await pipeline.receive() for _ in range(2)]
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def receive() -> None:
                assert b"cde" == await pipeline.receive()

            for piece in (b"d", b"e", b"\nf\n"):
                await trio.testing.wait_all_tasks_blocked(0.01)
                await far.send_all(piece)
        assert b"f" == await pipeline.receive()
        await far.send_eof()
        with pytest.raises(trio.EndOfChannel):
            await pipeline.receive()


async def test_what_waits_in_a_stage_is_waited_for() -> None:
    """Where nothing comes of its item, the next read is."""

    class Naps(Inbound[bytes, bytes]):
        async def process(self, line: bytes, /) -> list[bytes]:
            if line in {b"nap", b"none"}:
                await trio.sleep(10)
            return [] if line == b"none" else [line]

    async with tcp_pair() as (near, far), Pipeline(near, LineFramer() | Naps()) as pipeline:
        for line in (b"a", b"b", b"nap", b"c", b"d"):
            await far.send_all(line + b"\n")
            assert line == await anext(pipeline)
        await far.send_all(b"none\n")
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def send_later() -> None:
                await trio.sleep(20)
                await far.send_all(b"e\n")

            assert b"e" == await anext(pipeline)
        assert 30 == trio.current_time()


async def test_a_receive_that_waits_lets_a_change_in_and_goes_on() -> None:
    async with tcp_pair() as (near, far), Pipeline(near, LineFramer()) as pipeline, trio.open_nursery() as nursery:

        @nursery.start_soon
        async def receive() -> None:
            assert b"A" == await anext(pipeline)

        await trio.testing.wait_all_tasks_blocked()
        await pipeline.insert(Map(inbound=bytes.upper), at="client")
        await far.send_all(b"a\n")


async def test_a_receive_that_fails_in_a_stage_or_in_the_transport() -> None:
    """The error is told once, as itself; what comes then says that inbound is broken."""

    def refuse(line: bytes) -> bytes:
        if line == b"bad":
            raise ValueError("refused")
        return line

    for sent, error in (b"bad\n", ValueError), (None, trio.BrokenResourceError):
        async with tcp_pair() as (near, far), Pipeline(near, LineFramer() | Map(inbound=refuse)) as pipeline:
            await far.send_all(b"good\n")
            assert b"good" == await pipeline.receive()
            if sent:
                await far.send_all(sent)
            else:
                far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                await far.aclose()
            with pytest.raises(error):
                await pipeline.receive()
            with pytest.raises(trio.BrokenResourceError, match="inbound is broken"):
                await pipeline.receive()


async def test_what_waits_behind_several_stages_comes_before_the_next_read() -> None:
    def twice(which: bytes) -> Any:
        return inbound(lambda line: [line] * (1 + (line == which)))

    async with tcp_pair() as (near, far), Pipeline(near, LineFramer() | twice(b"b") | twice(b"c")) as pipeline:
        await far.send_all(b"a\nb\nc\n")
        assert [b"a", b"b", b"b", b"c"] == [await anext(pipeline) for _ in range(4)]
        await far.send_all(b"d\n")
        assert [b"c", b"d"] == [await anext(pipeline) for _ in range(2)]


async def test_a_first_stage_that_fails_on_what_was_read_breaks_inbound() -> None:
    def boom(item: bytes) -> bytes:
        raise ValueError("boom")

    async with tcp_pair() as (near, far), Pipeline(near, Map(inbound=boom)) as pipeline:
        await far.send_all(b"x")
        with pytest.raises(ValueError, match="boom") as info:
            await pipeline.receive()
        assert "inbound stage Map (stage 1 of 1" in info.value.__notes__[0]
        with pytest.raises(trio.BrokenResourceError):
            await pipeline.receive()


def test_random_reads_are_the_same_however_much_patience_there_is() -> None:
    """More lines in one read than may pass without a checkpoint."""
    rng = random.Random(3)
    lines = [b"%d" % rng.randrange(10**6) for _ in range(3500)]

    async def read() -> list[bytes]:
        async with tcp_pair() as (near, far), trio.open_nursery() as nursery, Pipeline(near, LineFramer()) as pipeline:
            nursery.start_soon(far.send_all, b"\n".join(lines) + b"\n")
            return [await anext(pipeline) for _ in lines]

    assert lines == trio.run(read)
