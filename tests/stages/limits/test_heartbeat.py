"""Heartbeat: a sign of life when it has been silent."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import trio
import trio.testing

from pipeline import Pipeline, Reply, StageTimeoutError, inbound
from pipeline.testing import Harness, check_cancellation, check_tap, pipeline_pair
from stages import Heartbeat, IdleTimeout, LineFramer, RateLimit, TextCodec
from tests.pipeline.wires import tcp_pair


def ping() -> str:
    return "ping"


def line_pair() -> Any:
    return LineFramer() | TextCodec() | Heartbeat(20, ping)


@pytest.mark.parametrize("silence", ["inbound", "outbound"])
def test_it_changes_nothing(silence: Any) -> None:
    check_tap(lambda: Heartbeat(20, ping, silence=silence))


def test_it_beats_while_nothing_comes_from_the_peer() -> None:
    harness = Harness(Heartbeat(20, ping))
    harness.advance(19)
    harness.receive("a")
    harness.advance(19)
    assert [] == harness.replies
    harness.advance(1)
    assert ["ping"] == harness.replies
    harness.advance(45)
    assert ["ping"] * 3 == harness.replies


def test_what_is_sent_does_not_make_the_peer_less_silent() -> None:
    harness = Harness(Heartbeat(20, ping))
    harness.advance(19)
    harness.send("a")
    harness.advance(1)
    assert ["ping"] == harness.replies


def test_it_beats_while_nothing_is_sent() -> None:
    harness = Harness(Heartbeat(20, ping, silence="outbound"))
    harness.advance(19)
    harness.send("a")
    harness.receive("b")
    harness.advance(19)
    assert ["a"] == harness.sent
    harness.advance(21)
    assert ["a", "ping", "ping"] == harness.sent


def test_each_beat_is_a_new_item() -> None:
    numbers = itertools.count()
    harness = Harness(Heartbeat(1, lambda: next(numbers)))
    harness.advance(3)
    assert [0, 1, 2] == harness.replies


def test_it_goes_through_the_stages_on_the_wires_side() -> None:
    harness = Harness(line_pair())
    harness.advance(20)
    assert [b"ping\n"] == harness.replies


def test_it_beats_on_when_the_peer_has_said_its_last_word() -> None:
    """Where it listens to what is sent; a peer that will say no more is not silent."""
    listens, hears = Harness(Heartbeat(20, ping)), Harness(Heartbeat(20, ping, silence="outbound"))
    for harness in (listens, hears):
        harness.finish()
        harness.advance(20)
    assert [[], ["ping"]] == [listens.sent, hears.sent]


def test_what_the_function_raises_is_the_stages_error() -> None:
    def fails() -> None:
        raise KeyError("no item")

    with pytest.raises(KeyError, match="no item"):
        Harness(Heartbeat(1, fails)).advance(1)


# ---- on a pipeline


@pytest.mark.parametrize("silence", ["inbound", "outbound"])
async def test_a_receive_that_waits_beats(silence: Any) -> None:
    here, there = trio.testing.memory_stream_pair()
    async with Pipeline(here, LineFramer() | TextCodec() | Heartbeat(20, ping, silence=silence)) as pipeline:
        with trio.move_on_after(50):
            await pipeline.receive()
        assert b"ping\nping\n" == await there.receive_some()


async def test_one_beat_makes_up_for_many_that_nobody_could_send() -> None:
    here, there = trio.testing.memory_stream_pair()
    async with Pipeline(here, line_pair()) as pipeline:
        await trio.sleep(1000)
        with trio.move_on_after(19):
            await pipeline.receive()
        assert b"ping\n" == await there.receive_some()


async def test_what_came_while_nobody_received_is_no_silence() -> None:
    here, there = trio.testing.memory_stream_pair()
    async with Pipeline(here, line_pair()) as pipeline:
        await there.send_all(b"here\n")
        await trio.sleep(1000)
        assert "here" == await pipeline.receive()
        with trio.move_on_after(19):
            await pipeline.receive()
    assert b"" == await there.receive_some()


async def test_a_send_that_waits_for_its_time_beats() -> None:
    here, there = trio.testing.memory_stream_pair()
    chain = RateLimit(items_per_s=1 / 30, direction="outbound")
    async with Pipeline(here, LineFramer() | TextCodec() | Heartbeat(20, ping) | chain) as pipeline:
        await pipeline.send("one")
        await pipeline.send("two")
    assert b"one\nping\ntwo\n" == await there.receive_some()


async def test_a_silent_peer_is_told_from_a_dead_one() -> None:
    """One that answers the beats lives; when it stops, the timeout strikes."""
    answers = 5

    @inbound
    def pongs(line: str) -> list[Any]:
        nonlocal answers
        answers -= 1
        return [line] if answers < 0 else [Reply("pong")]

    chain = IdleTimeout(30) | LineFramer() | TextCodec() | Heartbeat(20, ping)
    async with pipeline_pair(chain, LineFramer() | TextCodec() | pongs) as (near, far), trio.open_nursery() as nursery:

        @nursery.start_soon
        async def peer() -> None:
            with trio.move_on_after(1000):
                async for _ in far:
                    pass

        start = trio.current_time()
        with pytest.raises(StageTimeoutError):
            async for line in near:
                assert "pong" == line
        assert 5 * 20 + 30 == pytest.approx(trio.current_time() - start)
        nursery.cancel_scope.cancel()


async def test_a_peer_that_reads_nothing_is_sent_a_bounded_number() -> None:
    here, _there = trio.testing.lockstep_stream_pair()
    made = 0

    def beat() -> bytes:
        nonlocal made
        made += 1
        return b"x" * 1000

    with pytest.raises(trio.BrokenResourceError, match="10000 bytes unwritten, since the peer does not read"):
        async with Pipeline(here, Heartbeat(1, beat), max_reply_bytes=10_000) as pipeline:
            with trio.move_on_after(1000):
                await pipeline.receive()
    assert made < 20


async def test_cancelled_anywhere_nothing_is_lost() -> None:
    assert await check_cancellation(line_pair, wire=[b"a\n", b"b\n"], client=["c"])


@pytest.mark.real_time
async def test_on_a_socket() -> None:
    with trio.fail_after(60):
        one, two = await tcp_pair()
        chain = LineFramer() | TextCodec() | Heartbeat(0.05, ping)
        async with Pipeline(one, chain) as pipeline, two, trio.open_nursery() as nursery:
            nursery.start_soon(pipeline.receive)
            beats = b""
            while len(beats) < 15:
                beats += await two.receive_some()
            assert beats.startswith(b"ping\nping\nping\n")
            await two.send_all(b"enough\n")


# ---- building


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ((0, ping), ValueError, r"Heartbeat\(every=0\): must be a number, above 0, as in Heartbeat\(20, lambda"),
        ((20, "ping"), TypeError, "Heartbeat: make_item must be a function, not 'ping', as in Heartbeat"),
        ((20, trio.sleep), TypeError, "Heartbeat: make_item is an async function, but Heartbeat never waits"),
    ],
)
def test_what_is_refused(arguments: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        Heartbeat(*arguments)


def test_what_is_no_direction_is_refused() -> None:
    with pytest.raises(ValueError, match="Heartbeat: 'both' is no direction here, but one of 'inbound', 'outbound' is"):
        Heartbeat(20, ping, silence="both")  # type: ignore[arg-type]


def test_repr_shows_it_as_it_is_written() -> None:
    assert "Heartbeat(20, ping)" == repr(Heartbeat(20, ping))
