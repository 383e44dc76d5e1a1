"""HTTP2 against programs that nobody here wrote: curl, nghttp, h2load, nginx as a server."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import h2.events
import h11
import pytest
import trio
import trustme

from pipeline import Pipeline, open_streams, open_tcp_pipeline, serve_tcp
from stages import HTTP1, HTTP2, HTTP2Item, SendData, SendHeaders
from tests.stages.protocols.programs import needs, nginx, run

pytestmark = pytest.mark.real_time

Served: TypeAlias = Pipeline[h2.events.Event, HTTP2Item]
Handler: TypeAlias = Callable[[Pipeline[Any, Any]], Coroutine[Any, Any, None]]
MEGABYTES = os.urandom(3 << 20)


# ---- our server


async def echo(pipeline: Served) -> None:
    """Answer each request with its method, path and body."""
    heads: dict[int, bytes] = {}
    bodies: dict[int, bytearray] = {}
    async for event in pipeline:
        match event:
            case h2.events.RequestReceived():
                fields = dict(event.headers)
                heads[event.stream_id] = b"%s %s " % (fields[b":method"], fields[b":path"])
                bodies[event.stream_id] = bytearray()
            case h2.events.DataReceived():
                bodies[event.stream_id] += event.data
            case h2.events.StreamEnded():
                await answer(pipeline, event.stream_id, heads.pop(event.stream_id), bytes(bodies.pop(event.stream_id)))


async def answer(pipeline: Served, stream_id: int, head: bytes, body: bytes) -> None:
    data = b"" if head.startswith(b"HEAD") else head + body
    size = ("content-length", str(len(head) + len(body)))
    await pipeline.send_many([SendHeaders(stream_id, [(":status", "200"), size]), SendData(stream_id, data, True)])


@asynccontextmanager
async def our_server(
    handler: Handler = echo,
    make_chain: Callable[[], Any] = lambda: HTTP2("server"),
    ssl_context: ssl.SSLContext | None = None,
) -> AsyncIterator[int]:
    async with trio.open_nursery() as nursery:
        serve: Any = partial(serve_tcp, host="127.0.0.1", ssl_context=ssl_context)
        (listener,) = await nursery.start(serve, handler, 0, make_chain)
        yield listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


def tls(folder: Path) -> ssl.SSLContext:
    """A server's, whose authority is the file `ca.pem`."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["h2"])
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    return context


@needs("curl")
async def test_curl_with_prior_knowledge(tmp_path: Path) -> None:
    """One request each: curl 7.88 fails at the second one of a connection, also with nginx."""
    (tmp_path / "body").write_bytes(MEGABYTES)
    async with our_server() as port:
        url = f"http://127.0.0.1:{port}/up"
        done = await run("curl", "-sSi", "--http2-prior-knowledge", url)
        assert done.stdout.startswith(b"HTTP/2 200")
        assert done.stdout.endswith(b"GET /up ")
        done = await run("curl", "-sS", "--http2-prior-knowledge", "--data-binary", "@body", url, cwd=tmp_path)
        assert b"POST /up " + MEGABYTES == done.stdout
        done = await run("curl", "-sSI", "--http2-prior-knowledge", url)
        assert done.stdout.startswith(b"HTTP/2 200")


@needs("curl")
async def test_curl_over_tls_by_alpn(tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(MEGABYTES)
    async with our_server(ssl_context=tls(tmp_path)) as port:
        url = f"https://localhost:{port}/up"
        options = ["-sSv", "--http2", "--cacert", "ca.pem", "--data-binary", "@body"]
        done = await run("curl", *options, url, url, cwd=tmp_path)
        assert (b"POST /up " + MEGABYTES) * 2 == done.stdout
        assert b"ALPN: server accepted h2" in done.stderr
        assert 1 == done.stderr.count(b"Re-using existing connection")


async def upgrading(pipeline: Pipeline[Any, Any]) -> None:
    """HTTP/1.1, and HTTP/2 for those who ask for it."""
    request, body = None, bytearray()
    async for event in pipeline:
        match event:
            case h11.Request():
                request = event
            case h11.Data():
                body += event.data
            case h11.EndOfMessage():
                break
    assert request is not None
    http2 = HTTP2("server", upgrade=request)
    headers = [("Connection", "Upgrade"), ("Upgrade", "h2c")]
    await pipeline.send(h11.InformationalResponse(status_code=101, headers=headers))
    await pipeline.replace(HTTP1, http2)
    first, _ = await pipeline.receive(), await pipeline.receive()
    fields = dict(first.headers)
    await answer(pipeline, 1, b"%s %s " % (fields[b":method"], fields[b":path"]), bytes(body))
    await echo(pipeline)


@needs("curl")
async def test_curl_upgrades_from_http_1() -> None:
    async with our_server(upgrading, partial(HTTP1, "server")) as port:
        urls = [f"http://127.0.0.1:{port}/{number}" for number in range(3)]
        done = await run("curl", "-sSv", "--http2", *urls)
        assert b"GET /0 GET /1 GET /2 " == done.stdout
        assert 1 == done.stderr.count(b"< HTTP/1.1 101 Switching Protocols")
        assert 3 == done.stderr.count(b"< HTTP/2 200")
        done = await run("curl", "-sS", "--http2", "--data-binary", "body", urls[0])
        assert b"POST /0 body" == done.stdout


@needs("nghttp")
@pytest.mark.parametrize("option", ["--no-dep", "--window-bits=10", "--padding=100", "--max-concurrent-streams=3"])
async def test_nghttp_gets_megabytes_on_many_streams(option: str, tmp_path: Path) -> None:
    """Also through windows of a kibibyte, and with the dependencies of streams that it opens with PRIORITY frames."""
    (tmp_path / "body").write_bytes(MEGABYTES[:110_000])
    async with our_server() as port:
        urls = [f"http://127.0.0.1:{port}/{number}" for number in range(10)]
        done = await run("nghttp", option, "-d", "body", *urls, cwd=tmp_path)
        assert 0 == done.returncode, done.stderr
        assert 10 * 110_008 == len(done.stdout)
        assert 10 == done.stdout.count(b"POST /")
        done = await run("nghttp", "-nv", option, *urls)
        assert 10 == done.stdout.count(b":status: 200")
        assert 1 == done.stdout.count(b"send GOAWAY")
        assert 1 == len(set(re.findall(rb"error_code=(\w+)", done.stdout)))


@needs("nghttp")
async def test_nghttp_upgrades_from_http_1() -> None:
    async with our_server(upgrading, partial(HTTP1, "server")) as port:
        done = await run("nghttp", "-uv", f"http://127.0.0.1:{port}/x")
        assert b"HTTP Upgrade success" in done.stdout
        assert b"GET /x " in done.stdout
        assert b":status: 200" in done.stdout


async def echo_streams(pipeline: Served) -> None:
    """The same with a task for each stream."""
    async with open_streams(pipeline) as streams, trio.open_nursery() as nursery:
        async for stream in streams:
            nursery.start_soon(echo_stream, stream)


async def echo_stream(stream: Any) -> None:
    async with stream:
        fields = dict((await stream.receive()).headers)
        body = b"".join([event.data async for event in stream])
        said = b"%s %s %s" % (fields[b":method"], fields[b":path"], body)
        await stream.send(SendHeaders(stream.key, [(":status", "200"), ("content-length", str(len(said)))]))
        await stream.send(SendData(stream.key, said, end_stream=True))


@needs("h2load")
@pytest.mark.full
@pytest.mark.parametrize("handler", [echo, echo_streams])
async def test_h2load_counts_no_failure_among_ten_thousand(handler: Handler, tmp_path: Path) -> None:
    for options, context in ([], None), (["-w16"], tls(tmp_path)):
        async with our_server(handler, ssl_context=context) as port:
            url = f"{'https' if context else 'http'}://localhost:{port}/x"
            done = await run("h2load", "-n", "10000", "-c", "2", "-m", "100", *options, url)
            print(done.stdout.decode())
            assert b"10000 succeeded, 0 failed, 0 errored, 0 timeout" in done.stdout
            assert b"status codes: 10000 2xx" in done.stdout


# ---- nginx


def get(stream_id: int, path: str, method: str = "GET") -> SendHeaders:
    head = [(":method", method), (":scheme", "http"), (":authority", "localhost"), (":path", path)]
    return SendHeaders(stream_id, head, end_stream=method != "PUT")


async def whole(pipeline: Served, count: int) -> dict[int, tuple[bytes, bytes]]:
    """So many responses."""
    status: dict[int, bytes] = {}
    bodies: dict[int, bytearray] = {}
    ended = 0
    while ended < count:
        match await pipeline.receive():
            case h2.events.ResponseReceived() as event:
                status[event.stream_id] = dict(event.headers)[b":status"]
                bodies[event.stream_id] = bytearray()
            case h2.events.DataReceived() as event:
                bodies[event.stream_id] += event.data
            case h2.events.StreamEnded():
                ended += 1
    return {stream_id: (status[stream_id], bytes(bodies[stream_id])) for stream_id in status}


@needs("nginx")
async def test_nginx_as_the_server_of_our_client(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "big").write_bytes(MEGABYTES)
    (root / "small").write_bytes(b"small")
    async with nginx(tmp_path, f"root {root};", listen="http2") as port:
        http2 = HTTP2("client")
        async with await open_tcp_pipeline("127.0.0.1", port, http2) as pipeline:
            paths = ["/big", "/small", "/none", "/big"]
            for path in paths:
                await pipeline.send(get(http2.new_stream_id(), path))
            got = await whole(pipeline, 4)
            assert (b"200", MEGABYTES) == got[1] == got[7]
            assert (b"200", b"small") == got[3]
            assert b"404" == got[5][0]


@needs("nginx")
async def test_streams_go_on_when_nginx_says_goaway(tmp_path: Path) -> None:
    """It does so behind its last request, and answers that one nevertheless."""
    (tmp_path / "small").write_bytes(MEGABYTES[:200_000])
    async with nginx(tmp_path, f"root {tmp_path}; keepalive_requests 3;", listen="http2") as port:
        http2 = HTTP2("client")
        async with await open_tcp_pipeline("127.0.0.1", port, http2) as pipeline:
            for _ in range(3):
                await pipeline.send(get(http2.new_stream_id(), "/small"))
            got = await whole(pipeline, 3)
            assert [(b"200", MEGABYTES[:200_000])] * 3 == list(got.values())
            rest = [event async for event in pipeline]
            assert all(isinstance(event, h2.events.ConnectionTerminated) for event in rest)


@needs("nginx")
async def test_our_client_uploads_to_nginx(tmp_path: Path) -> None:
    async with our_server(echo_http_1, partial(HTTP1, "server")) as behind, AsyncExitStack() as stack:
        port = await stack.enter_async_context(
            nginx(tmp_path, f"location / {{ proxy_pass http://127.0.0.1:{behind}; }}", listen="http2")
        )
        http2 = HTTP2("client")
        async with await open_tcp_pipeline("127.0.0.1", port, http2) as pipeline, trio.open_nursery() as nursery:
            stream_id = http2.new_stream_id()
            await pipeline.send(get(stream_id, "/", "PUT"))
            nursery.start_soon(pipeline.send, SendData(stream_id, MEGABYTES, end_stream=True))
            assert {stream_id: (b"200", MEGABYTES)} == await whole(pipeline, 1)


async def echo_http_1(pipeline: Pipeline[h11.Event, h11.Event]) -> None:
    body = bytearray()
    async for event in pipeline:
        match event:
            case h11.Data():
                body += event.data
            case h11.EndOfMessage():
                head = h11.Response(status_code=200, headers=[("Content-Length", str(len(body)))])
                await pipeline.send_many([head, h11.Data(data=bytes(body)), h11.EndOfMessage()])
                body.clear()
