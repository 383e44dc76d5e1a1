"""The benchmark of one more stage runs, for each kind."""

from __future__ import annotations

import pytest

from tests.benchmarks.one_more_stage import HEAD, KINDS, main
from tests.benchmarks.page import PAGE, labels


@pytest.mark.unmeasured
def test_it_prints_a_line_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    """Each reads all items, which is asserted there."""
    main([], reads=1, rounds=1)
    printed = capsys.readouterr().out
    assert all(f"\n| {kind} | " in printed for kind in KINDS)


def test_the_page_has_a_line_for_each() -> None:
    assert list(KINDS) == labels(PAGE, HEAD)
