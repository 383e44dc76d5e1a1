"""Many tasks share one connection: each asks, and gets its own answer, in whatever order the answers come.

    python examples/calls.py                             # server and client, over a real socket
    python examples/calls.py serve --port 8011           # or apart
    python examples/calls.py ask --port 8011

One JSON object a line: {"id": 1, "method": "square", "params": {"of": 3, "seconds": 0.5}} is answered with
{"id": 1, "result": 9}, or with {"id": 1, "error": "..."}. What has no id is no answer: the server says hello that way.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from itertools import count
from typing import Any, TypeAlias

import trio

from pipeline import Calls, Codec, Pipeline, open_calls, open_tcp_pipeline, serve_tcp
from stages import JSONCodec, LineFramer

HOST = "127.0.0.1"

Message: TypeAlias = dict[str, Any]


def make_chain() -> Codec[bytes, Message]:
    return LineFramer(max_bytes=4096) | JSONCodec()


# ---- the server


async def serve_client(pipeline: Pipeline[Message, Message]) -> None:
    """Work on all requests of a client at once: a quick one does not wait for a slow one."""
    async with trio.open_nursery() as nursery:
        await pipeline.send({"method": "hello", "params": {"from": "the server"}})
        async for request in pipeline:
            nursery.start_soon(answer, pipeline, request)


async def answer(pipeline: Pipeline[Message, Message], request: Message) -> None:
    match request:
        case {"id": id_, "method": "square", "params": {"of": int(number), "seconds": int() | float() as seconds}}:
            await trio.sleep(seconds)
            await pipeline.send({"id": id_, "result": number * number})
        case {"id": id_}:
            await pipeline.send({"id": id_, "error": "that cannot be squared"})


async def serve(port: int, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED) -> None:
    """Serve until cancelled; says which port it became, to the caller and on the terminal."""
    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(serve_tcp, host=HOST), serve_client, port, make_chain)
        port = listener.socket.getsockname()[1]
        print(f"squaring on {HOST}:{port}, chain: {make_chain()!r}", flush=True)
        task_status.started(port)


# ---- the client


class AnswerError(Exception):
    """What the server said instead of a result."""


class Client:
    """The server's methods, for as many tasks as like to call them."""

    def __init__(self, calls: Calls[Message, Message]) -> None:
        self._calls = calls
        self._ids = count(1)

    async def square(self, number: object, seconds: float = 0) -> int:
        """Let the server square a number, slowly if need be."""
        params = {"of": number, "seconds": seconds}
        reply = await self._calls.call({"id": next(self._ids), "method": "square", "params": params})
        if "error" in reply:
            raise AnswerError(reply["error"])
        result: int = reply["result"]
        return result


async def show_square(client: Client, number: int, seconds: float) -> None:
    print(f"the square of {number} is {await client.square(number, seconds)}", flush=True)


async def give_up(client: Client) -> None:
    with trio.move_on_after(0.05) as scope:
        await client.square(12, seconds=0.5)
    if scope.cancelled_caught:
        print("the square of 12 takes too long: that one is cancelled, the others go on", flush=True)


async def show_mistake(client: Client) -> None:
    try:
        await client.square("a circle")
    except AnswerError as error:
        print(f"the square of a circle: {error}", flush=True)


async def ask(port: int) -> None:
    """Ask from several tasks over one connection."""
    async with (
        await open_tcp_pipeline(HOST, port, make_chain()) as pipeline,
        open_calls(pipeline, key=lambda message: message.get("id")) as calls,
    ):
        hello = await calls.events.receive()
        print(f"{hello['method']} from {hello['params']['from']}", flush=True)
        client = Client(calls)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(show_square, client, 3, 1)  # asked first, answered last
            nursery.start_soon(show_square, client, 4, 0)
            nursery.start_soon(give_up, client)
            nursery.start_soon(show_mistake, client)
        print(f"answers to those who had left: {calls.late_replies}", flush=True)


async def show() -> None:
    """Server and client, in one process, over a socket."""
    async with trio.open_nursery() as nursery:
        port = await nursery.start(serve, 0)
        await ask(port)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Many tasks that ask over one connection.")
    parser.add_argument("command", nargs="?", choices=["serve", "ask"], help="one end only (without: both)")
    parser.add_argument("--port", type=int, default=8011, help="the port of one end (%(default)s)")
    arguments = parser.parse_args()
    try:
        match arguments.command:
            case "serve":
                trio.run(serve, arguments.port)
            case "ask":
                trio.run(ask, arguments.port)
            case _:
                trio.run(show)
    except* OSError as errors:
        sys.exit(f"{errors.exceptions[0]}")  # nobody is there, or somebody else is
    except* KeyboardInterrupt:
        print("closed")
