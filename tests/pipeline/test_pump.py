"""P13: `pump` copies both ways until both have ended."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

from pipeline import Passthrough, Pipeline, inbound, pump
from tests.pipeline.wires import PATIENCE, Closing, Lines, read_all, tcp_pair, tls


async def entered(*pipelines: Pipeline[Any, Any]) -> None:
    """Enter them at once, so that handshakes meet."""
    async with trio.open_nursery() as nursery:
        for pipeline in pipelines:
            nursery.start_soon(pipeline.__aenter__)


@asynccontextmanager
async def pumping(a: Any, b: Any) -> AsyncIterator[None]:
    """`pump` runs, ends by itself, and then both sides are closed."""

    async def run() -> None:
        await pump(a, b)
        for side in (a, b):
            await side.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        with trio.fail_after(PATIENCE):
            yield


@pytest.mark.real_time
async def test_half_closes_over_tcp() -> None:
    """Each side's end is passed on, and the other direction goes on."""
    (client, near), (far, server) = await tcp_pair(), await tcp_pair()
    async with pumping(Pipeline(near, Passthrough()), Pipeline(far, Passthrough())):
        await client.send_all(b"question")
        await client.send_eof()
        assert b"question" == await read_all(server)
        await server.send_all(b"answer")
        await server.send_eof()
        assert b"answer" == await read_all(client)
        await client.aclose()
        await server.aclose()


@pytest.mark.real_time
async def test_the_stages_on_the_way_finish_when_a_side_ends() -> None:
    """A pump translates between two protocols to the last byte."""
    (client, near), (far, server) = await tcp_pair(), await tcp_pair()
    closing = Closing()
    async with pumping(Pipeline(near, Passthrough(Lines())), Pipeline(far, closing)):
        await client.send_all(b"one\ntwo\n")
        await client.send_eof()
        assert b"onetwo." == await read_all(server)
        await server.aclose()
        await client.aclose()

    assert (1, 1) == (closing.finished, closing.closed)


@pytest.mark.real_time
@pytest.mark.parametrize("tls_first", [True, False])
async def test_over_tls_the_end_closes_the_other_side(tls_first: bool) -> None:
    """What was read before is written first, all of it; TLS cannot half-close."""
    (client, near), (raw_far, raw_server) = await tcp_pair(), await tcp_pair()
    far, server = tls(raw_far, raw_server)
    plain, secure = Pipeline(near, Passthrough()), Pipeline(far, Passthrough())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.do_handshake)
        await entered(plain, secure)
    sides = (secure, plain) if tls_first else (plain, secure)
    data = bytes(500_000)
    async with pumping(*sides):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_send_and_end, client, data)
            assert data == await read_all(server)
        assert b"" == await read_all(client)
        await client.aclose()
        await trio.aclose_forcefully(server)


async def _send_and_end(stream: trio.SocketStream, data: bytes) -> None:
    await stream.send_all(data)
    await stream.send_eof()


@pytest.mark.real_time
async def test_the_end_of_a_tls_side_half_closes_the_other_one() -> None:
    """The plain side can still answer to its own end; what comes then is lost with the TLS side, which is gone."""
    (client, near), (raw_far, raw_server) = await tcp_pair(), await tcp_pair()
    far, server = tls(raw_far, raw_server)
    plain, secure = Pipeline(near, Passthrough()), Pipeline(far, Passthrough())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.do_handshake)
        await entered(plain, secure)
    async with pumping(plain, secure):
        await server.send_all(b"last words")
        await server.aclose()
        assert b"last words" == await read_all(client)
        await client.aclose()


async def test_channels_without_half_close() -> None:
    """Plain trio channels are pumped too; where one ends the other is closed."""
    (to_a, a_in), (a_out, from_a) = trio.open_memory_channel[int](9), trio.open_memory_channel[int](9)
    (to_b, b_in), (b_out, from_b) = trio.open_memory_channel[int](9), trio.open_memory_channel[int](9)
    a, b = _Channel(a_in, a_out), _Channel(b_in, b_out)
    for number in (1, 2, 3):
        await to_a.send(number)
    await to_a.aclose()
    await to_b.send(9)
    await pump(a, b)

    assert [1, 2, 3] == [number async for number in from_b]
    assert [9] == [number async for number in from_a]
    assert b.closed


class _Channel(trio.abc.Channel[Any]):
    """Two halves as one channel, which counts how often it is closed."""

    def __init__(self, receiving: trio.MemoryReceiveChannel[Any], sending: trio.MemorySendChannel[Any]) -> None:
        self._receiving, self._sending = receiving, sending
        self.closed = 0

    async def send(self, value: Any) -> None:
        await self._sending.send(value)

    async def receive(self) -> Any:
        return await self._receiving.receive()

    async def aclose(self) -> None:
        self.closed += 1
        self._sending.close()
        self._receiving.close()
        await trio.lowlevel.checkpoint()


@pytest.mark.parametrize("failing_first", [True, False])
async def test_the_first_error_is_raised_itself(failing_first: bool) -> None:
    """Not in a group; the other direction is cancelled, and neither side is closed."""
    near, far = trio.testing.memory_stream_pair()
    other, _ = trio.testing.memory_stream_pair()

    def fail(item: bytes) -> list[bytes]:
        raise ValueError("in a stage")

    failing, good = Pipeline(near, inbound(fail)), Pipeline(other, Passthrough())
    await far.send_all(b"x")
    with pytest.raises(ValueError, match="in a stage"):
        await pump(*((failing, good) if failing_first else (good, failing)))

    await good.send(b"still open")


@pytest.mark.real_time
async def test_a_side_that_is_reset_is_an_error() -> None:
    """Its BrokenResourceError is raised."""
    (client, near), (far, server) = await tcp_pair(), await tcp_pair()
    a, b = Pipeline(near, Passthrough()), Pipeline(far, Passthrough())
    async with server, a, b:
        await a.send(b"unread")
        await trio.aclose_forcefully(client)
        with pytest.raises(trio.BrokenResourceError):
            await pump(a, b)
        await server.aclose()


async def test_a_side_that_somebody_else_closes_is_an_error() -> None:
    """Only what pump closes itself counts as an end."""
    a = Pipeline(trio.testing.memory_stream_pair()[0], Passthrough())
    b = Pipeline(trio.testing.memory_stream_pair()[0], Passthrough())
    async with trio.open_nursery() as nursery:

        async def run() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await pump(a, b)

        nursery.start_soon(run)
        await trio.testing.wait_all_tasks_blocked()
        await a.aclose()


async def test_it_can_be_cancelled() -> None:
    """Both directions end; closing the sides is the caller's."""
    near, _ = trio.testing.memory_stream_pair()
    other, _ = trio.testing.memory_stream_pair()
    with trio.move_on_after(1) as scope:
        await pump(Pipeline(near, Passthrough()), Pipeline(other, Passthrough()))

    assert scope.cancelled_caught


async def test_what_a_side_has_read_is_written_before_it_is_closed() -> None:
    """An item that is on its way to one side arrives, though the other side has ended and was closed."""
    (to_a, a_in), (a_out, from_a) = trio.open_memory_channel[int](9), trio.open_memory_channel[int](0)
    (to_b, b_in), (b_out, from_b) = trio.open_memory_channel[int](9), trio.open_memory_channel[int](9)
    a, b = _Channel(a_in, a_out), _Channel(b_in, b_out)
    await to_b.send(1)  # b -> a is blocked in a.send()
    received: list[int] = []
    async with pumping(a, b):
        await trio.testing.wait_all_tasks_blocked()
        await to_a.aclose()  # a has ended, so b is closed
        await trio.testing.wait_all_tasks_blocked()
        assert b.closed
        received.extend([number async for number in from_a])

    assert [1] == received
    assert [] == [number async for number in from_b]


async def test_a_stream_is_no_pipeline() -> None:
    near, far = trio.testing.memory_stream_pair()
    pipeline = Pipeline(near, Passthrough())
    for sides in (pipeline, far), (far, pipeline):
        with pytest.raises(TypeError, match=r"a StapledStream has not: pump\(pipeline, Pipeline\("):
            await pump(*sides)
