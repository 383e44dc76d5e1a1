"""A FastCGI application behind nginx: it answers requests, and streams bodies both ways.

    python examples/fastcgi_app.py --port 9000

In nginx's configuration:

    location / {
        include fastcgi_params;
        fastcgi_pass 127.0.0.1:9000;
        fastcgi_request_buffering off;  # the application gets a body as it comes
    }

Then `curl -d 'some text' http://127.0.0.1/upper`. It needs `pip install 'penstock[fcgiproto]'`.
"""

from __future__ import annotations

import argparse
import hashlib
from functools import partial
from typing import Any, TypeAlias

import fcgiproto
import trio

from pipeline import Pipeline, Substream, open_streams, serve_tcp
from stages import FastCGI, FastCGIData, FastCGIHeaders

HOST = "127.0.0.1"

Request: TypeAlias = Substream[Any, Any]
"""A request as a channel: fcgiproto's events come, `FastCGIHeaders` and `FastCGIData` go."""


async def serve_web_server(pipeline: Pipeline[Any, Any]) -> None:
    """Answer the requests of one connection; of several at once on it, as FastCGI allows, too."""
    # A body that is not taken makes all requests of the connection wait: with nginx that is the one it belongs to.
    async with open_streams(pipeline, overflow="block") as requests, trio.open_nursery() as nursery:
        async for request in requests:
            nursery.start_soon(answer, request)


async def answer(request: Request) -> None:
    try:
        async with request:
            begin: fcgiproto.RequestBeginEvent = await request.receive()
            match begin.params.get("REQUEST_METHOD"), begin.params.get("DOCUMENT_URI"):
                case "GET", "/":
                    await say(request, 200, "".join(f"{name}={value}\n" for name, value in begin.params.items()))
                case "POST", "/digest":
                    await digest(request)
                case "POST", "/upper":
                    await upper(request)
                case _:
                    await say(request, 404, "There is /, and to POST to /digest and /upper\n")
    except trio.BrokenResourceError as error:
        print(f"a request was given up: {error.__cause__ or error}", flush=True)


async def say(request: Request, status: int, text: str) -> None:
    """Answer with some text."""
    await request.send(FastCGIHeaders(request.key, [("Content-Type", "text/plain; charset=utf-8")], status))
    await request.send(FastCGIData(request.key, text.encode(errors="replace")))


async def digest(request: Request) -> None:
    """Tell what came, when all of it is there."""
    size, sha256 = 0, hashlib.sha256()
    async for event in request:
        size += len(event.data)
        sha256.update(event.data)
    await say(request, 200, f"{size} bytes, {sha256.hexdigest()}\n")


async def upper(request: Request) -> None:
    """Give back what comes, in capitals, while it comes."""
    await request.send(FastCGIHeaders(request.key, [("Content-Type", "text/plain")]))
    async for event in request:
        await request.send(FastCGIData(request.key, event.data.upper()))


async def serve(port: int) -> None:
    """Serve until cancelled."""
    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(serve_tcp, host=HOST), serve_web_server, port, FastCGI)
        print(f"FastCGI on {HOST}:{listener.socket.getsockname()[1]}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A FastCGI application.")
    parser.add_argument("--port", type=int, default=9000, help="where the web server finds it (%(default)s)")
    try:
        trio.run(serve, parser.parse_args().port)
    except* KeyboardInterrupt:
        print("closed")
