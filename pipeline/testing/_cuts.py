r"""Where a network may cut bytes: every way for small inputs, many ways for large ones.

A *cut* is the sorted places at which the bytes are cut: `b"one\n"` with the cut (2,) comes as
`b"on" | b"e\n"`. A place may be there twice, or at either end: an empty piece, which must not matter.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias, cast

Cut: TypeAlias = tuple[int, ...]

EVERY_WAY_BYTES: Final = 10
"""Up to this length all 2 ** (length - 1) ways are tried."""
RANDOM_CUTS: Final = 200
_MOST_PLACES: Final = 1000
"""Longer inputs are cut at so many single places, and not into single bytes."""


def pieces_of(data: bytes, cut: Cut) -> list[bytes]:
    """The pieces that `data` comes in."""
    return [data[start:end] for start, end in itertools.pairwise((0, *cut, len(data)))]


def shortest_failing_cut(
    length: int, fails: Callable[[Cut], bool], *, random_cuts: int = RANDOM_CUTS, seed: int = 0
) -> Cut | None:
    """Find a cut that fails, with as few places as can be found; None if none fails.

    Args:
        length: of the input, in bytes.
        fails: whether the check fails with this cut.
        random_cuts: so many random ways are tried where every way would be too many.
        seed: of the random ways.
    """
    for cut in _single_cuts(length):
        if fails(cut):
            return cut
    if length <= EVERY_WAY_BYTES:
        return next(filter(fails, _every_way(length)), None)
    failing = next(filter(fails, _many_ways(length, random_cuts, seed)), None)
    if failing is None and random_cuts:
        failing = _found_by_hypothesis(length, fails)
    return None if failing is None else _shrunk(failing, fails)


def _single_cuts(length: int) -> Iterator[Cut]:
    """Uncut, then with one cut; at the very ends too, which makes an empty piece."""
    yield ()
    step = max(1, length // _MOST_PLACES)
    yield from ((place,) for place in (*range(1, length, step), 0, length))


def _every_way(length: int) -> Iterator[Cut]:
    """All ways with two and more cuts, those with few cuts first."""
    for count in range(2, length):
        yield from itertools.combinations(range(1, length), count)


def _many_ways(length: int, count: int, seed: int) -> Iterator[Cut]:
    """Byte by byte, and random ways from very fine to very coarse."""
    if length <= _MOST_PLACES:
        yield tuple(range(1, length))
    rng = random.Random(seed)  # noqa: S311 - the same cuts each time
    for _ in range(count):
        places = min(_MOST_PLACES, int(length ** rng.random()) + 1)
        yield tuple(sorted(rng.choices(range(length + 1), k=places)))


def _found_by_hypothesis(length: int, fails: Callable[[Cut], bool]) -> Cut | None:
    """What Hypothesis finds, with the extra `penstock[testing]`; it prefers few cuts and odd places."""
    try:
        from hypothesis import HealthCheck, find, settings  # noqa: PLC0415 - an extra
        from hypothesis import strategies as st  # noqa: PLC0415
        from hypothesis.errors import NoSuchExample  # noqa: PLC0415
    except ImportError:
        return None
    cuts = st.lists(st.integers(0, length), max_size=50).map(lambda places: tuple(sorted(places)))
    how = settings(
        max_examples=100,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(cast("Any", HealthCheck)),
    )
    try:
        return find(cuts, fails, settings=how)
    except NoSuchExample:
        return None


def _shrunk(cut: Cut, fails: Callable[[Cut], bool]) -> Cut:
    """Leave out places, many at once first, as long as the rest still fails."""
    size = len(cut)
    while size:
        start = 0
        while start < len(cut):
            fewer = cut[:start] + cut[start + size :]
            if fails(fewer):
                cut = fewer
            else:
                start += size
        size //= 2
    return cut
