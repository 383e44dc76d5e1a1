"""A running pipeline is asked what it is at: the slow stage has a name, and nobody pays who does not ask."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import memory_stream_pair, wait_all_tasks_blocked

from pipeline import END, Engine, Inbound, Pipeline, PipelineStats, Reply, StageStats, inbound, pipeline_stats
from pipeline._driver import Driver
from pipeline._slot import Slot
from stages import LineFramer, Logger, Map, TextCodec

from .engines import Pauses, Polls, running
from .parts import Answers, Join, Lines, Split, Waits, WaitsOut, Window, over_tcp
from .wires import Clogged, Recorder, all_of


@asynccontextmanager
async def attached(chain: Any, transport: Any = None, **options: Any) -> AsyncIterator[tuple[Pipeline[Any, Any], Any]]:
    """A pipeline and the peer's end; tasks can be started in `.tasks`, and end with it."""
    near, peer = memory_stream_pair()
    far: Any = peer
    async with trio.open_nursery() as nursery, Pipeline(transport or near, chain, **options) as pipeline:
        pipeline_stats(pipeline)  # counting begins
        far.tasks = nursery
        yield pipeline, far
        nursery.cancel_scope.cancel()


async def receive_all(pipeline: Pipeline[Any, Any]) -> None:
    async for _ in pipeline:
        pass


def stage(stats: PipelineStats, name: str) -> StageStats:
    (found,) = [stage for stage in stats.stages if stage.name == name]
    return found


def numbers(stats: PipelineStats) -> list[tuple[str, int, int]]:
    return [(stage.name, stage.items_in, stage.items_out) for stage in stats.stages]


def findings(stats: PipelineStats) -> list[str]:
    """The two lines that say it in words."""
    return str(stats).splitlines()[-3:-1]


def text(stats: PipelineStats) -> str:
    return f"\n{stats}\n"


# ---- who does not ask


async def test_before_the_first_call_nothing_is_hooked() -> None:
    """Slots and driver are plain ones, and call the stages' own methods."""
    near, far = memory_stream_pair()
    async with Pipeline(near, LineFramer() | TextCodec()) as pipeline:
        await far.send_all(b"x\n")
        await pipeline.receive()
        await pipeline.send("y")
        assert pipeline._engine.counting is None
        assert type(pipeline._driver) is Driver
        for slot in pipeline._engine._slots:
            assert type(slot) is Slot
            assert slot.sync == slot.stage.process_sync


async def test_asking_one_pipeline_leaves_others_alone() -> None:
    async with attached(LineFramer()), Pipeline(Recorder(), LineFramer()) as other:
        assert other._engine.counting is None
        assert all(type(slot) is Slot for slot in other._engine._slots)


def test_what_is_neither_a_pipeline_nor_an_engine_is_refused() -> None:
    with pytest.raises(TypeError, match=r"pipeline_stats\(LineFramer\(\)\): must be a Pipeline or an Engine"):
        pipeline_stats(LineFramer())  # type: ignore[arg-type]


# ---- the slow stage


async def test_a_stage_at_work_is_named() -> None:
    """The whole table, as it is printed."""
    async with attached(LineFramer() | TextCodec() | Waits(20)) as (pipeline, far):
        far.tasks.start_soon(receive_all, pipeline)
        await far.send_all(b"one\ntwo\nthree\nfo")
        await trio.sleep(32)
        stats = pipeline_stats(pipeline)
    assert (
        text(stats)
        == """
      stage                in  out  waits for       for  holds
→  1  LineFramer.inbound    1    2  output       12.0 s  1 untaken, 2 begun
→  2  TextCodec.inbound     2    2  input        12.0 s
→  3  Waits                 1    1  itself       12.0 s  1 at work
←  2  TextCodec.outbound    0    0  input      ≥ 32.0 s
←  1  LineFramer.outbound   0    0  input      ≥ 32.0 s

wire: StapledStream, nobody reads, nobody writes, 0 to write, 0 bytes of replies
client: nobody sending, a task receives, 0 parked
inbound: stage 3, Waits, has been at work in process() for 12.0 s
outbound: nothing is being sent
counted for 32.0 s
"""
    )
    assert stats.slowest == stage(stats, "Waits")
    assert (32, 12, 20) == (stats.counted_for, stage(stats, "Waits").seconds, stage(stats, "Waits").since)


async def test_asked_once_of_a_chain_that_stalls_already() -> None:
    """The slow stage is named at once; since when is known from then on."""
    near, far = memory_stream_pair()
    async with trio.open_nursery() as nursery, Pipeline(near, Split() | Waits(60)) as pipeline:
        nursery.start_soon(receive_all, pipeline)
        await far.send_all(b"one\n")
        await trio.sleep(10)
        assert "inbound: stage 2, Waits, has been at work in process() for at least 0.0 s" in str(
            pipeline_stats(pipeline)
        )
        await trio.sleep(5)
        stats = pipeline_stats(pipeline)
        assert "inbound: stage 2, Waits, has been at work in process() for at least 5.0 s" in str(stats)
        assert ("itself", 5, True) == (stats.stages[1].waits_for, stats.stages[1].seconds, stats.stages[1].at_least)
        nursery.cancel_scope.cancel()


async def test_an_outbound_stage_at_work_is_named() -> None:
    """Not the transport, although its sender has the wire."""
    async with attached(Lines() | WaitsOut(20)) as (pipeline, far):
        far.tasks.start_soon(pipeline.send, b"x")
        far.tasks.start_soon(pipeline.send, b"y")
        await trio.sleep(3)
        stats = pipeline_stats(pipeline)
    assert stats.slowest == stage(stats, "WaitsOut")
    assert (None, 2) == (stats.writing, stats.sending)
    assert findings(stats) == [
        "inbound: nobody receives",
        "outbound: stage 2, WaitsOut, has been at work in process() for 3.0 s",
    ]


async def test_of_two_slow_stages_the_slowest_is_longest_at_it() -> None:
    async with attached(Split() | Waits(60) | WaitsOut(60)) as (pipeline, far):
        far.tasks.start_soon(pipeline.send, b"x")
        await trio.sleep(1)
        far.tasks.start_soon(receive_all, pipeline)
        await far.send_all(b"one\n")
        await trio.sleep(1)
        stats = pipeline_stats(pipeline)
        assert stats.slowest == stage(stats, "WaitsOut")


async def test_a_lazy_stage_that_nobody_asks_for_more() -> None:
    """How many results it still has nobody knows."""

    @inbound
    def expand(item: bytes) -> Iterator[int]:
        yield from range(10**9)

    async with attached(expand) as (pipeline, far):
        await far.send_all(b"x")
        assert 0 == await pipeline.receive()
        await trio.sleep(1)
        assert 1 == await pipeline.receive()
        await trio.sleep(4)
        stats = pipeline_stats(pipeline)
    assert (1, 2, "output", None, 4) == (
        stats.stages[0].items_in,
        stats.stages[0].items_out,
        stats.stages[0].waits_for,
        stats.stages[0].untaken,
        stats.stages[0].seconds,
    )
    assert str(stats).splitlines()[1] == "→  1  expand   1    2  output     4.0 s  lazy results"
    assert findings(stats)[0] == "inbound: nobody receives what has been there for 4.0 s"
    assert stats.slowest is None


async def test_a_stage_that_pauses_is_named() -> None:
    async with attached(Split() | Pauses()) as (pipeline, far):
        await far.send_all(b"one\ntwo\n")
        assert b"one" == await pipeline.receive()
        far.tasks.start_soon(receive_all, pipeline)
        await trio.sleep(7)
        stats = pipeline_stats(pipeline)
    assert ("itself", "paused", 7, 1) == (
        stats.stages[1].waits_for,
        stats.stages[1].reason,
        stats.stages[1].seconds,
        stats.stages[1].queued,
    )
    assert findings(stats)[0] == "inbound: stage 2, Pauses, has been paused for 7.0 s"
    assert "1 queued, paused" in str(stats)


async def test_a_closed_gate_is_named_while_something_waits_before_it() -> None:
    async with attached(Lines() | Window(1)) as (pipeline, far):
        await pipeline.send(b"a")
        await trio.sleep(2)
        assert pipeline_stats(pipeline).slowest is None
        far.tasks.start_soon(pipeline.send, b"b")
        await trio.sleep(3)
        stats = pipeline_stats(pipeline)
        gate = stage(stats, "Window._WindowOut")
        assert stats.slowest == gate
        assert ("itself", "not ready", 1, 5) == (gate.waits_for, gate.reason, gate.queued, gate.seconds)
        assert findings(stats)[1] == "outbound: stage 2, Window._WindowOut, has been not ready for 5.0 s"
        assert "1 queued, not ready" in str(stats)
        await far.send_all(b"+5\n")
        await wait_all_tasks_blocked()
        assert (2, 2) == (stage(pipeline_stats(pipeline), "Window._WindowOut").items_in, stats.counted_for - 3)


# ---- the wire and the client


async def test_a_stuck_transport_is_named() -> None:
    async with attached(Lines(), Clogged()) as (pipeline, far):
        await trio.sleep(1)
        far.tasks.start_soon(pipeline.send, b"hello")
        await trio.sleep(6)
        stats = pipeline_stats(pipeline)
    assert (6, 6, 1) == (stats.writing, stats.to_write, stats.sending)
    assert findings(stats)[1] == "outbound: the transport has not taken what is written for 6.0 s"
    assert stats.slowest is None
    assert [("Lines.Join", 1, 1)] == numbers(stats)[1:]


async def test_a_silent_peer_is_named() -> None:
    async with attached(Lines()) as (pipeline, far):
        far.tasks.start_soon(receive_all, pipeline)
        await trio.sleep(2)
        await far.send_all(b"one\n")
        await trio.sleep(3)
        stats = pipeline_stats(pipeline)
    assert (3, True) == (stats.reading, stats.receiving)
    assert findings(stats) == ["inbound: the peer has sent nothing for 3.0 s", "outbound: nothing is being sent"]
    assert "wire: StapledStream, read for 3.0 s, nobody writes, 0 to write" in str(stats)


async def test_replies_that_the_peer_does_not_take() -> None:
    """Inbound stops, whoever receives."""
    async with attached(Lines() | Answers(), Stuffed(b"ping 90\nping 90\nping 90\nx\n"), max_reply_bytes=100) as (
        pipeline,
        far,
    ):
        far.tasks.start_soon(receive_all, pipeline)
        await trio.sleep(4)
        stats = pipeline_stats(pipeline)
    assert 188 <= stats.reply_bytes
    assert (2, 0) == (stage(stats, "Answers").replies, stage(stats, "Answers").items_out)
    assert findings(stats) == [
        "inbound: waits until replies are written",
        "outbound: the transport has not taken what is written for at least 4.0 s",
    ]


class Stuffed(Clogged):
    """Has something to read, and takes nothing."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.data = data

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        if not self.data:
            await trio.sleep_forever()
        data, self.data = self.data, b""
        await trio.lowlevel.checkpoint()
        return data


async def test_what_a_merged_send_left_in_the_buffer() -> None:
    async with attached(Lines(), merge_writes=True) as (pipeline, _):
        await pipeline.send(b"hello")
        stats = pipeline_stats(pipeline)
    assert (6, None, 0) == (stats.to_write, stats.writing, stats.sending)
    assert findings(stats)[1] == "outbound: what is to be written waits"


async def test_what_was_parked() -> None:
    """A send at a gate reads on, and what comes meanwhile waits for a receive."""
    async with attached(Lines() | Window(1)) as (pipeline, far):
        await pipeline.send(b"w")
        far.tasks.start_soon(pipeline.send, b"x")
        await far.send_all(b"one\ntwo\n+1\n")
        await trio.sleep(1)
        stats = pipeline_stats(pipeline)
    assert 2 == stats.parked
    assert findings(stats)[0] == "inbound: nobody receives what is there"


async def test_asked_by_a_stage_in_the_middle_of_its_work() -> None:
    """Anybody may ask, at any time; even for the first time."""
    asked: list[str] = []

    @inbound
    def ask(item: bytes) -> list[bytes]:
        asked.append(findings(pipeline_stats(pipeline))[0])
        return [item]

    near, far = memory_stream_pair()
    async with Pipeline(near, Split() | ask) as pipeline:
        await far.send_all(b"one\ntwo\n")
        assert [b"one", b"two"] == [await pipeline.receive(), await pipeline.receive()]
        assert [("Split", 0, 1), ("ask", 1, 1)] == numbers(pipeline_stats(pipeline))
    assert ["inbound: under way"] * 2 == asked


async def test_what_is_over_waits_for_nothing() -> None:
    async with attached(Lines()) as (pipeline, far):
        await far.send_all(b"one\n")
        await far.send_eof()
        await receive_all(pipeline)
        await pipeline.send_eof()
        stats = pipeline_stats(pipeline)
    assert [(None, None, None, False)] * 2 == [(at.waits_for, at.since, at.seconds, at.at_least) for at in stats.stages]
    assert findings(stats) == ["inbound: over", "outbound: over"]
    assert "→  1  Lines.Split   1    1  over" in str(stats)
    assert "stage 1, Lines.Split, is over" == str(stats.stages[0])


# ---- everything that moves items counts


@pytest.mark.real_time
@pytest.mark.short_ways
async def test_the_fast_way_over_a_socket_counts() -> None:
    """Sends that go the short way out, before and behind a change of the chain."""
    async with over_tcp(Lines() | Map(outbound=bytes.upper)) as (pipeline, far):
        await pipeline.send(b"uncounted")
        pipeline_stats(pipeline)
        await pipeline.send(b"a")
        await pipeline.send(b"b")
        assert [("Map", 2, 2), ("Lines.Join", 2, 2)] == numbers(pipeline_stats(pipeline))[1:]
        await pipeline.insert(Logger(), after=Lines)
        assert pipeline._driver.quick is not None
        await pipeline.send(b"c")
        stats = pipeline_stats(pipeline)
        assert [3, 1, 3] == [at.items_in for at in stats.stages if at.direction == "outbound"]
        assert b"UNCOUNTED\nA\nB\nC\n" == await all_of(far, 16)


async def test_a_stage_that_comes_counts_at_once() -> None:
    async with attached(LineFramer() | TextCodec()) as (pipeline, far):
        await far.send_all(b"a\n")
        await pipeline.receive()
        await pipeline.insert(Map(inbound=str.upper), at="client")
        await pipeline.insert(Logger(), after=LineFramer)
        await far.send_all(b"b\n")
        assert "B" == await pipeline.receive()
        await pipeline.remove(TextCodec)
        await far.send_all(b"c\n")
        stats = pipeline_stats(pipeline)
    assert [("LineFramer.inbound", 2, 2), ("Logger.inbound", 1, 1), ("Map", 1, 1)] == numbers(stats)[:3]
    assert [1, 2, 3] == [at.number for at in stats.stages][:3]


async def test_items_that_come_in_batches_are_counted() -> None:
    async with attached(Lines()) as (pipeline, far):
        await far.send_all(b"a\nb\nc\n")
        async for batch in pipeline.batches():
            assert [b"a", b"b", b"c"] == batch
            break
        assert [("Lines.Split", 1, 3)] == numbers(pipeline_stats(pipeline))[:1]


# ---- what nobody has taken


def test_what_start_and_poll_gave_is_counted_to_the_last() -> None:
    """Through everything that a slot puts round a stage's results."""

    class Starts(Inbound[Any, Any]):
        async def start(self) -> list[Any]:
            return [Reply("hello"), "a", "b"]

        def process_sync(self, item: Any, /) -> list[Any]:
            return [item]

    polls = Polls()
    engine: Engine[Any, Any] = running(polls | Starts())
    pipeline_stats(engine)
    polls.ready_made = ["p", "q"]
    assert "a" == engine.next_item()
    assert [("Polls", 0, 0), ("Starts", 0, 1)] == numbers(pipeline_stats(engine))
    assert [0, 1] == [at.untaken for at in pipeline_stats(engine).stages]
    assert ["b", "p"] == [engine.next_item(), engine.next_item()]
    assert [1, 0] == [at.untaken for at in pipeline_stats(engine).stages]
    assert "q" == engine.next_item()
    assert [0, 0] == [at.untaken for at in pipeline_stats(engine).stages]


def test_what_a_timer_overtook_counts_as_untaken() -> None:
    engine: Engine[Any, Any] = running(Twice(), clock=lambda: 0.0)
    pipeline_stats(engine)
    engine.feed("x")
    assert "x" == engine.next_item()
    slot = engine._slots[0]
    slot.put_aside()
    assert ("output", 1) == (pipeline_stats(engine).stages[0].waits_for, pipeline_stats(engine).stages[0].untaken)
    slot.take_back()
    assert ["x"] == [engine.next_item()]


class Twice(Inbound[Any, Any]):
    """Gives each item twice."""

    def process_sync(self, item: Any, /) -> list[Any]:
        return [item, item]


# ---- an engine


def test_an_engine_says_what_it_knows() -> None:
    """All but what is at its ends."""

    class Echo(Inbound[Any, Any]):
        def process_sync(self, item: Any, /) -> list[Any]:
            return [item, Reply(item)]

    clock = [0.0]
    engine: Engine[Any, Any] = running(Echo() | Join(), clock=lambda: clock[0])
    pipeline_stats(engine)
    clock[0] = 1.0
    engine.feed(b"x")
    assert b"x" == engine.next_item()
    engine.send(b"y")
    clock[0] = 3.0
    assert (
        text(pipeline_stats(engine))
        == """
      stage  in  out  waits for      for  holds
→  1  Echo    1    1  output       2.0 s  1 untaken
←  2  Join    0    0  output     ≥ 3.0 s  1 queued

wire: none, 0 to write, 0 bytes of replies
client: 1 sending, 0 parked
inbound: nobody receives what has been there for 2.0 s
outbound: nothing is being sent
counted for 3.0 s
"""
    )
    engine.feed_eof()
    while engine.next_item() is not END:
        pass
    engine.close()
    assert ["inbound: over", "outbound: over"] == findings(pipeline_stats(engine))
