"""Servers on the loopback: what the tests of serving share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import trio

from pipeline import Passthrough, Pipeline, serve_tcp
from tests.pipeline.wires import PATIENCE, Lines


def lines() -> Passthrough:
    return Passthrough(Lines())


async def echo(pipeline: Pipeline[Any, Any]) -> None:
    """Give every line back."""
    async for line in pipeline:
        await pipeline.send(line + b"\n")


@asynccontextmanager
async def serving(
    handler: Callable[[Pipeline[Any, Any]], Any], make_chain: Callable[[], Any] = lines, **options: Any
) -> AsyncIterator[tuple[int, trio.Nursery]]:
    """A server on a free port of the loopback, in a nursery that is cancelled at the end."""
    async with trio.open_nursery() as nursery:
        serve = partial(serve_tcp, handler, 0, make_chain, host="127.0.0.1", **options)
        (listener,) = await nursery.start(serve)
        with trio.fail_after(PATIENCE):
            yield listener.socket.getsockname()[1], nursery
        nursery.cancel_scope.cancel()


async def connect(port: int) -> trio.SocketStream:
    return await trio.open_tcp_stream("127.0.0.1", port)
