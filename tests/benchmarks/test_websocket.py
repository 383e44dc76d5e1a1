"""The benchmark of WebSocket runs, and both of its servers answer the same."""

from __future__ import annotations

import pytest

from tests.benchmarks.page import labels
from tests.benchmarks.websocket import HEAD, KINDS, PAGE, ask, main, server


@pytest.mark.parametrize("kind", KINDS)
def test_each_server_sends_back_all_messages_of_a_connection(kind: str) -> None:
    with server(kind) as (_, ends):
        ask(ends, 2 * len(ends))


@pytest.mark.full
def test_it_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    main([], messages=4000, rounds=2)
    printed = capsys.readouterr().out
    assert printed.startswith(HEAD)
    assert all(f"\n| {kind} | " in printed for kind in KINDS)


def test_the_page_has_a_line_for_each() -> None:
    assert [*KINDS] == labels(PAGE, HEAD)
