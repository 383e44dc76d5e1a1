"""The benchmark of answers' time runs, through as many stages as it says."""

from __future__ import annotations

import pytest

from pipeline.testing import Harness
from tests.benchmarks.latency import HEAD, LINE, STAGES, SYSTEMS, chain, main
from tests.benchmarks.page import PAGE, labels


@pytest.mark.parametrize("stages", STAGES.values())
def test_so_many_stages_pass_a_line_on_both_ways(stages: int) -> None:
    assert stages == len(getattr(chain(stages), "parts", [None]))
    with Harness(chain(stages)) as harness:
        assert [LINE[:-1]] == harness.receive(LINE)
        assert [LINE] == [b"".join(harness.send(LINE[:-1]))]


@pytest.mark.full
def test_it_prints_a_line_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    main([], answers=10, rounds=1)
    printed = capsys.readouterr().out
    assert all(f"\n| {system} | " in printed for system in SYSTEMS)


def test_the_page_has_a_line_for_each() -> None:
    assert list(SYSTEMS) == labels(PAGE, HEAD)
