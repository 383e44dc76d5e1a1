"""`check_linear`: a quadratic stage is told by a ratio, whatever the machine."""

from __future__ import annotations

import gc
from typing import Any

import pytest
import trio

from pipeline import Duplex, Inbound, Outbound, Passthrough, inbound, outbound
from pipeline.testing import check_linear


class Grow(Inbound[bytes, bytes]):
    """Keeps everything; copies all of it each time, as `bytes += bytes` may."""

    def __init__(self) -> None:
        self.rest = b""

    def process_sync(self, item: bytes, /) -> list[bytes]:
        self.rest = self.rest + item
        return []


class Append(Inbound[bytes, bytes]):
    """Keeps everything, and copies nothing."""

    def __init__(self) -> None:
        self.rest = bytearray()

    def process_sync(self, item: bytes, /) -> list[bytes]:
        self.rest += item
        return [item]


class Echo(Outbound[Any, Any]):
    def process_sync(self, item: Any, /) -> list[Any]:
        return [item]


def pieces(n: int) -> list[bytes]:
    return [b"x" * 100] * n


def test_a_linear_stage_passes() -> None:
    """The ratio is given back, about 4."""
    assert 2 < check_linear(Append, pieces, n=10000) < 8


@pytest.mark.parametrize("direction", ["inbound", "outbound"])
def test_a_linear_chain_passes(direction: Any) -> None:
    """A chain runs on the engine; both directions, one after the other."""
    check_linear(lambda: Duplex(Append(), Echo()) | Passthrough(), pieces, n=500, direction=direction)


@pytest.mark.parametrize("direction", ["inbound", "outbound"])
def test_a_missing_half_is_driven_as_a_chain(direction: Any) -> None:
    """It is linear, of course."""
    check_linear(Passthrough, pieces, n=500, direction=direction)


def test_a_quadratic_stage_fails() -> None:
    """With the ratio, and both sizes with their times."""
    with pytest.raises(AssertionError) as info:
        check_linear(Grow, pieces, n=2500)

    assert str(info.value).startswith("F1: the time is not linear: 4 times the input took ")
    assert "size: 2500: " in str(info.value)


def test_the_collector_is_as_it_was() -> None:
    """Measured without it, and it runs again after; or not, where it did not."""
    check_linear(Append, pieces, n=1000)
    assert gc.isenabled()

    gc.disable()
    try:
        check_linear(Append, pieces, n=1000)
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_stage_that_waits_is_refused() -> None:
    """Waiting is no CPU time."""

    async def slow(item: Any) -> list[Any]:
        await trio.lowlevel.checkpoint()
        return [item]

    async def main(direction: Any) -> None:
        make = inbound if direction == "inbound" else outbound
        with pytest.raises(RuntimeError, match="slow waits"):
            check_linear(lambda: make(slow), pieces, n=10, direction=direction)

    trio.run(main, "inbound")
    trio.run(main, "outbound")
