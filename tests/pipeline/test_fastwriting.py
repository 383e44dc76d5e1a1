"""Sends over a socket while nothing else happens, and what is left when one is cut, fails, or a reply comes."""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

from pipeline import Duplex, Inbound, Outbound, Passthrough, Pipeline
from stages import LineFramer
from tests.pipeline.parts import Answers, Join, Lines, over_tcp, tcp_pair, turns_of_others
from tests.pipeline.wires import PATIENCE, all_of, clog, read_all, until


@asynccontextmanager
async def reply_behind_a_send(
    pipeline: Pipeline[Any, Any], there: trio.SocketStream, ping: bytes = b"ping"
) -> AsyncIterator[trio.CancelScope]:
    """A send is stuck on a clogged wire, and a receive that waits has left a reply to it; yields the send's scope."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pipeline.receive)
        scope = trio.CancelScope()

        @nursery.start_soon
        async def send() -> None:
            with scope:
                await pipeline.send(b"item")

        await trio.testing.wait_all_tasks_blocked(0.01)
        await there.send_all(ping + b"\n")
        await until(lambda: pipeline._engine.owes_replies)
        with trio.fail_after(PATIENCE):
            yield scope
        nursery.cancel_scope.cancel()


@pytest.mark.real_time
async def test_a_reply_that_is_given_while_a_quick_send_waits_goes_out_behind_it() -> None:
    async with over_tcp(Lines() | Answers()) as (pipeline, there):
        size = await clog(pipeline.transport)
        async with reply_behind_a_send(pipeline, there):
            assert (await all_of(there, size + 10)).endswith(b"item\npong\n")


@pytest.mark.real_time
async def test_closing_wakes_a_quick_send_that_is_blocked() -> None:
    """A send into a full socket raises ClosedResourceError when the pipeline is closed."""
    async with over_tcp(Join()) as (pipeline, there):
        await clog(pipeline.transport)
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def send() -> None:
                with pytest.raises(trio.ClosedResourceError):
                    await pipeline.send(b"x" * 1000)

            await trio.testing.wait_all_tasks_blocked(0.01)
            nursery.start_soon(pipeline.aclose)
            await there.send_eof()  # else closing would wait for it


@pytest.mark.real_time
async def test_a_quick_send_that_the_socket_takes_in_parts() -> None:
    """An item larger than the socket's buffer arrives whole, and the next one behind it."""
    size = 20_000_000
    async with (
        over_tcp(Join()) as (pipeline, there),
        trio.open_nursery() as nursery,
    ):

        @nursery.start_soon
        async def send() -> None:
            await pipeline.send(b"x" * size)
            await pipeline.send(b"end")

        assert b"x" * size + b"\nend\n" == await all_of(there, size + 5)


@pytest.mark.real_time
async def test_a_quick_send_to_a_peer_that_has_gone() -> None:
    """The transport's error breaks outbound; what came before is received."""
    async with tcp_pair() as (here, there):
        await there.send_all(b"last words\n")
        await there.aclose()
        async with Pipeline(here, Lines()) as pipeline:
            with pytest.raises(trio.BrokenResourceError):
                for _ in range(100):
                    await pipeline.send(b"x" * 10_000)
            with pytest.raises(trio.BrokenResourceError, match="outbound is broken"):
                await pipeline.send(b"x")


class Impatient(Duplex[bytes, bytes, bytes, bytes]):
    """Says "late" a while after what was sent last; nothing but a send sets the time."""

    class In(Inbound[bytes, bytes]):
        """Its deadline is moved by the other half."""

        def process_sync(self, item: bytes, /) -> list[bytes]:
            return [item]

        async def on_timer(self, now: float, /) -> list[bytes]:
            self.deadline = None
            return [b"late"]

    class Out(Outbound[bytes, bytes]):
        """Never waits and has no timer of its own, so that it goes the short way."""

        keeps_outbound_state = False

        def __init__(self, other: Impatient.In) -> None:
            self.other = other

        def process_sync(self, item: bytes, /) -> list[bytes]:
            self.other.deadline = self.other.now() + 0.02
            return [item]

    def __init__(self) -> None:
        self.inbound = Impatient.In()
        self.outbound = Impatient.Out(self.inbound)


@pytest.mark.real_time
@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("merge_writes", [False, True])
async def test_a_deadline_that_a_quick_send_moves_takes_effect_at_once(*, merge_writes: bool, many: bool) -> None:
    """A receive is waiting already, and nothing else will ever wake it (S12)."""
    async with (
        over_tcp(Impatient(), merge_writes=merge_writes) as (pipeline, _there),
        trio.open_nursery() as nursery,
    ):

        @nursery.start_soon
        async def receive() -> None:
            with trio.fail_after(PATIENCE):
                assert b"late" == await pipeline.receive()
            nursery.cancel_scope.cancel()

        await trio.testing.wait_all_tasks_blocked()
        await (pipeline.send_many([b"x"]) if many else pipeline.send(b"x"))


class Ahead(Outbound[bytes, bytes]):
    """Goes ahead with what is sent, and ends with a mark that all was said."""

    def process_sync(self, item: bytes, /) -> list[bytes]:
        return [item]

    async def finish(self) -> list[bytes]:
        return [b"<all>"]


@pytest.mark.real_time
@pytest.mark.parametrize(("many", "end"), [(False, b""), (True, b"item<all>")])
async def test_closing_while_a_quick_send_has_written_nothing(*, many: bool, end: bytes) -> None:
    """A stage that is ahead of the wire is not finished (P8); what counts whatever happens is written by aclose()."""
    async with tcp_pair() as (here, there), trio.open_nursery() as nursery:
        pipeline = Pipeline(here, Ahead(), close_seconds=PATIENCE)
        await pipeline.send(b"first")
        size = await clog(here)

        @nursery.start_soon
        async def send() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await (pipeline.send_many([b"item"]) if many else pipeline.send(b"item"))

        await trio.testing.wait_all_tasks_blocked(0.01)
        nursery.start_soon(pipeline.aclose)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert end == (await read_all(there))[5 + size :]
        await there.aclose()


@pytest.mark.real_time
async def test_a_reply_left_to_a_send_that_is_cancelled_is_written_by_the_receive_that_waits() -> None:
    """The receive waits for input already, and nothing else may ever happen (P14)."""
    async with over_tcp(Lines() | Answers()) as (pipeline, there):
        size = await clog(pipeline.transport)
        async with reply_behind_a_send(pipeline, there) as send:
            send.cancel()
            assert (await all_of(there, size + 5)).endswith(b"pong\n")


async def test_a_send_that_is_cancelled_when_a_part_is_written_goes_on_with_the_next_write() -> None:
    async with over_tcp(Join()) as (pipeline, there):
        size = 20_000_000
        with trio.move_on_after(0.05) as scope:
            await pipeline.send(b"x" * size)
        assert scope.cancelled_caught
        assert pipeline.cut_send_goes_out
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pipeline.send, b"next")
            assert b"x\nnext\n" == (await all_of(there, size + 6))[-7:]


@pytest.mark.real_time
async def test_a_peer_that_goes_in_the_middle_of_an_item_breaks_outbound() -> None:
    async with over_tcp(Join()) as (pipeline, there):

        async def read_some_and_reset() -> None:
            await all_of(there, 100_000)
            there.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            await there.aclose()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read_some_and_reset)
            with pytest.raises(trio.BrokenResourceError, match="socket connection broken"):
                await pipeline.send(b"x" * 20_000_000)
        with pytest.raises(trio.BrokenResourceError, match="outbound is broken"):
            await pipeline.send(b"y")


class Awaits(Outbound[bytes, bytes]):
    """Might wait, so that nothing goes the short way."""

    keeps_outbound_state = False

    async def process(self, item: bytes, /) -> list[bytes]:
        return [item]


@pytest.mark.real_time
@pytest.mark.parametrize("stage", [Passthrough, Awaits])
async def test_a_send_that_is_cancelled_in_the_replies_behind_it_has_gone_out(*, stage: type[Any]) -> None:
    """Who sends through it, as a pipeline on top does, must not take it for one that had no effect (P10)."""
    async with tcp_pair() as (here, there):
        pipeline = Pipeline(here, Lines() | Answers() | stage())
        await pipeline.send(b"")
        size = 1 + await clog(here)
        async with reply_behind_a_send(pipeline, there, b"ping 20000000") as send:
            assert b"item\npong." == (await all_of(there, size + 10))[size : size + 10]
            await trio.testing.wait_all_tasks_blocked(0.01)
            send.cancel()
            await until(lambda: send.cancelled_caught)
            assert pipeline.cut_send_goes_out
        await there.aclose()
        with pytest.raises(trio.BrokenResourceError):
            await pipeline.aclose()


@pytest.mark.real_time
@pytest.mark.parametrize("keeps_state", [False, True])
async def test_a_stage_that_refuses_an_item_says_so_and_the_next_one_goes_out(*, keeps_state: bool) -> None:
    """Whether or not there had to be a checkpoint before."""

    class Refuses(Outbound[bytes, bytes]):
        keeps_outbound_state = keeps_state

        def process_sync(self, item: bytes, /) -> list[bytes]:
            if item == b"bad":
                raise ValueError("refused")
            return [item]

    async with over_tcp(Refuses()) as (pipeline, there):
        for item in (b"one", b"two"):
            await pipeline.send(item)
            assert item == await there.receive_some()
            with pytest.raises(ValueError, match="refused"):
                await pipeline.send(b"bad")


# ---- merged


@pytest.mark.real_time
@pytest.mark.short_ways
async def test_merged_sends_go_out_at_64_kib_and_pass_through_the_scheduler() -> None:
    """A send that only buffers need not, each time; after a thousand it does."""
    async with tcp_pair() as (near, far), Pipeline(near, LineFramer(100_000), merge_writes=True) as pipeline:
        async with turns_of_others() as turns:
            for _ in range(4500):
                await pipeline.send(b"x")
        assert 2 <= turns.count <= 10
        await pipeline.send(b"y" * 65536)
        assert len(await far.receive_some(10_000)) > 5000  # nobody had to flush
        await far.aclose()


@pytest.mark.real_time
@pytest.mark.parametrize("peer", ["reads", "does not read", "is gone"])
async def test_what_was_merged_goes_out_before_the_next_read(peer: str) -> None:
    """Where there is room; where there is none, or the wire is broken, receiving goes on."""
    async with tcp_pair() as (near, far):
        pipeline = Pipeline(near, LineFramer(1 << 20), merge_writes=True, close_seconds=0)
        try:
            await far.send_all(b"1\n")
            assert b"1" == await pipeline.receive()
            if peer == "does not read":
                await clog(near)
            elif peer == "is gone":
                near.socket.shutdown(trio.socket.SHUT_WR)
            await pipeline.send(b"answer")
            await far.send_all(b"2\n")
            assert b"2" == await pipeline.receive()
            if peer == "reads":
                assert b"answer\n" == await far.receive_some()
        finally:
            await trio.aclose_forcefully(pipeline)
