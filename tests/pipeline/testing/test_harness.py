"""`Harness`: a stage or a chain in a test's hands, without an event loop."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest
import trio

from pipeline import (
    Duplex,
    Inbound,
    Outbound,
)
from pipeline.testing import Harness
from tests.pipeline.testing.small_stages import Pings, Ticks
from tests.pipeline.wires import Lines


class AddLF(Outbound[bytes, bytes]):
    """A head and a tail, so that one item becomes two; a last word at the end."""

    def process_sync(self, item: bytes, /) -> list[bytes]:
        return [item, b"\n"]

    async def finish(self) -> list[bytes]:
        return [b"bye\n"]


class Steps(Inbound[Any, Any]):
    """Calls whatever it is given, which may wait."""

    async def process(self, item: Any, /) -> list[Any]:
        await item()
        return [item]


def framer() -> Duplex[bytes, bytes, bytes, bytes]:
    return Duplex(Lines(), AddLF())


def test_receive_returns_what_came_out_by_it() -> None:
    """Each call returns its own client items; `received` has all of them."""
    harness = Harness(framer())

    assert [b"one"] == harness.receive(b"one\ntw")
    assert [b"two", b"three"] == harness.receive(b"o\n", b"three\n")
    assert [b"one", b"two", b"three"] == harness.received
    assert [] == harness.finish()
    assert harness.inbound_ended


def test_send_returns_what_came_out_by_it() -> None:
    """Each call returns its own wire items as they are, not joined; `sent` has all of them."""
    harness = Harness(framer())

    assert [b"a", b"\n", b"b", b"\n"] == harness.send(b"a", b"b")
    assert [b"bye\n"] == harness.send_eof()
    assert [b"a", b"\n", b"b", b"\n", b"bye\n"] == harness.sent
    assert harness.outbound_ended


@pytest.mark.parametrize("half", ["inbound", "outbound"])
def test_bare_halves_work(half: str) -> None:
    """One half of a duplex is tested alone; the other direction passes it unseen."""
    harness = Harness(getattr(framer(), half))

    assert ([b"x\n"] if half == "outbound" else [b"x"]) == harness.receive(b"x\n")
    assert ([b"y", b"\n"] if half == "outbound" else [b"y"]) == harness.send(b"y")


def test_start_has_run_when_the_harness_is_made() -> None:
    """What a stage's start() turned round is there before the first call."""
    harness = Harness(Pings())

    assert ["hello"] == harness.sent == harness.replies


def test_advance_runs_each_timer_at_its_own_time() -> None:
    """Two timers within 25 s run at 10 and at 20; the clock ends at 25."""
    harness = Harness(Ticks())

    assert [] == harness.advance(9.5)
    assert [10.0, 20.0] == harness.advance(15.5)
    assert 25.0 == harness.now
    assert [10.0, 20.0] == harness.replies == harness.sent


def test_with_closes_the_stages() -> None:
    """Once, whatever is closed again behind it."""
    closed = []

    class Closing(Inbound[Any, Any]):
        def process_sync(self, item: Any, /) -> list[Any]:
            return [item]

        def close(self) -> None:
            closed.append(self)

    with Harness(Closing()) as harness:
        harness.receive(1)
        assert not closed
    harness.close()

    assert 1 == len(closed)


async def test_a_stage_that_waits_is_refused_with_its_name() -> None:
    """The message names the stage and the remedy, also inside a running loop."""
    harness = Harness(Steps())
    with pytest.raises(RuntimeError, match=r"^Steps waits, and Harness has no event loop.*AsyncHarness"):
        harness.receive(trio.lowlevel.checkpoint)


def test_a_stage_whose_start_waits_is_refused() -> None:
    """Making the harness runs start(), so it raises there."""

    class Starting(Steps):
        async def start(self) -> tuple[()]:
            await asyncio.sleep(0)
            return ()

    with pytest.raises(RuntimeError, match="Starting waits"):
        Harness(Starting())


@pytest.mark.parametrize("wait", [partial(trio.sleep, 1), lambda: trio.Event().wait(), partial(asyncio.sleep, 1)])
def test_a_stage_that_looks_for_a_loop_is_told_of_async_harness(wait: Any) -> None:
    """Without a loop the library's own error comes, with the remedy as a note."""
    harness = Harness(Steps())

    with pytest.raises(RuntimeError) as info:
        harness.receive(wait)

    assert any("use AsyncHarness" in note for note in info.value.__notes__)


def test_a_stages_own_runtime_error_is_left_alone() -> None:
    """No remedy is offered for what is no waiting."""

    async def fail() -> None:
        raise RuntimeError("own")

    with pytest.raises(RuntimeError, match="own") as info:
        Harness(Steps()).receive(fail)

    assert not any("AsyncHarness" in note for note in info.value.__notes__)
