"""How to test a whole server: in memory, in a plain pytest file, with all that a network does wrong.

    python -m pytest examples/test_a_server.py

(`python examples/test_a_server.py` does the same.) First the server, as it could stand in your own package; then
its tests. `pipeline_pair` joins a client to it without a port; trio's `MockClock` jumps over every wait, so a test
of 60 seconds' silence takes none.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, ParamSpec

import pytest
import trio
import trio.testing

from pipeline import Codec, FrameError, Pipeline
from pipeline.testing import Cut, Reset, Stall, pipeline_pair
from stages import LineFramer, TextCodec

P = ParamSpec("P")

PATIENCE_SECONDS = 60
"""How long a client may say nothing, or not take its answer."""


def make_chain() -> Codec[bytes, str]:
    return LineFramer(max_bytes=100) | TextCodec()


class Till:
    """Adds up what its clients ring in; give `serve` to `serve_tcp`.

    Attributes:
        total: What all clients have rung in.
        clients: How many are served now.
    """

    def __init__(self) -> None:
        self.total = 0
        self.clients = 0

    async def serve(self, pipeline: Pipeline[str, str]) -> None:
        self.clients += 1
        try:
            await self._ring_in(pipeline)
        except (FrameError, ValueError):
            # Only receiving is broken by it, so the client can be told; in our own words, which fit into a line.
            await pipeline.send("error: that is no amount")
        except (trio.TooSlowError, trio.BrokenResourceError):
            pass  # silent or gone: there is nobody to be told
        finally:
            self.clients -= 1

    async def _ring_in(self, pipeline: Pipeline[str, str]) -> None:
        while True:
            with trio.fail_after(PATIENCE_SECONDS):
                try:
                    amount = int(await pipeline.receive())
                except trio.EndOfChannel:
                    return
                self.total += amount
                await pipeline.send(f"total {self.total}")


# ---- what the tests need: a client of the server, and a clock that jumps


@asynccontextmanager
async def client_of(till: Till, **faults: Any) -> AsyncIterator[Pipeline[str, str]]:
    """A client, served by the till over a line with these faults; `to_right` is what the server hears."""

    async def serve(server: Pipeline[str, str]) -> None:
        async with server:  # as serve_tcp does: the connection is closed behind the handler
            await till.serve(server)

    async with pipeline_pair(make_chain(), make_chain(), **faults) as (client, server), trio.open_nursery() as nursery:
        nursery.start_soon(serve, server)
        yield client


def on_trio(test: Callable[P, Awaitable[None]]) -> Callable[P, None]:
    """Run an async test on a clock that jumps; with pytest-trio installed you need no such thing."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        trio.run(functools.partial(test, *args, **kwargs), clock=trio.testing.MockClock(autojump_threshold=0))

    return run


# ---- a good line, and a slow one


@pytest.mark.parametrize("faults", [{}, {"trickle": 1}, {"lockstep": True}], ids=["whole", "trickle", "lockstep"])
@on_trio
async def test_answers_with_the_total(faults: dict[str, Any]) -> None:
    """Also byte by byte, and where each write waits until the one before was read."""
    async with client_of(Till(), **faults) as client:
        await client.send("2")
        assert await client.receive() == "total 2"
        await client.send("40")
        assert await client.receive() == "total 42"


@on_trio
async def test_an_amount_that_is_none_ends_the_connection_with_a_word() -> None:
    till = Till()
    async with client_of(till) as client:
        await client.send_many(["2", "two", "2"])
        assert await client.receive() == "total 2"
        assert await client.receive() == "error: that is no amount"
        with pytest.raises(trio.EndOfChannel):
            await client.receive()
    assert till.total == 2


# ---- a stall: nothing arrives any more, and nothing fails


@on_trio
async def test_a_silent_client_is_let_go() -> None:
    """Half of its second amount arrives; it must not be rung in."""
    till = Till()
    async with client_of(till, to_right=Stall(after=len(b"2\n4"))) as client:
        await client.send_many(["2", "40"])
        assert await client.receive() == "total 2"
        began = trio.current_time()
        with pytest.raises(trio.EndOfChannel):
            await client.receive()
        assert trio.current_time() - began == pytest.approx(PATIENCE_SECONDS)
        assert (till.total, till.clients) == (2, 0)


@on_trio
async def test_a_client_that_does_not_take_its_answers_is_let_go() -> None:
    """`lockstep`, as the server's write must wait for the client; a network's buffers would take some."""
    till = Till()
    async with client_of(till, lockstep=True, to_left=Stall(after=0)) as client:
        await client.send("2")
        await trio.sleep(PATIENCE_SECONDS + 10)
        assert till.clients == 0


# ---- a reset, and an end in the middle


@on_trio
async def test_a_reset_costs_this_client_only() -> None:
    """What it had rung in counts, what was cut does not, and the till serves the next one."""
    till = Till()
    async with client_of(till, to_right=Reset(after=len(b"2\n4"))) as client:
        await client.send("2")
        assert await client.receive() == "total 2"
        with pytest.raises(trio.BrokenResourceError, match="reset"):
            await client.send("40")
    assert (till.total, till.clients) == (2, 0)

    async with client_of(till) as client:
        await client.send("40")
        assert await client.receive() == "total 42"


@on_trio
async def test_a_line_cut_short_is_not_rung_in() -> None:
    """4 is not 40: an end in the middle of a line is an error, and what was there is no line."""
    till = Till()
    async with client_of(till, to_right=Cut(after=len(b"4"))) as client:
        with pytest.raises(trio.BrokenResourceError):
            await client.send("40")
        assert await client.receive() == "error: that is no amount"
    assert till.total == 0


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-v"]))
