"""Slots that count: the same comes out, raises and is cancelled, and the numbers are right."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from pipeline import END, NEED_INPUT, Engine, Inbound, Reply
from pipeline._counting import CountedSlot, Counting
from pipeline._quick import QuickSend
from pipeline._slot import Slot
from pipeline._surgery import Cut, insertion, replacement
from stages import LineFramer, Map, TextCodec

from .engines import (
    Async,
    Cancelled,
    FreeOut,
    In,
    Out,
    Polls,
    Traced,
    cancelled,
    finished,
    pause,
    received,
    running,
    sent,
    taken,
    written,
)
from .test_flow_random import FORMS, Place, Plan, chain_of, settled
from .test_surgery import changed


def count(engine: Any, clock: Callable[[], float] = lambda: 0.0) -> Any:
    """The same engine, which counts from now on."""
    engine.counting = Counting(clock)
    engine.counting.count(engine._slots)
    return engine


def counts(engine: Any) -> list[tuple[int, int]]:
    """What went in and what came out, for each slot: inbound first, in the order of the flow."""
    slots: list[Any] = [*engine._inbound.slots, *engine._outbound.slots]
    return [(slot.counts.items_in, slot.counts.items_out - slot.untaken_early) for slot in slots]


def twice(_: object, item: Any) -> list[Any]:
    return [item, item]


class Pausing(Inbound[Any, Any]):
    """Waits once before each item."""

    async def process(self, item: Any, /) -> list[Any]:
        await pause()
        return [item]


def lazily_twice(_: object, item: Any) -> Iterator[Any]:
    yield item
    yield item


# ---- before, and when it begins


def test_nobody_asked_nothing_is_hooked() -> None:
    """Slots are plain ones that call the stages' own methods."""
    engine: Engine[Any, Any] = running(Polls() | LineFramer())
    received(engine, b"x\n")
    assert engine.counting is None
    for slot in engine._slots:
        assert type(slot) is Slot
        assert slot.sync == slot.stage.process_sync
        assert slot.poll == (slot.stage.poll if slot.polls else None)


def test_what_is_there_when_it_begins_counts_when_it_is_taken() -> None:
    engine = running(In(twice) | In())
    engine.feed("x")
    assert "x" == engine.next_item()
    count(engine)
    assert ["x"] == taken(engine)
    assert [(0, 1), (1, 1)] == counts(engine)


def test_a_call_that_waits_when_it_begins_counts_when_it_ends() -> None:
    engine = running(Pausing())
    engine.feed("x")
    waiting = engine.next_item()
    count(engine)
    finished(waiting)
    assert ["x"] == taken(engine)
    assert [(1, 1)] == counts(engine)


def test_to_begin_twice_changes_nothing() -> None:
    engine = count(running(In()))
    received(engine, "x")
    engine.counting.count(engine._slots)
    assert [(1, 1)] == counts(engine)


# ---- what counts


@pytest.mark.parametrize(
    ("results", "out"),
    [
        (["a"], 1),
        (["a", "b"], 2),
        (("a",), 1),
        ((), 0),
        (iter("ab"), 2),
        ({"a"}, 1),
        ([Reply("r")], 0),
        ([Reply("r"), "a"], 1),
        (["a", END], 1),
    ],
)
def test_results_of_every_form_are_counted(results: Any, out: int) -> None:
    """Items are; a Reply is counted by itself, END not at all."""
    stage = In(lambda _, item: results)
    engine = count(running(stage | In()))
    engine.feed("x")
    assert out == len([item for item in taken(engine) if item is not END])
    assert [(1, out), (out, out)] == counts(engine)
    assert engine._slots[0].counts.replies == sum(type(one) is Reply for one in results if isinstance(results, list))


@pytest.mark.parametrize("act", [twice, lazily_twice])
def test_what_nobody_has_taken_has_not_gone_out(act: Any) -> None:
    engine = running(In(act))
    count(engine)
    engine.feed("x")
    assert "x" == engine.next_item()
    assert [(1, 1)] == counts(engine)
    assert "x" == engine.next_item()
    assert [(1, 2)] == counts(engine)


def test_a_single_result_that_waits_has_not_gone_out() -> None:
    """A fast path may take the list of one at once; here the stage is fed from its inbox, and nobody asks."""
    engine = count(running(In()))
    slot = engine._slots[0]
    slot.results = iter(slot.sync("x"))
    assert [(1, 0)] == counts(engine)
    slot.drop_results()
    assert [(1, 0)] == counts(engine)


def test_an_async_stage_is_counted_when_its_call_is_over() -> None:
    engine = count(running(Pausing()))
    engine.feed("x")
    waiting = engine.next_item()
    assert [(0, 0)] == counts(engine)
    finished(waiting)
    assert [(1, 0)] == counts(engine)
    assert "x" == engine.next_item()
    assert [(1, 1)] == counts(engine)


def test_a_call_that_was_cancelled_did_not_happen() -> None:
    """Its item goes in once, when it is offered again."""
    engine = count(running(Pausing()))
    engine.feed("x")
    cancelled(engine.next_item())
    assert [(0, 0)] == counts(engine)
    finished(engine.next_item())
    assert ["x"] == taken(engine)
    assert [(1, 1)] == counts(engine)


def test_a_call_that_was_given_up_counts_for_nothing() -> None:
    """Also when the stage's code goes on to its end, in a task that still waits in it."""
    engine = count(running(Pausing()))
    engine.feed("x")
    steps = engine.next_item().__await__()
    next(steps)
    engine._slots[0].drop_work()
    with pytest.raises(StopIteration):
        next(steps)
    assert [(0, 0)] == counts(engine)


def test_a_call_that_nobody_awaited_is_closed() -> None:
    engine = count(running(Pausing()))
    engine.feed("x")
    engine.next_item()
    engine.close()
    assert [(0, 0)] == counts(engine)


def test_poll_and_finish_give_without_taking() -> None:
    class Ends(Inbound[Any, Any]):
        def process_sync(self, item: Any, /) -> list[Any]:
            return []

        async def finish(self) -> list[Any]:
            return ["last"]

    polls = Polls()
    engine = count(running(polls | Ends() | In()))
    polls.ready_made = ["p"]
    assert [] == received(engine, "x")
    engine.feed_eof()
    assert ["last", END] == taken(engine)
    assert [(1, 2), (2, 1), (1, 1)] == counts(engine)


# ---- errors


@pytest.mark.parametrize("wrong", ["text", b"bytes", {"a": 1}, None, 5])
def test_a_wrong_result_is_refused_as_what_it_is(wrong: Any) -> None:
    errors = []
    for engine in (running(In(lambda *_: wrong)), count(running(In(lambda *_: wrong)))):
        with pytest.raises(TypeError) as caught:
            received(engine, "x")
        errors.append((str(caught.value), caught.value.__notes__))
    assert errors[0] == errors[1]


def test_what_a_stage_raises_has_its_note_and_counts_for_nothing() -> None:
    def fail(_: object, item: Any) -> Any:
        raise ValueError("no")

    engine = count(running(FreeOut(fail) | Out()))
    with pytest.raises(ValueError, match="no") as caught:
        sent(engine, "x")
    assert "process(), item: 'x'" in caught.value.__notes__[0]
    assert [(0, 0), (1, 1)] == counts(engine)[::-1]


def test_an_interrupt_puts_the_item_back() -> None:
    stops = [True]

    def stop(_: object, item: Any) -> list[Any]:
        if stops:
            stops.clear()
            raise Cancelled
        return [item]

    engine = count(running(In(stop)))
    with pytest.raises(Cancelled):
        received(engine, "x")
    assert ["x"] == taken(engine)
    assert [(1, 1)] == counts(engine)


def test_a_lazy_result_is_closed_through_the_counting() -> None:
    traced = Traced("ab")
    engine = count(running(In(lambda *_: traced)))
    engine.feed("x")
    assert "a" == engine.next_item()
    engine.close()
    assert traced.closed
    assert 1 == traced.pulled


def test_an_async_stage_that_returns_the_wrong_thing_is_refused() -> None:
    engine = count(running(Async(lambda: None)))
    with pytest.raises(TypeError, match="returned None"):
        received(engine, "x")


# ---- the short way, and changes of the chain


def test_the_short_way_out_counts() -> None:
    engine = count(running(FreeOut() | FreeOut(), byte_wire=True))
    engine.next_item()
    quick = QuickSend(engine)
    assert b"x" == quick.out(b"x")
    assert [(1, 1), (1, 1)] == counts(engine)
    engine.send(b"y")
    assert [b"y"] == written(engine)
    assert [(2, 2), (2, 2)] == counts(engine)


def test_stages_that_come_count_from_then_on_and_those_that_stay_go_on() -> None:
    engine = count(running(LineFramer() | Map(inbound=bytes.upper)))
    assert [b"A"] == received(engine, b"a\n")
    changed(insertion(engine, TextCodec(), before=None, after=LineFramer, at=None), leftover="forward")
    changed(replacement(engine, "Map", Map(inbound=str.upper)))
    assert ["B"] == received(engine, b"b\n")
    assert [(2, 2), (1, 1), (1, 1)] == counts(engine)[:3]
    assert all(type(slot) is CountedSlot for slot in engine._slots)


def test_what_a_change_takes_back_did_not_go_out() -> None:
    """It goes in once more when it is fed again."""
    engine = count(running(LineFramer() | TextCodec()))
    engine.feed(b"a\nb\nc\n")
    assert "a" == engine.next_item()
    changed(Cut(engine, 0, 0, Map(inbound=bytes)))
    assert ["b", "c"] == taken(engine)
    assert [(1, 1), (2, 3), (3, 3)] == counts(engine)[:3]


def test_results_that_go_on_without_their_stage_do_not_count_for_it() -> None:
    engine = count(running(In(twice)))
    engine.feed("x")
    assert "x" == engine.next_item()
    slot = engine._slots[0]
    assert ["x"] == slot.take_results()
    assert (1, 1) == (slot.counts.items_in, slot.counts.items_out)


# ---- random chains


@dataclass(frozen=True)
class Tallied(Plan):
    """Keeps its own tally."""

    tally: list[int]

    def results(self, item: Any, name: str) -> list[Any]:
        made = super().results(item, name)
        self.tally[0] += 1
        self.tally[1] += sum(type(one) is not Reply for one in made)
        return made


def random_plan(rng: random.Random) -> Tallied:
    acts = tuple(rng.choices((0, 1, 2), k=rng.choice((0, 1, 1, 1, 2, 3))))
    return Tallied(acts, rng.choice(FORMS), [0, 0])


def run(places: list[Place], events: list[tuple[bool, int]], engine: Any) -> list[Any]:
    out = []
    for inward, turns in events:
        (engine.feed if inward else engine.send)(("x", turns))
        out.append(settled(engine))
    return out


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.unmeasured) for seed in range(1, 5))])
def test_random_chains_give_the_same_counted_or_not(seed: int) -> None:
    """And each stage's numbers are those of its own tally."""
    rng = random.Random(seed)
    for _ in range(100):
        places = [Place(random_plan(rng), random_plan(rng)) for _ in range(rng.randrange(1, 5))]
        events = [(rng.random() < 0.5, rng.randrange(3)) for _ in range(3)]
        plain = run(places, events, running(chain_of(places), max_reply_bytes=10**9))
        plans: list[Any] = [place.inbound for place in places] + [place.outbound for place in reversed(places)]
        for plan in plans:
            plan.tally[:] = [0, 0]
        engine = count(running(chain_of(places), max_reply_bytes=10**9))
        assert plain == run(places, events, engine)
        assert [tuple(plan.tally) for plan in plans] == counts(engine)
        assert engine.next_item() is NEED_INPUT
