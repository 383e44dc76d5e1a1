"""Giving back: exactly what was received and not delivered, or nothing at all and all is as it was."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pipeline import END, Inbound, Outbound, Reply, SurgeryError
from pipeline._unread import has_undelivered, unread
from stages import Filter, LengthFramer, LineFramer, Map, Tap, TextCodec

from .engines import received, running, taken


class Doubles(Inbound[Any, Any]):
    """Two of each, in a list or, with `lazy`, one by one; `gives_back` is what its unread() does."""

    def __init__(self, gives_back: str = "", *, lazy: bool = False) -> None:
        self.gives_back, self.lazy, self.closed = gives_back, lazy, False

    def process_sync(self, item: Any, /) -> Any:
        return self._one_by_one(item) if self.lazy else [item, item]

    def _one_by_one(self, item: Any) -> Iterator[Any]:
        try:
            yield item
            yield item
        finally:
            self.closed = True


class DoublesBack(Doubles):
    def unread(self, outputs: Any, /) -> Any:
        if self.gives_back == "raises":
            raise ValueError("not now")
        return None if self.gives_back == "none" else [b"again"]


class Answers(Outbound[Any, Any]):
    """Answers the client twice, and passes the item on."""

    def process_sync(self, item: Any, /) -> list[Any]:
        return [Reply(b"reply to " + item), item]


def take_back(engine: Any, at: int = 0, *delivered: Any) -> list[Any]:
    return unread(engine._inbound, at, list(delivered))


# ---- what is given back


def test_of_a_framer_the_rest_and_what_was_cut_and_not_taken() -> None:
    engine = running(LineFramer())
    engine.feed(b"a\nb\nc")
    assert b"a" == engine.next_item()
    assert [b"b\nc"] == take_back(engine)
    assert [] == take_back(engine)
    assert [b"d"] == received(engine, b"d\n")


def test_of_several_stages_what_each_of_them_has() -> None:
    engine = running(Tap(print) | LineFramer() | Filter(inbound=bool) | TextCodec())
    engine.feed(b"a\n\nb\nc")
    assert "a" == engine.next_item()
    assert [b"\nb\nc"] == take_back(engine)


def test_of_nothing_nothing() -> None:
    engine = running(LineFramer() | TextCodec())
    assert [] == take_back(engine)
    assert [] == take_back(engine, 2)
    assert ["a"] == received(engine, b"a\n")


def test_what_was_not_fed_to_the_first_stage_comes_last() -> None:
    engine = running(LineFramer())
    engine.feed(b"a\nb")
    engine.feed(b"c\nd")
    assert b"a" == engine.next_item()
    assert [b"b", b"c\nd"] == take_back(engine)


def test_delivered_items_come_first_and_are_gone_then() -> None:
    engine = running(LineFramer() | Map(inbound=bytes))
    delivered = [b"x", b"y"]
    assert [b"x", b"y"] == unread(engine._inbound, 2, delivered)
    assert not delivered


class Pairs(Inbound[Any, Any]):
    """Two by two; says nothing of what it holds unless it `says`."""

    def __init__(self, *, says: bool = True) -> None:
        self.says = says
        self.kept: list[Any] = []

    @property
    def holds(self) -> int | None:
        return len(self.kept) if self.says else None

    def process_sync(self, item: Any, /) -> list[Any]:
        self.kept.append(item)
        pair = tuple(self.kept)
        if len(pair) < 2:
            return []
        self.kept = []
        return [pair]

    def unread(self, outputs: Any, /) -> list[Any]:
        kept, self.kept = self.kept, []
        return [item for pair in outputs for item in pair] + (kept or [b""])


def test_something_empty_is_an_item() -> None:
    """Behind a framer it is a line of its own, which a tap or another stage gives back as it is."""
    engine = running(LineFramer() | Tap(print))
    engine.feed(b"a\n\n\nb\n")
    assert [b"a", b"", b""] == [engine.next_item() for _ in range(3)]
    assert [b"", b""] == unread(engine._inbound, 1, [b"", b""], byte_wire=True)

    engine = running(LineFramer() | Pairs())
    assert [(b"a", b"b")] == received(engine, b"a\nb\n\n")
    assert [b""] == unread(engine._inbound, 1, [], byte_wire=True)


@pytest.mark.parametrize("says", [False, True])
def test_something_empty_of_a_stage_that_holds_nothing_is_nothing(*, says: bool) -> None:
    engine = running(LineFramer() | Pairs(says=says))
    assert [] == take_back(engine, 1)


def test_of_the_wire_something_empty_is_nothing() -> None:
    """Of a byte stream, also behind a stage that decrypts it; on a channel it is an item."""

    class Decrypts(Inbound[Any, Any]):
        is_trust_boundary = True

        def process_sync(self, item: Any, /) -> list[Any]:
            return [item]

    for byte_wire, given in (True, [b"a"]), (False, [b"a", b""]):
        engine = running(Tap(print) | Decrypts() | Pairs())
        engine.feed(b"a")
        engine.feed(b"")
        assert [(b"a", b"")] == taken(engine)
        assert given == unread(engine._inbound, 2, [(b"a", b"")], byte_wire=byte_wire)[:2]


def test_a_lazy_result_is_closed() -> None:
    stage = DoublesBack(lazy=True)
    engine = running(stage)
    engine.feed(b"x")
    assert b"x" == engine.next_item()
    assert [b"again"] == take_back(engine)
    assert stage.closed
    assert [] == taken(engine)


def test_what_outbound_stages_answered_stays_where_it_is() -> None:
    engine = running(LineFramer() | Answers() | Map(inbound=bytes.upper))
    engine.feed(b"a\nb\n")
    assert b"A" == engine.next_item()
    engine.send(b"x")
    assert [b"x\n"] == engine.to_write()
    assert [b"b\n"] == take_back(engine)
    assert [b"REPLY TO X"] == taken(engine)


def test_an_end_stays_where_it_is() -> None:
    engine = running(LineFramer())
    engine.feed(b"a\nb\n")
    assert b"a" == engine.next_item()
    engine.feed_eof()
    assert [b"b\n"] == take_back(engine)
    assert [END] == taken(engine)


def test_results_that_a_timer_overtook_are_given_back() -> None:
    class Pausing(Inbound[Any, Any]):
        wants_input = False

        def process_sync(self, item: Any, /) -> list[Any]:
            return [item]

    class Timed(DoublesBack):
        deadline: Any = None

        def process_sync(self, item: Any, /) -> Any:
            self.deadline = 5.0
            return [item, item]

        async def on_timer(self, now: float, /) -> list[Any]:
            self.deadline = None
            return []

    engine = running(Timed() | Pausing(), clock=lambda: 0.0)
    engine.feed(b"x")
    assert [] == taken(engine)
    engine._inbound.slots[0].put_aside()
    engine._inbound.slots[1].stage.unread = lambda outputs: ()
    with pytest.raises(SurgeryError):  # the pausing stage has no unread of its own, and one of the two waits at it
        take_back(engine)
    Pausing.holds = 0
    assert [b"again"] == take_back(engine)


# ---- what cannot be


@pytest.mark.parametrize(
    ("chain", "says"),
    [
        (Doubles, "it has no unread(), and what came of its input waits to be received"),
        (lambda: Doubles(lazy=True), "it has no unread(), and what came of its input waits to be received"),
        (lambda: DoublesBack("none"), "its unread() returned None"),
        (lambda: DoublesBack("none", lazy=True), "its unread() returned None"),
        (lambda: DoublesBack("raises"), "its unread() raised ValueError('not now')"),
        (lambda: Doubles() | LineFramer(), "it has no unread(), and what came of its input waits to be received"),
        (lambda: DoublesBack("none") | Tap(print) | Map(inbound=bytes), "its unread() returned None"),
    ],
)
def test_a_stage_that_cannot_refuses_and_goes_on_as_if_it_had_not_been_asked(chain: Any, says: str) -> None:
    engine, other = running(chain()), running(chain())
    for each in (engine, other):
        each.feed(b"x\n")
        each.next_item()
    with pytest.raises(SurgeryError, match="cannot give back what it took") as info:
        take_back(engine)
    assert says in str(info.value)
    assert taken(other) == taken(engine)
    assert received(other, b"y\n") == received(engine, b"y\n")


def test_an_item_that_came_of_a_part_of_a_result_is_not_guessed_at() -> None:
    """The lines were cut out of one frame of the framer below, and half of the frame was delivered."""
    engine = running(LengthFramer(1) | LineFramer() | TextCodec())
    engine.feed(b"\x04a\nb\n\x02c\n")
    assert "a" == engine.next_item()
    with pytest.raises(SurgeryError, match="was used in part, or is not of its last input alone"):
        take_back(engine)
    assert ["b", "c"] == taken(engine)


def test_items_of_more_than_the_last_input_are_not_guessed_at() -> None:
    engine = running(LineFramer())
    assert [b"a", b"b"] == received(engine, b"a\n", b"b\n")
    delivered = [b"a", b"b"]
    with pytest.raises(SurgeryError, match="not of its last input alone"):
        unread(engine._inbound, 0, delivered)
    assert [b"a", b"b"] == delivered


def test_what_went_through_many_stages_as_one_is_not_guessed_at() -> None:
    """The codec has half a character of the next line: what it had before is no longer what its unread() speaks of."""
    engine = running(LineFramer() | TextCodec())
    engine.feed(b"z\n")
    assert ["z"] == taken(engine)
    assert ["a", "b"] == list(engine.take_in(b"a\nb\n\xc3\n"))
    delivered = ["b"]
    with pytest.raises(SurgeryError, match="not of its last input alone"):
        unread(engine._inbound, 1, delivered)
    assert ["b"] == delivered
    assert [b"\xc3"] == take_back(engine, 1)


def test_a_stage_in_the_middle_of_a_call_refuses() -> None:
    class Waits(Inbound[Any, Any]):
        async def process(self, item: Any, /) -> list[Any]:
            await _Pause()
            return [item]

    class _Pause:
        def __await__(self) -> Any:
            yield

    engine = running(Waits())
    engine.feed(b"x")
    engine.next_item()
    with pytest.raises(SurgeryError, match="it is in the middle of a call"):
        take_back(engine)
    engine.close()


def test_what_start_gave_is_received_first() -> None:
    class Greets(Inbound[Any, Any]):
        def process_sync(self, item: Any, /) -> list[Any]:
            return [item]

        async def start(self) -> list[Any]:
            return [b"hello", b"world"]

    engine = running(Greets() | Tap(print))
    assert b"hello" == engine.next_item()
    with pytest.raises(SurgeryError, match=r"what its start\(\) gave waits to be received"):
        take_back(engine)
    assert [b"world"] == taken(engine)


def test_what_a_timer_gave_is_nothing_that_could_be_given_back() -> None:
    class Ticks(Inbound[Any, Any]):
        deadline: Any = 1.0
        holds = 0

        def process_sync(self, item: Any, /) -> list[Any]:
            return [item]

        async def on_timer(self, now: float, /) -> list[Any]:
            self.deadline = None
            return [b"tick", b"tack"]

    engine = running(Ticks(), clock=lambda: 0.0)
    engine.tick(1.0)
    assert b"tick" == engine.next_item()
    with pytest.raises(SurgeryError, match=r"what its on_timer\(\) gave waits to be received"):
        take_back(engine)
    assert b"tack" == engine.next_item()
    assert [] == take_back(engine)


def test_what_waits_behind_all_stages_is_put_again() -> None:
    engine = running(DoublesBack("none"))
    engine.feed(b"x")
    engine.next_item()
    engine._inbound.arrived = ((b"moved", False, 0),)
    with pytest.raises(SurgeryError):
        take_back(engine)
    assert [b"moved", b"x"] == taken(engine)


# ---- whether there is any


def test_whether_there_is_anything_is_asked_without_taking_it() -> None:
    engine = running(LineFramer() | Doubles(lazy=True))
    flow = engine._inbound
    assert not has_undelivered(flow, ())
    assert has_undelivered(flow, [b"parked"])
    engine.feed(b"a\nb")
    assert has_undelivered(flow, ())
    assert b"a" == engine.next_item()
    assert has_undelivered(flow, ())
    assert b"a" == engine.next_item()
    assert not has_undelivered(flow, ())
    assert has_undelivered(flow, (), at=1)
    assert [b"b"] == [engine.next_item() for _ in (engine.feed(b"\n"),)]
