"""The benchmark of connections' memory runs, for each server."""

from __future__ import annotations

import sys

import pytest

from tests.benchmarks.connections import HEAD, SYSTEMS, main
from tests.benchmarks.page import PAGE, labels


@pytest.mark.full
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_it_prints_a_line_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    main([], few=5, many=15)
    printed = capsys.readouterr().out
    assert all(f"\n| {system} | " in printed for system in SYSTEMS)


def test_the_page_has_a_line_for_each() -> None:
    assert list(SYSTEMS) == labels(PAGE, HEAD)
