"""Both servers of the benchmark of HTTP1 answer the same."""

from __future__ import annotations

import pytest

from tests.benchmarks.beside import SameAnswers
from tests.benchmarks.http1 import BESIDE, BODY

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1024\r\n\r\n"


@pytest.mark.full
@pytest.mark.parametrize("kind", BESIDE.kinds)
def test_each_server_answers_all_requests_of_a_connection(kind: str) -> None:
    with BESIDE.server(kind) as (_, clients):
        for client in clients[:2]:
            assert isinstance(client, SameAnswers)
            assert HEAD + BODY == client.answer
            for _ in range(2):
                client.ask(1)
                client.read(1)
