"""Rules of `check_channel`: each broken promise is told by the rule that is about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio

from pipeline.testing import check_channel
from tests.pipeline.testing.channels import (
    Broken,
    Method,
    Pair,
    failure,
    memory,
    rule_broken_by,
    sends_twice,
    waits_for_ever,
)


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


def sends_after_closing(end: Any) -> Method:
    async def send(item: Any) -> None:
        was_open = end.statistics().open_send_channels
        try:
            await end.send(item)
        except trio.ClosedResourceError:
            if was_open:
                raise

    return send


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
        ("cancelled_aclose_closes", "receive", "aclose", closes_not_when_cancelled),
        ("closed_ends_refuse", "receive", "aclose", closes_never),
        ("closed_ends_refuse", "send", "send", sends_after_closing),
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
    waits_on = waits_for_ever("receive", trio.ClosedResourceError, "receive")
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


def receives_for_one_at_a_time(end: Any) -> Method:
    busy = False

    async def receive() -> Any:
        nonlocal busy
        if busy:
            raise trio.BusyResourceError("another task receives")
        busy = True
        try:
            return await end.receive()
        finally:
            busy = False

    return receive


async def test_a_second_receiver_is_to_be_refused() -> None:
    """Unless the channel serves several."""

    async def make() -> Pair:
        sender, receiver = await memory()
        return sender, Broken(receiver, receive=receives_for_one_at_a_time(receiver))

    await check_channel(make)
    assert "rule: second_receiver_is_refused" in await failure(memory, busy=True)
