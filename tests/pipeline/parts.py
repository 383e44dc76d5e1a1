"""Small stages and helpers that several test files share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import trio

from pipeline import END, Duplex, Inbound, Outbound, Pipeline, Reply, Stage


class Split(Inbound[bytes, bytes]):
    """Cuts lines, without any limit."""

    def __init__(self) -> None:
        self.tail = b""

    def process_sync(self, item: bytes, /) -> list[bytes]:
        *lines, self.tail = (self.tail + item).split(b"\n")
        return lines

    def unread(self, outputs: Any, /) -> list[bytes]:
        taken, self.tail = b"".join(line + b"\n" for line in outputs) + self.tail, b""
        return [taken]


class Join(Outbound[bytes, bytes]):
    """Adds line ends."""

    keeps_outbound_state = False

    def process_sync(self, item: bytes, /) -> list[bytes]:
        return [item + b"\n"]


class Lines(Duplex[bytes, bytes, bytes, bytes]):
    """Lines both ways."""

    def __init__(self) -> None:
        self.inbound = Split()
        self.outbound = Join()


class Answers(Inbound[bytes, bytes]):
    """Answers `ping n` with n bytes, `bye` with a last word and the end of both directions; `boom` fails."""

    def process_sync(self, item: bytes, /) -> Iterator[Any]:
        word, _, rest = item.partition(b" ")
        if word == b"ping":
            yield Reply(b"pong" + b"." * int(rest or 0))
        elif word == b"bye":
            yield b"bye"
            yield Reply(b"bye")
            yield Reply(END)
            yield END
        elif word == b"boom":
            yield Reply(b"alert")
            raise ValueError("boom")
        else:
            yield item


class Waits(Inbound[Any, Any]):
    """Really waits before each item."""

    def __init__(self, seconds: float = 1) -> None:
        self.seconds = seconds

    async def process(self, item: Any, /) -> list[Any]:
        await trio.sleep(self.seconds)
        return [item]


class WaitsOut(Outbound[Any, Any]):
    """Really waits before each item, and keeps nothing."""

    keeps_outbound_state = False

    def __init__(self, seconds: float = 1) -> None:
        self.seconds = seconds

    async def process(self, item: Any, /) -> list[Any]:
        await trio.sleep(self.seconds)
        return [item]


class Window(Duplex[bytes, bytes, bytes, bytes]):
    """Lets `credit` items out; a line `+n` from the wire gives n more."""

    def __init__(self, credit: int) -> None:
        self.credit = credit
        self.inbound = _WindowIn(self)
        self.outbound = _WindowOut(self)


class _WindowIn(Inbound[bytes, bytes]):
    def __init__(self, window: Window) -> None:
        self.window = window

    def process_sync(self, item: bytes, /) -> list[bytes]:
        if item.startswith(b"+"):
            self.window.credit += int(item)
            return []
        return [item]


class _WindowOut(Outbound[bytes, bytes]):
    keeps_outbound_state = False

    def __init__(self, window: Window) -> None:
        self.window = window

    @property
    def ready(self) -> bool:
        return self.window.credit > 0

    def process_sync(self, item: bytes, /) -> list[bytes]:
        self.window.credit -= 1
        return [item]


class Paced(Outbound[bytes, bytes]):
    """Lets one item out each second: its gate is opened by its timer."""

    keeps_outbound_state = False
    end_waits = False
    deadline: float | None = None

    @property
    def ready(self) -> bool:
        return self.deadline is None

    def process_sync(self, item: bytes, /) -> list[bytes]:
        self.deadline = self.now() + 1
        return [item]

    async def on_timer(self, now: float, /) -> list[bytes]:
        self.deadline = None
        return []


class Handshake(Duplex[bytes, bytes, bytes, bytes]):
    """Ready when both sides have said hello; says it first as a client."""

    def __init__(self, *, client: bool, hello: bytes = b"hello") -> None:
        self.inbound = _HandshakeIn(client, hello)
        self.outbound = _HandshakeOut()

    @property
    def closed(self) -> int:
        return self.inbound.closed  # type: ignore[attr-defined, no-any-return]


class _HandshakeIn(Inbound[bytes, bytes]):
    ready = False

    def __init__(self, client: bool, hello: bytes) -> None:
        self.client, self.hello = client, hello
        self.closed = 0

    async def start(self) -> list[Any]:
        return [Reply(self.hello)] if self.client else []

    def process_sync(self, item: bytes, /) -> Iterator[Any]:
        if self.ready:
            yield item
            return
        if item != b"hello":
            yield Reply(b"refused")
            raise ValueError(f"no handshake: {item!r}")
        if not self.client:
            yield Reply(self.hello)
        self.ready = True

    async def finish(self) -> list[Any]:
        if not self.ready:
            raise ValueError("the peer went away during the handshake")
        return []

    def close(self) -> None:
        self.closed += 1


class _HandshakeOut(Outbound[bytes, bytes]):
    def process_sync(self, item: bytes, /) -> list[bytes]:
        return [item]


class Cache(Duplex[bytes, bytes, bytes, bytes]):
    """Answers `get` itself; lets everything else out."""

    def __init__(self) -> None:
        self.inbound = Lines().inbound
        self.outbound = _CacheOut()


class _CacheOut(Outbound[bytes, bytes]):
    keeps_outbound_state = False

    def process_sync(self, item: bytes, /) -> list[Any]:
        return [Reply(b"cached " + item)] if item.startswith(b"get") else [item + b"\n"]


class _Rings(Stage[bytes, bytes]):
    """Gives something by itself every `seconds`."""

    deadline: float | None = None

    def __init__(self, seconds: float, says: Any = b"ring") -> None:
        self.seconds, self.says = seconds, says

    async def start(self) -> list[bytes]:
        self.deadline = self.now() + self.seconds
        return []

    def process_sync(self, item: bytes, /) -> list[bytes]:
        return [item]

    async def on_timer(self, now: float, /) -> list[Any]:
        self.deadline = now + self.seconds
        return [self.says]


class Rings(_Rings, Inbound[bytes, bytes]):
    """Inbound."""


class RingsOut(_Rings, Outbound[bytes, bytes]):
    """Outbound, whatever inbound does."""

    keeps_outbound_state = False


async def three_paced(pipeline: Any) -> None:
    """Three sends through a gate that opens each second take two."""
    start = trio.current_time()
    for item in (b"1", b"2", b"3"):
        await pipeline.send(item)
    assert 2 == pytest.approx(trio.current_time() - start)


@asynccontextmanager
async def tcp_pair() -> AsyncIterator[tuple[trio.SocketStream, trio.SocketStream]]:
    """Two ends of one connection on loopback."""
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        client = await trio.open_tcp_stream("127.0.0.1", listener.socket.getsockname()[1])
        server = await listener.accept()
    async with client, server:
        yield client, server


@asynccontextmanager
async def over_tcp(chain: Any, **options: Any) -> AsyncIterator[tuple[Pipeline[Any, Any], trio.SocketStream]]:
    """A pipeline on one end of a TCP connection, and the other end, whose end comes first: closing waits for nobody."""
    async with tcp_pair() as (here, there), Pipeline(here, chain, **options) as pipeline:
        yield pipeline, there
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):  # it may be gone already
            await there.send_eof()


class _CancelAt(trio.abc.Instrument):
    """Cancels a scope when a task is about to take its n-th step."""

    def __init__(self, task: trio.lowlevel.Task, scope: trio.CancelScope, step: int) -> None:
        self.task, self.scope, self.step, self.steps = task, scope, step, 0

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self.task:
            self.steps += 1
            if self.steps == self.step:
                self.scope.cancel()


async def cancelled_at(step: int, act: Callable[[], Awaitable[Any]]) -> bool:
    """Run `act`, cancelled at its n-th wait; whether it was (False: it had ended before)."""
    with trio.CancelScope() as scope:
        instrument = _CancelAt(trio.lowlevel.current_task(), scope, step)
        trio.lowlevel.add_instrument(instrument)
        try:
            await act()
        finally:
            trio.lowlevel.remove_instrument(instrument)
    return scope.cancelled_caught


class Twice(Outbound[bytes, bytes]):
    """Two for each, so that the short way is left."""

    keeps_outbound_state = False

    def process_sync(self, item: bytes, /) -> list[bytes]:
        return [item] * 2


class Odd(Outbound[bytes, bytes]):
    """Twice what begins with "2", nothing for what begins with "0"; refuses "bad"."""

    keeps_outbound_state = False

    def process_sync(self, item: bytes, /) -> list[bytes]:
        if item == b"bad":
            raise ValueError("bad item")
        return [item] * (item[0] - 48 if item[:1] in (b"0", b"2") else 1)


class Turns:
    """How often other tasks had their turn."""

    count = 0


@asynccontextmanager
async def turns_of_others() -> AsyncIterator[Turns]:
    """Count how often another task runs while the block does."""
    turns = Turns()

    async def run() -> None:
        while True:
            await trio.lowlevel.checkpoint()
            turns.count += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        yield turns
        nursery.cancel_scope.cancel()
