"""`check_channel`: pipelines and trio's own channels pass; each broken promise is told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import trio
import trio.testing

from pipeline import Duplex, Pipeline, inbound, outbound
from pipeline.testing import check_channel

Pair = tuple[Any, Any]
BYTES = [b"one", b"two", b"three"]


async def memory() -> Pair:
    return trio.open_memory_channel[Any](10)


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


async def failure(make: Callable[[], Awaitable[Pair]], **options: Any) -> str:
    with pytest.raises(AssertionError) as info:
        await check_channel(make, **{"busy": False, **options})
    return str(info.value)


async def test_trios_own_channels_pass() -> None:
    """Buffered and not; they serve several receivers."""
    await check_channel(memory, busy=False, make_clogged=memory)
    await check_channel(rendezvous, busy=False, make_clogged=rendezvous)


async def test_pipelines_pass_both_ways() -> None:
    """Every write waits for the peer to read it, so they clog, too."""
    await check_channel(lockstep, items=BYTES, both_ways=True, make_clogged=lockstep)


async def test_two_receivers_are_told() -> None:
    """A channel that serves both does not fulfil what a pipeline promises; the wait for it ends."""
    message = await failure(memory, busy=True)

    assert message.startswith("channel: While a task waits in receive(), a second one gets trio.BusyResourceError")
    assert "rule: second_receiver_is_refused" in message
    assert "happened: a call did not return within 5 s" in message


class Broken:
    """A memory channel of which one method is replaced, on one end."""

    def __init__(self, end: Any, **methods: Any) -> None:
        self.end = end
        for name, method in methods.items():
            setattr(self, name, method)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.end, name)

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> Any:
        try:
            return await self.receive()
        except trio.EndOfChannel:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Any:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()


Method = Callable[..., Any]


async def rule_broken_by(side: str, method: str, replacement: Callable[[Any], Method], size: int = 10) -> str:
    """The name of the first rule that fails with this replacement of one method."""

    async def make() -> Pair:
        sender, receiver = trio.open_memory_channel[Any](size)
        if side == "send":
            return Broken(sender, **{method: replacement(sender)}), receiver
        return sender, Broken(receiver, **{method: replacement(receiver)})

    message = await failure(make, make_clogged=make)
    return message.partition("rule: ")[2].partition("\n")[0]


def sends_twice(end: Any) -> Method:
    async def send(item: Any) -> None:
        await end.send(item)
        await end.send(item)

    return send


def sends_without_checkpoint(end: Any) -> Method:
    async def send(item: Any) -> None:
        end.send_nowait(item)

    return send


def sends_though_cancelled(end: Any) -> Method:
    async def send(item: Any) -> None:
        with trio.CancelScope(shield=True):
            await end.send(item)
        await trio.lowlevel.checkpoint_if_cancelled()

    return send


def receives_without_checkpoint(end: Any) -> Method:
    async def receive() -> Any:
        try:
            return end.receive_nowait()
        except trio.WouldBlock:
            return await end.receive()

    return receive


def loses_when_cancelled(end: Any) -> Method:
    async def receive() -> Any:
        item: Any = None
        with trio.CancelScope(shield=True):
            item = await end.receive()
        await trio.lowlevel.checkpoint_if_cancelled()
        return item

    return receive


def loses_while_it_waits(end: Any) -> Method:
    cancelled = False

    async def receive() -> Any:
        nonlocal cancelled
        await trio.lowlevel.checkpoint_if_cancelled()
        if cancelled:
            cancelled = False
            await end.receive()
        try:
            return await end.receive()
        except trio.Cancelled:
            cancelled = True
            raise

    return receive


def ends_once(end: Any) -> Method:
    ended = False

    async def receive() -> Any:
        nonlocal ended
        try:
            return await end.receive()
        except trio.EndOfChannel:
            if ended:
                return None
            ended = True
            raise

    return receive


def closes_without_checkpoint(end: Any) -> Method:
    async def aclose() -> None:
        end.close()

    return aclose


def closes_not_when_cancelled(end: Any) -> Method:
    async def aclose() -> None:
        await trio.lowlevel.checkpoint()
        end.close()

    return aclose


def closes_never(end: Any) -> Method:
    return trio.lowlevel.checkpoint


def receives_after_closing(end: Any) -> Method:
    async def receive() -> Any:
        was_open = end.statistics().open_receive_channels
        try:
            return await end.receive()
        except trio.ClosedResourceError:
            if was_open:
                raise
            return None

    return receive


def sends_for_ever(end: Any) -> Method:
    async def send(item: Any) -> None:
        try:
            await end.send(item)
        except trio.BrokenResourceError:
            await trio.lowlevel.checkpoint()

    return send


@pytest.mark.parametrize(
    ("rule", "side", "method", "replacement"),
    [
        ("items_arrive_in_order", "send", "send", sends_twice),
        ("send_is_a_checkpoint", "send", "send", sends_without_checkpoint),
        ("cancelled_send_had_no_effect", "send", "send", sends_though_cancelled),
        ("end_is_for_ever", "receive", "receive", ends_once),
        ("receive_is_a_checkpoint", "receive", "receive", receives_without_checkpoint),
        ("cancelled_receive_loses_nothing", "receive", "receive", loses_when_cancelled),
        ("receive_cancelled_while_it_waits", "receive", "receive", loses_while_it_waits),
        ("closing_is_a_checkpoint", "send", "aclose", closes_without_checkpoint),
        ("closing_is_a_checkpoint", "receive", "aclose", closes_without_checkpoint),
        ("cancelled_aclose_closes", "send", "aclose", closes_not_when_cancelled),
        ("closed_ends_refuse", "receive", "aclose", closes_never),
        ("closed_ends_refuse", "receive", "receive", receives_after_closing),
        ("sending_to_nobody_is_broken", "send", "send", sends_for_ever),
    ],
)
async def test_a_broken_promise_is_told(
    rule: str, side: str, method: str, replacement: Callable[[Any], Method]
) -> None:
    """The rule that fails is the one that is about it."""
    assert rule == await rule_broken_by(side, method, replacement)


async def test_a_receiver_that_is_not_woken_is_told() -> None:
    """It would wait for ever; the check does not."""

    def waits_on(end: Any) -> Method:
        async def receive() -> Any:
            was_open = end.statistics().open_receive_channels
            try:
                return await end.receive()
            except trio.ClosedResourceError:
                if was_open:
                    await trio.sleep_forever()
                raise

        return receive

    assert "closing_wakes_the_receiver" == await rule_broken_by("receive", "receive", waits_on)


async def test_async_with_that_does_not_close_is_told() -> None:
    """Only the block's end is wrong."""

    async def stay(*error: object) -> None:
        await trio.lowlevel.checkpoint()

    class Stays(Broken):
        async def __aexit__(self, *error: object) -> None:
            await stay()

    async def make() -> Pair:
        sender, receiver = trio.open_memory_channel[Any](10)
        return Stays(sender), receiver

    assert "rule: async_with_closes" in await failure(make)


async def test_a_waiting_send_that_cannot_be_cancelled_is_told() -> None:
    """It runs on as if nothing was."""

    def swallows(end: Any) -> Method:
        async def send(item: Any) -> None:
            await trio.lowlevel.checkpoint_if_cancelled()
            try:
                end.send_nowait(item)
            except trio.WouldBlock:
                raise ValueError("full") from None
            await trio.lowlevel.cancel_shielded_checkpoint()

        return send

    assert "waiting_send_can_be_cancelled" == await rule_broken_by("send", "send", swallows)


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
