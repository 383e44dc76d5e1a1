"""How a chain begins and is fed, pauses, is polled and breaks, and whose fault that was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pipeline import (
    END,
    NEED_INPUT,
    CorruptFrameError,
    Duplex,
    Engine,
    Inbound,
    Outbound,
    PipelineError,
    Reply,
    StageTimeoutError,
)
from tests.pipeline.engines import (
    Boom,
    In,
    Out,
    Pauses,
    Polls,
    Traced,
    Waits,
    received,
    running,
    sent,
    taken,
    written,
)

# ---- S7: starting


class Starts(Duplex[Any, Any, Any, Any]):
    """Two halves that note their start and give items and replies."""

    def __init__(self, name: str, log: list[str]) -> None:
        class Half:
            async def start(self) -> list[Any]:
                log.append(f"{name}.{self.side}")  # type: ignore[attr-defined]
                return [Reply(f"{name} replies"), f"{name} gives", Reply(f"{name} replies later")]

        class HalfIn(Half, In):
            side = "in"

        class HalfOut(Half, Out):
            side = "out"

        self.inbound, self.outbound = HalfIn(), HalfOut()


def test_start_runs_wire_side_first_and_once() -> None:
    """All of them before any item moves; replies at the beginning of what they gave go first."""
    log: list[str] = []
    a, b = Starts("a", log), Starts("b", log)
    engine = running(a | b)
    engine.feed("fed")
    engine.send("sent")
    assert [] == engine.to_write()

    first = engine.next_item()

    assert ["a.in", "a.out", "b.in", "b.out"] == log
    assert [] == [*a.outbound.seen, *b.outbound.seen]  # type: ignore[attr-defined]
    items = [item for item in [first, *taken(engine)] if "later" not in item]
    assert ["b replies", "b gives", "a replies", "a gives", "fed"] == items
    out = written(engine)
    assert "a replies" == out[0]
    assert "b replies" in out
    assert "sent" == out[-1]


def test_starting_twice_is_refused() -> None:
    """And so is going on without having started."""
    engine: Engine[Any, Any] = Engine(In())
    with pytest.raises(PipelineError, match=r"^call start\(\) first$"):
        engine.next_item()
    engine.start()
    with pytest.raises(PipelineError, match=r"^start\(\) was called already$"):
        engine.start()


def test_nothing_is_sent_before_the_stages_have_started() -> None:
    """What is sent too early waits."""
    engine: Engine[Any, Any] = Engine(Out() | Waits(0))
    engine.send("early")
    assert [] == engine.to_write()
    engine.start()
    assert [] == engine.to_write()

    taken(engine)

    assert ["early"] == engine.to_write()


def test_a_start_that_fails_is_not_called_again() -> None:
    """Stages that did not start can process nothing, so both directions are broken."""
    stage = Boom("start", ValueError("no"))
    calls: list[int] = []

    class Later(In):
        async def start(self) -> Any:
            calls.append(1)

    engine = running(stage | Later())
    with pytest.raises(ValueError, match="no"):
        engine.next_item()

    with pytest.raises(PipelineError, match="inbound is broken"):
        engine.next_item()
    with pytest.raises(PipelineError, match="outbound is broken"):
        engine.send(1)
    assert [] == calls


def test_a_start_that_replies_and_then_fails() -> None:
    """As with any result: the alert goes out."""

    class Fails(In):
        async def start(self) -> Any:
            def results() -> Iterator[Any]:
                yield Reply("alert")
                raise ValueError("handshake")

            return results()

    engine = running(Fails())
    with pytest.raises(ValueError, match="handshake"):
        engine.next_item()

    assert ["alert"] == written(engine)


def test_start_may_end_a_direction() -> None:
    """END among its results works as in any other."""

    class Over(In):
        async def start(self) -> Any:
            return [Reply("bye"), Reply(END), END]

    engine = running(Over())

    assert [END] == taken(engine)
    assert ["bye"] == written(engine)
    assert engine.outbound_ended


# ---- S13: pause and poll


def test_a_stage_that_wants_no_input_is_not_fed() -> None:
    """What comes waits before it, and nothing below it is read or fed either."""
    below, stage = In(lambda _, item: [item, item]), Pauses()
    engine = running(below | stage | In())

    assert engine.wants_input
    assert [1] == received(engine, 1, 2)
    assert [1] == stage.seen
    assert [1] == below.seen
    assert not engine.wants_input
    stage.wants_input = True
    assert [1] == taken(engine)
    stage.wants_input = True
    assert [2] == taken(engine)


def test_nothing_is_read_for_a_stage_that_wants_no_input() -> None:
    """Also when nothing waits before it yet."""
    stage = Pauses()
    engine = running(In() | stage)
    stage.wants_input = False

    assert [] == taken(engine)
    assert not engine.wants_input


def test_a_pause_first_set_in_process_counts() -> None:
    """Though the class declares nothing."""

    class Natural(In):
        def process_sync(self, item: Any, /) -> Any:
            self.wants_input = False
            return [item]

    stage = Natural()
    engine = running(In() | stage)

    assert [1] == received(engine, 1, 2)
    assert not engine.wants_input
    stage.wants_input = True
    assert [2] == taken(engine)


def test_a_pausing_stage_that_has_ended_is_not_asked() -> None:
    """What wants no input any more holds nobody up."""
    stage = In(lambda stage, item: [item, END])
    engine = running(stage | Pauses())
    received(engine, 1)
    stage.wants_input = False

    assert not engine.wants_input


def test_poll_is_called_before_a_stage_is_fed_and_before_reading() -> None:
    """Each time, whatever happened meanwhile; and once more for as long as it gives something."""
    stage = Polls()
    engine = running(stage)
    engine.feed(1)
    engine.feed(2)

    assert [1, 2] == taken(engine)
    assert [] in stage.polls
    assert [1] in stage.polls
    assert [1, 2] == stage.polls[-1]
    stage.ready_made = ["a", Reply("b")]
    assert ["a"] == taken(engine)
    assert ["b"] == written(engine)


def test_poll_is_not_called_while_the_stage_says_that_it_has_nothing() -> None:
    """Neither before it is fed nor before reading, nor after its other half ran; as soon as it says so, it is."""

    class Says(Polls):
        has_more = False

    stage = Says()
    engine = running(stage)
    assert [1, 2] == received(engine, 1, 2)
    assert [] == stage.polls
    stage.ready_made = ["a"]
    assert [] == taken(engine)
    stage.has_more = True
    assert ["a"] == taken(engine)


def test_poll_is_no_busy_loop() -> None:
    """One call of next_item() polls a bounded number of times."""
    stage = Polls()
    engine = running(stage)
    taken(engine)
    before = len(stage.polls)

    for _ in range(10):
        assert NEED_INPUT is engine.next_item()

    assert len(stage.polls) - before <= 10


def test_poll_may_be_lazy() -> None:
    """It is asked again only when all it gave is used up."""

    class Lazy(In):
        given = 0

        def poll(self) -> Iterator[Any]:
            while self.given < 3:
                self.given += 1
                yield self.given

    stage = Lazy()
    engine = running(stage)

    assert 1 == engine.next_item()
    assert 1 == stage.given
    assert [2, 3] == taken(engine)


def test_what_poll_gave_lazily_is_closed() -> None:
    """As any other result."""
    lazy = Traced([1, 2])
    stage = type("Lazy", (In,), {"poll": lambda self: lazy})()
    engine = running(stage)
    assert 1 == engine.next_item()

    engine.close()

    assert lazy.closed


class Cycle(Duplex[Any, Any, Any, Any]):
    """As h11: after a request nothing is wanted until the answer is out; then the next request is there."""

    def __init__(self, out: Callable[[Any, Any], Any] | None = None) -> None:
        cycle = self
        self.requests: list[Any] = []
        self.busy = False

        class CycleIn(Inbound[Any, Any]):
            @property
            def wants_input(self) -> bool:
                return not cycle.busy

            def process_sync(self, item: Any, /) -> list[Any]:
                cycle.requests += item
                return []

            def poll(self) -> list[Any]:
                if cycle.busy or not cycle.requests:
                    return []
                cycle.busy = True
                return [cycle.requests.pop(0)]

        class CycleOut(Outbound[Any, Any]):
            def process_sync(self, item: Any, /) -> Any:
                if out is not None:
                    return out(cycle, item)
                cycle.busy = False
                return [item]

        self.inbound, self.outbound = CycleIn(), CycleOut()


def test_poll_is_called_after_the_other_half_ran() -> None:
    """And whoever waits for input is told."""
    news: list[str] = []
    cycle = Cycle()
    engine = running(cycle)
    engine.on_news = lambda: news.append("news")
    assert ["r1"] == received(engine, ["r1", "r2"])
    assert not engine.wants_input

    assert ["a1"] == sent(engine, "a1")

    assert news
    assert ["r2"] == taken(engine)


def test_the_other_half_ran_when_its_lazy_results_are_used_up() -> None:
    """A generator does its work while it is pulled, so news comes at its end."""
    news: list[bool] = []

    def answer(cycle: Cycle, item: Any) -> Iterator[Any]:
        yield item
        cycle.busy = False

    cycle = Cycle(answer)
    engine = running(cycle)
    engine.on_news = lambda: news.append(cycle.busy)
    assert ["r1"] == received(engine, ["r1", "r2"])

    assert ["a1"] == sent(engine, "a1")

    assert False is news[-1]
    assert ["r2"] == taken(engine)


def test_poll_of_a_stage_that_has_ended_is_not_called() -> None:
    """Though the other half goes on, and a stage further on still holds items."""
    stage = Polls(lambda stage, item: [item, item, END])
    pauses = Pauses()
    engine = running(Duplex(stage, Out()) | pauses)
    assert [1] == received(engine, 1)
    pauses.wants_input = True
    assert [1] == taken(engine)
    before = len(stage.polls)
    stage.ready_made = ["ghost"]
    pauses.wants_input = False

    assert ["x"] == sent(engine, "x")
    pauses.wants_input = True

    assert [END] == taken(engine)
    assert before == len(stage.polls)


def test_input_is_paused_while_a_stage_wants_none() -> None:
    pauses, asks = In(), Out()
    engine = Engine(pauses | asks)
    assert not asks.input_paused()
    pauses.wants_input = False
    assert asks.input_paused()
    assert not engine.wants_input
    engine.break_inbound(ValueError())
    assert not asks.input_paused(), "what is over pauses nothing"
    assert not engine.wants_input


# ---- what a driver asks


def test_a_driver_may_take_items_quickly() -> None:
    """Where nothing can have changed since it asked whether that will do; errors break inbound as ever."""
    engine = running(In(lambda _, item: (1 // number for number in (1, 1, 0))))
    engine.feed("x")
    assert engine.quicken()
    assert [1, 1] == [engine.advance_quickly(), engine.advance_quickly()]
    with pytest.raises(ZeroDivisionError):
        engine.advance_quickly()

    assert not engine.quicken()
    assert not running(Polls()).quicken()
    assert not running(Waits(0)).quicken()


def test_input_that_a_stage_has_begun_is_known() -> None:
    """A server that goes down must not cut it; the stage gets back what it gave."""

    class Pairs(In):
        held: list[Any]

        def __init__(self) -> None:
            super().__init__()
            self.held = []

        def process_sync(self, item: Any, /) -> list[Any]:
            self.held.append(item)
            if len(self.held) < 2:
                return []
            pair, self.held = tuple(self.held), []
            return [pair]

        def unread(self, outputs: Any, /) -> list[Any]:
            held, self.held = self.held, []
            return [*held, b""]

    engine = running(In() | Pairs())
    taken(engine)
    assert not engine.has_begun_input()
    received(engine, 1)
    assert engine.has_begun_input()
    assert engine.has_begun_input()

    assert [(1, 2)] == received(engine, 2)
    assert not engine.has_begun_input()


def test_news_of_inbound_is_known() -> None:
    """Whether something came in since there was nothing to do."""
    engine = running(In() | Out(lambda _, item: [Reply(item)]))
    taken(engine)
    assert not engine.has_inbound_news
    sent(engine, 1)

    assert engine.has_inbound_news


# ---- an end that the wire did not make


class Strict(Inbound[bytes, bytes]):
    """Takes only its peer's word for the end."""

    is_trust_boundary = True

    def process_sync(self, item: bytes, /) -> list[bytes]:
        return [item]

    async def finish(self) -> list[bytes]:
        raise AssertionError("nobody cut the wire")


class Told(Strict):
    """Its peer says where the end is; every second byte completes something."""

    is_trust_boundary = False
    end_is_told = True
    holds = 0

    def process_sync(self, item: bytes, /) -> list[bytes]:
        self.holds = (self.holds + len(item)) % 2
        return [item]


class LastWord(Inbound[bytes, bytes]):
    def process_sync(self, item: bytes, /) -> list[bytes]:
        return [item]

    async def finish(self) -> list[bytes]:
        return [b"last"]


@pytest.mark.parametrize("strict", [Strict, Told])
def test_an_end_that_the_wire_did_not_make_is_none_where_the_peer_tells_it(strict: type[Strict]) -> None:
    """The stages behind it finish; those before it did not end, and are not asked."""
    engine: Engine[Any, Any] = Engine(strict() | LastWord())
    engine.start()
    assert NEED_INPUT is engine.next_item()
    engine.end_input()
    assert not engine.wants_input
    assert [b"last", END, END] == [engine.next_item() for _ in range(3)]
    engine.end_input()
    engine.close()


def test_what_has_begun_where_the_peer_tells_the_end() -> None:
    engine: Engine[Any, Any] = Engine(Told())
    engine.start()
    begun = []
    for _ in range(2):
        engine.feed(b"x")
        assert [b"x", NEED_INPUT] == [engine.next_item() for _ in range(2)]
        begun.append(engine.has_begun_input())
    assert [True, False] == begun
    engine.close()


def test_an_end_that_the_wire_did_not_make_is_like_any_other_elsewhere() -> None:
    engine: Engine[Any, Any] = Engine(LastWord())
    engine.start()
    engine.end_input()
    assert [b"last", END] == [engine.next_item() for _ in range(2)]
    engine.close()


class Refuses(Inbound[bytes, bytes]):
    """Raises what it is fed."""

    peer_errors = (ZeroDivisionError,)

    def process_sync(self, error: Any, /) -> list[bytes]:
        raise error


class Resigns(Outbound[Any, bytes]):
    def process_sync(self, error: Any, /) -> list[bytes]:
        raise error


@pytest.mark.parametrize(
    ("error", "blamed"),
    [
        (ZeroDivisionError(), True),
        (CorruptFrameError("no frame"), True),
        (StageTimeoutError("late"), True),
        (ValueError(), False),
    ],
    ids=repr,
)
def test_a_stage_lays_some_of_its_errors_to_the_peer(error: Exception, *, blamed: bool) -> None:
    """Those of what is sent are never the peer's."""
    chain = In() | Refuses() | Resigns()
    engine: Engine[Any, Any] = Engine(chain)
    engine.start()
    with pytest.raises(type(error)):
        engine.send(error)
        engine.to_write()
    assert None is engine.at_fault()
    engine.feed(error)
    with pytest.raises(type(error)):
        engine.next_item()
    stage = engine.at_fault()
    assert blamed == (stage is not None)
    assert stage is None or isinstance(stage, Refuses)
    engine.close()


def test_an_error_of_the_transport_is_laid_to_nobody() -> None:
    engine: Engine[Any, Any] = Engine(Refuses())
    engine.start()
    engine.break_inbound(CorruptFrameError("of a pipeline below"))
    assert None is engine.at_fault()
    engine.close()


def test_the_last_streams_that_the_peer_gave_up_are_remembered() -> None:
    """Some, so that a peer that does nothing else takes no memory."""
    engine: Engine[Any, Any] = Engine(Refuses())
    assert () == engine.given_up
    errors = [ConnectionAbortedError() for _ in range(20)]
    for error in errors:
        engine.note_given_up(error)
    assert errors[4:] == list(engine.given_up)
    engine.close()
