"""What `FastCGI` costs beside bare fcgiproto in a loop written by hand, on trio.

    python tests/benchmarks/fastcgi.py            print it, half a minute
    python tests/benchmarks/fastcgi.py --write    put it into docs/stages/FastCGI.md

Requests as nginx sends them with its own `fastcgi_params`, on connections that are kept; the answer is 1 KiB. How it is
measured stands in `beside.py`.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from struct import pack

sys.path.insert(0, str(Path(__file__).parents[2]))  # run as a script, it is to find the clone's packages

import fcgiproto
import trio

from pipeline import Pipeline
from stages import FastCGI, FastCGIData, FastCGIEnd, FastCGIHeaders, FastCGIItem
from tests.benchmarks.beside import Beside, SameAnswers

AT_ONCE = {1: "one at a time", 10: "ten at once"}
BODY = b"x" * 1024
HEADERS = [(b"Content-Type", b"text/plain"), (b"Content-Length", b"1024")]
PARAMS = {
    "QUERY_STRING": "x=1",
    "REQUEST_METHOD": "GET",
    "CONTENT_TYPE": "",
    "CONTENT_LENGTH": "",
    "SCRIPT_NAME": "/some/where",
    "REQUEST_URI": "/some/where?x=1",
    "DOCUMENT_URI": "/some/where",
    "DOCUMENT_ROOT": "/usr/share/nginx/html",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "REQUEST_SCHEME": "http",
    "GATEWAY_INTERFACE": "CGI/1.1",
    "SERVER_SOFTWARE": "nginx/1.22.1",
    "REMOTE_ADDR": "127.0.0.1",
    "REMOTE_PORT": "50326",
    "SERVER_ADDR": "127.0.0.1",
    "SERVER_PORT": "80",
    "SERVER_NAME": "example.org",
    "REDIRECT_STATUS": "200",
    "HTTP_HOST": "example.org",
    "HTTP_USER_AGENT": "benchmark",
    "HTTP_ACCEPT": "*/*",
}


async def by_hand(stream: trio.SocketStream) -> None:
    """Bare fcgiproto: for web servers that behave, and with requests of any size."""
    connection = fcgiproto.FastCGIConnection()
    keep = True
    while data := await stream.receive_some(65536):
        for event in connection.feed_data(data):
            if type(event) is fcgiproto.RequestBeginEvent:
                keep = bool(event.keep_connection)
            elif type(event) is fcgiproto.RequestDataEvent and not event.data:
                connection.send_headers(event.request_id, HEADERS, 200)
                connection.send_data(event.request_id, BODY, end_request=True)
                await stream.send_all(connection.data_to_send())
                if not keep:
                    return
        if rest := connection.data_to_send():
            await stream.send_all(rest)


async def with_stage(pipeline: Pipeline[fcgiproto.RequestEvent, FastCGIItem]) -> None:
    """The same with the stage."""
    async for event in pipeline:
        if type(event) is fcgiproto.RequestDataEvent and not event.data:
            request_id = event.request_id
            await pipeline.send_many(
                [FastCGIHeaders(request_id, HEADERS), FastCGIData(request_id, BODY), FastCGIEnd(request_id)]
            )


def request(request_id: int) -> bytes:
    """What nginx writes for a GET."""
    params = b"".join([bytes((len(name), len(value))) + f"{name}{value}".encode() for name, value in PARAMS.items()])
    begin = pack(">HB5x", fcgiproto.FCGI_RESPONDER, fcgiproto.constants.FCGI_KEEP_CONN)
    return b"".join([record(kind, request_id, data) for kind, data in [(1, begin), (4, params), (4, b""), (5, b"")]])


def record(kind: int, request_id: int, content: bytes) -> bytes:
    """A record, filled up to eight bytes."""
    padding = -len(content) % 8
    return pack(">BBHHBx", 1, kind, request_id, len(content), padding) + content + bytes(padding)


def connect(end: socket.socket) -> SameAnswers:
    """A web server's connection; END_REQUEST is the last record of an answer."""
    requests = [request(number) for number in range(1, max(AT_ONCE) + 1)]
    return SameAnswers(end, requests, last=record(3, 1, bytes(8)))


BESIDE = Beside("FastCGI", "fcgiproto", Path(__file__), by_hand, with_stage, FastCGI, connect, at_once=AT_ONCE)

if __name__ == "__main__":
    BESIDE.script_main()
