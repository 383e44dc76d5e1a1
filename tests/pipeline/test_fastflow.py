"""The fast path: nothing that it leaves, fails at or is interrupted in is lost, and errors are as on the long way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pipeline import END, Inbound, Reply, inbound
from pipeline._fused import waits
from pipeline._written import MAX_BYTES
from stages import Filter, LineFramer, Map

from .engines import finished, pause, received, running, taken, written
from .parts import Waits


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


def items_of(chain: Any, data: bytes) -> tuple[Any, Iterator[Any]]:
    """An engine that has been fed, and what is ready in it."""
    engine = running(chain)
    return engine, engine.take_in(data)


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


@pytest.mark.short_ways
def test_what_the_long_way_left_can_be_taken_the_fast_one() -> None:
    """Where nothing is left, or something else waits, it gives nothing."""
    engine = running(LineFramer() | Map(inbound=bytes.upper))
    assert [] == list(engine.ready_items())
    engine.feed(b"a\nb\nc\n")
    assert b"A" == engine.next_item()
    assert [b"B", b"C"] == list(engine.ready_items())
    assert 2 == engine.ready_taken()
    engine.feed_eof()
    assert [END] == taken(engine)
    assert [] == list(engine.ready_items())


@pytest.mark.parametrize("result", [(), (1,), (1, 2), [1, 2]])
def test_results_of_any_kind_that_one_item_became(result: Any) -> None:
    """The loop goes on as long as each item becomes one."""

    class Gives(Inbound[Any, Any]):
        def process_sync(self, item: bytes, /) -> Any:
            return result if item == b"b" else [item]

    engine, ready = items_of(LineFramer() | Gives() | Map(inbound=str), b"a\nb\nc\n")
    assert ["b'a'", *map(str, result), "b'c'"] == [*ready, *taken(engine)]


@pytest.mark.parametrize("first", [Reply(b"pong"), END, None])
def test_a_first_stage_that_gives_something_else_than_one_item(first: Any) -> None:
    """To a stage that may pause items go one by one."""

    class Gives(Inbound[Any, Any]):
        def process_sync(self, item: bytes, /) -> Any:
            if first is None:
                raise ValueError("refused")
            return (first,) if item == b"tuple" else [first]

    for item in (b"list", b"tuple"):
        engine = running(Gives() | Pauses())
        taken(engine)
        if first is None:
            with pytest.raises(ValueError, match="refused"):
                engine.take_in(item)
        else:
            assert [] == list(engine.take_in(item))
            assert ([END] if first is END else []) == taken(engine)
            assert ([] if first is END else [b"pong"]) == written(engine)


# ---- a stage waits


class Naps(Inbound[Any, Any]):
    """Waits for `nap`, each time it sees one."""

    async def process(self, item: bytes, /) -> list[bytes]:
        if item == b"nap":
            await pause("snoring")
        return [item]


@pytest.mark.short_ways
def test_a_stage_that_waits_is_taken_over_where_it_is() -> None:
    """Its item and those behind it are given the long way; next time it is not taken to be prompt."""
    engine = running(LineFramer() | Naps() | Map(inbound=bytes.upper))
    assert [b"X"] == received(engine, b"x\n")
    ready = engine.take_in(b"a\nnap\nb\n")
    assert b"A" == next(ready)
    assert not waits(engine.inbound.loop)
    assert "snoring" == next(ready)
    assert waits(engine.inbound.loop)
    waiting = engine.take_over("snoring")
    assert waiting is engine.next_item()
    finished(waiting)
    assert [b"NAP", b"B"] == taken(engine)
    assert [b"Y"] == list(engine.take_in(b"y\n"))  # the last one did not wait


@pytest.mark.short_ways
def test_what_an_awaited_stage_gives_wrongly_is_refused_as_ever() -> None:
    class Forgets(Inbound[Any, Any]):
        async def process(self, item: bytes, /) -> Any:
            await pause() if item == b"nap" else None
            return [item] if item == b"a" else None

    engine = running(LineFramer() | Forgets())
    assert [b"a"] == received(engine, b"a\n")
    ready = engine.take_in(b"a\nb\n")
    with pytest.raises(TypeError, match=r"Forgets.process\(\) returned None") as info:
        _taken(engine, ready)
    assert 1 == len(info.value.__notes__)


# ---- whether it is open


def test_it_rests_when_nothing_is_left_at_any_stage() -> None:
    """Neither of what was taken in, nor of what the long way went on with."""

    def twice_b(item: bytes) -> Any:
        return [item] * (1 + (item == b"B"))

    engine = running(LineFramer() | Map(inbound=bytes.upper) | inbound(twice_b))
    taken(engine)
    assert engine.inbound.rests()
    ready = engine.take_in(b"a\nb\n")
    assert not engine.inbound.rests()
    assert [b"A"] == list(ready)
    for _ in range(2):
        assert not engine.inbound.rests()
        assert b"B" == engine.next_item()
    assert not engine.inbound.rests()  # nobody has looked yet whether there is more
    assert [] == taken(engine)
    assert engine.inbound.rests()
    assert [b"B", b"B"] == received(engine, b"b\n")
    assert engine.inbound.rests()


def test_it_does_not_rest_behind_a_loop_that_came_to_much() -> None:
    engine, ready = items_of(LineFramer() | Map(inbound=lambda line: line * MAX_BYTES), b"a\nb\n")
    assert 1 == len(list(ready))
    assert not engine.inbound.rests()
    assert 1 == len(taken(engine))


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
