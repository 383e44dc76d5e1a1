"""`Engine`: the life of a chain, from starting to closing, with gates, pauses and timers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
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
    Passthrough,
    PipelineError,
    Reply,
    StageInUseError,
    StageTimeoutError,
    Waiting,
)
from tests.pipeline.engines import (
    Boom,
    Cancelled,
    FreeOut,
    Handshake,
    In,
    Out,
    Pauses,
    Polls,
    Traced,
    Waits,
    Window,
    cancelled,
    finished,
    note_of,
    pause,
    received,
    running,
    sent,
    taken,
    written,
)

ROOT = Path(__file__).parent.parent.parent


# ---- S7: starting and gates


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


def test_a_send_waits_above_a_stage_that_is_not_ready() -> None:
    """With nothing of it below, though the stage has no outbound half; what is below passes."""
    below, above = Out(), Out()
    engine = running(below | Handshake() | above)
    engine.send("x")

    assert not engine.ready
    assert [] == written(engine)
    assert engine.sending
    assert engine.send_is_held_back
    assert ["x"] == above.seen
    assert [] == received(engine, "ping")
    assert ["pong"] == written(engine)
    assert ["pong"] == below.seen

    assert [] == received(engine, "go")
    assert engine.ready
    assert ["x"] == written(engine)
    assert not engine.sending


def test_the_end_waits_at_a_gate_too() -> None:
    """Behind what was sent before."""
    engine = running(Handshake())
    engine.send("x")
    engine.send_eof()
    assert [] == written(engine)
    assert not engine.outbound_ended

    received(engine, "go")

    assert ["x"] == written(engine)
    assert engine.outbound_ended


def test_a_send_window() -> None:
    """An item that became more than the window allows goes out in parts, as credit comes; replies pass."""
    engine = running(Window(1) | Out(lambda _, item: [1, 2, 3]))
    engine.send("x")
    assert [1] == written(engine)
    received(engine, "ping")
    assert ["pong"] == written(engine)
    received(engine, 1)
    assert [2] == written(engine)
    assert engine.sending
    received(engine, 5)
    assert [3] == written(engine)
    assert not engine.sending


@pytest.mark.parametrize("end_waits", [True, False])
def test_a_stage_may_let_the_end_pass_where_items_wait(end_waits: bool) -> None:
    class Closed(Out):
        ready = False

    out, pauses = Closed(), In()
    pauses.wants_input = False
    out.end_waits = pauses.end_waits = end_waits
    engine = running(pauses | out)
    engine.send_eof()
    assert [] == written(engine)
    assert engine.outbound_ended is not end_waits
    engine.feed_eof()
    assert ([] if end_waits else [END]) == taken(engine)


def test_no_item_is_overtaken_by_the_end() -> None:
    pauses = In()
    pauses.wants_input = pauses.end_waits = False
    engine = running(pauses)
    engine.feed("item")
    engine.feed_eof()
    assert NEED_INPUT is engine.next_item()
    pauses.wants_input = True
    assert ["item", END] == taken(engine)


def test_a_gate_lets_replies_pass_while_another_task_holds_the_send() -> None:
    """A receive that writes only replies must not wait for the send's own task (P14)."""
    engine = running(Window(1) | Out(lambda _, item: [1, 2, 3]))
    engine.send("x")
    assert [1] == written(engine)
    received(engine, "ping")

    engine.work_out(never_wait=True, replies_only=True)

    assert ["pong"] == engine.peek()


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


# ---- S12: timers


class Clock:
    """A clock in the test's hands."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Timed(In):
    """Its deadline is moved by input; its timer does what the test says."""

    deadline: float | None

    def __init__(self, deadline: float | None, on_timer: Callable[[Any, float], Any], *args: Any) -> None:
        super().__init__(*args)
        self.deadline, self.timer = deadline, on_timer

    def process_sync(self, item: Any, /) -> Any:
        if self.deadline is not None:
            self.deadline = self.now() + 10
        return super().process_sync(item)

    async def on_timer(self, now: float, /) -> Any:
        return self.timer(self, now)


def beat(stage: Timed, now: float) -> list[Any]:
    stage.deadline = now + 10
    return [Reply(f"beat {now:g}"), f"tick {now:g}"]


def once(stage: Timed, now: float) -> list[Any]:
    stage.deadline = None
    return [Reply(f"beat {now:g}")]


def beat_only(stage: Timed, now: float) -> list[Any]:
    stage.deadline = now + 10
    return [Reply(f"beat {now:g}")]


def test_a_timer_runs_when_its_deadline_is_over() -> None:
    """Tick tells the time; items and replies come with the next calls."""
    clock = Clock()
    engine = running(Timed(10.0, beat) | Timed(None, beat) | Timed(15.0, once) | In(), clock=clock)
    assert engine.timed
    assert 10.0 == engine.deadline
    engine.tick()
    assert [] == taken(engine)
    clock.now = 16.0
    engine.tick()

    assert ["tick 16"] == taken(engine)
    assert ["beat 16", "beat 16"] == written(engine)
    # What passed moved the deadlines of the stages behind.
    assert 26.0 == engine.deadline


def test_a_chain_without_timers_has_no_deadline() -> None:
    """A `deadline` without `on_timer` is none."""
    stage = In()
    stage.deadline = 5.0
    engine = running(stage)

    assert engine.deadline is None
    assert not engine.timed
    engine.tick(100.0)
    assert [] == taken(engine)


def test_tick_takes_its_own_time() -> None:
    """What it is told counts, not what the engine's clock says."""
    engine = running(Timed(5.0, once), clock=lambda: 0.0)
    engine.tick(7.0)

    assert [] == taken(engine)
    assert ["beat 7"] == written(engine)


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


def test_marks_are_shown_by_name() -> None:
    """In a debugger, or a log."""
    assert "NEED_INPUT" == repr(NEED_INPUT)


def test_stages_read_the_engines_clock() -> None:
    """With `self.now()`."""
    clock = Clock()
    clock.now = 42.0

    assert [42.0] == received(running(In(lambda stage, item: [stage.now()]), clock=clock), 1)


def test_input_that_is_there_moves_a_deadline_before_it_is_judged() -> None:
    """A slow client is no idle peer."""

    def idle(stage: Timed, now: float) -> Any:
        raise StageTimeoutError("idle")

    clock = Clock()
    engine = running(In() | Timed(10.0, idle), clock=clock)
    clock.now = 11.0
    engine.feed(1)
    engine.tick()
    stage = engine._inbound.slots[1].stage
    stage.deadline = 20.0

    assert [1] == taken(engine)
    assert 21.0 == engine.deadline


def test_a_timer_whose_deadline_was_taken_away_does_not_run() -> None:
    """It was due, and is not any more."""
    stage = Timed(10.0, beat)
    engine = running(stage, clock=lambda: 11.0)
    engine.tick()
    stage.deadline = None

    assert [] == taken(engine)


@pytest.mark.parametrize("lazily", [False, True])
def test_a_deadline_left_in_the_past_is_an_error(lazily: bool) -> None:
    """It would be called for ever; the message says what to do. What it gave comes first."""

    def stuck(stage: Timed, now: float) -> Any:
        return iter(["late"]) if lazily else ["late"]

    engine = running(Timed(10.0, stuck), clock=lambda: 10.0)
    engine.tick()
    assert "late" == engine.next_item()
    with pytest.raises(PipelineError) as info:
        engine.next_item()

    assert (
        "Timed.on_timer() left the deadline in the past (10.0 at 10.0): set self.deadline to a later time, or to None"
        == str(info.value)
    )
    assert note_of(info.value).endswith("on_timer()")


def test_a_deadline_is_judged_when_a_lazy_timer_is_through() -> None:
    """A generator may move it at its end; until then it is not told to the driver."""

    def lazy(stage: Timed, now: float) -> Iterator[Any]:
        yield "one"
        stage.deadline = 99.0

    engine = running(Timed(10.0, lazy), clock=lambda: 10.0)
    engine.tick()
    assert "one" == engine.next_item()
    assert engine.deadline is None
    engine.tick()

    assert [] == taken(engine)
    assert 99.0 == engine.deadline


@pytest.mark.parametrize("lazily", [False, True])
def test_timers_below_a_pausing_stage_still_run(lazily: bool) -> None:
    """Also while results of the timed stage wait: its replies wait for nobody."""
    pauses = Pauses()
    stage = Timed(10.0, beat_only, (lambda _, item: iter([item, item])) if lazily else (lambda _, item: [item, item]))
    clock = Clock()
    engine = running(stage | pauses, clock=clock)
    assert [1] == received(engine, 1)
    for clock.now in (20.0, 30.0):
        engine.tick()
        assert [] == taken(engine)
        assert [f"beat {clock.now:g}"] == written(engine)

    pauses.wants_input = True
    assert [1] == taken(engine)


@pytest.mark.parametrize("lazily", [False, True])
def test_items_of_a_timer_below_a_pausing_stage_overtake_nothing(lazily: bool) -> None:
    """They wait behind those that wait already; until they are taken the timer does not run again."""
    pauses = Pauses()
    stage = Timed(10.0, beat, (lambda _, item: iter([1, 2, 3])) if lazily else (lambda _, item: [1, 2, 3]))
    clock = Clock()
    engine = running(stage | pauses, clock=clock)
    assert [1] == received(engine, "x")
    for clock.now in (20.0, 30.0):
        engine.tick()
        assert [] == taken(engine)
    assert engine.deadline is None
    assert ["beat 20"] == written(engine)

    out = []
    for _ in range(4):
        pauses.wants_input = True
        out += taken(engine)
    assert [2, 3, "tick 20"] == out
    assert 30.0 == engine.deadline


def test_a_timer_two_stages_below_a_pausing_one_loses_nothing() -> None:
    """Untaken results of a stage in between stay where they are."""
    pauses = Pauses()
    clock = Clock()
    between = In(lambda _, item: [f"{item}.1", f"{item}.2", f"{item}.3"])
    engine = running(Timed(10.0, beat) | between | pauses, clock=clock)
    assert ["a.1"] == received(engine, "a")
    clock.now = 20.0
    engine.tick()
    assert [] == taken(engine)
    assert ["beat 20"] == written(engine)

    out = []
    for _ in range(5):
        pauses.wants_input = True
        out += taken(engine)
    assert ["a.2", "a.3", "tick 20.1", "tick 20.2", "tick 20.3"] == out


def test_a_due_timer_over_waiting_results_that_is_not_late_changes_nothing() -> None:
    """Its deadline was moved meanwhile; the results that waited go on."""
    pauses = Pauses()
    stage = Timed(10.0, beat, lambda _, item: [item, item])
    clock = Clock()
    engine = running(stage | pauses, clock=clock)
    assert [1] == received(engine, 1)
    clock.now = 20.0
    engine.tick()
    stage.deadline = 30.0
    assert [] == taken(engine)

    pauses.wants_input = True
    assert [1] == taken(engine)


def test_a_timer_below_a_pausing_stage_may_fail_or_leave_its_deadline() -> None:
    """Both are errors there as anywhere."""

    def idle(stage: Timed, now: float) -> Any:
        raise StageTimeoutError("idle")

    for timer, error in ((idle, StageTimeoutError), (lambda stage, now: ["x"], PipelineError)):
        clock = Clock()
        engine = running(Timed(10.0, timer, lambda _, item: [item, item]) | Pauses(), clock=clock)
        assert [1] == received(engine, 1)
        clock.now = 20.0
        engine.tick()
        with pytest.raises(error):
            engine.next_item()


def test_a_waiting_timer_below_a_pausing_stage_may_be_cancelled() -> None:
    """It is called again, and what waited there is not lost."""

    class SlowTimer(Timed):
        async def on_timer(self, now: float, /) -> Any:
            await pause()
            return self.timer(self, now)

    pauses = Pauses()
    clock = Clock()
    engine = running(SlowTimer(10.0, beat, lambda _, item: [item, item]) | pauses, clock=clock)
    assert [1] == received(engine, 1)
    clock.now = 20.0
    engine.tick()
    cancelled(engine.next_item())
    finished(engine.next_item())
    assert [] == taken(engine)
    assert ["beat 20"] == written(engine)

    out = []
    for _ in range(2):
        pauses.wants_input = True
        out += taken(engine)
    assert [1, "tick 20"] == out


def test_a_waiting_timer_is_not_due_again() -> None:
    """While it runs its deadline is nobody's matter."""

    class SlowTimer(Timed):
        async def on_timer(self, now: float, /) -> Any:
            await pause()
            return self.timer(self, now)

    engine = running(SlowTimer(10.0, beat), clock=lambda: 20.0)
    engine.tick()
    waiting = engine.next_item()

    assert engine.deadline is None
    engine.tick()
    finished(waiting)
    assert ["tick 20"] == taken(engine)


def test_a_timers_item_waits_below_a_pausing_stage() -> None:
    """However often somebody asks for it."""
    clock = Clock()
    pauses = Pauses()
    pauses.wants_input = False
    engine = running(Timed(10.0, beat) | Out(lambda _, item: [Reply(item)]) | pauses, clock=clock)
    assert [] == sent(engine, "answer")
    clock.now = 20.0
    engine.tick()
    for _ in range(3):
        assert [] == taken(engine)
    assert ["beat 20"] == written(engine)

    pauses.wants_input = True
    assert ["answer"] == taken(engine)
    pauses.wants_input = True
    assert ["tick 20"] == taken(engine)


def test_timers_run_while_the_place_for_replies_is_full() -> None:
    """An idle timeout comes though the peer reads nothing; replies beyond the bound wait."""
    clock = Clock()
    engine = running(
        Timed(10.0, beat) | In(lambda _, item: [Reply(bytes(100))] if item == 1 else []),
        clock=clock,
        max_reply_bytes=100,
    )
    assert [] == received(engine, 1)
    assert engine.replies_full
    clock.now = 20.0
    engine.tick()
    assert NEED_INPUT is engine.next_item()
    assert engine.deadline is None

    assert [bytes(100)] == written(engine)
    taken(engine)
    assert ["beat 20"] == written(engine)


def test_a_timeout_comes_while_the_place_for_replies_is_full() -> None:
    """The one thing that can end a connection to a peer that never reads."""

    def idle(stage: Timed, now: float) -> Any:
        raise StageTimeoutError("idle")

    engine = running(Timed(10.0, idle, lambda _, item: [Reply(bytes(100))]), clock=lambda: 5.0, max_reply_bytes=100)
    received(engine, 1)
    engine.tick(99.0)

    with pytest.raises(StageTimeoutError):
        engine.next_item()


def test_an_outbound_timer_runs_in_to_write() -> None:
    """Also while the client takes nothing, and above a gate."""

    class Beats(Out):
        deadline: float | None = 10.0

        async def on_timer(self, now: float, /) -> list[Any]:
            self.deadline = now + 10
            return ["beat"]

    clock = Clock()
    engine = running(Beats() | Handshake() | Out(lambda _, item: [Reply(item)]), clock=clock, max_reply_bytes=100)
    taken(engine)
    sent(engine, bytes(100))
    assert engine.send_is_held_back
    clock.now = 10.0
    engine.tick()
    assert engine.owes_replies
    written(engine)
    taken(engine)

    assert ["beat"] == written(engine)


def test_the_timer_of_a_stage_that_has_ended_does_not_run() -> None:
    """Its deadline is no deadline any more; in a broken direction either."""
    clock = Clock()
    engine = running(Timed(10.0, beat, lambda _, item: [item, item, END]) | Pauses(), clock=clock)
    assert [1] == received(engine, 1)
    engine._inbound.slots[1].stage.wants_input = True
    assert [1] == taken(engine)
    assert engine._inbound.slots[1].stage.wants_input is False
    engine._inbound.slots[1].stage.wants_input = True
    assert [END] == taken(engine)
    assert engine.deadline is None
    clock.now = 99.0
    engine.tick()
    assert [END] == taken(engine)

    broken = running(Timed(10.0, beat), clock=clock)
    broken.break_inbound(ValueError())
    assert broken.deadline is None


def test_an_error_of_a_timer_is_no_error_of_the_send() -> None:
    """What fails outside a send breaks outbound; a heartbeat is not part of what is being sent."""

    class Slow(Outbound[Any, Any]):
        async def process(self, item: Any, /) -> list[Any]:
            await pause()
            return [item]

    class BeatsOut(FreeOut):
        deadline: float | None = 10.0

        async def on_timer(self, now: float, /) -> list[Any]:
            raise ValueError("timer")

    engine = running(Slow() | BeatsOut(), clock=lambda: 20.0)
    taken(engine)
    engine.send("x")
    waiting = engine.to_write()
    cancelled(waiting)
    engine.tick()
    finished(engine.to_write())

    with pytest.raises(ValueError, match="timer") as info:
        while True:
            engine.to_write()
    assert engine.outbound_error is info.value


# ---- what a stage may ask of the chain


class Holds(In):
    """Holds so many items, or does not say."""

    def __init__(self, holds: int | None) -> None:
        super().__init__()
        self.holds = holds


def test_held_below_counts_the_inbound_stages_on_the_wires_side() -> None:
    both = Duplex(Holds(16), Out())
    nested = Duplex(Holds(64) | Holds(128), Out())
    first, asks, last = Holds(1), Holds(2), Out()
    Engine(first | Holds(None) | both | asks | nested | last)
    assert first.held_below() is None
    assert 17 == asks.held_below()
    assert 1 == both.outbound.held_below(), "its other half is at the same place"
    assert 1 + 16 + 2 + 64 == nested.inbound.parts[1].held_below()  # type: ignore[attr-defined]
    assert 1 + 16 + 2 + 64 + 128 == last.held_below()
    first.holds = 0
    assert 18 == nested.outbound.held_below()


def test_held_below_tells_whether_any_stage_says_what_it_holds() -> None:
    """A shareable one always holds nothing, so from it nobody learns anything."""

    class Shared(In):
        shareable = True
        holds = 0

    unsure, sure = In(), In()
    Engine(Shared() | Holds(None) | unsure | Holds(0) | sure)
    assert unsure.held_below() is None
    assert 0 == sure.held_below()


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


def test_outside_a_pipeline_a_stage_asks_nobody() -> None:
    assert In().held_below() is None
    assert not In().input_paused()
    assert In().holds is None


# ---- S8: belonging and closing


def test_a_stage_belongs_to_one_engine() -> None:
    """A second use is refused with a chain factory; nothing is claimed by an engine that could not be made."""
    stage = In()
    with pytest.raises(ValueError):
        Engine(stage, max_reply_bytes=0)
    Engine(stage)

    with pytest.raises(StageInUseError) as info:
        Engine(In() | Out() | Passthrough(stage))
    assert (
        "stage 3 of 3, Passthrough(In()), served another pipeline already. A stage object belongs to one pipeline. "
        "Make a new chain for each: def make_chain(): return ... | Passthrough(In())" == str(info.value)
    )


def test_shareable_stages_serve_many_engines() -> None:
    """Nothing of a pipeline's life is told to them."""

    class Shared(In):
        shareable = True
        deadline = 0.0

        async def start(self) -> Any:
            raise AssertionError

        finish = start

        def poll(self) -> Any:
            raise AssertionError

        def close(self) -> None:
            raise AssertionError

        async def on_timer(self, now: float, /) -> Any:
            raise AssertionError

    shared = Shared()
    for _ in range(2):
        engine = running(shared | shared)
        assert [1] == received(engine, 1)
        engine.tick()
        engine.feed_eof()
        assert [END] == taken(engine)
        engine.close()


def test_frozen_stages_are_stages() -> None:
    """A frozen dataclass can be one: the library's own marks are no fields of it."""

    @dataclass(frozen=True)
    class Add(Inbound[int, int]):
        number: int = 1

        def process_sync(self, item: int, /) -> list[int]:
            return [item + self.number]

    add = Add(5)
    assert [6] == received(running(add), 1)
    with pytest.raises(StageInUseError):
        Engine(add)


def test_close_closes_every_stage_once_wire_side_first() -> None:
    """Started or not; what fails is raised with the rest as notes, after all were closed."""
    log: list[str] = []

    class Closes(In):
        def close(self) -> None:
            log.append(self.name)
            if self.name in "bd":
                raise ValueError(self.name)

    engine: Engine[Any, Any] = Engine(Closes(name="a") | Closes(name="b") | Closes(name="c") | Closes(name="d"))
    with pytest.raises(ValueError, match="b") as info:
        engine.close()
    engine.close()

    assert list("abcd") == log
    assert engine.closed
    own, then = info.value.__notes__
    assert own.startswith("in inbound stage b (stage 2 of 4 of ")
    assert own.endswith("close()")
    assert "and then ValueError('d')" == then


def test_close_goes_on_after_an_interrupt() -> None:
    """Every stage is closed; what wants to stop the program comes first."""
    closed: list[str] = []

    class Closes(In):
        def close(self) -> None:
            closed.append(self.name)
            raise KeyboardInterrupt if self.name == "b" else ValueError

    engine = running(Closes(name="a") | Closes(name="b") | Closes(name="c"))
    with pytest.raises(KeyboardInterrupt):
        engine.close()

    assert ["a", "b", "c"] == closed


def test_a_closed_engine_takes_nothing() -> None:
    """And no stage of it is called again."""
    stage = Polls()
    engine = running(Duplex(stage, Out()))
    engine.feed(1)
    engine.close()

    assert NEED_INPUT is engine.next_item()
    assert [] == stage.polls
    for use in (lambda: engine.feed(1), lambda: engine.send(1), engine.send_eof):
        with pytest.raises(
            PipelineError, match="the engine is closed; a chain runs once: make a new one for each connection"
        ):
            use()
    assert [] == engine.to_write()
    assert not engine.wants_input


def test_closing_gives_up_a_call_that_waits() -> None:
    """A coroutine nobody waits in is closed; one in which a task waits goes on to its own end there."""
    ended: list[str] = []

    class Slow(Inbound[Any, Any]):
        async def process(self, item: Any, /) -> list[Any]:
            try:
                await pause()
                ended.append("awaited")
            except GeneratorExit:
                ended.append("closed")
                raise
            return [item]

    for entered in (False, True):
        engine = running(Slow())
        engine.feed(1)
        waiting = engine.next_item()
        assert isinstance(waiting, Waiting)
        steps = waiting.__await__()
        if entered:
            next(steps)
        engine.close()
        with pytest.raises(StopIteration):
            next(steps)
        assert NEED_INPUT is engine.next_item()

    assert ["closed", "awaited"] == ended


def test_a_given_up_call_may_wait_on_and_be_cancelled() -> None:
    """Nothing comes of it any more, but its own code runs as written."""

    class Slow(Inbound[Any, Any]):
        async def process(self, item: Any, /) -> list[Any]:
            await pause(1)
            await pause(2)
            return [item]

    engine = running(Slow())
    engine.feed(1)
    waiting = engine.next_item()
    assert isinstance(waiting, Waiting)
    steps = waiting.__await__()
    assert 1 == next(steps)
    waiting.abandon()

    assert 2 == next(steps)
    with pytest.raises(Cancelled):
        steps.throw(Cancelled())
    assert isinstance(engine.next_item(), Waiting)
    engine.close()


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


def test_chains_run_without_trio() -> None:
    """Nor does any event loop get loaded (C5)."""
    program = (
        "import sys\n"
        "from pipeline import *\n"
        "from pipeline import Engine, inbound, NEED_INPUT\n"
        "engine = Engine(inbound(lambda item: [item + 1]))\n"
        "engine.start()\n"
        "engine.feed(1)\n"
        "assert 2 == engine.next_item()\n"
        "print(sorted({'trio', 'asyncio', 'socket'} & set(sys.modules)))\n"
    ).replace("from pipeline import *\n", "")
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)

    assert "[]" == done.stdout.strip()


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
