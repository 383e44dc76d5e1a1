"""`unmeasured` stops all of coverage, also where pytest-cov started two of it, in the processes of pytest-xdist."""

from __future__ import annotations

import sys

import coverage
import pytest

from tests.measuring import unmeasured


def looks() -> bool:
    """Whether coverage runs, or anything else traces."""
    return coverage.Coverage.current() is not None or sys.gettrace() is not None


def test_coverage_does_not_look_and_goes_on_as_before() -> None:
    before = looks()
    with unmeasured():
        assert not looks()
        with unmeasured():
            assert not looks()
        assert not looks()
    assert before == looks()


@pytest.mark.unmeasured
def test_marked_it_is_not_looked_at() -> None:
    assert not looks()
