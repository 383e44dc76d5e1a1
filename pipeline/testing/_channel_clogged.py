"""Trio's contract for channels where nobody receives: rules on a send() that waits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import trio
import trio.testing

from ._channel_rules import Rule, expect, must_raise


async def waiting_send_can_be_cancelled(sender: Any, receiver: Any, items: Sequence[Any]) -> None:
    """A send() that waits for room is cancelled at once."""
    ran_on = False

    async def fill() -> None:
        nonlocal ran_on
        while not nursery.cancel_scope.cancel_called:
            await sender.send(items[0])
        ran_on = True

    async with trio.open_nursery() as nursery:
        nursery.start_soon(fill)
        await trio.testing.wait_all_tasks_blocked(0.01)
        nursery.cancel_scope.cancel()
    expect(not ran_on, "send() returned, though it was cancelled while it waited")


async def closing_wakes_the_sender(sender: Any, receiver: Any, items: Sequence[Any]) -> None:
    """A send() that waits raises trio.ClosedResourceError when another task closes its end."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(must_raise, trio.ClosedResourceError, _fill, sender, items[0])
        await trio.testing.wait_all_tasks_blocked(0.01)
        await trio.aclose_forcefully(sender)


async def losing_the_receiver_wakes_the_sender(sender: Any, receiver: Any, items: Sequence[Any]) -> None:
    """A send() that waits raises trio.BrokenResourceError when the other end is closed."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(must_raise, trio.BrokenResourceError, _fill, sender, items[0])
        await trio.testing.wait_all_tasks_blocked(0.01)
        await trio.aclose_forcefully(receiver)


async def _fill(sender: Any, item: Any) -> None:
    while True:
        await sender.send(item)


CLOGGED_RULES: tuple[Rule, ...] = (
    waiting_send_can_be_cancelled,
    closing_wakes_the_sender,
    losing_the_receiver_wakes_the_sender,
)
