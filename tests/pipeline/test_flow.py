"""How items get through a chain: any object, one by one, and back as a reply; and how that ends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pipeline import (
    END,
    NEED_INPUT,
    Duplex,
    Engine,
    Inbound,
    Outbound,
    Passthrough,
    PipelineError,
    Reply,
    Waiting,
)
from tests.pipeline.engines import (
    FreeOut,
    Handshake,
    In,
    Out,
    Traced,
    finish_with,
    finished,
    pause,
    received,
    running,
    sent,
    taken,
    written,
)


class RaisingEq:
    """An item that cannot be compared."""

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparing")


class AlwaysEqual:
    """An item that equals everything, END included."""

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return True


class ArrayLike:
    """As of numpy: comparing gives something whose truth cannot be told."""

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> Any:
        return self

    def __bool__(self) -> bool:
        raise ValueError("ambiguous")

    def __len__(self) -> int:
        return 0


ODD_ITEMS: list[Any] = [
    None,
    0,
    "",
    b"",
    False,
    (),
    [],
    {},
    NotImplemented,
    StopIteration,
    AlwaysEqual(),
    RaisingEq(),
    ArrayLike(),
]


@pytest.mark.parametrize("item", ODD_ITEMS, ids=lambda item: type(item).__name__ + repr(item)[:5])
def test_any_object_is_an_item_both_ways(item: Any) -> None:
    """Whether it is true, empty, or can be compared plays no part."""
    engine = running(In(lambda _, item: iter([item])) | Out() | In() | FreeOut(lambda _, item: (item,)))

    (inward,) = received(engine, item)
    (outward,) = sent(engine, item)

    assert inward is item
    assert outward is item
    assert not engine.sending


@pytest.mark.parametrize("item", ["", b""])
def test_an_empty_item_on_a_channel_is_to_be_written(item: Any) -> None:
    """It counts, so that a driver which asks how much there is writes it (P12)."""
    engine = running(In(lambda _, item: [Reply(item)]))

    engine.send(item)
    engine.work_out()
    assert engine.to_write_bytes > 0
    assert [item] == written(engine)
    received(engine, item)
    engine.work_out()
    assert engine.owes_replies
    assert engine.to_write_bytes > 0
    assert [item] == written(engine)


@pytest.mark.parametrize("mark", [END, NEED_INPUT, Reply(1)])
def test_marks_are_no_items(mark: Any) -> None:
    """What stages and engines say with them cannot be fed or sent; the message shows what can."""
    engine = running(In())

    with pytest.raises(TypeError, match="cannot be fed"):
        engine.feed(mark)
    with pytest.raises(TypeError, match="cannot be sent"):
        engine.send(mark)


def test_the_message_for_a_fed_reply_shows_its_item() -> None:
    """A Reply is a stage's way to turn an item round."""
    with pytest.raises(
        TypeError, match=r"^Reply\(item=1\) cannot be fed: a Reply is a stage's result. For its item: 1$"
    ):
        running(In()).feed(Reply(1))
    with pytest.raises(TypeError, match=r"^END is no item and cannot be sent: call send_eof\(\)$"):
        running(In()).send(END)


def test_a_huge_expansion_is_pulled_one_by_one() -> None:
    """No more is pulled than was asked for, and the next item waits until all is used up (S1)."""
    bomb = Traced(range(10**9))
    stage = In(lambda _, item: bomb if item == "bomb" else [item])
    engine = running(stage | In())
    engine.feed("bomb")
    engine.feed("next")

    assert [0, 1, 2] == [engine.next_item() for _ in range(3)]
    assert 3 == bomb.pulled
    assert ["bomb"] == stage.seen


def test_items_go_depth_first() -> None:
    """A stage sees the next item when all results of the one before have gone on (P2)."""
    log: list[str] = []

    def double(stage: In, item: str) -> Iterator[str]:
        for number in (1, 2):
            log.append(f"{stage.name}{item}{number}")
            yield f"{item}{number}"

    engine = running(In(double, name="a") | In(double, name="b"))

    assert ["x11", "x12", "x21", "x22", "y11", "y12", "y21", "y22"] == received(engine, "x", "y")
    assert ["ax1", "bx11", "bx12", "ax2", "bx21", "bx22", "ay1", "by11", "by12", "ay2", "by21", "by22"] == log


def test_chunks_fed_before_items_are_taken_wait_in_order() -> None:
    """Feeding does nothing but keep."""
    stage = In(lambda _, item: list(item))
    engine = running(stage)
    for chunk in ("ab", "", "cd"):
        engine.feed(chunk)

    assert [] == stage.seen
    assert ["a", "b", "c", "d"] == taken(engine)


# ---- laziness: what is not taken is closed


@pytest.mark.parametrize("how", ["END", "close", "error"])
def test_results_that_nobody_will_take_are_closed(how: str) -> None:
    """A generator's clean-up code runs when its stage's direction ends, breaks, or the engine is closed."""
    lazy = Traced(range(5))

    def act(stage: In, item: str) -> Any:
        match item:
            case "lazy":
                return lazy
            case _:
                raise ValueError

    ender = In(
        lambda _, item: (
            [item, END] if how == "END" and item == 1 else [1 // (item - 1)] if how == "error" and item == 1 else [item]
        )
    )
    engine = running(In(act) | ender)
    engine.feed("lazy")

    assert 0 == engine.next_item()
    if how == "END":
        assert [1, END] == taken(engine)
    elif how == "error":
        with pytest.raises(ZeroDivisionError):
            engine.next_item()
    else:
        engine.close()

    assert lazy.closed
    assert lazy.pulled <= 2


def test_results_behind_an_end_are_closed_and_never_pulled() -> None:
    """A stage that said END has said its last."""
    lazy = Traced([1, END, 2])
    engine = running(In(lambda _, item: lazy))
    engine.feed("x")

    assert [1, END] == taken(engine)
    assert 2 == lazy.pulled
    assert lazy.closed


@pytest.mark.parametrize("direction", [Inbound, Outbound])
def test_an_error_while_closing_a_lazy_result_is_the_stages_own(direction: Any) -> None:
    """It comes with its note, and the direction is broken, since its end is lost."""

    def act(stage: Any, item: Any) -> Iterator[Any]:
        try:
            yield END
            yield 1
        finally:
            raise ValueError("clean-up")

    engine = running(In(act) if direction is Inbound else Out(act))
    with pytest.raises(ValueError, match="clean-up") as info:
        received(engine, "x") if direction is Inbound else sent(engine, "x")

    assert "item: 'x'" in info.value.__notes__[0]
    assert (engine.inbound_error if direction is Inbound else engine.outbound_error) is info.value


# ---- S6, P14: replies


class Turns(Duplex[Any, Any, Any, Any]):
    """Turns an item that names it round, in both directions; marks everything that passes its other half."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.inbound = In(self._turn, name=f"{name}.in")
        self.outbound = Out(self._turn, name=f"{name}.out")

    def _turn(self, stage: Any, item: tuple[str, ...]) -> list[Any]:
        item = (*item, stage.name)
        return [Reply(item)] if item[0] == self.name else [item]


@pytest.mark.parametrize(
    ("item", "way"),
    [
        ("a", ("a", "a.in")),
        ("b", ("b", "a.in", "b.in", "a.out")),
        ("c", ("c", "a.in", "b.in", "c.in", "b.out", "a.out")),
    ],
)
def test_an_inbound_reply_goes_back_from_its_stages_own_place(item: str, way: tuple[str, ...]) -> None:
    """Through the stages below it, not through its own other half."""
    engine = running(Turns("a") | Turns("b") | Turns("c"))

    assert [] == received(engine, (item,))
    assert [way] == written(engine)


@pytest.mark.parametrize(
    ("item", "way"),
    [
        ("c", ("c", "c.out")),
        ("b", ("b", "c.out", "b.out", "c.in")),
        ("a", ("a", "c.out", "b.out", "a.out", "b.in", "c.in")),
    ],
)
def test_an_outbound_reply_goes_back_from_its_stages_own_place(item: str, way: tuple[str, ...]) -> None:
    """Through the stages above it, to the client."""
    engine = running(Turns("a") | Turns("b") | Turns("c"))

    assert [] == sent(engine, (item,))
    assert [way] == taken(engine)


def test_a_reply_behind_an_item_waits_for_it() -> None:
    """Results are taken in order, on demand."""
    engine = running(In(lambda _, item: [Reply("r1"), "item", Reply("r2")]))
    engine.feed("x")

    assert "item" == engine.next_item()
    assert ["r1"] == written(engine)
    assert [] == taken(engine)
    assert ["r2"] == written(engine)


def test_a_stage_replies_and_then_fails() -> None:
    """The alert goes out, though the error has come (S6)."""

    def act(stage: In, item: Any) -> Iterator[Any]:
        yield Reply("alert")
        raise ValueError("bad")

    engine = running(In() | In(act) | In())
    with pytest.raises(ValueError, match="bad"):
        received(engine, "x")

    assert ["alert"] == written(engine)


def test_an_outbound_stage_replies_and_then_fails() -> None:
    """The client gets the answer, though the send fails."""

    def act(stage: Any, item: Any) -> Iterator[Any]:
        yield Reply("no")
        raise ValueError("bad")

    engine = running(FreeOut(act))
    engine.send("x")
    with pytest.raises(ValueError, match="bad"):
        engine.to_write()

    assert ["no"] == taken(engine)


class RepliesEverywhere(Inbound[Any, Any]):
    """Says which of its methods was called."""

    deadline: float | None = 1.0
    polls = 1

    async def start(self) -> list[Any]:
        return [Reply("start")]

    def process_sync(self, item: Any, /) -> list[Any]:
        return [Reply("process")]

    async def finish(self) -> list[Any]:
        return [Reply("finish")]

    def poll(self) -> list[Any]:
        self.polls -= 1
        return [Reply("poll")] if self.polls == 0 else []

    async def on_timer(self, now: float, /) -> list[Any]:
        self.deadline = None
        return [Reply("on_timer")]


def test_every_method_may_reply() -> None:
    """Start, process, finish, poll and on_timer alike; no client item comes of it."""
    engine = running(RepliesEverywhere(), clock=lambda: 2.0)

    assert [] == taken(engine)
    assert ["start", "poll"] == written(engine)
    assert [] == received(engine, 1)
    engine.tick()
    assert [] == taken(engine)
    engine.feed_eof()
    assert [END] == taken(engine)
    assert ["process", "on_timer", "finish"] == written(engine)


@pytest.mark.parametrize("how", ["ended", "broken", "ending"])
def test_a_reply_that_comes_too_late_is_dropped_and_counted(how: str) -> None:
    """After outbound ended or broke, or behind a Reply(END) that is on its way."""
    engine = running(In(lambda _, item: [Reply(item)] if item is not None else [Reply(END), Reply("late")]))
    taken(engine)
    if how == "ended":
        engine.send_eof()
        written(engine)
    elif how == "broken":
        engine.break_outbound(ValueError())
    assert [] == received(engine, *([None] if how == "ending" else ["late"]))

    assert [] == written(engine)
    assert 1 == engine.dropped_replies


def test_replies_that_wait_when_outbound_breaks_are_dropped_and_counted() -> None:
    """Wherever in outbound they are; inbound goes on."""

    class Shut(Duplex[Any, Any, Any, Any]):
        def __init__(self) -> None:
            self.inbound = In()
            self.inbound.ready = False
            self.outbound = Out()

    engine = running(Shut() | In(lambda _, item: [Reply(item), Reply(item), item]) | In())
    assert [1, 2] == received(engine, 1, 2)
    assert [] == written(engine)

    engine.break_outbound(ValueError())

    assert 4 == engine.dropped_replies
    assert [3] == received(engine, 3)
    assert not engine.replies_full


def test_replies_are_compared_by_value() -> None:
    """So a test can see them in what `process` returns."""
    assert [Reply(1)] == [Reply(1)]
    assert Reply(1) != Reply(2)
    assert Reply[int](1) == Reply(1)


def test_inbound_stops_while_the_place_for_replies_is_full() -> None:
    """A peer that does not read its answers is not read any further (P14)."""
    stage = In(lambda _, item: [Reply(bytes(60)), item])
    engine = running(stage, max_reply_bytes=100)

    assert [1] == received(engine, 1, 2, 3)
    assert [1, 2] == stage.seen
    assert engine.replies_full
    assert not engine.wants_input
    assert 2 == len(engine.to_write())
    assert engine.wants_input
    assert [2, 3] == taken(engine)


def test_replies_count_until_they_are_written() -> None:
    """Not only while they wait between the stages."""
    engine = running(In(lambda _, item: [Reply(item)]), max_reply_bytes=10)
    received(engine, b"12345678")
    engine.work_out()
    assert not engine.replies_full
    received(engine, b"90")
    engine.work_out()
    assert engine.replies_full

    engine.wrote(1)

    assert not engine.replies_full
    assert engine.owes_replies


def test_outbound_stops_while_the_client_does_not_take_its_replies() -> None:
    """Answers of outbound stages are bounded, too."""
    engine = running(Out(lambda _, item: [Reply(bytes(60)), item]), max_reply_bytes=100)
    assert ["a"] == sent(engine, "a")
    engine.send("b")
    assert [] == engine.to_write()
    assert engine.sending
    assert engine.send_is_held_back

    assert 2 == len(taken(engine))
    assert ["b"] == engine.to_write()


def test_full_both_ways_is_no_deadlock() -> None:
    """Where neither could wait for the other, outbound goes on."""
    engine = running(
        Duplex(In(lambda _, item: [Reply(bytes(60))]), Out())
        | Duplex(In(lambda _, item: [Reply(bytes(60))]), Out(lambda _, item: [Reply(item), item])),
        max_reply_bytes=100,
    )
    engine.send(bytes(100))
    engine.work_out()
    assert engine.send_is_held_back
    engine.feed("x")
    engine.feed("y")
    engine.next_item()
    engine.next_item()

    for _ in range(5):
        engine.to_write()
        engine.next_item()

    assert not engine.sending
    assert not engine.replies_full


def test_the_end_is_told_though_replies_wait() -> None:
    """END is for ever, whatever there is still to be written."""
    engine = running(In(lambda _, item: [Reply(bytes(10)), END]), max_reply_bytes=5)
    engine.feed(1)
    assert NEED_INPUT is engine.next_item()
    engine.to_write()
    assert END is engine.next_item()
    engine.feed_eof()

    assert END is engine.next_item()


def test_a_place_for_replies_without_room_is_refused() -> None:
    """A limit of 0 would stop everything."""
    with pytest.raises(ValueError, match="max_reply_bytes is 0; a reply needs room: give 1 or more"):
        Engine(In(), max_reply_bytes=0)


def test_news_is_told_when_something_turns_round() -> None:
    """A driver that waits for the transport must hear of it."""
    news: list[str] = []
    engine = running(In(lambda _, item: [Reply(item)]))
    engine.on_news = lambda: news.append("news")

    received(engine, 1)

    assert ["news"] == news


def test_a_list_is_not_torn_by_a_reply_that_comes_meanwhile() -> None:
    """Another task's input may turn round while a big item is half written: its frame stays in one piece."""
    frame = Duplex(In(lambda _, item: [Reply(b"pong")]), Out(lambda _, item: [bytes(70_000), item, b"end"]))
    engine = running(frame, byte_wire=True)
    engine.send(b"body")
    first = engine.to_write()
    received(engine, b"ping")

    assert isinstance(first, list)
    assert bytes(70_000) + b"body" + b"end" + b"pong" == b"".join(first + written(engine))


def test_a_reply_for_a_stage_further_down_waits_for_the_list_too() -> None:
    """A stage that waits sees the parts of a list without anything in between."""

    class Slow(Outbound[Any, Any]):
        async def process(self, item: Any, /) -> list[Any]:
            await pause()
            return [item]

    frame = Duplex(In(lambda _, item: [Reply("pong")]), Out(lambda _, item: ["head", "body"]))
    engine = running(Slow() | frame)
    engine.send("x")
    waiting = engine.to_write()
    received(engine, "ping")
    out: list[Any] = []
    while isinstance(waiting, Waiting):
        finished(waiting)
        waiting = engine.to_write()
        out += waiting if isinstance(waiting, list) else []
    assert ["head", "body", "pong"] == engine.peek() or ["head", "body", "pong"] == out


def test_replies_pass_between_the_results_of_a_generator() -> None:
    """A long lazy send lets them through: it yields."""
    frame = Duplex(In(lambda _, item: [Reply(b"pong")]), Out(lambda _, item: (bytes(70_000) for _ in range(2))))
    engine = running(frame, byte_wire=True)
    engine.send(b"x")
    first = engine.to_write()
    received(engine, b"ping")

    assert isinstance(first, list)
    assert bytes(70_000) + b"pong" + bytes(70_000) == b"".join(first + written(engine))


def test_delayed_replies_keep_their_order_and_count() -> None:
    """They are bounded while they wait, and dropped and counted if outbound breaks before their turn."""
    frame = Duplex(In(lambda _, item: [Reply(item)]), Out(lambda _, item: [bytes(70_000), b"end"]))
    engine = running(frame, byte_wire=True, max_reply_bytes=100)
    engine.send(b"x")
    engine.to_write()
    received(engine, b"1" * 60, b"2" * 60, b"3")
    assert engine.replies_full
    assert engine.owes_replies
    assert [b"end" + b"1" * 60 + b"2" * 60] == written(engine)

    taken(engine)
    engine.send(b"x")
    engine.to_write()
    received(engine, b"4")
    engine.break_outbound(ValueError())
    assert 1 == engine.dropped_replies


def test_delayed_replies_go_before_an_end_that_comes_after_them() -> None:
    """And those whose place has ended are dropped and counted."""
    ender = FreeOut(lambda _, item: [END] if item == "end" else [item])
    below, here = In(lambda _, item: [Reply(item)] if item == "low" else [item]), In(lambda _, item: [Reply(item)])
    engine = running(below | ender | Duplex(here, FreeOut(lambda _, item: ["a" * 70_000, "end"])))
    engine.send("x")
    assert 1 == len(engine.to_write())
    received(engine, "high", "low")

    assert ["low"] == written(engine)
    assert engine.outbound_ended
    assert 1 == engine.dropped_replies


def test_the_parts_of_an_item_and_of_a_reply_stay_together_below_both() -> None:
    """A stage below expands one after the other (P2, P4)."""
    head = Out(lambda _, item: iter([f"<{item}", f"{item}>"]))
    engine = running(head | In(lambda _, item: [Reply(item)]) | Out(lambda _, item: iter([item, item])))
    engine.send("s")
    received(engine, "r")

    assert ["<r", "r>", "<s", "s>", "<s", "s>"] == written(engine)


# ---- S11, P6, P7: ending


@pytest.mark.parametrize("position", [0, 1, 2])
@pytest.mark.parametrize("direction", ["inbound", "outbound"])
def test_end_among_the_results_ends_its_direction(direction: str, position: int) -> None:
    """Items before it are delivered, later stages finish, the stage itself and those before it do not."""
    log: list[str] = []

    def make(kind: type, number: int) -> Any:
        class Finishes(kind):  # type: ignore[misc]
            async def finish(self) -> list[Any]:
                log.append(f"finish {number}")
                return [f"last {number}"]

        return Finishes((lambda _, item: [item, END, "never"]) if number == position else None)

    kind = In if direction == "inbound" else Out
    stages = [make(kind, number) for number in range(3)]
    engine = running(stages[0] | stages[1] | stages[2] if kind is In else stages[2] | stages[1] | stages[0])
    run = received if kind is In else sent
    taken(engine)
    out = run(engine, "a")
    if kind is In:
        assert END is out.pop()
        assert END is engine.next_item()
        assert not engine.wants_input
        assert engine.inbound_ended
        assert [END] == received(engine, "ignored")
        assert ["still works"] == sent(engine, "still works")
    else:
        assert engine.outbound_ended
        with pytest.raises(PipelineError, match="outbound has ended: nothing can be sent after"):
            engine.send("b")
        with pytest.raises(PipelineError, match="outbound has ended"):
            engine.send_eof()
        assert ["still works"] == received(engine, "still works")

    later = range(position + 1, 3)
    assert ["a", *(f"last {number}" for number in later)] == out
    assert [f"finish {number}" for number in later] == log
    assert all(stage.seen.count("never") == 0 for stage in stages)


def test_reply_end_ends_the_other_direction() -> None:
    """After what was replied before; stages on the way finish; its own direction goes on."""
    last = type("Last", (Out,), {"finish": lambda self: finish_with(["last"])})()
    engine = running(last | In(lambda _, item: [Reply("bye"), Reply(END), item]))

    assert ["a", "b"] == received(engine, "a", "b")
    assert ["bye", "last"] == written(engine)
    assert engine.outbound_ended
    assert 1 == engine.dropped_replies


def test_reply_end_of_an_outbound_stage_ends_inbound() -> None:
    """What the client was answered before comes first."""
    engine = running(Out(lambda _, item: [Reply("answer"), Reply(END), item]))

    assert ["q"] == sent(engine, "q")
    assert ["answer", END] == taken(engine)
    assert [END] == received(engine, "more")


def test_send_eof_finishes_client_side_first() -> None:
    """What the stages still held comes out on the way; inbound stays open (P7)."""
    first = type("First", (Out,), {"finish": lambda self: finish_with(["first"])})()
    second = type("Second", (Out,), {"finish": lambda self: finish_with(["second"])})()
    engine = running(second | first)
    taken(engine)
    engine.send_eof()

    assert ["first", "second"] == written(engine)
    assert ["first"] == second.seen
    assert engine.outbound_ended
    assert engine.eof_sent
    with pytest.raises(PipelineError, match="outbound has ended"):
        engine.send_eof()
    engine.end_outbound()
    assert ["in"] == received(engine, "in")


def test_feed_eof_finishes_wire_side_first() -> None:
    """Then END, for ever (P6); nothing can be fed after it, and saying it twice does nothing."""
    first = type("First", (In,), {"finish": lambda self: finish_with(["first"])})()
    second = type("Second", (In,), {"finish": lambda self: finish_with(["second"])})()
    engine = running(first | second)
    engine.feed("a")
    engine.feed_eof()
    engine.feed_eof()

    assert not engine.wants_input
    assert ["a", "first", "second", END] == taken(engine)
    assert [END] == taken(engine)
    with pytest.raises(PipelineError, match=r"nothing can be fed after feed_eof\(\): the wire has ended"):
        engine.feed("b")


def test_an_empty_chain_passes_all_both_ways() -> None:
    """A Passthrough with no halves is a chain, too."""
    engine = running(Passthrough())
    assert [1] == received(engine, 1)
    assert [2] == sent(engine, 2)
    engine.feed_eof()
    engine.send_eof()
    assert [END] == taken(engine)
    assert [] == written(engine)
    assert engine.outbound_ended


def test_a_send_that_an_end_cuts_off_is_an_error() -> None:
    """It waited above the stage which ended outbound, so it will never go out, and its sender is told."""
    engine = running(In(lambda _, item: [Reply("bye"), Reply(END)]) | Out())
    engine.send("lost")
    received(engine, "x")

    with pytest.raises(PipelineError, match="outbound has ended before the item that was sent was through"):
        engine.to_write()
    assert ["bye"] == written(engine)
    assert engine.outbound_ended
    assert engine.outbound_error is None
    assert not engine.sending


def test_a_torn_send_that_an_end_cuts_off_breaks_outbound() -> None:
    """A part of it is written, so the end must not look like a clean one."""
    engine = running(
        In(lambda _, item: [Reply(END)]) | Out(lambda _, item: iter([bytes(70_000), b"rest"])), byte_wire=True
    )
    engine.send("x")
    assert 70_000 == len(engine.to_write()[0])
    received(engine, b"x")

    with pytest.raises(PipelineError, match="outbound has ended before") as info:
        engine.to_write()
    assert engine.outbound_error is info.value


def test_a_send_behind_an_end_on_its_way_is_refused() -> None:
    """Also while a gate further down holds the end up; send_eof() is then done already."""
    engine = running(Handshake() | Out(lambda _, item: [END] if item == "end" else [item]) | Out())
    engine.send("end")
    written(engine)
    assert not engine.outbound_ended

    with pytest.raises(PipelineError, match="outbound has ended"):
        engine.send("late")
    engine.send_eof()
    received(engine, "go")
    assert [] == written(engine)
    assert engine.outbound_ended


def test_the_end_of_a_stage_takes_what_waits_in_it_along() -> None:
    """A call that waits below the place where END was said is given up, and never made again."""

    class Slow(Outbound[Any, Any]):
        calls = 0

        async def process(self, item: Any, /) -> list[Any]:
            self.calls += 1
            await pause()
            return [item]

    slow = Slow()
    engine = running(In(lambda _, item: [Reply(END)]) | slow)
    engine.send("x")
    assert isinstance(engine.to_write(), Waiting)
    received(engine, "end")

    with pytest.raises(PipelineError, match="outbound has ended before"):
        engine.to_write()
    assert [] == written(engine)
    assert 1 == slow.calls
    assert not engine.sending
