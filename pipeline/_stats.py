"""What a running pipeline is at: `pipeline_stats`, which names the slow stage of a chain that stalls.

Rules for this file: it reads, and changes nothing but that the first call begins to count (see `_counting`);
a pipeline that nobody asked about has no trace of it. What it relies on in the driver is that `reading` is True
while a task waits for input of the transport, and that `writes` grows when a write begins, with `writing` True.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from operator import length_hint
from typing import Any, Final, Literal, TypeAlias, cast

from ._core import Engine
from ._counting import CountedSlot, Counting, Taken
from ._driver import Driver
from ._pipeline import Pipeline
from ._slot import Noted, Results, Slot
from ._stage import END

__all__ = ["PipelineStats", "StageStats", "pipeline_stats"]

WaitsFor: TypeAlias = Literal["input", "output", "itself"]

OVER: Final = "over"
PAUSED: Final = "paused"
NOT_READY: Final = "not ready"
ARROWS: Final = {"inbound": "→", "outbound": "←"}


@dataclass(frozen=True, slots=True)
class StageStats:
    """What one stage is at, in one direction; `str()` is half a sentence.

    stage 2, Lookup, has been at work in process() for 12.0 s
    """

    direction: Literal["inbound", "outbound"]
    number: int
    """Its place in the chain, 1 at the wire; the halves of a duplex have the same."""
    name: str
    """What errors call it."""
    items_in: int
    """How many items it has processed since counting began."""
    items_out: int
    """How many it gave that went on; a `Reply` is none of them."""
    replies: int
    """How many times it gave a `Reply`."""
    waits_for: WaitsFor | None
    """What it cannot go on without: an item to process; somebody to take what it gave, or to ask it for more; itself,
    when it is in a call that awaits something, does not want input or is not ready. None: it is over for this stage."""
    reason: str
    """The same in more words."""
    since: float | None
    """Since when, on the pipeline's clock, which on trio is `trio.current_time()`; None: it is over."""
    seconds: float | None
    """For how long; None: it is over."""
    at_least: bool
    """Whether it may be longer, since it was so already when counting began."""
    queued: int
    """Items before it that it was not given yet."""
    untaken: int | None
    """Results that nobody has taken yet; None: some, which are made when they are taken, so nobody knows how many."""
    holds: int | None
    """How much of unfinished input it says that it holds, in bytes or items (`Stage.holds`)."""

    def __str__(self) -> str:
        has_been = f" for {_for(self)}" if self.seconds is not None else ""
        return (
            f"stage {self.number}, {self.name}, {'is' if self.seconds is None else 'has been'} {self.reason}{has_been}"
        )


@dataclass(frozen=True, slots=True)
class PipelineStats:
    """What a pipeline is at; `print` it for a table, and for a line per direction that names the slow stage."""

    counted_for: float
    """Seconds since counting began, with the first call of `pipeline_stats`."""
    stages: tuple[StageStats, ...]
    """In the order of the flow: inbound from the wire to the client, then outbound from the client to the wire."""
    transport: str | None
    """The type of the transport; None for an `Engine`, of which the next two and `receiving` say nothing."""
    reading: float | None
    """For how long a task has waited for input of the transport; None: none does."""
    writing: float | None
    """For how long the transport has not taken what a task writes; None: none writes."""
    to_write: int
    """How many bytes (items, on a channel) are buffered to be written."""
    reply_bytes: int
    """How many bytes of stages' replies to the peer are not written yet, wherever they are."""
    receiving: bool
    """Whether a task is in `receive()`."""
    sending: int
    """How many tasks send, flush or change the chain, or wait for their turn to."""
    parked: int
    """Items that came out while nobody received."""

    @property
    def slowest(self) -> StageStats | None:
        """The stage that others wait for, of several the one that is at it for the longest."""
        return max(_slow(self, "inbound") + _slow(self, "outbound"), key=lambda at: at.seconds or 0, default=None)

    def __str__(self) -> str:
        return "\n".join([*_table(self), "", *_ends(self), *_findings(self), f"counted for {self.counted_for:.1f} s"])


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


class CountedDriver(Driver):
    """A driver that notes when a task began to wait for the transport; none is made, a driver becomes one."""

    clock: Any
    read_began: float
    write_began: float

    @property
    def reading(self) -> bool:
        """Somebody waits for the transport."""
        return bool(self.__dict__["reading"])

    @reading.setter
    def reading(self, reading: bool) -> None:
        self.__dict__["reading"] = reading
        self.read_began = self.clock()

    @property
    def writes(self) -> int:
        """How often something was written."""
        return int(self.__dict__["writes"])

    @writes.setter
    def writes(self, writes: int) -> None:
        self.__dict__["writes"] = writes
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
    moved = _moved(slot, engine) if reason in (PAUSED, NOT_READY) else slot.moved
    since = counted_since if moved is None else moved
    return StageStats(
        direction="inbound" if slot.flow is engine._inbound else "outbound",
        number=slot.place.number,
        name=slot.name,
        items_in=slot.items_in,
        items_out=slot.items_out - slot.untaken_early,
        replies=slot.replies,
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
    return max((half.moved for half in halves if half.moved is not None), default=None)


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


# ---- in words


def _for(stage: StageStats) -> str:
    return f"{'at least ' if stage.at_least else ''}{stage.seconds:.1f} s"


def _lasting(stats: PipelineStats, seconds: float) -> str:
    return f"{'' if seconds < stats.counted_for else 'at least '}{seconds:.1f} s"


def _table(stats: PipelineStats) -> list[str]:
    head = ("", "", "stage", "in", "out", "waits for", "for", "holds")
    rows = [head, *map(_row, stats.stages)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    aligned = ("<", ">", "<", ">", ">", "<", ">", "<")
    return [
        "  ".join(f"{cell:{align}{width}}" for cell, align, width in zip(row, aligned, widths, strict=True)).rstrip()
        for row in rows
    ]


def _row(stage: StageStats) -> tuple[str, ...]:
    return (
        ARROWS[stage.direction],
        str(stage.number),
        stage.name,
        str(stage.items_in),
        str(stage.items_out),
        stage.waits_for or stage.reason,
        "" if stage.seconds is None else f"{'≥ ' if stage.at_least else ''}{stage.seconds:.1f} s",
        ", ".join(_holdings(stage)),
    )


def _holdings(stage: StageStats) -> list[str]:
    at_work = stage.reason.startswith("at work in process")
    parts = [(int(at_work), "at work"), (stage.untaken, "untaken"), (stage.queued, "queued"), (stage.holds, "begun")]
    held = [f"{count} {what}" for count, what in parts if count]
    return [*held, *(["lazy results"] if stage.untaken is None else []), *_states(stage)]


def _states(stage: StageStats) -> list[str]:
    return [stage.reason] if stage.reason in (PAUSED, NOT_READY) else []


def _ends(stats: PipelineStats) -> list[str]:
    read = "nobody reads" if stats.reading is None else f"read for {stats.reading:.1f} s"
    wrote = "nobody writes" if stats.writing is None else f"written for {stats.writing:.1f} s"
    wire = [read, wrote] if stats.transport else []
    client = ["a task receives" if stats.receiving else "nobody receives"] if stats.transport else []
    return [
        ", ".join(
            [
                f"wire: {stats.transport or 'none'}",
                *wire,
                f"{stats.to_write} to write",
                f"{stats.reply_bytes} bytes of replies",
            ]
        ),
        ", ".join([f"client: {stats.sending or 'nobody'} sending", *client, f"{stats.parked} parked"]),
    ]


def _slow(stats: PipelineStats, direction: str) -> list[StageStats]:
    """The stages of one direction that wait for themselves; one that is not ready only if something waits for it."""
    found = [stage for stage in stats.stages if stage.direction == direction and stage.waits_for == "itself"]
    return [stage for stage in found if stage.reason != NOT_READY or stage.queued]


def _findings(stats: PipelineStats) -> list[str]:
    others = {"inbound": _what_else_inbound, "outbound": _what_else_outbound}
    return [
        f"{direction}: {'; '.join(map(str, _slow(stats, direction))) or what_else(stats)}"
        for direction, what_else in others.items()
    ]


def _what_else_inbound(stats: PipelineStats) -> str:
    """What inbound waits for where it is none of its stages."""
    there = [stage for stage in stats.stages if stage.direction == "inbound" and stage.waits_for == "output"]
    if there or stats.parked:
        if stats.receiving:
            return "waits until replies are written" if stats.reply_bytes else "under way"
        return (
            f"nobody receives what has been there for {_for(there[-1])}" if there else "nobody receives what is there"
        )
    if stats.reading is not None:
        return f"the peer has sent nothing for {_lasting(stats, stats.reading)}"
    return _idle(stats, "inbound", "under way" if stats.receiving else "nobody receives")


def _what_else_outbound(stats: PipelineStats) -> str:
    """The same for outbound."""
    if stats.writing is not None:
        return f"the transport has not taken what is written for {_lasting(stats, stats.writing)}"
    return "what is to be written waits" if stats.to_write else _idle(stats, "outbound", "nothing is being sent")


def _idle(stats: PipelineStats, direction: str, otherwise: str) -> str:
    stages = [stage for stage in stats.stages if stage.direction == direction]
    return OVER if stages and all(stage.waits_for is None for stage in stages) else otherwise
