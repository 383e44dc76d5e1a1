"""Both servers of the benchmark of HTTP2 answer the same."""

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
