"""`as_stream()`: a pipeline of bytes keeps trio's own rules for streams."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from pipeline import Inbound, Passthrough, Pipeline, Reply, inbound
from tests.pipeline.wires import PATIENCE, Clogged, Closing, Recorder, clog, small_buffers, tcp_pair, tls


async def streams(near: Any, far: Any) -> tuple[Any, Any]:
    """Both ends, entered at once so that handshakes meet, as streams."""
    pipelines = Pipeline(near, Passthrough()), Pipeline(far, Passthrough())
    async with trio.open_nursery() as nursery:
        for pipeline in pipelines:
            nursery.start_soon(pipeline.__aenter__)
    return pipelines[0].as_stream(), pipelines[1].as_stream()


async def memory_streams() -> tuple[Any, Any]:
    return await streams(*trio.testing.memory_stream_pair())


async def lockstep_streams() -> tuple[Any, Any]:
    return await streams(*trio.testing.lockstep_stream_pair())


async def tcp_streams() -> tuple[Any, Any]:
    return await streams(*await tcp_pair())


async def clogged_tcp_streams() -> tuple[Any, Any]:
    near, far = await tcp_pair()
    small_buffers(near, far)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(clog, near)
        nursery.start_soon(clog, far)
    return await streams(near, far)


async def tls_streams() -> tuple[Any, Any]:
    return await streams(*tls(*await tcp_pair()))


async def channel_streams() -> tuple[Any, Any]:
    there, from_there = trio.open_memory_channel[bytes](1)
    back, from_back = trio.open_memory_channel[bytes](1)
    return await streams((from_back, there), (from_there, back))


async def one_channel_streams() -> tuple[Any, Any]:
    """Over channels that cannot half-close."""
    there, from_there = trio.open_memory_channel[bytes](1)
    back, from_back = trio.open_memory_channel[bytes](1)
    return await streams(_Channel(there, from_back), _Channel(back, from_there))


class _Channel(trio.abc.Channel[bytes]):
    """Both halves as one object."""

    def __init__(self, sending: trio.MemorySendChannel[bytes], receiving: trio.MemoryReceiveChannel[bytes]) -> None:
        self._sending, self._receiving = sending, receiving

    async def send(self, value: bytes) -> None:
        await self._sending.send(value)

    async def receive(self) -> bytes:
        return await self._receiving.receive()

    async def aclose(self) -> None:
        try:
            await self._sending.aclose()
        finally:
            await self._receiving.aclose()


@pytest.mark.parametrize("maker", [memory_streams, lockstep_streams, channel_streams])
async def test_trios_rules_in_memory(maker: Any) -> None:
    """Trio's check of half-closeable streams passes."""
    await trio.testing.check_half_closeable_stream(maker, None)


async def test_trios_rules_over_tcp() -> None:
    """Trio's check passes, also where it needs a connection that takes nothing more."""
    await trio.testing.check_half_closeable_stream(tcp_streams, clogged_tcp_streams)


@pytest.mark.parametrize("maker", [tls_streams, one_channel_streams])
async def test_trios_rules_without_half_close(maker: Any) -> None:
    """Trio's check of two-way streams passes."""
    await trio.testing.check_two_way_stream(maker, None)


async def test_it_is_half_closeable_where_the_transport_is() -> None:
    """Its class says so, as trio's streams do."""
    near, _ = await memory_streams()
    plain, _ = await one_channel_streams()

    assert isinstance(near, trio.abc.HalfCloseableStream)
    assert not isinstance(plain, trio.abc.HalfCloseableStream)


async def test_items_are_cut_to_max_bytes() -> None:
    """The rest of an item comes next; two items are never joined; an empty one is not the end."""
    near, far = trio.testing.memory_stream_pair()
    await far.send_all(b"abc")
    await far.send_eof()
    stream = Pipeline(near, inbound(lambda item: [b"", item, b"", b"d"])).as_stream()

    assert [b"ab", b"c", b"d", b"", b""] == [await stream.receive_some(2) for _ in range(5)]


async def test_a_tls_stream_stands_on_it() -> None:
    """A pipeline can be the transport below trio's TLS."""
    near, far = tls(*await memory_streams())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(near.send_all, b"secret")
        assert b"secret" == await far.receive_some()


async def test_an_empty_send_writes_what_was_merged() -> None:
    """It is a flush."""
    transport = Recorder()
    stream = Pipeline(transport, Passthrough(), merge_writes=True).as_stream()
    await stream.send_all(b"a")
    await stream.send_all(b"b")
    assert [] == transport.writes
    await stream.send_all(b"")

    assert [b"ab"] == transport.writes


async def test_using_it_enters_the_pipeline() -> None:
    """As receive() and send() do."""
    near, far = trio.testing.memory_stream_pair()
    stage = Closing()
    async with Pipeline(near, stage).as_stream() as stream:
        await stream.send_all(b"x")

    assert b"x." == await far.receive_some()
    assert 1 == stage.finished


@pytest.mark.parametrize("broken", [False, True])
async def test_waiting_for_room_where_there_never_is_any(broken: bool) -> None:
    """Where nothing can be sent it returns at once; the next send tells why."""
    there, from_there = trio.testing.memory_stream_one_way_pair()
    pipeline = Pipeline(there if broken else from_there, Passthrough())
    stream = pipeline.as_stream()
    if broken:
        await from_there.aclose()
        with pytest.raises(trio.BrokenResourceError):
            await stream.send_all(b"x")
    await stream.wait_send_all_might_not_block()

    with pytest.raises(trio.BrokenResourceError):
        await stream.send_all(b"x")


async def test_closing_wakes_a_task_that_waits_for_room() -> None:
    """It gets ClosedResourceError at once."""
    pipeline = Pipeline(Clogged(), Passthrough())
    stream = pipeline.as_stream()
    async with trio.open_nursery() as nursery:

        async def wait() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await stream.wait_send_all_might_not_block()

        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        await stream.aclose()

    assert 0 == trio.current_time()


class _Answers(Inbound[bytes, bytes]):
    """Answers every chunk."""

    def process_sync(self, item: bytes, /) -> list[Any]:
        return [Reply(item)]


@pytest.mark.real_time
@pytest.mark.parametrize("first", ["wait", "receive"])
async def test_replies_and_waiting_for_room_do_not_disturb_each_other(first: str) -> None:
    """A receive that writes replies may wait for room as well; both go on when there is some."""
    near, far = await tcp_pair()
    async with far:
        filled = await clog(near)
        pipeline = Pipeline(near, _Answers())
        stream = pipeline.as_stream()
        await pipeline.__aenter__()
        await far.send_all(b"ping")
        async with trio.open_nursery() as nursery, trio.open_nursery() as waiting:
            calls: list[Any] = [stream.wait_send_all_might_not_block, stream.receive_some]
            for call in calls if first == "wait" else calls[::-1]:
                (waiting if call == calls[0] else nursery).start_soon(call)
                await trio.testing.wait_all_tasks_blocked(0.005)
            wire = b""
            with trio.fail_after(PATIENCE):
                while len(wire) < filled + 4:
                    wire += await far.receive_some()
            nursery.cancel_scope.cancel()
        assert b"ping" == wire[filled:]
        await far.aclose()
        await pipeline.aclose()
