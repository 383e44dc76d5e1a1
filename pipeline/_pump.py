"""Copying one channel into another, both ways: what a proxy is made of."""

from __future__ import annotations

from typing import Any

import trio

from ._errors import HalfCloseError


async def pump(a: Any, b: Any) -> None:
    """Copy `a` into `b` and `b` into `a` until both have ended.

    a.receive() -> x  ─►  b.send(x)
    a.send(y)  ◄─  y <- b.receive()

    Args:
        a: a pipeline, or any object with trio's `receive` and `send`.
        b: the other one. Where one ends, the other is half-closed; where it cannot be, it is closed
            once what was read is written.

    Raises:
        TypeError: one of them is a trio stream, which has no items: make a pipeline of it.
        Exception: the first error of either side, itself and in no group. Neither side is closed.

    Cancellation: an item that was received and not sent yet is lost; close both sides.
    """
    for side in a, b:
        if isinstance(side, trio.abc.SendStream | trio.abc.ReceiveStream):
            kind = type(side).__name__
            raise TypeError(f"pump() copies items, which a {kind} has not: pump(pipeline, Pipeline(stream, Meter()))")
    ended = _Ends()
    async with trio.open_nursery() as nursery:
        for source, sink in ((a, b), (b, a)):
            nursery.start_soon(ended.copy, source, sink, nursery.cancel_scope)
    if ended.error is not None:
        raise ended.error


class _Ends:
    """What the two directions know of each other."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.closed: list[Any] = []

    async def copy(self, source: Any, sink: Any, scope: trio.CancelScope) -> None:
        """Copy one direction, and end its sink."""
        try:
            try:
                async for item in source:
                    await sink.send(item)
            except trio.ClosedResourceError:
                if not any(source is one for one in self.closed):
                    raise
            await self._end(sink)
        except Exception as error:
            self.error = self.error or error
            scope.cancel()

    async def _end(self, sink: Any) -> None:
        try:
            if hasattr(sink, "send_eof"):
                await sink.send_eof()
                return
        except HalfCloseError:
            pass
        self.closed.append(sink)
        await sink.aclose()
