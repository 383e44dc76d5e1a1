"""How long an answer takes through 1, 3 and 10 stages, there and back: the middle one, and one of a hundred.

    python tests/benchmarks/latency.py            print the table, some seconds
    python tests/benchmarks/latency.py --write    put it into docs/cost.md

One connection to a server that is a process of its own, one line of 64 bytes in flight: from just before it is written
until the answer was read. Wall-clock time, so nothing else may run. Nothing here asserts a time.
"""

from __future__ import annotations

import functools
import operator
import statistics
import sys
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import trio

from pipeline import Duplex, Inbound, Outbound, Pipeline, serve_tcp
from stages import LineFramer
from tests.benchmarks.framing_by_hand import Lines
from tests.benchmarks.page import run
from tests.benchmarks.processes import HOST, read_exactly, running

HEAD = "| | half of the answers within |"
BY_HAND = "trio by hand"
STAGES = {"1 stage, `LineFramer`": 1, "3 stages": 3, "10 stages": 10}
SYSTEMS = (BY_HAND, *STAGES)
LINE = b"x" * 63 + b"\n"


class In(Inbound[Any, Any]):
    def process_sync(self, item: Any, /) -> list[Any]:
        return [item]


class Out(Outbound[Any, Any]):
    keeps_outbound_state = False

    def process_sync(self, item: Any, /) -> list[Any]:
        return [item]


def chain(stages: int) -> Any:
    """A framer, and behind it stages which pass items on, both ways."""
    return functools.reduce(operator.or_, (Duplex(In(), Out()) for _ in range(stages - 1)), LineFramer())


async def ours(pipeline: Pipeline[Any, Any]) -> None:
    async for line in pipeline:
        await pipeline.send(line)


async def by_hand(stream: trio.SocketStream) -> None:
    lines = Lines()
    async for data in stream:
        for line in lines.feed(bytes(data)):
            await stream.send_all(line + b"\n")


async def serve(system: str) -> None:
    async with trio.open_nursery() as nursery:
        if system == BY_HAND:
            (listener,) = await nursery.start(partial(trio.serve_tcp, host=HOST), by_hand, 0)
        else:
            serving: Any = partial(serve_tcp, ours, 0, partial(chain, STAGES[system]), host=HOST)
            (listener,) = await nursery.start(serving)
        print(listener.socket.getsockname()[1], flush=True)


def ask(connection: Any, count: int) -> list[int]:
    """Nanoseconds that each of so many answers took."""
    times = []
    for _ in range(count):
        began = time.perf_counter_ns()
        connection.sendall(LINE)
        read_exactly(connection, len(LINE))
        times.append(time.perf_counter_ns() - began)
    return times


def measure(answers: int = 1000, rounds: int = 20) -> dict[str, tuple[float, float]]:
    """For each system, the median and the 99th percentile in microseconds."""
    found: dict[str, list[int]] = {system: [] for system in SYSTEMS}
    with ExitStack() as stack:
        ends = {}
        for system in SYSTEMS:
            server = stack.enter_context(running(Path(__file__), system))
            ends[system] = stack.enter_context(server.connect())
            ask(ends[system], answers)  # warms up
        for _ in range(rounds):
            for system, end in ends.items():
                found[system] += ask(end, answers)
    return {
        system: (statistics.median(times) / 1000, statistics.quantiles(times, n=100)[98] / 1000)
        for system, times in found.items()
    }


def table(found: dict[str, tuple[float, float]]) -> str:
    """In Markdown."""
    rows = [f"{HEAD} 99 of 100 within |", "|---|---:|---:|"]
    return "\n".join([*rows, *(f"| {system} | {p50:.0f} µs | {p99:.0f} µs |" for system, (p50, p99) in found.items())])


def main(arguments: list[str] | None = None, **sizes: int) -> None:
    run("How long an answer takes.", HEAD, lambda: table(measure(**sizes)), arguments)


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1] in SYSTEMS:  # it is one of the servers
        trio.run(serve, sys.argv[1])
    else:
        main()
