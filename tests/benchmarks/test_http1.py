"""The benchmark of HTTP1 runs, and both of its servers answer the same."""

from __future__ import annotations

import pytest

from tests.benchmarks.http1 import BODY, HEAD, KINDS, PAGE, REQUEST, answer, main, server
from tests.benchmarks.page import labels


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
def test_cost_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    main([], requests=800, rounds=1)
    assert all(f"| {kind} | " in capsys.readouterr().out for kind in KINDS[:1])


def test_the_page_has_a_line_for_each() -> None:
    """`python tests/benchmarks/http1.py --write` measures anew; nobody compares the numbers."""
    assert list(KINDS) == labels(PAGE, HEAD)
