"""P4: writes that are merged, and when they go out."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from pipeline import END, Outbound, Pipeline, Result, outbound
from tests.pipeline.parts import Join, Lines, Odd, Twice, WaitsOut, over_tcp, tcp_pair, turns_of_others
from tests.pipeline.wires import Recording, all_of


async def test_merged_writes_go_out_when_a_receive_would_wait() -> None:
    """Answers to pipelined requests leave in one write."""
    stream = Recording(b"a\nb\nc\n", b"d\n")
    async with Pipeline(stream, Lines(), merge_writes=True) as pipeline:
        async for item in pipeline:
            await pipeline.send(b"re " + item)
    assert [b"re a\nre b\nre c\n", b"re d\n", b"<eof>"] == stream.writes


async def test_merged_writes_go_out_at_64_kib_at_flush_and_at_the_end() -> None:
    """What is buffered is bounded, and goes out when it is asked for."""
    stream = Recording()
    async with Pipeline(stream, Lines(), merge_writes=True) as pipeline:
        for _ in range(70):
            await pipeline.send(b"x" * 999)
        assert [66_000] == list(map(len, stream.writes))
        await pipeline.flush()
        assert [66_000, 4_000] == list(map(len, stream.writes))
        await pipeline.send(b"last")
    assert [b"last\n", b"<eof>"] == stream.writes[2:]


async def test_a_merged_send_that_finds_a_receive_waiting_writes_at_once() -> None:
    """A reader and a worker task: an answer never sits in the buffer while the reader waits for the transport."""
    here, there = trio.testing.memory_stream_pair()
    async with Pipeline(here, Lines(), merge_writes=True) as pipeline, trio.open_nursery() as nursery:
        work, jobs = trio.open_memory_channel[bytes](100)

        @nursery.start_soon
        async def reader() -> None:
            async with work:
                async for item in pipeline:
                    await work.send(item)

        @nursery.start_soon
        async def worker() -> None:
            async for job in jobs:
                await trio.sleep(1)
                await pipeline.send(b"re " + job)

        await there.send_all(b"a\nb\n")
        await trio.sleep(1.5)
        assert b"re a\n" == await there.receive_some()
        await trio.sleep(1)
        assert b"re b\n" == await there.receive_some()
        await there.send_eof()


async def test_a_flush_that_fails_inside_receive_breaks_outbound_only() -> None:
    """Input that is there is still delivered; the next send raises the error itself, later ones BrokenResourceError."""

    class Deaf(Recording):
        async def send_all(self, data: Any) -> None:
            await trio.lowlevel.checkpoint()
            raise trio.BrokenResourceError("the peer has gone")

    stream = Deaf(b"a\n", b"b\n")
    async with Pipeline(stream, Lines(), merge_writes=True) as pipeline:
        assert b"a" == await pipeline.receive()
        await pipeline.send(b"re a")
        assert b"b" == await pipeline.receive()
        with pytest.raises(trio.BrokenResourceError, match="the peer has gone"):
            await pipeline.send(b"re b")
        with pytest.raises(trio.BrokenResourceError, match="outbound is broken"):
            await pipeline.flush()
            await pipeline.send(b"re b")


# ---- over a socket, where sends go the short way


@pytest.mark.real_time
async def test_a_merged_send_that_has_to_write_is_cancelled_without_effect() -> None:
    """It is too large to be merged; what was merged before stays."""
    async with over_tcp(Join(), merge_writes=True) as (pipeline, there):
        await pipeline.send(b"before")
        with trio.CancelScope() as scope:
            scope.cancel()
            await pipeline.send(b"x" * 100_000)
        assert scope.cancelled_caught
        await pipeline.send(b"behind")
        await pipeline.flush()
        assert b"before\nbehind\n" == await there.receive_some()


@pytest.mark.real_time
async def test_merged_sends_let_others_run_and_notice_cancellation() -> None:
    """At least once per 1,000 of them, also where nothing is ever written."""
    async with over_tcp(Join(), merge_writes=True) as (pipeline, _there):
        async with turns_of_others() as turns:
            for _ in range(5000):
                await pipeline.send(b"x")
        assert turns.count >= 3
        sent = 0
        with trio.CancelScope() as scope:
            scope.cancel()
            for _ in range(2000):
                await pipeline.send(b"y")
                sent += 1
        assert sent <= 1000


@pytest.mark.real_time
async def test_many_merged_items_wait_until_somebody_would_wait() -> None:
    """Nothing is written before; with a receive that waits already, they go out at once."""
    async with tcp_pair() as (here, there):
        pipeline = Pipeline(here, Join(), merge_writes=True, close_seconds=0.05)
        await pipeline.send_many([b"first"])  # it enters, too
        async with pipeline:
            await pipeline.flush()
            await all_of(there, 6)
            await pipeline.send_many([b"a", b"b"])
            with trio.move_on_after(0.01) as nothing_came:
                await there.receive_some()
            assert nothing_came.cancelled_caught
            async with trio.open_nursery() as nursery:
                nursery.start_soon(pipeline.receive)
                assert b"a\nb\n" == await there.receive_some()
                await pipeline.send_many([b"c"])
                assert b"c\n" == await there.receive_some()
                nursery.cancel_scope.cancel()


@pytest.mark.parametrize("waits", [False, True])
async def test_many_merged_items_wait_on_any_transport(*, waits: bool) -> None:
    """Where they cannot go the short way nothing is written earlier than where they can."""
    chain = WaitsOut() | Join() if waits else Join()
    stream = Recording()
    async with Pipeline(stream, chain, merge_writes=True) as pipeline:
        await pipeline.send_many([b"a", b"b"])
        await pipeline.send_many([b"c"])
        assert [] == stream.writes
        with pytest.raises(trio.EndOfChannel):
            await pipeline.receive()
        assert [b"a\nb\nc\n"] == stream.writes


async def turns_while_merging(chain: Any, item: bytes, times: int) -> int:
    """How often other tasks had their turn while one did nothing but send."""
    async with over_tcp(chain, merge_writes=True) as (pipeline, _there), turns_of_others() as turns:
        for _ in range(times):
            await pipeline.send_many([item])
    return turns.count


@pytest.mark.real_time
async def test_small_batches_that_are_merged_let_others_run() -> None:
    """Nothing is ever written, so the number of items decides."""
    assert await turns_while_merging(Join(), b"x", 3000) >= 3


@pytest.mark.real_time
async def test_many_merged_items_of_which_nothing_comes_let_others_run() -> None:
    """A busy loop of them cannot hold up the other tasks."""
    assert await turns_while_merging(Odd(), b"0", 100) >= 50


@pytest.mark.real_time
async def test_merged_sends_go_out_in_the_order_in_which_they_were_called() -> None:
    """Also the first after something else has happened, which lets other tasks run."""
    async with over_tcp(Join(), merge_writes=True) as (pipeline, there):
        for _ in range(20):
            await pipeline.flush()
            called = trio.Event()
            async with trio.open_nursery() as nursery:

                @nursery.start_soon
                async def first(called: trio.Event = called) -> None:
                    called.set()
                    await pipeline.send(b"1")

                await called.wait()
                await pipeline.send(b"2")
        await pipeline.flush()
        assert b"1\n2\n" * 20 == await all_of(there, 80)


@pytest.mark.real_time
async def test_merged_bytes_wait_while_a_receive_does_not() -> None:
    """Answers to pipelined requests leave in one write, also where each request is asked for by `receive()` (P4)."""
    async with over_tcp(Lines(), merge_writes=True) as (pipeline, there):
        await there.send_all(b"a\nb\nc\n")
        for _ in range(3):
            await pipeline.send(b"re " + await pipeline.receive())
            with trio.move_on_after(0.01) as nothing_came:
                await there.receive_some()
            assert nothing_came.cancelled_caught
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pipeline.receive)
            assert b"re a\nre b\nre c\n" == await there.receive_some()
            nursery.cancel_scope.cancel()


@pytest.mark.real_time
async def test_an_item_that_becomes_several_is_merged_too() -> None:
    """Only a receive that waits, 64 KiB or a flush has them written (P4)."""
    async with over_tcp(Twice(), merge_writes=True) as (pipeline, there):
        await pipeline.send(b"a")
        for item in (b"b", b"c", b"d"):
            await pipeline.send(item)
        with trio.move_on_after(0.01) as nothing_came:
            await there.receive_some()
        assert nothing_came.cancelled_caught
        await pipeline.flush()
        assert b"aabbccdd" == await there.receive_some()


@pytest.mark.parametrize("merge_writes", [True, False])
async def test_what_was_merged_is_written_before_an_end_half_closes_the_wire(merge_writes: bool) -> None:
    """Else the write would find the wire closed, and the last answer of a connection would be lost."""

    @outbound
    def until_bye(item: bytes) -> Result[bytes]:
        return [item, END] if item == b"bye" else [item]

    here, there = trio.testing.memory_stream_pair()
    async with Pipeline(here, until_bye, merge_writes=merge_writes) as pipeline:
        await pipeline.send_many([b"one ", b"two ", b"bye"])
        assert b"one two bye" == await there.receive_some()
        assert b"" == await there.receive_some()


@pytest.mark.real_time
async def test_what_was_merged_is_written_before_a_read_where_the_wire_is_two_streams() -> None:
    """What is read from is a socket, and what is written to is none: it may wait."""
    there, from_there = trio.testing.memory_stream_one_way_pair()
    async with tcp_pair() as (here, peer), Pipeline((here, there), Lines(), merge_writes=True) as pipeline:
        for line in (b"one", b"two"):
            await peer.send_all(line + b"\n")
            assert line == await pipeline.receive()
            await pipeline.send(b"re " + line)
        assert b"re one\n" == await from_there.receive_some()
        await peer.send_eof()


@pytest.mark.real_time
async def test_an_item_that_became_several_is_written_before_the_next_read() -> None:
    """As one that became one is, although it went the long way."""
    async with over_tcp(Lines() | Twice(), merge_writes=True) as (pipeline, there):
        for line in (b"one", b"two"):
            await there.send_all(line + b"\n")
            assert line == await pipeline.receive()
            await pipeline.send(line)
        assert b"one\none\n" == await there.receive_some()


class Numbers(Outbound[bytes, bytes]):
    """Numbers what is sent; a number that was given cannot be taken back."""

    def __init__(self) -> None:
        self.count = 0

    def process_sync(self, item: bytes, /) -> list[bytes]:
        if item == b"no":
            raise ValueError("no")
        self.count += 1
        return [b"%d %s\n" % (self.count, item)]


async def test_sends_are_merged_behind_a_stage_that_keeps_state() -> None:
    """The checkpoint is in front of the stage then, since what it was given cannot be taken back."""
    async with over_tcp(Numbers(), merge_writes=True) as (pipeline, there):
        for item in (b"a", b"b", b"c"):
            await pipeline.send(item)
        await pipeline.flush()
        assert b"1 a\n2 b\n3 c\n" == await there.receive_some()


async def test_what_such_a_stage_refuses_is_as_if_not_sent() -> None:
    """The sends before it wait in the buffer as before, and others may follow."""
    async with over_tcp(Numbers(), merge_writes=True) as (pipeline, there):
        for item in (b"a", b"b"):
            await pipeline.send(item)
        with pytest.raises(ValueError, match="no"):
            await pipeline.send(b"no")
        await pipeline.send(b"c")
        await pipeline.flush()
        assert b"1 a\n2 b\n3 c\n" == await there.receive_some()
