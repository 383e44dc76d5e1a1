"""P10, P14: sockets, read and written directly and through trio's own methods."""

from __future__ import annotations

import os
import socket
import struct
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing

from pipeline import END, Passthrough, Pipeline, outbound
from pipeline._ends import NOTHING
from pipeline._socketends import WAITS, DirectReader, DirectWriter, SocketReader, SocketWriter
from pipeline._transport import Wire
from tests.pipeline import parts
from tests.pipeline.wires import (
    PATIENCE,
    Answers,
    Closing,
    both_closed,
    clog,
    read_all,
    small_buffers,
    tcp_pair,
    unix_pair,
    until,
)


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
            await writer.wait_room()
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
        await writer.send_eof()
        assert b"" == await far.receive_some()


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


# ---- who waits for room


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


async def _ignore(call: Any) -> None:
    await call()
