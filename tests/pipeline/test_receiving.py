"""Receiving: one by one, in loops and in batches, and what each leaves when it fails or is cancelled."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

from pipeline import Inbound, IncompleteFrameError, Outbound, Pipeline, Reply, inbound
from stages import LineFramer, Map, Tap
from tests.pipeline.parts import Answers, Lines, Split, Waits, cancelled_at, tcp_pair
from tests.pipeline.test_fused_waits import Sometimes, ten_seconds
from tests.pipeline.wires import Recording


class Async(Inbound[bytes, bytes]):
    """Could wait, and does not."""

    async def process(self, line: bytes, /) -> list[bytes]:
        if not line:
            await trio.sleep(1)
        return [line.upper()]


class Breaking(Outbound[bytes, bytes]):
    """Fails in the middle of what it gives, so that outbound breaks."""

    def process_sync(self, line: bytes, /) -> Iterator[bytes]:
        yield line
        raise ValueError("said enough")


@asynccontextmanager
async def sent(data: bytes, chain: Any) -> AsyncIterator[Pipeline[Any, Any]]:
    async with tcp_pair() as (near, far), Pipeline(near, chain) as pipeline:
        await far.send_all(data)
        await far.aclose()
        yield pipeline


@pytest.mark.short_ways
@pytest.mark.parametrize("stage", [Map(inbound=bytes.upper), Async])
async def test_a_batch_is_what_one_read_became(stage: Any) -> None:
    chain = LineFramer() | (stage() if stage is Async else stage)
    async with sent(b"a\nb\nc\n", chain) as pipeline:
        assert [[b"A", b"B", b"C"]] == [batch async for batch in pipeline.batches()]


@pytest.mark.short_ways
@pytest.mark.parametrize("waits", [False, True])
async def test_a_batch_with_an_error_comes_first(*, waits: bool) -> None:
    """Also where one of the stages could wait."""

    def number(line: bytes) -> int:
        return int(line)

    chain: Any = LineFramer() | Async() if waits else LineFramer()
    async with sent(b"1\n2\nx\n3\n", chain | Map(inbound=number)) as pipeline:
        batches = pipeline.batches()
        assert [1, 2] == await anext(batches)
        with pytest.raises(ValueError, match="invalid literal") as caught:
            await anext(batches)
        (note,) = caught.value.__notes__
        assert note.startswith("in inbound stage Map ")
        with pytest.raises(trio.BrokenResourceError):
            await anext(batches)


async def test_a_stage_that_waits_for_the_first_item_of_a_read() -> None:
    stage = Sometimes({b"b": ten_seconds})
    async with tcp_pair() as (near, far), Pipeline(near, LineFramer() | stage) as pipeline:
        await far.send_all(b"a\n")
        got = []
        async for line in pipeline:
            got.append((line, trio.current_time()))
            if line == b"c":
                break
            await far.send_all({b"a": b"b\n", b"b": b"c\n"}[line])
        assert [(b"a", 0), (b"b", 10), (b"c", 10)] == got


async def test_an_error_in_the_first_item_of_a_read() -> None:
    """Each time with its own note; what came before was received."""
    async with tcp_pair() as (near, far), Pipeline(near, LineFramer() | Map(inbound=int)) as pipeline:
        await far.send_all(b"1\n")
        async for number in pipeline:
            assert 1 == number
            break
        await far.send_all(b"x\n")
        with pytest.raises(ValueError, match="invalid literal") as caught:
            await pipeline.receive()
        (note,) = caught.value.__notes__
        assert note.startswith("in inbound stage Map ")


async def test_batches_behind_a_receive() -> None:
    """What `receive` left of a read is a batch."""
    async with sent(b"a\nb\nc\n", LineFramer() | Map(inbound=bytes.upper)) as pipeline:
        assert b"A" == await pipeline.receive()
        assert [[b"B", b"C"]] == [batch async for batch in pipeline.batches()]


async def test_batches_of_a_chain_that_is_to_be_polled() -> None:
    """Each time before it is fed, so its items do not come the short way."""

    class Polled(Inbound[bytes, bytes]):
        def process_sync(self, line: bytes, /) -> list[bytes]:
            return [line]

        def poll(self) -> list[bytes]:
            return []

    async with sent(b"a\nb\nc\n", LineFramer() | Polled()) as pipeline:
        assert [b"a", b"b", b"c"] == [line async for batch in pipeline.batches() for line in batch]


@pytest.mark.parametrize("over", ["ended", "broken"])
async def test_batches_when_outbound_is_over(over: str) -> None:
    """They are what one read became, as before: nothing is to be done outbound any more."""
    near, far = trio.testing.memory_stream_pair()
    async with Pipeline(near, Map(outbound=bytes.upper) | Breaking() | LineFramer()) as pipeline:
        if over == "ended":
            await pipeline.send_eof()
        else:
            with pytest.raises(ValueError, match="said enough"):
                await pipeline.send(b"a")
        await far.send_all(b"a\nb\nc\n")
        assert [b"a", b"b", b"c"] == await anext(pipeline.batches())
        await far.aclose()


# ---- over any stream


async def test_items_come_in_order_and_the_end_for_ever() -> None:
    """Items of several reads are received, then EndOfChannel each time."""
    async with Pipeline(Recording(b"a\nb", b"c\n"), Lines()) as pipeline:
        assert [b"a", b"bc"] == [await pipeline.receive(), await pipeline.receive()]
        for _ in range(3):
            with pytest.raises(trio.EndOfChannel):
                await pipeline.receive()


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


@pytest.mark.parametrize("kind", [StopIteration, StopAsyncIteration, trio.EndOfChannel])
@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("many", [False, True])
async def test_an_error_that_looks_like_an_end_ends_no_loop(kind: type[Exception], *, waits: bool, many: bool) -> None:
    """A stage that asks a channel of its own, which has ended, must not let the pipeline's input seem complete."""

    def ask(line: bytes) -> bytes:
        if line in b"bB":
            raise kind
        return line

    chain: Any = LineFramer() | Async() if waits else LineFramer()
    got = []
    async with sent(b"a\nb\nc\n", chain | Map(inbound=ask)) as pipeline:
        with pytest.raises(RuntimeError, match=f"raised {kind.__name__}") as caught:
            if many:
                async for batch in pipeline.batches():
                    got += batch
            else:
                async for line in pipeline:
                    got.append(line)
    assert [b"A" if waits else b"a"] == got
    assert isinstance(caught.value.__cause__, kind)


@pytest.mark.parametrize("many", [False, True])
async def test_a_reply_leaves_before_the_item_behind_it_comes(*, many: bool) -> None:
    """Also where items of one read are taken one after the other: it does not wait for the client's work."""

    class Between(Inbound[bytes, bytes]):
        def process_sync(self, line: bytes, /) -> list[Any]:
            return [line, Reply(b"re " + line), line]

    stream = Recording(b"a\nb\n")
    written = []
    async with Pipeline(stream, Lines() | Between()) as pipeline:
        if many:
            async for batch in pipeline.batches():
                written += [(line, len(stream.writes)) for line in batch]
        else:
            async for line in pipeline:
                written.append((line, len(stream.writes)))
    assert [b"re a\n", b"re b\n"] == stream.writes[:2]
    assert [(b"a", 0), (b"a", 1), (b"b", 1), (b"b", 2)] == written


# The long way, what is behind a stage that may wait is in no batch with what is before it.
@pytest.mark.parametrize("waits", [False, pytest.param(True, marks=pytest.mark.short_ways)])
async def test_a_batch_that_is_interrupted_is_not_lost(*, waits: bool) -> None:
    """What was taken for it before the interrupt comes next, and so does the item in work."""
    interrupts = [KeyboardInterrupt]

    def work(line: bytes) -> bytes:
        if line in b"bB" and interrupts:
            raise interrupts.pop()
        return line

    chain: Any = LineFramer() | Async() if waits else LineFramer()
    async with sent(b"a\nb\nc\n", chain | Map(inbound=work)) as pipeline:
        with pytest.raises(KeyboardInterrupt):
            await anext(pipeline.batches())
        got = [line async for line in pipeline]
    assert [b"a", b"b", b"c"] == [line.lower() for line in got]
