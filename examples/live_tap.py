"""Look into a running server: a debug tap goes in and out from outside, and nobody notices.

    python examples/live_tap.py            # server, client and operator in one process, over real sockets
    python examples/live_tap.py serve      # or the server alone, on port 8011; its operator's port is 8012

Then be its client, and, in another terminal, its operator:

    nc localhost 8011
    nc localhost 8012          # list, tap 1, untap 1

A tap may go into a running pipeline at any time, also while a task waits in `receive()` or is stuck in a `send()`:
it un-reads nothing, waits for nobody, and sees what passes its place from then on.
"""

from __future__ import annotations

import argparse
import logging
import sys
from functools import partial
from itertools import count
from typing import Any

import trio

from pipeline import Codec, Pipeline, SurgeryError, open_tcp_pipeline, serve_tcp
from stages import LineFramer, Logger, TextCodec

HOST = "127.0.0.1"


def make_chain() -> Codec[bytes, str]:
    return LineFramer(max_bytes=1000) | TextCodec()


class Server:
    """Answers in capitals, and knows who is there."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._clients: dict[int, Pipeline[str, str]] = {}

    async def shout(self, pipeline: Pipeline[str, str]) -> None:
        """Serve one client. There is no tap in its chain, and nothing in here knows of any."""
        number = next(self._numbers)
        self._clients[number] = pipeline
        try:
            async for line in pipeline:
                await pipeline.send(line.upper())
        finally:
            del self._clients[number]

    async def operate(self, pipeline: Pipeline[str, str]) -> None:
        """Do what an operator says, line by line."""
        async for line in pipeline:
            await pipeline.send_many(await self._do(line))

    async def _do(self, line: str) -> list[str]:
        match line.split():
            case ["list"]:
                return [f"{number}: {client.chain!r}" for number, client in self._clients.items()] or ["nobody"]
            case ["tap" | "untap" as what, number] if number.isdigit() and int(number) in self._clients:
                client = self._clients[int(number)]
                try:
                    await (put_tap(client, number) if what == "tap" else client.remove(Logger))
                except (SurgeryError, trio.ClosedResourceError) as error:
                    return [f"not done: {error}"]
                return [f"{number}: {client.chain!r}"]
        return ["say `list`, `tap 1` or `untap 1`, with a number from the list"]


async def put_tap(client: Pipeline[str, str], number: str) -> None:
    """See the lines as they are, before they are decoded."""
    if "Logger" in repr(client.chain):
        raise SurgeryError("it has one")
    await client.insert(Logger(f"client {number}", level=logging.INFO), after=LineFramer)


async def serve(
    port: int, operators_port: int, task_status: trio.TaskStatus[tuple[int, int]] = trio.TASK_STATUS_IGNORED
) -> None:
    """Serve clients and operators until cancelled; says which ports it became."""
    server = Server()
    async with trio.open_nursery() as nursery:
        start = partial(nursery.start, partial(serve_tcp, host=HOST))
        (listener,) = await start(server.shout, port, make_chain)
        (operators,) = await start(server.operate, operators_port, make_chain)
        ports = listener.socket.getsockname()[1], operators.socket.getsockname()[1]
        print(f"shouting on {HOST}:{ports[0]}, operators on port {ports[1]}", flush=True)
        task_status.started(ports)


async def show() -> None:
    """A client talks, and meanwhile an operator looks."""
    async with trio.open_nursery() as nursery:
        port, operators_port = await nursery.start(serve, 0, 0)
        async with (
            await open_tcp_pipeline(HOST, port, make_chain()) as client,
            await open_tcp_pipeline(HOST, operators_port, make_chain()) as operator,
        ):
            for command, line in [("list", "nobody sees this"), ("tap 1", "hello"), ("untap 1", "nor this")]:
                await ask(client, "client  ", line)
                await ask(operator, "operator", command)
                await ask(client, "client  ", line)
        nursery.cancel_scope.cancel()


async def ask(pipeline: Pipeline[Any, Any], who: str, line: str) -> None:
    await pipeline.send(line)
    print(f"{who}  {line!r}  ->  {await pipeline.receive()!r}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A server that can be tapped while it runs.")
    parser.add_argument("command", nargs="?", choices=["serve"], help="only the server (without: clients, too)")
    parser.add_argument("--port", type=int, default=8011, help="its port, 0: any (%(default)s)")
    parser.add_argument("--operators-port", type=int, default=8012, help="the operators', 0: any (%(default)s)")
    arguments = parser.parse_args()
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(name)s %(message)s")
    try:
        if arguments.command:
            trio.run(serve, arguments.port, arguments.operators_port)
        else:
            trio.run(show)
    except* KeyboardInterrupt:
        print("closed")
