"""`Harness`: a stage or a chain in a test's hands, without an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import partial
from typing import Any

import pytest
import trio

from pipeline import (
    END,
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
from pipeline.testing import Harness


class Lines(Inbound[bytes, bytes]):
    """Cut at LF; what is left at the end is an error."""

    def __init__(self) -> None:
        self.rest = b""

    def process_sync(self, item: bytes, /) -> list[bytes]:
        *lines, self.rest = (self.rest + item).split(b"\n")
        return lines

    async def finish(self) -> tuple[()]:
        if self.rest:
            raise IncompleteFrameError("unfinished", leftover=self.rest)
        return ()


class AddLF(Outbound[bytes, bytes]):
    """A head and a tail, so that one item becomes two; a last word at the end."""

    def process_sync(self, item: bytes, /) -> list[bytes]:
        return [item, b"\n"]

    async def finish(self) -> list[bytes]:
        return [b"bye\n"]


class Pings(Inbound[Any, Any]):
    """Greets at the start, answers a "ping", ends at "bye", fails at "bad" after an answer."""

    async def start(self) -> list[Any]:
        return [Reply("hello")]

    def process_sync(self, item: Any, /) -> Iterable[Any]:
        match item:
            case "ping":
                yield Reply("pong")
            case "bye":
                yield END
            case "bad":
                yield "before"
                yield Reply("alert")
                raise ValueError("bad")
            case _:
                yield item


class Cache(Outbound[Any, Any]):
    """Answers the client itself."""

    def process_sync(self, item: Any, /) -> list[Any]:
        if item == "bad":
            raise ValueError("bad")
        return [Reply(("cached", item))]


class HandshakeIn(Inbound[Any, Any]):
    """Not ready until the wire said "go"."""

    ready = False

    def process_sync(self, item: Any, /) -> list[Any]:
        self.ready = True
        return []


class Ticks(Inbound[Any, Any]):
    """A tick every 10 s; an error at the third one."""

    def __init__(self) -> None:
        self.deadline: float | None = 10.0

    def process_sync(self, item: Any, /) -> list[Any]:
        return [item]

    async def on_timer(self, now: float, /) -> list[Any]:
        if now == 30.0:
            raise StageTimeoutError("third")
        self.deadline = now + 10
        return [now, Reply(now)]


class Paused(Inbound[Any, Any]):
    """Takes one item, then wants none."""

    wants_input = True

    def process_sync(self, item: Any, /) -> list[Any]:
        self.wants_input = False
        return [item]


class Steps(Inbound[Any, Any]):
    """Calls whatever it is given, which may wait."""

    async def process(self, item: Any, /) -> list[Any]:
        await item()
        return [item]


def framer() -> Duplex[bytes, bytes, bytes, bytes]:
    return Duplex(Lines(), AddLF())


def test_receive_returns_what_came_out_by_it() -> None:
    """Each call returns its own client items; `received` has all of them."""
    harness = Harness(framer())

    assert [b"one"] == harness.receive(b"one\ntw")
    assert [b"two", b"three"] == harness.receive(b"o\n", b"three\n")
    assert [b"one", b"two", b"three"] == harness.received
    assert [] == harness.finish()
    assert harness.inbound_ended


def test_send_returns_what_came_out_by_it() -> None:
    """Each call returns its own wire items as they are, not joined; `sent` has all of them."""
    harness = Harness(framer())

    assert [b"a", b"\n", b"b", b"\n"] == harness.send(b"a", b"b")
    assert [b"bye\n"] == harness.send_eof()
    assert [b"a", b"\n", b"b", b"\n", b"bye\n"] == harness.sent
    assert harness.outbound_ended


@pytest.mark.parametrize("half", ["inbound", "outbound"])
def test_bare_halves_work(half: str) -> None:
    """One half of a duplex is tested alone; the other direction passes it unseen."""
    harness = Harness(getattr(framer(), half))

    assert ([b"x\n"] if half == "outbound" else [b"x"]) == harness.receive(b"x\n")
    assert ([b"y", b"\n"] if half == "outbound" else [b"y"]) == harness.send(b"y")


def test_start_has_run_when_the_harness_is_made() -> None:
    """What a stage's start() turned round is there before the first call."""
    harness = Harness(Pings())

    assert ["hello"] == harness.sent == harness.replies


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

    with pytest.raises(PipelineError, match="the wire has ended"):
        harness.receive(2)


def test_finish_raises_what_the_stage_raises() -> None:
    """An unfinished frame is the stage's own error, with its bytes."""
    harness = Harness(framer())
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


def test_finish_fails_if_a_send_is_held_back() -> None:
    """Items and their stage are named."""
    harness = Harness(HandshakeIn())
    harness.send("a", "b")

    with pytest.raises(AssertionError) as info:
        harness.finish()

    assert "outbound: 'a' waits before" in str(info.value)
    assert "which is not ready (`HandshakeIn.ready` is False)" in str(info.value)
    assert "outbound: 'b' waits for the item sent before it" in str(info.value)


def test_finish_fails_if_a_stage_wants_no_input() -> None:
    """Items before a pausing stage, and untaken results behind it, are left over."""
    harness = Harness(inbound(lambda item: [item, item]) | Paused())
    assert [1] == harness.receive(1)

    with pytest.raises(AssertionError) as info:
        harness.finish()

    assert "inbound: 1 waits before Paused, which wants no input (`Paused.wants_input` is False)" in str(info.value)
    assert "the end of the stream" in str(info.value)


def test_finish_names_results_that_nobody_took() -> None:
    """A stage that gave more than the next one wants."""
    harness = Harness(inbound(lambda item: [item] * 3) | Paused())
    harness.receive(1)

    with pytest.raises(AssertionError, match=r"results of <lambda>.process\(\) that were not taken"):
        harness.finish()


def test_advance_runs_each_timer_at_its_own_time() -> None:
    """Two timers within 25 s run at 10 and at 20; the clock ends at 25."""
    harness = Harness(Ticks())

    assert [] == harness.advance(9.5)
    assert [10.0, 20.0] == harness.advance(15.5)
    assert 25.0 == harness.now
    assert [10.0, 20.0] == harness.replies == harness.sent


def test_an_error_of_a_timer_leaves_advance() -> None:
    """The clock stands where it happened; what came before is out."""
    harness = Harness(Ticks())

    with pytest.raises(StageTimeoutError, match="third"):
        harness.advance(100)

    assert 30.0 == harness.now
    assert [10.0, 20.0] == harness.received


def test_the_clock_goes_forward_only() -> None:
    """A negative time is the test's mistake."""
    with pytest.raises(ValueError, match=r"advance\(-1\): the clock goes forward only"):
        Harness(Ticks()).advance(-1)


def test_close_closes_the_stages_once() -> None:
    """Also at the end of a `with` block."""
    closed = []

    class Closing(Inbound[Any, Any]):
        def process_sync(self, item: Any, /) -> list[Any]:
            return [item]

        def close(self) -> None:
            closed.append(self)

    with Harness(Closing()) as harness:
        harness.receive(1)
    harness.close()

    assert 1 == len(closed)


def test_a_stage_that_waits_is_refused_with_its_name() -> None:
    """The message names the stage and the remedy, also inside a running loop."""

    async def main() -> None:
        harness = Harness(Steps())
        with pytest.raises(RuntimeError, match=r"^Steps waits, and Harness has no event loop.*AsyncHarness"):
            harness.receive(trio.lowlevel.checkpoint)

    trio.run(main)


def test_a_stage_whose_start_waits_is_refused() -> None:
    """Making the harness runs start(), so it raises there."""

    class Starting(Steps):
        async def start(self) -> tuple[()]:
            await asyncio.sleep(0)
            return ()

    with pytest.raises(RuntimeError, match="Starting waits"):
        Harness(Starting())


@pytest.mark.parametrize("wait", [partial(trio.sleep, 1), lambda: trio.Event().wait(), partial(asyncio.sleep, 1)])
def test_a_stage_that_looks_for_a_loop_is_told_of_async_harness(wait: Any) -> None:
    """Without a loop the library's own error comes, with the remedy as a note."""
    harness = Harness(Steps())

    with pytest.raises(RuntimeError) as info:
        harness.receive(wait)

    assert any("use AsyncHarness" in note for note in info.value.__notes__)


def test_a_stages_own_runtime_error_is_left_alone() -> None:
    """No remedy is offered for what is no waiting."""

    async def fail() -> None:
        raise RuntimeError("own")

    with pytest.raises(RuntimeError, match="own") as info:
        Harness(Steps()).receive(fail)

    assert not any("AsyncHarness" in note for note in info.value.__notes__)


def test_many_replies_go_out_in_rounds() -> None:
    """Replies fill their bounded place, and inbound stops until they are written: the harness writes them."""
    harness = Harness(inbound(lambda item: [Reply(item), item]))
    large = [bytes(30_000)] * 10

    assert large == harness.receive(*large)
    assert large == harness.replies
