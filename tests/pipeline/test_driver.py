"""Who runs what when: replies, gates, timers, pauses, and what a cancellation leaves."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing

from pipeline import END, Inbound, Pipeline, Reply, inbound
from tests.pipeline.parts import (
    Answers,
    Cache,
    Handshake,
    Lines,
    Paced,
    Rings,
    RingsOut,
    Waits,
    WaitsOut,
    Window,
    cancelled_at,
    tcp_pair,
    three_paced,
)
from tests.pipeline.wires import PATIENCE, read_all

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
    assert b"pong\nafter\n" == await read_all(there)


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
    assert b"zero\none\ntwo\n" == await read_all(there)


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
    assert b"refused\n" == await read_all(there)
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
    assert await read_all(there) in (b"", b"hello\n")


async def test_a_peer_that_leaves_during_the_handshake() -> None:
    """The end of the stream in the middle of a handshake is the stage's error."""
    here, there = trio.testing.memory_stream_pair()
    await there.send_eof()
    with pytest.raises(ValueError, match="went away"):
        async with Pipeline(here, Lines() | Handshake(client=True)):
            pytest.fail("entered")


# ---- replies to the client


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
    assert b"put\n" == await read_all(there)


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
    assert b"one\n" == await read_all(there)


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
    assert b"one\n" == await read_all(there)


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

        async with Pipeline(here, Lines() | RingsOut(5, b"beat") | Answers(), close_seconds=100) as pipeline:
            with pytest.raises(ValueError, match="boom"):
                await pipeline.receive()
            async with trio.open_nursery() as sends:
                sends.start_soon(pipeline.send, b"blocks")
                sends.start_soon(pipeline.send, b"waits")
            nursery.cancel_scope.cancel()
