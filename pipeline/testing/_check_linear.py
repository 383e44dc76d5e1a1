"""`check_linear`: four times the input costs about four times the CPU time, not sixteen times."""

from __future__ import annotations

import gc
import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final, Literal

from .._core import Engine
from .._flow import NEED_INPUT, Waiting
from .._stage import END, Stage, sync_process
from ._bench import AnyChain
from ._outcome import Factory, name_of, refuse_object, run_now
from ._report import fail

MOST_RATIO: Final = 8.0
"""Linear is 4, quadratic is 16."""
LONG_SECONDS: Final = 0.5
"""What else the machine does may add as much to a measurement, but not many times as much."""


def check_linear(
    factory: Factory,
    make: Callable[[int], Iterable[Any]],
    *,
    n: int = 65536,
    direction: Literal["inbound", "outbound"] = "inbound",
) -> float:
    """Check that the CPU time for 4 n is at most 8 times that for n; the best of several, where one is not enough.

    check_linear(lambda: LineFramer(max_bytes=1 << 30), lambda n: [b"x"] * n)

    It is a ratio of two measurements on one machine, so it is the same on a slow one. Give worst cases:
    one endless frame byte by byte, a frame of one byte each, one read with everything.

    Args:
        factory: makes a fresh stage or chain; its limits must allow 4 n.
        make: makes the items that are fed (or sent), of size n. Making them is not measured.
        n: large enough that the work itself costs more than calling the stage.
        direction: which half is fed.

    Returns:
        The ratio, to be shown.

    Raises:
        AssertionError: over 8 times, with both times.
    """
    refuse_object(factory)
    measure = partial(_timed, factory, direction)
    small, large = _times(measure, list(make(n)), list(make(4 * n)))
    ratio = large / small
    if ratio > MOST_RATIO:
        fail(
            "F1",
            f"the time is not linear: 4 times the input took {ratio:.1f} times as long (at most {MOST_RATIO:g})",
            stage=name_of(factory),
            size=f"{n}: {small * 1000:.1f} ms; {4 * n}: {large * 1000:.1f} ms",
        )
    return ratio


def _times(measure: Callable[[list[Any]], float], few: list[Any], many: list[Any]) -> tuple[float, float]:
    """Seconds for few and for many: the first that are good enough, or so bad that no noise explains them, or the best.

    Both are measured anew each time: else few at a fast moment would make many look slow for good.
    """
    small, large = min(measure(few) for _ in range(3)), measure(many)
    for _ in range(5):
        if large <= MOST_RATIO * small or large > max(LONG_SECONDS, 1.5 * MOST_RATIO * small):
            break
        again = measure(few), measure(many)
        if again[1] * small < large * again[0]:
            small, large = again
    return small, large


def _timed(factory: Factory, direction: str, items: list[Any]) -> float:
    run = _runner(factory(), direction)
    gc.collect()
    was_enabled = gc.isenabled()
    gc.disable()  # its pauses grow with what other tests left behind
    try:
        start = time.process_time()
        run(items)
        return time.process_time() - start
    finally:
        if was_enabled:
            gc.enable()


def _runner(chain: AnyChain, direction: str) -> Callable[[list[Any]], None]:
    """What is measured: one stage by itself, so that the driver's time hides nothing; a chain on `Engine`."""
    half = chain if isinstance(chain, Stage) else getattr(chain, direction)
    process = sync_process(half) if half else None
    if process is not None:
        run_now(half.start())
        return partial(_run_stage, process)
    engine: Engine[Any, Any] = Engine(chain)
    engine.start()
    _refuse(engine.next_item())  # runs the stages' start()
    return partial(_receive if direction == "inbound" else _send, engine)


def _run_stage(process: Callable[[Any], Iterable[Any]], items: list[Any]) -> None:
    for item in items:
        deque(process(item), maxlen=0)


def _receive(engine: Engine[Any, Any], items: list[Any]) -> None:
    for item in items:
        engine.feed(item)
        moved = True
        while moved:  # many replies hold up what is behind them until they are written
            while (out := engine.next_item()) is not NEED_INPUT and out is not END:
                _refuse(out)
            written = engine.to_write()
            _refuse(written)
            moved = bool(written)


def _send(engine: Engine[Any, Any], items: list[Any]) -> None:
    for item in items:
        engine.send(item)
        while out := engine.to_write():
            _refuse(out)


def _refuse(out: Any) -> None:
    if isinstance(out, Waiting):
        out.abandon()
        message = f"{out.stage_name} waits; the time that a stage waits is no CPU time"
        raise RuntimeError(message)  # noqa: TRY004 - the type is right, the stage is not
