"""An HTTP client: several tasks ask over one connection, and each gets its own answer.

    python examples/static_http.py --port 8080 docs
    python examples/http_client.py http://127.0.0.1:8080 /index.md /tutorial.md /nothing

It needs `pip install 'penstock[h11]'`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import h11
import trio

from pipeline import Calls, Duplex, Inbound, LimitError, Outbound, Result, open_calls, open_tcp_pipeline, outbound
from stages import HTTP1


@dataclass
class Answer:
    """A whole response."""

    status: int
    body: bytes = b""


class Gather(Inbound[h11.Event, Answer]):
    """Makes one item of all events of a response.

    in:  h11.Response  h11.Data  h11.Data  h11.EndOfMessage        out:  Answer

    Args:
        max_bytes: the longest body accepted.
    """

    def __init__(self, max_bytes: int = 16 << 20) -> None:
        self._max_bytes = max_bytes
        self._answer, self._body = Answer(0), bytearray()

    def process_sync(self, event: h11.Event, /) -> Result[Answer]:
        if isinstance(event, h11.Response):
            self._answer, self._body = Answer(event.status_code), bytearray()
        elif isinstance(event, h11.Data):
            self._body += event.data
            if len(self._body) > self._max_bytes:
                text = f"a body of at least {len(self._body)} bytes is over the limit, {self._max_bytes}"
                raise LimitError(text, limit=self._max_bytes, size=len(self._body))
        elif isinstance(event, h11.EndOfMessage):
            self._answer.body = bytes(self._body)
            return [self._answer]
        return ()


def getting_from(host: str) -> Outbound[str, h11.Event]:
    """A stage that makes a whole request of the name of a resource."""

    @outbound
    def get(target: str) -> list[h11.Event]:
        return [h11.Request(method="GET", target=target, headers=[("Host", host)]), h11.EndOfMessage()]

    return get


def make_chain(host: str) -> Duplex[bytes, Answer, str, bytes]:
    """From wire to client: names go in, answers come out."""
    return HTTP1("client") | Gather() | getting_from(host)


async def fetch(calls: Calls[Answer, str], target: str, show: Callable[[str], None]) -> None:
    answer = await calls.call(target)
    show(f"{target}: {answer.status}, {len(answer.body)} bytes")


async def main(url: str, targets: list[str]) -> None:
    server = urlsplit(url)
    host, port = server.hostname or "127.0.0.1", server.port or 80
    async with (
        await open_tcp_pipeline(host, port, make_chain(server.netloc)) as pipeline,
        open_calls(pipeline) as calls,
        trio.open_nursery() as nursery,
    ):
        for target in targets:
            nursery.start_soon(fetch, calls, target, print)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="An HTTP client with one connection.")
    parser.add_argument("url", help="the server, such as http://127.0.0.1:8080")
    parser.add_argument("targets", nargs="+", help="what to get, such as /index.md")
    arguments = parser.parse_args()
    try:
        trio.run(main, arguments.url, arguments.targets)
    except OSError as error:
        sys.exit(f"{error}. Is the server running? python examples/static_http.py")
