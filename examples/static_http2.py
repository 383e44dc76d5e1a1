"""A static server for HTTP/1.1 and HTTP/2 on one port with TLS: a client says in its handshake which of the two (ALPN).

    python examples/static_http2.py --port 8443 docs

It makes a certificate for localhost with openssl, good for a day, unless it is given one. Then, in another terminal, or
with a browser:

    curl -vk https://localhost:8443/index.md
    curl -vk --http1.1 https://localhost:8443/index.md

On HTTP/2 many files are under way at once: each stream has a task of its own, and a slow one holds up no other.

It needs `pip install 'penstock[h11,h2]'`.
"""

from __future__ import annotations

import argparse
import mimetypes
import ssl
import tempfile
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

import h2.events
import h2.exceptions
import trio
from json_lines import existing_file, make_certificate
from static_http import PIECE_BYTES, file_of
from static_http import serve as serve_http_1

from pipeline import Pipeline, Substream, open_streams, serve_tcp
from stages import HTTP1, HTTP2, TLS, HTTP2Item, IdleTimeout, SendData, SendHeaders

Stream = Substream[h2.events.Event, HTTP2Item]


async def serve(root: Path, pipeline: Pipeline[Any, Any]) -> None:
    """Serve one connection by what ALPN agreed on."""
    tls = pipeline.chain
    assert isinstance(tls, TLS)
    if tls.alpn_protocol == "h2":
        await pipeline.insert(IdleTimeout(60) | HTTP2("server"), at="client")
        await serve_http_2(root, pipeline)
    else:
        await pipeline.insert(IdleTimeout(60) | HTTP1("server"), at="client")
        await serve_http_1(root, pipeline)


async def serve_http_2(root: Path, pipeline: Pipeline[h2.events.Event, HTTP2Item]) -> None:
    """A task for each stream. What a client does wrong, HTTP2 has told it before the error gets here."""
    try:
        async with open_streams(pipeline) as streams, trio.open_nursery() as nursery:
            async for stream in streams:
                nursery.start_soon(answer, stream, root)
    except* (h2.exceptions.ProtocolError, TimeoutError, trio.BrokenResourceError) as errors:
        print(f"closing: {errors.exceptions[0]}", flush=True)


async def answer(stream: Stream, root: Path) -> None:
    """Answer one request; a client that does not want the answer any more resets the stream."""
    with suppress(trio.BrokenResourceError):
        async with stream:
            request = await stream.receive()
            assert isinstance(request, h2.events.RequestReceived)
            fields = dict(request.headers)
            method, path = bytes(fields[b":method"]), file_of(root, bytes(fields.get(b":path", b"")))
            if method not in (b"GET", b"HEAD"):
                await say(stream, 405, "Only GET and HEAD\n")
            elif path is None:
                await say(stream, 404, "There is no such file\n", body=method == b"GET")
            else:
                await send_file(stream, path, body=method == b"GET")


def head(stream: Stream, status: int, kind: str, size: int, *, body: bool) -> SendHeaders:
    headers = [(":status", str(status)), ("content-type", kind), ("content-length", str(size))]
    return SendHeaders(stream.key, headers, end_stream=not body)


async def say(stream: Stream, status: int, text: str, *, body: bool = True) -> None:
    """Answer with a line of text."""
    data = text.encode()
    await stream.send(head(stream, status, "text/plain; charset=utf-8", len(data), body=body))
    if body:
        await stream.send(SendData(stream.key, data, end_stream=True))


async def send_file(stream: Stream, path: Path, *, body: bool) -> None:
    async with await trio.open_file(path, "rb") as file:
        size = (await trio.Path(path).stat()).st_size
        kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
        await stream.send(head(stream, 200, kind, size, body=body))
        while body and size and (data := await file.read(min(size, PIECE_BYTES))):
            size -= len(data)  # never more than was announced: the file may grow meanwhile
            await stream.send(SendData(stream.key, data))


async def main(root: Path, port: int, context: ssl.SSLContext) -> None:
    async with trio.open_nursery() as nursery:
        serving = partial(serve_tcp, host="127.0.0.1")
        make_chain = partial(TLS, context, server_side=True)
        (listener,) = await nursery.start(serving, partial(serve, root), port, make_chain)
        host, port = listener.socket.getsockname()
        print(f"serving {root} on https://{host}:{port}", flush=True)


def parsed_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A static server for HTTP/1.1 and HTTP/2.")
    parser.add_argument("root", type=Path, nargs="?", default=Path(), help="the directory (%(default)s)")
    parser.add_argument("--port", type=int, default=8443, help="the port to listen on, 0: any (%(default)s)")
    parser.add_argument("--cert", type=existing_file, help="PEM file: the certificate; without: one is made")
    parser.add_argument("--key", type=existing_file, help="PEM file: its key (without: in --cert)")
    return parser.parse_args()


if __name__ == "__main__":
    arguments = parsed_arguments()
    with ExitStack() as stack:
        files = arguments.cert, arguments.key
        if arguments.cert is None:
            files = make_certificate(Path(stack.enter_context(tempfile.TemporaryDirectory())))
        server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        server_context.load_cert_chain(*files)
        server_context.set_alpn_protocols(["h2", "http/1.1"])
        try:
            trio.run(main, arguments.root.resolve(), arguments.port, server_context)
        except* KeyboardInterrupt:
            print("static server closed")
