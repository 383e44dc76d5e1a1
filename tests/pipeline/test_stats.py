"""What a pipeline is at, in words: a table, and a line per direction that names the slow stage."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pipeline import PipelineStats, StageStats

IDLE = StageStats(
    direction="inbound",
    number=1,
    name="LineFramer.inbound",
    items_in=3,
    items_out=7,
    replies=0,
    waits_for="input",
    reason="waiting for input",
    since=10.0,
    seconds=2.0,
    at_least=False,
    queued=0,
    untaken=0,
    holds=0,
)
WAITS_TO_BE_ASKED = replace(IDLE, waits_for="output", reason="waiting to be asked", seconds=3.0)
AT_WORK = replace(IDLE, number=2, name="Lookup", waits_for="itself", reason="at work in process()", seconds=12.0)
NOT_READY = replace(IDLE, name="TLS.inbound", waits_for="itself", reason="not ready")
OVER = replace(IDLE, waits_for=None, reason="over", since=None, seconds=None)
OUT = replace(IDLE, direction="outbound", name="LineFramer.outbound")
ENGINE = PipelineStats(
    counted_for=20.0,
    stages=(IDLE, OUT),
    transport=None,
    reading=None,
    writing=None,
    to_write=0,
    reply_bytes=0,
    receiving=False,
    sending=0,
    parked=0,
)
PIPELINE = replace(ENGINE, transport="SocketStream")


def findings(stats: PipelineStats, **changes: Any) -> list[str]:
    """The two lines that say it in words."""
    return str(replace(stats, **changes)).splitlines()[-3:-1]


def inbound_of(*stages: StageStats, **changes: Any) -> str:
    return findings(PIPELINE, stages=(*stages, OUT), **changes)[0].removeprefix("inbound: ")


def outbound_of(*stages: StageStats, **changes: Any) -> str:
    return findings(PIPELINE, stages=(IDLE, *stages), **changes)[1].removeprefix("outbound: ")


def test_a_table_and_lines() -> None:
    at_work = replace(AT_WORK, at_least=True, untaken=None, queued=2, holds=5)
    stats = replace(PIPELINE, stages=(IDLE, at_work, OUT), reading=1.25, writing=0.5, to_write=9, sending=1, parked=4)
    assert (
        f"\n{stats}\n"
        == """
      stage                in  out  waits for       for  holds
→  1  LineFramer.inbound    3    7  input         2.0 s
→  2  Lookup                3    7  itself     ≥ 12.0 s  1 at work, 2 queued, 5 begun, lazy results
←  1  LineFramer.outbound   3    7  input         2.0 s

wire: SocketStream, read for 1.2 s, written for 0.5 s, 9 to write, 0 bytes of replies
client: 1 sending, nobody receives, 4 parked
inbound: stage 2, Lookup, has been at work in process() for at least 12.0 s
outbound: the transport has not taken what is written for 0.5 s
counted for 20.0 s
"""
    )


def test_a_stage_is_half_a_sentence() -> None:
    assert "stage 2, Lookup, has been at work in process() for 12.0 s" == str(AT_WORK)
    assert "stage 1, LineFramer.inbound, is over" == str(OVER)


def test_of_an_engine_nothing_is_said_of_the_ends() -> None:
    lines = str(ENGINE).splitlines()
    assert "wire: none, 0 to write, 0 bytes of replies" in lines
    assert "client: nobody sending, 0 parked" in lines
    assert "wire: SocketStream, nobody reads, nobody writes, 0 to write, 0 bytes of replies" in str(PIPELINE)
    assert "client: nobody sending, a task receives, 0 parked" in str(replace(PIPELINE, receiving=True))


def test_the_slowest_is_longest_at_it() -> None:
    assert PIPELINE.slowest is None
    assert AT_WORK is replace(PIPELINE, stages=(NOT_READY, AT_WORK, replace(AT_WORK, seconds=1.0))).slowest
    both = "stage 2, Lookup, has been at work in process() for 12.0 s; stage 2, Lookup, has been at work in process() "
    assert inbound_of(AT_WORK, AT_WORK).startswith(both)


def test_one_that_is_not_ready_is_slow_only_while_something_waits_before_it() -> None:
    assert "nobody receives" == inbound_of(NOT_READY)
    assert "stage 1, TLS.inbound, has been not ready for 2.0 s" == inbound_of(replace(NOT_READY, queued=1))
    assert "itself" in str(replace(PIPELINE, stages=(NOT_READY,)))
    assert "not ready" in str(replace(PIPELINE, stages=(NOT_READY,))).splitlines()[1]


def test_what_inbound_waits_for_where_it_is_none_of_its_stages() -> None:
    assert "nobody receives what has been there for 3.0 s" == inbound_of(WAITS_TO_BE_ASKED)
    assert "nobody receives what is there" == inbound_of(IDLE, parked=1)
    assert "under way" == inbound_of(IDLE, parked=1, receiving=True)
    assert "waits until replies are written" == inbound_of(WAITS_TO_BE_ASKED, receiving=True, reply_bytes=1)
    assert "the peer has sent nothing for 4.0 s" == inbound_of(IDLE, reading=4.0, receiving=True)
    assert "the peer has sent nothing for at least 20.0 s" == inbound_of(IDLE, reading=20.0, receiving=True)
    assert "under way" == inbound_of(IDLE, receiving=True)
    assert "nobody receives" == inbound_of(IDLE)
    assert "over" == inbound_of(OVER)
    assert "nobody receives" == inbound_of()


def test_what_outbound_waits_for_where_it_is_none_of_its_stages() -> None:
    over = replace(OVER, direction="outbound")
    assert "nothing is being sent" == outbound_of(OUT)
    assert "what is to be written waits" == outbound_of(OUT, to_write=5)
    assert "the transport has not taken what is written for 4.0 s" == outbound_of(OUT, writing=4.0, to_write=5)
    assert "over" == outbound_of(over)
