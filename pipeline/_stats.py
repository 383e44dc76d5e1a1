"""What a pipeline is at, as `pipeline_stats` gives it: in numbers, and in words that name the slow stage.

Rules for this file: it knows no pipeline; `_asking.py` asks one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

__all__ = ["PipelineStats", "StageStats"]

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
