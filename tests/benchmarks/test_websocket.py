"""The benchmark of WebSocket runs, and both of its servers answer the same."""

from __future__ import annotations

import pytest

from tests.benchmarks.beside import SameAnswers
from tests.benchmarks.websocket import ANSWER, BESIDE


@pytest.mark.full
@pytest.mark.parametrize("kind", BESIDE.kinds)
def test_each_server_sends_back_all_messages_of_a_connection(kind: str) -> None:
    with BESIDE.server(kind) as (_, clients):
        for client in clients[:2]:
            assert isinstance(client, SameAnswers)
            assert ANSWER == client.answer
            for _ in range(2):
                client.ask(1)
                client.read(1)


@pytest.mark.full
def test_cost_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    BESIDE.main([], requests=800, rounds=1)
    printed = capsys.readouterr().out
    assert all(f"\n| {label} | " in printed for label in BESIDE.labels())


def test_the_page_has_a_line_for_each() -> None:
    """`python tests/benchmarks/websocket.py --write` measures anew; nobody compares the numbers."""
    assert BESIDE.labels() == BESIDE.labels_of_page()
