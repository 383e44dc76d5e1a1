"""Sending: one item, many at once, the end, and what each leaves when it fails or is cancelled."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
import trio
import trio.testing

from pipeline import END, Outbound, Passthrough, Pipeline, Reply, outbound
from tests.pipeline.parts import (
    Join,
    Lines,
    Odd,
    Split,
    Twice,
    WaitsOut,
    cancelled_at,
    over_tcp,
    tcp_pair,
    turns_of_others,
)
from tests.pipeline.wires import Recording, all_of, clog


async def test_an_item_goes_out_as_one_write() -> None:
    """What one item became is joined; empty bytes are not written."""
    stream = Recording()
    parts = outbound(lambda item: [b"<", item, b"", b">"])
    async with Pipeline(stream, parts) as pipeline:
        await pipeline.send(b"a")
        await pipeline.send(b"b")
        await pipeline.send_many([b"c", b"d"])
    assert [b"<a>", b"<b>", b"<c><d>", b"<eof>"] == stream.writes


@pytest.mark.parametrize("item", ["ab", b"ab", bytearray(b"ab"), memoryview(b"ab"), {"a": "b"}])
async def test_one_item_is_not_sent_in_pieces(item: Any) -> None:
    """As for what a stage returns (S2): text, bytes or a dict is one item, and for `send`."""
    stream = Recording()
    async with Pipeline(stream, outbound(lambda item: [b"x"])) as pipeline:
        with pytest.raises(TypeError, match=f"would send a {type(item).__name__} in pieces; one item is for send"):
            await pipeline.send_many(item)
    assert [b"<eof>"] == stream.writes


async def test_a_huge_expansion_goes_out_in_pieces() -> None:
    """At 64 KiB what is there is written, so that one item never sits in memory whole."""
    stream = Recording()
    held: list[int] = []

    def expand(item: bytes) -> Iterator[bytes]:
        for number in range(100):
            held.append(number - sum(map(len, stream.writes)) // 10_000)
            yield item * 10_000

    async with Pipeline(stream, outbound(expand)) as pipeline:
        await pipeline.send(b"x")
    assert 1_000_000 == sum(map(len, stream.writes[:-1]))
    assert max(held) <= 7
    assert {70_000, 20_000} == set(map(len, stream.writes[:-1]))


async def test_whole_items_of_several_tasks_never_interleave() -> None:
    """Each item's pieces stay together, in the order of the calls."""
    stream = Recording()
    pieces = outbound(lambda item: (item * 30_000 for _ in range(5)))
    async with Pipeline(stream, pieces | WaitsOut(0.1)) as pipeline, trio.open_nursery() as nursery:
        for item in (b"a", b"b", b"c"):
            nursery.start_soon(pipeline.send, item)
    written = b"".join(stream.writes[:-1])
    assert 3 == len([1 for a, b in zip(b"\0" + written, written, strict=False) if a != b])
    assert 450_000 == len(written)


async def test_a_send_after_the_end() -> None:
    """After send_eof() a send raises ClosedResourceError; receiving goes on; a second send_eof() does nothing."""
    stream = Recording(b"a\n")
    async with Pipeline(stream, Lines()) as pipeline:
        await pipeline.send_eof()
        await pipeline.send_eof()
        with pytest.raises(trio.ClosedResourceError, match="outbound has ended"):
            await pipeline.send(b"x")
        assert b"a" == await pipeline.receive()
    assert [b"<eof>"] == stream.writes


async def test_an_outbound_end_half_closes_the_wire() -> None:
    """END of an outbound stage goes out behind what came before it."""
    stream = Recording()
    last = outbound(lambda item: [item, END] if item == b"last" else [item])
    async with Pipeline(stream, last) as pipeline:
        await pipeline.send(b"first")
        await pipeline.send(b"last")
        with pytest.raises(trio.ClosedResourceError):
            await pipeline.send(b"more")
    assert [b"first", b"last", b"<eof>"] == stream.writes


async def test_a_send_that_fails_has_no_effect() -> None:
    """An item that a stage refuses leaves nothing behind; the error has a note, the next send works."""
    stream = Recording()

    def refuse(item: bytes) -> Iterator[bytes]:
        yield b"beginning of "
        if item == b"bad":
            raise ValueError("bad item")
        yield item

    async with Pipeline(stream, Join() | outbound(refuse)) as pipeline:
        with pytest.raises(ValueError, match="bad item") as caught:
            await pipeline.send(b"bad")
        assert ["in outbound stage refuse (stage 2 of 2 of Join() | outbound(refuse)), process(), item: b'bad'"] == (
            caught.value.__notes__
        )
        await pipeline.send(b"good")
    assert [b"beginning of \ngood\n", b"<eof>"] == stream.writes


async def test_a_send_that_fails_behind_a_stage_with_state_breaks_outbound() -> None:
    """A stage that is ahead of the wire is named, and nothing more is sent; receiving still works."""

    class Counts(Outbound[bytes, bytes]):
        def __init__(self) -> None:
            self.count = 0

        def process_sync(self, item: bytes, /) -> list[bytes]:
            self.count += 1
            return [b"%d:" % self.count + item]

    stream = Recording(b"a\n")

    def refuse(item: bytes) -> list[bytes]:
        if item.endswith(b"bad"):
            raise ValueError("bad item")
        return [item]

    async with Pipeline(stream, Split() | outbound(refuse) | Counts()) as pipeline:
        await pipeline.send(b"good")
        with pytest.raises(ValueError, match="bad item"):
            await pipeline.send(b"bad")
        with pytest.raises(trio.BrokenResourceError, match="Counts had gone ahead of the wire") as caught:
            await pipeline.send(b"good")
        assert isinstance(caught.value.__cause__, Exception)
        assert b"a" == await pipeline.receive()
    assert [b"1:good"] == stream.writes


@pytest.mark.parametrize("step", range(1, 14))
async def test_a_send_cancelled_anywhere_over_a_channel(step: int) -> None:
    """It went out whole or not at all, and the next send works; or outbound is broken, loudly."""
    to_peer, from_us = trio.open_memory_channel[bytes](0)
    got: list[bytes] = []
    chain = WaitsOut() | outbound(lambda item: [item + b"1", item + b"2"]) | WaitsOut()
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def peer() -> None:
            await trio.sleep(2.5)
            async for item in from_us:
                await trio.sleep(1)
                got.append(item)

        async with to_peer, Pipeline(to_peer, chain) as pipeline:

            async def send() -> None:
                await pipeline.send(b"a")

            cancelled = await cancelled_at(step, send)
            try:
                await pipeline.send(b"b")
            except trio.BrokenResourceError:
                assert cancelled
                await trio.sleep(5)
                assert [b"a1"] == got  # the rest of it was still in the stages: it cannot be finished
                return
    assert got in ([b"a1", b"a2", b"b1", b"b2"], [b"b1", b"b2"] if cancelled else [])


async def test_a_write_that_is_cut_on_a_stream_breaks_outbound_loudly() -> None:
    """A stream cannot say how much of a cancelled send_all went out, so nothing more is sent."""
    stream = Recording(b"a\n")
    async with Pipeline(stream, Lines()) as pipeline:
        stream.gate = trio.Event()
        with trio.move_on_after(1):
            await pipeline.send(b"x")
        with pytest.raises(trio.BrokenResourceError, match="cannot say how much"):
            await pipeline.send(b"y")
        assert b"a" == await pipeline.receive()


async def test_a_wrong_type_at_the_wire_is_refused_with_the_remedy() -> None:
    """A str for a byte stream is a TypeError which names the encoder; it has no effect."""
    stream = Recording()
    async with Pipeline(stream, outbound(lambda item: [item])) as pipeline:
        with pytest.raises(TypeError, match=r"gave the wire str 'text'.*put an encoder into the chain \(TextCodec\(\)"):
            await pipeline.send("text")
        await pipeline.send(b"bytes")
    assert [b"bytes", b"<eof>"] == stream.writes


async def test_marks_cannot_be_sent() -> None:
    """END and Reply are no items; the message shows what to call."""
    async with Pipeline(Recording(), Lines()) as pipeline:
        with pytest.raises(TypeError, match=r"END is no item and cannot be sent: call send_eof\(\)"):
            await pipeline.send(END)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="a Reply is a stage's result"):
            await pipeline.send(Reply(b"x"))  # type: ignore[arg-type]


# ---- over a socket, where sends go the short way


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
    async with over_tcp(Numbers()) as (pipeline, there):
        full = await clog(pipeline.transport)
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
        assert b"1a\n2b\n3c\n" == await all_of(there, 9)


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


@pytest.mark.real_time
@pytest.mark.parametrize("merge_writes", [False, True])
async def test_a_send_that_is_cancelled_where_the_short_way_ends_has_no_effect(*, merge_writes: bool) -> None:
    """The engine has the item then, and must not keep it."""
    async with over_tcp(Twice(), merge_writes=merge_writes) as (pipeline, there):
        await pipeline.send(b"a")
        with trio.CancelScope() as scope:
            scope.cancel()
            await pipeline.send(b"b")
        assert scope.cancelled_caught
        await pipeline.send(b"c")
        await pipeline.flush()
        assert b"aacc" == await all_of(there, 4)


@pytest.mark.real_time
async def test_a_send_while_another_task_writes_waits_its_turn() -> None:
    """Also where nothing has happened since the short way was found free."""
    async with over_tcp(Join()) as (pipeline, there):
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


@pytest.mark.real_time
@pytest.mark.parametrize("merge_writes", [False, True])
async def test_many_items_go_out_in_order_however_they_go(*, merge_writes: bool) -> None:
    """More than fit into a write, more than pass without a checkpoint, and such as become none or two."""
    rng = random.Random(5)
    items = [rng.choice([b"0", b"1", b"2"]) + b"%d," % rng.randrange(10 ** rng.randrange(1, 9)) for _ in range(4000)]
    items[2500:2500] = [b"1" + b"x" * 70_000 + b","] * 3
    expected = b"".join(item * (item[0] - 48) for item in items)
    async with (
        over_tcp(Odd(), merge_writes=merge_writes) as (pipeline, there),
        trio.open_nursery() as nursery,
    ):

        @nursery.start_soon
        async def send() -> None:
            await pipeline.send_many(items)
            await pipeline.flush()

        assert expected == await all_of(there, len(expected))


@pytest.mark.real_time
@pytest.mark.short_ways
async def test_many_items_let_others_run_at_least_once_per_thousand() -> None:
    async with over_tcp(Join()) as (pipeline, _there):
        async with turns_of_others() as turns:
            await pipeline.send_many(b"x" for _ in range(10_000))
        assert turns.count >= 7


@pytest.mark.real_time
@pytest.mark.parametrize("merge_writes", [False, True])
async def test_many_items_one_of_which_is_refused(*, merge_writes: bool) -> None:
    """Those before it go out, as do those before an error of where the items come from, and sending goes on."""

    def broken() -> Iterator[bytes]:
        yield b"1d"
        raise LookupError("no more")

    async with over_tcp(Odd(), merge_writes=merge_writes) as (pipeline, there):
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
async def test_many_items_that_are_cancelled_go_out_with_the_next_write() -> None:
    """Those which were taken; none is cut, and none is doubled."""
    async with over_tcp(Join()) as (pipeline, there):
        await pipeline.send(b"0")
        size = await clog(pipeline.transport)
        with trio.move_on_after(0.01) as scope:
            await pipeline.send_many([b"a", b"b"])
        assert scope.cancelled_caught
        await all_of(there, 2 + size)
        await pipeline.send(b"c")
        assert b"a\nb\nc\n" == await all_of(there, 6)


@pytest.mark.real_time
@pytest.mark.parametrize("merge_writes", [False, True])
async def test_a_stage_that_refuses_one_of_several_sends(*, merge_writes: bool) -> None:
    """Over a socket: its error comes with a note, and it is as if that one had not been sent."""
    async with over_tcp(Odd(), merge_writes=merge_writes) as (pipeline, there):
        await pipeline.send(b"1a")
        with pytest.raises(ValueError, match="bad item") as caught:
            await pipeline.send(b"bad")
        assert ["in outbound stage Odd (stage 1 of 1 of Odd()), process(), item: b'bad'"] == caught.value.__notes__
        await pipeline.send(b"1b")
        await pipeline.flush()
        assert b"1a1b" == await all_of(there, 4)


@pytest.mark.real_time
@pytest.mark.parametrize("merge_writes", [False, True])
async def test_any_object_is_an_item_on_the_short_way_too(*, merge_writes: bool) -> None:
    """None is not taken for nothing: the wire refuses it."""
    async with over_tcp(Passthrough(), merge_writes=merge_writes) as (pipeline, there):
        await pipeline.send(b"a")
        with pytest.raises(TypeError, match="gave the wire NoneType"):
            await pipeline.send(None)
        await pipeline.send(b"b")
        await pipeline.flush()
        assert b"ab" == await all_of(there, 2)


@pytest.mark.real_time
async def test_an_interrupt_among_many_items_leaves_those_before_it() -> None:
    """They go out with the next write."""

    def interrupt(item: bytes) -> list[bytes]:
        if item == b"stop":
            raise KeyboardInterrupt
        return [item]

    chain = Join() | outbound(interrupt)
    async with over_tcp(chain) as (pipeline, there):
        await pipeline.send(b"first")
        with pytest.raises(KeyboardInterrupt):
            await pipeline.send_many([b"a", b"stop", b"b"])
        await pipeline.send(b"c")
        assert b"first\na\nc\n" == await all_of(there, 10)


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
