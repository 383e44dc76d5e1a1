"""RateLimit: so much a second, nothing dropped, nothing stored."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
import trio
import trio.testing

from pipeline import Pipeline
from pipeline.testing import Harness, check_cancellation, pipeline_pair
from stages import LineFramer, RateLimit, TextCodec
from tests.measuring import EVERY_CUT
from tests.pipeline.wires import tcp_pair


def a_second(harness: Harness, seconds: float = 1) -> list[Any]:
    """What came out at either end by waiting."""
    before = len(harness.sent)
    received = harness.advance(seconds)
    return received + harness.sent[before:]


# ---- the bucket


@pytest.mark.parametrize("call", ["receive", "send"])
def test_a_burst_passes_at_once_and_the_rest_at_the_rate(call: str) -> None:
    harness = Harness(RateLimit(items_per_s=2, burst=3))
    assert ["a", "b", "c"] == getattr(harness, call)(*"abcdef")
    assert [] == a_second(harness, 0.49)
    assert ["d"] == a_second(harness, 0.01)
    assert ["e", "f"] == a_second(harness)


@pytest.mark.parametrize("call", ["receive", "send"])
def test_by_default_a_seconds_worth_passes_at_once(call: str) -> None:
    harness = Harness(RateLimit(items_per_s=2))
    assert ["a", "b"] == getattr(harness, call)(*"abcd")
    assert ["c"] == a_second(harness, 0.5)


def test_slower_than_one_a_second() -> None:
    harness = Harness(RateLimit(items_per_s=0.1))
    assert ["a"] == harness.receive(*"ab")
    assert [] == harness.advance(9.9)
    assert ["b"] == harness.advance(0.2)


def test_a_pause_fills_the_bucket_up_to_the_burst() -> None:
    harness = Harness(RateLimit(items_per_s=1, burst=3))
    assert ["a", "b", "c"] == harness.receive(*"abc")
    harness.advance(1.5)
    assert ["d"] == harness.receive(*"de")
    assert ["e"] == harness.advance(0.5)
    harness.advance(1000)
    assert ["f", "g", "h"] == harness.receive(*"fghi")


def test_where_bytes_count_an_item_passes_as_soon_as_one_is_free() -> None:
    harness = Harness(RateLimit(bytes_per_s=10))
    assert [b"12345", b"67890"] == harness.receive(b"12345", b"67890", b"x")
    assert [b"x"] == harness.advance(0.1), "a byte is there, so an item may pass"


def test_an_item_larger_than_the_burst_passes_whole_and_is_paid_for_afterwards() -> None:
    harness = Harness(RateLimit(bytes_per_s=10, burst=20))
    assert [b"x" * 120] == harness.receive(b"x" * 120, b"next")
    assert [] == harness.advance(10.05)
    assert [b"next"] == harness.advance(0.05)


def test_text_counts_as_it_is_written() -> None:
    harness = Harness(RateLimit(bytes_per_s=4, burst=1))
    assert ["😀"] == harness.receive("😀", "x")
    assert ["x"] == harness.advance(1)


def test_of_two_rates_the_tighter_one_counts() -> None:
    harness = Harness(RateLimit(items_per_s=1, bytes_per_s=10))
    assert [b"x" * 30] == harness.receive(b"x" * 30, b"1", b"2")
    assert [] == harness.advance(2)
    assert [b"1"] == harness.advance(0.1)
    assert [] == harness.advance(0.9)
    assert [b"2"] == harness.advance(0.1)


def test_empty_items_cost_no_bytes() -> None:
    harness = Harness(RateLimit(bytes_per_s=1))
    assert [b""] * 9 == harness.receive(*[b""] * 9)


def test_no_time_sees_more_than_the_rate_and_one_burst() -> None:
    """Whatever comes whenever: between any two moments, at most burst + rate * seconds pass, and all in order."""
    rng = random.Random(1)
    for _ in range(200 if EVERY_CUT else 50):
        rate, burst = rng.choice([0.5, 3, 7.7]), rng.choice([1, 2, 5])
        harness = Harness(RateLimit(items_per_s=rate, burst=burst))
        times: list[float] = []
        for number in range(20):
            times += [harness.now] * len(harness.receive(number))
            for _ in range(rng.randint(0, 3)):
                step = rng.choice([0, 0.1, 0.3, 2])
                times += [harness.now] * len(harness.advance(step))
        harness.advance(100)
        assert [*range(20)] == harness.received
        for first, last in itertools.combinations(range(len(times)), 2):
            # What came by advance() is noted up to 2 seconds late, so only the later edge is sure.
            assert last - first + 1 <= burst + rate * (times[last] - times[first] + 2) + 1e-6


# ---- directions


def test_each_direction_has_its_own_bucket() -> None:
    harness = Harness(RateLimit(items_per_s=1))
    assert ["a"] == harness.receive("a")
    assert ["b"] == harness.send("b")


@pytest.mark.parametrize(
    ("direction", "free", "limited"), [("inbound", "send", "receive"), ("outbound", "receive", "send")]
)
def test_the_other_direction_passes_unseen(direction: Any, free: str, limited: str) -> None:
    harness = Harness(RateLimit(items_per_s=1, direction=direction))
    assert ["a", "b"] == getattr(harness, free)("a", "b")
    assert ["a"] == getattr(harness, limited)("a", "b")


# ---- the end


@pytest.mark.parametrize("size", [1, 1000])
def test_the_end_waits_for_nothing(size: int) -> None:
    harness = Harness(RateLimit(bytes_per_s=1))
    harness.receive(b"x" * size)
    harness.send(b"x" * size)
    assert [] == harness.finish() + harness.send_eof()
    assert harness.inbound_ended
    assert harness.outbound_ended


async def test_closing_does_not_wait_until_the_last_item_is_paid_for() -> None:
    here, there = trio.testing.memory_stream_pair()
    start = trio.current_time()
    async with Pipeline(here, LineFramer() | RateLimit(bytes_per_s=1)) as pipeline:
        await pipeline.send(b"x" * 1000)
    assert start == trio.current_time()
    assert b"x" * 1000 + b"\n" == await there.receive_some()


async def test_closing_waits_for_what_the_stages_give_at_the_end() -> None:
    here, there = trio.testing.memory_stream_pair()
    async with Pipeline(here, RateLimit(items_per_s=1) | TextCodec("iso2022_jp")) as pipeline:
        await pipeline.send("日")
    assert "日" == bytes(await there.receive_some()).decode("iso2022_jp")


# ---- on a pipeline


async def test_the_peer_is_held_back() -> None:
    """While it waits, the wire is not read: nothing piles up here."""
    here, there = trio.testing.lockstep_stream_pair()
    taken: list[float] = []

    async def peer() -> None:
        for _ in range(5):
            await there.send_all(b"line\n")  # returns when it was read
            taken.append(trio.current_time() - start)
        await there.send_eof()

    async with Pipeline(here, LineFramer() | RateLimit(items_per_s=1)) as pipeline, trio.open_nursery() as nursery:
        start = trio.current_time()
        nursery.start_soon(peer)
        times = [trio.current_time() - start async for _ in pipeline]
    assert [0, 1, 2, 3, 4] == pytest.approx(times)
    assert times == pytest.approx(taken), "a line is read when its time has come, not before"


async def test_it_holds_one_read_back_that_was_many_items() -> None:
    here, there = trio.testing.memory_stream_pair()
    async with Pipeline(here, LineFramer() | RateLimit(items_per_s=10)) as pipeline:
        await there.send_all(b"x\n" * 100)
        await there.send_eof()
        start = trio.current_time()
        times = [trio.current_time() - start async for _ in pipeline]
    assert [max(0, number - 9) / 10 for number in range(100)] == pytest.approx(times, abs=1e-6)


async def test_send_waits_and_receiving_goes_on() -> None:
    here, there = trio.testing.memory_stream_pair()
    times: list[float] = []
    async with Pipeline(here, LineFramer() | RateLimit(items_per_s=1, direction="outbound")) as pipeline:

        async def send() -> None:
            for _ in range(4):
                await pipeline.send(b"out")
                times.append(trio.current_time() - start)

        start = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            await trio.sleep(1.5)
            await there.send_all(b"in\n")
            assert b"in" == await pipeline.receive()
            assert 1.5 == pytest.approx(trio.current_time() - start)
    assert [0, 1, 2, 3] == pytest.approx(times)


async def test_sends_of_several_tasks_share_the_rate() -> None:
    here, there = trio.testing.memory_stream_pair()
    async with Pipeline(here, LineFramer() | RateLimit(items_per_s=1)) as pipeline:
        start = trio.current_time()
        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(pipeline.send, b"%d" % number)
        assert 4 == pytest.approx(trio.current_time() - start)
    assert sorted(b"0\n1\n2\n3\n4\n") == sorted(await there.receive_some())


async def test_sending_goes_on_when_the_peer_has_said_its_last_word() -> None:
    here, there = trio.testing.memory_stream_pair()
    async with Pipeline(here, LineFramer() | RateLimit(items_per_s=1)) as pipeline:
        await there.send_eof()
        with pytest.raises(trio.EndOfChannel):
            await pipeline.receive()
        await pipeline.send_many([b"a", b"b", b"c"])
    assert b"a\nb\nc\n" == await there.receive_some(9)


async def test_a_send_that_is_cancelled_while_it_waits_has_no_effect() -> None:
    here, there = trio.testing.memory_stream_pair()
    async with Pipeline(here, LineFramer() | RateLimit(items_per_s=1)) as pipeline:
        await pipeline.send(b"a")
        with trio.move_on_after(0.5):
            await pipeline.send(b"never")
        await pipeline.send(b"b")
    assert b"a\nb\n" == await there.receive_some()


async def test_cancelled_anywhere_nothing_is_lost_or_doubled() -> None:
    assert await check_cancellation(
        lambda: LineFramer() | RateLimit(items_per_s=1), wire=[b"a\nb\n", b"c\n"], client=[b"d", b"e"]
    )


# ---- changing a chain


def test_what_was_not_taken_is_not_paid_for() -> None:
    stage = RateLimit(items_per_s=1).inbound
    assert stage is not None
    stage.process_sync("a")
    assert not stage.wants_input
    assert ["a"] == list(stage.unread(["a"]) or ())
    assert stage.wants_input


# ---- on a socket


@pytest.mark.real_time
async def test_on_a_socket() -> None:
    """Eleven items at fifty a second take 0.2 seconds, or longer on a busy machine."""
    with trio.fail_after(60):
        one, two = await tcp_pair()
        async with Pipeline(one, LineFramer() | RateLimit(items_per_s=50, burst=1)) as pipeline, two:
            await two.send_all(b"in\n" * 11)
            start = trio.current_time()
            assert [b"in"] * 11 == [await pipeline.receive() for _ in range(11)]
            assert trio.current_time() - start > 0.19
            start = trio.current_time()
            for _ in range(11):
                await pipeline.send(b"out")
            assert trio.current_time() - start > 0.19
            received = b""
            while len(received) < 44:
                received += await two.receive_some()
            assert b"out\n" * 11 == received


# ---- building


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({}, TypeError, r"RateLimit\(\) limits nothing: give it a rate, as in RateLimit\(items_per_s=10\)"),
        ({"items_per_s": 0}, ValueError, r"RateLimit\(items_per_s=0\): must be a number, above 0"),
        ({"bytes_per_s": "1k"}, TypeError, r"RateLimit\(bytes_per_s='1k'\): must be a number, above 0"),
        ({"items_per_s": 5, "burst": 0.5}, ValueError, r"RateLimit\(burst=0.5\): must be a number, 1 or more"),
        ({"items_per_s": 5, "bytes_per_s": 5, "burst": 5}, ValueError, r"in items or in bytes\? Take two: "),
        ({"items_per_s": 5, "direction": "up"}, ValueError, "RateLimit: 'up' is no direction here"),
    ],
)
def test_what_is_refused(options: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        RateLimit(**options)


def test_bytes_of_what_has_none() -> None:
    with pytest.raises(TypeError, match="RateLimit counts bytes or text, and cannot tell how large a dict is"):
        Harness(RateLimit(bytes_per_s=1)).receive({})


def test_repr_shows_it_as_it_is_written() -> None:
    assert "RateLimit(items_per_s=5, burst=10)" == repr(RateLimit(items_per_s=5, burst=10))


@pytest.mark.parametrize(("here", "there"), [(2, 15), (5, 3)])
async def test_both_ends_held_back_both_ways_do_not_keep_each_other_awake(here: int, there: int) -> None:
    """A send at its gate and a receive that is not to read: each waits for time to pass, and time does."""

    def make_chain() -> Any:
        return LineFramer() | RateLimit(items_per_s=10, burst=2) | TextCodec()

    async def speak(pipeline: Any, count: int) -> None:
        for _ in range(count):
            await pipeline.send("x")
        await pipeline.send_eof()

    heard: list[str] = []

    async def hear(pipeline: Any) -> None:
        async for line in pipeline:
            heard.append(line)

    async with pipeline_pair(make_chain(), make_chain()) as (near, far), trio.open_nursery() as nursery:
        for pipeline, count in ((near, here), (far, there)):
            nursery.start_soon(speak, pipeline, count)
            nursery.start_soon(hear, pipeline)
    assert here + there == len(heard)
