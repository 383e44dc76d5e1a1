"""Who writes: replies in a receive, sends, and what is left when one is cut."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from pipeline import Outbound, Pipeline, Reply, inbound, outbound
from tests.pipeline.parts import Answers, Lines, WaitsOut, over_tcp
from tests.pipeline.wires import all_of, clog


async def test_a_reply_through_a_stage_that_really_waits() -> None:
    """It goes out while the receive waits for input, in one write."""
    here, there = trio.testing.memory_stream_pair()
    chain = outbound(lambda item: [item, b"!"]) | WaitsOut(2) | Lines() | Answers()
    async with Pipeline(here, chain) as pipeline, trio.open_nursery() as nursery:
        nursery.start_soon(pipeline.receive)
        await there.send_all(b"ping\n")
        await trio.sleep(2.5)
        assert b"pong\n!" == await there.receive_some()
        nursery.cancel_scope.cancel()


async def test_a_reply_that_is_given_while_a_send_writes_goes_out_behind_it() -> None:
    """Whoever receives leaves it to whoever has the wire, and nothing else may ever happen that would bring it out."""
    here, there = trio.testing.memory_stream_pair()
    stream, seconds = here.send_stream, iter([2])
    pump: Any = stream.send_all_hook

    async def hold_the_first() -> None:
        await pump()
        await trio.sleep(next(seconds, 0))

    stream.send_all_hook = hold_the_first
    async with Pipeline(here, Lines() | Answers()) as pipeline, trio.open_nursery() as nursery:
        nursery.start_soon(pipeline.receive)
        nursery.start_soon(pipeline.send, b"item")
        await trio.sleep(1)
        await there.send_all(b"ping\n")
        await trio.sleep(9)
        assert b"item\npong\n" == await there.receive_some()
        nursery.cancel_scope.cancel()


async def test_a_reply_that_a_stage_refuses_breaks_outbound() -> None:
    """A reply belongs to no call, so the next send raises the error; receiving goes on."""

    class Refuses(Outbound[bytes, bytes]):
        keeps_outbound_state = False

        def process_sync(self, item: bytes, /) -> list[bytes]:
            raise ValueError(f"refused {item!r}")

    here, there = trio.testing.memory_stream_pair()
    async with Pipeline(here, Refuses() | Lines() | Answers()) as pipeline:
        await there.send_all(b"ping\nitem\nping\nitem\n")
        assert b"item" == await pipeline.receive()
        assert b"item" == await pipeline.receive()
        with pytest.raises(ValueError, match=r"refused b'pong\\n'"):
            await pipeline.flush()
        with pytest.raises(trio.BrokenResourceError, match="refused"):
            await pipeline.send(b"x")
        assert 1 == pipeline.dropped_replies


async def test_what_can_only_be_received_from() -> None:
    """On one half of a stream replies are dropped and counted, and a send says why it cannot be."""
    there, here = trio.testing.memory_stream_one_way_pair()
    pong: Any = inbound(lambda item: [Reply(b"pong"), item])
    async with Pipeline(here, pong) as pipeline:
        await there.send_all(b"x")
        assert b"x" == await pipeline.receive()
        assert 1 == pipeline.dropped_replies
        with pytest.raises(trio.BrokenResourceError, match="can only be received from"):
            await pipeline.send(b"y")


async def test_who_was_started_to_write_leaves_it_to_who_took_the_wire_meanwhile() -> None:
    """A receive starts a task that writes; a send that begins in the same step has the wire before it (P14)."""
    here, there = trio.testing.memory_stream_pair()
    async with Pipeline(here, Lines(), merge_writes=True) as pipeline:
        await pipeline.send(b"merged")
        driver = pipeline._driver
        with driver.has_wire():
            await driver.flush_all()
            assert driver.writing, "the role was taken from who had it"
            with trio.move_on_after(1) as scope:
                await there.receive_some()
        assert scope.cancelled_caught, "both would have written the same bytes"
        await pipeline.flush()
        assert b"merged\n" == await there.receive_some()


@pytest.mark.real_time
@pytest.mark.parametrize("received", [False, True])
async def test_a_receive_leaves_merged_bytes_to_the_task_that_writes_them(*, received: bool) -> None:
    """Another task flushes, and waits for room; the receive reads, and nothing is written twice."""
    async with over_tcp(Lines(), merge_writes=True) as (pipeline, there):
        for line in [b"before"] * received:
            await there.send_all(line + b"\n")
            assert line == await pipeline.receive()
        size = await clog(pipeline.transport)
        await pipeline.send(b"merged")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pipeline.flush)
            await trio.testing.wait_all_tasks_blocked(0.01)
            await there.send_all(b"in\n")
            assert b"in" == await pipeline.receive()
            assert b"merged\n" == (await all_of(there, size + 7))[size:]
