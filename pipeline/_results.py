"""Results of a stage that nobody has taken yet: with one put back, told of when they are taken, and closed.

Rules for this file: they stay lazy (S1), and what is not taken of them is closed, so that clean-up code runs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any


class Results:
    """Results in a row of which more can be put in front; closed together."""

    def __init__(self, *parts: Iterator[Any]) -> None:
        self._parts = deque(parts)

    def __iter__(self) -> Results:
        return self

    def __next__(self) -> Any:
        while self._parts:
            for out in self._parts[0]:
                return out
            self._parts.popleft()
        raise StopIteration

    def push(self, out: object) -> None:
        """Put one result in front."""
        self._parts.appendleft(iter((out,)))

    def close(self) -> None:
        """Close all parts that can be."""
        for part in self._parts:
            close_results(part)


class Noted:
    """Results that tell when one of them is taken."""

    def __init__(self, results: Iterator[Any], note: Callable[[], None]) -> None:
        self._results, self._note = results, note

    def __iter__(self) -> Noted:
        return self

    def __next__(self) -> Any:
        out = next(self._results)
        self._note()
        return out

    def close(self) -> None:
        """Close what is not taken."""
        close_results(self._results)


def close_results(results: object) -> None:
    """Let a lazy result clean up."""
    close = getattr(results, "close", None)
    if close is not None:
        close()
