"""A static HTTP/1.1 server: the files of a directory, nothing outside of it, on connections that stay open.

    python examples/static_http.py --port 8080 docs

Then, in another terminal, or with a browser:

    curl -v http://127.0.0.1:8080/index.md
    curl -I http://127.0.0.1:8080/tutorial.md

It needs `pip install 'penstock[h11]'`.
"""

from __future__ import annotations

import argparse
import mimetypes
from functools import partial
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

import h11
import trio

from pipeline import Duplex, Pipeline, serve_tcp
from stages import HTTP1, IdleTimeout

PIECE_BYTES = 65536


def make_chain() -> Duplex[bytes, h11.Event, h11.Event, bytes]:
    """HTTP, for clients that do something at least once a minute; from wire to client."""
    return IdleTimeout(60) | HTTP1("server")


def file_of(root: Path, target: bytes) -> Path | None:
    """The file that is asked for, or None: there is none, or it is not below `root`."""
    name = unquote_to_bytes(urlsplit(target).path).decode(errors="surrogateescape").lstrip("/")
    if "\0" in name:
        return None
    path = (root / name).resolve()  # without `..`, and links followed: where it really is
    if not path.is_relative_to(root):
        return None
    path = path / "index.html" if path.is_dir() else path
    return path if path.is_file() else None


def head(status: int, kind: str, size: int) -> h11.Response:
    return h11.Response(status_code=status, headers=[("Content-Type", kind), ("Content-Length", str(size))])


async def say(pipeline: Pipeline[h11.Event, h11.Event], status: int, text: str, *, body: bool = True) -> None:
    """Answer with a line of text."""
    data = [h11.Data(data=text.encode())] if body else []
    await pipeline.send_many([head(status, "text/plain; charset=utf-8", len(text.encode())), *data, h11.EndOfMessage()])


async def answer(pipeline: Pipeline[h11.Event, h11.Event], request: h11.Request, root: Path) -> None:
    body = request.method != b"HEAD"
    if request.method not in (b"GET", b"HEAD"):
        await say(pipeline, 405, "Only GET and HEAD\n")
        return
    path = file_of(root, request.target)
    if path is None:
        await say(pipeline, 404, "There is no such file\n", body=body)
        return
    async with await trio.open_file(path, "rb") as file:
        size = path.stat().st_size
        kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
        await pipeline.send(head(200, kind, size))
        while body and size and (data := await file.read(min(size, PIECE_BYTES))):
            size -= len(data)  # never more than was announced: the file may grow meanwhile
            await pipeline.send(h11.Data(data=data))
        await pipeline.send(h11.EndOfMessage())


async def serve(root: Path, pipeline: Pipeline[h11.Event, h11.Event]) -> None:
    """Serve one connection. What a client does wrong, HTTP1 has told it before the error gets here."""
    request: h11.Request | None = None
    try:
        async for event in pipeline:
            if isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.EndOfMessage) and request is not None:
                await answer(pipeline, request, root)
    except (h11.RemoteProtocolError, TimeoutError, trio.BrokenResourceError) as error:
        print(f"closing: {error}", flush=True)


async def main(root: Path, port: int) -> None:
    async with trio.open_nursery() as nursery:
        serving = partial(serve_tcp, host="127.0.0.1", grace_seconds=5)
        (listener,) = await nursery.start(serving, partial(serve, root), port, make_chain)
        host, port = listener.socket.getsockname()
        print(f"serving {root} on http://{host}:{port}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A static HTTP/1.1 server.")
    parser.add_argument("root", type=Path, nargs="?", default=Path(), help="the directory (%(default)s)")
    parser.add_argument("--port", type=int, default=8080, help="the port to listen on, 0: any (%(default)s)")
    arguments = parser.parse_args()
    try:
        trio.run(main, arguments.root.resolve(), arguments.port)
    except* KeyboardInterrupt:
        print("static server closed")
