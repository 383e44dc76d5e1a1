"""`open_streams`, used and abused at random: whatever its users and the peer do, its books are right.

A model says what each stream may still give. After every step: each item comes to its own stream, in order, none twice;
what is counted is what is there; and nobody waits who need not.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import StreamRules, Streams, Substream, open_streams
from pipeline._streamrules import ITEM_BYTES
from tests.hanging import fail_if_it_hangs
from tests.pipeline.muxed import mux_rules
from tests.pipeline.tasks import Task, connection, settled, started

BY_PEER = ["data"] * 4 + ["end", "reset"]
BY_USER = ["accept", "receive", "send"] * 2 + ["open", "eof", "give up", "close", "shut", "unshut", "cancel"]
STEPS = st.tuples(st.sampled_from(BY_PEER + BY_USER), st.integers(0, 2))


async def attempt(nursery: trio.Nursery, act: Callable[..., Awaitable[Any]]) -> Task:
    """Do what may have to wait, if it need not."""
    task = await started(nursery, act)
    return task if task.over else await task.cancel()


class Books:
    """One connection, and what is known of it.

    Attributes:
        streams: those that somebody uses, by key; an old one gives way to a new one of its key.
        shut: the keys that may not send.
        got: what each stream gave.
        returned: the items whose credit was returned.
    """

    def __init__(self) -> None:
        self.near, self.peer = connection(math.inf)
        self.streams: dict[int, Substream] = {}
        self.all: list[Substream] = []
        self.shut: set[int] = set()
        self.got: dict[Substream, list[Any]] = defaultdict(list)
        self.sent = 0
        self.returned: list[Any] = []
        self.sending: list[Task] = []

    def rules(self) -> StreamRules:
        return mux_rules(may_send=lambda key, item: key not in self.shut, taken=self.returned.append, opens=None)

    async def step(self, streams: Streams, nursery: trio.Nursery, what: str, key: int) -> None:
        stream = self.streams.get(key)
        if what in ("data", "end", "reset"):
            self.sent += what == "data"
            await self.peer.send((what, key, self.sent))
        elif what == "accept":
            task = await attempt(nursery, streams.receive)
            if task.result is not None:
                self.use(task.result)
        elif what == "open":
            if key not in streams._group.open and key not in streams._group._gone:
                self.use(streams.open(key))
        elif what in ("shut", "unshut"):
            (self.shut.add if what == "shut" else self.shut.discard)(key)
            await self.peer.send(("window", key, 1))
        elif stream is not None:
            await self.use_stream(stream, nursery, what)
        await settled()

    def use(self, stream: Substream) -> None:
        self.streams[stream.key] = stream
        self.all.append(stream)

    async def use_stream(self, stream: Substream, nursery: trio.Nursery, what: str) -> None:
        match what:
            case "send":
                self.sending.append(Task(nursery, stream.send, ("data", stream.key, "ours")))
            case "eof":
                self.sending.append(Task(nursery, stream.send_eof))
            case "close":
                self.sending.append(Task(nursery, stream.aclose))
            case "give up":
                stream.reset()
            case "cancel":
                for task in self.sending:
                    task._scope.cancel()
            case "receive":
                task = await attempt(nursery, stream.receive)
                if task.result is not None:
                    self.got[stream].append(task.result)

    def check(self, streams: Streams) -> None:
        group = streams._group
        assert group._of_peer == sum(stream._state.by_peer for stream in group.open.values())
        assert all(stream.place == place and not stream._state.over for place, stream in group.open.items())
        assert not [stream for stream in group.turns._queues if stream.key not in self.shut]
        assert not [task for task in self.sending if not task.over and not self.shut]
        for stream in self.all:
            state = stream._state
            waits = state.inbox._put.statistics().current_buffer_used
            assert state.waiting == waits * (ITEM_BYTES + 4 + 2 * 256) or state.closed
            numbers = [number for _, key, number in self.got[stream] if key == stream.key]
            assert len(numbers) == len(self.got[stream])
            assert sorted(set(numbers)) == numbers

    def check_end(self) -> None:
        taken = [number for kind, _, number in self.returned if kind == "data"]
        assert sorted(taken) == list(range(1, self.sent + 1)), "each item's credit is returned, once"
        assert all(task.over for task in self.sending)


async def run(steps: list[tuple[str, int]]) -> None:
    books = Books()
    async with trio.open_nursery() as nursery:
        async with open_streams(books.near, books.rules(), max_streams=2) as streams:
            for what, key in steps:
                await books.step(streams, nursery, what, key)
                books.check(streams)
            for stream in books.all:
                stream.reset()
        await settled()
        books.check_end()


@settings(max_examples=60)
@given(st.lists(STEPS, min_size=20, max_size=60))
def test_whatever_is_done_the_books_are_right(steps: list[tuple[str, int]]) -> None:
    trio.run(fail_if_it_hangs, partial(run, steps), clock=trio.testing.MockClock(autojump_threshold=0))
