"""P7, P10, P11, P14: every kind of transport under a pipeline."""

from __future__ import annotations

import socket
import ssl
from typing import Any

import pytest
import trio
import trio.testing

from pipeline import Passthrough, Pipeline
from tests.pipeline.wires import (
    PATIENCE,
    Answers,
    Closing,
    Lines,
    lockstep_pair,
    memory_pair,
    read_all,
    tcp_pair,
    tls,
    tls_contexts,
    tls_in_memory,
    tls_pair,
    unix_pair,
)


async def halves_pair() -> tuple[Any, Any]:
    """Two one-way streams on each side."""
    await trio.lowlevel.checkpoint()
    (there, from_there), (back, from_back) = (trio.testing.memory_stream_one_way_pair() for _ in range(2))
    return (from_back, there), (from_there, back)


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
async def test_a_half_close_leaves_the_other_way_open(make_pair: Any) -> None:
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
async def test_the_pipes_of_a_process_are_a_transport() -> None:
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
