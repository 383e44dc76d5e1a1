"""FastCGI behind nginx, a web server that nobody here wrote, and curl before it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import fcgiproto
import pytest
import trio

from pipeline import Pipeline, open_streams, serve_tcp
from stages import FastCGI, FastCGIData, FastCGIEnd, FastCGIHeaders, FastCGILog
from tests.stages.protocols.programs import needs, nginx, run

pytestmark = pytest.mark.real_time

Handler: TypeAlias = Callable[[Any], Coroutine[Any, Any, None]]
TWO_MEGABYTES = os.urandom(2 << 20)
ALWAYS = {
    "REQUEST_METHOD": "$request_method",
    "DOCUMENT_URI": "$document_uri",
    "QUERY_STRING": "$query_string",
    "CONTENT_LENGTH": "$content_length",
}


class Application:
    """An application, and nginx before it.

    Attributes:
        opened: how many connections nginx has opened.
        errors: what requests ended with.
        folder: where nginx has its log.
    """

    def __init__(self, handler: Handler, folder: Path) -> None:
        self.handler, self.folder = handler, folder
        self.opened = 0
        self.errors: list[Exception] = []
        self.changed = trio.Event()

    async def serve(self, pipeline: Pipeline[Any, Any]) -> None:
        self.opened += 1
        async with open_streams(pipeline, overflow="block") as streams, trio.open_nursery() as nursery:
            async for stream in streams:
                nursery.start_soon(self.answer, stream)

    async def answer(self, stream: Any) -> None:
        try:
            async with stream:
                await self.handler(stream)
        except trio.BrokenResourceError as error:
            self.errors.append(error)
            self.changed.set()


@asynccontextmanager
async def application(
    handler: Handler, folder: Path, *, keep: bool = False, options: str = ""
) -> AsyncIterator[tuple[Application, str]]:
    app = Application(handler, folder)
    async with trio.open_nursery() as nursery:
        serve = partial(serve_tcp, host="127.0.0.1")
        (listener,) = await nursery.start(serve, app.serve, 0, FastCGI)
        port = listener.socket.getsockname()[1]
        upstream = f"upstream ours {{ server 127.0.0.1:{port}; {'keepalive 4;' if keep else ''} }}"
        given = "".join(f"fastcgi_param {name} {value};" for name, value in ALWAYS.items())
        location = f"location / {{ fastcgi_pass ours; {'fastcgi_keep_conn on;' if keep else ''} {given} {options} }}"
        async with nginx(folder, location, http=upstream) as front:
            yield app, f"http://127.0.0.1:{front}"
        nursery.cancel_scope.cancel()


async def echo(stream: Any) -> None:
    """Answer with the method, the path and what comes, while it comes."""
    begin = await stream.receive()
    said = f"{begin.params['REQUEST_METHOD']} {begin.params['DOCUMENT_URI']} "
    await stream.send(FastCGIHeaders(stream.key, [("Content-Type", "text/plain")]))
    await stream.send(FastCGIData(stream.key, said.encode()))
    async for event in stream:
        await stream.send(FastCGIData(stream.key, event.data))


@needs("nginx")
@needs("curl")
@pytest.mark.parametrize("keep", [False, True], ids=["one connection each", "kept"])
async def test_requests_are_answered(keep: bool, tmp_path: Path) -> None:
    """As many on a connection as nginx likes."""
    async with application(echo, tmp_path, keep=keep) as (app, url):
        done = await run("curl", "-sS", *[f"{url}/{number}?x=1" for number in range(5)])
        assert b"".join(b"GET /%d " % number for number in range(5)) == done.stdout
        assert (1 if keep else 5) == app.opened
        assert [] == app.errors


@pytest.mark.full
@needs("nginx")
@needs("curl")
@pytest.mark.parametrize("keep", [False, True], ids=["one connection each", "kept"])
@pytest.mark.parametrize("buffering", ["on", "off"])
async def test_two_megabytes_go_both_ways(keep: bool, buffering: str, tmp_path: Path) -> None:
    """At once, where nginx lets the body through as it comes; a kept connection is whole after it."""
    (tmp_path / "body").write_bytes(TWO_MEGABYTES)
    options = f"fastcgi_request_buffering {buffering}; fastcgi_buffering {buffering};"
    async with application(echo, tmp_path, keep=keep, options=options) as (app, url):
        for number in range(3):
            up = await run("curl", "-sS", "--data-binary", "@body", f"{url}/{number}", cwd=tmp_path)
            assert b"POST /%d " % number + TWO_MEGABYTES == up.stdout
        assert (1 if keep else 3) == app.opened


@needs("nginx")
@needs("curl")
async def test_status_headers_and_log_are_what_nginx_takes_them_for(tmp_path: Path) -> None:
    async def teapot(stream: Any) -> None:
        begin = await stream.receive()
        assert isinstance(begin, fcgiproto.RequestBeginEvent)
        await stream.send(FastCGILog(stream.key, b"short and stout"))
        await stream.send(FastCGIHeaders(stream.key, [("X-Pot", b"tea"), ("Content-Type", "text/x")], 418))
        await stream.send(FastCGIData(stream.key, begin.params["DOCUMENT_URI"].encode(errors="surrogateescape")))
        await stream.send(FastCGIEnd(stream.key))

    async with application(teapot, tmp_path) as (_, url):
        done = await run("curl", "-sSi", f"{url}/a%ffb")
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        assert b"/a\xffb" == body
        lines = head.split(b"\r\n")
        assert lines[0].startswith(b"HTTP/1.1 418")
        assert {b"X-Pot: tea", b"Content-Type: text/x"} <= set(lines)
        assert 'FastCGI sent in stderr: "short and stout"' in (tmp_path / "log").read_text()


@needs("nginx")
@needs("curl")
async def test_a_body_may_be_refused_before_it_is_there(tmp_path: Path) -> None:
    """With the end of the response; what still comes is nobody's."""

    async def refuse(stream: Any) -> None:
        await stream.receive()
        await stream.send(FastCGIHeaders(stream.key, [("Content-Type", "text/plain")], 413))

    (tmp_path / "body").write_bytes(TWO_MEGABYTES)
    options = "fastcgi_request_buffering off;"
    async with application(refuse, tmp_path, options=options) as (app, url):
        done = await run("curl", "-sS", "-w", "%{http_code}", "--data-binary", "@body", url, cwd=tmp_path)
        assert b"413" == done.stdout[-3:]
        assert [] == app.errors


@needs("nginx")
async def test_a_request_whose_client_has_gone_is_aborted(tmp_path: Path) -> None:
    """Nginx closes the connection then."""
    got = []

    async def read(stream: Any) -> None:
        async for event in stream:
            got.append(event)

    async with application(read, tmp_path, options="fastcgi_request_buffering off;") as (app, url):
        client = await trio.open_tcp_stream("127.0.0.1", int(url.rpartition(":")[2]))
        await client.send_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nhello")
        with trio.fail_after(60):
            while len(got) < 2:  # noqa: ASYNC110 - nothing else tells
                await trio.sleep(0.01)
            await client.aclose()
            await app.changed.wait()
        assert b"hello" == got[1].data
        (error,) = app.errors
        assert "the web server has aborted request 1" in str(error)


@needs("nginx")
@needs("curl")
async def test_a_response_that_is_given_up_does_not_look_whole(tmp_path: Path) -> None:
    """To the client, either: nginx cuts its connection."""

    async def give_up(stream: Any) -> None:
        begin = await stream.receive()
        if begin.params["DOCUMENT_URI"] == "/late":
            await stream.send(FastCGIHeaders(stream.key, [("Content-Type", "text/plain")]))
            await stream.send(FastCGIData(stream.key, b"half of"))
        stream.reset()

    async with application(give_up, tmp_path, keep=True) as (_, url):
        late = await run("curl", "-sS", f"{url}/late")
        assert (18, b"half of") == (late.returncode, late.stdout)
        early = await run("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", f"{url}/early")
        assert b"502" == early.stdout
