"""Meter: how much passed, and when."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import trio
import trio.testing

from pipeline import FrameError, Pipeline, StageInUseError
from pipeline.testing import Harness, check_tap, pipeline_pair
from stages import LineFramer, Meter, MeterSnapshot, Traffic


def released() -> memoryview:
    view = memoryview(b"ab")
    view.release()
    return view


def test_it_changes_nothing() -> None:
    check_tap(Meter)


def test_items_and_bytes_are_counted_where_it_stands_and_in_each_direction() -> None:
    wire, lines = Meter(), Meter()
    harness = Harness(wire | LineFramer() | lines)
    harness.receive(b"one\ntw", b"o\n")
    harness.send(b"three")

    def counted(meter: Meter) -> list[tuple[int, int]]:
        snapshot = meter.snapshot()
        return [(traffic.items, traffic.bytes) for traffic in (snapshot.inbound, snapshot.outbound)]

    assert [(2, 8), (1, 6)] == counted(wire)
    assert [(2, 6), (1, 5)] == counted(lines)


@pytest.mark.parametrize(
    ("item", "size"),
    [
        (b"abc", 3),
        (bytearray(b"abc"), 3),
        (memoryview(b"abcdefgh").cast("I"), 8),
        (released(), 0),
        ("abc", 0),
        ([b"abc"], 0),
        (None, 0),
    ],
)
def test_bytes_are_those_of_bytes_alone(item: Any, size: int) -> None:
    meter = Meter()
    Harness(meter).receive(item)
    inbound = meter.snapshot().inbound
    assert (1, size) == (inbound.items, inbound.bytes)


def test_before_anything_passed_there_is_no_time() -> None:
    assert MeterSnapshot(Traffic(0, 0, None, None), Traffic(0, 0, None, None)) == Meter().snapshot()


def test_the_first_and_the_last_item_have_times_on_the_pipelines_clock() -> None:
    meter = Meter()
    harness = Harness(meter)
    harness.receive(b"a")
    assert meter.inbound
    begin = meter.inbound.now()
    harness.advance(3)
    harness.receive(b"b")
    harness.advance(1)
    harness.receive(b"cd")
    harness.send(b"e")
    assert Traffic(3, 4, begin, begin + 4) == meter.snapshot().inbound
    assert Traffic(1, 1, begin + 4, begin + 4) == meter.snapshot().outbound


async def test_in_a_pipeline_the_clock_is_trios() -> None:
    meter = Meter()
    async with pipeline_pair(meter, LineFramer()) as (here, there):
        begin = trio.current_time()
        await there.send(b"ab")
        await here.receive()
        await trio.sleep(5)
        await there.send(b"c")
        await here.receive()
    assert Traffic(2, 5, begin, begin + 5) == meter.snapshot().inbound


def test_a_snapshot_needs_no_running_pipeline() -> None:
    meter = Meter()

    async def main() -> None:
        here, there = trio.testing.memory_stream_pair()
        async with Pipeline(here, meter) as pipeline:
            await pipeline.send(b"abc")
        await there.aclose()

    trio.run(main)
    assert 3 == meter.snapshot().outbound.bytes


def test_a_snapshot_stays_as_it_is() -> None:
    meter = Meter()
    harness = Harness(meter)
    harness.receive(b"a")
    before = meter.snapshot()
    harness.receive(b"b")
    assert 1 == before.inbound.items
    for part in (before, before.inbound):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(part, dataclasses.fields(part)[0].name, 5)


def test_rates_are_those_between_the_first_item_and_the_last() -> None:
    traffic = Traffic(items=10, bytes=500, first=2.0, last=6.0)
    assert (4.0, 2.5, 125.0) == (traffic.seconds, traffic.items_per_s, traffic.bytes_per_s)


@pytest.mark.parametrize("traffic", [Traffic(), Traffic(3, 9, 1.0, 1.0)], ids=str)
def test_where_no_time_has_passed_rates_are_zero(traffic: Traffic) -> None:
    assert (0.0, 0.0, 0.0) == (traffic.seconds, traffic.items_per_s, traffic.bytes_per_s)


def test_what_was_given_back_is_not_counted_twice() -> None:
    meter = Meter()
    assert meter.inbound
    meter.inbound.process_sync(b"abc")
    assert [b"bc"] == meter.inbound.unread(iter([b"bc"]))
    meter.inbound.process_sync(b"bc")
    inbound = meter.snapshot().inbound
    assert (1, 3) == (inbound.items, inbound.bytes)


def test_a_send_that_fails_behind_it_was_counted() -> None:
    meter = Meter()
    harness = Harness(LineFramer() | meter)
    with pytest.raises(FrameError):
        harness.send(b"two\nlines")
    assert Traffic(1, 9, 0.0, 0.0) == dataclasses.replace(meter.snapshot().outbound, first=0.0, last=0.0)


def test_it_belongs_to_one_pipeline() -> None:
    meter = Meter()
    Harness(meter)
    with pytest.raises(StageInUseError, match=r"Meter\(\), served another pipeline already"):
        Harness(meter)


def test_repr_shows_it_as_it_is_written() -> None:
    assert "Meter()" == repr(Meter())
