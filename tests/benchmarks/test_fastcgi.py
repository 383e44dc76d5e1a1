"""The benchmark of FastCGI runs, and both of its servers answer the same."""

from __future__ import annotations

import pytest

from pipeline.testing import Harness
from stages import FastCGI
from tests.benchmarks.beside import SameAnswers
from tests.benchmarks.fastcgi import BESIDE, BODY, PARAMS, request
from tests.stages.protocols.fastcgi_peer import ended, records, told


def test_a_request_is_one_with_all_parameters() -> None:
    assert [("Begin", 7, PARAMS), ("Data", 7, b"")] == told(Harness(FastCGI()).receive(request(7)))


@pytest.mark.full
@pytest.mark.parametrize("kind", BESIDE.kinds)
def test_each_server_answers_all_requests_of_a_connection(kind: str) -> None:
    with BESIDE.server(kind) as (_, clients):
        for client in clients[:2]:
            assert isinstance(client, SameAnswers)
            (_, _, head), *data = records(client.answer)
            assert head.endswith(b"\r\nContent-Type: text/plain\r\nContent-Length: 1024\r\n\r\n")
            assert [("Stdout", 1, BODY), *ended()] == data
            client.ask(10)
            client.read(10)


@pytest.mark.full
def test_cost_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    BESIDE.main([], requests=800, rounds=1)
    printed = capsys.readouterr().out
    assert all(f"\n| {label} | " in printed for label in BESIDE.labels())


def test_the_page_has_a_line_for_each() -> None:
    """`python tests/benchmarks/fastcgi.py --write` measures anew; nobody compares the numbers."""
    assert BESIDE.labels() == BESIDE.labels_of_page()
