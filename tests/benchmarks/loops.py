"""What a whole server costs beside the same by hand: on trio, with asyncio.Protocol, with asyncio's streams.

    python tests/benchmarks/loops.py            print the table, less than a minute
    python tests/benchmarks/loops.py --write    put it into docs/cost.md

Each server is a process of its own and tells the CPU time that a connection cost it. Best of some rounds, taken in
turns, so that what else the machine does meets all of them. Nothing here asserts a time.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.benchmarks.page import run
from tests.benchmarks.processes import Process, read_exactly, running
from tests.benchmarks.servers import SYSTEMS, line

HEAD = "| | taken in, µs |"
COLUMNS = ("sum", "answer, 16 in flight", "answer, one in flight")
MESSAGES = 100_000
"""So many are taken in; a fifth of it is answered with 16 in flight, a twentieth one by one."""


@contextmanager
def sending(connection: Any, data: bytes) -> Iterator[None]:
    """Send all of it, from a thread of its own, and then the end."""

    def send() -> None:
        connection.sendall(data)
        connection.shutdown(1)

    thread = threading.Thread(target=send)
    thread.start()
    yield
    thread.join()


def take_in(server: Process, count: int) -> float:
    """Microseconds of CPU for each of so many messages, sent as fast as they are taken."""
    data = b"".join(map(line, range(count)))
    with server.connect() as connection, sending(connection, data):
        report = server.report()
    assert (count, sum(range(100_000, 100_000 + count))) == (report["count"], report["sum"])
    return float(report["cpu_ns"]) / count / 1000


def answers(server: Process, count: int, *, in_flight: int) -> float:
    """The same where each is sent back, so many at a time."""
    with server.connect() as connection:
        for first in range(0, count, in_flight):
            asked = b"".join(map(line, range(first, first + in_flight)))
            connection.sendall(asked)
            assert asked == read_exactly(connection, len(asked))
        connection.shutdown(1)
        return float(server.report()["cpu_ns"]) / count / 1000


def measure(messages: int = MESSAGES, rounds: int = 5) -> dict[str, dict[str, float]]:
    """For each system and column, microseconds per message: the best round."""
    acts: dict[str, Any] = {
        COLUMNS[0]: partial(take_in, count=messages),
        COLUMNS[1]: partial(answers, count=messages // 5 // 16 * 16, in_flight=16),
        COLUMNS[2]: partial(answers, count=messages // 20, in_flight=1),
    }
    found: dict[str, dict[str, float]] = {name: {} for name in SYSTEMS}
    for column, act in acts.items():
        work = column.partition(",")[0]
        with ExitStack() as stack:
            servers = {
                name: stack.enter_context(running(Path(__file__).with_name("servers.py"), name, work))
                for name, works in SYSTEMS.items()
                if work in works
            }
            for _ in range(rounds + 1):  # the first warms up
                for name, server in servers.items():
                    found[name][column] = min(found[name].get(column, float("inf")), act(server))
    return found


def table(found: dict[str, dict[str, float]]) -> str:
    """In Markdown."""
    rows = [f"{HEAD} answered, 16 in flight, µs | answered, one in flight, µs |", "|---|---:|---:|---:|"]
    for name, times in found.items():
        cells = [f"{times[column]:.1f}" if column in times else "" for column in COLUMNS]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


def main(arguments: list[str] | None = None, **sizes: int) -> None:
    run("What a whole server costs beside loops by hand.", HEAD, lambda: table(measure(**sizes)), arguments)


if __name__ == "__main__":
    main()
