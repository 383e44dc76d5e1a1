"""What waits in a row, first come, first served.

Rules for this file: a row is nearly always empty, or has one entry, and a chain has many rows. So it is a tuple until
it is longer: a `collections.deque` takes 600 bytes even if it is empty, all the time that a connection is idle.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TypeAlias, TypeVar

T = TypeVar("T")

Row: TypeAlias = deque[T] | tuple[T, ...]
"""To be read like any sequence, and changed by the functions here only: what they return takes the row's place."""


def row_of(entries: Iterable[T]) -> Row[T]:
    """These, the first to come first."""
    return deque(entries) or ()


def behind(row: Row[T], entry: T) -> Row[T]:
    """The row with one entry more, which is the last."""
    if not row:
        return (entry,)
    if isinstance(row, tuple):
        row = deque(row)
    row.append(entry)
    return row


def before(row: Row[T], *entries: T) -> Row[T]:
    """The row with some more, in their order, before all others."""
    return row_of((*entries, *row))


def rest(row: Row[T]) -> Row[T]:
    """The row without its first entry."""
    if isinstance(row, tuple):
        return row[1:]
    row.popleft()
    return row or ()
