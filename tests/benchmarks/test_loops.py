"""The benchmark of whole servers measures the right thing: all of them do the same work."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.benchmarks.loops import HEAD, answers, main, take_in
from tests.benchmarks.page import PAGE, labels
from tests.benchmarks.processes import running
from tests.benchmarks.servers import SYSTEMS, line

SERVERS = Path(__file__).with_name("servers.py")


def each(work: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("system", [name for name, works in SYSTEMS.items() if work in works])


def test_a_line_has_64_bytes() -> None:
    assert 64 == len(line(0)) == len(line(99_999))


@pytest.mark.full
@each("sum")
def test_each_takes_in_what_is_sent_to_the_end(system: str) -> None:
    """`take_in` compares the sum; one connection after the other."""
    with running(SERVERS, system, "sum") as server:
        assert take_in(server, 1000) > 0
        assert take_in(server, 10) > 0


@pytest.mark.full
@each("answer")
def test_each_sends_back_what_came(system: str) -> None:
    """`answers` compares the bytes."""
    with running(SERVERS, system, "answer") as server:
        assert answers(server, 64, in_flight=16) > 0
        assert answers(server, 5, in_flight=1) > 0


@pytest.mark.full
def test_it_prints_a_line_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    main([], messages=320, rounds=1)
    assert list(SYSTEMS) == re.findall(r"^\| (.+?) +\| .* \|$", capsys.readouterr().out, re.MULTILINE)[1:]


def test_the_page_has_a_line_for_each() -> None:
    assert list(SYSTEMS) == labels(PAGE, HEAD)
