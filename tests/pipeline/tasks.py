"""Tasks that share a connection, and a connection whose every step can be said: for what is above a pipeline."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Any, Self

import trio
import trio.testing


class End(trio.abc.Channel[Any]):
    """One end of a connection of items, on two memory channels: where each send waits and ends can be said exactly."""

    def __init__(self, receiving: trio.MemoryReceiveChannel[Any], sending: trio.MemorySendChannel[Any]) -> None:
        self.receiving, self.sending = receiving, sending
        self.broken: Exception | None = None

    async def send(self, value: Any) -> None:
        await self.sending.send(value)
        if self.broken is not None:
            raise self.broken

    async def receive(self) -> Any:
        return await self.receiving.receive()

    async def aclose(self) -> None:
        self.receiving.close()
        self.sending.close()
        await trio.lowlevel.checkpoint()


def connection(room: float = math.inf) -> tuple[End, End]:
    """Our end and the peer's; so many of our items wait for the peer to receive them."""
    (to_peer, at_peer), (to_us, at_us) = trio.open_memory_channel[Any](room), trio.open_memory_channel[Any](math.inf)
    return End(at_us, to_peer), End(at_peer, to_us)


class Task:
    """A task that calls, and what became of it.

    Attributes:
        result: what the call returned.
        error: what it raised.
        cancelled: whether it was cancelled.
    """

    def __init__(self, nursery: trio.Nursery, act: Callable[..., Awaitable[Any]], *args: Any) -> None:
        self.result: Any = None
        self.error: Exception | None = None
        self.cancelled = self.over = False
        self._scope = trio.CancelScope()
        nursery.start_soon(self._run, act, args)

    async def _run(self, act: Callable[..., Awaitable[Any]], args: tuple[Any, ...]) -> None:
        with self._scope:
            try:
                self.result = await act(*args)
            except Exception as error:
                self.error = error
        self.cancelled = self._scope.cancelled_caught
        self.over = True

    async def cancel(self) -> Self:
        self._scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert self.cancelled
        return self


settled = trio.testing.wait_all_tasks_blocked


async def started(nursery: trio.Nursery, act: Callable[..., Awaitable[Any]], *args: Any) -> Task:
    """A task that has begun to call, and can go no further."""
    task = Task(nursery, act, *args)
    await settled()
    return task
