"""`AsyncHarness`: the same on an event loop, for stages that really wait."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import trio

from pipeline import Duplex
from pipeline.testing import AsyncHarness
from tests.pipeline.testing.small_stages import WaitIn, WaitOut


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


async def test_the_first_call_starts_the_stages() -> None:
    """Without start() or `async with` too; what start() sent is no result of send()."""
    harness = AsyncHarness(WaitIn(trio.lowlevel.checkpoint))

    assert [1] == await harness.send(1)
    assert ["hello"] == harness.replies


async def test_async_with_starts_and_closes() -> None:
    """The stages are closed once at the end of the block."""
    stage = WaitIn(trio.lowlevel.checkpoint)
    async with AsyncHarness(stage) as harness:
        assert ["hello"] == harness.sent
    assert 1 == stage.closed


async def test_errors_leave_the_call() -> None:
    """What a waiting stage raises comes out as itself, and the next item goes."""
    harness = AsyncHarness(WaitOut(trio.lowlevel.checkpoint))
    with pytest.raises(ValueError, match="bad"):
        await harness.send(1, "bad")
    assert [2] == await harness.send(2)
    assert [1, 2] == harness.sent


async def test_a_cancelled_send_had_no_effect() -> None:
    """Whoever sees Cancelled owns the item."""
    gate = trio.Event()
    harness = AsyncHarness(WaitOut(gate.wait))
    with trio.move_on_after(1) as scope:
        await harness.send(1)
    assert scope.cancelled_caught
    gate.set()

    assert [2] == await harness.send(2)
    assert [2] == harness.sent
