"""Intercept: a function decides what becomes of each item."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import trio

from pipeline import END, Pipeline, Reply, StageInUseError, StageReturnError, outbound
from pipeline.testing import AsyncHarness, Harness, check_cancellation, pipeline_pair
from stages import Intercept, LineFramer


def by_word(direction: str, item: Any) -> Any:
    """What an item becomes is what it says."""
    return {
        "drop": (),
        "twice": [item, item],
        "change": [f"{direction} changed"],
        "lazy": (number for number in range(3)),
        "answer": [Reply("answered"), item],
        "last": [item, END],
    }.get(item, [item])


async def by_word_later(direction: str, item: Any) -> Any:
    await trio.sleep(1)
    return by_word(direction, item)


class Pairs:
    """Holds an item until the next one comes, in each direction; and gives the last one alone."""

    def __init__(self) -> None:
        self.held: dict[str, list[Any]] = {"inbound": [], "outbound": []}

    def __call__(self, direction: str, item: Any) -> Any:
        self.held[direction].append(item)
        return self.release(direction) if len(self.held[direction]) == 2 else ()

    def release(self, direction: str) -> list[Any]:
        items, self.held[direction] = self.held[direction], []
        return items


class PairsLater(Pairs):
    async def __call__(self, direction: str, item: Any) -> Any:
        await trio.sleep(1)
        return super().__call__(direction, item)

    async def release_later(self, direction: str) -> list[Any]:
        await trio.sleep(1)
        return self.release(direction)


def paired(pairs: Pairs | None = None) -> Intercept:
    pairs = pairs or Pairs()
    return Intercept(pairs, finish=pairs.release)


def paired_later() -> Intercept:
    pairs = PairsLater()
    return Intercept(pairs, finish=pairs.release_later)


CASES = pytest.mark.parametrize(
    ("item", "results"),
    [
        ("as it is", ["as it is"]),
        (None, [None]),
        ("drop", []),
        ("twice", ["twice", "twice"]),
        ("lazy", [0, 1, 2]),
        ("change", ["{} changed"]),
    ],
)


# ---- what becomes of an item


@CASES
def test_an_item_is_passed_on_changed_dropped_or_multiplied(item: Any, results: list[Any]) -> None:
    harness = Harness(Intercept(by_word))
    for call, direction in ((harness.receive, "inbound"), (harness.send, "outbound")):
        expected = [result.format(direction) if isinstance(result, str) else result for result in results]
        assert [*expected, "next"] == call(item, "next")


@CASES
async def test_an_async_function_may_do_the_same(item: Any, results: list[Any]) -> None:
    harness = AsyncHarness(Intercept(by_word_later))
    for call, direction in ((harness.receive, "inbound"), (harness.send, "outbound")):
        expected = [result.format(direction) if isinstance(result, str) else result for result in results]
        assert [*expected, "next"] == await call(item, "next")


def test_a_reply_turns_round() -> None:
    harness = Harness(Intercept(by_word))
    assert ["answer"] == harness.receive("answer")
    assert ["answered"] == harness.replies
    assert ["answer"] == harness.send("answer")
    assert ["answer", "answered"] == harness.received


async def test_end_ends_the_direction() -> None:
    async with pipeline_pair(LineFramer() | Intercept(lambda _, item: [item, END]), LineFramer()) as (here, there):
        await there.send_many([b"a", b"b"])
        assert [b"a"] == [item async for item in here]
        await here.send(b"c")
        with pytest.raises(trio.ClosedResourceError):
            await here.send(b"d")
        assert b"c" == await there.receive()


def test_a_generator_is_run_as_its_items_are_asked_for() -> None:
    made: list[int] = []

    def count(direction: str, item: Any) -> Iterator[int]:
        for number in range(3):
            made.append(number)
            yield number

    intercept = Intercept(count)
    assert intercept.inbound
    results = iter(intercept.inbound.process_sync("x"))
    assert 0 == next(results)
    assert [0] == made


# ---- holding items


def test_an_item_is_held_and_given_with_a_later_one() -> None:
    harness = Harness(paired())
    assert [[], [1, 2], []] == [harness.receive(item) for item in (1, 2, 3)]
    assert [[], ["a", "b"]] == [harness.send(item) for item in ("a", "b")]


def test_finish_gives_what_is_held_at_the_end_of_each_direction() -> None:
    harness = Harness(paired())
    assert [] == harness.receive(1)
    assert [1] == harness.finish()
    assert [] == harness.send("a")
    assert ["a"] == harness.send_eof()


async def test_finish_may_be_async() -> None:
    harness = AsyncHarness(paired_later())
    assert [1, 2] == await harness.receive(1, 2, 3)
    assert [3] == await harness.finish()


def test_without_finish_what_is_held_at_the_end_is_lost() -> None:
    pairs = Pairs()
    harness = Harness(Intercept(pairs))
    harness.receive(1)
    assert [] == harness.finish()
    assert [1] == pairs.held["inbound"]


async def test_a_pipeline_that_ends_well_sends_what_is_held() -> None:
    async with pipeline_pair(LineFramer() | paired(), LineFramer()) as (here, there):
        await here.send(b"a")
        await here.aclose()
        assert [b"a"] == [item async for item in there]


async def test_a_pipeline_that_ends_with_an_error_does_not() -> None:
    """What was cut short must not look complete."""
    sink, written = trio.open_memory_channel[Any](math.inf)
    feed, source = trio.open_memory_channel[Any](0)
    pairs = Pairs()
    with pytest.raises(LookupError):
        async with Pipeline((source, sink), paired(pairs)) as pipeline:
            await pipeline.send("a")
            raise LookupError
    assert [] == [item async for item in written]
    assert ["a"] == pairs.held["outbound"]
    await feed.aclose()


# ---- cancellation


@pytest.mark.parametrize("make", [paired, paired_later, lambda: Intercept(by_word_later)])
async def test_cancellation_loses_and_doubles_nothing(make: Any) -> None:
    wire = ["a", "twice", "drop", "change"]
    assert await check_cancellation(make, wire=wire, client=["b", "twice", "lazy"]) > 0


async def test_an_async_function_may_run_in_both_directions_at_once() -> None:
    running: set[str] = set()
    together: list[set[str]] = []

    async def wait(direction: str, item: Any) -> list[Any]:
        running.add(direction)
        await trio.sleep(1)
        together.append(set(running))
        running.discard(direction)
        return [item]

    async with pipeline_pair(Intercept(wait), LineFramer()) as (here, there):
        await there.send(b"a")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(here.receive)
            nursery.start_soon(here.send, b"b")
    assert {"inbound", "outbound"} in together


async def test_a_send_cancelled_behind_the_function_breaks_outbound() -> None:
    """It may have changed its state, and the item is not on the wire."""

    async def slow(item: bytes) -> list[bytes]:
        await trio.sleep(1)
        return [item]

    async with pipeline_pair(outbound(slow) | Intercept(by_word), LineFramer()) as (here, _):
        with trio.move_on_after(0.5):
            await here.send(b"a")
        with pytest.raises(trio.BrokenResourceError, match=r"Intercept\(by_word\).outbound"):
            await here.send(b"b")


# ---- mistakes


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (None, r'Intercept\(oops\).inbound.process_sync\(\) returned None. For "nothing yet" return \(\)'),
        (b"ab", r"Intercept\(oops\).*returned bytes, .* put it in a list: return \[item\]"),
    ],
)
def test_what_is_no_result_is_refused_with_the_functions_name(result: Any, message: str) -> None:
    def oops(direction: str, item: Any) -> Any:
        return result

    with pytest.raises(StageReturnError, match=message):
        Harness(Intercept(oops)).receive(1)


def test_what_the_function_raises_is_the_stages_error() -> None:
    def fail(direction: str, item: Any) -> Any:
        raise LookupError(item)

    with pytest.raises(LookupError) as caught:
        Harness(LineFramer() | Intercept(fail)).receive(b"a\n")
    assert "in inbound stage Intercept(fail).inbound (stage 2 of 2 of " in caught.value.__notes__[0]


@pytest.mark.parametrize(
    "parameters", [{"function": 5}, {"function": by_word, "finish": 5}], ids=["function", "finish"]
)
def test_what_cannot_be_called_is_refused_at_once(parameters: Any) -> None:
    with pytest.raises(TypeError, match=r"Intercept: \w+ must be a function, not 5"):
        Intercept(**parameters)


# ---- as a stage


@pytest.mark.parametrize("make", [lambda: Intercept(by_word), lambda: Intercept(by_word_later)])
def test_it_may_hold_items_so_it_belongs_to_one_pipeline_and_claims_nothing(make: Any) -> None:
    stage = make()
    for half in (stage.inbound, stage.outbound):
        assert not half.is_tap
        assert half.keeps_outbound_state
        assert half.holds is None
        assert half.unread([]) is None
    AsyncHarness(stage)
    with pytest.raises(StageInUseError):
        AsyncHarness(stage)


@pytest.mark.parametrize(
    ("function", "name"),
    [(by_word, "Intercept(by_word).inbound"), (Pairs(), "Intercept(Pairs).inbound"), (partial(by_word_later), None)],
)
def test_its_halves_are_named_after_the_function(function: Any, name: str | None) -> None:
    half = Intercept(function).inbound
    assert half
    assert (name or "Intercept(partial).inbound") == half.name


def test_repr_shows_it_as_it_is_written() -> None:
    assert "Intercept(by_word)" == repr(Intercept(by_word))
