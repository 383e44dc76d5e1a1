"""Results that can be put back, told of and closed."""

from __future__ import annotations

from pipeline._results import Noted, Results
from tests.pipeline.engines import Traced


def test_results_in_a_row_are_one() -> None:
    """What was pushed comes first; all parts are closed together."""
    first, second = Traced([1, 2]), Traced([3])
    results = Results(first, second)
    results.push(0)

    assert 0 == next(results)
    assert 1 == next(results)
    results.push(1)
    assert [1, 2, 3] == list(results)
    assert [] == list(results)
    closing = Results(first, iter([1]), second)
    closing.close()
    assert first.closed
    assert second.closed


def test_noted_results_tell_when_one_is_taken() -> None:
    """Before it is handed on; not at their end."""
    notes: list[str] = []
    traced = Traced([1, 2])
    results = Noted(traced, lambda: notes.append("note"))

    assert [1, 2] == list(results)
    assert ["note", "note"] == notes
    results.close()
    assert traced.closed
