"""`check_linear`: a quadratic stage is told by a ratio, whatever the machine."""

from __future__ import annotations

import gc
import time
from itertools import accumulate
from typing import Any

import pytest
import trio

from pipeline import Duplex, Inbound, Outbound, Passthrough, Reply, inbound, outbound
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


@pytest.mark.parametrize(
    ("seconds", "ratio"),
    [
        ([0.02, 0.01, 0.03, 0.04], 4),
        ([0.01, 0.01, 0.01, 0.3, 0.01, 0.2, 0.02, 0.08], 4),
        ([0.01] * 3 + [0.1] + [0.01, 0.09, 0.01, 0.12] * 2 + [0.01, 0.1], None),
        ([0.1] * 3 + [1.3], None),
        ([0.1] * 3 + [0.9, 0.1, 0.4], 4),
    ],
    ids=["at once", "with noise", "never", "long", "not so long"],
)
def test_it_is_measured_until_noise_explains_nothing(
    seconds: list[float], ratio: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = accumulate((0.0, *(step for each in seconds for step in (each, 1))))
    monkeypatch.setattr(time, "process_time", lambda: next(clock))
    if ratio is None:
        with pytest.raises(AssertionError, match="not linear"):
            check_linear(Append, pieces, n=1)
    else:
        assert ratio == pytest.approx(check_linear(Append, pieces, n=1))
    monkeypatch.undo()
    assert 1 == len(list(clock)), "each measurement was needed"


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


def test_what_stands_behind_many_replies_is_measured_too() -> None:
    """They are written in between, as a pipeline does."""
    seen: list[int] = []

    def answer(item: Any) -> list[Any]:
        return [Reply(bytes(1000))] * 200 + [item]

    def count(item: Any) -> list[Any]:
        seen.append(item)
        return []

    check_linear(lambda: Duplex(inbound(answer), outbound(lambda item: [item])) | inbound(count), range, n=5)

    assert {*range(20)} == {*seen}


def test_a_stage_instead_of_a_factory_is_refused() -> None:
    stage: Any = inbound(lambda item: [item])
    with pytest.raises(TypeError, match=r"each try needs a fresh stage, .* makes one: lambda: inbound\("):
        check_linear(stage, lambda n: [b"x"] * n)
