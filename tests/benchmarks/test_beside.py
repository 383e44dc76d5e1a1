"""What the benchmarks of stages beside their bare libraries share: each prints its table, and its page shows it."""

from __future__ import annotations

import socket

import pytest

from tests.benchmarks import fastcgi, http1, http2, websocket
from tests.benchmarks.beside import Beside, Cost, SameAnswers, middle

BESIDE = [module.BESIDE for module in (fastcgi, http1, http2, websocket)]
each_benchmark = pytest.mark.parametrize("beside", BESIDE, ids=[beside.stage for beside in BESIDE])


@pytest.mark.full
@each_benchmark
def test_cost_is_printed(beside: Beside, capsys: pytest.CaptureFixture[str]) -> None:
    beside.main([], requests=800, rounds=1, processes=1)
    printed = capsys.readouterr().out
    assert all(f"\n| {label} | " in printed for label in beside.labels())


@each_benchmark
def test_the_page_has_a_line_for_each(beside: Beside) -> None:
    """The benchmark, run with `--write`, measures anew; nobody compares the numbers."""
    assert beside.labels() == beside.labels_of_page()


def test_of_several_processes_the_middle_one_counts() -> None:
    assert Cost(speed=2, cpu=5) == middle([Cost(1, 4), Cost(2, 9), Cost(3, 5)])


def test_a_server_that_hangs_up_is_no_answer() -> None:
    """A client that went on reading would wait for ever, or count answers that never came."""
    near, far = socket.socketpair()
    with near, far:
        far.sendall(b"answer")
        client = SameAnswers(near, [b"request"], last=b"answer")
        far.sendall(b"ans")
        far.shutdown(socket.SHUT_WR)

        with pytest.raises(ConnectionError, match="the server closed the connection"):
            client.read(1)
