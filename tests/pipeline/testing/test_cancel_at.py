"""Cancelling at the n-th checkpoint."""

from __future__ import annotations

import trio
import trio.testing

from pipeline import inbound
from pipeline.testing import AsyncHarness
from pipeline.testing._cancel_at import cancelled_at


async def test_every_checkpoint_in_turn() -> None:
    """Three checkpoints: before each of them as much was done; with a fourth, nothing is cancelled."""
    done: list[int] = []

    async def three() -> None:
        done.clear()
        for step in range(3):
            await trio.sleep(1)
            done.append(step)

    for number in (1, 2, 3):
        cancelled = await cancelled_at(number, three)
        assert cancelled is not None
        assert number == cancelled.number
        assert list(range(number - 1)) == done
    assert await cancelled_at(4, three) is None
    assert [0, 1, 2] == done


async def test_tasks_of_the_call_count_others_do_not() -> None:
    """A nursery inside the call is a part of it; one around it is not."""

    async def inner() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.lowlevel.checkpoint)

    async def noise() -> None:
        while True:
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(noise)
        number = 1
        while await cancelled_at(number, inner):
            number += 1
        nursery.cancel_scope.cancel()
    assert 3 <= number <= 5


async def test_where_names_the_function_that_waits() -> None:
    """The innermost one that is not trio's."""

    async def waits_here() -> None:
        await trio.sleep_forever()

    cancelled = await cancelled_at(1, waits_here)

    assert cancelled is not None
    assert "waits_here, line" in cancelled.where


async def test_where_names_the_stage_that_waits() -> None:
    """A stage is what the user knows."""

    @inbound
    async def slow(item: object) -> list[object]:
        await trio.sleep(1)
        return [item]

    harness = AsyncHarness(slow)

    async def receive() -> None:
        await harness.receive(1)

    cancelled = await cancelled_at(1, receive)

    assert cancelled is not None
    assert "inside stage slow" == cancelled.where


async def test_a_call_that_ends_in_its_last_step() -> None:
    """A task that ended in trio's own code is told as such."""

    async def only_trio() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 1)

    places = []
    number = 1
    while cancelled := await cancelled_at(number, only_trio):
        places.append(cancelled.where)
        number += 1
    assert any("only_trio" in place for place in places)
    assert "at its end" in places
