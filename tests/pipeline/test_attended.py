"""`open_attended` (M3): a pipeline that is received from all the time, while its client works."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from typing import Any

import pytest
import trio
import trio.testing

from pipeline import Attended, Inbound, Passthrough, Pipeline, StageTimeoutError, inbound, open_attended, serve_tcp
from pipeline.testing import pipeline_pair
from stages import LineFramer
from tests.pipeline.parts import Answers, cancelled_at
from tests.pipeline.wires import PATIENCE

settled = trio.testing.wait_all_tasks_blocked


class Ticks(Inbound[bytes, bytes]):
    """Counts seconds, as a stage does which sends something now and then."""

    def __init__(self) -> None:
        self.ticks = 0
        self.deadline: float | None = None

    async def start(self) -> tuple[()]:
        self.deadline = self.now() + 1
        return ()

    def process_sync(self, item: bytes, /) -> list[bytes]:
        return [item]

    async def on_timer(self, now: float, /) -> tuple[()]:
        self.ticks += 1
        self.deadline = now + 1
        return ()


class GivesUp(Inbound[bytes, bytes]):
    """Fails when no item came for so long."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.deadline: float | None = None

    def process_sync(self, item: bytes, /) -> Iterator[bytes]:
        self.deadline = self.now() + self._seconds
        yield item

    async def on_timer(self, now: float, /) -> tuple[()]:
        self.deadline = None
        raise StageTimeoutError("nothing came")


@asynccontextmanager
async def attending(
    chain: Any = None, max_items: int | None = None, **options: Any
) -> AsyncIterator[tuple[Attended, Pipeline, Pipeline]]:
    """An attended pipeline of lines, with the pipeline itself and its peer."""
    lines = LineFramer() | (chain or Passthrough())
    how_many = () if max_items is None else (max_items,)
    async with (
        pipeline_pair(lines, LineFramer(), **options) as (near, far),
        open_attended(near, *how_many) as attended,
    ):
        yield attended, near, far


async def test_it_is_a_channel_like_the_pipeline() -> None:
    """Receive, `async for`, send."""
    async with attending() as (attended, _, peer):
        await peer.send_many([b"one", b"two", b"three"])
        assert b"one" == await attended.receive()
        await attended.send(b"answer")
        assert b"answer" == await peer.receive()
        await peer.send_eof()
        assert [b"two", b"three"] == [item async for item in attended]
        with pytest.raises(trio.EndOfChannel):
            await attended.receive()


async def test_pings_are_answered_while_the_client_works() -> None:
    """With nobody in `receive()`."""
    async with attending(Answers()) as (_, _, peer):
        await peer.send_many([b"work", b"ping"])
        with trio.fail_after(1):
            assert b"pong" == await peer.receive()


@pytest.mark.parametrize("max_items", [None, 1, 3])
async def test_full_it_reads_no_more(max_items: int | None) -> None:
    """A peer that goes on is held back; each item taken lets one more in."""
    async with attending(max_items=max_items, lockstep=True) as (attended, _, peer):
        sent = 0

        async def send() -> None:
            nonlocal sent
            for number in range(50):
                await peer.send(b"%d" % number)
                sent += 1

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            await settled()
            assert (max_items or 16) == sent
            assert b"0" == await attended.receive()
            await settled()
            assert (max_items or 16) + 1 == sent
            assert [b"%d" % number for number in range(1, 50)] == [await attended.receive() for _ in range(49)]


async def test_full_timers_go_on() -> None:
    """Also when another task moves their deadline."""
    ticks = Ticks()
    async with attending(ticks, max_items=2) as (attended, near, peer):
        await peer.send_many([b"1", b"2", b"3"])
        await trio.sleep(10.5)
        assert 10 == ticks.ticks
        ticks.deadline = trio.current_time() + 0.2
        await near.send(b"anything")
        await trio.sleep(0.3)
        assert 11 == ticks.ticks
        assert [b"1", b"2", b"3"] == [await attended.receive() for _ in range(3)]


async def test_a_timer_that_fails_while_it_is_full_comes_after_the_items() -> None:
    """What came before it comes first."""
    async with attending(GivesUp(seconds=5), max_items=2) as (attended, _, peer):
        await peer.send_many([b"1", b"2"])
        await trio.sleep(60)
        assert [b"1", b"2"] == [await attended.receive() for _ in range(2)]
        with pytest.raises(StageTimeoutError, match="nothing came"):
            await attended.receive()


async def test_an_error_comes_in_order() -> None:
    """Once as itself; then the pipeline is known to be broken. Sending works."""

    @inbound
    def fails(item: bytes) -> list[bytes]:
        if item == b"bad":
            raise ValueError("no such item")
        return [item]

    async with attending(fails) as (attended, _, peer):
        await peer.send_many([b"1", b"2", b"bad", b"3"])
        await settled()
        assert [b"1", b"2"] == [await attended.receive() for _ in range(2)]
        with pytest.raises(ValueError, match="no such item") as info:
            await attended.receive()
        with pytest.raises(trio.BrokenResourceError) as broken:
            await attended.receive()
        assert info.value is broken.value.__cause__
        await attended.send(b"sorry")
        assert b"sorry" == await peer.receive()


async def test_several_tasks_may_receive() -> None:
    """Each item goes to one of them."""
    got: list[bytes] = []

    async def work(attended: Attended) -> None:
        async for item in attended:
            await trio.sleep(1)
            got.append(item)

    async with attending() as (attended, _, peer):
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(work, attended)
            await peer.send_many([b"%d" % number for number in range(9)])
            await peer.send_eof()
        assert [b"%d" % number for number in range(9)] == sorted(got)
        assert 3 == pytest.approx(trio.current_time() - began)


async def test_what_nobody_took_is_what_the_pipeline_gives_next() -> None:
    """Nothing is lost when the block is left: not what waited, not what a timer let in, not the end."""
    async with pipeline_pair(LineFramer() | Ticks(), LineFramer()) as (near, far):
        async with open_attended(near, 2) as attended:
            await far.send_many([b"%d" % number for number in range(9)])
            await far.send_eof()
            await trio.sleep(3)
            assert b"0" == await attended.receive()
            await trio.sleep(3)
        with pytest.raises(trio.ClosedResourceError, match=r"the block of open_attended\(\) was left"):
            await attended.receive()
        assert [b"%d" % number for number in range(1, 9)] == [item async for item in near]


async def test_a_change_of_the_chain_is_one_of_what_nobody_took_too() -> None:
    """It begins where the block was left, to the item."""
    async with pipeline_pair(LineFramer(), LineFramer()) as (near, far):
        async with open_attended(near, 3) as attended:
            await far.send_many([b"%d" % number for number in range(6)])
            await settled()
            assert [b"0", b"1"] == [await attended.receive() for _ in range(2)]
        await near.replace(LineFramer, LineFramer(keep_ends=True))
        assert [b"2\n", b"3\n", b"4\n", b"5\n"] == [await near.receive() for _ in range(4)]


async def test_leaving_the_block_ends_every_wait() -> None:
    """Also in other tasks; the pipeline stays open."""
    async with pipeline_pair(LineFramer(), LineFramer()) as (near, far), trio.open_nursery() as nursery:

        async def wait(attended: Attended) -> None:
            with pytest.raises(trio.ClosedResourceError):
                await attended.receive()

        async with open_attended(near) as attended:
            nursery.start_soon(wait, attended)
            await settled()
        await far.send(b"still open")
        assert b"still open" == await near.receive()


async def test_a_block_that_fails_raises_its_own_error() -> None:
    """In no group; what was received stays there, too."""
    async with pipeline_pair(LineFramer(), LineFramer()) as (near, far):
        with pytest.raises(ValueError, match="of the block"):
            async with open_attended(near):
                await far.send(b"kept")
                await settled()
                raise ValueError("of the block")
        assert b"kept" == await near.receive()


async def test_closing_it_closes_the_pipeline() -> None:
    """What had come before can still be received."""
    async with attending() as (attended, near, peer):
        await peer.send(b"last")
        await settled()
        await attended.aclose()
        assert b"last" == await attended.receive()
        for channel in (attended, near):
            with pytest.raises(trio.ClosedResourceError):
                await channel.receive()


async def test_closed_while_it_is_full_it_ends() -> None:
    async with attending(max_items=1) as (attended, near, peer):
        await peer.send_many([b"1", b"2"])
        await settled()
        await near.aclose()
        assert b"1" == await attended.receive()
        with pytest.raises(trio.ClosedResourceError):
            await attended.receive()


async def test_cancelled_anywhere_nothing_is_lost() -> None:
    """Not by a receive that is cancelled, and not by a block that is, at any of its waits."""
    cuts = 0
    got: list[bytes] = []

    async def take_some(near: Pipeline) -> None:
        async with open_attended(near, 3) as attended:
            for _ in range(4):
                got.append(await attended.receive())

    async with (
        pipeline_pair(LineFramer(), LineFramer(), lockstep=True) as (near, far),
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(far.send_many, [b"%d" % number for number in range(100)])
        for step in count(1):
            if not await cancelled_at(step, partial(take_some, near)):
                break
            cuts += 1
        while len(got) < 100:
            got.append(await near.receive())
    assert [b"%d" % number for number in range(100)] == got
    assert cuts > 4


async def test_wrong_arguments_are_refused() -> None:
    near, _ = trio.testing.memory_stream_pair()
    with pytest.raises(ValueError, match="max_items is 0; it must be 1 or more"):
        async with open_attended(Pipeline(near, LineFramer()), 0):
            pass
    with pytest.raises(TypeError, match=r"open_attended\(pipeline\), not StapledStream"):
        async with open_attended(near):  # type: ignore[arg-type]
            pass


@pytest.mark.real_time
async def test_a_handler_that_works_answers_in_time_over_a_socket() -> None:
    """A server whose handler is busy for ever still answers pings."""

    async def busy(pipeline: Pipeline[bytes, bytes]) -> None:
        async with open_attended(pipeline) as attended:
            await attended.receive()
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        serve = partial(serve_tcp, host="127.0.0.1")
        (listener,) = await nursery.start(serve, busy, 0, lambda: LineFramer() | Answers())
        port = listener.socket.getsockname()[1]
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        with trio.fail_after(PATIENCE):
            async with Pipeline(stream, LineFramer(), close_seconds=0) as client:
                await client.send_many([b"work", b"ping", b"ping"])
                assert [b"pong", b"pong"] == [await client.receive() for _ in range(2)]
                nursery.cancel_scope.cancel()


@pytest.mark.parametrize("max_items", [1, 16])
async def test_what_is_on_its_way_when_the_block_is_left_is_not_lost(max_items: int) -> None:
    """The task beside the block has read it, but did not run since."""
    near, far = trio.testing.memory_stream_pair()
    async with Pipeline(near, LineFramer()) as pipeline:
        async with open_attended(pipeline, max_items):
            await far.send_all(b"a\n")
            await trio.testing.wait_all_tasks_blocked()
            await far.send_all(b"b\nc\nd\n")
        with trio.fail_after(1):
            assert [b"a", b"b", b"c", b"d"] == [await pipeline.receive() for _ in range(4)]
