"""A protocol's stage beside its bare library in a loop written by hand, on trio: what each of the two servers costs.

Each server is a process of its own; eight connections ask it in turn, all before any answer is read. CPU time is that
of the server, to the nanosecond (Linux only). Best of many short rounds, taken in turns, so that what else the machine
does meets both, and neither in its best round; and of several processes of each the middle one, since of those that do
the same one is some percent faster all its life.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Protocol

import trio

from pipeline import Pipeline, serve_tcp
from tests.benchmarks.page import ROOT, labels, run
from tests.benchmarks.processes import HOST, Process, running

BY_HAND = "by hand"
CONNECTIONS = 8


class Client(Protocol):
    """One connection that asks, in a way that costs this process little."""

    def ask(self, times: int) -> None:
        """Send so many requests in one write."""

    def read(self, times: int) -> None:
        """Take so many answers."""


class SameAnswers:
    """A client whose answers are all of one size, that of the first.

    Args:
        end: its connection.
        requests: as many as are ever sent at once; the first is sent now.
        last: what an answer ends with.
    """

    def __init__(self, end: socket.socket, requests: Sequence[bytes], last: bytes) -> None:
        self._end, self._requests = end, requests
        end.sendall(requests[0])
        self.answer = read_until(end, last)

    def ask(self, times: int) -> None:
        self._end.sendall(b"".join(self._requests[:times]))

    def read(self, times: int) -> None:
        read(self._end, len(self.answer) * times)


def read(end: socket.socket, size: int) -> None:
    """Take so many bytes, whatever they are."""
    while size > 0:
        size -= len(_piece(end))


def read_until(end: socket.socket, last: bytes) -> bytes:
    """Take what ends so."""
    data = b""
    while not data.endswith(last):
        data += _piece(end)
    return data


def _piece(end: socket.socket) -> bytes:
    data = end.recv(65536)
    if not data:
        raise ConnectionError("the server closed the connection")
    return data


@dataclass(frozen=True)
class Cost:
    """What a server costs.

    Attributes:
        speed: requests per second.
        cpu: of the server, microseconds per request.
    """

    speed: float
    cpu: float


def middle(costs: Sequence[Cost]) -> Cost:
    """What several of the same cost."""
    return Cost(median([each.speed for each in costs]), median([each.cpu for each in costs]))


@dataclass(frozen=True)
class Beside:
    """A stage and its bare library: two servers that do the same work.

    Attributes:
        stage: what the stage is called; its page is `docs/stages/<stage>.md`.
        library: what its library is called.
        script: the benchmark, which is the server if it is run with `by hand` or the stage's name.
        by_hand: serves a connection with the library.
        with_stage: serves a connection with the stage.
        make_chain: makes the stage.
        connect: makes a client; it may ask some times.
        request: what is asked for.
        at_once: how many requests each connection has open, and how the table says it.
    """

    stage: str
    library: str
    script: Path
    by_hand: Callable[[trio.SocketStream], Awaitable[None]]
    with_stage: Callable[[Pipeline[Any, Any]], Awaitable[None]]
    make_chain: Callable[[], Any]
    connect: Callable[[socket.socket], Client]
    request: str = "request"
    at_once: Mapping[int, str] = field(default_factory=lambda: {1: ""})

    @property
    def kinds(self) -> tuple[str, str]:
        """Both servers."""
        return BY_HAND, self.stage

    @property
    def head(self) -> str:
        """How the table begins."""
        return f"| | {self.request}s per second |"

    @property
    def page(self) -> Path:
        """Where the table stands."""
        return ROOT / f"docs/stages/{self.stage}.md"

    async def serve(self, kind: str) -> None:
        """Be one of the servers, and say where it listens."""
        serving: Any
        if kind == BY_HAND:
            serving = partial(trio.serve_tcp, self.by_hand, 0, host=HOST)
        else:
            serving = partial(serve_tcp, self.with_stage, 0, self.make_chain, host=HOST)
        async with trio.open_nursery() as nursery:
            (listener,) = await nursery.start(serving)
            print(listener.socket.getsockname()[1], flush=True)

    @contextmanager
    def server(self, kind: str) -> Iterator[tuple[Process, list[Client]]]:
        """One of the servers, and its clients."""
        # The server is killed first: that connections break off would be logged.
        with ExitStack() as stack, running(self.script, kind) as process:
            ends = [stack.enter_context(process.connect()) for _ in range(CONNECTIONS)]
            yield process, [self.connect(end) for end in ends]

    def measure(
        self, at_once: int = 1, *, requests: int = 400, rounds: int = 40, processes: int = 3
    ) -> dict[str, Cost]:
        """What each server costs: the best of its rounds, and of its processes the middle one."""
        with ExitStack() as stack:
            servers = [(kind, *stack.enter_context(self.server(kind))) for kind in self.kinds * processes]
            found: list[list[Cost]] = [[] for _ in servers]
            for _, process, clients in servers:
                timed(process, clients, requests // 10, at_once)
            for _ in range(rounds):
                for (_, process, clients), costs in zip(servers, found, strict=True):
                    costs.append(timed(process, clients, requests, at_once))
        bests = [Cost(max(each.speed for each in costs), min(each.cpu for each in costs)) for costs in found]
        return {kind: middle(bests[at :: len(self.kinds)]) for at, kind in enumerate(self.kinds)}

    def table(self, **sizes: int) -> str:
        """The figures in Markdown."""
        rows = [f"{self.head} CPU per {self.request} | beside by hand |", "|---|---:|---:|---:|"]
        for at_once in self.at_once:
            found = self.measure(at_once, **sizes)
            rows += [
                f"| {self._label(kind, at_once)} | {cost.speed:,.0f} | {cost.cpu:.0f} µs "
                f"| {cost.cpu / found[BY_HAND].cpu:.2f} × |"
                for kind, cost in found.items()
            ]
        return "\n".join(rows)

    def labels(self) -> list[str]:
        """What the rows of the table are called."""
        return [self._label(kind, at_once) for at_once in self.at_once for kind in self.kinds]

    def _label(self, kind: str, at_once: int) -> str:
        said = self.at_once[at_once]
        return f"{kind}, {said}" if said else kind

    def labels_of_page(self) -> list[str]:
        """What the page calls them."""
        return labels(self.page, self.head)

    def main(self, arguments: list[str] | None = None, **sizes: int) -> None:
        """Print the table; `--write` puts it into the stage's page."""
        about = f"What {self.stage} costs beside bare {self.library}."
        run(about, self.head, partial(self.table, **sizes), arguments, page=self.page)

    def script_main(self) -> None:
        """Be what the script was started as."""
        if sys.argv[1:] and sys.argv[1] in self.kinds:
            trio.run(self.serve, sys.argv[1])
        else:
            self.main()


def timed(process: Process, clients: Sequence[Client], requests: int, at_once: int) -> Cost:
    """Let all clients ask, then take all their answers, until there were so many requests."""
    cpu, start = process.cpu_seconds(), time.perf_counter()
    count = 0
    while count < requests:
        for client in clients:
            client.ask(at_once)
        for client in clients:
            client.read(at_once)
        count += len(clients) * at_once
    seconds = time.perf_counter() - start
    return Cost(count / seconds, (process.cpu_seconds() - cpu) / count * 1e6)
