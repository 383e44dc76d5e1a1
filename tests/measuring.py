"""Coverage, paused: for tests that repeat what others do, thousands of times or to see how long it takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import coverage


@contextmanager
def unmeasured() -> Iterator[None]:
    """Coverage does not look; nothing happens where it does not anyway.

    pytest-cov starts two in each process of pytest-xdist, and the one below goes on where the upper one stops.
    """
    stopped: list[coverage.Coverage] = []
    while (running := coverage.Coverage.current()) is not None and running not in stopped:
        running.stop()
        stopped.append(running)
    try:
        yield
    finally:
        for each in reversed(stopped):
            each.start()
