"""`Engine`: a whole chain, with gates, timers and what stages ask of it, up to its closing."""

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
    Cancelled,
    FreeOut,
    Handshake,
    In,
    Out,
    Pauses,
    Polls,
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


# ---- S7: gates


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
