"""What goes wrong on a wire, to order: `Cut`, `Stall` and `Reset` between two pipelines."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from pipeline import Passthrough, Pipeline, outbound
from pipeline.testing import Cut, Reset, Stall, pipeline_pair
from pipeline.testing._faults import FaultyStream, Line


async def all_of_it(pipeline: Pipeline[Any, Any]) -> bytes:
    return b"".join([item async for item in pipeline])


@pytest.mark.parametrize("lockstep", [False, True])
async def test_a_cut_ends_one_direction_and_breaks_its_sender(lockstep: bool) -> None:
    """Three bytes arrive, then the end of the stream; the sender's end is broken, the other way works."""
    with pytest.raises(trio.BrokenResourceError, match="the connection was cut"):
        async with pipeline_pair(outbound(lambda item: [item]), Passthrough(), to_right=Cut(3), lockstep=lockstep) as (
            left,
            right,
        ):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(right.send, b"other way")
                assert b"other way" == await left.receive()
            async with trio.open_nursery() as nursery:

                async def send() -> None:
                    with pytest.raises(trio.BrokenResourceError, match="the connection was cut"):
                        await left.send(b"hello")

                nursery.start_soon(send)
                assert b"hel" == await all_of_it(right)
            await left.send(b"again")


@pytest.mark.parametrize("lockstep", [False, True])
async def test_a_reset_breaks_both_ends(lockstep: bool) -> None:
    """Three bytes arrive, then all four directions are broken, also for a task that waits."""

    async def broken(call: Any, *args: Any) -> None:
        with pytest.raises(trio.BrokenResourceError, match="reset"):
            await call(*args)

    with pytest.raises(ValueError, match="enough"):
        async with pipeline_pair(Passthrough(), Passthrough(), to_left=Reset(3), lockstep=lockstep) as (left, right):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(broken, right.send, b"hello")
                assert b"hel" == await left.receive()
                await broken(left.receive)
            await broken(right.receive)
            await broken(left.send, b"x")
            raise ValueError("enough")


async def test_behind_a_stall_nothing_arrives_and_nothing_fails() -> None:
    """Three bytes arrive, then nothing, and nothing fails; the next write waits, also for room."""
    async with pipeline_pair(Passthrough(), Passthrough(), to_right=Stall(3), close_seconds=1) as (left, right):
        await left.send(b"hello")
        assert b"hel" == await right.receive()
        with trio.move_on_after(10) as receiving:
            await right.receive()
        with trio.move_on_after(10) as sending:
            await left.send(b"again")
        with trio.move_on_after(10) as room:
            await left.transport.wait_send_all_might_not_block()

        assert receiving.cancelled_caught
        assert sending.cancelled_caught
        assert room.cancelled_caught


async def test_a_stalled_write_is_woken_by_closing() -> None:
    """The pipeline's other tasks get ClosedResourceError at once."""
    async with pipeline_pair(Passthrough(), Passthrough(), to_right=Stall(0), close_seconds=1) as (left, _):

        async def send() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await left.send(b"hello")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            await trio.testing.wait_all_tasks_blocked()
            await left.aclose()


async def test_a_stalled_stream_that_is_closed() -> None:
    """The stream itself wakes who writes to it."""
    pair = pipeline_pair(Passthrough(), Passthrough(), to_right=Stall(0), close_seconds=1)
    async with pair as (left, _), trio.open_nursery() as nursery:

        async def send() -> None:
            with pytest.raises(trio.ClosedResourceError, match="while it was stalled"):
                await left.transport.send_all(b"x")

        nursery.start_soon(send)
        await trio.testing.wait_all_tasks_blocked()
        await left.transport.aclose()


async def test_a_closed_stream_is_closed_not_broken() -> None:
    """Only a fault breaks; what was closed says so."""
    async with pipeline_pair(Passthrough(), Passthrough(), to_right=Cut(3)) as (left, _):
        await left.transport.aclose()
        with pytest.raises(trio.ClosedResourceError):
            await left.transport.send_all(b"x")


def streams(*, trickle: int | None = None) -> tuple[Line, FaultyStream, FaultyStream]:
    """A connection on which nothing goes wrong, and both of its ends."""
    line = Line(*trio.testing.memory_stream_pair())
    near, far = (FaultyStream(line, end, trickle=trickle, fault=None) for end in line.ends)
    return line, near, far


async def test_a_read_gives_no_more_than_the_trickle_nor_than_was_asked_for() -> None:
    _, near, far = streams(trickle=3)
    await near.send_all(b"hello!")
    assert b"he" == await far.receive_some(2)
    assert b"llo" == await far.receive_some(10)
    assert b"!" == await far.receive_some()


async def test_there_is_room_to_write_until_the_connection_is_reset() -> None:
    line, near, _ = streams()
    await near.wait_send_all_might_not_block()
    line.reset()
    with pytest.raises(trio.BrokenResourceError, match="the connection was reset"):
        await near.wait_send_all_might_not_block()


async def test_a_stream_that_is_closed_says_so_whatever_went_wrong_before() -> None:
    line, near, _ = streams()
    line.reset()
    await near.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await near.send_all(b"x")


async def test_bytes_count_up_to_a_fault_through_all_writes() -> None:
    async with pipeline_pair(Passthrough(), Passthrough(), to_right=Stall(5), close_seconds=1) as (left, right):
        for item in (b"he", b"llo, you"):
            await left.send(item)
        assert b"hello" == await right.receive()


async def test_an_end_ends_one_direction() -> None:
    _, near, far = streams()
    await near.send_eof()
    assert b"" == await far.receive_some()
    await far.send_all(b"x")
    assert b"x" == await near.receive_some()


async def test_a_write_that_comes_too_late_while_both_ends_close_is_lost() -> None:
    """As on a network; at any other time it says that the peer has gone."""
    line, near, far = streams()
    await far.aclose()
    with pytest.raises(trio.BrokenResourceError) as info:
        await near.send_all(b"x")
    assert "the connection was" not in str(info.value), "nothing has gone wrong"
    line.closing = True
    await near.send_all(b"x")
