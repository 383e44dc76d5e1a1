"""Coverage while thousands of cuts are tried: the first ones are measured, those behind them are not.

Measuring makes them three times as slow and finds nothing new in them, and a ratio of CPU times would be the
measurement's own. What the kit itself does is measured in tests/pipeline/testing/.

Cuts that Hypothesis chooses take half of the time, and most of the random ones much of the rest: they are left to
`make test-full`, which sets EVERY_CUT.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.testing import _check_framer, _cuts, _framer_outbound, _framer_unread
from tests.measuring import EVERY_CUT, unmeasured

MEASURED = 20
"""So many of the ways to cut."""

THINNED = 4
"""Of many that are chosen by chance only each fourth is tried without EVERY_CUT."""

WAYS: list[tuple[Any, str, int]] = [
    (_cuts, "_single_cuts", 1),
    (_cuts, "_every_way", 1),
    (_cuts, "_many_ways", THINNED),
    (_check_framer, "_truncations", 1),
    (_framer_unread, "_ways", 1),
    (_framer_outbound, "_hostile", THINNED),
]
"""What yields them in the kit, and which of them are tried."""

HERE = Path(__file__).parent
HEAVY = re.compile("linear|ten_thousand")
"""Names of tests that repeat what others do, to see how long it takes or whether it ever goes wrong."""


def first_measured(ways: Callable[..., Iterator[Any]], step: int) -> Callable[..., Iterator[Any]]:
    @functools.wraps(ways)
    def in_two_parts(*arguments: Any) -> Iterator[Any]:
        cuts = itertools.islice(ways(*arguments), 0, None, step)
        yield from itertools.islice(cuts, MEASURED)
        with unmeasured():
            yield from cuts

    return in_two_parts


def never_measured(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def apart(*arguments: Any) -> Any:
        with unmeasured():
            return function(*arguments)

    return apart


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HEAVY.search(item.name) and HERE in item.path.parents:
            item.add_marker("unmeasured")


@pytest.fixture(autouse=True)
def _what_is_measured(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, ways, step in WAYS:
        monkeypatch.setattr(module, ways, first_measured(getattr(module, ways), 1 if EVERY_CUT else step))
    if EVERY_CUT:
        monkeypatch.setattr(_cuts, "_found_by_hypothesis", never_measured(_cuts._found_by_hypothesis))
    else:
        monkeypatch.setattr(_cuts, "_found_by_hypothesis", lambda length, fails: None)
