"""Channels that break one promise, and which rule of `check_channel` tells it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio

from pipeline.testing import check_channel

Pair = tuple[Any, Any]
"""A sender and a receiver."""

Method = Callable[..., Any]


async def memory() -> Pair:
    return trio.open_memory_channel[Any](10)


async def failure(make: Callable[[], Awaitable[Pair]], **options: Any) -> str:
    """The message of the failed check."""
    with pytest.raises(AssertionError) as info:
        await check_channel(make, **{"busy": False, **options})
    return str(info.value)


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


async def rule_broken_by(side: str, method: str, replacement: Callable[[Any], Method]) -> str:
    """The name of the first rule that fails with this replacement of one method."""

    async def make() -> Pair:
        sender, receiver = await memory()
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


def waits_for_ever(method: str, error: type[Exception], closed: str) -> Callable[[Any], Method]:
    """Never raises an error that comes while it waits; one that is due from the start it does raise.

    Args:
        method: what is called.
        error: what it is to raise.
        closed: which end's closing brings it, "send" or "receive"; it was open when the call began.
    """

    def replacement(end: Any) -> Method:
        async def call(*args: Any) -> Any:
            was_open = getattr(end.statistics(), f"open_{closed}_channels")
            try:
                return await getattr(end, method)(*args)
            except error:
                if was_open:
                    await trio.sleep_forever()
                raise

        return call

    return replacement
