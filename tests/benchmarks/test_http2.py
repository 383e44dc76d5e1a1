"""The benchmark of HTTP2 runs, and both of its servers answer the same."""

from __future__ import annotations

import pytest

from tests.benchmarks.http2 import AT_ONCE, HEAD, KINDS, PAGE, ask, main, server
from tests.benchmarks.page import labels


@pytest.mark.full
@pytest.mark.parametrize("kind", KINDS)
def test_each_server_answers_all_requests_of_a_connection(kind: str) -> None:
    """With frames of the same sizes."""
    with server(kind) as (_, clients):
        assert 1024 + 9 + 9 < clients[0].size < 1024 + 9 + 9 + 20
        ask(clients, 160, at_once=10)


@pytest.mark.full
def test_cost_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    main([], requests=800, rounds=1)
    assert all(f"| {kind}, one at a time | " in capsys.readouterr().out for kind in KINDS[:1])


def test_the_page_has_a_line_for_each() -> None:
    """`python tests/benchmarks/http2.py --write` measures anew; nobody compares the numbers."""
    assert [f"{kind}, {how}" for how in AT_ONCE.values() for kind in KINDS] == labels(PAGE, HEAD)
