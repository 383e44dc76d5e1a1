"""`check_channel`: pipelines and trio's own channels pass, and either end may be the one at fault."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
import trio.testing

from pipeline import Duplex, Pipeline, inbound, outbound
from pipeline.testing import check_channel
from tests.pipeline.testing.channels import Broken, Pair, failure, memory, sends_twice

BYTES = [b"one", b"two", b"three"]


async def rendezvous() -> Pair:
    return trio.open_memory_channel[Any](0)


def lines() -> Any:
    @inbound
    def cut(item: bytes) -> list[bytes]:
        return bytes(item).splitlines()

    @outbound
    def end(item: bytes) -> list[bytes]:
        return [item + b"\n"]

    return Duplex(cut, end)


async def lockstep() -> Pair:
    left, right = trio.testing.lockstep_stream_pair()
    return Pipeline[Any, Any](left, lines()), Pipeline[Any, Any](right, lines())


async def test_trios_own_channels_pass() -> None:
    """Buffered and not; they serve several receivers."""
    await check_channel(memory, busy=False, make_clogged=memory)
    await check_channel(rendezvous, busy=False, make_clogged=rendezvous)


async def test_pipelines_pass_both_ways() -> None:
    """Every write waits for the peer to read it, so they clog, too."""
    await check_channel(lockstep, items=BYTES, both_ways=True, make_clogged=lockstep)


async def test_a_call_that_does_not_return_is_told() -> None:
    """A channel that serves both does not fulfil what a pipeline promises; the wait for it ends."""
    message = await failure(memory, busy=True)

    assert message.startswith("channel: While a task waits in receive(), a second one gets trio.BusyResourceError")
    assert "rule: second_receiver_is_refused" in message
    assert "happened: a call did not return within 5 s" in message


async def test_what_happened_is_told_without_the_group_of_a_nursery() -> None:
    async def make() -> Pair:
        sender, receiver = await memory()

        async def aclose() -> None:
            sender.close()

        return Broken(sender, aclose=aclose), receiver

    message = await failure(make)

    assert "rule: closing_is_a_checkpoint" in message
    assert "happened: AssertionError('assert_checkpoints block did not yield!')" in message


async def test_the_other_way_is_checked_on_request() -> None:
    """A fault at one end shows only there."""

    class OneWay:
        """Two memory channels as one two-way end."""

        def __init__(self, sender: Any, receiver: Any) -> None:
            self.sender, self.receiver = sender, receiver
            self.send, self.receive = sender.send, receiver.receive

        def __aiter__(self) -> AsyncIterator[Any]:
            iterator: AsyncIterator[Any] = self.receiver.__aiter__()
            return iterator

        async def aclose(self) -> None:
            self.sender.close()
            self.receiver.close()
            await trio.lowlevel.checkpoint()

        async def __aenter__(self) -> Any:
            return self

        async def __aexit__(self, *error: object) -> None:
            await self.aclose()

    async def make() -> Pair:
        to_right, from_left = trio.open_memory_channel[Any](10)
        to_left, from_right = trio.open_memory_channel[Any](10)
        return OneWay(to_right, from_right), OneWay(Broken(to_left, send=sends_twice(to_left)), from_left)

    await check_channel(make, busy=False)
    message = await failure(make, both_ways=True)

    assert "rule: items_arrive_in_order" in message


async def test_a_pair_that_cannot_be_entered_is_closed() -> None:
    """The error is the user's own."""
    closed = []

    class Refuses(Broken):
        async def __aenter__(self) -> Any:
            raise ValueError("no")

        async def aclose(self) -> None:
            closed.append(self)
            await trio.lowlevel.checkpoint()

    async def make() -> Pair:
        sender, receiver = trio.open_memory_channel[Any](0)
        return Refuses(sender), Refuses(receiver)

    with pytest.raises(ValueError, match="no"):
        await check_channel(make)
    assert 2 == len(closed)
