"""Stages that do not wait as one loop: the same as going from stage to stage, whatever they give or raise."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import END, Inbound, Passthrough, Pipeline, Reply, outbound
from pipeline._written import MAX_BYTES
from stages import JSONCodec, LineFramer, Map, Tap

from .engines import running
from .parts import tcp_pair

# ---- the reference: ten lines that say what a chain of stages does


def reference(stages: list[Any], items: list[Any]) -> Iterator[Any]:
    """What comes out, and replies as ("reply", item), in the order in which they happen; then perhaps an error."""
    for item in items:
        if type(item) is Reply:
            yield ("reply", item.item)
        elif item is END:
            yield END
            return
        elif not stages:
            yield item
        else:
            for out in stages[0].process_sync(item):
                yield from reference([] if type(out) is Reply or out is END else stages[1:], [out])
                if out is END:
                    return


class Odd(Inbound[int, Any]):
    """Does something out of the ordinary with numbers it is given for it, else passes them on."""

    def __init__(self, at: dict[int, str], *, seen: list[int]) -> None:
        self.at, self.seen = at, seen

    def process_sync(self, item: int, /) -> Any:
        self.seen.append(item)
        match self.at.get(item):
            case "none":
                return ()
            case "no list":
                return []
            case "two":
                return [item, item]
            case "lazy":
                return (each for each in (item, item))
            case "reply":
                return [Reply(item)]
            case "reply too":
                return [item, Reply(item)]
            case "raise":
                raise ValueError(f"no {item}")
            case "set":
                return {item}
        return [item]


class OddAwaited(Odd):
    """The same as `async def` that awaits nothing."""

    async def process(self, item: int, /) -> Any:
        return self.process_sync(item)


class OddWaits(Odd):
    """The same as `async def` that waits at some numbers."""

    async def process(self, item: int, /) -> Any:
        await self._look_up(item)
        return self.process_sync(item)  # behind the wait: whoever is cancelled has seen nothing

    async def _look_up(self, item: int) -> None:
        if self.at.get(item) == "wait":
            for _ in range(3):
                await trio.lowlevel.checkpoint()


class OddOne(Inbound[int, Any]):
    """The same for one item each."""

    def __init__(self, at: dict[int, str], *, seen: list[int]) -> None:
        self.at, self.seen = at, seen

    def process_one(self, item: int, /) -> Any:
        self.seen.append(item)
        match self.at.get(item):
            case "raise":
                raise ValueError(f"no {item}")
            case "reply":
                return Reply(item)
        return item


class OddQuiet(Odd):
    """The same, and it would poll if it had anything."""

    has_more = False

    def poll(self) -> Any:
        raise AssertionError("it said that it has nothing")


class Numbers(Inbound[bytes, int]):
    """Numbers from lines, in one list."""

    only_items = True

    def process_sync(self, item: bytes, /) -> list[int]:
        return [int(word) for word in item.split()]


WHATS = ["none", "no list", "two", "lazy", "reply", "reply too", "set", "raise", "wait"]
KINDS = {"many": Odd, "one": OddOne, "await": OddAwaited, "wait": OddWaits, "quiet": OddQuiet}
ODD = st.dictionaries(st.integers(0, 11), st.sampled_from(WHATS), max_size=4)


def inbound_only(sees: list[int]) -> Any:
    """What a tap does; a reply of a stage above it passes it on its way out."""

    def see(direction: str, item: int) -> None:
        if direction == "inbound":
            sees.append(item)

    return see


def chain_of(plan: list[tuple[str, dict[int, str]]], seen: list[list[int]]) -> Any:
    chain: Any = Numbers()
    for (kind, at), sees in zip(plan, seen, strict=True):
        if kind == "tap":
            chain |= Tap(inbound_only(sees))
        else:
            chain |= KINDS[kind](at, seen=sees)
    return chain


@settings(max_examples=150, deadline=None)
@given(
    plan=st.lists(st.tuples(st.sampled_from([*KINDS, "tap"]), ODD), max_size=4),
    reads=st.lists(st.integers(1, 12), min_size=1, max_size=2),
    batches=st.booleans(),
    cancelled=st.lists(st.integers(0, 7), max_size=6),
)
def test_random_chains_do_what_the_reference_does(
    plan: Any, reads: list[int], cancelled: list[int], *, batches: bool
) -> None:
    """Items, replies, errors, and what each stage saw, in this order: over a real socket, where the short ways are."""
    # A space behind each, so that on a busy machine two of them may well come in one read.
    words = [b"".join(b"%d " % number for number in range(count)) for count in reads]
    expected_seen: list[list[int]] = [[] for _ in plan]
    stages = [_reference_stage(kind, at, sees) for (kind, at), sees in zip(plan, expected_seen, strict=True)]
    expected, error = _collected(reference([Numbers(), *stages], list(words)))
    seen: list[list[int]] = [[] for _ in plan]
    got, replies, raised = trio.run(_received, chain_of(plan, seen), words, batches, cancelled)
    assert [out for out in expected if not isinstance(out, tuple)] == got
    # A reply of a stage nearer to the wire may overtake one that has further to go.
    assert sorted(str(out[1]).encode() for out in expected if isinstance(out, tuple)) == sorted(replies)
    assert str(error) == str(raised)
    assert expected_seen == seen
    if raised is not None:
        assert "item: " in raised.__notes__[0]


def _reference_stage(kind: str, at: dict[int, str], sees: list[int]) -> Any:
    return OddOne({}, seen=sees) if kind == "tap" else KINDS[kind](at, seen=sees)


def _collected(outs: Iterator[Any]) -> tuple[list[Any], Exception | None]:
    got = []
    try:
        for out in outs:
            got.append(out)  # noqa: PERF402 - what came before an error counts
    except ValueError as error:
        return got, error
    return got, None


async def _received(
    chain: Any, words: list[bytes], batches: bool, cancelled: list[int]
) -> tuple[list[Any], list[bytes], Exception | None]:
    """What comes out of a pipeline, each word a read of its own, mostly.

    `cancelled` says after how many turns of the scheduler one receiving after the other is; then none is any more.
    """
    got: list[Any] = []
    raised: list[Exception] = []
    async with tcp_pair() as (near, far):
        async with Pipeline(near, outbound(lambda item: [b"%d " % item]) | chain) as pipeline:
            for left, word in zip(reversed(range(len(words))), words, strict=True):
                await far.send_all(word)
                if not left:
                    await far.send_eof()
                with trio.move_on_after(0.005 if left else 5):
                    await _receive_into(got, raised, pipeline, batches, cancelled)
                if raised and left:
                    await far.send_eof()
                if raised:
                    break
            await pipeline.flush()
        return got, (b"".join([bytes(data) async for data in far])).split(), raised[0] if raised else None


async def _receive_into(
    got: list[Any], raised: list[Exception], pipeline: Any, batches: bool, cancelled: list[int]
) -> None:
    """Receive to the end of the stream, or up to an error."""
    each = pipeline.batches() if batches else pipeline
    turns = itertools.chain(cancelled, itertools.repeat(None))
    async with trio.open_nursery() as nursery:
        for turn in turns:
            with trio.CancelScope() as scope:
                if turn is not None:
                    nursery.start_soon(_cancel_after, scope, turn)
                try:
                    async for item in each:
                        got += item if batches else [item]
                except ValueError as error:
                    raised.append(error)
                return


async def _cancel_after(scope: trio.CancelScope, turns: int) -> None:
    for _ in range(turns):
        await trio.lowlevel.checkpoint()
    scope.cancel()


# ---- the loop itself


def test_it_is_lazy() -> None:
    seen: list[Any] = []
    ready = running(LineFramer() | Tap(lambda _, item: seen.append(item))).take_in(b"a\nb\nc\n")
    assert [] == seen
    assert b"a" == next(ready)
    assert [b"a"] == seen


def test_so_much_comes_out_of_one_loop_and_no_more() -> None:
    large: Any = Map(inbound=lambda line: line * (MAX_BYTES // 4))
    engine = running(LineFramer() | large)
    assert 4 == len(list(engine.take_in(b"a\n" * 10)))
    assert engine.ready_taken() > 1000
    assert [MAX_BYTES // 4] * 6 == [len(engine.next_item()) for _ in range(6)]


def test_json_is_not_measured() -> None:
    """What a decoder gives is never much more than its input, so nobody need look."""
    engine = running(LineFramer() | JSONCodec())
    assert 10 == len(list(engine.take_in(b'"a"\n' * 10)))
    assert 10 == engine.ready_taken()


@pytest.mark.parametrize(
    ("results", "short"),
    [(["a", "b"], True), (["a", Reply(b"!")], False), (["a", END], False), (("a", "b"), False)],
)
def test_with_no_stage_behind_it_its_results_are_taken_as_they_are(results: Any, short: bool) -> None:
    """But only of a list it is known that no reply and no end is among them."""

    class Gives(Inbound[Any, Any]):
        never_expands = True

        def process_sync(self, item: Any, /) -> Any:
            return results

    ready = running(Gives()).take_in(b"x")
    assert short == (type(ready) is type(iter([])))
    assert "a" == next(ready)


def test_a_tap_that_fails_is_asked_what_to_do() -> None:
    class Counts(Passthrough):
        def __init__(self) -> None:
            super().__init__(CountsIn())

    class CountsIn(Inbound[Any, Any]):
        is_tap = True

        def __init__(self) -> None:
            self.seen: list[Any] = []
            self.watch = lambda direction, item: self.seen.append((direction, 1 // len(item)))

        def process_sync(self, item: Any, /) -> list[Any]:
            return [item]

    with pytest.raises(ZeroDivisionError):
        list(running(LineFramer() | Counts()).take_in(b"a\n\nb\n"))
