"""What both harnesses share: what comes out by a call, in which order, and what an error or a cancellation leaves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
import trio
import trio.testing

from pipeline import (
    Duplex,
    Inbound,
    IncompleteFrameError,
    Outbound,
    Pipeline,
    PipelineError,
    Reply,
    StageTimeoutError,
    inbound,
    outbound,
)
from pipeline.testing import AsyncHarness, Harness
from tests.pipeline.testing.small_stages import HandshakeIn, Paused, Pings, Ticks, WaitIn, WaitOut
from tests.pipeline.wires import Lines


class Cache(Outbound[Any, Any]):
    """Answers the client itself."""

    def process_sync(self, item: Any, /) -> list[Any]:
        if item == "bad":
            raise ValueError("bad")
        return [Reply(("cached", item))]


def test_replies_are_wire_items_that_receive_caused() -> None:
    """What turned round is in `sent` and in `replies`, not among the client's items."""
    harness = Harness(Pings())

    assert ["a"] == harness.receive("ping", "a", "ping")
    assert ["hello", "pong", "pong"] == harness.replies


def test_replies_are_client_items_that_send_caused() -> None:
    """An outbound stage that answers the client: in `received` and in `replies`."""
    harness = Harness(Cache())

    assert [] == harness.send(1)
    assert [("cached", 1)] == harness.replies == harness.received


async def test_replies_go_out_before_the_next_item_comes_as_in_a_pipeline() -> None:
    """Those of another stage, which has less of a way, do not overtake them meanwhile."""

    class Behind(Inbound[str, str]):
        def __init__(self, name: str) -> None:
            self.name = name

        def process_sync(self, item: str, /) -> list[Any]:
            return [item, Reply(f"{self.name} of {item}"), item]

    def chain() -> Any:
        return Behind("lower") | outbound(lambda item: [item]) | Behind("upper")

    harness = Harness(chain())
    assert ["x"] * 4 == harness.receive("x")

    put, wire = trio.open_memory_channel[str](1)
    out, written = trio.open_memory_channel[str](9)
    await put.send("x")
    await put.aclose()
    async with Pipeline((wire, out), chain()) as pipeline:
        assert ["x"] * 4 == [item async for item in pipeline]
    assert [item async for item in written] == harness.replies


def test_a_reply_may_itself_turn_round() -> None:
    """Both directions run until nothing moves any more."""

    def turn_one(item: Any) -> list[Any]:
        return [Reply(item)] if item == 1 else [item]

    harness = Harness(Cache() | inbound(turn_one))

    assert [("cached", 1)] == harness.receive(1)


def test_what_came_out_before_an_error_is_kept() -> None:
    """An error leaves receive() as itself; the item and the alert before it are out."""
    harness = Harness(Pings())

    with pytest.raises(ValueError, match="bad"):
        harness.receive("a", "bad", "never seen")

    assert ["a", "before"] == harness.received
    assert ["hello", "alert"] == harness.sent == harness.replies


def test_after_an_inbound_error_outbound_still_works() -> None:
    """Inbound is broken from then on; an error can be answered."""
    harness = Harness(Pings())
    with pytest.raises(ValueError, match="bad"):
        harness.receive("bad")

    assert ["sorry"] == harness.send("sorry")
    with pytest.raises(PipelineError, match="inbound is broken"):
        harness.receive("a")
    with pytest.raises(PipelineError, match="inbound is broken"):
        harness.finish()


def test_after_an_outbound_error_the_next_item_goes() -> None:
    """A refused item had no effect."""
    harness = Harness(outbound(lambda item: [1 // item]))

    with pytest.raises(ZeroDivisionError):
        harness.send(1, 0)

    assert [1] == harness.sent
    assert [1] == harness.send(1)


def test_errors_of_both_directions_are_both_told() -> None:
    """The first is raised, the other is a note of it."""

    def reply_and_fail(item: Any) -> Iterable[Any]:
        yield Reply(item)
        raise ValueError("inbound")

    def divide(item: Any) -> list[Any]:
        return [1 // item]

    harness = Harness(outbound(divide) | inbound(reply_and_fail))

    with pytest.raises(ValueError, match="inbound") as info:
        harness.receive(0)

    assert any("and then ZeroDivisionError" in note for note in info.value.__notes__)


def test_broken_outbound_refuses_to_send() -> None:
    """What a stage kept of a cut send makes the next one fail."""
    harness = Harness(Cache())
    with pytest.raises(ValueError, match="bad"):
        harness.send("bad")
    harness.send_eof()

    with pytest.raises(PipelineError, match="outbound has ended"):
        harness.send("a")


def test_items_behind_a_stages_end_are_not_read() -> None:
    """As in a pipeline: nobody reads on behind END."""
    harness = Harness(Pings())

    assert ["a"] == harness.receive("a", "bye", "b")
    assert harness.inbound_ended
    assert [] == harness.receive("c")
    assert [] == harness.finish()


def test_receive_after_finish_is_refused() -> None:
    """A stream that has ended gives no more, and a test that feeds it is wrong."""
    harness = Harness(Paused() | Paused())
    harness.receive(1)
    with pytest.raises(AssertionError):
        harness.finish()

    with pytest.raises(PipelineError, match=r"nothing can be received after finish\(\): the wire has ended"):
        harness.receive(2)


def test_finish_raises_what_the_stage_raises() -> None:
    """An unfinished frame is the stage's own error, with its bytes."""
    harness = Harness(Lines())
    harness.receive(b"tw")

    with pytest.raises(IncompleteFrameError) as info:
        harness.finish()

    assert b"tw" == info.value.leftover


def test_send_waits_inside_while_a_stage_is_not_ready() -> None:
    """What is gated comes out by the call that makes the stage ready."""
    harness = Harness(HandshakeIn())
    assert [] == harness.send("a", "b")
    assert [] == harness.send_eof()

    assert [] == harness.receive("go")

    assert ["a", "b"] == harness.sent
    assert harness.outbound_ended


def test_an_error_of_a_timer_leaves_advance() -> None:
    """The clock stands where it happened; what came before is out."""
    harness = Harness(Ticks())

    with pytest.raises(StageTimeoutError, match="third"):
        harness.advance(100)

    assert 30.0 == harness.now
    assert [10.0, 20.0] == harness.received


def test_the_clock_ends_where_it_was_moved_to() -> None:
    """Between two timers, or where no stage has any."""
    ticking, timeless = Harness(Ticks()), Harness(Lines())
    assert [10.0] == ticking.advance(15.5)
    assert [] == timeless.advance(15.5) == timeless.advance(0)
    assert 15.5 == ticking.now == timeless.now


def test_the_clock_goes_forward_only() -> None:
    """A negative time is the test's mistake."""
    with pytest.raises(ValueError, match=r"advance\(-1\): the clock goes forward only"):
        Harness(Ticks()).advance(-1)


def test_many_replies_go_out_in_rounds() -> None:
    """Replies fill their bounded place, and inbound stops until they are written: the harness writes them."""
    harness = Harness(inbound(lambda item: [Reply(item), item]))
    large = [bytes(30_000)] * 10

    assert large == harness.receive(*large)
    assert large == harness.replies


def test_close_closes_the_stages_once() -> None:
    stage = WaitIn(trio.lowlevel.checkpoint)
    harness = AsyncHarness(stage)
    for _ in range(2):
        harness.close()
    assert 1 == stage.closed


async def test_a_cancelled_receive_keeps_what_was_fed() -> None:
    """The next call goes on with it."""
    gate = trio.Event()
    harness = AsyncHarness(WaitIn(trio.lowlevel.checkpoint))
    await harness.start()
    harness.engine.chain.wait = gate.wait
    with trio.move_on_after(1) as scope:
        await harness.receive(1)
    assert scope.cancelled_caught
    assert [] == harness.received
    gate.set()

    assert [1, 1] == await harness.receive()


async def test_a_cancelled_send_that_had_begun_breaks_outbound() -> None:
    """A stage that keeps state has gone ahead."""

    class Counting(Outbound[Any, Any]):
        def process_sync(self, item: Any, /) -> list[Any]:
            return [item]

    harness = AsyncHarness(WaitOut(trio.sleep_forever) | Counting())
    with trio.move_on_after(1) as scope:
        await harness.send(1)
    assert scope.cancelled_caught

    with pytest.raises(PipelineError, match="Counting had gone ahead"):
        await harness.send(2)


async def test_one_task_receives_while_another_sends() -> None:
    """Neither runs into what the other one waits for; each gets what came out in its time."""
    inner, outer = trio.Event(), trio.Event()
    harness = AsyncHarness(Duplex(WaitIn(trio.lowlevel.checkpoint), WaitOut(outer.wait)))
    await harness.start()
    harness.engine.chain.inbound.wait = inner.wait
    results: dict[str, Any] = {}

    async def run(name: str, call: Any, item: Any) -> None:
        results[name] = await call(item)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, "receive", harness.receive, 1)
        nursery.start_soon(run, "send", harness.send, 2)
        await trio.testing.wait_all_tasks_blocked()
        outer.set()
        await trio.testing.wait_all_tasks_blocked()
        inner.set()

    assert {"receive": [1, 1], "send": [2]} == results


def test_a_deadline_without_a_timer_is_told_when_the_clock_moves() -> None:
    """Such as where `on_timer` is misspelt; a running pipeline would not look at it."""

    class Misspelt(Inbound[Any, Any]):
        deadline: float | None = None

        def process_sync(self, item: Any, /) -> list[Any]:
            self.deadline = self.now() + 5
            return [item]

        async def on_timeout(self, now: float) -> list[Any]:
            raise AssertionError("never called")

    harness = Harness(Misspelt())
    harness.advance(10)
    harness.receive("a")
    with pytest.raises(TypeError, match=r"^Misspelt has a deadline, and nothing .*: define `async def on_timer`$"):
        harness.advance(10)
