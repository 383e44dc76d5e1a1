"""A chain per TCP connection: `serve_tcp` for servers, `open_tcp_pipeline` for clients."""

from __future__ import annotations

import errno
import inspect
import math
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

import trio
from typing_extensions import TypeVar, Unpack

from ._blame import BREAKS, LOGGER, PeersDoingError, lay_to_peer, report
from ._chain import Duplex, Inbound, Outbound, Passthrough, places_of
from ._pipeline import Pipeline, PipelineOptions

R = TypeVar("R", default=Any)
S = TypeVar("S", default=Any)

Chain: TypeAlias = "Duplex[bytes, R, S, bytes] | Inbound[bytes, R] | Outbound[S, bytes] | Passthrough"

NO_CAPACITY: Final = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS}
RETRY_SECONDS: Final = 0.1


async def open_tcp_pipeline(
    host: str,
    port: int,
    chain: Chain[R, S],
    ssl_context: ssl.SSLContext | None = None,
    **options: Unpack[PipelineOptions],
) -> Pipeline[R, S]:
    """Connect to a server; use the result with `async with`.

    Args:
        host: name or address; with TLS also the name that the server must prove.
        port: the TCP port.
        chain: the stages, from wire to client.
        ssl_context: for TLS; the handshake happens on entering.
        options: of the `Pipeline`, such as `close_seconds`.

    Raises:
        OSError: no connection came about.
        TypeError, ValueError, StageInUseError: the chain cannot run, or the context is none of a client; nothing was
            connected.

    Cancellation: nothing is left open.
    """
    places_of(chain)
    _check_context(ssl_context, server_side=False, host=host)
    stream = await trio.open_tcp_stream(host, port)
    try:
        if ssl_context is None:
            return Pipeline(stream, chain, **options)
        return Pipeline(trio.SSLStream(stream, ssl_context, server_hostname=host), chain, **options)
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise


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
    **options: Unpack[PipelineOptions],
) -> None:
    """Serve TCP connections until cancelled: for each, a fresh chain and `await handler(pipeline)`.

    Args:
        handler: called with the entered pipeline, which is closed when it returns. An `Exception`
            of it is logged under `pipeline.serve` with the peer's address and closes that
            connection only; where the peer broke off, or a stage laid it to what the peer sent
            (`peer_errors`), it is one line, with the traceback at DEBUG.
            Any other exception ends the server.
        port: where to listen; 0 for a free port, see `task_status`.
        make_chain: called once per connection, since stages belong to one pipeline.
        host: the address to listen on; None: all.
        ssl_context: for TLS from the first byte.
        max_connections: so many are served at a time; beyond, none is accepted.
        ready_seconds: how long a connection may take until its stages are ready.
        grace_seconds: when cancelled, how long handlers may go on. One that waits for input of
            which nothing has come sees the end of the stream.
        task_status: for `nursery.start`, which returns the list of listeners.
        options: of each `Pipeline`, such as `merge_writes` or `close_seconds`.

    Raises:
        OSError: the port cannot be listened on.
        ValueError: `max_connections` is less than 1; `ssl_context` is none of a server.
        TypeError: an option that is none of a pipeline's; `handler` is no function; `make_chain` is a chain, or
            anything else than a plain function.

    Cancellation: it stops accepting, and ends when all handlers have.
    """
    _check_handler(handler)
    _check_factory(make_chain)
    _check_context(ssl_context, server_side=True)
    _check_options(options)
    if max_connections is not None and max_connections < 1:
        raise ValueError(f"max_connections is {max_connections}; give 1 or more, or None for no limit")
    listeners = await trio.open_tcp_listeners(port, host=host)
    server = _Server(handler, make_chain, ssl_context, max_connections, ready_seconds, options)
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
        options: PipelineOptions | None = None,
    ) -> None:
        self._options: PipelineOptions = options or {}
        self._handler, self._make_chain, self._ssl_context = handler, make_chain, ssl_context
        self._ready_seconds = ready_seconds
        self._free = math.inf if max_connections is None else max_connections
        self._accepting: set[trio.CancelScope] = set()
        self._left = trio.lowlevel.ParkingLot()
        self._end = math.inf
        self._served: dict[trio.CancelScope, Pipeline[Any, Any] | None] = {}  # None: it is not ready yet

    async def accept(self, listener: trio.abc.Listener[trio.SocketStream], nursery: trio.Nursery) -> None:
        """Accept connections for ever, whenever there is a place."""
        async with listener:
            while True:
                while self._free <= 0:
                    await self._left.park()
                stream = None
                with trio.CancelScope() as scope:
                    self._accepting.add(scope)
                    try:
                        stream = await _accept(listener)
                    finally:
                        self._accepting.discard(scope)
                if stream is not None:
                    await self._take_place(stream)
                    nursery.start_soon(self._serve, stream)

    async def _take_place(self, stream: trio.SocketStream) -> None:
        try:
            while self._free <= 0:  # two listeners have accepted at the same time
                await self._left.park()
        except BaseException:
            stream.socket.close()
            raise
        self._free -= 1
        if self._free <= 0:
            for scope in self._accepting:
                scope.cancel()

    def wind_down(self, grace_seconds: float) -> None:
        """No more connections come; those there are may go on for a while."""
        self._end = trio.current_time() + grace_seconds
        for scope, pipeline in self._served.items():
            scope.deadline = min(scope.deadline, self._end)
            if pipeline is not None:
                pipeline._drain()

    async def _serve(self, stream: trio.SocketStream) -> None:
        # Shielded, so that winding down decides how long a handler may go on.
        peer, scope = _peer(stream), trio.CancelScope(shield=True)
        self._served[scope] = None
        try:
            with scope:
                pipeline = await self._open(stream, scope)
                try:
                    async with pipeline:
                        await _awaitable(self._handler(pipeline), self._handler)
                except Exception as error:
                    lay_to_peer(pipeline, error)
                    raise
            if scope.cancelled_caught and scope.deadline < self._end:
                raise PeersDoingError(f"was closed: it was not ready within {self._ready_seconds} seconds")
        except Exception as error:
            report(peer, error)
        finally:
            del self._served[scope]
            self._free += 1
            self._left.unpark_all()

    async def _open(self, stream: trio.SocketStream, scope: trio.CancelScope) -> Pipeline[Any, Any]:
        transport: trio.abc.Stream = stream
        try:
            if self._ssl_context is not None:
                transport = trio.SSLStream(stream, self._ssl_context, server_side=True)
            pipeline: Pipeline[Any, Any] = Pipeline(transport, self._make_chain(), **self._options)
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        scope.deadline = min(self._end, trio.current_time() + self._ready_seconds)
        try:
            await pipeline._enter()
        except Exception as error:
            lay_to_peer(pipeline, error)
            if isinstance(error, BREAKS):
                raise PeersDoingError(f"broke off: {error}") from error
            raise
        scope.deadline = self._end
        self._served[scope] = pipeline
        if self._end < math.inf:
            pipeline._drain()
        return pipeline


def _check_handler(handler: object) -> None:
    """Refuse at once what would fail at each connection: `handler(...)`, arguments in another order."""
    if inspect.iscoroutine(handler):
        handler.close()  # it is reported here; Python need not warn that nobody awaited it
        name = handler.__name__
        raise TypeError(f"serve_tcp() calls the handler itself, for each connection: write {name}, not {name}(...)")
    if not callable(handler):
        raise TypeError(f"the handler is {handler!r}: write serve_tcp(handler, port, make_chain)")


def _check_context(context: ssl.SSLContext | None, *, server_side: bool, host: str | None = None) -> None:
    if context is None:
        return
    right = "ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)" if server_side else "ssl.create_default_context()"
    if not hasattr(context, "wrap_bio"):
        raise TypeError(f"ssl_context is {context!r}: give an ssl.SSLContext, such as {right}")
    try:
        context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side, host)
    except ssl.SSLError as error:
        raise ValueError(f"this ssl_context is for the other side: {error}. Give one such as {right}") from error


def _check_options(options: PipelineOptions) -> None:
    unknown = [name for name in options if name not in PipelineOptions.__optional_keys__]
    if unknown:
        known = ", ".join(sorted(PipelineOptions.__optional_keys__))
        raise TypeError(f"serve_tcp() has no option {unknown[0]!r}; beside its own it takes those of Pipeline: {known}")


def _awaitable(result: object, handler: Callable[..., object]) -> Awaitable[object]:
    if inspect.isawaitable(result):
        return result
    name = getattr(handler, "__name__", "the handler")
    raise TypeError(f"{name}() returned {type(result).__name__}, which cannot be awaited: write `async def {name}`")


def _check_factory(make_chain: object) -> None:
    """Refuse at once what would fail at each connection: a chain itself, or `async def make_chain`."""
    if not callable(make_chain):
        raise TypeError(
            f"serve_tcp() needs a new chain for each connection, so give it a function that makes one: "
            f"lambda: {make_chain!r}"
        )
    if inspect.iscoroutinefunction(make_chain):
        raise TypeError("serve_tcp() makes chains without waiting: write `def make_chain` without `async`")


async def _accept(listener: trio.abc.Listener[trio.SocketStream]) -> trio.SocketStream:
    """Accept one connection; when the machine is out of descriptors or memory, wait until some are free."""
    while True:
        try:
            return await listener.accept()
        except OSError as error:
            if error.errno not in NO_CAPACITY:
                raise
            LOGGER.warning("no connection can be accepted now, trying again: %s", error)
            await trio.sleep(RETRY_SECONDS)


def _peer(stream: trio.SocketStream) -> str:
    try:
        return str(stream.socket.getpeername())
    except OSError:
        return "a peer that has gone"
