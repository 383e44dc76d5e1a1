"""WebSocket against `websockets` from PyPI, which shares no code with wsproto, at either end."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import h11
import pytest
import trio
import websockets.sync.client
import websockets.sync.server
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK, InvalidStatus
from websockets.typing import Subprotocol
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Pong,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.utilities import RemoteProtocolError

from pipeline import Pipeline, open_tcp_pipeline, serve_tcp
from stages import HTTP1, WebSocket

pytestmark = pytest.mark.real_time

Served: TypeAlias = Pipeline[Event, Event]
Theirs: TypeAlias = websockets.sync.client.ClientConnection
TheirServer: TypeAlias = websockets.sync.server.ServerConnection
TEXT = "h\u00e9 \U0001f600 " * 100000
MEGABYTES = os.urandom(3 << 20)
SECONDS = 30


# ---- our server, their client


class Echo:
    """A server of ours which sends back each message, and remembers how each connection ended."""

    def __init__(self, **options: Any) -> None:
        self.make_chain = partial(WebSocket, "server", **options)
        self.ends: list[object] = []

    async def serve(self, pipeline: Served) -> None:
        try:
            await self.talk(pipeline)
        except RemoteProtocolError as error:
            self.ends.append(error)

    async def talk(self, pipeline: Served) -> None:
        async for event in pipeline:
            match event:
                case Request(target="/no"):
                    await pipeline.send(RejectConnection(status_code=403))
                case Request():
                    await pipeline.send(AcceptConnection(subprotocol=next(iter(event.subprotocols), None)))
                case TextMessage(data="close"):
                    await pipeline.send(CloseConnection(code=4001, reason="as you like"))
                case TextMessage(data="ping"):
                    await pipeline.send(Ping(b"are you there"))
                case Pong(payload=payload):
                    await pipeline.send(BytesMessage(data=bytes(payload)))
                case TextMessage() | BytesMessage():
                    half = len(event.data) // 2
                    kind: Any = type(event)
                    await pipeline.send(kind(data=event.data[:half], message_finished=False))
                    await pipeline.send(kind(data=event.data[half:]))
                case CloseConnection():
                    self.ends.append((event.code, event.reason))


@asynccontextmanager
async def our_server(echo: Echo) -> AsyncIterator[str]:
    async with trio.open_nursery() as nursery:
        serve = partial(serve_tcp, host="127.0.0.1")
        (listener,) = await nursery.start(serve, echo.serve, 0, echo.make_chain)
        yield f"ws://127.0.0.1:{listener.socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


async def with_their_client(url: str, talk: Callable[[Theirs], None], **options: Any) -> None:
    """Let their client, which blocks, talk in a thread."""

    def connect() -> None:
        with websockets.sync.client.connect(url, open_timeout=SECONDS, **options) as connection:
            talk(connection)

    with trio.fail_after(60):
        await trio.to_thread.run_sync(connect)


DEFLATE = pytest.mark.parametrize("compression", ["deflate", None])
SENT = [
    pytest.param(TEXT, id="text"),
    pytest.param("", id="empty"),
    pytest.param(b"", id="nothing"),
    pytest.param(b"\0\1\xff", id="bytes"),
    pytest.param(MEGABYTES, id="megabytes", marks=pytest.mark.full),
]
MESSAGES = pytest.mark.parametrize("message", SENT)


@DEFLATE
@MESSAGES
async def test_their_client_gets_back_what_it_sends(compression: str | None, message: Any) -> None:
    echo = Echo(deflate=compression is not None, max_bytes=4 << 20)

    def talk(connection: Theirs) -> None:
        assert (compression is not None) == bool(connection.protocol.extensions)
        for _ in range(2):
            connection.send(message)
            assert message == connection.recv(timeout=SECONDS)
        pieces: Iterator[Any] = (message[at : at + 50000] for at in range(0, len(message) or 1, 50000))
        connection.send(pieces)
        assert message == connection.recv(timeout=SECONDS)

    async with our_server(echo) as url:
        await with_their_client(url, talk, compression=compression, max_size=4 << 20)
    assert [(1000, "")] == echo.ends


async def test_their_client_and_our_server_ping_each_other() -> None:
    def talk(connection: Theirs) -> None:
        assert connection.ping("x").wait(SECONDS)
        connection.send("ping")
        assert b"are you there" == connection.recv(timeout=SECONDS)

    async with our_server(Echo()) as url:
        await with_their_client(url, talk)


async def test_their_client_is_closed_with_a_code() -> None:
    echo = Echo()

    def talk(connection: Theirs) -> None:
        connection.send("close")
        with pytest.raises(ConnectionClosedError) as info:
            connection.recv(timeout=SECONDS)
        assert info.value.rcvd is not None
        assert (4001, "as you like") == (info.value.rcvd.code, info.value.rcvd.reason)

    async with our_server(echo) as url:
        await with_their_client(url, talk)
    assert [(4001, "as you like")] == echo.ends


async def test_their_client_closes_with_a_code() -> None:
    echo = Echo()
    async with our_server(echo) as url:
        await with_their_client(url, lambda connection: connection.close(3000, "enough"))
    assert [(3000, "enough")] == echo.ends


async def test_their_client_is_left_in_good_order() -> None:
    """When the handler ends, and when the server goes down while it waits."""

    async def serve(pipeline: Served) -> None:
        async for event in pipeline:
            if event == TextMessage(data="leave"):
                break
            if isinstance(event, Request):
                await pipeline.send(AcceptConnection())
                await pipeline.send(TextMessage(data="welcome"))

    ends: list[Any] = []
    here = trio.Event()

    def talk(connection: Theirs, *, leave: bool) -> None:
        assert "welcome" == connection.recv(timeout=SECONDS)
        if leave:
            connection.send("leave")
        else:
            trio.from_thread.run_sync(here.set)
        with pytest.raises(ConnectionClosedOK) as info:
            connection.recv(timeout=SECONDS)
        ends.append(info.value.rcvd)

    async with trio.open_nursery() as nursery:
        server = await nursery.start(serve_in_a_scope, serve)
        url = f"ws://127.0.0.1:{server.port}"
        await with_their_client(url, partial(talk, leave=True))
        nursery.start_soon(with_their_client, url, partial(talk, leave=False))
        await here.wait()
        server.scope.cancel()
    assert [1000, 1000] == [end.code for end in ends]


@dataclass
class InAScope:
    port: int
    scope: trio.CancelScope


async def serve_in_a_scope(handler: Any, *, task_status: trio.TaskStatus[InAScope]) -> None:
    """A server with grace that can be cancelled alone."""
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            serve = partial(serve_tcp, host="127.0.0.1", grace_seconds=SECONDS)
            (listener,) = await nursery.start(serve, handler, 0, partial(WebSocket, "server"))
            task_status.started(InAScope(listener.socket.getsockname()[1], scope))


@DEFLATE
async def test_their_client_is_told_that_a_message_is_too_long(compression: str | None) -> None:
    echo = Echo(deflate=compression is not None)

    def talk(connection: Theirs) -> None:
        connection.send("x" * (1 << 20))
        assert 1 << 20 == len(connection.recv(timeout=SECONDS))
        connection.send("x" * ((1 << 20) + 1))
        with pytest.raises(ConnectionClosedError) as info:
            connection.recv(timeout=SECONDS)
        assert info.value.rcvd is not None
        assert 1009 == info.value.rcvd.code

    async with our_server(echo) as url:
        await with_their_client(url, talk, compression=compression, max_size=None)
    assert "max_bytes=1048576" in str(echo.ends)


async def test_their_client_chooses_a_subprotocol() -> None:
    def talk(connection: Theirs) -> None:
        assert "a" == connection.subprotocol

    async with our_server(Echo()) as url:
        await with_their_client(url, talk, subprotocols=[Subprotocol("a"), Subprotocol("b")])


async def test_their_client_is_refused() -> None:
    async with our_server(Echo()) as url:
        with pytest.raises(InvalidStatus, match="HTTP 403"):
            await with_their_client(f"{url}/no", lambda _: None)


async def test_their_client_upgrades_our_http_server() -> None:
    echo = Echo()

    async def serve(pipeline: Pipeline[Any, Any]) -> None:
        request = await pipeline.receive()
        assert isinstance(await pipeline.receive(), h11.EndOfMessage)
        await pipeline.replace(HTTP1, WebSocket("server", request, deflate=True))
        await echo.talk(pipeline)

    def talk(connection: Theirs) -> None:
        connection.send("hello")
        assert "hello" == connection.recv(timeout=SECONDS)

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(serve_tcp, host="127.0.0.1"), serve, 0, partial(HTTP1, "server"))
        await with_their_client(f"ws://127.0.0.1:{listener.socket.getsockname()[1]}", talk)
        nursery.cancel_scope.cancel()
    assert [(1000, "")] == echo.ends


# ---- our client, their server


def their_echo(connection: TheirServer) -> None:
    for message in connection:
        if message == "close":
            connection.close(4002, "bye")
        elif message == "ping":
            assert connection.ping("x").wait(SECONDS)
            connection.send("pong")
        elif message == "vanish":
            connection.socket.shutdown(socket.SHUT_RDWR)
        else:
            size = max(1, len(message) // 3)
            connection.send(message[at : at + size] for at in range(0, len(message) or 1, size))


async def with_their_server(
    talk: Callable[[Served], Coroutine[Any, Any, None]],
    handler: Callable[[TheirServer], None] = their_echo,
    *,
    deflate: bool = False,
    max_bytes: int = 4 << 20,
    **options: Any,
) -> None:
    """Let our client talk to their server, which runs in a thread."""
    serving = websockets.sync.server.serve(handler, "127.0.0.1", 0, max_size=4 << 20, **options)
    thread = threading.Thread(target=serving.serve_forever)
    thread.start()
    try:
        port = serving.socket.getsockname()[1]
        request = Request(host=f"127.0.0.1:{port}", target="/", subprotocols=["x", "y"])
        chain = WebSocket("client", request, deflate=deflate, max_bytes=max_bytes)
        with trio.fail_after(60):
            async with await open_tcp_pipeline("127.0.0.1", port, chain) as pipeline:
                await talk(pipeline)
    finally:
        await trio.to_thread.run_sync(serving.shutdown)
        thread.join()


@DEFLATE
@MESSAGES
async def test_their_server_sends_back_what_it_gets(compression: str | None, message: Any) -> None:
    kind: Any = TextMessage if isinstance(message, str) else BytesMessage

    async def talk(pipeline: Served) -> None:
        accepted = await pipeline.receive()
        assert isinstance(accepted, AcceptConnection)
        assert (compression is not None) == bool(accepted.extensions)
        half = len(message) // 2
        for pieces in (
            [kind(data=message)],
            [kind(data=message[:half], message_finished=False), kind(data=message[half:])],
        ):
            await pipeline.send_many(pieces)
            assert kind(data=message) == await pipeline.receive()

    await with_their_server(talk, deflate=True, compression=compression)


async def test_their_server_and_our_client_ping_each_other() -> None:
    async def talk(pipeline: Served) -> None:
        await pipeline.receive()
        await pipeline.send(Ping(b"1"))
        assert Pong(payload=b"1") == await pipeline.receive()
        await pipeline.send(TextMessage(data="ping"))
        assert TextMessage(data="pong") == await pipeline.receive()

    await with_their_server(talk)


async def test_their_server_closes_with_a_code() -> None:
    async def talk(pipeline: Served) -> None:
        await pipeline.receive()
        await pipeline.send(TextMessage(data="close"))
        assert [CloseConnection(code=4002, reason="bye")] == [event async for event in pipeline]

    await with_their_server(talk)


async def test_our_client_closes_with_a_code() -> None:
    ends: list[Any] = []

    def note(connection: TheirServer) -> None:
        with pytest.raises((ConnectionClosedOK, ConnectionClosedError)) as info:
            connection.recv(timeout=SECONDS)
        ends.append(info.value.rcvd)

    async def talk(pipeline: Served) -> None:
        await pipeline.receive()
        await pipeline.send(CloseConnection(code=4003, reason="done"))
        (closed,) = [event async for event in pipeline]
        assert isinstance(closed, CloseConnection)
        assert 4003 == closed.code

    await with_their_server(talk, note)
    assert [(4003, "done")] == [(end.code, end.reason) for end in ends]


async def test_their_server_agrees_to_a_subprotocol() -> None:
    async def talk(pipeline: Served) -> None:
        accepted = await pipeline.receive()
        assert isinstance(accepted, AcceptConnection)
        assert "y" == accepted.subprotocol

    await with_their_server(talk, subprotocols=[Subprotocol("y")])


async def test_their_server_refuses() -> None:
    async def talk(pipeline: Served) -> None:
        events: list[Any] = [event async for event in pipeline]
        assert 401 == events[0].status_code
        assert b"no\n" == b"".join(event.data for event in events[1:])

    def refuse(connection: TheirServer, _: object) -> Any:
        return connection.respond(401, "no\n")

    await with_their_server(talk, process_request=refuse)


@DEFLATE
async def test_their_server_is_told_that_a_message_is_too_long(compression: str | None) -> None:
    ends: list[Any] = []

    def flood(connection: TheirServer) -> None:
        connection.send("x" * 1000)
        connection.send("x" * 1001)
        with pytest.raises(ConnectionClosedError) as info:
            connection.recv(timeout=SECONDS)
        ends.append(info.value.rcvd)

    async def talk(pipeline: Served) -> None:
        await pipeline.receive()
        assert TextMessage(data="x" * 1000) == await pipeline.receive()
        with pytest.raises(RemoteProtocolError, match="at least 1001 bytes is over the limit, max_bytes=1000"):
            await pipeline.receive()

    await with_their_server(talk, flood, deflate=True, max_bytes=1000, compression=compression)
    assert [1009] == [end.code for end in ends]


async def test_their_server_vanishes() -> None:
    async def talk(pipeline: Served) -> None:
        await pipeline.receive()
        await pipeline.send(TextMessage(data="vanish"))
        with pytest.raises(RemoteProtocolError, match="the peer ended the stream without a close frame"):
            await pipeline.receive()

    await with_their_server(talk)
