"""Both servers of the benchmark of FastCGI answer the same."""

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
