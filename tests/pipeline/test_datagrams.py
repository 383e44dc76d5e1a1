"""P11: a UDP socket is a channel of (bytes, address)."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

from pipeline import Datagrams, Passthrough, Pipeline, inbound, outbound
from tests.pipeline.wires import PATIENCE

pytestmark = pytest.mark.real_time


async def udp() -> tuple[Datagrams, Any]:
    """A channel on a free port of the loopback, and its address."""
    plain = trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM)
    await plain.bind(("127.0.0.1", 0))
    return Datagrams(plain), plain.getsockname()


@asynccontextmanager
async def two() -> AsyncIterator[tuple[Datagrams, Any, Datagrams, Any]]:
    """Two channels and their addresses."""
    (one, one_address), (other, other_address) = await udp(), await udp()
    with trio.fail_after(PATIENCE):
        async with one, other:
            yield one, one_address, other, other_address


async def test_datagrams_come_as_they_were_sent() -> None:
    """One each, with the sender's address; an empty one too."""
    async with two() as (near, address, far, far_address):
        for data in (b"one", b"", b"two"):
            await near.send((data, far_address))

        assert [(b"one", address), (b"", address), (b"two", address)] == [await far.receive() for _ in range(3)]


async def test_under_a_pipeline() -> None:
    """An empty datagram is an item, and one item is one datagram."""
    async with (
        two() as (near, _, far, far_address),
        Pipeline(near, outbound(lambda data: [(data, far_address), (b"", far_address)])) as sender,
        Pipeline(far, inbound(lambda datagram: [datagram[0]])) as receiver,
    ):
        await sender.send(b"x")
        await sender.send(b"y")

        assert [b"x", b"", b"y", b""] == [await receiver.receive() for _ in range(4)]


@pytest.mark.parametrize("item", [b"xy", "x", (b"x",), None])
async def test_what_is_no_pair_is_told_with_the_remedy(item: Any) -> None:
    """As from a framer that stands on datagrams; two bytes, too, could be taken apart."""
    async with two() as (near, _, _, _), Pipeline(near, Passthrough()) as pipeline:
        with pytest.raises(TypeError, match=r"sends \(bytes, address\), not .* with Map\(inbound=lambda pair"):
            await pipeline.send(item)


async def test_a_cancelled_receive_loses_nothing() -> None:
    """The next one gets the datagram."""
    async with two() as (near, address, far, far_address):
        with trio.move_on_after(0.01) as scope:
            await far.receive()
        assert scope.cancelled_caught
        await near.send((b"x", far_address))

        assert (b"x", address) == await far.receive()


async def test_a_longer_datagram_is_cut() -> None:
    """To max_bytes, by the system."""
    async with two() as (near, _, far, far_address):
        await near.send((b"abcdef", far_address))

        assert b"abcd" == (await Datagrams(far.socket, max_bytes=4).receive())[0]


async def test_what_the_system_refuses() -> None:
    """BrokenResourceError with the system's words; the channel can be used further."""
    async with two() as (near, address, far, far_address):
        with pytest.raises(trio.BrokenResourceError, match=r"the socket failed: .*[Mm]essage too long"):
            await near.send((bytes(70_000), far_address))
        await near.send((b"x", far_address))
        assert (b"x", address) == await far.receive()


async def test_nobody_at_the_other_end() -> None:
    """Where the socket is connected, the next call says that an earlier datagram was refused."""
    async with two() as (near, _, far, far_address):
        await near.socket.connect(far_address)
        await far.aclose()
        await near.send((b"x", far_address))
        with pytest.raises(trio.BrokenResourceError, match=r"the socket failed: .*[Rr]efused"):
            await near.receive()


async def test_after_closing_every_call_is_refused() -> None:
    """Every call says so, and so does one that waits."""
    channel, address = await udp()
    async with trio.open_nursery() as nursery:

        async def receive() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await channel.receive()

        nursery.start_soon(receive)
        await trio.testing.wait_all_tasks_blocked()
        await channel.aclose()
    await channel.aclose()

    with pytest.raises(trio.ClosedResourceError, match="already closed"):
        await channel.receive()
    with pytest.raises(trio.ClosedResourceError, match="already closed"):
        await channel.send((b"x", address))


async def test_it_has_no_half_close_and_closes_with_its_pipeline() -> None:
    """UDP has no end."""
    channel, _ = await udp()
    async with Pipeline(channel, Passthrough()):
        pass

    assert -1 == channel.socket.fileno()


async def test_a_socket_of_another_kind_is_refused() -> None:
    """A TCP socket would give empty datagrams for ever at its end."""
    with trio.socket.socket() as stream, pytest.raises(TypeError, match=r"not SOCK_DGRAM.*trio\.SocketStream"):
        Datagrams(stream)
    with socket.socket(type=socket.SOCK_DGRAM) as plain, pytest.raises(TypeError, match=r"trio\.socket\.from_stdlib_s"):
        Datagrams(plain)  # type: ignore[arg-type]


@pytest.mark.parametrize("limit", [0, -1])
async def test_a_limit_of_no_bytes_is_refused(limit: int) -> None:
    """The message says what to give."""
    with (
        trio.socket.socket(type=trio.socket.SOCK_DGRAM) as plain,
        pytest.raises(ValueError, match=f"max_bytes is {limit}; .* give 1 or more"),
    ):
        Datagrams(plain, max_bytes=limit)
