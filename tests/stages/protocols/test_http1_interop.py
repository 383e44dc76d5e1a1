"""HTTP1 against programs that nobody here wrote: curl, nginx as proxy and as server, h2load."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import h11
import pytest
import trio

from pipeline import Pipeline, open_tcp_pipeline, serve_tcp
from stages import HTTP1
from tests.stages.protocols.programs import needs, nginx, run

pytestmark = [pytest.mark.real_time, pytest.mark.full]

Served: TypeAlias = Pipeline[h11.Event, h11.Event]
MEGABYTES = os.urandom(3 << 20)


# ---- our server


async def echo(pipeline: Served) -> None:
    """Answer each request with its method, target and body."""
    said, body, method = b"", bytearray(), b""
    async for event in pipeline:
        match event:
            case h11.Request():
                said, body, method = b"%s %s " % (event.method, event.target), bytearray(), event.method
            case h11.Data():
                body += event.data
            case h11.EndOfMessage():
                data = b"" if method == b"HEAD" else said + bytes(body)
                head = h11.Response(status_code=200, headers=[("Content-Length", str(len(said) + len(body)))])
                await pipeline.send_many([head, *([h11.Data(data=data)] if data else []), h11.EndOfMessage()])


@asynccontextmanager
async def our_server(handler: Callable[[Served], Coroutine[Any, Any, None]] = echo) -> AsyncIterator[int]:
    async with trio.open_nursery() as nursery:
        serve = partial(serve_tcp, host="127.0.0.1")
        (listener,) = await nursery.start(serve, handler, 0, partial(HTTP1, "server"))
        yield listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


@needs("curl")
async def test_curl_uses_one_connection_for_many_requests() -> None:
    async with our_server() as port:
        urls = [f"http://127.0.0.1:{port}/{number}" for number in range(5)]
        done = await run("curl", "-sSv", "--http1.1", *urls)
        assert b"".join(b"GET /%d " % number for number in range(5)) == done.stdout
        assert 4 == done.stderr.count(b"Re-using existing connection")


@needs("curl")
@pytest.mark.parametrize(
    "how", [["-H", "Expect: 100-continue"], ["-H", "Transfer-Encoding: chunked"], ["-H", "Expect:"]]
)
async def test_curl_uploads_megabytes(how: list[str], tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(MEGABYTES)
    async with our_server() as port:
        url = f"http://127.0.0.1:{port}/up"
        done = await run("curl", "-sSv", "--http1.1", *how, "--data-binary", "@body", url, cwd=tmp_path)
        assert b"POST /up " + MEGABYTES == done.stdout
        assert (b"> Expect: 100-continue" in done.stderr) == (b"< HTTP/1.1 100 Continue" in done.stderr)


@needs("curl")
async def test_curl_does_not_upload_what_is_refused(tmp_path: Path) -> None:
    async def refuse(pipeline: Served) -> None:
        await pipeline.receive()
        head = h11.Response(status_code=413, headers=[("Content-Length", "0"), ("Connection", "close")])
        await pipeline.send_many([head, h11.EndOfMessage()])

    (tmp_path / "body").write_bytes(MEGABYTES)
    async with our_server(refuse) as port:
        command = ["curl", "-sS", "--http1.1", "-H", "Expect: 100-continue", "--data-binary", "@body"]
        done = await run(*command, "-w", "%{http_code} %{size_upload}", f"http://127.0.0.1:{port}/", cwd=tmp_path)
        assert b"413 0" == done.stdout


@needs("curl")
@pytest.mark.parametrize("options", [["-I"], ["--http1.0"], ["-H", "Connection: close"], ["-X", "DELETE"]])
async def test_curl_gets_an_answer_to_other_kinds_of_requests(options: list[str]) -> None:
    async with our_server() as port:
        done = await run("curl", "-sS", "--http1.1", *options, "-w", "%{http_code}", f"http://127.0.0.1:{port}/x")
        assert (0, b"200") == (done.returncode, done.stdout[-3:])


async def test_raw_pipelined_requests_are_answered_in_order() -> None:
    """As curl, which no longer pipelines, would have sent them: all in one segment, before any answer."""
    async with our_server() as port:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        wire = b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(500))
        await stream.send_all(wire + b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        got = b"".join([piece async for piece in stream])
        assert [b"%d" % n for n in range(500)] + [b"last"] == re.findall(rb"GET /(\w+) ", got)
        await stream.aclose()


# ---- nginx


@needs("nginx")
@needs("curl")
async def test_nginx_as_a_proxy_in_front_of_our_server(tmp_path: Path) -> None:
    """It keeps its connections to us open, and sends on what curl uploads."""
    (tmp_path / "body").write_bytes(MEGABYTES)
    opened = 0

    async def counted(pipeline: Served) -> None:
        nonlocal opened
        opened += 1
        await echo(pipeline)

    async with our_server(counted) as behind:
        upstream = f"upstream ours {{ server 127.0.0.1:{behind}; keepalive 4; }}"
        location = 'location / { proxy_pass http://ours; proxy_http_version 1.1; proxy_set_header Connection ""; }'
        async with nginx(tmp_path, location, http=upstream) as port:
            url = f"http://127.0.0.1:{port}"
            done = await run("curl", "-sS", "--http1.1", *[f"{url}/{number}" for number in range(20)])
            assert b"".join(b"GET /%d " % number for number in range(20)) == done.stdout
            assert 1 == opened
            done = await run("curl", "-sS", "--http1.1", "--data-binary", "@body", f"{url}/up", cwd=tmp_path)
            assert b"POST /up " + MEGABYTES == done.stdout


@needs("nginx")
async def test_nginx_as_the_server_of_our_client(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "big").write_bytes(MEGABYTES)
    (root / "small").write_bytes(b"small")
    async with nginx(tmp_path, f"root {root};") as port:
        pipeline = await open_tcp_pipeline("127.0.0.1", port, HTTP1("client"))
        async with pipeline:
            for target, status, body in [("/big", 200, MEGABYTES), ("/none", 404, None), ("/small", 200, b"small")]:
                await pipeline.send_many([h11.Request(method="GET", target=target, headers=[("Host", "a")]), END])
                assert (status, body) == await whole(pipeline, wants_body=body is not None)
            last = h11.Request(method="HEAD", target="/big", headers=[("Host", "a"), ("Connection", "close")])
            await pipeline.send_many([last, END])
            assert (200, b"") == await whole(pipeline)
            with pytest.raises(trio.EndOfChannel):
                await pipeline.receive()


END = h11.EndOfMessage()


async def whole(pipeline: Served, *, wants_body: bool = True) -> tuple[int, bytes | None]:
    """One response."""
    head = await pipeline.receive()
    assert isinstance(head, h11.Response)
    body = bytearray()
    while isinstance(event := await pipeline.receive(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage)
    return head.status_code, bytes(body) if wants_body else None


# ---- h2load


@needs("h2load")
@pytest.mark.full
async def test_h2load_counts_no_failure_among_ten_thousand() -> None:
    async with our_server() as port:
        done = await run("h2load", "--h1", "-n", "10000", "-c", "20", f"http://127.0.0.1:{port}/x")
        print(done.stdout.decode())
        assert b"10000 succeeded, 0 failed, 0 errored, 0 timeout" in done.stdout
        assert b"status codes: 10000 2xx" in done.stdout
