"""Stages that do not wait as one loop: the same as going from stage to stage, whatever they give or raise."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import END, Inbound, Passthrough, Pipeline, Reply, inbound, outbound
from pipeline._written import MAX_BYTES
from stages import Filter, JSONCodec, LineFramer, Map, Tap

from .engines import received, running, taken, written
from .parts import Waits, tcp_pair, turns_of_others
from .wires import clog

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


class Quiet(Inbound[Any, Any]):
    """Polls only when it is told that it has more."""

    has_more = False

    def process_sync(self, item: Any, /) -> list[Any]:
        return [item]

    def poll(self) -> list[Any]:
        self.has_more = False
        return ["polled"]


class Pauses(Inbound[Any, Any]):
    """Pauses when it is told to."""

    wants_input = True

    def process_sync(self, item: Any, /) -> list[Any]:
        return [item]


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
    words = [b" ".join(b"%d" % number for number in range(count)) for count in reads]
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
    """What comes out of a pipeline, each word a read of its own.

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


def items_of(chain: Any, data: bytes) -> tuple[Any, Iterator[Any]]:
    """An engine that has been fed, and what is ready in it."""
    engine = running(chain)
    return engine, engine.take_in(data)


def test_it_is_lazy() -> None:
    seen: list[Any] = []
    _, ready = items_of(LineFramer() | Tap(lambda _, item: seen.append(item)), b"a\nb\nc\n")
    assert [] == seen
    assert b"a" == next(ready)
    assert [b"a"] == seen


def test_what_is_not_taken_is_still_there_for_the_long_way() -> None:
    engine, ready = items_of(LineFramer() | Map(inbound=bytes.upper), b"a\nb\nc\n")
    assert b"A" == next(ready)
    assert [b"B", b"C"] == [engine.next_item(), engine.next_item()]
    assert [] == list(ready)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_an_error_names_its_stage_and_its_item(number: int) -> None:
    def boom(item: bytes) -> bytes:
        raise ValueError("boom")

    maps = [Map(inbound=boom if at == number else bytes) for at in range(3)]
    engine, ready = items_of(LineFramer() | maps[0] | Filter(inbound=bool) | maps[1] | maps[2], b"a\nb\n")
    with pytest.raises(ValueError, match="boom") as info:
        _taken(engine, ready)
    place = [2, 4, 5][number]
    assert f"inbound stage Map (stage {place} of 5" in info.value.__notes__[0]
    assert info.value.__notes__[0].endswith("process(), item: b'a'")
    assert 1 == len(info.value.__notes__)
    assert engine.inbound_error is info.value


def _taken(engine: Any, ready: Iterator[Any]) -> list[Any]:
    try:
        return list(ready)
    except BaseException as error:
        engine.fail_ready(error)
        raise


@pytest.mark.parametrize("at", [0, 1])
def test_an_interrupt_loses_no_item(at: int) -> None:
    """Ctrl+C inside a stage: the item was not processed, and waits there."""
    interrupted: list[bool] = []

    def interrupts(item: bytes) -> bytes:
        if not interrupted:
            interrupted.append(True)
            raise KeyboardInterrupt
        return item

    maps = [Map(inbound=interrupts if number == at else bytes) for number in range(2)]
    engine, ready = items_of(LineFramer() | maps[0] | maps[1], b"a\nb\n")
    with pytest.raises(KeyboardInterrupt):
        _taken(engine, ready)
    assert [b"a", b"b"] == [engine.next_item(), engine.next_item()]


def test_an_interrupt_when_the_item_is_through_loses_no_item() -> None:
    engine, ready = items_of(LineFramer() | Map(inbound=bytes), b"a\nb\n")
    next(ready)
    with pytest.raises(KeyboardInterrupt):
        ready.throw(KeyboardInterrupt())  # type: ignore[attr-defined]
    error = KeyboardInterrupt()
    try:
        engine._inbound.slots[0].fused.items(iter([b"x"]), None).throw(error)
    except KeyboardInterrupt as found:
        with pytest.raises(KeyboardInterrupt):
            engine.fail_ready(found)
    assert b"b" == engine.next_item()


def test_an_interrupt_at_the_yield_puts_the_item_behind_the_last_stage() -> None:
    engine, ready = items_of(LineFramer() | Map(inbound=bytes), b"a\nb\n")
    assert b"a" == next(ready)
    try:
        ready.throw(KeyboardInterrupt())  # type: ignore[attr-defined]
    except KeyboardInterrupt as error:
        with pytest.raises(KeyboardInterrupt):
            engine.fail_ready(error)
    assert [b"a", b"b"] == [engine.next_item(), engine.next_item()]


def test_a_source_that_fails_breaks_inbound_with_its_own_note() -> None:
    class Fails:
        def __iter__(self) -> Any:
            return self

        def __next__(self) -> Any:
            raise ValueError("half a list")

        def __length_hint__(self) -> int:
            return 3

    class Gives(Inbound[Any, Any]):
        def process_sync(self, item: Any, /) -> Any:
            return Fails()

    engine, ready = items_of(Gives() | Map(inbound=bytes), b"x")
    with pytest.raises(ValueError, match="half a list") as info:
        _taken(engine, ready)
    assert "inbound stage Gives (stage 1 of 2" in info.value.__notes__[0]


def test_a_reply_among_the_results_it_goes_over_is_left_to_the_flow() -> None:
    class Pings(Inbound[Any, Any]):
        def process_sync(self, item: bytes, /) -> list[Any]:
            return [Reply(b"pong") if line == b"ping" else line for line in item.split()]

    engine, ready = items_of(Pings() | Map(inbound=bytes.upper), b"a ping b")
    assert [b"A"] == list(ready)
    assert b"B" == engine.next_item()
    assert [b"pong"] == engine.to_write()


def test_a_result_that_is_none_is_refused_as_ever() -> None:
    class Forgets(Inbound[Any, Any]):
        def process_sync(self, item: Any, /) -> Any:
            return None

    engine, ready = items_of(LineFramer() | Forgets(), b"a\n")
    with pytest.raises(TypeError, match=r"Forgets.process_sync\(\) returned None") as info:
        _taken(engine, ready)
    assert 1 == len(info.value.__notes__)


def test_so_much_comes_out_of_one_loop_and_no_more() -> None:
    large: Any = Map(inbound=lambda line: line * (MAX_BYTES // 4))
    engine, ready = items_of(LineFramer() | large, b"a\n" * 10)
    assert 4 == len(list(ready))
    assert engine.ready_taken() > 1000
    assert [MAX_BYTES // 4] * 6 == [len(engine.next_item()) for _ in range(6)]


def test_json_is_not_measured() -> None:
    """What a decoder gives is never much more than its input, so nobody need look."""
    engine, ready = items_of(LineFramer() | JSONCodec(), b'"a"\n' * 10)
    assert 10 == len(list(ready))
    assert 10 == engine.ready_taken()


@pytest.mark.parametrize("stage", [type("Waits", (Inbound,), {"process": lambda self, item: None}), Quiet, Pauses])
def test_a_stage_that_may_hold_things_up_is_none_of_those_that_run_as_one(stage: Any) -> None:
    engine = running(LineFramer() | stage())
    engine._inbound.slots[0].results = iter([b"a", b"b"])
    assert [] == list(engine.ready_items())


@pytest.mark.short_ways
def test_a_chain_with_a_stage_that_waits_goes_the_long_way() -> None:
    assert not running(Waits()).inbound_is_steady  # what is read goes right into it
    _, ready = items_of(LineFramer() | Waits(), b"a\n")
    assert [] == list(ready)  # it is not known not to wait
    assert running(LineFramer() | Quiet()).inbound_is_steady


@pytest.mark.parametrize("stage", [Quiet, Pauses])
def test_what_was_read_waits_at_a_stage_that_does_not_want_it_any_more(stage: Any) -> None:
    """Between the beginning of a read and its end it may have changed its mind, or have something of its own."""
    loud = stage()
    engine = running(LineFramer() | loud)
    taken(engine)
    assert engine.inbound.rests()
    loud.has_more = loud.wants_input = stage is Quiet
    assert not engine.inbound.rests()
    assert [] == list(engine.take_in(b"a\n"))
    assert not engine.inbound.rests()
    assert (["polled", b"a"] if stage is Quiet else []) == taken(engine)
    loud.wants_input = True
    assert ([] if stage is Quiet else [b"a"]) == taken(engine)


@pytest.mark.parametrize("reads", [[b"a\n"], [b"a", b"\n"], [b"a\nb\n"], [b"ping\n"], [b"\n"]])
def test_items_go_to_such_a_stage_one_by_one(reads: list[bytes]) -> None:
    """It is fed at once if a read became one item; else the long way does it."""

    class Pongs(Inbound[Any, Any]):
        def process_sync(self, item: bytes, /) -> list[Any]:
            return [Reply(b"pong")] if item == b"ping" else [item]

    engine, other = running(LineFramer() | Pongs() | Quiet()), running(LineFramer() | Pongs() | Quiet())
    got: list[Any] = taken(engine)
    for data in reads:
        got += engine.take_in(data) if engine.inbound.rests() else received(engine, data)
        if not engine.inbound.rests():
            got += taken(engine)
    assert received(other, *reads) == got
    assert written(other) == written(engine)


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

    engine, ready = items_of(LineFramer() | Counts(), b"a\n\nb\n")
    with pytest.raises(ZeroDivisionError):
        _taken(engine, ready)


def test_random_reads_are_the_same_however_much_patience_there_is() -> None:
    """More lines in one read than may pass without a checkpoint."""
    rng = random.Random(3)
    lines = [b"%d" % rng.randrange(10**6) for _ in range(3500)]

    async def read() -> list[bytes]:
        async with tcp_pair() as (near, far), trio.open_nursery() as nursery, Pipeline(near, LineFramer()) as pipeline:
            nursery.start_soon(far.send_all, b"\n".join(lines) + b"\n")
            return [await anext(pipeline) for _ in lines]

    assert lines == trio.run(read)


# ---- on a pipeline


async def test_what_waits_behind_several_stages_comes_before_the_next_read() -> None:
    def twice(which: bytes) -> Any:
        return inbound(lambda line: [line] * (1 + (line == which)))

    async with tcp_pair() as (near, far), Pipeline(near, LineFramer() | twice(b"b") | twice(b"c")) as pipeline:
        await far.send_all(b"a\nb\nc\n")
        assert [b"a", b"b", b"b", b"c"] == [await anext(pipeline) for _ in range(4)]
        await far.send_all(b"d\n")
        assert [b"c", b"d"] == [await anext(pipeline) for _ in range(2)]


async def test_a_first_stage_that_fails_on_what_was_read_breaks_inbound() -> None:
    def boom(item: bytes) -> bytes:
        raise ValueError("boom")

    async with tcp_pair() as (near, far), Pipeline(near, Map(inbound=boom)) as pipeline:
        await far.send_all(b"x")
        with pytest.raises(ValueError, match="boom") as info:
            await pipeline.receive()
        assert "inbound stage Map (stage 1 of 1" in info.value.__notes__[0]
        with pytest.raises(trio.BrokenResourceError):
            await pipeline.receive()


@pytest.mark.real_time
@pytest.mark.short_ways
async def test_merged_sends_go_out_at_64_kib_and_pass_through_the_scheduler() -> None:
    """A send that only buffers need not, each time; after a thousand it does."""
    async with tcp_pair() as (near, far), Pipeline(near, LineFramer(100_000), merge_writes=True) as pipeline:
        async with turns_of_others() as turns:
            for _ in range(4500):
                await pipeline.send(b"x")
        assert 2 <= turns.count <= 10
        await pipeline.send(b"y" * 65536)
        assert len(await far.receive_some(10_000)) > 5000  # nobody had to flush
        await far.aclose()


@pytest.mark.real_time
@pytest.mark.parametrize("peer", ["reads", "does not read", "is gone"])
async def test_what_was_merged_goes_out_before_the_next_read(peer: str) -> None:
    """Where there is room; where there is none, or the wire is broken, receiving goes on."""
    async with tcp_pair() as (near, far):
        pipeline = Pipeline(near, LineFramer(1 << 20), merge_writes=True, close_seconds=0)
        try:
            await far.send_all(b"1\n")
            assert b"1" == await pipeline.receive()
            if peer == "does not read":
                await clog(near)
            elif peer == "is gone":
                near.socket.shutdown(trio.socket.SHUT_WR)
            await pipeline.send(b"answer")
            await far.send_all(b"2\n")
            assert b"2" == await pipeline.receive()
            if peer == "reads":
                assert b"answer\n" == await far.receive_some()
        finally:
            await trio.aclose_forcefully(pipeline)
