"""The short ways do what the long ones do: random programmes over a socket, run both ways, with the same outcome.

A programme is a row of acts. Each begins in a task of its own, and the next one when nothing can go on any more; so
what comes of it hangs on no chance, also where a receive waits, a send is stuck in a full socket, or one is cancelled.
"""

from __future__ import annotations

import gc
import random
import re
import socket
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
import trio
import trio.testing

from pipeline import END, Duplex, Inbound, Outbound, Pipeline, Reply, Stage, pipeline_stats
from stages import Logger, Meter
from tests.pipeline.ways import long_ways_only

pytestmark = pytest.mark.short_ways

BIG = b"x" * 30_000
TRIES = 10


class Lines(Duplex[bytes, bytes, bytes, bytes]):
    """Lines both ways."""

    class In(Inbound[bytes, bytes]):
        """Cuts."""

        only_items = True

        def __init__(self) -> None:
            self.rest = b""

        def process_sync(self, item: bytes, /) -> list[bytes]:
            *lines, self.rest = (self.rest + item).split(b"\n")
            return lines

        def unread(self, outputs: Any, /) -> list[bytes]:
            rest, self.rest = self.rest, b""
            return [*(line + b"\n" for line in outputs), rest]

    class Out(Outbound[bytes, bytes]):
        """Joins."""

        keeps_outbound_state = False

        def process_sync(self, item: bytes, /) -> list[bytes]:
            return [item + b"\n"]

    def __init__(self) -> None:
        self.inbound, self.outbound = Lines.In(), Lines.Out()


def word(item: bytes) -> bytes:
    """What an item is about: a stage acts on it, whatever was put in front of it."""
    return item.rpartition(b":")[2]


def results(item: bytes, mark: bytes) -> Any:
    """What any of these stages makes of an item: most of it in ways of its own."""
    match word(item):
        case b"two":
            return [mark + b"1:" + item, mark + b"2:" + item]
        case b"none":
            return ()
        case b"tuple":
            return (mark + item,)
        case b"lazy":
            return (each + b":" + item for each in (b"l1", b"l2", b"l3"))
        case b"ping":
            return [Reply(b"pong"), mark + item]
        case b"answer":
            return [mark + item, Reply(b"answered"), mark + b"more:" + item]
        case b"boom":
            raise ValueError("boom")
        case b"late":
            return late(item)
        case b"bye":
            return [mark + item, END]
        case b"empty":
            return [b""]
        case b"bytearray":
            return [bytearray(mark + item)]
    return [mark + item]


def late(item: bytes) -> Iterator[Any]:
    yield item
    yield Reply(b"alert")
    raise LookupError("late")


class _Acts:
    """Acts on some items, and lets the others pass."""

    def __init__(self, mark: bytes, every: int) -> None:
        self.mark, self.every, self.count = mark, every, 0

    def act(self, item: bytes) -> Any:
        self.count += 1
        return results(item, self.mark) if self.count % self.every == 0 else [item]


class _Waits(_Acts):
    """And may wait."""


def sync(base: Any, **declared: Any) -> Any:
    class Sync(_Acts, base):  # type: ignore[misc]
        def process_sync(self, item: bytes, /) -> Any:
            return self.act(item)

    for name, value in declared.items():
        setattr(Sync, name, value)
    return Sync


def asynchronous(base: Any, **declared: Any) -> Any:
    class Async(_Waits, base):  # type: ignore[misc]
        async def process(self, item: bytes, /) -> Any:
            if word(item) in (b"wait", b"two"):
                await trio.lowlevel.checkpoint()
            if word(item) == b"scope":
                with trio.CancelScope():
                    await trio.lowlevel.checkpoint()
            return self.act(item)

    for name, value in declared.items():
        setattr(Async, name, value)
    return Async


class One(_Acts, Inbound[bytes, bytes]):
    """One for each."""

    def process_one(self, item: bytes, /) -> bytes:
        if word(item) == b"boom":
            raise ValueError("boom")
        return self.mark + item


class Polled(_Acts, Inbound[bytes, bytes]):
    """Gives the first result at once, and what is left when it is polled."""

    honest = True

    def __init__(self, mark: bytes, every: int) -> None:
        super().__init__(mark, every)
        self.left: list[Any] = []

    def process_sync(self, item: bytes, /) -> Any:
        first, *self.left = self.act(item) or [b"polled"]
        return [first]

    @property
    def has_more(self) -> bool:
        return bool(self.left) or not self.honest

    @property
    def wants_input(self) -> bool:
        return not self.left

    def poll(self) -> Any:
        left, self.left = self.left, []
        return left


class Naive(Polled):
    """Cannot tell whether it has more."""

    honest = False


class Pausing(_Acts, Duplex[bytes, bytes, bytes, bytes]):
    """After "stop" nothing comes in until something was sent, and there is word of it when it was."""

    def __init__(self, mark: bytes, every: int) -> None:
        super().__init__(mark, every)
        outer = self

        class In(Inbound[bytes, bytes]):
            paused = False
            told: tuple[bytes, ...] = ()

            @property
            def wants_input(self) -> bool:
                return not self.paused

            @property
            def has_more(self) -> bool:
                return bool(self.told)

            def poll(self) -> Any:
                told, self.told = self.told, ()
                return list(told)

            def process_sync(self, item: bytes, /) -> Any:
                self.paused = word(item) == b"stop"
                return outer.act(item)

        class Out(Outbound[bytes, bytes]):
            keeps_outbound_state = False

            def process_sync(self, item: bytes, /) -> Any:
                if inner.paused:
                    inner.paused, inner.told = False, (b"resumed",)
                return [item]

        inner = In()
        self.inbound, self.outbound = inner, Out()


class Gated(_Acts, Duplex[bytes, bytes, bytes, bytes]):
    """What is sent waits after "close" came in, until "open" does."""

    def __init__(self, mark: bytes, every: int) -> None:
        super().__init__(mark, every)

        class In(Inbound[bytes, bytes]):
            ready = True

            def process_sync(self, item: bytes, /) -> Any:
                if word(item) in (b"close", b"open"):
                    self.ready = word(item) == b"open"
                return [item]

        class Out(Outbound[bytes, bytes]):
            keeps_outbound_state = False

            def process_sync(self, item: bytes, /) -> Any:
                return [item]

        self.inbound, self.outbound = In(), Out()


class Ahead(_Acts, Outbound[bytes, bytes]):
    """Keeps state, and says that all was said."""

    def process_sync(self, item: bytes, /) -> Any:
        return self.act(item)

    async def finish(self) -> list[bytes]:
        return [b"<all>"]


class _Later(_Acts, Stage[bytes, bytes]):
    """Says something both ways, some time after the last item."""

    deadline: Any = None
    says: tuple[bytes, bytes]  # the way its items go, and back

    def process_sync(self, item: bytes, /) -> Any:
        self.deadline = self.now() + 10
        return self.act(item)

    async def on_timer(self, now: float, /) -> Any:
        self.deadline = None
        on, back = self.says
        return [self.mark + on, Reply(self.mark + back)]


class Ticking(_Later, Inbound[bytes, bytes]):
    """After something came in."""

    says = b"tick", b"beat"


class Late(_Later, Outbound[bytes, bytes]):
    """After something was sent."""

    says = b"told", b"tell"


class Alive(_Acts, Inbound[bytes, bytes]):
    """Says so again and again."""

    deadline: Any = None

    async def start(self) -> Any:
        self.deadline = self.now() + 7
        return ()

    def process_sync(self, item: bytes, /) -> Any:
        return self.act(item)

    async def on_timer(self, now: float, /) -> Any:
        self.deadline = now + 7
        return [Reply(self.mark + b"alive")]


class Slow(_Acts, Outbound[bytes, bytes]):
    """Lets two items out, then none for some time."""

    keeps_outbound_state = False
    ready: Any = True
    deadline: Any = None

    def process_sync(self, item: bytes, /) -> Any:
        self.count += 1
        if self.count % 2 == 0:
            self.ready, self.deadline = False, self.now() + 5
        return [item]

    async def on_timer(self, now: float, /) -> Any:
        self.ready, self.deadline = True, None
        return ()


STATELESS = {"keeps_outbound_state": False}
KINDS: list[Any] = [
    sync(Inbound),
    sync(Inbound, only_items=False, never_expands=True),
    asynchronous(Inbound),
    One,
    Polled,
    Naive,
    Pausing,
    Gated,
    sync(Outbound),
    sync(Outbound, **STATELESS),
    sync(Outbound, **STATELESS),
    asynchronous(Outbound),
    asynchronous(Outbound, **STATELESS),
    Ahead,
    Ahead,
    Ticking,
    Alive,
    Late,
    Slow,
    lambda *_: Logger(),
    lambda *_: Meter(),
]
WORDS = [b"plain", b"plain", b"plain", b"plain", b"two", b"none", b"tuple", b"lazy", b"ping", b"answer", b"wait"]
WORDS += [b"scope", b"stop", b"close", b"open", b"open", b"bytearray", b"empty", b"p:p"]
RARE = [b"boom", b"late", b"bye"]
ACTS = ["receive"] * 4 + ["iterate", "batch"] * 2 + ["send"] * 5 + ["send_many", "flush"] * 2
ACTS += ["jump"] * 3 + ["receive_some"] * 2 + ["send_all", "replace", "stats", "plain_many"]
ACTS += ["write"] * 6 + ["read"] * 3 + ["cancel"] * 3 + ["big"] * 2
LAST = ["send_eof", "eof", "aclose", "reset", "insert", "remove", "exchange"]


class Run:
    """One run of the programme with this seed, and what came of it."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.clock = trio.testing.MockClock(rate=1.0)
        self.rare = 0.0
        self.log: list[Any] = []
        self.items: list[Any] = []
        self.got = bytearray()
        self.scopes: list[trio.CancelScope] = []
        self.receiving = False

    async def run(self) -> None:
        choose = self.random
        self.rare = choose.choice([0, 0, 0.02, 0.1])
        here, self.there, self.raw = socket_pair()
        chain: Any = Lines()
        self.shown, self.stages = ["Lines"], list[Any]()
        for number in range(choose.randint(0, 4)):
            kind = choose.choice(KINDS)
            stage = kind(b"%d." % number, choose.choice([1, 1, 2, 3]))
            self.shown.append(stage.name + "/" + getattr(stage, "mark", b"").decode())
            self.stages.append(stage)
            chain = chain | stage if choose.random() < 0.85 else stage | chain
        self.merging = choose.random() < 0.4
        options: Any = {"merge_writes": self.merging, "max_reply_bytes": choose.choice([65536, 65536, 10])}
        self.shown.append(str(options))
        self.pipeline: Any = Pipeline(here, chain, close_seconds=0.3, **options)
        self.stream = self.pipeline.as_stream()
        async with trio.open_nursery() as nursery:
            for number in range(choose.randint(4, 25)):
                act = choose.choice(LAST if choose.random() < 0.04 else ACTS)
                nursery.start_soon(self.act, number, act, choose.randrange(1 << 30))
                await trio.testing.wait_all_tasks_blocked()
            self.log.append(("items", b"|".join(bytes(item) for item in self.items)))
            if choose.random() < 0.4:  # else the end may come while a send is stuck
                nursery.start_soon(self.act, 98, "read", 0)
                await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(self.act, 99, choose.choice(["aclose", "leave"]), 0)
            await trio.testing.wait_all_tasks_blocked()
            with trio.move_on_after(30) as scope:
                await self.read(until_end=True)
            await self.there.aclose()
            assert not scope.cancelled_caught, "the end did not come"
        self.log.append(("wire", bytes(self.got)))

    async def act(self, number: int, act: str, seed: int) -> None:
        own = random.Random(seed)
        what: Any
        with trio.CancelScope() as scope:
            self.scopes.append(scope)
            try:
                what = await getattr(self, act)(own)
            except Exception as error:
                what = (type(error).__name__, re.sub("0x[0-9a-f]+", "", str(error)), getattr(error, "__notes__", None))
            self.scopes.remove(scope)
        if scope.cancelled_caught:
            self.scopes.remove(scope)
            what = ("cancelled", self.pipeline._engine.outbound_error is not None)
        self.log.append((number, act, what))

    async def receive(self, _own: random.Random) -> None:
        self.items.append(await self.pipeline.receive())

    async def iterate(self, own: random.Random) -> None:
        count = own.randint(1, 6)
        async for item in self.pipeline:
            self.items.append(item)
            count -= 1
            if not count:
                break

    async def batch(self, _own: random.Random) -> None:
        if self.merging or any(isinstance(each, _Waits) for each in self.stages):
            await self.receive(_own)  # where it ends at a stage that may wait is not said
            return
        async for items in self.pipeline.batches():
            self.items += items
            break

    async def send(self, own: random.Random) -> None:
        # What becomes nothing need not wait for what is to be written.
        begun = self.pipeline._engine.to_write_bytes or len(self.scopes) > 1
        await self.pipeline.send(b"s%d:" % own.randrange(100) + (b"begun" if begun else self.word(own)))

    def word(self, own: random.Random) -> bytes:
        return own.choice(RARE if own.random() < self.rare else WORDS)

    async def big(self, own: random.Random) -> None:
        await self.pipeline.send(b"b%d:" % own.randrange(100) + BIG)

    async def send_many(self, own: random.Random) -> None:
        if self.pipeline._driver.merge_writes or len(self.scopes) > 1:
            return  # how much of them is written before something happens is not said
        await self.pipeline.send_many([b"m%d:" % n + self.word(own) for n in range(own.randint(0, 5))])

    async def plain_many(self, own: random.Random) -> None:
        """Of which all or nothing is to be written."""
        if not any(isinstance(each, _Waits) for each in self.stages):
            await self.pipeline.send_many([b"M%d:plain" % n for n in range(own.randint(0, 5))])

    async def flush(self, _own: random.Random) -> None:
        await self.pipeline.flush()

    async def send_eof(self, _own: random.Random) -> None:
        await self.pipeline.send_eof()

    async def aclose(self, _own: random.Random) -> None:
        await self.pipeline.aclose()

    async def leave(self, _own: random.Random) -> None:
        await self.pipeline.__aexit__(ValueError, ValueError("x"), None)

    async def insert(self, _own: random.Random) -> None:
        await self.pipeline.insert(Meter(), after=Lines)

    async def remove(self, _own: random.Random) -> None:
        await self.pipeline.remove(Logger)

    async def replace(self, _own: random.Random) -> None:
        await self.pipeline.replace(Lines, Lines())

    async def exchange(self, own: random.Random) -> None:
        if self.stages:
            number = own.randrange(len(self.stages))
            new = own.choice(KINDS)(b"n.", 1)
            await self.pipeline.replace(self.stages[number], new)
            self.stages[number] = new

    async def stats(self, own: random.Random) -> None:
        repr(self.pipeline)
        if own.random() < 0.3:
            str(pipeline_stats(self.pipeline))

    async def jump(self, own: random.Random) -> None:
        self.clock.jump(own.choice([1, 4, 6, 11]))

    async def receive_some(self, own: random.Random) -> None:
        self.items.append(await self.stream.receive_some(own.choice([None, 1, 5])))

    async def send_all(self, own: random.Random) -> None:
        begun = self.pipeline._engine.to_write_bytes or len(self.scopes) > 1
        await self.stream.send_all(b"a%d:" % own.randrange(100) + (b"begun" if begun else self.word(own)))

    async def write(self, own: random.Random) -> None:
        data = b"".join(b"r%d:" % n + self.word(own) + b"\n" for n in range(own.randint(1, 5)))
        if own.random() < 0.3:
            data = data[: own.randint(1, len(data))]
        with suppress(BlockingIOError, OSError):
            self.raw.send(data)

    async def read(self, _own: Any = None, *, until_end: bool = False) -> None:
        if not until_end:
            with suppress(BlockingIOError, OSError):
                while data := self.raw.recv(65536):
                    self.got += data
            return
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while data := await self.there.receive_some():
                self.got += data

    async def cancel(self, own: random.Random) -> None:
        others = self.scopes[:-1]
        if others:
            own.choice(others).cancel()

    async def eof(self, _own: random.Random) -> None:
        with suppress(OSError, trio.BrokenResourceError):
            await self.there.send_eof()

    async def reset(self, _own: random.Random) -> None:
        await self.there.aclose()


def socket_pair() -> tuple[trio.SocketStream, trio.SocketStream, socket.socket]:
    """With little room; and the second as it is without trio."""
    ends = socket.socketpair()
    for end in ends:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    a, b = (trio.SocketStream(trio.socket.from_stdlib_socket(end)) for end in ends)
    return a, b, ends[1]


@contextmanager
def no_complaints() -> Iterator[None]:
    """Nothing is left behind that nobody awaited."""
    complaints: list[Any] = []
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        patch.setattr(sys, "unraisablehook", lambda this: complaints.append(this.exc_value))
        yield
    assert not complaints


def outcome(seed: int) -> list[str]:
    run = Run(seed)
    with no_complaints():
        trio.run(run.run, clock=run.clock)
    return [str(run.shown), *sorted(map(repr, run.log))]


def check(seed: int) -> None:
    """Run a programme both ways and compare; of tasks that wake up together trio lets any run first."""
    found, allowed = [], []
    for _ in range(TRIES):
        with long_ways_only():
            allowed.append(outcome(seed))
        found.append(outcome(seed))
        if any(each in allowed for each in found):
            return
    assert allowed == found, seed


@pytest.mark.real_time
@pytest.mark.unmeasured
@pytest.mark.parametrize("seeds", [range(100), pytest.param(range(100, 3000), marks=pytest.mark.full)])
def test_random_programmes_end_the_same_both_ways(seeds: range, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("ERROR")  # closing takes as long as it takes
    for seed in seeds:
        check(seed)
    gc.collect()
