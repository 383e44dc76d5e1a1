"""Who writes: replies in a receive, sends, and what is left when one is cut."""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import Iterator
from typing import Any

import pytest
import trio
import trio.testing

from pipeline import END, Duplex, Inbound, Outbound, Passthrough, Pipeline, Reply, Result, inbound, outbound
from tests.pipeline.parts import Answers, Join, Lines, WaitsOut, tcp_pair
from tests.pipeline.wires import clog, read_all


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


@pytest.mark.real_time
async def test_a_reply_that_is_given_while_a_quick_send_waits_goes_out_behind_it() -> None:
    async with tcp_pair() as (here, there), Pipeline(here, Lines() | Answers(), close_seconds=0.05) as pipeline:
        clogged = await clog(here)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pipeline.receive)
            nursery.start_soon(pipeline.send, b"item")
            await trio.testing.wait_all_tasks_blocked(0.01)
            await there.send_all(b"ping\n")
            await trio.testing.wait_all_tasks_blocked(0.01)
            got = b""
            with trio.fail_after(5):
                while len(got) < clogged + 10:
                    got += await there.receive_some()
            assert got.endswith(b"item\npong\n")
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


@pytest.mark.real_time
async def test_closing_wakes_a_quick_send_that_is_blocked() -> None:
    """A send into a full socket raises ClosedResourceError when the pipeline is closed."""
    async with tcp_pair() as (here, _there):
        pipeline = Pipeline(here, Join(), close_seconds=0.05)
        await pipeline.__aenter__()
        await clog(here)
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def send() -> None:
                with pytest.raises(trio.ClosedResourceError):
                    await pipeline.send(b"x" * 1000)

            await trio.testing.wait_all_tasks_blocked(0.01)
            await pipeline.aclose()


@pytest.mark.real_time
async def test_a_quick_send_that_the_socket_takes_in_parts() -> None:
    """An item larger than the socket's buffer arrives whole, and the next one behind it."""
    size = 20_000_000
    async with (
        tcp_pair() as (here, there),
        Pipeline(here, Join(), close_seconds=0.05) as pipeline,
        trio.open_nursery() as nursery,
    ):

        @nursery.start_soon
        async def send() -> None:
            await pipeline.send(b"x" * size)
            await pipeline.send(b"end")

        received = bytearray()
        while not received.endswith(b"end\n"):
            received += await there.receive_some()
    assert b"x" * size + b"\nend\n" == received


class Numbers(Outbound[bytes, bytes]):
    """Numbers what is sent, so that a number that was not written is missed."""

    def __init__(self) -> None:
        self.count = 0

    def process_sync(self, item: bytes, /) -> list[bytes]:
        self.count += 1
        return [b"%d%s\n" % (self.count, item)] * (item != b"nothing")


@pytest.mark.real_time
@pytest.mark.parametrize("chain", [Join, Numbers])
async def test_a_send_that_is_cancelled_before_it_began_has_no_effect(chain: Any) -> None:
    """Also where the item becomes several, which the long way has to write."""
    async with tcp_pair() as (here, there), Pipeline(here, chain() | outbound(lambda item: [item, b"!"])) as pipeline:
        with trio.CancelScope() as scope:
            scope.cancel()
            await pipeline.send(b"a")
        assert scope.cancelled_caught
        await pipeline.send(b"b")
        assert (b"b\n!\n" if chain is Join else b"1b\n2!\n") == await there.receive_some()
        await there.aclose()


@pytest.mark.real_time
@pytest.mark.parametrize("many", [False, True])
async def test_a_send_that_is_cancelled_with_nothing_written(*, many: bool) -> None:
    """Of several the next write begins with them; a single one is the caller's again, and a stage is ahead of it."""
    async with tcp_pair() as (here, there), Pipeline(here, Numbers(), close_seconds=0.05) as pipeline:
        full = await clog(here)
        with trio.move_on_after(0.01) as scope:
            await (pipeline.send_many([b"a", b"b"]) if many else pipeline.send(b"a"))
        assert scope.cancelled_caught
        while full:
            full -= len(await there.receive_some(full))
        if not many:
            with pytest.raises(trio.BrokenResourceError, match="Numbers had gone ahead of the wire"):
                await pipeline.send(b"c")
            return
        await pipeline.send(b"c")
        assert b"1a\n2b\n3c\n" == await there.receive_some()


@pytest.mark.real_time
async def test_what_many_become_is_one_write() -> None:
    """Whatever it is: nothing, several results, more than is merged; and the next ones come behind it."""
    async with tcp_pair() as (here, there), Pipeline(here, Numbers()) as pipeline:
        await pipeline.send_many([b"a", b"nothing", b"b"])
        assert b"1a\n3b\n" == await there.receive_some()
        await pipeline.send_many(iter([b"nothing"]))
        await pipeline.send_many([])
        await pipeline.send(b"nothing")
        assert 5 == pipeline._driver.writes + 4, "one write so far"
        await pipeline.send_many([b"a" * 40_000, b"b" * 40_000, b"c", b"d"])
        received = bytearray()
        while not received.endswith(b"9d\n"):
            received += await there.receive_some()
        assert b"6" + b"a" * 40_000 + b"\n7" + b"b" * 40_000 + b"\n8c\n9d\n" == received
        assert 3 == pipeline._driver.writes
        await there.aclose()


@pytest.mark.real_time
async def test_many_of_which_one_becomes_several_or_fails() -> None:
    def refuse(item: bytes) -> list[bytes]:
        if item == b"bad":
            raise ValueError("bad item")
        return [item, b"!"] if item == b"two" else [item]

    async with tcp_pair() as (here, there), Pipeline(here, Join() | outbound(refuse)) as pipeline:
        await pipeline.send_many([b"one", b"two", b"three"])
        assert b"one\ntwo\n!\nthree\n" == await there.receive_some()
        with pytest.raises(ValueError, match="bad item"):
            await pipeline.send_many([b"one", b"bad", b"three"])
        assert b"one\n" == await there.receive_some()
        await there.aclose()


@pytest.mark.real_time
async def test_a_send_that_became_nothing_is_a_checkpoint() -> None:
    """And it notices that it is cancelled."""
    for chain in (Numbers(), outbound(lambda item: [])):
        async with tcp_pair() as (here, there), Pipeline(here, chain) as pipeline:
            with trio.testing.assert_checkpoints():
                await pipeline.send(b"nothing")
            with trio.CancelScope() as scope:
                scope.cancel()
                await pipeline.send(b"nothing")
            assert scope.cancelled_caught
            await there.aclose()


@pytest.mark.real_time
async def test_a_quick_send_to_a_peer_that_has_gone() -> None:
    """The transport's error breaks outbound; what came before is received."""
    async with tcp_pair() as (here, there):
        await there.send_all(b"last words\n")
        await there.aclose()
        async with Pipeline(here, Lines(), close_seconds=0.05) as pipeline:
            with pytest.raises(trio.BrokenResourceError):
                for _ in range(100):
                    await pipeline.send(b"x" * 10_000)
            with pytest.raises(trio.BrokenResourceError, match="outbound is broken"):
                await pipeline.send(b"x")


async def test_a_send_of_many_that_fails_sends_what_came_before() -> None:
    """The items before the one that a stage refuses are written, then the error is raised."""
    here, there = trio.testing.memory_stream_pair()

    def refuse(item: bytes) -> list[bytes]:
        if item == b"bad":
            raise ValueError("bad item")
        return [item]

    async with Pipeline(here, Join() | outbound(refuse)) as pipeline:
        with pytest.raises(ValueError, match="bad item"):
            await pipeline.send_many([b"one", b"two", b"bad", b"three"])
        assert b"one\ntwo\n" == await there.receive_some()


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


class Twice(Outbound[bytes, bytes]):
    """Two for each, so that the short way is left."""

    keeps_outbound_state = False

    def process_sync(self, item: bytes, /) -> list[bytes]:
        return [item] * 2


@pytest.mark.real_time
@pytest.mark.parametrize("merge_writes", [False, True])
async def test_a_send_that_is_cancelled_where_the_short_way_ends_has_no_effect(*, merge_writes: bool) -> None:
    """The engine has the item then, and must not keep it."""
    async with (
        tcp_pair() as (here, there),
        Pipeline(here, Twice(), merge_writes=merge_writes, close_seconds=0.05) as pipeline,
    ):
        await pipeline.send(b"a")
        with trio.CancelScope() as scope:
            scope.cancel()
            await pipeline.send(b"b")
        assert scope.cancelled_caught
        await pipeline.send(b"c")
        await pipeline.flush()
        assert b"aacc" == await there.receive_some()


@pytest.mark.real_time
async def test_a_merged_send_that_has_to_write_is_cancelled_without_effect() -> None:
    """It is too large to be merged; what was merged before stays."""
    async with tcp_pair() as (here, there), Pipeline(here, Join(), merge_writes=True, close_seconds=0.05) as pipeline:
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
    async with tcp_pair() as (here, _there), Pipeline(here, Join(), merge_writes=True, close_seconds=0.05) as pipeline:
        turns = sent = 0

        async def count_turns() -> None:
            nonlocal turns
            while True:
                await trio.lowlevel.checkpoint()
                turns += 1

        async with trio.open_nursery() as nursery:
            nursery.start_soon(count_turns)
            for _ in range(5000):
                await pipeline.send(b"x")
            nursery.cancel_scope.cancel()
            for _ in range(2000):
                await pipeline.send(b"y")
                sent += 1
        assert turns >= 3
        assert sent <= 1000


@pytest.mark.real_time
async def test_a_send_while_another_task_writes_waits_its_turn() -> None:
    """Also where nothing has happened since the short way was found free."""
    async with tcp_pair() as (here, there), Pipeline(here, Join(), close_seconds=0.05) as pipeline:
        await pipeline.send(b"first")
        async with trio.open_nursery() as nursery:
            for item in (b"a" * 8_000_000, b"b" * 8_000_000, b"c"):
                nursery.start_soon(pipeline.send, item)
            received = bytearray()
            while len(received) < 16_000_010:
                received += await there.receive_some()
        lines = bytes(received).split(b"\n")
        assert {b"first", b"a" * 8_000_000, b"b" * 8_000_000, b"c", b""} == set(lines)
        assert 5 == len(lines)


class Odd(Outbound[bytes, bytes]):
    """Twice what begins with "2", nothing for what begins with "0"; refuses "bad"."""

    keeps_outbound_state = False

    def process_sync(self, item: bytes, /) -> list[bytes]:
        if item == b"bad":
            raise ValueError("bad item")
        return [item] * (item[0] - 48 if item[:1] in (b"0", b"2") else 1)


async def all_of(stream: trio.abc.ReceiveStream, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += await stream.receive_some()
    return data


@pytest.mark.real_time
@pytest.mark.parametrize("merge_writes", [False, True])
async def test_many_items_go_out_in_order_however_they_go(*, merge_writes: bool) -> None:
    """More than fit into a write, more than pass without a checkpoint, and such as become none or two."""
    rng = random.Random(5)
    items = [rng.choice([b"0", b"1", b"2"]) + b"%d," % rng.randrange(10 ** rng.randrange(1, 9)) for _ in range(4000)]
    items[2500:2500] = [b"1" + b"x" * 70_000 + b","] * 3
    expected = b"".join(item * (item[0] - 48) for item in items)
    async with (
        tcp_pair() as (here, there),
        Pipeline(here, Odd(), merge_writes=merge_writes, close_seconds=0.05) as pipeline,
        trio.open_nursery() as nursery,
    ):

        @nursery.start_soon
        async def send() -> None:
            await pipeline.send_many(items)
            await pipeline.flush()

        assert expected == await all_of(there, len(expected))


@pytest.mark.real_time
async def test_many_items_let_others_run_at_least_once_per_thousand() -> None:
    async with tcp_pair() as (here, _there), Pipeline(here, Join(), close_seconds=0.05) as pipeline:
        turns = 0
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def count_turns() -> None:
                nonlocal turns
                while True:
                    await trio.lowlevel.checkpoint()
                    turns += 1

            await pipeline.send_many(b"x" for _ in range(10_000))
            nursery.cancel_scope.cancel()
        assert turns >= 7


@pytest.mark.real_time
@pytest.mark.parametrize("merge_writes", [False, True])
async def test_many_items_one_of_which_is_refused(*, merge_writes: bool) -> None:
    """Those before it go out, as do those before an error of where the items come from, and sending goes on."""

    def broken() -> Iterator[bytes]:
        yield b"1d"
        raise LookupError("no more")

    async with (
        tcp_pair() as (here, there),
        Pipeline(here, Odd(), merge_writes=merge_writes, close_seconds=0.05) as pipeline,
    ):
        with pytest.raises(ValueError, match="bad item") as caught:
            await pipeline.send_many([b"1a", b"1b", b"bad", b"1c"])
        assert ["in outbound stage Odd (stage 1 of 1 of Odd()), process(), item: b'bad'"] == caught.value.__notes__
        with pytest.raises(LookupError, match="no more") as caught_elsewhere:
            await pipeline.send_many(broken())
        assert not hasattr(caught_elsewhere.value, "__notes__")
        await pipeline.send_many([b"1e"])
        await pipeline.flush()
        assert b"1a1b1d1e" == await all_of(there, 8)


@pytest.mark.real_time
async def test_many_merged_items_wait_until_somebody_would_wait() -> None:
    """Nothing is written before; with a receive that waits already, they go out at once."""
    async with tcp_pair() as (here, there):
        pipeline = Pipeline(here, Join(), merge_writes=True, close_seconds=0.05)
        await pipeline.send_many([b"first"])  # it enters, and cannot know yet whether anybody waits
        async with pipeline:
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


@pytest.mark.real_time
async def test_many_items_that_are_cancelled_go_out_with_the_next_write() -> None:
    """Those which were taken; none is cut, and none is doubled."""
    async with tcp_pair() as (here, there), Pipeline(here, Join(), close_seconds=0.05) as pipeline:
        await pipeline.send(b"0")
        size = await clog(here)
        with trio.move_on_after(0.01) as scope:
            await pipeline.send_many([b"a", b"b"])
        assert scope.cancelled_caught
        await all_of(there, 2 + size)
        await pipeline.send(b"c")
        assert b"a\nb\nc\n" == await all_of(there, 6)


@pytest.mark.real_time
async def test_a_receive_leaves_merged_bytes_to_the_task_that_writes_them() -> None:
    """Another task flushes, and waits for room; the receive reads, and nothing is written twice."""
    async with tcp_pair() as (here, there), Pipeline(here, Lines(), merge_writes=True, close_seconds=0.05) as pipeline:
        size = await clog(here)
        await pipeline.send(b"merged")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pipeline.flush)
            await trio.testing.wait_all_tasks_blocked(0.01)
            await there.send_all(b"in\n")
            assert b"in" == await pipeline.receive()
            assert b"merged\n" == (await all_of(there, size + 7))[size:]


@pytest.mark.real_time
@pytest.mark.parametrize("merge_writes", [False, True])
async def test_a_stage_that_refuses_one_of_several_sends(*, merge_writes: bool) -> None:
    """Over a socket: its error comes with a note, and it is as if that one had not been sent."""
    async with (
        tcp_pair() as (here, there),
        Pipeline(here, Odd(), merge_writes=merge_writes, close_seconds=0.05) as pipeline,
    ):
        await pipeline.send(b"1a")
        with pytest.raises(ValueError, match="bad item") as caught:
            await pipeline.send(b"bad")
        assert ["in outbound stage Odd (stage 1 of 1 of Odd()), process(), item: b'bad'"] == caught.value.__notes__
        await pipeline.send(b"1b")
        await pipeline.flush()
        assert b"1a1b" == await all_of(there, 4)


@pytest.mark.real_time
async def test_small_batches_that_are_merged_let_others_run() -> None:
    """Nothing is ever written, so the number of items decides."""
    async with tcp_pair() as (here, _there), Pipeline(here, Join(), merge_writes=True, close_seconds=0.05) as pipeline:
        turns = 0
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def count_turns() -> None:
                nonlocal turns
                while True:
                    await trio.lowlevel.checkpoint()
                    turns += 1

            for _ in range(3000):
                await pipeline.send_many([b"x"])
            nursery.cancel_scope.cancel()
        assert turns >= 3


@pytest.mark.real_time
@pytest.mark.parametrize("merge_writes", [False, True])
async def test_any_object_is_an_item_on_the_short_way_too(*, merge_writes: bool) -> None:
    """None is not taken for nothing: the wire refuses it."""
    async with (
        tcp_pair() as (here, there),
        Pipeline(here, Passthrough(), merge_writes=merge_writes, close_seconds=0.05) as pipeline,
    ):
        await pipeline.send(b"a")
        with pytest.raises(TypeError, match="gave the wire NoneType"):
            await pipeline.send(None)
        await pipeline.send(b"b")
        await pipeline.flush()
        assert b"ab" == await all_of(there, 2)


class Impatient(Duplex[bytes, bytes, bytes, bytes]):
    """Says "late" a while after what was sent last; nothing but a send sets the time."""

    class In(Inbound[bytes, bytes]):
        """Its deadline is moved by the other half."""

        def process_sync(self, item: bytes, /) -> list[bytes]:
            return [item]

        async def on_timer(self, now: float, /) -> list[bytes]:
            self.deadline = None
            return [b"late"]

    class Out(Outbound[bytes, bytes]):
        """Never waits and has no timer of its own, so that it goes the short way."""

        keeps_outbound_state = False

        def __init__(self, other: Impatient.In) -> None:
            self.other = other

        def process_sync(self, item: bytes, /) -> list[bytes]:
            self.other.deadline = self.other.now() + 0.02
            return [item]

    def __init__(self) -> None:
        self.inbound = Impatient.In()
        self.outbound = Impatient.Out(self.inbound)


@pytest.mark.real_time
@pytest.mark.parametrize("many", [False, True])
async def test_a_deadline_that_a_quick_send_moves_takes_effect_at_once(*, many: bool) -> None:
    """A receive is waiting already, and nothing else will ever wake it (S12)."""
    async with (
        tcp_pair() as (here, _there),
        Pipeline(here, Impatient(), close_seconds=0.05) as pipeline,
        trio.open_nursery() as nursery,
    ):

        @nursery.start_soon
        async def receive() -> None:
            with trio.fail_after(2):
                assert b"late" == await pipeline.receive()
            nursery.cancel_scope.cancel()

        await trio.testing.wait_all_tasks_blocked()
        await (pipeline.send_many([b"x"]) if many else pipeline.send(b"x"))


class Ahead(Outbound[bytes, bytes]):
    """Goes ahead with what is sent, and ends with a mark that all was said."""

    def process_sync(self, item: bytes, /) -> list[bytes]:
        return [item]

    async def finish(self) -> list[bytes]:
        return [b"<all>"]


@pytest.mark.real_time
@pytest.mark.parametrize(("many", "end"), [(False, b""), (True, b"item<all>")])
async def test_closing_while_a_quick_send_has_written_nothing(*, many: bool, end: bytes) -> None:
    """A stage that is ahead of the wire is not finished (P8); what counts whatever happens is written by aclose()."""
    async with tcp_pair() as (here, there), trio.open_nursery() as nursery:
        pipeline = Pipeline(here, Ahead(), close_seconds=2)
        await pipeline.send(b"first")
        size = await clog(here)

        @nursery.start_soon
        async def send() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await (pipeline.send_many([b"item"]) if many else pipeline.send(b"item"))

        await trio.testing.wait_all_tasks_blocked(0.01)
        nursery.start_soon(pipeline.aclose)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert end == (await read_all(there))[5 + size :]
        await there.aclose()


@pytest.mark.real_time
async def test_a_reply_left_to_a_send_that_is_cancelled_is_written_by_the_receive_that_waits() -> None:
    """The receive waits for input already, and nothing else may ever happen (P14)."""
    async with tcp_pair() as (here, there), Pipeline(here, Lines() | Answers(), close_seconds=0.05) as pipeline:
        size = await clog(here)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pipeline.receive)
            scope = trio.CancelScope()

            @nursery.start_soon
            async def send() -> None:
                with scope:
                    await pipeline.send(b"item")

            await trio.testing.wait_all_tasks_blocked(0.01)
            await there.send_all(b"ping\n")
            await trio.testing.wait_all_tasks_blocked(0.01)
            scope.cancel()
            with trio.fail_after(2):
                assert (await all_of(there, size + 5)).endswith(b"pong\n")
            nursery.cancel_scope.cancel()


@pytest.mark.real_time
async def test_many_merged_items_of_which_nothing_comes_let_others_run() -> None:
    """A busy loop of them cannot hold up the other tasks."""
    async with tcp_pair() as (here, _there), Pipeline(here, Odd(), merge_writes=True, close_seconds=0.05) as pipeline:
        turns = 0
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def count_turns() -> None:
                nonlocal turns
                while True:
                    await trio.lowlevel.checkpoint()
                    turns += 1

            for _ in range(100):
                await pipeline.send_many([b"0"])
            nursery.cancel_scope.cancel()
        assert turns >= 50


@pytest.mark.real_time
async def test_merged_sends_go_out_in_the_order_in_which_they_were_called() -> None:
    """Also the first after something else has happened, which lets other tasks run."""
    async with tcp_pair() as (here, there), Pipeline(here, Join(), merge_writes=True, close_seconds=0.05) as pipeline:
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
    async with tcp_pair() as (here, there), Pipeline(here, Lines(), merge_writes=True, close_seconds=0.05) as pipeline:
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
    async with tcp_pair() as (here, there), Pipeline(here, Twice(), merge_writes=True, close_seconds=0.05) as pipeline:
        await pipeline.send(b"a")
        for item in (b"b", b"c", b"d"):
            await pipeline.send(item)
        with trio.move_on_after(0.01) as nothing_came:
            await there.receive_some()
        assert nothing_came.cancelled_caught
        await pipeline.flush()
        assert b"aabbccdd" == await there.receive_some()


async def test_a_send_that_is_cancelled_when_a_part_is_written_goes_on_with_the_next_write() -> None:
    async with tcp_pair() as (here, there), Pipeline(here, Join(), close_seconds=0.05) as pipeline:
        size = 20_000_000
        with trio.move_on_after(0.05) as scope:
            await pipeline.send(b"x" * size)
        assert scope.cancelled_caught
        assert pipeline.cut_send_goes_out
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pipeline.send, b"next")
            assert b"x\nnext\n" == (await all_of(there, size + 6))[-7:]


@pytest.mark.real_time
async def test_an_interrupt_among_many_items_leaves_those_before_it() -> None:
    """They go out with the next write."""

    def interrupt(item: bytes) -> list[bytes]:
        if item == b"stop":
            raise KeyboardInterrupt
        return [item]

    chain = Join() | outbound(interrupt)
    async with tcp_pair() as (here, there), Pipeline(here, chain, close_seconds=0.05) as pipeline:
        await pipeline.send(b"first")
        with pytest.raises(KeyboardInterrupt):
            await pipeline.send_many([b"a", b"stop", b"b"])
        await pipeline.send(b"c")
        assert b"first\na\nc\n" == await all_of(there, 10)


@pytest.mark.real_time
async def test_a_peer_that_goes_in_the_middle_of_an_item_breaks_outbound() -> None:
    async with tcp_pair() as (here, there), Pipeline(here, Join(), close_seconds=0.05) as pipeline:

        async def read_some_and_reset() -> None:
            await all_of(there, 100_000)
            there.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            await there.aclose()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read_some_and_reset)
            with pytest.raises(trio.BrokenResourceError, match="socket connection broken"):
                await pipeline.send(b"x" * 20_000_000)
        with pytest.raises(trio.BrokenResourceError, match="outbound is broken"):
            await pipeline.send(b"y")


async def test_many_items_are_one_write_on_any_byte_stream_while_a_receive_waits() -> None:
    here, there = trio.testing.memory_stream_pair()
    pump: Any = here.send_stream.send_all_hook
    writes = 0

    async def count() -> None:
        nonlocal writes
        writes += 1
        await pump()

    here.send_stream.send_all_hook = count
    async with Pipeline(here, Lines()) as pipeline, trio.open_nursery() as nursery:
        nursery.start_soon(pipeline.receive)
        await trio.testing.wait_all_tasks_blocked()
        await pipeline.send_many([b"a", b"b", b"c"])
        assert b"a\nb\nc\n" == await there.receive_some()
        assert 1 == writes
        await pipeline.send(b"d")  # which waits for nobody
        assert b"d\n" == await there.receive_some()
        nursery.cancel_scope.cancel()


class Awaits(Outbound[bytes, bytes]):
    """Might wait, so that nothing goes the short way."""

    keeps_outbound_state = False

    async def process(self, item: bytes, /) -> list[bytes]:
        return [item]


@pytest.mark.real_time
@pytest.mark.parametrize("stage", [Passthrough, Awaits])
async def test_a_send_that_is_cancelled_in_the_replies_behind_it_has_gone_out(*, stage: type[Any]) -> None:
    """Who sends through it, as a pipeline on top does, must not take it for one that had no effect (P10)."""
    async with tcp_pair() as (here, there):
        pipeline = Pipeline(here, Lines() | Answers() | stage(), close_seconds=0.05)
        await pipeline.send(b"")
        size = 1 + await clog(here)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pipeline.receive)
            scope = trio.CancelScope()

            @nursery.start_soon
            async def send() -> None:
                with scope:
                    await pipeline.send(b"item")

            await trio.testing.wait_all_tasks_blocked(0.01)
            await there.send_all(b"ping 20000000\n")
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert b"item\npong." == (await all_of(there, size + 10))[size : size + 10]
            await trio.testing.wait_all_tasks_blocked(0.01)
            scope.cancel()
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert scope.cancelled_caught
            assert pipeline.cut_send_goes_out
            nursery.cancel_scope.cancel()
        await there.aclose()
        with pytest.raises(trio.BrokenResourceError):
            await pipeline.aclose()
