"""How much memory something takes at most."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager


class Peak:
    """What was taken in a block.

    Attributes:
        bytes: how much was there at once, beyond what was there before; known when the block has ended.
    """

    bytes: int


@contextmanager
def peak_memory() -> Iterator[Peak]:
    """Measure what Python code takes in the block, which runs several times slower."""
    peak = Peak()
    tracemalloc.start()
    try:
        yield peak
        _, peak.bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
