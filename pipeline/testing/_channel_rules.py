"""Trio's contract for channels, one rule a function: each gets a fresh pair, and its docstring is the rule."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

import trio
import trio.testing

Rule: TypeAlias = Callable[[Any, Any, Sequence[Any]], Awaitable[None]]


async def items_arrive_in_order(sender: Any, receiver: Any, items: Sequence[Any]) -> None:
    """What is sent arrives, equal and in order, also what was sent just before the sender closed."""

    async def send() -> None:
        for item in items:
            await sender.send(item)
        await sender.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        got = [item async for item in receiver]
        await receiver.aclose()  # a socket's sender waits for it, so that nothing gets lost
    expect(got == list(items), f"received {got!r}")


async def end_is_for_ever(sender: Any, receiver: Any, items: Sequence[Any]) -> None:
    """After the sender closed, every receive() raises trio.EndOfChannel."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sender.aclose)
        for _ in range(3):
            await must_raise(trio.EndOfChannel, receiver.receive)


async def send_is_a_checkpoint(sender: Any, receiver: Any, items: Sequence[Any]) -> None:
    """Each send() lets others run and notices a cancellation."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive_all, receiver, items)
        for item in items:
            with trio.testing.assert_checkpoints():
                await sender.send(item)


async def receive_is_a_checkpoint(sender: Any, receiver: Any, items: Sequence[Any]) -> None:
    """Each receive() lets others run and notices a cancellation, also with an item already there."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(send_all, sender, items)
        await trio.testing.wait_all_tasks_blocked()
        for item in items:
            with trio.testing.assert_checkpoints():
                got = await receiver.receive()
            expect(got == item, f"received {got!r}, not {item!r}")


async def closing_is_a_checkpoint(sender: Any, receiver: Any, items: Sequence[Any]) -> None:
    """Each aclose() lets others run, the second one too, which does nothing else."""
    async with trio.open_nursery() as nursery:
        for end in (sender, receiver):
            nursery.start_soon(_close_twice, end)


async def _close_twice(end: Any) -> None:
    for _ in range(2):
        with trio.testing.assert_checkpoints():
            await end.aclose()


async def cancelled_send_had_no_effect(sender: Any, receiver: Any, items: Sequence[Any]) -> None:
    """A send() that is cancelled from the start raises Cancelled and sends nothing."""
    await must_be_cancelled(partial(sender.send, items[0]))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sender.send, items[1])
        got = await receiver.receive()
    expect(got == items[1], f"received {got!r}, not {items[1]!r}")


async def cancelled_receive_loses_nothing(sender: Any, receiver: Any, items: Sequence[Any]) -> None:
    """A receive() that is cancelled from the start raises Cancelled and takes nothing."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(send_all, sender, items)
        for item in items:
            await trio.testing.wait_all_tasks_blocked()
            await must_be_cancelled(receiver.receive)
            got = await receiver.receive()
            expect(got == item, f"received {got!r}, not {item!r}")


async def receive_cancelled_while_it_waits(sender: Any, receiver: Any, items: Sequence[Any]) -> None:
    """A receive() that is cancelled while it waits loses nothing that is sent afterwards."""
    for item in items:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(receiver.receive)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sender.send, item)
            got = await receiver.receive()
        expect(got == item, f"received {got!r}, not {item!r}")


async def closed_ends_refuse(sender: Any, receiver: Any, items: Sequence[Any]) -> None:
    """After aclose() of an end, its send() or receive() raises trio.ClosedResourceError."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sender.aclose)
        nursery.start_soon(receiver.aclose)
    for _ in range(2):
        await must_raise(trio.ClosedResourceError, sender.send, items[0])
        await must_raise(trio.ClosedResourceError, receiver.receive)


async def cancelled_aclose_closes(sender: Any, receiver: Any, items: Sequence[Any]) -> None:
    """An aclose() that is cancelled has closed the end nevertheless."""
    await must_be_cancelled(sender.aclose)
    await must_raise(trio.ClosedResourceError, sender.send, items[0])
    await must_raise((trio.EndOfChannel, trio.BrokenResourceError), receiver.receive)
    await must_be_cancelled(receiver.aclose)
    await must_raise(trio.ClosedResourceError, receiver.receive)


async def closing_wakes_the_receiver(sender: Any, receiver: Any, items: Sequence[Any]) -> None:
    """A receive() that waits raises trio.ClosedResourceError when another task closes its end."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(must_raise, trio.ClosedResourceError, receiver.receive)
        await trio.testing.wait_all_tasks_blocked()
        await receiver.aclose()


async def sending_to_nobody_is_broken(sender: Any, receiver: Any, items: Sequence[Any]) -> None:
    """When the receiver has closed, send() raises trio.BrokenResourceError, the first time or soon after."""

    async def send() -> None:
        while True:
            await sender.send(items[0])
            await trio.sleep(0.001)  # a network tells it late

    await trio.aclose_forcefully(receiver)
    await must_raise(trio.BrokenResourceError, send)


async def async_with_closes(sender: Any, receiver: Any, items: Sequence[Any]) -> None:
    """`async with` closes at its end."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_leave, receiver)
        await _leave(sender)
    await must_raise(trio.ClosedResourceError, sender.send, items[0])
    await must_raise(trio.ClosedResourceError, receiver.receive)


async def _leave(end: Any) -> None:
    await end.__aexit__(None, None, None)


async def second_receiver_is_refused(sender: Any, receiver: Any, items: Sequence[Any]) -> None:
    """While a task waits in receive(), a second one gets trio.BusyResourceError, and the first its item."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive_all, receiver, items[:1])
        await trio.testing.wait_all_tasks_blocked()
        await must_raise(trio.BusyResourceError, receiver.receive)
        await sender.send(items[0])


RULES: tuple[Rule, ...] = (
    items_arrive_in_order,
    end_is_for_ever,
    send_is_a_checkpoint,
    receive_is_a_checkpoint,
    closing_is_a_checkpoint,
    cancelled_send_had_no_effect,
    cancelled_receive_loses_nothing,
    receive_cancelled_while_it_waits,
    closed_ends_refuse,
    cancelled_aclose_closes,
    closing_wakes_the_receiver,
    sending_to_nobody_is_broken,
    async_with_closes,
)
BUSY_RULES: tuple[Rule, ...] = (second_receiver_is_refused,)


# ---- what the rules are written with


def expect(holds: bool, otherwise: str) -> None:  # noqa: FBT001 - as `assert`, which -O would remove
    """Fail with what happened otherwise."""
    if not holds:
        raise AssertionError(otherwise)


async def must_raise(
    kinds: type[Exception] | tuple[type[Exception], ...], call: Callable[..., Awaitable[Any]], *args: Any
) -> None:
    """Fail unless the call raises one of `kinds`; any other error leaves as itself."""
    try:
        got = await call(*args)
    except kinds:
        return
    raise AssertionError(f"{getattr(call, '__name__', call)}() returned {got!r}")


async def must_be_cancelled(call: Callable[[], Awaitable[Any]]) -> None:
    """Fail unless the call, made in a scope that is cancelled already, is cancelled."""
    with trio.CancelScope() as scope:
        scope.cancel()
        await call()
    expect(scope.cancelled_caught, "a call in a cancelled scope ran to its end")


async def send_all(sender: Any, items: Sequence[Any]) -> None:
    """Send the items, one after the other."""
    for item in items:
        await sender.send(item)


async def receive_all(receiver: Any, items: Sequence[Any]) -> None:
    """Receive as many items, which must be these."""
    got = [await receiver.receive() for _ in items]
    expect(got == list(items), f"received {got!r}")
