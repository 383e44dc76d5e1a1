"""The trio channel: receiving, batches, sending, ending, and what each leaves when it fails or is cancelled."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import trio
import trio.testing

from pipeline import (
    END,
    Inbound,
    IncompleteFrameError,
    Outbound,
    Pipeline,
    Reply,
    StageInUseError,
    inbound,
    outbound,
)
from pipeline.testing import check_cancellation, check_channel
from stages import Tap
from tests.pipeline import wires
from tests.pipeline.parts import Answers, Join, Lines, Split, Waits, WaitsOut, cancelled_at, tcp_pair


class Recording(trio.abc.HalfCloseableStream):
    """Keeps each write apart; what is read comes from a list."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = list(chunks)
        self.writes: list[bytes] = []
        self.gate = trio.Event()
        self.gate.set()

    async def send_all(self, data: Any) -> None:
        await trio.lowlevel.checkpoint()
        await self.gate.wait()
        self.writes.append(bytes(data))

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        return self.chunks.pop(0) if self.chunks else b""

    async def send_eof(self) -> None:
        self.writes.append(b"<eof>")

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


# ---- receiving


async def test_items_come_in_order_and_the_end_for_ever() -> None:
    """Items of several reads are received, then EndOfChannel each time."""
    async with Pipeline(Recording(b"a\nb", b"c\n"), Lines()) as pipeline:
        assert [b"a", b"bc"] == [await pipeline.receive(), await pipeline.receive()]
        for _ in range(3):
            with pytest.raises(trio.EndOfChannel):
                await pipeline.receive()


async def test_the_first_call_enters_where_nobody_did() -> None:
    """A pipeline works without `async with`; two first calls at once enter it once."""
    starts: list[int] = []

    class Starts(Inbound[bytes, bytes]):
        async def start(self) -> list[Any]:
            starts.append(1)
            await trio.sleep(1)
            return [Reply(b"hello")]

        def process_sync(self, item: bytes, /) -> list[bytes]:
            return [item]

    stream = Recording(b"a\n")
    pipeline = Pipeline(stream, Lines() | Starts())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pipeline.send, b"x")
        assert b"a" == await pipeline.receive()
    await pipeline.aclose()
    assert [1] == starts
    assert b"hello\n" == stream.writes[0]


async def test_two_tasks_that_receive() -> None:
    """The second receive raises BusyResourceError, also under `async for`; the first is not disturbed."""
    here, there = trio.testing.memory_stream_pair()
    async with Pipeline(here, Lines()) as pipeline, trio.open_nursery() as nursery:

        @nursery.start_soon
        async def first() -> None:
            assert b"x" == await pipeline.receive()

        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError, match="another task is receiving"):
            await pipeline.receive()
        with pytest.raises(trio.BusyResourceError):
            await anext(pipeline)
        await there.send_all(b"x\n")


async def test_with_and_for_without_async_say_so() -> None:
    here, _ = trio.testing.memory_stream_pair()
    pipeline: Any = Pipeline(here, Lines())
    with pytest.raises(TypeError, match="write `async with`, not `with`"), pipeline:
        pass
    with pytest.raises(TypeError, match="write `async for`, not `for`"):
        list(pipeline)


async def test_receive_is_a_checkpoint_each_time() -> None:
    """Whether an item was there or had to be read, receive passes through the scheduler; so does send."""
    async with Pipeline(Recording(b"a\nb\nc\n", b"d\n"), Lines()) as pipeline:
        for _ in range(4):
            with trio.testing.assert_checkpoints():
                await pipeline.receive()
        with trio.testing.assert_checkpoints():
            await pipeline.send(b"x")
        with trio.testing.assert_checkpoints():
            await pipeline.send_many([])
        with trio.testing.assert_checkpoints():
            await pipeline.flush()
        with trio.testing.assert_checkpoints():
            await pipeline.send_eof()
        with trio.testing.assert_checkpoints():
            await pipeline.aclose()


@pytest.mark.parametrize(("size", "at_most"), [(1, 1000), (100_000, 12)])
async def test_a_loop_over_items_notices_cancellation_soon(size: int, at_most: int) -> None:
    """`async for` yields once per 1,000 items and once per MiB, however much one read became."""
    expand = inbound(lambda item: (b"x" * size for _ in range(10**9)))
    seen = 0
    async with Pipeline(Recording(b"go"), expand) as pipeline:
        with trio.CancelScope() as scope:
            async for _ in pipeline:
                seen += 1
                if seen == 1500:
                    scope.cancel()
                if size > 1 and seen == 50:
                    scope.cancel()
    assert seen <= (1500 if size == 1 else 50) + at_most


async def test_batches_are_what_one_read_became() -> None:
    """Each list holds the items of one read; it is never empty."""
    async with Pipeline(Recording(b"a\nb\nc", b"d", b"e\nf\n"), Lines()) as pipeline:
        assert [[b"a", b"b"], [b"cde", b"f"]] == [batch async for batch in pipeline.batches()]


async def test_a_batch_is_bounded() -> None:
    """A batch ends after 1,000 items, and after a MiB."""
    many = inbound(lambda item: (b"x" for _ in range(2500)))
    async with Pipeline(Recording(b"go"), many) as pipeline:
        sizes = [len(batch) async for batch in pipeline.batches()]
    assert 2500 == sum(sizes)
    assert max(sizes) <= 1000

    large = inbound(lambda item: (b"x" * 65536 for _ in range(40)))
    async with Pipeline(Recording(b"go"), large) as pipeline:
        sizes = [len(batch) async for batch in pipeline.batches()]
    assert 40 == sum(sizes)
    assert max(sizes) <= 17


async def test_an_error_behind_items_of_a_batch_comes_after_them() -> None:
    """The items before the failing one are a batch; then the error is raised as itself, then BrokenResourceError."""
    async with Pipeline(Recording(b"a\nb\nboom\nc\n"), Lines() | Answers()) as pipeline:
        batches = pipeline.batches()
        assert [b"a", b"b"] == await anext(batches)
        with pytest.raises(ValueError, match="boom"):
            await anext(batches)
        with pytest.raises(trio.BrokenResourceError):
            await anext(batches)


async def test_what_nobody_asked_for_has_not_passed_the_taps() -> None:
    """Depth first: a tap behind the framer sees an item when it is received, not before."""
    seen: list[bytes] = []
    tap = Tap(lambda direction, item: seen.append(item))
    async with Pipeline(Recording(b"a\nb\nc\n"), Lines() | tap) as pipeline:
        await pipeline.receive()
        assert [b"a"] == seen
        await anext(pipeline)
        assert [b"a", b"b"] == seen


async def test_bytes_left_in_a_framer_at_the_end() -> None:
    """The error carries them, and inbound is broken from then on."""

    class Strict(Split):
        async def finish(self) -> list[bytes]:
            raise IncompleteFrameError(f"{len(self.tail)} bytes into a line", leftover=self.tail)

    async with Pipeline(Recording(b"a\nbc"), Strict()) as pipeline:
        assert b"a" == await pipeline.receive()
        with pytest.raises(IncompleteFrameError, match="2 bytes into a line") as caught:
            await pipeline.receive()
        assert b"bc" == caught.value.leftover
        with pytest.raises(trio.BrokenResourceError):
            await pipeline.receive()


@pytest.mark.parametrize("step", range(1, 30))
async def test_a_receive_cancelled_anywhere_loses_and_doubles_nothing(step: int) -> None:
    """Items that really waiting stages were busy with are offered again."""
    here, there = trio.testing.memory_stream_pair()
    got: list[bytes] = []
    async with Pipeline(here, Lines() | Waits() | Waits()) as pipeline, trio.open_nursery() as nursery:

        @nursery.start_soon
        async def peer() -> None:
            for data in (b"a\nb", b"\n", b"c\nd\n"):
                await there.send_all(data)
                await trio.sleep(1)
            await there.send_eof()

        async def receive() -> None:
            async for item in pipeline:
                got.append(item)

        await cancelled_at(step, receive)
        await receive()
    assert [b"a", b"b", b"c", b"d"] == got


async def test_a_receive_cancelled_at_every_wait() -> None:
    """Cancelled again and again at the first wait that is not over at once, every item still comes once."""
    here, there = trio.testing.memory_stream_pair()
    got: list[bytes] = []
    async with Pipeline(here, Lines() | Waits(3)) as pipeline:
        await there.send_all(b"a\nb\nc\n")
        for seconds in (1, 2, 4) * 3:
            with trio.move_on_after(seconds):
                got.append(await pipeline.receive())
    assert [b"a", b"b", b"c"] == got


# ---- sending


async def test_an_item_goes_out_as_one_write() -> None:
    """What one item became is joined; empty bytes are not written."""
    stream = Recording()
    parts = outbound(lambda item: [b"<", item, b"", b">"])
    async with Pipeline(stream, parts) as pipeline:
        await pipeline.send(b"a")
        await pipeline.send(b"b")
        await pipeline.send_many([b"c", b"d"])
    assert [b"<a>", b"<b>", b"<c><d>", b"<eof>"] == stream.writes


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


# ---- merged writes: P4


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


# ---- the rest


async def test_repr_shows_transport_and_chain() -> None:
    """A pipeline is drawn from wire to client."""
    async with Pipeline(Recording(), Lines() | Answers()) as pipeline:
        assert "<Pipeline Recording | Lines() | Answers()>" == repr(pipeline)
        assert "Lines() | Answers()" == repr(pipeline.chain)


async def test_a_chain_serves_one_pipeline() -> None:
    """A second use is refused, and the message shows a chain factory."""
    chain = Lines() | Answers()
    Pipeline(Recording(), chain)
    with pytest.raises(StageInUseError, match=r"def make_chain\(\): return"):
        Pipeline(Recording(), chain)


async def test_what_is_no_transport_is_refused() -> None:
    """The message names trio's kinds."""
    with pytest.raises(TypeError, match="is no transport: give a trio stream"):
        Pipeline(object(), Lines())  # type: ignore[arg-type]


@pytest.mark.parametrize("act", ["receive", "send", "flush", "send_eof", "__anext__"])
async def test_a_closed_pipeline_says_so(act: str) -> None:
    """Every call raises ClosedResourceError after aclose()."""
    pipeline = Pipeline(Recording(b"a\n"), Lines())
    await pipeline.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await getattr(pipeline, act)(*([b"x"] if act == "send" else []))


@pytest.mark.real_time
async def test_send_and_receive_at_once_over_tcp() -> None:
    """Two peers that each send and receive in two tasks get everything."""
    async with (
        tcp_pair() as (one, two),
        Pipeline(one, Lines(), close_seconds=0.1) as a,
        Pipeline(two, Lines(), close_seconds=0.1) as b,
        trio.open_nursery() as nursery,
    ):

        async def send(pipeline: Any) -> None:
            for number in range(500):
                await pipeline.send(b"%d" % number)
            await pipeline.send_eof()

        async def receive(pipeline: Any) -> None:
            assert [b"%d" % number for number in range(500)] == [item async for item in pipeline]

        for pipeline in (a, b):
            nursery.start_soon(send, pipeline)
            nursery.start_soon(receive, pipeline)


# ---- trio's contract, on every transport


def _lines_at_both(left: Any, right: Any) -> tuple[Any, Any]:
    return Pipeline(left, Lines(), close_seconds=0.2), Pipeline(right, Lines(), close_seconds=0.2)


async def _memory() -> tuple[Any, Any]:
    return _lines_at_both(*trio.testing.memory_stream_pair())


async def _lockstep() -> tuple[Any, Any]:
    return _lines_at_both(*trio.testing.lockstep_stream_pair())


async def _tcp() -> tuple[Any, Any]:
    return _lines_at_both(*await wires.tcp_pair())


async def _tls() -> tuple[Any, Any]:
    return _lines_at_both(*wires.tls(*await wires.tcp_pair()))


BYTES = [b"one", b"two", b"three"]


async def test_a_pipeline_keeps_trios_contract_in_memory() -> None:
    """Over memory streams."""
    await check_channel(_memory, items=BYTES, both_ways=True)


async def test_a_pipeline_keeps_trios_contract_in_lockstep() -> None:
    """Over streams where every write waits for the reader."""
    await check_channel(_lockstep, items=BYTES, both_ways=True, make_clogged=_lockstep)


@pytest.mark.real_time
async def test_a_pipeline_keeps_trios_contract_over_tcp() -> None:
    """Over real sockets."""
    await check_channel(_tcp, items=BYTES, both_ways=True)


@pytest.mark.real_time
async def test_a_pipeline_keeps_trios_contract_over_tls() -> None:
    """Over `trio.SSLStream` on real sockets."""
    await check_channel(_tls, items=BYTES, both_ways=True)


# ---- cancellation at every checkpoint, both directions: S5, P10


class Twice(Inbound[bytes, bytes]):
    """Waits twice, answers, and gives each item twice."""

    async def process(self, item: bytes, /) -> list[Any]:
        await trio.sleep(1)
        await trio.lowlevel.checkpoint()
        return [Reply(b"got " + item), item, item]


async def test_chains_that_really_wait_are_cancelled_at_every_checkpoint() -> None:
    """Nothing is lost, nothing doubled, in both directions."""
    checkpoints = await check_cancellation(
        lambda: Lines() | Twice() | WaitsOut() | Waits(), wire=[b"a\nb", b"\nc\n"], client=[b"x", b"y"]
    )
    assert checkpoints > 20


class _Shut(Inbound[bytes, Any]):
    """Not ready after "shut"; then ends outbound, or answers what is no bytes."""

    def process_sync(self, item: bytes, /) -> list[Any]:
        self.ready = False
        if item == b"shut":
            return []
        return [Reply(END) if item == b"end" else Reply("text")]

    ready = True


@pytest.mark.parametrize(("word", "error"), [(b"end", trio.ClosedResourceError), (b"bad", trio.BrokenResourceError)])
async def test_a_send_at_a_gate_is_told_when_another_task_ended_outbound(word: bytes, error: type[Exception]) -> None:
    """It did not go out, so it does not return as if it had."""
    near, far = trio.testing.memory_stream_pair()
    pipeline = Pipeline(near, _Shut())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pipeline.receive)
        await far.send_all(b"shut")
        await trio.testing.wait_all_tasks_blocked()

        async def send() -> None:
            with pytest.raises(error):
                await pipeline.send(b"x")
            nursery.cancel_scope.cancel()

        nursery.start_soon(send)
        await trio.testing.wait_all_tasks_blocked()
        await far.send_all(word)
    with suppress(TypeError):  # of the reply; nobody was told of it before
        await pipeline.aclose()
