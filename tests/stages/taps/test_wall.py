"""WallClock: the time of day, by the pipeline's clock."""

from __future__ import annotations

import time

from stages.taps._wall import WallClock


def test_it_begins_with_the_systems_time() -> None:
    before = time.time()
    assert before <= WallClock()(1000.0) <= time.time()


def test_it_goes_on_with_the_clock_it_is_given() -> None:
    wall = WallClock()
    first = wall(1000.0)
    assert [first + 86400.0, first] == [wall(87400.0), wall(1000.0)]
