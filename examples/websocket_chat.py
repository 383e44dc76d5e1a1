"""A chat for browsers: one port serves the page over HTTP/1.1, and what is said there over WebSocket.

    python examples/websocket_chat.py

Then open http://127.0.0.1:8080/ in two windows. Or, without a browser, with `websockets` from PyPI:

    python -m websockets ws://127.0.0.1:8080/chat

It needs `pip install 'penstock[h11,wsproto]'`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TypeAlias

import h11
import trio
from wsproto.events import AcceptConnection, Event, Ping, RejectConnection, Request, TextMessage
from wsproto.utilities import RemoteProtocolError

from pipeline import Duplex, Pipeline, serve_tcp
from stages import HTTP1, Heartbeat, IdleTimeout, WebSocket

Connection: TypeAlias = Pipeline[Any, Any]  # of h11's events, and after the upgrade of wsproto's

PAGE = """<!doctype html>
<meta charset="utf-8">
<title>Chat</title>
<form id="form"><input id="text" autofocus autocomplete="off"><button>Say</button></form>
<ul id="heard"></ul>
<script>
const socket = new WebSocket(`ws://${location.host}/chat`);
function show(line) {
    const item = document.createElement("li");
    item.textContent = line;  // never as HTML
    heard.prepend(item);
}
socket.onopen = () => show("(you are in)");
socket.onclose = event => show(`(closed: ${event.code} ${event.reason})`);
socket.onmessage = event => show(event.data);
form.onsubmit = event => {
    event.preventDefault();
    socket.send(text.value);
    text.value = "";
};
</script>
"""


def make_chain() -> Duplex[bytes, h11.Event, h11.Event, bytes]:
    """HTTP, for clients that do something at least once a minute; from wire to client."""
    return IdleTimeout(60) | HTTP1("server")


# ---- the chat


class Room:
    """Everybody hears what anybody says."""

    def __init__(self) -> None:
        self._members: set[trio.MemorySendChannel[str]] = set()

    def say(self, text: str) -> None:
        for member in self._members:
            with suppress(trio.WouldBlock):  # who reads so slowly misses something, and holds nobody up
                member.send_nowait(text)

    @contextmanager
    def joined(self) -> Iterator[trio.MemoryReceiveChannel[str]]:
        """What is said from now on."""
        send, receive = trio.open_memory_channel[str](100)
        self._members.add(send)
        try:
            yield receive
        finally:
            self._members.remove(send)


async def chat(pipeline: Pipeline[Event, Event], room: Room) -> None:
    """Let one client talk and listen."""
    request = await pipeline.receive()
    if not isinstance(request, Request) or not is_from_here(request):
        await pipeline.send(RejectConnection(status_code=403))
        return
    with room.joined() as heard:
        await pipeline.send(AcceptConnection())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pass_on, heard, pipeline)
            async for event in pipeline:
                if isinstance(event, TextMessage):
                    room.say(event.data)
            nursery.cancel_scope.cancel()


async def pass_on(heard: trio.MemoryReceiveChannel[str], pipeline: Pipeline[Event, Event]) -> None:
    async for text in heard:
        await pipeline.send(TextMessage(data=text))


def is_from_here(request: Request) -> bool:
    """Whether our own page asks: a browser lets the page of any other server ask, too, and tells which it is."""
    origin = dict(request.extra_headers).get(b"origin")
    return origin is None or origin.partition(b"://")[2] == request.host.encode()


# ---- the web server


async def serve(room: Room, pipeline: Connection) -> None:
    """Serve one connection, which may become a WebSocket. What a client does wrong it was told by the stage."""
    request: h11.Request | None = None
    try:
        async for event in pipeline:
            if isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.EndOfMessage) and request is not None:
                if WebSocket.is_asked_for(request) and await upgrade(pipeline, request):
                    await chat(pipeline, room)
                    return
                await answer(pipeline, request)
    except* (h11.RemoteProtocolError, RemoteProtocolError, TimeoutError, trio.BrokenResourceError) as errors:
        print(f"closing: {errors.exceptions[0]!r}", flush=True)


async def upgrade(pipeline: Connection, request: h11.Request) -> bool:
    """From HTTP to WebSocket, if the request is a right one."""
    try:
        websocket = WebSocket("server", request, max_bytes=4096)
    except RemoteProtocolError as error:
        print(f"no upgrade: {error}", flush=True)
        return False
    # Browsers answer pings by themselves, which IdleTimeout hears.
    await pipeline.replace(HTTP1, websocket | Heartbeat(20, Ping))
    return True


async def answer(pipeline: Connection, request: h11.Request) -> None:
    """Serve the page."""
    if WebSocket.is_asked_for(request):
        status, body = 426, "This is no right request for a WebSocket\n"
    else:
        status, body = (200, PAGE) if request.target == b"/" else (404, "There is only /\n")
    kind = "text/html" if status == 200 else "text/plain"
    headers = [("Content-Type", f"{kind}; charset=utf-8"), ("Content-Length", str(len(body.encode())))]
    if status == 426:
        headers += [("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")]
    data = [] if request.method == b"HEAD" else [h11.Data(data=body.encode())]
    await pipeline.send_many([h11.Response(status_code=status, headers=headers), *data, h11.EndOfMessage()])


async def main(port: int) -> None:
    async with trio.open_nursery() as nursery:
        serving = partial(serve_tcp, host="127.0.0.1")
        (listener,) = await nursery.start(serving, partial(serve, Room()), port, make_chain)
        host, port = listener.socket.getsockname()
        print(f"chat on http://{host}:{port}/", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A chat for browsers.")
    parser.add_argument("--port", type=int, default=8080, help="the port to listen on, 0: any (%(default)s)")
    arguments = parser.parse_args()
    try:
        trio.run(main, arguments.port)
    except* KeyboardInterrupt:
        print("chat closed")
