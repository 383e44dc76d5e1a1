"""A chain per TCP connection: `serve_tcp` for servers, `open_tcp_pipeline` for clients."""

from __future__ import annotations

import errno
import logging
import math
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias, TypeVar

import trio

from ._chain import Duplex, Inbound, Outbound, Passthrough, places_of
from ._errors import StageTimeoutError
from ._pipeline import Pipeline

R = TypeVar("R")
S = TypeVar("S")

Chain: TypeAlias = "Duplex[bytes, R, S, bytes] | Inbound[bytes, R] | Outbound[S, bytes] | Passthrough"

LOGGER: Final = logging.getLogger("pipeline.serve")
NO_CAPACITY: Final = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS}
RETRY_SECONDS: Final = 0.1


async def open_tcp_pipeline(
    host: str, port: int, chain: Chain[R, S], ssl_context: ssl.SSLContext | None = None
) -> Pipeline[R, S]:
    """Connect to a server; use the pipeline with `async with await open_tcp_pipeline(...) as p:`.

    Args:
        host: name or address; with TLS also the name that the server must prove.
        port: the TCP port.
        chain: the stages, from wire to client.
        ssl_context: for TLS; the handshake happens on entering.

    Raises:
        OSError: no connection came about.
        TypeError, StageInUseError: the chain cannot run; nothing was connected.

    Cancellation: nothing is left open.
    """
    places_of(chain)
    stream = await trio.open_tcp_stream(host, port)
    if ssl_context is None:
        return Pipeline(stream, chain)
    return Pipeline(trio.SSLStream(stream, ssl_context, server_hostname=host), chain)


async def serve_tcp(
    handler: Callable[[Pipeline[R, S]], Awaitable[object]],
    port: int,
    make_chain: Callable[[], Chain[R, S]],
    *,
    host: str | None = None,
    ssl_context: ssl.SSLContext | None = None,
    max_connections: int | None = None,
    ready_seconds: float = 30,
    grace_seconds: float = 0,
    task_status: trio.TaskStatus[list[trio.SocketListener]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve TCP connections until cancelled: for each, a fresh chain and `await handler(pipeline)`.

    Args:
        handler: called with the entered pipeline, which is closed when it returns. An `Exception`
            of it is logged under `pipeline.serve` with the peer's address and closes that
            connection only; any other exception ends the server.
        port: where to listen; 0 for a free port, see `task_status`.
        make_chain: called once per connection, since stages belong to one pipeline.
        host: the address to listen on; None: all.
        ssl_context: for TLS from the first byte.
        max_connections: so many are served at a time; beyond, none is accepted.
        ready_seconds: how long a connection may take until its stages are ready.
        grace_seconds: when cancelled, how long handlers may go on. One that waits for input of
            which nothing has come sees the end of the stream.
        task_status: for `nursery.start`, which returns the list of listeners.

    Raises:
        OSError: the port cannot be listened on.

    Cancellation: it stops accepting, and ends when all handlers have.
    """
    listeners = await trio.open_tcp_listeners(port, host=host)
    server = _Server(handler, make_chain, ssl_context, max_connections, ready_seconds)
    async with trio.open_nursery() as nursery:
        try:
            async with trio.open_nursery() as accepting:
                for listener in listeners:
                    accepting.start_soon(server.accept, listener, nursery)
                task_status.started(listeners)
        finally:
            server.wind_down(grace_seconds)


class _Server:
    def __init__(
        self,
        handler: Callable[[Pipeline[Any, Any]], Awaitable[object]],
        make_chain: Callable[[], Chain[Any, Any]],
        ssl_context: ssl.SSLContext | None,
        max_connections: int | None,
        ready_seconds: float,
    ) -> None:
        self._handler, self._make_chain, self._ssl_context = handler, make_chain, ssl_context
        self._ready_seconds = ready_seconds
        self._places = None if max_connections is None else trio.Semaphore(max_connections)
        self._end = math.inf
        self._scopes: set[trio.CancelScope] = set()
        self._pipelines: set[Pipeline[Any, Any]] = set()

    async def accept(self, listener: trio.SocketListener, nursery: trio.Nursery) -> None:
        """Accept connections for ever, as many at a time as there are places."""
        async with listener:
            while True:
                if self._places is not None:
                    await self._places.acquire()
                try:
                    stream = await _accept(listener)
                except BaseException:
                    self._leave()
                    raise
                nursery.start_soon(self._serve, stream)

    def wind_down(self, grace_seconds: float) -> None:
        """No more connections come; those there are may go on for a while."""
        self._end = trio.current_time() + grace_seconds
        for scope in self._scopes:
            scope.deadline = self._end
        for pipeline in self._pipelines:
            pipeline._drain()

    def _leave(self) -> None:
        if self._places is not None:
            self._places.release()

    async def _serve(self, stream: trio.SocketStream) -> None:
        peer = _peer(stream)
        # Shielded, so that winding down decides how long a handler may go on.
        with trio.CancelScope(shield=True, deadline=self._end) as scope:
            self._scopes.add(scope)
            try:
                await self._handle(stream)
            except Exception:
                LOGGER.exception("the connection from %s failed and was closed", peer)
            finally:
                self._scopes.discard(scope)
                self._leave()

    async def _handle(self, stream: trio.SocketStream) -> None:
        pipeline = await self._open(stream)
        self._pipelines.add(pipeline)
        try:
            async with pipeline:
                await self._handler(pipeline)
        finally:
            self._pipelines.discard(pipeline)

    async def _open(self, stream: trio.SocketStream) -> Pipeline[Any, Any]:
        transport: trio.abc.Stream = stream
        if self._ssl_context is not None:
            transport = trio.SSLStream(stream, self._ssl_context, server_side=True)
        try:
            pipeline: Pipeline[Any, Any] = Pipeline(transport, self._make_chain())
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        with trio.move_on_after(self._ready_seconds) as scope:
            await pipeline._enter()
        if scope.cancelled_caught:
            raise StageTimeoutError(f"the connection was not ready within {self._ready_seconds} seconds")
        return pipeline


async def _accept(listener: trio.SocketListener) -> trio.SocketStream:
    """Accept one connection; when the machine is out of descriptors or memory, wait until some are free."""
    while True:
        try:
            return await listener.accept()
        except OSError as error:
            if error.errno not in NO_CAPACITY:
                raise
            LOGGER.error("no connection can be accepted now, trying again: %s", error)
            await trio.sleep(RETRY_SECONDS)


def _peer(stream: trio.SocketStream) -> str:
    try:
        return str(stream.socket.getpeername())
    except OSError:
        return "a peer that has gone"
