"""A pipeline that is received from all the time, so that it answers while its client works (M3)."""

from __future__ import annotations

import operator
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import trio
from typing_extensions import TypeVar

from ._beside import Inbox, beside
from ._pipeline import Pipeline

Received = TypeVar("Received", covariant=True, default=Any)
Sent = TypeVar("Sent", contravariant=True, default=Any)
R = TypeVar("R", default=Any)
S = TypeVar("S", default=Any)

LEFT: Final = "the block of open_attended() was left; the pipeline itself is still there to receive from"


@asynccontextmanager
async def open_attended(pipeline: Pipeline[R, S], max_items: int = 16) -> AsyncIterator[Attended[R, S]]:
    """Let a pipeline answer in time while its client works; use it with `async with`.

    trio stream │ pings answered, windows opened │ ─► 16 items ─► receive() ─► slow work

    One task beside the block keeps receiving from the pipeline, and nobody else is to. When it has
    received `max_items` that nobody took, it reads no more, so that the peer is held back; pings wait
    then, too, but timers go on. When the block is left the pipeline stays open, for whoever opened it
    to close, and what nobody took is what it gives next.

    Args:
        pipeline: what is received from, entered.
        max_items: how many items may wait.

    Raises:
        TypeError: it is no `Pipeline`.
        ValueError: `max_items` is less than 1.
        Exception: what the block raised, itself. The pipeline's errors are raised by `receive()`.

    Cancellation: nothing is lost.
    """
    if not isinstance(pipeline, Pipeline):
        raise TypeError(f"only a Pipeline has stages that must be served: open_attended(pipeline), not {pipeline!r}")
    if operator.index(max_items) < 1:
        raise ValueError(f"max_items is {max_items}; it must be 1 or more")
    attended = Attended(pipeline, max_items)
    try:
        async with beside(attended._attend, leave=attended._leave):
            yield attended
    finally:
        pipeline._driver.park_again(attended._rest)


class Attended(trio.abc.ReceiveChannel[Received], trio.abc.SendChannel[Sent]):
    """What `open_attended` gives: a channel like the pipeline, in which several tasks may receive."""

    def __init__(self, pipeline: Pipeline[Received, Sent], max_items: int) -> None:
        self._pipeline = pipeline
        self._inbox: Inbox[Received] = Inbox(max_items, left=LEFT)
        self._rest: list[Received] = []  # what nobody took until the block was left

    async def receive(self) -> Received:
        """Return the next item; `async for` does so, too.

        Raises:
            trio.EndOfChannel: the input ended cleanly, and every item was received.
            trio.ClosedResourceError: the block was left, or the pipeline closed.
            trio.BrokenResourceError: inbound is broken, its cause tells by what.
            Exception: what a stage raised, once, after the items before it.

        Cancellation: nothing is lost.
        """
        return await self._inbox.receive()

    async def send(self, value: Sent) -> None:
        """Send an item; see `Pipeline.send`. What else the pipeline can do, it can do meanwhile, too."""
        await self._pipeline.send(value)

    async def aclose(self) -> None:
        """Close the pipeline; see `Pipeline.aclose`. To go on with it, leave the block instead."""
        await self._pipeline.aclose()

    async def _attend(self) -> None:
        driver, inbox = self._pipeline._driver, self._inbox
        try:
            async for item in self._pipeline:
                if inbox.closed:  # it was on its way when the block was left
                    self._rest.append(item)
                    return
                inbox.put(item)
                await driver.wait_aside(inbox.room, lambda: not inbox.is_full)
        except Exception as error:
            inbox.end(error)
        else:
            inbox.end(None)

    def _leave(self) -> None:
        self._rest += self._inbox.close()
