r"""A server that records each session, and the test that a recording becomes.

    python examples/record_a_session.py                   # two sessions, recorded and replayed
    python examples/record_a_session.py --keep sessions   # and the files stay, in this directory
    python examples/record_a_session.py --replay FILE     # one that was kept

The recorder stands at the wire, so a session is kept as the network cut it. The replay has no socket and no
event loop; it takes the same chain, without the recorder, and the same `answer`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import trio

from pipeline import Codec, Pipeline, serve_tcp
from stages import JSONCodec, LineFramer, Recorder, replay

HOST = "127.0.0.1"

SESSIONS = [
    [b'{"pieces": 3, "pri', b'ce": 5}\n{"pieces": 1, "price": 7}\n'],
    [b'{"pieces": 2}\n'],
]
"""What the clients write; a network cuts where it likes."""


def make_chain() -> Codec[bytes, Any]:
    """Bytes ─► lines ─► orders."""
    return LineFramer() | JSONCodec()


def answer(order: Any) -> list[Any]:
    """What the server sends for an order: a function of its own, so that a replay can call it too."""
    if "price" not in order:
        return [{"error": "no price"}]
    return [{"total": order["pieces"] * order["price"]}]


async def handle(pipeline: Pipeline[Any, Any]) -> None:
    async for order in pipeline:
        await pipeline.send_many(answer(order))


async def record_sessions(directory: Path) -> None:
    """Serve, one file for each connection, until all clients have been there."""

    def make_recorded_chain() -> Codec[bytes, Any]:
        return Recorder(directory / f"{time.time_ns()}.jsonl") | make_chain()

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(serve_tcp, host=HOST), handle, 0, make_recorded_chain)
        for pieces in SESSIONS:
            await be_a_client(listener.socket.getsockname()[1], pieces)
        nursery.cancel_scope.cancel()


async def be_a_client(port: int, pieces: list[bytes]) -> None:
    async with await trio.open_tcp_stream(HOST, port) as stream:
        for data in pieces:
            await stream.send_all(data)
            await trio.sleep(0.05)  # or the pieces would be read as one
        await stream.send_eof()
        while await stream.receive_some():  # up to the end: all is answered
            pass


def check(path: Path) -> None:
    """What a regression test does: the session comes in once more, and must be answered as it was."""
    session = replay(path, make_chain(), answer=answer)
    print(f"{len(session.received)} received, {session.received[0]} first")
    assert b"".join(session.recorded) == b"".join(session.sent), "the answers have changed"
    print("answered as in the recording:", *session.sent)


def main(directory: Path) -> None:
    trio.run(record_sessions, directory)
    for path in sorted(directory.glob("*.jsonl")):
        check(path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Two sessions of a server, recorded and replayed.")
    parser.add_argument("--keep", metavar="DIRECTORY", type=Path, help="where the recordings stay")
    parser.add_argument("--replay", metavar="FILE", type=Path, help="only replay a recording")
    arguments = parser.parse_args()
    if arguments.replay is not None:
        check(arguments.replay)
    elif arguments.keep is not None:
        arguments.keep.mkdir(parents=True, exist_ok=True)
        main(arguments.keep)
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(Path(temporary))
