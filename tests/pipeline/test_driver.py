"""Who runs what when: replies, gates, timers, pauses, and what a cancellation leaves."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing

from pipeline import END, Duplex, Inbound, Outbound, Pipeline, Reply, inbound
from tests.pipeline.parts import (
    Answers,
    Handshake,
    Lines,
    Paced,
    Waits,
    WaitsOut,
    Window,
    cancelled_at,
    over_tcp,
    tcp_pair,
)
from tests.pipeline.wires import PATIENCE, clog

MEGABYTE = 1_000_000


class Owes(Inbound[bytes, bytes]):
    """Owes a reply of `size` bytes every `every` bytes; drops replies of the other side."""

    def __init__(self, every: int, size: int) -> None:
        self.every, self.size, self.seen, self.got = every, size, 0, 0

    def process_sync(self, item: bytes, /) -> Iterator[Any]:
        if item.startswith(b"reply"):
            self.got += 1
            return
        self.seen += len(item)
        while self.seen >= self.every:
            self.seen -= self.every
            yield Reply(b"reply" + b"r" * self.size)
        yield item


# ---- replies: P14 and S6


async def test_a_reply_of_a_paused_stage_when_the_place_for_replies_is_full() -> None:
    """It goes on when the reply is written, although the stage wants no input still."""

    class AnswersWhenPolled(Inbound[bytes, bytes]):
        left: tuple[Any, ...] = ()

        @property
        def wants_input(self) -> bool:
            return not self.left

        def process_sync(self, item: bytes, /) -> list[bytes]:
            self.left = (Reply(b"pong"), item)
            return []

        def poll(self) -> Any:
            first, self.left = self.left[:1], self.left[1:]
            return first

    here, there = trio.testing.lockstep_stream_pair()
    pipeline = Pipeline(here, Lines() | AnswersWhenPolled(), max_reply_bytes=1)
    async with pipeline, trio.open_nursery() as nursery:
        nursery.start_soon(there.send_all, b"ping\n")
        with trio.move_on_after(1):
            await pipeline.receive()  # the peer reads nothing yet
        nursery.start_soon(there.receive_some)
        await trio.testing.wait_all_tasks_blocked()
        with trio.fail_after(1):
            assert b"ping" == await pipeline.receive()


@pytest.mark.real_time
@pytest.mark.parametrize("size", [10, 60_000])
async def test_both_peers_send_and_answer_and_nobody_stands_still(size: int) -> None:
    """12 MB both ways, more than the kernel holds, with a reply owed every 100 kB, arrive whole."""
    total = 12 * MEGABYTE
    line = b"x" * 9_999

    async def sender(pipeline: Any) -> None:
        for _ in range(total // 10_000):
            await pipeline.send(line)
        await pipeline.send(b"done")

    async def receiver(pipeline: Any) -> None:
        received = 0
        async for item in pipeline:
            if item == b"done":
                break
            received += len(item) + 1
        assert total == received

    async def both_ways(pipeline: Any) -> None:
        async with pipeline, trio.open_nursery() as nursery:
            nursery.start_soon(sender, pipeline)
            nursery.start_soon(receiver, pipeline)

    with trio.fail_after(2 * PATIENCE):
        async with tcp_pair() as (one, two), trio.open_nursery() as nursery:
            for stream in (one, two):
                nursery.start_soon(both_ways, Pipeline(stream, Lines() | Owes(100_000, size)))


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


async def test_a_reply_leaves_before_the_receive_that_reaches_it_returns() -> None:
    """What a stage answered is written when the item behind it is returned."""
    here, there = trio.testing.memory_stream_pair()
    async with Pipeline(here, Lines() | Answers()) as pipeline:
        await there.send_all(b"ping\nitem\n")

        assert b"item" == await pipeline.receive()
        assert b"pong\n" == await there.receive_some()


async def test_a_stage_that_answers_and_fails_is_heard() -> None:
    """The alert goes out although the stage raised behind it, and the error is its own."""
    here, there = trio.testing.memory_stream_pair()
    with pytest.raises(ValueError, match="boom"):
        async with Pipeline(here, Lines() | Answers()) as pipeline:
            await there.send_all(b"boom\n")
            await pipeline.receive()

    assert b"alert\n" == await there.receive_some()


async def test_a_broken_inbound_direction_stays_broken_and_outbound_works() -> None:
    """After a stage failed, receiving raises BrokenResourceError from the first cause; an answer can be sent."""
    here, there = trio.testing.memory_stream_pair()
    async with Pipeline(here, Lines() | Answers()) as pipeline:
        await there.send_all(b"one\nboom\n")
        assert b"one" == await pipeline.receive()
        with pytest.raises(ValueError, match="boom") as first:
            await pipeline.receive()
        for _ in range(2):
            with pytest.raises(trio.BrokenResourceError, match="boom") as again:
                await pipeline.receive()
            assert first.value is again.value.__cause__

        await pipeline.send(b"sorry")
        assert b"alert\nsorry\n" == await there.receive_some()


async def test_end_both_ways() -> None:
    """END gives the client a clean end, Reply(END) the peer; the last words come first."""
    here, there = trio.testing.memory_stream_pair()
    async with Pipeline(here, Lines() | Answers()) as pipeline:
        await there.send_all(b"bye\nnever seen\n")

        assert [b"bye"] == [item async for item in pipeline]
        assert b"bye\n" == await there.receive_some()
        with pytest.raises(trio.ClosedResourceError, match="outbound has ended"):
            await pipeline.send(b"more")
        with pytest.raises(trio.EndOfChannel):
            await pipeline.receive()


async def test_a_peer_that_does_not_read_answers_is_not_read_any_further() -> None:
    """Replies wait in a bounded place; when it is full, receiving waits for room only."""
    here, there = trio.testing.memory_stream_pair()
    taken: list[int] = []

    class Stuck(trio.abc.HalfCloseableStream):
        """Takes nothing."""

        async def send_all(self, data: Any) -> None:
            await trio.sleep_forever()

        async def wait_send_all_might_not_block(self) -> None:
            await trio.sleep_forever()

        async def receive_some(self, max_bytes: int | None = None) -> bytes:
            data = bytes(await here.receive_some(max_bytes))
            taken.append(1)
            return data

        async def send_eof(self) -> None: ...

        async def aclose(self) -> None:
            await here.aclose()

    with trio.move_on_after(60):
        async with Pipeline(Stuck(), Lines() | Answers(), max_reply_bytes=1000) as pipeline:
            for _ in range(100):
                await there.send_all(b"ping 100\n")
                with trio.move_on_after(1):
                    await pipeline.receive()
    assert 9 < len(taken) < 13


@pytest.mark.parametrize("step", range(1, 12))
async def test_a_receive_cancelled_while_it_owes_a_reply_breaks_nothing(step: int) -> None:
    """Wherever the cancellation strikes, the reply goes out once and the item comes once."""
    here, there = trio.testing.memory_stream_pair()
    items: list[bytes] = []
    async with Pipeline(here, Lines() | WaitsOut() | Answers() | Waits()) as pipeline:
        await there.send_all(b"ping\nitem\n")

        async def receive() -> None:
            items.append(await pipeline.receive())

        await cancelled_at(step, receive)
        if not items:
            await receive()
        await pipeline.send(b"after")

    assert [b"item"] == items
    assert b"pong\nafter\n" == await _all_of(there)


async def _all_of(stream: trio.abc.ReceiveStream) -> bytes:
    return b"".join([chunk async for chunk in stream])


# ---- gates: S7


async def test_a_send_waits_at_a_closed_window_and_goes_on_in_the_same_task() -> None:
    """With one task only, the send itself reads until the window opens; items it meets are kept."""
    here, there = trio.testing.memory_stream_pair()
    async with Pipeline(here, Lines() | Window(1)) as pipeline, trio.open_nursery() as nursery:
        await pipeline.send(b"one")

        @nursery.start_soon
        async def open_window() -> None:
            await trio.sleep(1)
            await there.send_all(b"item\n+1\n")

        await pipeline.send(b"two")
        assert b"item" == await pipeline.receive()
        assert b"one\ntwo\n" == await there.receive_some()


async def test_a_send_waits_at_a_closed_window_while_another_task_receives() -> None:
    """With a receiver there, the send is told when the window opens."""
    here, there = trio.testing.memory_stream_pair()
    items: list[bytes] = []
    async with Pipeline(here, Lines() | Window(1)) as pipeline, trio.open_nursery() as nursery:
        await pipeline.send(b"zero")

        @nursery.start_soon
        async def receiver() -> None:
            async for item in pipeline:
                items.append(item)

        @nursery.start_soon
        async def peer() -> None:
            await trio.sleep(1)
            await there.send_all(b"a\n+2\nb\n")
            await trio.sleep(1)
            await there.send_eof()

        await pipeline.send(b"one")
        await pipeline.send(b"two")
    assert [b"a", b"b"] == items
    assert b"zero\none\ntwo\n" == await _all_of(there)


@pytest.mark.parametrize("step", range(1, 25))
@pytest.mark.parametrize("who", ["send", "receive"])
async def test_the_role_of_driving_passes_on_when_the_driver_is_cancelled(who: str, step: int) -> None:
    """Whichever task drives inbound and is cancelled anywhere, the other one goes on."""
    to_us, from_peer = trio.open_memory_channel[bytes](10)
    to_peer, from_us = trio.open_memory_channel[bytes](10)
    done: list[str] = []
    async with (
        Pipeline((from_peer, to_peer), Window(1) | Waits(0.1)) as pipeline,
        trio.open_nursery() as nursery,
    ):
        await pipeline.send(b"zero")

        async def send() -> None:
            await pipeline.send(b"out")
            done.append("send")

        async def receive() -> None:
            assert b"in" == await pipeline.receive()
            done.append("receive")

        acts = {"send": send, "receive": receive}
        first = acts.pop(who)
        [second] = acts.values()

        @nursery.start_soon
        async def peer() -> None:
            await trio.sleep(1)
            await to_us.send(b"in")
            await trio.sleep(1)
            await to_us.send(b"+1")

        nursery.start_soon(partial(cancelled_at, step, first))
        await trio.testing.wait_all_tasks_blocked()
        with trio.fail_after(10):
            await second()
            await trio.sleep(3)
            if who not in done:
                await first()
    assert ["receive", "send"] == sorted(done)
    assert [b"zero", b"out"] == [item async for item in from_us]


async def test_a_gate_that_can_never_open_is_an_error() -> None:
    """When inbound has ended, what waits at a gate is told so."""
    here, there = trio.testing.memory_stream_pair()
    async with Pipeline(here, Lines() | Window(1)) as pipeline:
        await pipeline.send(b"zero")
        await there.send_eof()
        with pytest.raises(trio.BrokenResourceError, match="never will be"):
            await pipeline.send(b"x")


async def three_paced(pipeline: Any) -> None:
    """Three sends through a gate that opens each second take two."""
    start = trio.current_time()
    for item in (b"1", b"2", b"3"):
        await pipeline.send(item)
    assert 2 == pytest.approx(trio.current_time() - start)


async def test_a_gate_opened_by_a_timer_needs_nobody_who_receives() -> None:
    here, there = trio.testing.memory_stream_pair()
    async with Pipeline(here, Lines() | Paced()) as pipeline:
        await three_paced(pipeline)
    assert b"1\n2\n3\n" == await there.receive_some()


async def test_a_gate_opened_by_a_timer_while_another_task_receives() -> None:
    here, there = trio.testing.memory_stream_pair()
    async with Pipeline(here, Lines() | Paced()) as pipeline, trio.open_nursery() as nursery:
        nursery.start_soon(pipeline.receive)
        await three_paced(pipeline)
        await there.send_all(b"in\n")


async def test_a_gate_opened_by_a_timer_while_the_driver_waits_inside_a_stage() -> None:
    here, there = trio.testing.memory_stream_pair()
    async with Pipeline(here, Lines() | Waits(60) | Paced()) as pipeline, trio.open_nursery() as nursery:
        await there.send_all(b"in\n")
        nursery.start_soon(pipeline.receive)
        await trio.testing.wait_all_tasks_blocked(0.1)
        await three_paced(pipeline)


async def test_a_gate_opened_by_a_timer_when_nothing_more_can_be_parked() -> None:
    """A peer that sends, and is not received from, does not hold up what is sent to it."""
    here, there = trio.testing.memory_stream_pair()
    async with Pipeline(here, Lines() | Paced()) as pipeline:
        await there.send_all(b"line\n" * 1000)
        await three_paced(pipeline)
        assert 1000 == len([await pipeline.receive() for _ in range(1000)])


async def test_a_gate_opened_by_a_timer_after_inbound_ended() -> None:
    here, there = trio.testing.memory_stream_pair()
    async with Pipeline(here, Lines() | Paced()) as pipeline:
        await there.send_eof()
        with pytest.raises(trio.EndOfChannel):
            await pipeline.receive()
        await three_paced(pipeline)


async def test_a_gate_opened_by_a_timer_after_inbound_broke() -> None:
    here, there = trio.testing.memory_stream_pair()
    async with Pipeline(here, Lines() | Answers() | Paced()) as pipeline:
        await there.send_all(b"boom\n")
        with pytest.raises(ValueError, match="boom"):
            await pipeline.receive()
        with pytest.raises(trio.BrokenResourceError):
            await pipeline.receive()
        await three_paced(pipeline)


@pytest.mark.parametrize("merge_writes", [True, False])
async def test_what_was_merged_does_not_wait_at_a_gate_with_the_next_item(merge_writes: bool) -> None:
    """Also where nobody could read meanwhile, and so write it."""
    here, there = trio.testing.memory_stream_pair()
    times: list[float] = []

    async def peer() -> None:
        async for _ in there:
            times.append(trio.current_time() - start)

    async with (
        trio.open_nursery() as nursery,
        Pipeline(here, Lines() | Paced(), merge_writes=merge_writes) as pipeline,
    ):
        start = trio.current_time()
        nursery.start_soon(peer)
        await there.send_eof()
        with pytest.raises(trio.EndOfChannel):
            await pipeline.receive()
        await pipeline.send_many([b"1", b"2", b"3"])
    assert [0, 1, 2] == pytest.approx(times)


async def test_a_handshake_joins_client_and_server() -> None:
    """Entering ends when both are ready; what is sent then arrives."""
    here, there = trio.testing.memory_stream_pair()
    client, server = Handshake(client=True), Handshake(client=False)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def serve() -> None:
            async with Pipeline(there, Lines() | server) as pipeline:
                assert b"question" == await pipeline.receive()
                await pipeline.send(b"answer")

        async with Pipeline(here, Lines() | client) as pipeline:
            await pipeline.send(b"question")
            assert b"answer" == await pipeline.receive()
    assert (1, 1) == (client.closed, server.closed)


async def test_a_handshake_that_fails_closes_everything_and_says_why() -> None:
    """The refusal is written, the stage's error is raised, stages and transport are closed."""
    here, there = trio.testing.memory_stream_pair()
    server = Handshake(client=False)
    await there.send_all(b"who are you\n")
    with pytest.raises(ValueError, match="no handshake"):
        async with Pipeline(here, Lines() | server):
            pytest.fail("entered")

    assert 1 == server.closed
    assert b"refused\n" == await _all_of(there)
    with pytest.raises(trio.ClosedResourceError):
        await here.send_all(b"x")


@pytest.mark.parametrize("step", range(1, 12))
async def test_a_handshake_that_is_cancelled_closes_everything(step: int) -> None:
    """Wherever entering is cancelled, stages and transport are closed."""
    here, there = trio.testing.memory_stream_pair()
    client = Handshake(client=True)

    async def enter() -> None:
        async with Pipeline(here, Lines() | client):
            pytest.fail("entered")

    with trio.move_on_after(5):
        await cancelled_at(step, enter)
    assert 1 == client.closed
    with pytest.raises(trio.ClosedResourceError):
        await here.send_all(b"x")
    assert await _all_of(there) in (b"", b"hello\n")


async def test_a_peer_that_leaves_during_the_handshake() -> None:
    """The end of the stream in the middle of a handshake is the stage's error."""
    here, there = trio.testing.memory_stream_pair()
    await there.send_eof()
    with pytest.raises(ValueError, match="went away"):
        async with Pipeline(here, Lines() | Handshake(client=True)):
            pytest.fail("entered")


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
        self.inbound = _BeatIn(seconds)
        self.outbound = _BeatOut(self.inbound)


class _BeatIn(Inbound[bytes, bytes]):
    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.deadline: float | None = None

    async def start(self) -> list[bytes]:
        self.deadline = self.now() + self.seconds
        return []

    def process_sync(self, item: bytes, /) -> list[bytes]:
        return [item]

    async def on_timer(self, now: float, /) -> list[Any]:
        self.deadline = now + self.seconds
        return [Reply(b"beat")]


class _BeatOut(Outbound[bytes, bytes]):
    keeps_outbound_state = False

    def __init__(self, other: _BeatIn) -> None:
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
    assert b"re a\nre b\nre c\n" == await _all_of(there)


# ---- replies to the client


class Cache(Duplex[bytes, bytes, bytes, bytes]):
    """Answers `get` itself; lets everything else out."""

    def __init__(self) -> None:
        self.inbound = Lines().inbound
        self.outbound = _CacheOut()


class _CacheOut(Outbound[bytes, bytes]):
    keeps_outbound_state = False

    def process_sync(self, item: bytes, /) -> list[Any]:
        return [Reply(b"cached " + item)] if item.startswith(b"get") else [item + b"\n"]


async def test_an_outbound_stage_answers_the_client() -> None:
    """A reply to the client is received, by a task that waits already and by one that comes later."""
    here, there = trio.testing.memory_stream_pair()
    async with Pipeline(here, Cache()) as pipeline, trio.open_nursery() as nursery:
        got: list[bytes] = []

        @nursery.start_soon
        async def receiver() -> None:
            got.append(await pipeline.receive())

        await trio.sleep(1)
        await pipeline.send(b"get 1")
        await trio.sleep(1)
        assert [b"cached get 1"] == got
        await pipeline.send(b"get 2")
        assert b"cached get 2" == await pipeline.receive()
        await pipeline.send(b"put")
    assert b"put\n" == await _all_of(there)


async def test_replies_to_a_client_that_does_not_receive_are_bounded() -> None:
    """Sends wait when the answers to them are not taken; nothing is lost."""
    here, _there = trio.testing.memory_stream_pair()
    sent = 0
    async with (
        Pipeline(here, Cache(), max_reply_bytes=1000) as pipeline,
        trio.open_nursery() as nursery,
    ):

        @nursery.start_soon
        async def sender() -> None:
            nonlocal sent
            for _ in range(500):
                await pipeline.send(b"get " + b"x" * 100)
                sent += 1

        await trio.sleep(1)
        assert sent < 100
        for _ in range(500):
            assert b"cached get " + b"x" * 100 == await pipeline.receive()
    assert 500 == sent


# ---- corners


class Rings(Inbound[bytes, bytes]):
    """Gives an item by itself every `seconds`."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.deadline: float | None = None

    async def start(self) -> list[bytes]:
        self.deadline = self.now() + self.seconds
        return []

    def process_sync(self, item: bytes, /) -> list[bytes]:
        return [item]

    async def on_timer(self, now: float, /) -> list[bytes]:
        self.deadline = now + self.seconds
        return [b"ring"]


class Greets(Inbound[bytes, bytes]):
    """Says hello at the start."""

    async def start(self) -> list[Any]:
        return [Reply(b"hello")]

    def process_sync(self, item: bytes, /) -> list[bytes]:
        return [item]


async def test_items_that_a_timer_gives_while_nobody_receives_are_kept() -> None:
    """A send that waits its turn lets them out; a later receive gets them, and no more than there is room for."""
    here, there = trio.testing.lockstep_stream_pair()
    async with Pipeline(here, Lines() | Rings(1)) as pipeline, trio.open_nursery() as nursery:
        nursery.start_soon(pipeline.send, b"blocks")
        nursery.start_soon(pipeline.send, b"waits")
        await trio.sleep(100.5)
        for _ in range(64):
            assert b"ring" == await pipeline.receive()
        nursery.cancel_scope.cancel()
    del there


async def test_a_send_that_waits_its_turn_leaves_timers_to_a_receiver_that_came_later() -> None:
    """The deadline is acted on once."""
    here, there = trio.testing.lockstep_stream_pair()
    async with Pipeline(here, Lines() | Rings(5)) as pipeline, trio.open_nursery() as nursery:
        nursery.start_soon(pipeline.send, b"blocks")
        nursery.start_soon(pipeline.send, b"waits")
        await trio.sleep(1)
        got: list[float] = []
        start = trio.current_time() - 1
        for _ in range(3):
            assert b"ring" == await pipeline.receive()
            got.append(trio.current_time() - start)
        assert [5, 10, 15] == pytest.approx(got)
        nursery.cancel_scope.cancel()
    del there


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


async def test_entering_ends_when_an_item_for_the_client_is_there() -> None:
    """A stage that asks the client first is received from, although another one is not ready yet."""

    class Asks(Inbound[bytes, bytes]):
        ready = False

        async def start(self) -> list[bytes]:
            return [b"question", b"another"]

        def process_sync(self, item: bytes, /) -> list[bytes]:
            return [item]

    here, _there = trio.testing.memory_stream_pair()
    async with Pipeline(here, Lines() | Asks()) as pipeline:
        assert b"question" == await pipeline.receive()
        assert b"another" == await pipeline.receive()


async def test_entering_ends_with_the_stream() -> None:
    """Where the peer leaves before every stage is ready and none of them minds, the client sees the end."""

    class NeverReady(Inbound[bytes, bytes]):
        ready = False

        def process_sync(self, item: bytes, /) -> list[bytes]:
            return []

    here, there = trio.testing.memory_stream_pair()
    await there.send_eof()
    async with Pipeline(here, Lines() | NeverReady()) as pipeline:
        with pytest.raises(trio.EndOfChannel):
            await pipeline.receive()


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


async def test_the_end_waits_at_a_gate_too() -> None:
    """send_eof() goes on when the stage is ready again."""
    here, there = trio.testing.memory_stream_pair()
    async with Pipeline(here, Lines() | Window(1)) as pipeline, trio.open_nursery() as nursery:
        await pipeline.send(b"one")

        @nursery.start_soon
        async def peer() -> None:
            await trio.sleep(3)
            await there.send_all(b"+1\n")

        start = trio.current_time()
        await pipeline.send_eof()
        assert 3 == pytest.approx(trio.current_time() - start)
    assert b"one\n" == await _all_of(there)


async def test_a_send_behind_an_end_that_waits_at_a_gate() -> None:
    """It is told that outbound has ended: at once, or when the gate opens and the end goes out."""
    here, there = trio.testing.memory_stream_pair()
    stops = inbound(lambda item: [Reply(END), item] if item == b"stop" else [item])
    async with Pipeline(here, Lines() | Window(1) | stops, close_seconds=1) as pipeline:
        await pipeline.send(b"one")
        await there.send_all(b"stop\n+1\n")
        assert b"stop" == await pipeline.receive()
        for _ in range(2):
            with pytest.raises(trio.ClosedResourceError, match="outbound has ended"):
                await pipeline.send(b"two")
    assert b"one\n" == await _all_of(there)


class BeatOut(Outbound[bytes, bytes]):
    """Writes `beat` every `seconds`, whatever inbound does."""

    keeps_outbound_state = False

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.deadline: float | None = None

    async def start(self) -> list[bytes]:
        self.deadline = self.now() + self.seconds
        return []

    def process_sync(self, item: bytes, /) -> list[bytes]:
        return [item]

    async def on_timer(self, now: float, /) -> list[bytes]:
        self.deadline = now + self.seconds
        return [b"beat"]


async def test_a_timer_that_is_due_while_a_send_waits_and_inbound_is_broken() -> None:
    """The send is not disturbed by what broke inbound before."""
    here, there = trio.testing.lockstep_stream_pair()
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def peer() -> None:
            await there.send_all(b"boom\n")
            received = b""
            while b"waits" not in received or b"blocks" not in received:
                await trio.sleep(20)
                received += await there.receive_some()

        async with Pipeline(here, Lines() | BeatOut(5) | Answers(), close_seconds=100) as pipeline:
            with pytest.raises(ValueError, match="boom"):
                await pipeline.receive()
            async with trio.open_nursery() as sends:
                sends.start_soon(pipeline.send, b"blocks")
                sends.start_soon(pipeline.send, b"waits")
            nursery.cancel_scope.cancel()
