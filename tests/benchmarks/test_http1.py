"""The benchmark of HTTP1 runs, and both of its servers answer the same."""

from __future__ import annotations

import pytest

from tests.benchmarks.http1 import BODY, KINDS, REQUEST, answer, measure, server, table


@pytest.mark.full
@pytest.mark.parametrize("kind", KINDS)
def test_each_server_answers_all_requests_of_a_connection(kind: str) -> None:
    with server(kind) as (_, ends):
        for end in ends[:2] * 2:
            end.sendall(REQUEST)
            assert answer(end).startswith(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1024\r\n\r\n"
            )
    assert 1024 == len(BODY)


@pytest.mark.full
def test_cost_is_printed() -> None:
    found = measure(requests=2000, rounds=2)
    print(table(found))
    assert set(KINDS) == set(found)
