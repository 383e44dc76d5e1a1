"""Small stages that the tests of harnesses share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pipeline import END, Inbound, Outbound, Reply, StageTimeoutError


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
