"""What `TLS` costs next to `trio.SSLStream`, in one run: a table in Markdown.

    python tests/benchmarks/tls.py            print it, half a minute
    python tests/benchmarks/tls.py --write    put it into docs/stages/TLS.md

Both ends are of the same kind and in this process, on a pair of sockets. CPU time of both together, the best of some
rounds.
Nothing here asserts a time.
"""

from __future__ import annotations

import ssl
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeAlias

sys.path.insert(0, str(Path(__file__).parents[2]))  # run as a script, it is to find the clone's packages

import trio
import trustme

from pipeline import Pipeline
from stages import TLS, LineFramer
from tests.benchmarks.page import ROOT, run

PAGE = ROOT / "docs/stages/TLS.md"
HEAD = "| | MB per s |"
ROUNDS = 7
PIECE = 65536

End: TypeAlias = Any
Ends: TypeAlias = tuple[End, End]


class Stream:
    """`trio.SSLStream` by itself, with a pipeline's methods."""

    def __init__(self, stream: trio.SSLStream[Any]) -> None:
        self.stream = stream
        self.send, self.receive = stream.send_all, stream.receive_some

    async def __aenter__(self) -> Self:
        await self.stream.do_handshake()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stream.aclose()


def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.issue_cert("localhost").configure_cert(server)
    authority.configure_trust(client)
    return client, server


def streams() -> list[trio.SocketStream]:
    return [trio.SocketStream(each) for each in trio.socket.socketpair()]


CONTEXTS = contexts()


def by_stream(chain: Any = None) -> Ends:
    near, far = streams()
    ours = trio.SSLStream(near, CONTEXTS[0], server_hostname="localhost")
    theirs = trio.SSLStream(far, CONTEXTS[1], server_side=True)
    return (Pipeline(ours, chain()), Pipeline(theirs, chain())) if chain else (Stream(ours), Stream(theirs))


def by_stage(chain: Any = None) -> Ends:
    near, far = streams()
    ours, theirs = TLS(CONTEXTS[0], "localhost"), TLS(CONTEXTS[1], server_side=True)
    pair: list[Any] = [ours | chain(), theirs | chain()] if chain else [ours, theirs]
    return Pipeline(near, pair[0]), Pipeline(far, pair[1])


SYSTEMS: dict[str, Callable[[], Ends]] = {
    "`trio.SSLStream` by itself": by_stream,
    "`TLS`": by_stage,
    "`trio.SSLStream` below `LineFramer`": partial(by_stream, LineFramer),
    "`TLS` and `LineFramer`": partial(by_stage, LineFramer),
}


# ---- what is done; each returns the CPU seconds that it took


async def timed(ends: Ends, *acts: Callable[[End], Awaitable[None]]) -> float:
    """Let both ends shake hands, then act at the same time; the handshake is not measured."""
    began = 0.0

    async def run(end: End, act: Callable[[End], Awaitable[None]]) -> None:
        nonlocal began
        async with end:
            began = time.process_time()
            await act(end)

    async with trio.open_nursery() as nursery:
        for end, act in zip(ends, acts, strict=True):
            nursery.start_soon(run, end, act)
    return time.process_time() - began


async def large_items(ends: Ends, count: int) -> float:
    """One way, 64 KiB an item, with a framer less one for the line's end."""
    framed = isinstance(ends[0], Pipeline) and "LineFramer" in repr(ends[0])
    item = b"x" * (PIECE - framed)

    async def send(end: End) -> None:
        for _ in range(count):
            await end.send(item)

    async def receive(end: End) -> None:
        size = 0
        while size < count * len(item):
            size += len(await end.receive())

    return await timed(ends, send, receive)


async def round_trips(ends: Ends, count: int) -> float:
    """64 bytes there and back, one at a time."""
    item = b"x" * 64

    async def ask(end: End) -> None:
        for _ in range(count):
            await end.send(item)
            await end.receive()

    async def answer(end: End) -> None:
        for _ in range(count):
            await end.send(await end.receive())

    return await timed(ends, ask, answer)


async def handshakes(make: Callable[[], Ends], count: int) -> float:
    """Full handshakes, one byte each way, and closed in good order."""
    began = time.process_time()
    for _ in range(count):

        async def enter(end: End) -> None:
            async with end:
                await end.send(b"x")
                await end.receive()

        async with trio.open_nursery() as nursery:
            for end in make():
                nursery.start_soon(enter, end)
    return time.process_time() - began


# ---- the table


async def measure(rounds: int, size: int) -> dict[str, list[float]]:
    """For each system: MB per second, round trips per second, handshakes per second."""
    best: dict[str, list[float]] = {name: [0.0] * 3 for name in SYSTEMS}
    megabytes, trips, shakes = 16 * size, 200 * size, 5 * size
    for _ in range(rounds):
        for name, make in SYSTEMS.items():
            rates = [
                megabytes / await large_items(make(), megabytes * 10**6 // PIECE),
                trips / await round_trips(make(), trips),
                shakes / await handshakes(make, shakes),
            ]
            best[name] = [max(pair) for pair in zip(best[name], rates, strict=True)]
    return best


def table(best: dict[str, list[float]]) -> str:
    """The figures in Markdown."""
    rows = [f"{HEAD} round trips per s | handshakes per s |", "|---|---:|---:|---:|"]
    return "\n".join(
        [*rows, *(f"| {name} | {' | '.join(f'{rate:.0f}' for rate in rates)} |" for name, rates in best.items())]
    )


def main(arguments: list[str] | None = None, *, rounds: int = ROUNDS, size: int = 16) -> None:
    def measured() -> str:
        return table(trio.run(measure, rounds, size))

    about = "What TLS costs next to trio.SSLStream."
    run(about, HEAD, measured, arguments, page=PAGE, libraries=(ssl.OPENSSL_VERSION,))


if __name__ == "__main__":
    main()
