"""Coverage, paused: for tests that repeat what others do, thousands of times or to see how long it takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import coverage


@contextmanager
def unmeasured() -> Iterator[None]:
    """Coverage does not look; nothing happens where it does not anyway."""
    running = coverage.Coverage.current()
    if running is None:
        yield
        return
    running.stop()
    try:
        yield
    finally:
        running.start()
