"""The benchmark of WebSocket runs, and both of its servers answer the same."""

from __future__ import annotations

import pytest

from tests.benchmarks.websocket import KINDS, ask, measure, server, table


@pytest.mark.parametrize("kind", KINDS)
def test_each_server_sends_back_all_messages_of_a_connection(kind: str) -> None:
    with server(kind) as (_, ends):
        ask(ends, 2 * len(ends))


@pytest.mark.full
def test_cost_is_printed() -> None:
    found = measure(messages=4000, rounds=2)
    print(table(found))
    assert set(KINDS) == set(found)
