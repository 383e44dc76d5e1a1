"""What `HTTP1` costs beside bare h11 in a loop written by hand, on trio.

    python tests/benchmarks/http1.py            print it, half a minute
    python tests/benchmarks/http1.py --write    put it into docs/stages/HTTP1.md

The answer is 1 KiB. How it is measured stands in `beside.py`.
"""

from __future__ import annotations

import socket
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # run as a script, it is to find the clone's packages

import h11
import trio

from pipeline import Pipeline
from stages import HTTP1
from tests.benchmarks.beside import Beside, SameAnswers

BODY = b"x" * 1024
HEADERS = [("Content-Type", "text/plain"), ("Content-Length", str(len(BODY)))]
REQUEST = b"GET /some/where?x=1 HTTP/1.1\r\nHost: example.org\r\nUser-Agent: benchmark\r\nAccept: */*\r\n\r\n"


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


def connect(end: socket.socket) -> SameAnswers:
    """A client's connection."""
    return SameAnswers(end, [REQUEST], last=BODY)


BESIDE = Beside("HTTP1", "h11", Path(__file__), by_hand, with_stage, partial(HTTP1, "server"), connect)

if __name__ == "__main__":
    BESIDE.script_main()
