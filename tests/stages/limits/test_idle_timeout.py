"""IdleTimeout: a peer that says nothing."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from pipeline import Pipeline, StageTimeoutError
from pipeline.testing import Harness, check_cancellation, check_tap
from stages import IdleTimeout, LineFramer, RateLimit
from tests.pipeline.wires import read_all, tcp_pair


def test_it_changes_nothing() -> None:
    check_tap(lambda: IdleTimeout(30))


def test_silence_is_an_error_that_has_both_numbers() -> None:
    harness = Harness(IdleTimeout(30))
    harness.advance(29)
    harness.receive("b")
    harness.advance(29)
    with pytest.raises(
        StageTimeoutError, match=r"IdleTimeout\(30\): nothing has come from the peer for 30 seconds\. Raise seconds"
    ):
        harness.advance(1)


def test_what_counts_is_what_passes_its_place() -> None:
    at_the_wire, behind = Harness(IdleTimeout(3) | LineFramer()), Harness(LineFramer() | IdleTimeout(3))
    for harness in (at_the_wire, behind):
        harness.advance(2)
        harness.receive(b"half a li")
    at_the_wire.advance(2)
    with pytest.raises(StageTimeoutError):
        behind.advance(2)


async def test_a_silent_peer() -> None:
    here, there = trio.testing.memory_stream_pair()
    async with Pipeline(here, LineFramer() | IdleTimeout(30)) as pipeline:
        await there.send_all(b"one\n")
        assert b"one" == await pipeline.receive()
        start = trio.current_time()
        with pytest.raises(StageTimeoutError):
            await pipeline.receive()
        assert 30 == pytest.approx(trio.current_time() - start)
        with pytest.raises(trio.BrokenResourceError):
            await pipeline.receive()
        await pipeline.send(b"408")
    assert b"408\n" == await there.receive_some()


async def test_a_peer_that_says_something_now_and_then() -> None:
    here, there = trio.testing.memory_stream_pair()

    async def peer() -> None:
        for _ in range(5):
            await trio.sleep(29)
            await there.send_all(b"still here\n")
        await there.send_eof()

    async with Pipeline(here, LineFramer() | IdleTimeout(30)) as pipeline, trio.open_nursery() as nursery:
        nursery.start_soon(peer)
        assert [b"still here"] * 5 == [line async for line in pipeline]


async def test_a_slow_client_is_no_idle_peer() -> None:
    """However long it stays away: what came meanwhile is read first, and else the time begins now."""
    here, there = trio.testing.memory_stream_pair()
    async with Pipeline(here, LineFramer() | IdleTimeout(30)) as pipeline:
        for _ in range(2):
            with trio.move_on_after(1):
                await pipeline.receive()
            await there.send_all(b"came in time\n")
            await trio.sleep(1000)
            assert b"came in time" == await pipeline.receive()
        await trio.sleep(1000)
        await pipeline.send(b"an answer that took long")
        await trio.sleep(1000)
        start = trio.current_time()
        with pytest.raises(StageTimeoutError):
            await pipeline.receive()
        assert 30 == pytest.approx(trio.current_time() - start)


async def test_a_peer_that_is_not_read_is_not_idle() -> None:
    """While another limit keeps the wire from being read, nobody knows whether the peer is silent."""
    here, there = trio.testing.memory_stream_pair()
    async with Pipeline(here, IdleTimeout(3) | LineFramer() | RateLimit(items_per_s=0.1)) as pipeline:
        await there.send_all(b"a\nb\n")
        assert [b"a", b"b"] == [await pipeline.receive(), await pipeline.receive()]
        start = trio.current_time()
        with pytest.raises(StageTimeoutError):
            await pipeline.receive()
        assert 13 == pytest.approx(trio.current_time() - start)


async def test_it_strikes_in_a_send_that_waits_its_turn() -> None:
    here, there = trio.testing.lockstep_stream_pair()
    async with trio.open_nursery() as nursery, Pipeline(here, LineFramer() | IdleTimeout(5)) as pipeline:
        nursery.start_soon(pipeline.send, b"nobody reads this")
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(StageTimeoutError), trio.fail_after(100):
            await pipeline.send(b"so this waits")
        nursery.start_soon(read_all, there)
        await trio.testing.wait_all_tasks_blocked()


async def test_cancelled_anywhere_nothing_is_lost() -> None:
    assert await check_cancellation(lambda: LineFramer() | IdleTimeout(30), wire=[b"a\n", b"b\n"], client=[b"c"])


@pytest.mark.real_time
async def test_on_a_socket() -> None:
    with trio.fail_after(60):
        one, two = await tcp_pair()
        async with Pipeline(one, LineFramer() | IdleTimeout(0.1)) as pipeline, two:
            await two.send_all(b"one\n")
            assert b"one" == await pipeline.receive()
            with pytest.raises(StageTimeoutError):
                await pipeline.receive()
            await pipeline.send(b"bye")
            assert b"bye\n" == await two.receive_some()


@pytest.mark.parametrize(("seconds", "kind"), [(0, ValueError), ("5", TypeError)])
def test_what_is_no_time_is_refused(seconds: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=r"IdleTimeout\(seconds=.*\): must be a number, above 0, as in IdleTimeout\(30\)"):
        IdleTimeout(seconds)


def test_repr_shows_it_as_it_is_written() -> None:
    assert "IdleTimeout(30)" == repr(IdleTimeout(30))
