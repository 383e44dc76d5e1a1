"""`check_channel`: a pair of ends keeps trio's contract for channels."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import trio

from ._channel_clogged import CLOGGED_RULES
from ._channel_rules import BUSY_RULES, RULES, Rule
from ._pair import enter_both
from ._report import fail

MakeChannels: TypeAlias = "Callable[[], Awaitable[tuple[trio.abc.SendChannel[Any], trio.abc.ReceiveChannel[Any]]]]"
"""Makes a fresh pair: what is sent to the first is received from the second."""


async def check_channel(
    make: MakeChannels,
    *,
    items: Sequence[Any] = ("one", "two", "three"),
    both_ways: bool = False,
    busy: bool = True,
    make_clogged: MakeChannels | None = None,
    seconds: float = 5,
) -> None:
    """Check that channels do what trio promises of them, also when they are cancelled or closed.

    async def make():
        left, right = trio.testing.memory_stream_pair()
        return Pipeline(left, make_chain()), Pipeline(right, make_chain())

    await check_channel(make, items=[b"one", b"two"], both_ways=True)

    Each rule gets a fresh pair, which is entered at both ends at once. What the rules are stands
    with each function of `_channel_rules` and `_channel_clogged`: order and identity of items,
    checkpoints, cancellation before and during calls, the end, closing at either end, waking of waiting
    tasks, two receivers.

    Args:
        make: makes a fresh pair.
        items: what is sent, three different ones at least; all must come out equal.
        both_ways: both ends send and receive, so the other way is checked too.
        busy: a second receiver is refused with `trio.BusyResourceError`; False for channels which
            serve several, as trio's memory channels do.
        make_clogged: makes a pair where a `send()` of the first item waits, sooner or later, as long as
            nobody receives; None: rules on waiting senders are not checked.
        seconds: after this time a call counts as one that never returns.

    Raises:
        AssertionError: names the rule, and what happened instead.
    """
    rules = RULES + BUSY_RULES if busy else RULES
    for flipped in (False, True)[: 1 + both_ways]:
        for rule in rules:
            await _check(rule, make, items, seconds, flipped=flipped)
        for rule in CLOGGED_RULES if make_clogged else ():
            assert make_clogged is not None
            await _check(rule, make_clogged, items, seconds, flipped=flipped)


async def _check(rule: Rule, make: MakeChannels, items: Sequence[Any], seconds: float, *, flipped: bool) -> None:
    error: Exception | None = None
    async with _pair(make, flipped=flipped) as (sender, receiver):
        names = f"{sender!r} -> {receiver!r}"
        try:
            with trio.fail_after(seconds):
                await rule(sender, receiver, items)
        except Exception as raised:
            error = first_of(raised)
    if error is not None:
        happened = f"a call did not return within {seconds} s" if isinstance(error, trio.TooSlowError) else repr(error)
        fail("channel", str(rule.__doc__), cause=error, channels=names, rule=rule.__name__, happened=happened)


@asynccontextmanager
async def _pair(make: MakeChannels, *, flipped: bool) -> AsyncIterator[tuple[Any, Any]]:
    """A fresh pair, entered; closed by force, as a rule may have left it in any state."""
    sender, receiver = await make()
    await enter_both(sender, receiver)
    try:
        yield (receiver, sender) if flipped else (sender, receiver)
    finally:
        for end in (sender, receiver):
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(end)


def first_of(error: Exception) -> Exception:
    """The error itself, where a nursery wrapped it."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error
