"""P7, P10, P12, P14: what a read and a write are on streams and channels, and what a cancelled one leaves behind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import trio
import trio.testing

from pipeline import END, HalfCloseError, Outbound, Passthrough, Pipeline, Reply, inbound, outbound
from pipeline._ends import ChannelReader, ChannelWriter, StreamReader, StreamWriter, poll_for_writing
from tests.pipeline.wires import (
    Answers,
    Clogged,
    Closing,
    Recorder,
    both_closed,
    lockstep_pair,
    read_all,
    small_buffers,
    tcp_pair,
    tls_contexts,
    tls_in_memory,
    tls_pair,
)


class Late(Outbound[bytes, bytes]):
    """`async def`, though it never waits."""

    async def process(self, item: bytes, /) -> list[bytes]:
        return [item]


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


# ---- replies that wait for room, or do not get through (P14)


async def test_a_reply_on_a_channel_is_one_send() -> None:
    """Nobody can say whether there is room, so it is tried."""
    (there, from_there), (back, from_back) = trio.open_memory_channel[Any](9), trio.open_memory_channel[Any](9)
    await there.send("ping")
    await there.aclose()
    async with Pipeline((from_there, back), Answers(2)) as pipeline:
        assert [] == [item async for item in pipeline]
    assert ["ping", "ping"] == [item async for item in from_back]


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


# ---- the end of one direction (P7)


async def test_one_direction_ends_by_its_own_call_or_by_closing_what_only_sends() -> None:
    """The other one goes on, where there is one."""
    near, far = trio.testing.memory_stream_pair()
    await StreamWriter(near, own=False).send_eof()
    assert b"" == await far.receive_some()
    await far.send_all(b"x")
    assert b"x" == await StreamReader(near).read()
    there, from_there = trio.open_memory_channel[bytes](0)
    await ChannelWriter(there, own=True).send_eof()
    assert await ChannelReader(from_there).read() is END


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


def test_a_closed_descriptor_has_room() -> None:
    """So that who writes learns that it is closed."""
    assert poll_for_writing(-1)()
