"""The benchmark of TLS measures what it says; what comes out is compared, not the times."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import trio

from pipeline import Pipeline
from stages import TLS
from tests.benchmarks.page import labels
from tests.benchmarks.tls import HEAD, PAGE, SYSTEMS, Ends, main

ROW = re.compile(r"^\| (`.*?) \| \d+ \| \d+ \| \d+ \|$", re.MULTILINE)


@pytest.mark.real_time
@pytest.mark.parametrize("make", SYSTEMS.values(), ids=SYSTEMS)
async def test_each_is_what_it_is_called(make: Callable[[], Ends]) -> None:
    name = next(name for name, each in SYSTEMS.items() if each is make)
    for end in make():
        chain = repr(end.chain) if isinstance(end, Pipeline) else ""
        assert ("`TLS`" in name) == (TLS.__name__ + "(" in chain)
        assert ("LineFramer" in name) == ("LineFramer" in chain)
        await trio.aclose_forcefully(end if isinstance(end, Pipeline) else end.stream)


@pytest.mark.full
def test_it_prints_a_line_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    main([], rounds=1, size=1)
    assert list(SYSTEMS) == ROW.findall(capsys.readouterr().out)


def test_the_page_has_a_line_for_each() -> None:
    """`python tests/benchmarks/tls.py --write` measures anew; nobody compares the numbers."""
    assert list(SYSTEMS) == labels(PAGE, HEAD)
