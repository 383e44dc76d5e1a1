"""What `HTTP1` costs beside bare h11 in a loop written by hand, on trio: requests per second, and CPU per request.

    python tests/benchmarks/http1.py            print it, half a minute
    python tests/benchmarks/http1.py --write    put it into docs/stages/HTTP1.md

Each server is a process of its own; eight connections ask it in turn, always for 1 KiB. Best of some rounds, taken in
turns, so that what else the machine does meets both.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))  # run as a script, it is to find the clone's packages

import h11
import trio

from pipeline import Pipeline, serve_tcp
from stages import HTTP1
from tests.benchmarks.page import ROOT, run

PAGE = ROOT / "docs/stages/HTTP1.md"
HEAD = "| | requests per second |"
BODY = b"x" * 1024
HEADERS = [("Content-Type", "text/plain"), ("Content-Length", str(len(BODY)))]
REQUEST = b"GET /some/where?x=1 HTTP/1.1\r\nHost: example.org\r\nUser-Agent: benchmark\r\nAccept: */*\r\n\r\n"
CONNECTIONS = 8
KINDS = ("by hand", "HTTP1")


async def by_hand(stream: trio.SocketStream) -> None:
    """Bare h11, with all that the stage does for a server whose clients behave."""
    connection = h11.Connection(h11.SERVER)
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            if connection.they_are_waiting_for_100_continue:
                go_on = h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")
                await stream.send_all(connection.send(go_on))
            connection.receive_data(await stream.receive_some(65536))
        elif type(event) is h11.EndOfMessage:
            response = h11.Response(status_code=200, headers=HEADERS, reason=b"OK")
            events = (response, h11.Data(data=BODY), h11.EndOfMessage())
            await stream.send_all(b"".join([connection.send(each) or b"" for each in events]))
            if connection.our_state is h11.MUST_CLOSE:
                return
            connection.start_next_cycle()
        elif type(event) is h11.ConnectionClosed:
            return


async def with_stage(pipeline: Pipeline[h11.Event, h11.Event]) -> None:
    """The same with the stage."""
    async for event in pipeline:
        if type(event) is h11.EndOfMessage:
            response = h11.Response(status_code=200, headers=HEADERS)
            await pipeline.send_many([response, h11.Data(data=BODY), h11.EndOfMessage()])


async def serve(kind: str) -> None:
    async with trio.open_nursery() as nursery:
        if kind == "by hand":
            (listener,) = await nursery.start(partial(trio.serve_tcp, host="127.0.0.1"), by_hand, 0)
        else:
            serving: Any = partial(serve_tcp, host="127.0.0.1")
            (listener,) = await nursery.start(serving, with_stage, 0, partial(HTTP1, "server"))
        print(listener.socket.getsockname()[1], flush=True)


@contextmanager
def server(kind: str) -> Iterator[tuple[subprocess.Popen[str], list[socket.socket]]]:
    process = subprocess.Popen([sys.executable, __file__, kind], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with ExitStack() as stack:
            ends = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(CONNECTIONS)]
            yield process, ends
    finally:
        process.kill()
        process.communicate()


def ask(ends: list[socket.socket], requests: int) -> None:
    """Let all connections ask, then read all their answers, until there were so many requests."""
    for end in ends:
        end.sendall(REQUEST)
    size = len(answer(ends[0]))
    for end in ends[1:]:
        _read(end, size)
    for _ in range(requests // len(ends) - 1):
        for end in ends:
            end.sendall(REQUEST)
        for end in ends:
            _read(end, size)


def answer(end: socket.socket) -> bytes:
    """One whole answer."""
    data = b""
    while not data.endswith(BODY):
        data += _piece(end)
    return data


def _read(end: socket.socket, size: int) -> None:
    while size > 0:
        size -= len(_piece(end))


def _piece(end: socket.socket) -> bytes:
    data = end.recv(65536)
    if not data:
        raise ConnectionError("the server closed the connection")
    return data


def cpu_seconds(process: subprocess.Popen[str]) -> float:
    """User and system time of another process of one thread so far, to the nanosecond."""
    return int(Path(f"/proc/{process.pid}/schedstat").read_text("utf-8").split()[0]) / 1e9


def measure(requests: int = 1600, rounds: int = 25) -> dict[str, tuple[float, float]]:
    """For each server, requests per second and microseconds of CPU per request: the best round of each."""
    found: dict[str, list[tuple[float, float]]] = {kind: [] for kind in KINDS}
    with ExitStack() as stack:
        servers = {kind: stack.enter_context(server(kind)) for kind in found}
        for _, ends in servers.values():
            ask(ends, requests // 10)
        for _ in range(rounds):
            for kind, (process, ends) in servers.items():
                cpu, start = cpu_seconds(process), time.perf_counter()
                ask(ends, requests)
                seconds = time.perf_counter() - start
                found[kind].append((requests / seconds, (cpu_seconds(process) - cpu) / requests * 1e6))
    return {kind: (max(each[0] for each in row), min(each[1] for each in row)) for kind, row in found.items()}


def table(found: dict[str, tuple[float, float]]) -> str:
    """The figures in Markdown."""
    rows = [f"{HEAD} CPU per request |", "|---|---:|---:|"]
    return "\n".join([*rows, *(f"| {kind} | {speed:,.0f} | {cpu:.0f} µs |" for kind, (speed, cpu) in found.items())])


def main(arguments: list[str] | None = None, **sizes: int) -> None:
    run("What HTTP1 costs beside bare h11.", HEAD, lambda: table(measure(**sizes)), arguments, page=PAGE)


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1] in KINDS:  # it is one of the servers
        trio.run(serve, sys.argv[1])
    else:
        main()
