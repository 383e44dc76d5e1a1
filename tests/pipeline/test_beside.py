"""Tasks beside a block, and the inbox which they fill."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing

from pipeline import open_attended, open_calls, open_streams
from pipeline._beside import Inbox, afresh, beside
from pipeline.testing import pipeline_pair
from stages import LineFramer


class Log:
    """Remembers what happened; its methods are given to `beside`."""

    def __init__(self) -> None:
        self.events: list[str] = []

    async def task(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            self.events.append("task over")

    def leave(self) -> None:
        self.events.append("leave")

    async def finish(self) -> None:
        await trio.sleep(1)
        self.events.append("finished")


async def test_a_block_that_ends_well_is_finished() -> None:
    """Then the tasks are cancelled."""
    log = Log()
    async with beside(log.task, log.task, leave=log.leave, finish=log.finish):
        log.events.append("block")
    assert ["block", "leave", "finished", "task over", "task over"] == log.events


async def test_the_tasks_run_before_the_block() -> None:
    """So each has what it claims, though the block claims it at once; cancelled or not."""
    log = Log()

    async def claim() -> None:
        log.events.append("claimed")

    with trio.CancelScope() as scope:
        scope.cancel()
        async with beside(claim, claim, leave=log.leave):
            log.events.append("block")
    assert ["claimed", "claimed", "block", "leave"] == log.events


@pytest.mark.parametrize(
    "opening",
    [open_attended, partial(open_calls, key=lambda line: line), partial(open_streams, key=lambda line: line)],
    ids=["attended", "calls", "streams"],
)
async def test_whoever_receives_from_the_pipeline_in_the_block_is_told_so(opening: Callable[[Any], Any]) -> None:
    """And what was opened goes on: it had the pipeline first."""
    async with pipeline_pair(LineFramer(), LineFramer()) as (ours, _), opening(ours):
        with pytest.raises(trio.BusyResourceError, match="another task is receiving from this pipeline"):
            await ours.receive()


async def test_a_block_that_fails_raises_its_error_itself() -> None:
    """In no group, and nothing is finished."""
    log, error = Log(), ValueError("of the block")
    with pytest.raises(ValueError, match="of the block") as info:
        async with beside(log.task, leave=log.leave, finish=log.finish):
            await trio.lowlevel.checkpoint()
            raise error
    assert info.value is error
    assert ["leave", "task over"] == log.events


async def test_a_cancelled_block_is_left_at_once() -> None:
    log = Log()
    with trio.move_on_after(1) as scope:
        async with beside(log.task, leave=log.leave, finish=log.finish):
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert ["leave", "task over"] == sorted(log.events)


async def test_an_error_outlives_a_cancellation() -> None:
    """A block that fails while it is cancelled from outside fails with its error."""
    log = Log()
    with trio.CancelScope() as scope, pytest.raises(ValueError, match="of the block"):
        async with beside(log.task, leave=log.leave):
            scope.cancel()
            raise ValueError("of the block")
    assert ["leave", "task over"] == log.events


async def test_without_finish_the_tasks_are_cancelled_at_once() -> None:
    log = Log()
    async with beside(log.task, leave=log.leave):
        pass
    assert ["leave"] == log.events[:1]


def inbox(max_items: int = 2) -> Inbox[int]:
    return Inbox(max_items, left="this was left")


async def test_items_wait_in_order() -> None:
    """As many as there is room for."""
    box = inbox()
    assert [True, True, False] == [box.put(number) for number in (1, 2, 3)]
    full = box.is_full
    assert 1 == await box.receive()
    assert (True, False) == (full, box.is_full)
    box.drop_oldest()
    box.put(3)
    assert [3] == box.take_all()


async def test_an_item_goes_to_a_task_that_waits_for_it() -> None:
    """It takes no room."""
    box = inbox(1)

    async def receive() -> None:
        assert 1 == await box.receive()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        await trio.testing.wait_all_tasks_blocked()
        assert box.put(1)
        assert not box.is_full


async def test_whoever_waits_for_room_is_told() -> None:
    box = inbox(1)
    box.put(1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(box.room.park)
        await trio.testing.wait_all_tasks_blocked()
        assert 1 == await box.receive()


async def test_the_end_comes_after_the_items_for_ever() -> None:
    box = inbox()
    box.put(1)
    box.end(None)
    assert [1] == [item async for item in box]
    for _ in range(2):
        with pytest.raises(trio.EndOfChannel, match="the input has ended"):
            await box.receive()


async def test_an_error_comes_after_the_items_once() -> None:
    """As itself, with the cause it has; from then on what was broken by it is told."""
    box, error, cause = inbox(), ValueError("late"), KeyError("cause")
    error.__cause__ = cause
    box.put(1)
    box.end(error)
    assert 1 == await box.receive()
    with pytest.raises(ValueError, match="late") as info:
        await box.receive()
    assert info.value is error
    assert cause is info.value.__cause__
    for _ in range(2):
        with pytest.raises(trio.BrokenResourceError, match="nothing more can be received: ValueError") as again:
            await box.receive()
        assert error is again.value.__cause__


async def closing(box: Inbox[int]) -> None:
    box.close()
    await trio.lowlevel.checkpoint()


@pytest.mark.parametrize("close", [Inbox.aclose, closing], ids=["aclose", "close"])
async def test_closing_it_ends_every_wait(close: Callable[[Inbox[int]], Awaitable[Any]]) -> None:
    """And what is put in later is dropped."""
    box = inbox(1)

    async def receive() -> None:
        with pytest.raises(trio.ClosedResourceError, match="this was left"):
            await box.receive()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        await trio.testing.wait_all_tasks_blocked()
        await close(box)
        nursery.start_soon(receive)
    assert [True, True] == [box.put(number) for number in (1, 2)]
    assert box.closed
    assert [] == box.take_all()


async def test_closing_gives_what_nobody_received() -> None:
    box = inbox()
    box.put(1)
    box.put(2)
    assert [1, 2] == box.close()
    box.end(None)
    with pytest.raises(trio.ClosedResourceError, match="this was left"):
        await box.receive()


def test_an_error_for_another_task_is_a_new_one() -> None:
    """It tells what the first one was."""
    cause = ValueError("of a stage")
    one, two = afresh(cause, "no reply"), afresh(cause, "no reply")
    assert one is not two
    assert isinstance(one, trio.BrokenResourceError)
    assert ("no reply: ValueError('of a stage')", cause) == (str(one), one.__cause__)
    assert isinstance(afresh(trio.ClosedResourceError(), "no reply"), trio.ClosedResourceError)
