"""To ask a running pipeline what it is at: `pipeline_stats`.

Rules for this file: it reads, and changes nothing but that the first call begins to count (see `_counting`);
a pipeline that nobody asked about has no trace of it. What it relies on in the driver is that `reading` is True
while a task waits for input of the transport, and that `writes` grows when a write begins, with `writing` True.
"""

from __future__ import annotations

from dataclasses import replace
from operator import length_hint
from typing import Any, Final, cast

from ._core import Engine
from ._counting import CountedSlot, Counting, Taken
from ._driver import Driver
from ._pipeline import Pipeline
from ._results import Noted, Results
from ._slot import Slot
from ._stage import END
from ._stats import NOT_READY, OVER, PAUSED, PipelineStats, StageStats, WaitsFor
from ._writing import Writing

__all__ = ["pipeline_stats"]


def pipeline_stats(pipeline: Pipeline[Any, Any] | Engine[Any, Any]) -> PipelineStats:
    """Return what each stage of a running pipeline has done, holds and waits for, and since when.

    print(pipeline_stats(pipeline))        ─►  a table, and below it
                                               inbound: stage 2, Lookup, has been at work in process() for 12.0 s

    It takes no lock, and no time of the pipeline's tasks: call it from any of them, or from another one.
    The first call begins to count; the numbers of items and the times are from then on, so one who
    asks once, of a pipeline that has stalled, learns what waits for what, and who asks twice since when.
    Before it, a pipeline pays nothing; from then on about a microsecond for each item and stage.

    Args:
        pipeline: a `Pipeline`, entered or not, or an `Engine`, of which all is known but the transport's and the
            client's end.

    Raises:
        TypeError: it is neither.
    """
    if not isinstance(pipeline, Pipeline | Engine):
        raise TypeError(f"pipeline_stats({pipeline!r}): must be a Pipeline or an Engine, that runs a chain")
    if isinstance(pipeline, Engine):
        counting = pipeline.counting or _begin(pipeline)
        return _stats(pipeline, counting)
    counting = pipeline._engine.counting or _begin(pipeline._engine)
    if not isinstance(pipeline._driver, CountedDriver):
        _begin_at(pipeline._driver, counting)
    found = _stats(pipeline._engine, counting)
    return replace(found, parked=found.parked + len(pipeline._driver.parked), **_ends_of(pipeline, counting.clock()))


# ---- counting


_READING: Final[Any] = vars(Writing)["reading"]
_WRITES: Final[Any] = vars(Writing)["writes"]


class CountedDriver(Driver):
    """A driver that notes when a task began to wait for the transport; none is made, a driver becomes one."""

    __slots__ = ()  # so that it looks like a driver in memory; what follows is in the `__dict__` that each has room for

    clock: Any
    read_began: float
    write_began: float

    @property
    def reading(self) -> bool:
        """Somebody waits for the transport."""
        return bool(_READING.__get__(self))

    @reading.setter
    def reading(self, reading: bool) -> None:
        _READING.__set__(self, reading)
        self.read_began = self.clock()

    @property
    def writes(self) -> int:
        """How often something was written."""
        return int(_WRITES.__get__(self))

    @writes.setter
    def writes(self, writes: int) -> None:
        _WRITES.__set__(self, writes)
        self.write_began = self.clock()


def _begin(engine: Engine[Any, Any]) -> Counting:
    """Count from now on."""
    counting = engine.counting = Counting(engine._clock)
    counting.count(_in_order(engine))
    return counting


def _begin_at(driver: Driver, counting: Counting) -> None:
    """The same in a driver."""
    driver.__class__ = CountedDriver
    counted = cast("CountedDriver", driver)
    counted.clock = counting.clock
    counted.read_began = counted.write_began = counting.clock()
    driver.chain_changed()  # it has kept what the slots call


# ---- reading


def _in_order(engine: Engine[Any, Any]) -> list[Slot]:
    return [*engine._inbound.slots, *engine._outbound.slots]


def _stats(engine: Engine[Any, Any], counting: Counting) -> PipelineStats:
    now = counting.clock()
    return PipelineStats(
        counted_for=now - counting.since,
        stages=tuple(_stage_stats(slot, engine, now, counting.since) for slot in _in_order(engine)),
        transport=None,
        reading=None,
        writing=None,
        to_write=engine.to_write_bytes,
        reply_bytes=engine._outbound.owed,
        receiving=False,
        sending=int(engine.sending),
        parked=sum(item is not END for item, *_ in engine._inbound.arrived),
    )


def _ends_of(pipeline: Pipeline[Any, Any], now: float) -> dict[str, Any]:
    """What of the stats only a pipeline knows."""
    driver = cast("CountedDriver", pipeline._driver)
    # Who has the wire also lets the stages work on what is to be written.
    writing = driver.writing and not any(slot.running for slot in driver.engine.outbound_slots)
    return {
        "transport": type(pipeline.transport).__name__,
        "reading": now - driver.read_began if driver.reading else None,
        "writing": now - driver.write_began if writing else None,
        "receiving": pipeline._receiving,
        "sending": int(driver.news.turn_taken) + len(driver.news._turns or ()),
    }


def _stage_stats(slot: Slot, engine: Engine[Any, Any], now: float, counted_since: float) -> StageStats:
    assert isinstance(slot, CountedSlot)
    waits_for, reason = _waits_for(slot)
    moved = _moved(slot, engine) if reason in (PAUSED, NOT_READY) else slot.counts.moved
    since = counted_since if moved is None else moved
    return StageStats(
        direction="inbound" if slot.flow is engine._inbound else "outbound",
        number=slot.place.number,
        name=slot.name,
        items_in=slot.counts.items_in,
        items_out=slot.counts.items_out - slot.untaken_early,
        replies=slot.counts.replies,
        waits_for=waits_for,
        reason=reason,
        since=None if waits_for is None else since,
        seconds=None if waits_for is None else now - since,
        at_least=waits_for is not None and moved is None,
        queued=sum(item is not END for item, *_ in slot.inbox),
        untaken=_untaken(slot),
        holds=slot.stage.holds,
    )


def _moved(slot: CountedSlot, engine: Engine[Any, Any]) -> float | None:
    """When either half last did something: that made it what it is."""
    halves = [cast("CountedSlot", other) for other in _in_order(engine) if other.place.number == slot.place.number]
    return max((half.counts.moved for half in halves if half.counts.moved is not None), default=None)


def _waits_for(slot: CountedSlot) -> tuple[WaitsFor | None, str]:
    """What the stage cannot go on without, and the same in words."""
    if not slot.flow.takes(slot.index):
        return None, OVER
    if slot.running is not None:
        return "itself", f"at work in {slot.running.call[0]}()"
    if _untaken(slot) != 0:
        return "output", "waiting for its results to be taken"
    if not slot.stage.wants_input:
        return "itself", PAUSED
    if not slot.open:
        return "itself", NOT_READY
    if slot.inbox:
        return "output", "waiting to be asked"
    return "input", "waiting for input"


def _untaken(slot: Slot) -> int | None:
    """How many results wait here; None: nobody knows."""
    left = _left(slot.results) + (_left(slot.aside[0]) if slot.aside else ())
    return None if -1 in left else sum(left)


def _left(results: object) -> tuple[int, ...]:
    """How many results each part of an iterator still has; -1: nobody knows."""
    if results is None:
        return ()
    if isinstance(results, Noted | Taken):
        return _left(results._results)
    if isinstance(results, Results):
        return tuple(count for part in results._parts for count in _left(part))
    return (length_hint(results, -1),)
