"""The benchmark of HTTP2 runs, and both of its servers answer the same."""

from __future__ import annotations

import pytest

from tests.benchmarks.http2 import BESIDE, WithStreams


@pytest.mark.full
@pytest.mark.parametrize("kind", BESIDE.kinds)
def test_each_server_answers_all_requests_of_a_connection(kind: str) -> None:
    """With frames of the same sizes."""
    with BESIDE.server(kind) as (_, clients):
        for client in clients[:2]:
            assert isinstance(client, WithStreams)
            assert 1024 + 9 + 9 < client.size < 1024 + 9 + 9 + 20
            client.ask(20)
            client.read(20)


@pytest.mark.full
def test_cost_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    BESIDE.main([], requests=800, rounds=1)
    printed = capsys.readouterr().out
    assert all(f"\n| {label} | " in printed for label in BESIDE.labels())


def test_the_page_has_a_line_for_each() -> None:
    """`python tests/benchmarks/http2.py --write` measures anew; nobody compares the numbers."""
    assert BESIDE.labels() == BESIDE.labels_of_page()
