"""FrameTimeout: a peer that begins something and never ends it."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from pipeline import Pipeline, PipelineError, StageTimeoutError
from pipeline.testing import Harness, check_cancellation
from stages import FrameTimeout, JSONCodec, LengthFramer, LineFramer, Logger, RateLimit, TextCodec
from tests.pipeline.wires import tcp_pair


def test_it_changes_nothing() -> None:
    harness = Harness(LineFramer() | FrameTimeout(10))
    assert [b"a", b"", b"b"] == harness.receive(b"a\n\nb\n")
    assert [b"c\n"] == harness.send(b"c")
    assert [] == harness.finish() + harness.send_eof()


def test_bytes_that_drip_do_not_extend_the_time() -> None:
    harness = Harness(LineFramer() | FrameTimeout(10))
    for _ in range(10):
        harness.receive(b"x")
        assert [] == harness.advance(0.99)
    with pytest.raises(
        StageTimeoutError,
        match=r"FrameTimeout\(10\): a frame is still incomplete 10 seconds after it was begun; 10 bytes \(or items\)",
    ):
        harness.advance(0.1)


def test_silence_between_frames_may_last() -> None:
    harness = Harness(LineFramer() | FrameTimeout(10))
    harness.advance(1000)
    assert [b"a"] == harness.receive(b"a\n")
    harness.advance(1000)
    harness.receive(b"b")
    harness.advance(9)
    assert [b"b"] == harness.receive(b"\n")
    harness.advance(1000)


def test_each_frame_has_its_own_time() -> None:
    """Also where the next one is begun in the same piece as the last one ends."""
    harness = Harness(LineFramer() | FrameTimeout(10))
    for _ in range(5):
        harness.receive(b"begun")
        harness.advance(9)
        assert [b"begun"] == harness.receive(b"\n")
    harness.receive(b"x")
    for _ in range(5):
        harness.advance(9)
        assert 1 == len(harness.receive(b"\nnext"))
    with pytest.raises(StageTimeoutError):
        harness.advance(10)


def test_a_frame_that_is_being_dropped_has_no_more_time() -> None:
    harness = Harness(LineFramer(3, oversize="skip") | FrameTimeout(10))
    harness.receive(b"too long")
    harness.advance(9)
    harness.receive(b"and still the same")
    with pytest.raises(StageTimeoutError):
        harness.advance(1)


@pytest.mark.parametrize(
    ("chain", "begun"),
    [
        (lambda: LengthFramer() | FrameTimeout(10), b"\0"),
        (lambda: LengthFramer() | FrameTimeout(10), b"\0\0\0\5hell"),
        (lambda: LineFramer() | Logger() | FrameTimeout(10) | JSONCodec(), b"{"),
        (lambda: TextCodec() | FrameTimeout(10), b"\xe2\x82"),
    ],
)
def test_whatever_holds_something_below(chain: Any, begun: bytes) -> None:
    harness = Harness(chain())
    harness.advance(100)
    harness.receive(begun)
    with pytest.raises(StageTimeoutError):
        harness.advance(10)


@pytest.mark.parametrize("chain", [lambda: FrameTimeout(3) | LineFramer(), lambda: Logger() | FrameTimeout(3)])
def test_where_nothing_can_be_known_of_frames_it_says_so_at_once(chain: Any) -> None:
    """A timeout that never strikes would be worse than none."""
    with pytest.raises(PipelineError, match=r"Put it behind a framer: LineFramer\(\) \| FrameTimeout\(3\) \| ..."):
        Harness(chain())


# ---- on a pipeline


async def test_a_peer_that_drips() -> None:
    here, there = trio.testing.memory_stream_pair()

    async def drip() -> None:
        while True:
            await there.send_all(b"x")
            await trio.sleep(1)

    async with Pipeline(here, LineFramer() | FrameTimeout(10)) as pipeline, trio.open_nursery() as nursery:
        start = trio.current_time()
        nursery.start_soon(drip)
        with pytest.raises(StageTimeoutError):
            await pipeline.receive()
        assert 10 == pytest.approx(trio.current_time() - start)
        nursery.cancel_scope.cancel()


async def test_a_client_that_is_slow_between_two_frames_takes_nothing_from_the_peers_time() -> None:
    here, there = trio.testing.memory_stream_pair()
    async with Pipeline(here, LineFramer() | FrameTimeout(10)) as pipeline:
        await there.send_all(b"a\nb")
        assert b"a" == await pipeline.receive()
        await trio.sleep(1000)
        start = trio.current_time()
        with pytest.raises(StageTimeoutError):
            await pipeline.receive()
        assert 10 == pytest.approx(trio.current_time() - start)


async def test_a_frame_that_is_there_by_now_is_taken_before_it_is_judged() -> None:
    here, there = trio.testing.memory_stream_pair()
    async with Pipeline(here, LineFramer() | FrameTimeout(10)) as pipeline:
        await there.send_all(b"a")
        with trio.move_on_after(5):
            await pipeline.receive()
        await there.send_all(b"\n")
        await trio.sleep(1000)
        assert b"a" == await pipeline.receive()


async def test_a_peer_that_is_not_read_is_not_slow() -> None:
    here, there = trio.testing.memory_stream_pair()
    async with Pipeline(here, LineFramer() | FrameTimeout(3) | RateLimit(items_per_s=0.1)) as pipeline:
        await there.send_all(b"a\nb\nc")
        assert [b"a", b"b"] == [await pipeline.receive(), await pipeline.receive()]
        start = trio.current_time()
        with pytest.raises(StageTimeoutError):
            await pipeline.receive()
        assert 13 == pytest.approx(trio.current_time() - start)


async def test_cancelled_anywhere_nothing_is_lost() -> None:
    assert await check_cancellation(lambda: LineFramer() | FrameTimeout(30), wire=[b"a", b"\nb\n"], client=[b"c"])


@pytest.mark.real_time
async def test_on_a_socket() -> None:
    with trio.fail_after(60):
        one, two = await tcp_pair()

        async def drip() -> None:
            while True:
                await two.send_all(b"x")
                await trio.sleep(0.02)

        async with Pipeline(one, LineFramer() | FrameTimeout(0.2)) as pipeline, two:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(drip)
                with pytest.raises(StageTimeoutError):
                    await pipeline.receive()
                nursery.cancel_scope.cancel()
            await pipeline.send(b"408")
            assert b"408\n" == await two.receive_some()


@pytest.mark.parametrize(("seconds", "kind"), [(0, ValueError), ("5", TypeError)])
def test_what_is_no_time_is_refused(seconds: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=r"FrameTimeout\(seconds=.*\): must be a number, above 0, as in FrameTimeout\(10\)"):
        FrameTimeout(seconds)


def test_repr_shows_it_as_it_is_written() -> None:
    assert "FrameTimeout(10)" == repr(FrameTimeout(10))
