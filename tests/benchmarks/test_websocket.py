"""Both servers of the benchmark of WebSocket answer the same."""

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
