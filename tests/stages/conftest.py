"""Coverage while thousands of cuts are tried: the first ones are measured, those behind them are not.

Measuring makes them three times as slow and finds nothing new in them, and a ratio of CPU times would be the
measurement's own. What the kit itself does is measured in tests/pipeline/testing/.

Cuts that Hypothesis chooses take half of the time and are left to `make test-full`, which sets EVERY_CUT.
"""

from __future__ import annotations

import functools
import itertools
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.testing import _check_framer, _cuts, _framer_outbound, _framer_unread
from tests.measuring import unmeasured

MEASURED = 20
"""So many of the ways to cut."""

WAYS: list[tuple[Any, str]] = [
    (_cuts, "_single_cuts"),
    (_cuts, "_every_way"),
    (_cuts, "_many_ways"),
    (_check_framer, "_truncations"),
    (_framer_unread, "_ways"),
    (_framer_outbound, "_hostile"),
]
"""What yields them in the kit."""

HERE = Path(__file__).parent
HEAVY = re.compile("linear|ten_thousand")
"""Names of tests that repeat what others do, to see how long it takes or whether it ever goes wrong."""


def first_measured(ways: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    @functools.wraps(ways)
    def in_two_parts(*arguments: Any) -> Iterator[Any]:
        cuts = ways(*arguments)
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
    for module, ways in WAYS:
        monkeypatch.setattr(module, ways, first_measured(getattr(module, ways)))
    if "EVERY_CUT" in os.environ:
        monkeypatch.setattr(_cuts, "_found_by_hypothesis", never_measured(_cuts._found_by_hypothesis))
    else:
        monkeypatch.setattr(_cuts, "_found_by_hypothesis", lambda length, fails: None)
