"""What one more stage that passes items on costs an item: never waiting, `Map`, and `async def`.

    python tests/benchmarks/one_more_stage.py            print the table, some seconds
    python tests/benchmarks/one_more_stage.py --write    put it into docs/cost.md

A pipeline with a framer, which reads lines of 64 bytes out of memory, 64 KiB at a time, taken with `async for`; with so
many stages behind the framer, and with so many more: the difference by items and stages. CPU time, best of some rounds.
Nothing here asserts a time.
"""

from __future__ import annotations

import functools
import operator
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import trio

from pipeline import Inbound, Pipeline
from stages import LineFramer, Map
from tests.benchmarks.page import run

HEAD = "| one more stage that passes items on |"
READ = (b"x" * 63 + b"\n") * 1024


class Memory(trio.abc.Stream):
    """A stream that has so many reads."""

    def __init__(self, reads: int) -> None:
        self.reads = reads

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        self.reads -= 1
        return READ if self.reads >= 0 else b""

    async def send_all(self, data: Any) -> None:
        await trio.lowlevel.checkpoint()

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


class Same(Inbound[Any, Any]):
    """Never waits."""

    def process_sync(self, item: Any, /) -> list[Any]:
        return [item]


class SameAsync(Inbound[Any, Any]):
    """Could wait, and does not."""

    async def process(self, item: Any, /) -> list[Any]:
        return [item]


class Awaits(Inbound[Any, Any]):
    """The same, and it is not seen in its code."""

    async def process(self, item: Any, /) -> list[Any]:
        return [await self._look_up(item)]

    async def _look_up(self, item: Any) -> Any:
        return item


def same(item: Any) -> Any:
    return item


KINDS: dict[str, tuple[Callable[[], Any], int, int]] = {
    "never waits, `process_sync`": (Same, 0, 4),
    "`Map` of a plain function": (lambda: Map(inbound=same), 0, 4),
    "`async def process` that does not block, the first of a chain": (SameAsync, 0, 1),
    "`async def process`, each further one": (SameAsync, 1, 5),
    "`async def process` that awaits an `async def`, which does not block": (Awaits, 0, 4),
}
"""What kind, and the number of them without and with the ones that are measured."""


async def nanoseconds(make: Callable[[], Any], count: int, reads: int) -> int:
    """CPU time of a whole pipeline with so many such stages."""
    chain = functools.reduce(operator.or_, (make() for _ in range(count)), LineFramer())
    items = 0
    async with Pipeline(Memory(reads), chain) as pipeline:
        began = time.process_time_ns()
        async for _ in pipeline:
            items += 1
        spent = time.process_time_ns() - began
    assert items == reads * 1024
    return spent


async def measure(reads: int = 24, rounds: int = 9) -> dict[str, float]:
    """For each kind, nanoseconds an item and stage."""
    found = {}
    for kind, (make, few, many) in KINDS.items():
        times = [[await nanoseconds(make, count, reads) for count in (few, many)] for _ in range(rounds)]
        least = [min(column) for column in zip(*times, strict=True)]
        found[kind] = (least[1] - least[0]) / (many - few) / (reads * 1024)
    return found


def table(found: dict[str, float]) -> str:
    """In Markdown."""
    rows = [f"{HEAD} ns an item |", "|---|---:|"]
    return "\n".join([*rows, *(f"| {kind} | {time:,.0f} |" for kind, time in found.items())])


def main(arguments: list[str] | None = None, **sizes: int) -> None:
    run("What one more stage costs.", HEAD, lambda: table(trio.run(functools.partial(measure, **sizes))), arguments)


if __name__ == "__main__":
    main()
