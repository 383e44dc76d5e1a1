"""P7, P10, P11, P12: every kind of transport under a pipeline."""

from __future__ import annotations

import os
import socket
import ssl
import struct
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing

from pipeline import END, HalfCloseError, Inbound, Outbound, Passthrough, Pipeline, Reply, inbound, outbound
from pipeline._transport import NOTHING, WAITS, DirectReader, DirectWriter, SocketReader, SocketWriter, Wire
from tests.pipeline import parts
from tests.pipeline.wires import (
    PATIENCE,
    Clogged,
    Closing,
    Lines,
    Recorder,
    both_closed,
    clog,
    read_all,
    small_buffers,
    tcp_pair,
    tls,
    tls_contexts,
    unix_pair,
    until,
)


class Late(Outbound[bytes, bytes]):
    """`async def`, though it never waits."""

    async def process(self, item: bytes, /) -> list[bytes]:
        return [item]


class Answers(Inbound[Any, Any]):
    """Replies what it gets, many times over."""

    def __init__(self, times: int = 1) -> None:
        self.times = times

    def process_sync(self, item: Any, /) -> list[Any]:
        return [Reply(item)] * self.times


async def memory_pair() -> tuple[Any, Any]:
    await trio.lowlevel.checkpoint()
    return trio.testing.memory_stream_pair()


async def lockstep_pair() -> tuple[Any, Any]:
    await trio.lowlevel.checkpoint()
    return trio.testing.lockstep_stream_pair()


async def halves_pair() -> tuple[Any, Any]:
    """Two one-way streams on each side."""
    await trio.lowlevel.checkpoint()
    (there, from_there), (back, from_back) = (trio.testing.memory_stream_one_way_pair() for _ in range(2))
    return (from_back, there), (from_there, back)


async def tls_pair() -> tuple[Any, Any]:
    return tls(*await tcp_pair())


async def tls_in_memory() -> tuple[Any, Any]:
    return tls(*await memory_pair())


async def stacked_pair() -> tuple[Any, Any]:
    """Each transport is itself a pipeline."""
    near, far = await memory_pair()
    return Pipeline(near, Passthrough()), Pipeline(far, Passthrough())


async def stream_pair() -> tuple[Any, Any]:
    """Each transport is a pipeline that looks like a stream."""
    near, far = await tcp_pair()
    return Pipeline(near, Passthrough()).as_stream(), Pipeline(far, Passthrough()).as_stream()


async def channel_pair() -> tuple[Any, Any]:
    """Two memory channels on each side."""
    await trio.lowlevel.checkpoint()
    there, from_there = trio.open_memory_channel[bytes](0)
    back, from_back = trio.open_memory_channel[bytes](10)
    return (from_back, there), (from_there, back)


HALF_CLOSEABLE = [
    tcp_pair,
    unix_pair,
    memory_pair,
    lockstep_pair,
    halves_pair,
    stacked_pair,
    stream_pair,
    channel_pair,
]
EVERY = [*HALF_CLOSEABLE, tls_pair, tls_in_memory]


@pytest.mark.real_time
@pytest.mark.parametrize("make_pair", EVERY)
async def test_items_go_both_ways_until_the_end(make_pair: Any) -> None:
    """Over any of trio's transports; the end of one side is the end of the channel at the other."""
    near, far = await make_pair()
    received = []

    async def answer() -> None:
        async with Pipeline(far, Passthrough()) as pipeline:
            async for item in pipeline:
                await pipeline.send(item.upper())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        with trio.fail_after(PATIENCE):
            async with Pipeline(near, Passthrough()) as pipeline:
                for item in (b"one", b"two"):
                    await pipeline.send(item)
                    received.append(await pipeline.receive())

    assert [b"ONE", b"TWO"] == received


@pytest.mark.real_time
@pytest.mark.parametrize("make_pair", HALF_CLOSEABLE)
async def test_half_close(make_pair: Any) -> None:
    """The peer sees the end after what the stages gave when they finished, and can still answer."""
    near, far = await make_pair()
    wire, peer = Pipeline(near, Closing()), Pipeline(far, Passthrough())
    seen: list[bytes] = []

    async def answer() -> None:
        async with peer:
            seen.extend([item async for item in peer])
            await peer.send(b"answer")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        with trio.fail_after(PATIENCE):
            async with wire:
                await wire.send(b"item")
                await wire.send_eof()
                await wire.send_eof()
                with pytest.raises(trio.ClosedResourceError):
                    await wire.send(b"more")
                assert b"answer" == await wire.receive()
                with pytest.raises(trio.EndOfChannel):
                    await wire.receive()

    assert b"item." == b"".join(seen)


@pytest.mark.real_time
async def test_a_transport_that_cannot_half_close() -> None:
    """HalfCloseError is raised when what the stages gave is written; the transport is still open both ways."""
    near, far = await tls_pair()
    pipeline = Pipeline(near, Closing())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(far.do_handshake)
        await pipeline.__aenter__()
    with pytest.raises(HalfCloseError, match=r"SSLStream cannot end one direction alone; it is still open.*aclose\(\)"):
        await pipeline.send_eof()

    assert b"." == await far.receive_some()
    await far.send_all(b"answer")
    assert b"answer" == await pipeline.receive()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(far.aclose)
        await pipeline.aclose()


@pytest.mark.real_time
async def test_a_process() -> None:
    """Its pipes are a transport; half-closing its input lets it end, and its output is read to the end."""
    async with trio.open_nursery() as nursery:
        process = await nursery.start(_cat)
        async with Pipeline(process.stdio, Passthrough(Lines())) as pipeline:
            await pipeline.send(b"one\ntwo\n")
            await pipeline.send_eof()

            assert [b"one", b"two"] == [line async for line in pipeline]


async def _cat(task_status: Any) -> None:
    await trio.run_process(["cat"], stdin=-1, stdout=-1, capture_stdout=False, task_status=task_status)


@pytest.mark.real_time
async def test_the_tls_handshake_is_done_on_entering() -> None:
    """Also when nothing is sent or received in the block."""
    near, far = await tls_pair()

    async def serve() -> None:
        async with Pipeline(far, Passthrough()):
            assert "TLSv1.3" == far.version()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        async with Pipeline(near, Passthrough()):
            assert "TLSv1.3" == near.version()


@pytest.mark.real_time
async def test_a_failed_tls_handshake_closes_the_socket() -> None:
    """The error is trio's, and nothing is left open."""
    near, far = await tcp_pair()
    async with far:
        await far.send_all(b"HTTP/1.1 400 no TLS here\r\n\r\n" * 10)
        with pytest.raises(trio.BrokenResourceError):
            async with Pipeline(tls(near, far)[0], Passthrough()):
                raise AssertionError("unreachable")

    assert -1 == near.socket.fileno()


# ---- what a write is (P12)


async def test_what_an_item_became_is_one_write() -> None:
    """Empty bytes are left out of it; an item that becomes nothing but empty bytes is no write at all."""
    transport = Recorder()
    async with Pipeline(transport, outbound(lambda item: [item, b"", item[1:2], memoryview(item)[2:]])) as pipeline:
        await pipeline.send(b"one")
        await pipeline.send(b"")

        assert [b"onene"] == transport.writes


async def test_what_an_item_became_is_one_write_behind_an_async_stage() -> None:
    """Also when a stage nearer to the wire might have waited, and did not."""
    transport = Recorder()
    async with Pipeline(transport, Late() | outbound(lambda item: [item, b"\r", b"\n"])) as pipeline:
        await pipeline.send(b"one")

        assert [b"one\r\n"] == transport.writes


async def test_a_large_item_is_written_in_pieces_of_64_kib() -> None:
    """So that memory stays bounded; each piece is full."""
    transport = Recorder()
    async with Pipeline(transport, outbound(lambda item: (bytes(1024) for _ in range(200)))) as pipeline:
        await pipeline.send(b"")

        assert [65536, 65536, 65536, 8192] == [len(data) for data in transport.writes]


async def test_on_a_channel_each_item_is_one_send() -> None:
    """Never joined; None and empty bytes are items."""
    (there, from_there), (_, from_back) = trio.open_memory_channel[Any](9), trio.open_memory_channel[Any](9)
    async with Pipeline((from_back, there), outbound(lambda item: [item, b"", None, item])) as pipeline:
        await pipeline.send(b"x")

    assert [b"x", b"", None, b"x"] == [item async for item in from_there]


async def test_on_a_channel_empty_bytes_are_an_item() -> None:
    """Only the end of the channel is the end."""
    there, from_there = trio.open_memory_channel[Any](9)
    async with Pipeline(from_there, Passthrough()) as pipeline:
        for item in (b"", None, 0):
            await there.send(item)
        await there.aclose()

        assert [b"", None, 0] == [item async for item in pipeline]


async def test_on_a_stream_an_empty_read_is_the_end() -> None:
    """No stage sees it as an item."""
    near, far = trio.testing.memory_stream_pair()
    seen: list[bytes] = []

    def note(item: bytes) -> list[bytes]:
        seen.append(item)
        return [item]

    async with Pipeline(near, inbound(note)) as pipeline:
        await far.send_all(b"x")
        await far.send_eof()

        assert [b"x"] == [item async for item in pipeline] == seen


async def test_whole_items_of_several_tasks_never_interleave() -> None:
    """Each is longer than a write, and goes out in several."""

    def parts(item: bytes) -> Iterator[bytes]:
        for _ in range(4):
            yield item * 40_000

    near, far = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        pipeline = await Pipeline(near, outbound(parts)).__aenter__()
        async with trio.open_nursery() as senders:
            for item in (b"a", b"b", b"c", b"a", b"b", b"c"):
                senders.start_soon(pipeline.send, item)
        nursery.start_soon(pipeline.aclose)
        wire = await read_all(far)

    assert 6 * 160_000 == len(wire)
    assert all(1 == len(set(wire[start : start + 160_000])) for start in range(0, len(wire), 160_000))


# ---- what a cancelled write leaves behind (P10)


@pytest.mark.real_time
@pytest.mark.parametrize("make_pair", [tcp_pair, unix_pair])
@pytest.mark.parametrize("size", [50_000, 200_000])
async def test_a_cut_write_on_a_socket_keeps_its_rest(make_pair: Any, size: int) -> None:
    """The next write sends it first: the peer gets exact bytes, nothing lost, doubled or torn."""
    near, far = await make_pair()
    small_buffers(near, far)
    pipeline = Pipeline(near, outbound(lambda item: [b"<" + item * (size - 2) + b">"]))
    cut, complete = b"", []
    async with both_closed(near, far):
        for item in b"abcdefghijklmnopqrst":
            with trio.move_on_after(0.005) as scope:
                await pipeline.send(bytes([item]))
            if scope.cancelled_caught:
                cut += bytes([item])
            else:
                complete.append(item)
        assert len(cut) > 3

        async with trio.open_nursery() as nursery:
            nursery.start_soon(pipeline.send, b"z")
            wire = bytearray()
            while not wire.endswith(b"z>"):
                wire += await far.receive_some()

    frames = bytes(wire).split(b">")[:-1]
    assert all(len(frame) == size - 1 and frame == b"<" + frame[1:2] * (size - 2) for frame in frames)
    sent = b"".join(frame[1:2] for frame in frames)
    assert sent == bytes(sorted(set(sent)))
    assert set(complete) <= set(sent)


@pytest.mark.real_time
async def test_the_rest_of_a_cut_write_goes_out_at_close() -> None:
    """It belongs to the connection then, not to the call that was cancelled."""
    near, far = await tcp_pair()
    small_buffers(near, far)
    pipeline = Pipeline(near, Closing())
    item = bytes(range(256)) * 200
    await pipeline.__aenter__()
    with trio.move_on_after(0.01) as scope:
        while True:
            await pipeline.send(item)
    assert scope.cancelled_caught

    async with far, trio.open_nursery() as nursery:
        nursery.start_soon(pipeline.aclose)
        wire = await read_all(far)
        await far.aclose()

    assert item * (len(wire) // len(item)) + b"." == wire


@pytest.mark.real_time
async def test_a_send_cancelled_before_a_byte_went_out_had_no_effect() -> None:
    """The peer never sees it."""
    near, far = await tcp_pair()
    pipeline = Pipeline(near, Passthrough())
    async with far:
        await pipeline.__aenter__()
        filled = await clog(near)
        with trio.move_on_after(0.01) as scope:
            await pipeline.send(b"cancelled")
        assert scope.cancelled_caught

        async with trio.open_nursery() as nursery:
            nursery.start_soon(pipeline.send, b"sent")
            wire = b""
            while len(wire) < filled + 4:
                wire += await far.receive_some()
        assert wire[filled:] == b"sent"
        await far.aclose()
        await pipeline.aclose()


@pytest.mark.parametrize("make_pair", [lockstep_pair, tls_in_memory])
async def test_a_cut_write_elsewhere_breaks_outbound_loudly(make_pair: Any) -> None:
    """How much went out cannot be known; inbound still works where the transport's does."""
    near, far = await make_pair()
    pipeline = Pipeline(near, Passthrough())
    async with trio.open_nursery() as nursery:
        if isinstance(far, trio.SSLStream):
            nursery.start_soon(far.do_handshake)
        await pipeline.__aenter__()
    if isinstance(near, trio.SSLStream):
        near.transport_stream.send_stream.send_all_hook = trio.sleep_forever
    with trio.move_on_after(1):
        await pipeline.send(b"x")

    with pytest.raises(trio.BrokenResourceError, match="a write was cancelled, and this transport cannot say how much"):
        await pipeline.send(b"y")
    if make_pair is lockstep_pair:  # trio's TLS is broken both ways by it
        async with trio.open_nursery() as nursery:
            nursery.start_soon(far.send_all, b"in")
            assert b"in" == await pipeline.receive()
    await pipeline.aclose()


async def test_a_cancelled_send_on_a_channel_was_not_made() -> None:
    """Items of the same step that had gone are not sent again."""
    there, from_there = trio.open_memory_channel[str](1)
    pipeline = Pipeline(there, outbound(lambda item: [item + "1", item + "2"]))
    with trio.move_on_after(1):
        await pipeline.send("a")
    received: list[str] = []

    async def receive() -> None:
        received.extend([item async for item in from_there])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        await pipeline.send("b")
        await pipeline.aclose()

    assert ["a1", "a2", "b1", "b2"] == received


@pytest.mark.real_time
async def test_a_cut_write_through_two_pipelines_tears_nothing() -> None:
    """The lower pipeline keeps the unsent rest of an item; the upper one knows, and goes on behind it."""
    near, far = await tcp_pair()
    small_buffers(near, far)
    lower = Pipeline(near, outbound(lambda item: [b"<", item, bytes(20_000), b">"]))
    pipeline = Pipeline(lower, outbound(lambda item: [item + b"a", item + b"b"]))
    count = 0
    async with both_closed(near, far):
        wire, cut = bytearray(), 0
        while cut < 8:
            with trio.move_on_after(0.005) as scope:
                await pipeline.send(b"%d" % count)
            count += 1
            if scope.cancelled_caught:
                cut += 1
                wire += await far.receive_some(50_000)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(pipeline.send, b"end")
            while b"<endb" not in wire or not wire.endswith(b">"):
                wire += await far.receive_some()

    frames = [frame.rstrip(b"\0") for frame in bytes(wire).split(b">")]
    assert b"" == frames.pop()
    assert [b"<%d%c" % (int(frame[1:-1]), part) for frame in frames[:-2:2] for part in b"ab"] == frames[:-2]


# ---- replies on each kind of transport (P14)


@pytest.mark.real_time
@pytest.mark.parametrize("make_pair", EVERY)
async def test_a_reply_is_written_by_receive(make_pair: Any) -> None:
    """Nobody sends; the peer gets its answer all the same."""
    near, far = await make_pair()

    async def answer() -> None:
        async with Pipeline(far, Answers()) as pipeline:
            assert [] == [item async for item in pipeline]

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        with trio.fail_after(PATIENCE):
            async with Pipeline(near, Passthrough()) as pipeline:
                for item in (b"one", b"two"):
                    await pipeline.send(item)
                    assert item == await pipeline.receive()


@pytest.mark.parametrize("piece", [1000, 5000, 60_000])
async def test_a_cancelled_receive_that_owes_replies_to_a_full_pipe(piece: int) -> None:
    """It ends at once, though a process that does not read its input has left it almost no room."""
    async with trio.open_nursery() as nursery:
        process = await nursery.start(_sleep)
        near, far = trio.testing.memory_stream_pair()
        await far.send_all(b"x" * piece)
        pipeline = Pipeline((near, process.stdin), Answers(2 * 65536 // piece), max_reply_bytes=1_000_000)
        with trio.move_on_after(1) as scope:
            await pipeline.receive()
        assert scope.cancelled_caught
        assert trio.current_time() - scope.deadline < 0.1
        with trio.move_on_after(1) as scope:
            await pipeline.send(b"y")
        await trio.aclose_forcefully(pipeline)
        process.terminate()


async def _sleep(task_status: Any) -> None:
    await trio.run_process(["sleep", "60"], stdin=-1, check=False, task_status=task_status)


@pytest.mark.real_time
async def test_an_interrupt_does_not_disturb_replies_that_wait_for_room() -> None:
    """A socket is looked at anew when there is something to do inbound; what is being written goes on."""
    near, far = await tcp_pair()
    pipeline = Pipeline(near, Answers())
    async with far:
        await pipeline.__aenter__()
        filled = await clog(near)
        await far.send_all(b"ping")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_ignore, pipeline.receive)
            await until(lambda: pipeline._engine.to_write_bytes)
            pipeline._driver.wire.interrupt()
            wire = b""
            while len(wire) < filled + 4:
                wire += await far.receive_some()
            assert b"ping" == wire[filled:]
            nursery.cancel_scope.cancel()
        await far.aclose()
        await pipeline.aclose()


@pytest.mark.real_time
async def test_an_interrupt_does_not_disturb_a_send_that_waits_for_room() -> None:
    """It looks again, and goes on waiting."""
    near, far = await tcp_pair()
    pipeline = Pipeline(near, Passthrough())
    async with both_closed(near, far):
        await pipeline.__aenter__()
        filled = await clog(near)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pipeline.send, b"sent")
            await trio.testing.wait_all_tasks_blocked(0.01)
            pipeline._driver.wire.interrupt()
            await trio.testing.wait_all_tasks_blocked(0.01)
            wire = b""
            while len(wire) < filled + 4:
                wire += await far.receive_some()
        assert wire.endswith(b"xsent")


async def test_closing_ends_a_wait_for_room_on_a_socket() -> None:
    """Of a receive that owes replies; nothing is left waiting."""
    near, far = await tcp_pair()
    pipeline = Pipeline(near, Answers())
    async with far:
        await pipeline.__aenter__()
        await clog(near)
        await far.send_all(b"ping")
        async with trio.open_nursery() as nursery:

            async def receive() -> None:
                with pytest.raises(trio.ClosedResourceError):
                    await pipeline.receive()

            nursery.start_soon(receive)
            await until(lambda: pipeline._engine.to_write_bytes)
            with pytest.raises(trio.BrokenResourceError, match="with 4 bytes unwritten"):
                await pipeline.aclose()


async def test_closing_ends_a_send_that_waits_for_room_on_a_socket() -> None:
    """It gets ClosedResourceError at once."""
    near, far = await tcp_pair()
    pipeline = Pipeline(near, Passthrough())
    async with far:
        await pipeline.__aenter__()
        await clog(near)
        async with trio.open_nursery() as nursery:

            async def send() -> None:
                with pytest.raises(trio.ClosedResourceError, match="this pipeline was closed"):
                    await pipeline.send(b"x")

            nursery.start_soon(send)
            await trio.testing.wait_all_tasks_blocked(0.01)
            await pipeline.aclose()


@pytest.mark.real_time
async def test_a_send_to_a_peer_that_has_reset_the_connection() -> None:
    """BrokenResourceError with the system's words, then and from then on."""
    near, far = await tcp_pair()
    async with Pipeline(near, Passthrough()) as pipeline:
        await near.send_all(b"unread")
        await far.aclose()
        for match in ("socket connection broken", "outbound is broken"):
            with pytest.raises(trio.BrokenResourceError, match=match):
                await pipeline.send(b"x")


async def test_closing_ends_a_wait_for_room_elsewhere() -> None:
    """The receive ends at once, and closing says that its reply was not written."""
    there, from_there = trio.testing.memory_stream_one_way_pair()
    pipeline = Pipeline((from_there, Clogged()), Answers(), close_seconds=2)
    await there.send_all(b"ping")
    async with trio.open_nursery() as nursery:

        async def receive() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await pipeline.receive()
            assert 0 == trio.current_time()

        nursery.start_soon(receive)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BrokenResourceError, match="after 2 seconds with 4 bytes unwritten"):
            await pipeline.aclose()


async def test_a_reply_to_a_transport_that_is_broken_breaks_outbound_only() -> None:
    """What was received is delivered; the next send raises the transport's error."""
    (there, from_there), (back, from_back) = (trio.testing.memory_stream_one_way_pair() for _ in range(2))
    pipeline = Pipeline((from_there, back), inbound(lambda item: [Reply(b"pong"), item]))
    await from_back.aclose()
    await there.send_all(b"ping")

    assert b"ping" == await pipeline.receive()
    with pytest.raises(trio.BrokenResourceError):
        await pipeline.send(b"x")


async def test_a_cancelled_reply_that_the_peer_takes_half_of_breaks_outbound() -> None:
    """The receive ends soon after it was cancelled; how much went out is unknown."""
    near, far = trio.testing.lockstep_stream_pair()
    pipeline = Pipeline(near, Answers())
    await pipeline.__aenter__()
    async with trio.open_nursery() as nursery:
        scope = trio.CancelScope()

        async def receive() -> None:
            with scope:
                await pipeline.receive()

        nursery.start_soon(receive)
        await far.send_all(b"ping")
        assert b"p" == await far.receive_some(1)
        await trio.testing.wait_all_tasks_blocked()
        scope.cancel()

    assert scope.cancelled_caught
    assert trio.current_time() < 5
    with pytest.raises(trio.BrokenResourceError, match="a write was cancelled, and how much of it went out is unknown"):
        await pipeline.send(b"x")


async def _ignore(call: Any) -> None:
    await call()


# ---- one direction only, and what is no transport


async def test_a_transport_to_receive_from_only() -> None:
    """Sending says so; the end is the end."""
    there, from_there = trio.testing.memory_stream_one_way_pair()
    async with Pipeline(from_there, Passthrough()) as pipeline:
        await there.send_all(b"x")
        await there.aclose()
        assert [b"x"] == [item async for item in pipeline]
        with pytest.raises(trio.BrokenResourceError, match="this transport can only be received from"):
            await pipeline.send(b"y")


async def test_a_transport_to_send_to_only() -> None:
    """A receive waits for items that stages make, and for the close."""
    there, from_there = trio.testing.memory_stream_one_way_pair()
    async with Pipeline(there, Closing()) as pipeline:
        await pipeline.send(b"x")
        with trio.move_on_after(1) as scope:
            await pipeline.receive()
        assert scope.cancelled_caught

    assert b"x." == await read_all(from_there)


@pytest.mark.parametrize("transport", [None, b"bytes", "halves", "one half", 3 * (None,)])
def test_what_is_no_transport_is_refused(transport: Any) -> None:
    """The message says what would be one."""
    there, from_there = trio.testing.memory_stream_one_way_pair()
    if isinstance(transport, str):
        transport = (there, from_there) if transport == "halves" else (from_there, None)

    with pytest.raises(TypeError, match=r"is no transport: give a trio stream.*\(receive_half, send_half\)"):
        Pipeline(transport, Passthrough())


def test_a_plain_socket_is_refused() -> None:
    """It is no stream yet; the message shows what makes it one."""
    with socket.socket() as plain, pytest.raises(TypeError, match=r"of a socket: trio\.SocketStream\(socket\)"):
        Pipeline(plain, Passthrough())  # type: ignore[arg-type]


def test_a_stream_that_nobody_awaited_is_refused() -> None:
    """The message shows the `await`, and Python does not warn on top."""
    with pytest.raises(TypeError, match=r"was not awaited: write Pipeline\(await open_tcp_stream\(\.\.\.\), chain\)"):
        Pipeline(trio.open_tcp_stream("localhost", 1), Passthrough())  # type: ignore[arg-type] # noqa: ASYNC105


def test_a_chain_in_the_place_of_the_transport_is_refused() -> None:
    """The message shows the order of the two."""
    with pytest.raises(TypeError, match=r"comes first: write Pipeline\(stream, Passthrough\(\) \| Passthrough\(\)\)"):
        Pipeline(Passthrough() | Passthrough(), Passthrough())  # type: ignore[arg-type]


@pytest.mark.real_time
async def test_a_certificate_for_another_name_is_told_to_the_client() -> None:
    """The type is of trio, the message has the reason."""
    raw, raw_peer = await tcp_pair()
    contexts = tls_contexts()
    client = trio.SSLStream(raw, contexts[0], server_hostname="another.example")
    server = trio.SSLStream(raw_peer, contexts[1], server_side=True)

    async def serve() -> None:
        with pytest.raises(trio.BrokenResourceError, match=r"^TLS failed: "):
            await Pipeline(server, Passthrough()).__aenter__()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        with pytest.raises(
            trio.BrokenResourceError, match=r"^TLS failed: .*certificate verify failed: Hostname mismatch.*another\.ex"
        ) as info:
            await Pipeline(client, Passthrough()).__aenter__()

    assert isinstance(info.value.__cause__, ssl.SSLCertVerificationError)


@pytest.mark.real_time
async def test_a_certificate_that_the_peer_refuses_is_told_to_the_server() -> None:
    """In the words of TLS."""
    near, far = socket.socketpair()

    def connect() -> None:
        with far, pytest.raises(ssl.SSLCertVerificationError):  # nobody told it of the authority
            ssl.create_default_context().wrap_socket(far, server_hostname="localhost")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, connect)
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(near))
        with pytest.raises(trio.BrokenResourceError, match=r"^TLS failed: .*alert unknown ca"):
            await Pipeline(trio.SSLStream(stream, tls_contexts()[1], server_side=True), Passthrough()).__aenter__()


@pytest.mark.parametrize("use", ["receive", "send", "reply"])
async def test_tls_that_fails_later_is_told_too(use: str) -> None:
    """Under a wrapper the handshake comes with the first read or write."""
    near, far = trio.testing.memory_stream_pair()
    await far.send_all(b"no TLS")
    secure: Any = trio.SSLStream(near, tls_contexts()[1], server_side=True)
    there, from_there = trio.testing.memory_stream_one_way_pair()
    await there.send_all(b"ping")
    pipeline = Pipeline(trio.StapledStream(secure, secure if use == "receive" else from_there), Answers())
    with pytest.raises(trio.BrokenResourceError, match=r"^TLS failed: "):
        if use == "receive":
            await pipeline.receive()
        elif use == "send":
            await pipeline.send(b"x")
        else:
            with trio.move_on_after(1):
                await pipeline.receive()
            await pipeline.flush()


@pytest.mark.parametrize("make_pair", [tcp_pair, memory_pair, tls_pair])
async def test_a_transport_that_was_closed_before(make_pair: Any) -> None:
    """Both directions say so, with trio's error, and closing raises nothing."""
    near, far = await make_pair()
    await trio.aclose_forcefully(far)
    await trio.aclose_forcefully(near)
    pipeline = Pipeline(near, Passthrough())
    pipeline._entered = True
    pipeline._engine.start()
    with pytest.raises(trio.ClosedResourceError):
        await pipeline.receive()
    with pytest.raises(trio.ClosedResourceError):
        await pipeline.send(b"x")
    await pipeline.aclose()


async def test_the_transport_of_a_pipeline_is_shown() -> None:
    """The end it reads from, else the one it writes to."""
    near, far = trio.testing.memory_stream_pair()
    there, from_there = trio.testing.memory_stream_one_way_pair()

    assert near is Pipeline(near, Passthrough()).transport
    assert from_there is Pipeline((from_there, far), Passthrough()).transport
    assert there is Pipeline(there, Passthrough()).transport


# ---- sockets, directly and through trio's own methods


def ends(stream: trio.SocketStream, *, direct: bool = True) -> tuple[SocketReader, SocketWriter]:
    """What a pipeline reads from and writes to; not `direct` it does so on Windows."""
    if direct:
        wire = Wire(stream)
        assert isinstance(wire.reader, DirectReader)
        assert isinstance(wire.writer, DirectWriter)
        return wire.reader, wire.writer
    return SocketReader(stream), SocketWriter(stream)


KINDS = pytest.mark.parametrize("direct", [True, False])


@pytest.mark.real_time
@KINDS
async def test_a_socket_is_read_and_written_with_checkpoints(*, direct: bool) -> None:
    """Whether input is there already or not; at the end there is END."""
    async with parts.tcp_pair() as (near, far):
        reader, writer = ends(near, direct=direct)
        with trio.testing.assert_checkpoints():
            assert 5 == await writer.send_some(b"hello")
        assert b"hello" == await far.receive_some()
        await far.send_all(b"there")
        await trio.lowlevel.wait_readable(near.socket)
        with trio.testing.assert_checkpoints():
            assert b"there" == await reader.read()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(far.send_all, b"late")
            with trio.testing.assert_checkpoints():
                assert b"late" == await reader.read()
        await far.send_eof()
        assert await reader.read() is END


@pytest.mark.real_time
@KINDS
async def test_a_cancelled_read_or_write_of_a_socket_did_not_happen(*, direct: bool) -> None:
    """Whether the scope was cancelled before or while it waits."""
    async with parts.tcp_pair() as (near, far):
        reader, writer = ends(near, direct=direct)
        await far.send_all(b"x")
        await trio.lowlevel.wait_readable(near.socket)
        with trio.CancelScope() as scope:
            scope.cancel()
            await reader.read()
        assert b"x" == await reader.read()
        for wait in (reader.read, partial(writer.send_some, b"y")):
            with trio.move_on_after(0):
                await wait()
        await writer.send_some(b"z")
        assert b"z" == await far.receive_some()


@pytest.mark.real_time
@KINDS
async def test_a_socket_that_was_reset_or_closed(*, direct: bool) -> None:
    """Trio's own errors, both at once and after waiting."""
    async with parts.tcp_pair() as (near, far):
        reader, writer = ends(near, direct=direct)
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(raises, trio.BrokenResourceError, reader.read)
            await trio.testing.wait_all_tasks_blocked()
            await far.aclose()  # a reset
        await raises(trio.BrokenResourceError, writer.send_some, b"x")
    async with parts.tcp_pair() as (near, far):
        reader, writer = ends(near, direct=direct)
        await clog(near)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(raises, trio.ClosedResourceError, reader.read)
            nursery.start_soon(raises, trio.ClosedResourceError, writer.send_some, b"x")
            await trio.testing.wait_all_tasks_blocked(0.01)
            near.socket.close()
        await raises(trio.ClosedResourceError, reader.read)
        await raises(trio.ClosedResourceError, writer.send_some, b"x")


@pytest.mark.real_time
async def test_a_closed_socket_has_room() -> None:
    """So that what would write to it learns that it is closed; whether or not somebody had asked before."""
    for asked in (False, True):
        async with parts.tcp_pair() as (near, _):
            writer = ends(near)[1]
            assert not asked or writer.has_room()
            near.socket.close()
            assert writer.has_room()
            await raises(trio.ClosedResourceError, writer.send_some, b"x")


async def raises(expected: type[Exception], call: Any, *args: Any) -> None:
    with pytest.raises(expected):
        await call(*args)


@pytest.mark.real_time
async def test_a_socket_that_was_reset_while_input_was_there_or_nothing_waits() -> None:
    """The direct calls translate what the system says, also without waiting."""
    async with parts.tcp_pair() as (near, far):
        reader, writer = ends(near)
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await far.aclose()
        await trio.lowlevel.wait_readable(near.socket)
        with pytest.raises(trio.BrokenResourceError, match="reset"):
            await reader.read()
        with pytest.raises(trio.BrokenResourceError):
            writer.send_now(b"x")


@pytest.mark.real_time
async def test_what_is_there_is_looked_for_before_waiting_unless_it_was_in_vain_not_long_ago() -> None:
    """Each read has a checkpoint, and gets what there is, either way."""
    near, far = await unix_pair()
    async with near, far:
        reader, _ = ends(near)
        assert isinstance(reader, DirectReader)
        for waits in (0, *range(WAITS, -1, -1), WAITS):
            got: list[Any] = []

            async def read(got: list[Any] = got) -> None:
                with trio.testing.assert_checkpoints():
                    got.append(await reader.read())

            if waits < WAITS:
                await far.send_all(b"there")
                await read()
            else:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(read)
                    await trio.testing.wait_all_tasks_blocked()
                    await far.send_all(b"late")
            assert ([b"there" if waits < WAITS else b"late"], waits) == (got, reader._waits)


@pytest.mark.real_time
async def test_a_read_that_is_interrupted_before_it_waits_does_not() -> None:
    """Nor if it waits already: which of the two, trio decides anew each time."""
    for _ in range(20):
        async with parts.tcp_pair() as (near, _):
            wire = Wire(near)
            got: list[Any] = []

            async def read(wire: Wire = wire, got: list[Any] = got) -> None:
                assert wire.reader is not None
                got.append(await wire.reader.read())

            with trio.fail_after(PATIENCE):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(read)
                    await trio.lowlevel.checkpoint()  # it has begun
                    await trio.lowlevel.checkpoint()
                    wire.interrupt()
            assert [NOTHING] == got


@pytest.mark.real_time
async def test_a_write_that_need_not_happen_now() -> None:
    """It takes what there is room for, perhaps nothing."""
    async with parts.tcp_pair() as (near, far):
        _, writer = ends(near)
        assert 1 == writer.send_now(b"x")
        assert b"x" == await far.receive_some()
        await clog(near)
        assert 0 == writer.send_now(b"y")
        assert 0 == ends(near, direct=False)[1].send_now(b"y")


@pytest.mark.real_time
async def test_two_that_wait_for_one_socket() -> None:
    """Both are woken; who finds nothing left waits on."""
    async with parts.tcp_pair() as (near, far):
        second = trio.SocketStream(trio.socket.from_stdlib_socket(socket.socket(fileno=os.dup(near.socket.fileno()))))
        readers = [ends(each)[0] for each in (near, second)]
        writers = [ends(each)[1] for each in (near, second)]
        got: list[Any] = []

        async def read(reader: SocketReader) -> None:
            got.append(await reader.read())

        async with trio.open_nursery() as nursery:
            for reader in readers:
                nursery.start_soon(read, reader)
            await trio.testing.wait_all_tasks_blocked(0.01)
            await far.send_all(b"1")
            await until(lambda: got)
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert [b"1"] == got
            await far.send_all(b"2")
        assert [b"1", b"2"] == got
        await clog(near)
        async with trio.open_nursery() as nursery:
            for writer in writers:
                nursery.start_soon(writer.send_some, bytes(20_000_000))
            await trio.testing.wait_all_tasks_blocked(0.01)
            while len(nursery.child_tasks):
                await far.receive_some()
        await second.aclose()


@pytest.mark.real_time
@KINDS
async def test_who_waits_to_read_can_be_told_to_look_again(*, direct: bool) -> None:
    async with parts.tcp_pair() as (near, far):
        reader, _ = ends(near, direct=direct)
        got: list[Any] = []

        async def read() -> None:
            got.append(await reader.read())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            await trio.testing.wait_all_tasks_blocked(0.01)
            reader.interrupts += 1
            trio.lowlevel.notify_closing(near.socket)
        assert [NOTHING] == got
        await far.send_all(b"x")
        assert b"x" == await reader.read()
