"""Changing a chain, step by step and without an event loop; and random changes in random traffic."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pipeline import END, NEED_INPUT, Duplex, Engine, Inbound, Outbound, Passthrough, Reply
from pipeline._flow import BLOCKED
from pipeline._surgery import Cut, Surgery, place_of, replacement
from stages import JSONCodec, LineFramer, Map, Tap, TextCodec

from .engines import received, running, sent, taken, written


def changed(cut: Cut, *, leftover: Any = "forward") -> Surgery:
    """Make the change, as a driver would."""
    surgery = Surgery(cut, [])
    if not cut.only_taps:
        surgery.take_back(leftover)
    surgery.fit()
    surgery.commit(forward=True)
    return surgery


class Closes(Inbound[Any, Any]):
    holds = 0

    def process_sync(self, item: Any, /) -> list[Any]:
        return [item]

    def close(self) -> None:
        raise ValueError("no close")


class ClosesToo(Outbound[Any, Any]):
    def process_sync(self, item: Any, /) -> list[Any]:
        return [item]

    def close(self) -> None:
        raise ValueError("neither")


# ---- where


def test_a_place_is_found_by_object_half_name_or_class() -> None:
    text = TextCodec()
    engine = running(LineFramer() | text | Map(inbound=str.upper))
    assert [1, 1, 1, 1] == [place_of(engine, what) for what in (text, text.outbound, "TextCodec", TextCodec)]


def test_what_a_cut_touches() -> None:
    engine = running(LineFramer() | Map(inbound=bytes))
    cut = replacement(engine, "Map", None)
    assert (True, False) == (cut.touches("inbound"), cut.touches("outbound"))


# ---- steps


def test_undone_it_is_as_if_nothing_had_been_done() -> None:
    engine = running(LineFramer() | TextCodec())
    engine.feed(b"a\nb\nc")
    assert "a" == engine.next_item()
    surgery = Surgery(replacement(engine, LineFramer, JSONCodec()), [])
    surgery.take_back("forward")
    surgery.fit()
    assert "JSONCodec() | TextCodec()" == repr(engine.chain)
    surgery.undo()
    assert "LineFramer() | TextCodec()" == repr(engine.chain)
    assert ["b", "c"] == received(engine, b"\n")
    assert [b"d\n"] == sent(engine, "d")


def test_undone_an_end_that_waited_is_still_the_end() -> None:
    engine = running(LineFramer())
    engine.feed(b"a\nb\n")
    engine.feed_eof()
    surgery = Surgery(replacement(engine, LineFramer, Map(inbound=bytes)), [])
    surgery.take_back("forward")
    surgery.fit()
    surgery.undo()
    assert [b"a", b"b", END] == taken(engine)


def test_all_that_went_are_closed_and_the_first_error_is_raised() -> None:
    pair = Duplex(Closes(), ClosesToo())
    engine = running(LineFramer() | pair)
    with pytest.raises(ValueError, match="no close") as info:
        changed(replacement(engine, pair, None))
    assert "and then ValueError('neither')" in info.value.__notes__
    assert [b"a"] == received(engine, b"a\n")


def test_stages_are_numbered_anew_in_errors() -> None:
    engine = running(LineFramer() | JSONCodec())
    changed(Cut(engine, 0, 0, Tap(print, strict=True)))
    engine.feed(b"{\n")
    with pytest.raises(ValueError, match="JSONDecoder") as info:
        taken(engine)
    assert "stage 3 of 3 of Tap(print, strict=True) | LineFramer() | JSONCodec()" in info.value.__notes__[0]


# ---- what waits at a stage that goes


class Slow(Outbound[Any, Any]):
    """Lets nothing through."""

    ready = False

    def process_sync(self, item: Any, /) -> list[Any]:
        return [item]


def test_a_reply_that_waits_below_a_closed_gate_goes_through_what_comes_instead() -> None:
    class Pings(Inbound[Any, Any]):
        def process_sync(self, item: Any, /) -> list[Any]:
            return [Reply(b"pong " + item)]

        unread = Closes.unread
        holds = 0

    engine = running(Slow() | Pings())
    assert [] == received(engine, b"1", b"2")
    assert [] == written(engine)
    changed(replacement(engine, Slow, Map(outbound=bytes.upper)))
    assert b"PONG 1PONG 2" == b"".join(written(engine))


def test_results_of_an_outbound_stage_that_went_go_on_behind_what_comes() -> None:
    """The client does not take replies, so its half of the result waits; the stage is gone, its results are not."""

    class Answers(Outbound[Any, Any]):
        def process_sync(self, item: Any, /) -> list[Any]:
            return [b"first", Reply(b"to client"), b"last"]

    engine = running(Answers(), max_reply_bytes=1)
    engine.send(b"x")
    engine._outbound.slots[0].mine = False
    assert b"first" == engine._outbound.advance()
    changed(replacement(engine, Answers, Map(outbound=bytes.upper)))
    assert b"last" == engine._outbound.advance()
    assert [b"to client"] == taken(engine)


def test_what_a_timer_overtook_goes_on_too() -> None:
    class Timed(Inbound[Any, Any]):
        is_tap = True

        def process_sync(self, item: Any, /) -> list[Any]:
            return [item, item]

    class Pausing(Inbound[Any, Any]):
        wants_input = False

        def process_sync(self, item: Any, /) -> list[Any]:
            return [item]

    engine = running(Timed() | Pausing())
    assert [] == received(engine, b"x")
    slots = engine._inbound.slots
    slots[0].put_aside()
    slots[1].stage.wants_input = True
    changed(replacement(engine, Timed, None))
    assert [b"x", b"x"] == taken(engine)


def test_of_two_stages_that_go_what_came_to_the_second_does_not_meet_what_comes() -> None:
    """It is half through the piece that goes; what came to the first of them is not."""

    class Both(Duplex[Any, Any, Any, Any]):
        def __init__(self) -> None:
            self.inbound = Map(inbound=bytes)
            self.outbound = Slow() | Map(outbound=bytes.title)

    engine = running(Both())
    titles, slow = engine._outbound.slots
    titles.gates, slow.gates = (), titles.gates
    engine._outbound.put(b"half")
    assert BLOCKED is engine._outbound.advance()
    engine._outbound.put(b"not yet")
    changed(Cut(engine, 0, 1, Map(outbound=bytes.upper)))
    assert b"HalfNOT YET" == b"".join(written(engine))


# ---- random changes in random traffic


class Halves(Passthrough):
    """Taps that count what passes."""

    def __init__(self, seen: list[tuple[str, Any]]) -> None:
        super().__init__(CountIn(seen), CountOut(seen))


class CountIn(Inbound[Any, Any]):
    is_tap = True

    def __init__(self, seen: list[tuple[str, Any]]) -> None:
        self.seen = seen

    def process_sync(self, item: Any, /) -> list[Any]:
        self.seen.append(("in", item))
        return [item]


class CountOut(Outbound[Any, Any]):
    is_tap = True
    keeps_outbound_state = False

    def __init__(self, seen: list[tuple[str, Any]]) -> None:
        self.seen = seen

    def process_sync(self, item: Any, /) -> list[Any]:
        self.seen.append(("out", item))
        return [item]


class Changes(RuleBasedStateMachine):
    """An engine whose chain is changed at random, beside one whose chain is not: the same comes out of both."""

    def __init__(self) -> None:
        super().__init__()
        self.tapped: Engine[Any, Any] = running(LineFramer() | TextCodec())
        self.plain: Engine[Any, Any] = running(LineFramer() | TextCodec())
        self.taps: list[Any] = []
        self.out: tuple[list[Any], list[Any]] = ([], [])
        self.wire: tuple[list[bytes], list[bytes]] = ([], [])

    @property
    def both(self) -> tuple[Engine[Any, Any], Engine[Any, Any]]:
        return self.tapped, self.plain

    @rule(data=st.binary(max_size=6).map(lambda data: data.translate(bytes(b"a\nb\n"[i % 4] for i in range(256)))))
    def feed(self, data: bytes) -> None:
        for engine in self.both:
            engine.feed(data)

    @rule()
    def receive(self) -> None:
        for engine, out in zip(self.both, self.out, strict=True):
            item = engine.next_item()
            if item is not NEED_INPUT:
                out.append(item)

    @rule(text=st.text(alphabet="xyz", max_size=3))
    def send(self, text: str) -> None:
        for engine, wire in zip(self.both, self.wire, strict=True):
            engine.send(text)
            wire.extend(written(engine))

    @rule(where=st.floats(0, 1))
    def insert_tap(self, where: float) -> None:
        tap = Halves([])
        index = round(where * len(self.tapped.seats))
        changed(Cut(self.tapped, index, index, tap))
        self.taps.append(tap)

    @precondition(lambda self: self.taps)
    @rule(data=st.data())
    def remove_tap(self, data: st.DataObject) -> None:
        tap = self.taps.pop(data.draw(st.integers(0, len(self.taps) - 1)))
        changed(replacement(self.tapped, tap, None))

    @rule(kind=st.sampled_from([LineFramer, TextCodec]))
    def replace_by_its_like(self, kind: Any) -> None:
        """A new one in the same place gets exactly what the old one had not finished with."""
        changed(replacement(self.tapped, kind, kind()))

    @rule()
    def replace_the_framer_and_back(self) -> None:
        changed(replacement(self.tapped, LineFramer, Map(inbound=bytes, outbound=bytes)))
        changed(replacement(self.tapped, "Map", LineFramer()))

    @invariant()
    def nothing_is_lost_doubled_or_reordered(self) -> None:
        assert self.out[0] == self.out[1]
        assert self.wire[0] == self.wire[1]

    def teardown(self) -> None:
        for engine, out in zip(self.both, self.out, strict=True):
            out.extend(taken(engine))
        self.nothing_is_lost_doubled_or_reordered()


TestRandomChanges = Changes.TestCase
pytest.mark.unmeasured(TestRandomChanges)
TestRandomChanges.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


class ManyChanges(Changes):
    """The same, more often."""


TestManyRandomChanges = ManyChanges.TestCase
pytest.mark.full(TestManyRandomChanges)
TestManyRandomChanges.settings = settings(max_examples=500, stateful_step_count=30, deadline=None)
