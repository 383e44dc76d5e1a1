"""Driving an engine by hand: what the tests of the layers without an event loop share."""

from __future__ import annotations

import types
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any

from pipeline import END, NEED_INPUT, Duplex, Engine, Inbound, Outbound, Reply, Waiting


def running(chain: Any, **options: Any) -> Any:
    """An engine whose stages have been told to start; Any, since what its properties say changes."""
    engine: Engine[Any, Any] = Engine(chain, **options)
    engine.start()
    return engine


def taken(engine: Engine[Any, Any]) -> list[Any]:
    """All client items that are there, and END if it has come."""
    items = []
    while (item := engine.next_item()) is not NEED_INPUT:
        assert not isinstance(item, Waiting), f"{item.stage_name} waits"
        items.append(item)
        if item is END:
            break
    return items


def written(engine: Engine[Any, Any]) -> list[Any]:
    """All wire items that are there."""
    items: list[Any] = []
    while data := engine.to_write():
        assert not isinstance(data, Waiting), f"{data.stage_name} waits"
        items += data
    return items


def received(engine: Engine[Any, Any], *items: Any) -> list[Any]:
    """Feed wire items; all client items that come of it."""
    for item in items:
        engine.feed(item)
    return taken(engine)


def sent(engine: Engine[Any, Any], *items: Any) -> list[Any]:
    """Send client items; all wire items that come of it."""
    out = []
    for item in items:
        engine.send(item)
        out += written(engine)
    return out


def run(coroutine: Any) -> Any:
    """Run what never waits."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it waits")


class _Acts:
    """Calls `act(stage, item)`; without `act` items pass."""

    def __init__(self, act: Callable[[Any, Any], Any] | None = None, *, name: str = "") -> None:
        self.name = name or type(self).__name__
        self.act = act
        self.seen: list[Any] = []

    def process_sync(self, item: Any, /) -> Any:
        self.seen.append(item)
        return [item] if self.act is None else self.act(self, item)


class In(_Acts, Inbound[Any, Any]):
    """An inbound stage that does what it is told."""


class Out(_Acts, Outbound[Any, Any]):
    """An outbound stage that does what it is told."""


def marking(name: str) -> Duplex[Any, Any, Any, Any]:
    """Adds its name to what passes, both ways."""
    return Duplex(In(lambda _, item: [item + name]), Out(lambda _, item: [item + name]))


class FreeOut(Out):
    """The same, with no state that a send could spoil."""

    keeps_outbound_state = False


class Traced:
    """A lazy result that remembers what became of it."""

    def __init__(self, items: Iterable[Any]) -> None:
        self._items = iter(items)
        self.pulled = 0
        self.closed = False

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        item = next(self._items)
        self.pulled += 1
        return item

    def close(self) -> None:
        self.closed = True


@types.coroutine
def pause(value: Any = None) -> Generator[Any, Any, Any]:
    """Wait once, for whoever drives the coroutine by hand."""
    return (yield value)


def finished(waiting: Any) -> None:
    """Resume a `Waiting` until its stage has got what it waited for."""
    assert isinstance(waiting, Waiting)
    steps = waiting.__await__()
    while True:
        try:
            next(steps)
        except StopIteration:
            return


class Cancelled(BaseException):
    """What an event loop raises in a task that is cancelled."""


def cancelled(waiting: Any) -> None:
    """Cancel a `Waiting` at its first wait."""
    assert isinstance(waiting, Waiting)
    steps = waiting.__await__()
    next(steps)
    try:
        steps.throw(Cancelled())
    except Cancelled:
        return
    raise AssertionError("the stage swallowed its cancellation")


class Async(Inbound[Any, Any]):
    """Returns what it is told, from an `async def process`."""

    def __init__(self, result: Any) -> None:
        self.result = result

    async def process(self, item: Any, /) -> Any:
        return self.result()


def note_of(error: BaseException) -> str:
    (note,) = error.__notes__
    return note


class Boom(Inbound[Any, Any]):
    """Fails wherever it is told to."""

    def __init__(self, where: str, error: BaseException) -> None:
        self.where, self.error = where, error
        self.deadline = 1.0 if where.startswith("on_timer") else None

    def _maybe(self, where: str, results: Iterable[Any] = ()) -> Any:
        if where == self.where:
            raise self.error
        if f"{where} lazily" == self.where:
            return self._late(results)
        return results

    def _late(self, results: Iterable[Any]) -> Iterator[Any]:
        yield from results
        raise self.error

    async def start(self) -> Any:
        return self._maybe("start")

    async def process(self, item: Any, /) -> Any:
        return self._maybe("process", [item])

    async def finish(self) -> Any:
        return self._maybe("finish")

    def poll(self) -> Any:
        return self._maybe("poll")

    async def on_timer(self, now: float, /) -> Any:
        return self._maybe("on_timer")


class Waits(Inbound[Any, Any]):
    """Waits `times` times in each of its methods."""

    deadline: float | None = 1.0

    def __init__(self, times: int) -> None:
        self.times = times
        self.log: list[str] = []

    async def _wait(self, what: str, results: list[Any]) -> list[Any]:
        for number in range(self.times):
            await pause(number)
        self.log.append(what)
        return results

    async def start(self) -> list[Any]:
        return await self._wait("start", ["started"])

    async def process(self, item: Any, /) -> list[Any]:
        return await self._wait(f"process {item}", [item])

    async def finish(self) -> list[Any]:
        return await self._wait("finish", ["finished"])

    async def on_timer(self, now: float, /) -> list[Any]:
        results = await self._wait("on_timer", ["tick"])
        self.deadline = None
        return results


class Handshake(Inbound[Any, Any]):
    """Not ready until "go" has come; answers "ping". Inbound only."""

    ready = False

    def process_sync(self, item: Any, /) -> list[Any]:
        if item == "go":
            self.ready = True
            return []
        return [Reply("pong")] if item == "ping" else [item]


class Window(Duplex[Any, Any, Any, Any]):
    """Lets `credit` items out; input is more of it. Answers "ping"."""

    def __init__(self, credit: int) -> None:
        window = self
        self.credit = credit

        class WindowOut(Out):
            @property
            def ready(self) -> bool:
                return window.credit > 0

            def process_sync(self, item: Any, /) -> list[Any]:
                window.credit -= 1
                return [item]

        self.inbound = In(self._more)
        self.outbound = WindowOut()

    def _more(self, _: In, item: Any) -> list[Any]:
        if item == "ping":
            return [Reply("pong")]
        self.credit += item
        return []


class Pauses(In):
    """Takes one item at a time, and wants the next when the test says so."""

    wants_input = True

    def process_sync(self, item: Any, /) -> Any:
        self.wants_input = False
        return super().process_sync(item)


class Polls(In):
    """Gives what the test puts into `ready_made`, and counts how often it was asked."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ready_made: list[Any] = []
        self.polls: list[Any] = []

    def poll(self) -> list[Any]:
        self.polls.append(list(self.seen))
        given, self.ready_made = self.ready_made, []
        return given


async def finish_with(items: list[Any]) -> list[Any]:
    return items
