"""How much is tried, and measured, of what tests repeat thousands of times."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import coverage

EVERY_CUT = "EVERY_CUT" in os.environ
"""Whether all that can be tried is tried: `make test-full` sets it, `make test` tries some of it."""


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
