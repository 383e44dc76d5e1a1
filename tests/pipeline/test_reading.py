"""Waiting for input on a transport: what a deadline does to it, a stage that wants none, and what else ends it."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from pipeline import Duplex, Inbound, Outbound, Pipeline, Reply
from tests.pipeline.parts import Answers, Cache, Lines, Rings, Window, over_tcp, tcp_pair
from tests.pipeline.wires import PATIENCE, clog, read_all, until

# ---- timers: S12


class Idle(Inbound[bytes, bytes]):
    """Fails when nothing came for `seconds`."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.deadline: float | None = None

    async def start(self) -> list[bytes]:
        self.deadline = self.now() + self.seconds
        return []

    def process_sync(self, item: bytes, /) -> list[bytes]:
        self.deadline = self.now() + self.seconds
        return [item]

    async def on_timer(self, now: float, /) -> list[bytes]:
        self.deadline = None
        raise TimeoutError(f"nothing for {self.seconds} seconds at {now}")


class Beat(Duplex[bytes, bytes, bytes, bytes]):
    """Sends `beat` when nothing was sent for `seconds`; what is sent moves the deadline."""

    def __init__(self, seconds: float) -> None:
        self.inbound = Rings(seconds, Reply(b"beat"))
        self.outbound = _BeatOut(self.inbound)


class _BeatOut(Outbound[bytes, bytes]):
    keeps_outbound_state = False

    def __init__(self, other: Rings) -> None:
        self.other = other

    def process_sync(self, item: bytes, /) -> list[bytes]:
        self.other.deadline = self.now() + (0.5 if item == b"hurry" else self.other.seconds)
        return [item]


async def test_a_waiting_receive_runs_timers() -> None:
    """A receive that waits for the transport wakes at the deadline, at that second."""
    here, _there = trio.testing.memory_stream_pair()
    async with Pipeline(here, Lines() | Idle(30)) as pipeline:
        start = trio.current_time()
        with pytest.raises(TimeoutError, match="nothing for 30"):
            await pipeline.receive()
        assert 30 == pytest.approx(trio.current_time() - start)


@pytest.mark.real_time
async def test_a_slow_client_is_no_idle_peer() -> None:
    """Data that waits in the kernel is read before a past deadline is judged."""
    async with over_tcp(Lines() | Idle(0.05)) as (pipeline, there):
        await there.send_all(b"one\n")
        await trio.sleep(0.15)

        assert b"one" == await pipeline.receive()
        with pytest.raises(TimeoutError):
            await pipeline.receive()


async def test_a_heartbeat_while_another_task_sends() -> None:
    """Beats go out from a waiting receive while sends of another task go on."""
    here, there = trio.testing.memory_stream_pair()
    async with Pipeline(here, Lines() | Beat(10)) as pipeline, trio.open_nursery() as nursery:

        @nursery.start_soon
        async def receiver() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await pipeline.receive()

        await trio.sleep(25)  # two beats
        await pipeline.send(b"item")  # moves the third from 30 to 35
        await trio.sleep(9)
        assert b"beat\nbeat\nitem\n" == await there.receive_some()
        await trio.sleep(2)
        assert b"beat\n" == await there.receive_some()
        await pipeline.aclose()


async def test_a_deadline_moved_earlier_by_another_task_takes_effect_at_once() -> None:
    """A send that moves the deadline forward wakes a receive that already waits for a later one."""
    here, there = trio.testing.memory_stream_pair()
    async with Pipeline(here, Lines() | Beat(100)) as pipeline, trio.open_nursery() as nursery:
        nursery.start_soon(pipeline.receive)
        await trio.sleep(1)
        await pipeline.send(b"hurry")
        await trio.sleep(1)
        assert b"hurry\nbeat\n" == await there.receive_some()
        nursery.cancel_scope.cancel()


async def test_a_send_that_waits_its_turn_runs_timers() -> None:
    """With nobody receiving, a send behind a blocked one still runs what is due."""
    here, there = trio.testing.lockstep_stream_pair()
    async with Pipeline(here, Lines() | Idle(5)) as pipeline, trio.open_nursery() as nursery:
        start = trio.current_time()
        nursery.start_soon(pipeline.send, b"blocks")
        await trio.sleep(1)
        with pytest.raises(TimeoutError, match="nothing for 5"):
            await pipeline.send(b"waits")
        assert 5 == pytest.approx(trio.current_time() - start)
        nursery.cancel_scope.cancel()
    del there


async def test_a_send_at_a_gate_runs_timers() -> None:
    """A send that waits for a stage to become ready runs what is due."""
    here, there = trio.testing.memory_stream_pair()
    async with Pipeline(here, Lines() | Idle(5) | Window(1)) as pipeline:
        await pipeline.send(b"one")
        start = trio.current_time()
        with pytest.raises(TimeoutError, match="nothing for 5"):
            await pipeline.send(b"two")
        assert 5 == pytest.approx(trio.current_time() - start)
    assert b"one\n" == await there.receive_some()


# ---- pause and poll: S13


class Cycle(Duplex[bytes, bytes, bytes, bytes]):
    """One request at a time: the next one comes out when the answer to the last one is sent, as in h11."""

    def __init__(self) -> None:
        self.waiting: list[bytes] = []
        self.busy = False
        self.fed = 0
        self.inbound = _CycleIn(self)
        self.outbound = _CycleOut(self)


class _CycleIn(Inbound[bytes, bytes]):
    def __init__(self, cycle: Cycle) -> None:
        self.cycle = cycle

    @property
    def wants_input(self) -> bool:
        return not self.cycle.busy

    def process_sync(self, item: bytes, /) -> list[bytes]:
        self.cycle.fed += 1
        self.cycle.waiting += item.split(b",")
        return self.poll()

    def poll(self) -> list[bytes]:
        if self.cycle.busy or not self.cycle.waiting:
            return []
        self.cycle.busy = True
        return [self.cycle.waiting.pop(0)]


class _CycleOut(Outbound[bytes, bytes]):
    keeps_outbound_state = False

    def __init__(self, cycle: Cycle) -> None:
        self.cycle = cycle

    def process_sync(self, item: bytes, /) -> list[bytes]:
        self.cycle.busy = False
        return [item]


async def test_a_paused_stage_is_not_fed_and_the_wire_is_not_read() -> None:
    """While a stage wants no input, what the peer sends stays where it is; an answer wakes a waiting receive."""
    here, there = trio.testing.memory_stream_pair()
    cycle = Cycle()
    async with Pipeline(here, Lines() | cycle) as pipeline, trio.open_nursery() as nursery:
        await there.send_all(b"a,b\nc\n")
        assert b"a" == await pipeline.receive()
        got: list[bytes] = []

        @nursery.start_soon
        async def receiver() -> None:
            async for item in pipeline:
                got.append(item)

        await trio.sleep(1)
        assert ([], 1) == (got, cycle.fed)
        await pipeline.send(b"answer a")
        await trio.sleep(1)
        assert ([b"b"], 1) == (got, cycle.fed)
        await pipeline.send(b"answer b")
        await trio.sleep(1)
        assert ([b"b", b"c"], 2) == (got, cycle.fed)
        nursery.cancel_scope.cancel()


async def test_a_paused_stage_with_nothing_waiting_keeps_the_wire_unread() -> None:
    """While a stage wants no input the transport is not read at all, although nothing is held before the stage."""
    here, there = trio.testing.memory_stream_pair()
    async with Pipeline(here, Lines() | Cycle()) as pipeline:
        await there.send_all(b"a\n")
        assert b"a" == await pipeline.receive()
        await there.send_all(b"b\n")
        with trio.move_on_after(5):
            await pipeline.receive()
        assert b"b\n" == await here.receive_some()


async def test_news_that_comes_while_replies_are_written_is_not_missed() -> None:
    """An item that another task's send causes while receive() writes replies wakes it, although it reads later."""
    here, there = trio.testing.memory_stream_pair()

    class SlowOut(Outbound[bytes, bytes]):
        """Gives the sender time for its send while a reply is on its way."""

        keeps_outbound_state = False

        async def process(self, item: bytes, /) -> list[bytes]:
            if item.startswith(b"pong"):
                await trio.lowlevel.checkpoint()
                await trio.lowlevel.checkpoint()
            return [item]

    got: list[bytes] = []
    async with (
        Pipeline(here, SlowOut() | Lines() | Answers() | Cache().outbound) as pipeline,
        trio.open_nursery() as nursery,
    ):

        @nursery.start_soon
        async def receiver() -> None:
            got.append(await pipeline.receive())

        @nursery.start_soon
        async def sender() -> None:
            for _ in range(20):
                await trio.lowlevel.checkpoint()
                if pipeline._driver.writing:
                    break
            await pipeline.send(b"get 1")

        await there.send_all(b"ping\n")
        with trio.move_on_after(10):
            await trio.sleep(5)
            nursery.cancel_scope.cancel()
    assert [b"cached get 1"] == got


async def test_a_paused_pipeline_in_one_task() -> None:
    """Request, answer, request, answer, with pipelined input, without a second task."""
    here, there = trio.testing.memory_stream_pair()
    async with Pipeline(here, Lines() | Cycle()) as pipeline:
        await there.send_all(b"a,b\nc\n")
        await there.send_eof()
        async for item in pipeline:
            await pipeline.send(b"re " + item)
    assert b"re a\nre b\nre c\n" == await read_all(there)


async def test_a_timer_of_a_paused_stage() -> None:
    """While the chain wants no input, a deadline is judged without reading."""
    here, there = trio.testing.memory_stream_pair()
    async with Pipeline(here, Lines() | Rings(5) | Cycle()) as pipeline:
        await there.send_all(b"a\n")
        assert b"a" == await pipeline.receive()
        with trio.move_on_after(7):
            await pipeline.receive()
        await pipeline.send(b"re a")
        assert b"ring" == await pipeline.receive()


# ---- what else ends it


class Greets(Inbound[bytes, bytes]):
    """Says hello at the start."""

    async def start(self) -> list[Any]:
        return [Reply(b"hello")]

    def process_sync(self, item: bytes, /) -> list[bytes]:
        return [item]


async def test_entering_writes_what_stages_say_first() -> None:
    """Also where the transport has no room at once; input that comes meanwhile is received afterwards."""
    here, there = trio.testing.lockstep_stream_pair()
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def peer() -> None:
            await trio.sleep(1)
            assert b"hello\n" == await there.receive_some()
            await trio.sleep(1)
            await there.send_all(b"item\n")

        async with Pipeline(here, Lines() | Greets()) as pipeline:
            assert b"item" == await pipeline.receive()


@pytest.mark.real_time
async def test_both_peers_owe_replies_while_the_kernel_is_full() -> None:
    """With nobody sending, 60 kB of replies on either side go out although all buffers were full."""
    pong = b"pong" + b"." * 60_000
    got: list[bytes] = []

    async def read(stream: trio.SocketStream) -> None:
        async with Pipeline(stream, Lines() | Answers()) as pipeline:
            async for item in pipeline:
                if b"pong" in item:  # behind the line which was cut when the buffers were full
                    got.append(item[item.index(b"pong") :])
                    break
            if len(got) == 2:
                both.set()
            await both.wait()

    both = trio.Event()

    with trio.fail_after(PATIENCE):
        async with tcp_pair() as (one, two):
            for stream in (one, two):
                await stream.send_all(b"ping 60000\n")
                await clog(stream, b"x" * 999 + b"\n")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(read, one)
                nursery.start_soon(read, two)
    assert [pong, pong] == got


async def test_a_read_that_fails_breaks_inbound() -> None:
    """Who reads gets the error, who comes later is told of it; what is sent goes out."""
    here, there = trio.testing.memory_stream_pair()

    async def fail() -> None:
        raise trio.BrokenResourceError("cut off")

    here.receive_stream.receive_some_hook = fail
    async with Pipeline(here, Lines()) as pipeline:
        with pytest.raises(trio.BrokenResourceError, match=r"^cut off$"):
            await pipeline.receive()
        with pytest.raises(trio.BrokenResourceError, match=r"inbound is broken since .*cut off"):
            await pipeline.receive()
        await pipeline.send(b"x")
        assert b"x\n" == await there.receive_some()


@pytest.mark.real_time
@pytest.mark.parametrize("begun", [False, True])
async def test_input_that_is_to_end_does_so_where_nothing_has_begun(*, begun: bool) -> None:
    """At once, also for who waits already; else behind the item that has begun."""
    async with over_tcp(Lines()) as (pipeline, there), trio.open_nursery() as nursery:
        got: list[bytes] = []

        @nursery.start_soon
        async def receive() -> None:
            got.extend([line async for line in pipeline])

        if begun:
            await there.send_all(b"hal")
            await until(lambda: pipeline._driver.reads)
        await trio.testing.wait_all_tasks_blocked()
        pipeline._drain()
        if begun:
            await trio.testing.wait_all_tasks_blocked()
            await there.send_all(b"f\n")
    assert [b"half"] * begun == got


@pytest.mark.real_time
async def test_closing_ends_a_read() -> None:
    """Of another task, at once."""
    async with over_tcp(Lines()) as (pipeline, _), trio.open_nursery() as nursery:

        @nursery.start_soon
        async def receive() -> None:
            with pytest.raises(trio.ClosedResourceError, match="this pipeline was closed"):
                await pipeline.receive()

        await trio.testing.wait_all_tasks_blocked()
        await pipeline.aclose()


async def test_a_transport_that_is_closed_by_somebody_else() -> None:
    """It is not the pipeline that was closed, so trio's own error is told."""
    here, _there = trio.testing.memory_stream_pair()
    async with Pipeline(here, Lines()) as pipeline, trio.open_nursery() as nursery:

        @nursery.start_soon
        async def receive() -> None:
            with pytest.raises(trio.ClosedResourceError) as info:
                await pipeline.receive()
            assert "this pipeline" not in str(info.value)

        await trio.testing.wait_all_tasks_blocked()
        await here.aclose()
