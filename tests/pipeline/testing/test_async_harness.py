"""`AsyncHarness`: the same on an event loop, for stages that really wait."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import trio
import trio.testing

from pipeline import Duplex, Inbound, Outbound, PipelineError, Reply
from pipeline.testing import AsyncHarness


class WaitIn(Inbound[Any, Any]):
    """Waits for what it is given; doubles it."""

    def __init__(self, wait: Any) -> None:
        self.wait = wait
        self.closed = 0

    async def start(self) -> list[Any]:
        await self.wait()
        return [Reply("hello")]

    async def process(self, item: Any, /) -> list[Any]:
        await self.wait()
        return [item, item]

    def close(self) -> None:
        self.closed += 1


class WaitOut(Outbound[Any, Any]):
    """Waits for what it is given."""

    keeps_outbound_state = False

    def __init__(self, wait: Any) -> None:
        self.wait = wait

    async def process(self, item: Any, /) -> list[Any]:
        await self.wait()
        if item == "bad":
            raise ValueError("bad")
        return [item]


async def exchange(wait: Any) -> None:
    """The whole API once."""
    harness = AsyncHarness(Duplex(WaitIn(wait), WaitOut(wait)))
    assert ["hello"] == await harness.start()
    assert [1, 1, 2, 2] == await harness.receive(1, 2)
    assert [3] == await harness.send(3)
    assert [] == await harness.advance(5)
    assert [] == await harness.send_eof()
    assert [] == await harness.finish()
    assert ([1, 1, 2, 2], ["hello", 3], ["hello"]) == (harness.received, harness.sent, harness.replies)


def test_runs_on_trio() -> None:
    """Stages that wait with trio."""
    trio.run(exchange, trio.lowlevel.checkpoint)


def test_runs_on_asyncio() -> None:
    """The same harness, stages that wait with asyncio."""
    asyncio.run(exchange(lambda: asyncio.sleep(0)))


def test_the_first_call_starts_the_stages() -> None:
    """Without start() or `async with` too; what start() sent is no result of send()."""

    async def main() -> None:
        harness = AsyncHarness(WaitIn(trio.lowlevel.checkpoint))

        assert [1] == await harness.send(1)
        assert ["hello"] == harness.replies

    trio.run(main)


def test_async_with_starts_and_closes() -> None:
    """The stages are closed once at the end of the block."""

    async def main() -> None:
        stage = WaitIn(trio.lowlevel.checkpoint)
        async with AsyncHarness(stage) as harness:
            assert ["hello"] == harness.sent
        assert 1 == stage.closed

    trio.run(main)


def test_errors_leave_the_call() -> None:
    """What a waiting stage raises comes out as itself, and the next item goes."""

    async def main() -> None:
        harness = AsyncHarness(WaitOut(trio.lowlevel.checkpoint))
        with pytest.raises(ValueError, match="bad"):
            await harness.send(1, "bad")
        assert [2] == await harness.send(2)
        assert [1, 2] == harness.sent

    trio.run(main)


def test_a_cancelled_receive_keeps_what_was_fed() -> None:
    """The next call goes on with it."""

    async def main() -> None:
        gate = trio.Event()
        harness = AsyncHarness(WaitIn(trio.lowlevel.checkpoint))
        await harness.start()
        harness.engine.chain.wait = gate.wait
        with trio.move_on_after(1):
            await harness.receive(1)
        assert [] == harness.received
        gate.set()

        assert [1, 1] == await harness.receive()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_a_cancelled_send_had_no_effect() -> None:
    """Whoever sees Cancelled owns the item."""

    async def main() -> None:
        gate = trio.Event()
        harness = AsyncHarness(WaitOut(gate.wait))
        with trio.move_on_after(1):
            await harness.send(1)
        gate.set()

        assert [2] == await harness.send(2)
        assert [2] == harness.sent

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_a_cancelled_send_that_had_begun_breaks_outbound() -> None:
    """A stage that keeps state has gone ahead."""

    class Counting(Outbound[Any, Any]):
        def process_sync(self, item: Any, /) -> list[Any]:
            return [item]

    async def main() -> None:
        harness = AsyncHarness(WaitOut(trio.sleep_forever) | Counting())
        with trio.move_on_after(1):
            await harness.send(1)

        with pytest.raises(PipelineError, match="Counting had gone ahead"):
            await harness.send(2)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_one_task_receives_while_another_sends() -> None:
    """Neither runs into what the other one waits for; each gets what came out in its time."""

    async def main() -> None:
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

    trio.run(main)
