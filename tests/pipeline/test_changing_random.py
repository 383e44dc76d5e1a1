"""Random changes while random traffic runs both ways, in tasks of their own: the items are the same as without.

A state machine writes a programme, in which only taps that are in can be taken out, and runs it when it is over. So
Hypothesis shortens the programme of a failure, and one event loop serves a whole example.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from pipeline import Pipeline, SurgeryError
from pipeline.testing import pipeline_pair
from stages import JSONCodec, LengthFramer, LineFramer, Logger, MessagePackCodec, Meter, Tap, TextCodec

PIECES: dict[str, list[Callable[[], Any]]] = {
    "lines": [LineFramer, TextCodec],
    "frames": [partial(LengthFramer, 2), JSONCodec],
    "values": [MessagePackCodec],
}
TAPS: list[Callable[[], Any]] = [Meter, Logger, lambda: Tap(lambda *_: None)]

sides = st.sampled_from([0, 1])
steps = st.integers(0, 12)
patience = st.none() | steps
texts = st.text(alphabet="aé\N{GRINNING FACE}", max_size=4) | st.integers(0, 40).map("x".__mul__)
readers = st.sampled_from(["receive", "async for", "batches", "impatient"])


def make_chain(kind: str) -> Any:
    first, *rest = (make() for make in PIECES[kind])
    for piece in rest:
        first |= piece
    return first


async def checkpoints(number: int) -> None:
    for _ in range(number):
        await trio.lowlevel.checkpoint()


async def given_up_after(number: int | None, act: Callable[[], Awaitable[Any]]) -> bool:
    """Cancel it after so many steps; whether it was cancelled. An error of it comes as itself, in no group."""
    failed: list[Exception] = []
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            if number is not None:
                nursery.start_soon(checkpoints_then_cancel, number, scope)
            try:
                await act()
            except Exception as error:
                failed.append(error)
            nursery.cancel_scope.cancel()
    if failed:
        raise failed[0]
    return scope.cancelled_caught


async def checkpoints_then_cancel(number: int, scope: trio.CancelScope) -> None:
    await checkpoints(number)
    scope.cancel()


class Conversation(RuleBasedStateMachine):
    """Two pipelines talk, and change their chains while they do."""

    def __init__(self) -> None:
        super().__init__()
        self.kind = "lines"
        self.options: dict[str, Any] = {}
        self.reader, self.pace = "receive", 0
        self.said: tuple[list[str], list[str]] = ([], [])
        # What each side's taps task, and its other one, is to do.
        self.taps: tuple[list[Any], list[Any]] = ([], [])
        self.others: tuple[list[Any], list[Any]] = ([], [])
        self.tapped: tuple[list[Any], list[Any]] = ([], [])

    # ---- writing the programme

    @initialize(
        kind=st.sampled_from(sorted(PIECES)),
        trickle=st.sampled_from([None, 1, 3, 20]),
        # Not both: a receive that writes cannot stop where its peer takes nothing, so neither end would read (P14).
        line=st.sampled_from([{}, {"lockstep": True}, {"merge_writes": True}]),
        reader=readers,
        pace=st.integers(0, 3),
    )
    def choose(self, kind: str, trickle: int | None, line: dict[str, Any], reader: str, pace: int) -> None:
        self.kind, self.options, self.reader, self.pace = kind, {"trickle": trickle, **line}, reader, pace

    @rule(side=sides, items=st.lists(texts, min_size=1, max_size=8))
    def say(self, side: int, items: list[str]) -> None:
        self.said[side].extend(items)

    @rule(side=sides, tap=st.sampled_from(TAPS), place=st.integers(0, 9), wait=steps, patience=patience)
    def insert_tap(self, side: int, tap: Callable[[], Any], place: int, wait: int, patience: int | None) -> None:
        made = tap()
        self.tapped[side].append(made)
        self.taps[side].append((wait, patience, "insert", made, place))

    @precondition(lambda self: any(self.tapped))
    @rule(side=sides, which=st.integers(0, 9), wait=steps, patience=patience)
    def remove_tap(self, side: int, which: int, wait: int, patience: int | None) -> None:
        tapped = self.tapped[side] or self.tapped[side := 1 - side]
        tap = tapped.pop(which % len(tapped))
        self.taps[side].append((wait, patience, "remove", tap, 0))

    @rule(side=sides, which=st.integers(0, 9), wait=steps, patience=patience)
    def replace_by_its_like(self, side: int, which: int, wait: int, patience: int | None) -> None:
        make = PIECES[self.kind][which % len(PIECES[self.kind])]
        self.others[side].append((wait, patience, make))

    # ---- running it

    def teardown(self) -> None:
        trio.run(self.converse, clock=trio.testing.MockClock(autojump_threshold=0))

    async def converse(self) -> None:
        heard: tuple[list[Any], list[Any]] = ([], [])
        with trio.fail_after(1000):  # what hangs fails at once, on a clock that jumps
            chains = make_chain(self.kind), make_chain(self.kind)
            async with pipeline_pair(*chains, **self.options) as ends, trio.open_nursery() as nursery:
                for side, end in enumerate(ends):
                    nursery.start_soon(self.speak, end, self.said[side])
                    nursery.start_soon(self.hear, end, heard[side])
                    nursery.start_soon(self.change_taps, end, self.taps[side])
                    nursery.start_soon(self.change_others, end, self.others[side])
        assert (self.said[1], self.said[0]) == heard

    async def speak(self, end: Pipeline[Any, Any], items: list[str]) -> None:
        for item in items:
            await end.send(item)
            await checkpoints(self.pace)
        await end.send_eof()

    async def hear(self, end: Pipeline[Any, Any], items: list[Any]) -> None:
        if self.reader == "async for":
            async for item in end:
                items.append(item)
        elif self.reader == "batches":
            async for batch in end.batches():
                items.extend(batch)
        else:
            await self.hear_one_by_one(end, items)

    async def hear_one_by_one(self, end: Pipeline[Any, Any], items: list[Any]) -> None:
        async def receive() -> None:
            items.append(await end.receive())

        turn = 0
        while True:
            turn = (turn + 1) % 7
            try:
                await given_up_after(turn if self.reader == "impatient" else None, receive)
            except trio.EndOfChannel:
                return

    async def change_taps(self, end: Pipeline[Any, Any], programme: list[Any]) -> None:
        for wait, patience, what, tap, place in programme:
            await checkpoints(wait)
            act: Any = partial(end.remove, tap)
            if what == "insert":
                act = partial(end.insert, tap, **self.place(end, place))
            elif tap not in pieces_of(end):
                continue  # its insertion was given up
            given_up = await given_up_after(patience, act)
            assert given_up or (tap in pieces_of(end)) == (what == "insert")

    def place(self, end: Pipeline[Any, Any], number: int) -> dict[str, Any]:
        pieces = pieces_of(end)
        places: list[dict[str, Any]] = [{"at": "wire"}, {"at": "client"}]
        places += [{side: piece} for side in ("before", "after") for piece in pieces if isinstance(piece, Meter)]
        places += [{side: self.class_of(0)} for side in ("before", "after")]
        return places[number % len(places)]

    async def change_others(self, end: Pipeline[Any, Any], programme: list[Any]) -> None:
        for wait, patience, make in programme:
            await checkpoints(wait)
            # What was merged goes out first, and a write in memory that is cut breaks outbound (P10).
            until = None if "merge_writes" in self.options else patience
            new = make()
            try:
                given_up = await given_up_after(until, partial(end.replace, type(new), new))
            except SurgeryError as error:
                if "has ended" not in str(error):  # then what was not received cannot go back
                    raise
            else:
                assert given_up or new in pieces_of(end)

    def class_of(self, index: int) -> Any:
        return type(PIECES[self.kind][index]())


def pieces_of(end: Pipeline[Any, Any]) -> tuple[Any, ...]:
    parts: tuple[Any, ...] = getattr(end.chain, "parts", (end.chain,))
    return parts


TestRandomChanges = Conversation.TestCase
pytest.mark.unmeasured(TestRandomChanges)
TestRandomChanges.settings = settings(max_examples=25, stateful_step_count=15, deadline=None)


class ManyConversation(Conversation):
    """The same, more often."""


TestManyRandomChanges = ManyConversation.TestCase
pytest.mark.full(TestManyRandomChanges)
TestManyRandomChanges.settings = settings(max_examples=200, stateful_step_count=15, deadline=None)
