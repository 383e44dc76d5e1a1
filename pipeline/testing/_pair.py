"""`pipeline_pair`: two pipelines joined in memory, each the other's peer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio
import trio.testing

from .._pipeline import Pipeline
from ._bench import AnyChain
from ._faults import Fault, FaultyStream, Line


@asynccontextmanager
async def pipeline_pair(
    left_chain: AnyChain,
    right_chain: AnyChain,
    *,
    lockstep: bool = False,
    trickle: int | None = None,
    to_left: Fault | None = None,
    to_right: Fault | None = None,
    **options: Any,
) -> AsyncIterator[tuple[Pipeline[Any, Any], Pipeline[Any, Any]]]:
    """Two pipelines whose wires are joined in memory, for use with `async with`.

    async with pipeline_pair(LineFramer(), LineFramer()) as (left, right):
        await left.send(b"hello")
        assert await right.receive() == b"hello"

    Both are entered at once, so that handshakes meet, and closed at once. Both chains are written
    from wire to client, as always. A handshake that waits for what a handler sends (WebSocket's,
    SOCKS's) cannot end here: enter the server's pipeline first, start its handler, then enter
    the client's.

    Args:
        left_chain: the chain of the first pipeline.
        right_chain: the chain of the other one.
        lockstep: a write waits until the peer has read all of it; else nothing ever waits to be read.
        trickle: a read gives at most so many bytes; 1: byte by byte.
        to_left: what goes wrong with what the right one writes: `Cut`, `Stall` or `Reset`.
        to_right: what goes wrong with what the left one writes.
        options: for both, as in `Pipeline(...)`: `merge_writes`, `close_seconds` and so on.

    Raises:
        Exception: what went wrong first in entering or closing, the rest as notes.

    Cancellation: both are closed at once.
    """
    ends = trio.testing.lockstep_stream_pair() if lockstep else trio.testing.memory_stream_pair()
    line = Line(*ends)
    left, right = (
        Pipeline[Any, Any](FaultyStream(line, end, trickle=trickle, fault=fault), chain, **options)
        for end, fault, chain in zip(ends, (to_right, to_left), (left_chain, right_chain), strict=True)
    )
    await enter_both(left, right)
    try:
        yield left, right
    except BaseException as error:
        for pipeline in (left, right):
            await pipeline.__aexit__(type(error), error, error.__traceback__)
        raise
    line.closing = True
    await at_once(left.aclose, right.aclose)


async def enter_both(left: Any, right: Any) -> None:
    """Enter two ends at once; where one cannot, neither stays open."""
    try:
        await at_once(left.__aenter__, right.__aenter__, all_or_none=True)
    except BaseException:
        for end in (left, right):
            await trio.aclose_forcefully(end)
        raise


async def at_once(*calls: Callable[[], Awaitable[Any]], all_or_none: bool = False) -> None:
    """Make the calls at the same time, and raise the first error itself, the others as its notes.

    Args:
        calls: what is called.
        all_or_none: an error cancels the other calls, which might be waiting for the one that failed.
    """
    errors: list[Exception] = []

    async def run(call: Callable[[], Awaitable[Any]]) -> None:
        try:
            await call()
        except Exception as error:
            errors.append(error)
            if all_or_none:
                nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        for call in calls:
            nursery.start_soon(run, call)
    for other in errors[1:]:
        errors[0].add_note(f"and then {other!r}")
    if errors:
        raise errors[0]
