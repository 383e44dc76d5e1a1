"""`serve_tcp` and `open_tcp_pipeline`: a chain per TCP connection."""

from __future__ import annotations

import errno
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

from pipeline import (
    Inbound,
    Passthrough,
    Pipeline,
    StageInUseError,
    open_tcp_pipeline,
    serve_tcp,
)
from pipeline._serve import _accept, _Server
from tests.pipeline.servers import connect, echo, lines, serving
from tests.pipeline.wires import (
    PATIENCE,
    Closing,
    Lines,
    both_closed,
    clog,
    read_all,
    small_buffers,
    tcp_pair,
    tls_contexts,
    unix_pair,
    until,
)


class NeverReady(Inbound[bytes, bytes]):
    """Waits for a handshake that does not come."""

    ready = False

    def process_sync(self, item: bytes, /) -> list[bytes]:
        return []


@pytest.mark.real_time
async def test_each_connection_has_a_chain_of_its_own() -> None:
    """Two clients at once are served; the port is the one that was given to the caller."""
    chains: list[Any] = []

    def make_chain() -> Passthrough:
        chains.append(lines())
        return chains[-1]  # type: ignore[no-any-return]

    async with (
        serving(echo, make_chain) as (port, _),
        await open_tcp_pipeline("127.0.0.1", port, lines()) as one,
        await open_tcp_pipeline("127.0.0.1", port, lines()) as two,
    ):
        await one.send(b"one\n")
        await two.send(b"two\n")
        assert (b"two", b"one") == (await two.receive(), await one.receive())

    assert 2 == len(chains)


@pytest.mark.real_time
async def test_with_tls_the_handshake_is_done_before_the_handler_is_called() -> None:
    """The handshake is done before the handler is called, and the client checks the name."""
    client, server = tls_contexts()
    async with (
        serving(echo, ssl_context=server) as (port, _),
        await open_tcp_pipeline("127.0.0.1", port, lines(), client) as pipeline,
    ):
        await pipeline.send(b"secret\n")
        assert b"secret" == await pipeline.receive()


@pytest.mark.real_time
async def test_a_handler_that_returns_closes_its_connection() -> None:
    """In good order: the stages finish."""

    async def greet(pipeline: Pipeline[Any, Any]) -> None:
        await pipeline.send(b"hello")

    async with serving(greet, Closing) as (port, _), await connect(port) as stream:
        assert b"hello." == await read_all(stream)


@pytest.mark.real_time
async def test_an_exception_of_a_handler_is_logged_and_closes_that_connection_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The log tells the peer's address and the error."""

    async def fail(pipeline: Pipeline[Any, Any]) -> None:
        async for line in pipeline:
            await pipeline.send(line + b"\n")
            if line == b"fail":
                raise ValueError("of the handler")

    async with serving(fail) as (port, _), await connect(port) as good, await connect(port) as bad:
        await bad.send_all(b"fail\n")
        assert b"fail\n" == await read_all(bad)
        await good.send_all(b"go on\n")
        assert b"go on\n" == await good.receive_some()
        peer = str(bad.socket.getsockname())

    (record,) = caplog.records
    assert ("pipeline.serve", logging.ERROR) == (record.name, record.levelno)
    assert f"the connection from {peer} failed and was closed" == record.getMessage()
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ValueError)


@pytest.mark.real_time
@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
async def test_a_base_exception_of_a_handler_ends_the_server(error: type[BaseException]) -> None:
    """It passes, and the other handlers are cancelled."""

    async def leave(pipeline: Pipeline[Any, Any]) -> None:
        await pipeline.receive()
        raise error

    with pytest.RaisesGroup(error, flatten_subgroups=True):
        async with serving(leave) as (port, _), await connect(port) as other, await connect(port) as stream:
            await stream.send_all(b"x\n")
            assert b"" == await read_all(other)
            await trio.sleep_forever()


@pytest.mark.real_time
async def test_a_chain_instead_of_a_factory_is_refused_at_once() -> None:
    """The message shows the factory of that very chain."""
    with pytest.raises(TypeError, match=r"a function that makes one: lambda: Lines\(\) \| Passthrough\(\)$"):
        await serve_tcp(echo, 0, Lines() | Passthrough())  # type: ignore[arg-type]


async def test_what_is_no_handler_is_refused_at_once() -> None:
    """A call of it, and another order of the arguments."""
    with pytest.raises(TypeError, match=r"calls the handler itself, .*: write echo, not echo\(...\)$"):
        await serve_tcp(echo(None), 0, lines)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^the handler is 8007: write serve_tcp\(handler, port, make_chain\)$"):
        await serve_tcp(8007, echo, lines)  # type: ignore[arg-type]


@pytest.mark.real_time
async def test_a_handler_without_async_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """One that returns what can be awaited is right."""

    def forgotten(pipeline: Pipeline[Any, Any]) -> None: ...

    async with serving(forgotten) as (port, _), await connect(port) as stream:
        assert b"" == await read_all(stream)
    assert "forgotten() returned NoneType, which cannot be awaited: write `async def forgotten`" in caplog.text

    def passes(pipeline: Pipeline[Any, Any]) -> Any:
        return echo(pipeline)

    async with serving(passes) as (port, _), await connect(port) as stream:
        await stream.send_all(b"one\n")
        assert b"one\n" == await stream.receive_some()


async def test_a_context_of_the_other_side_is_refused_at_once() -> None:
    """Before anything is listened on or connected."""
    client, server = tls_contexts()
    with pytest.raises(ValueError, match=r"other side: .*ssl.create_default_context\(ssl.Purpose.CLIENT_AUTH\)$"):
        await serve_tcp(echo, 0, lines, ssl_context=client)
    with pytest.raises(ValueError, match=r"for the other side: .*ssl.create_default_context\(\)$"):
        await open_tcp_pipeline("localhost", 1, lines(), server)
    with pytest.raises(TypeError, match=r"ssl_context is True: give an ssl.SSLContext, such as ssl.create"):
        await open_tcp_pipeline("localhost", 1, lines(), True)  # type: ignore[arg-type]


async def test_an_unknown_option_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match=r"no option 'merge_write'; .*: close_seconds, .*merge_writes, show_items$"):
        await serve_tcp(echo, 0, lines, merge_write=True)  # type: ignore[call-arg]


async def test_an_async_factory_is_refused_at_once() -> None:
    async def make_chain() -> Any: ...

    with pytest.raises(TypeError, match="write `def make_chain` without `async`"):
        await serve_tcp(echo, 0, make_chain)  # type: ignore[arg-type]


async def test_a_factory_that_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The connection is closed, and the next one is served."""
    chains = [Passthrough(Lines())]

    async with serving(echo, chains.pop) as (port, _), await connect(port) as one, await connect(port) as two:
        assert b"" == await read_all(two)
        await one.send_all(b"one\n")
        assert b"one\n" == await one.receive_some()

    assert ["IndexError"] == [record.exc_info[0].__name__ for record in caplog.records]  # type: ignore[index,union-attr]


@pytest.mark.real_time
async def test_a_factory_that_gives_one_chain_twice_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The log shows the remedy."""
    chain = lines()
    async with serving(echo, lambda: chain) as (port, _), await connect(port), await connect(port) as two:
        assert b"" == await read_all(two)

    assert "Make a new chain for each" in caplog.text


@pytest.mark.real_time
async def test_a_peer_that_refuses_the_certificate_is_one_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """The handler is never called."""
    async with serving(echo, ssl_context=tls_contexts()[1]) as (port, _), await connect(port) as stream:
        await stream.send_all(b"GET / HTTP/1.1")
        await read_all(stream)

    (line,) = caplog.records
    assert (logging.WARNING, None) == (line.levelno, line.exc_info)
    assert re.search(" broke off: TLS failed: .*http request", line.getMessage(), re.IGNORECASE)


class Refuses(NeverReady):
    """Takes nothing for a handshake."""

    def process_sync(self, item: bytes, /) -> list[bytes]:
        raise ValueError("this is no handshake")


@pytest.mark.real_time
async def test_a_handshake_that_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The handler is never called."""
    async with serving(echo, lambda: Passthrough(Refuses())) as (port, _), await connect(port) as stream:
        await stream.send_all(b"x")
        await until(lambda: caplog.records)

    (record,) = caplog.records
    assert logging.ERROR == record.levelno
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ValueError)


@pytest.mark.real_time
async def test_a_connection_that_is_never_ready(caplog: pytest.LogCaptureFixture) -> None:
    """It is closed after ready_seconds, and the handler is not called."""
    async with serving(echo, NeverReady, ready_seconds=0.05) as (port, _), await connect(port) as stream:
        assert b"" == await read_all(stream)

    (line,) = caplog.records
    assert (logging.WARNING, None) == (line.levelno, line.exc_info)
    assert line.getMessage().endswith(" was closed: it was not ready within 0.05 seconds")


@pytest.mark.real_time
async def test_a_peer_that_has_gone_before_it_is_served(caplog: pytest.LogCaptureFixture) -> None:
    """The log says so where its address would be."""
    near, far = await tcp_pair()
    await far.aclose()
    near.socket.close()
    async with accepting(echo, Listener(near)):
        await until(lambda: caplog.records)

    assert "the connection from a peer that has gone failed and was closed" in caplog.text


# ---- how many at a time


@pytest.mark.real_time
async def test_at_max_connections_it_stops_accepting() -> None:
    """The next one is served when a place is free; one that failed frees its place too."""
    served: list[bytes] = []

    async def handler(pipeline: Pipeline[Any, Any]) -> None:
        served.append(await pipeline.receive())
        await pipeline.receive()

    async with serving(handler, max_connections=2) as (port, _):
        streams = [await connect(port) for _ in range(3)]
        for number, stream in enumerate(streams):
            await stream.send_all(b"%d\n" % number)
        await until(lambda: len(served) >= 2)
        await trio.testing.wait_all_tasks_blocked(0.02)
        assert [b"0", b"1"] == sorted(served)
        await streams[0].aclose()
        await until(lambda: len(served) >= 3)
        assert [b"0", b"1", b"2"] == sorted(served)
        for stream in streams:
            await stream.aclose()


class Listener(trio.abc.Listener[trio.SocketStream]):
    """Gives what the test puts in: streams, and errors to be raised."""

    def __init__(self, *results: Any) -> None:
        self.put, self._results = trio.open_memory_channel[Any](9)
        for result in results:
            self.put.send_nowait(result)
        self.accepting = self.closed = 0

    async def accept(self) -> trio.SocketStream:
        self.accepting += 1
        try:
            result = await self._results.receive()
        finally:
            self.accepting -= 1
        if isinstance(result, Exception):
            raise result
        assert isinstance(result, trio.SocketStream)
        return result

    async def aclose(self) -> None:
        self.closed += 1
        await trio.lowlevel.checkpoint()


@asynccontextmanager
async def accepting(handler: Any, *listeners: Listener) -> AsyncIterator[_Server]:
    """A server with one place and listeners of the test's."""
    server = _Server(handler, lines, None, 1, 30)
    async with trio.open_nursery() as nursery:
        for listener in listeners:
            nursery.start_soon(server.accept, listener, nursery)
        yield server
        server.wind_down(0)
        nursery.cancel_scope.cancel()


@pytest.mark.real_time
async def test_listeners_share_the_places() -> None:
    """A free place is open to each of them; with none left, none of them accepts."""
    near, far = await tcp_pair()
    four, six = Listener(), Listener()
    async with far, accepting(echo, four, six):
        for listener in (four, six):
            await until(lambda: (1, 1) == (four.accepting, six.accepting))
            await listener.put.send(near)
            await until(lambda: (0, 0) == (four.accepting, six.accepting))
            await far.aclose()
            near, far = await tcp_pair()
        await trio.aclose_forcefully(near)
        await trio.aclose_forcefully(far)


@pytest.mark.real_time
@pytest.mark.parametrize("ended", [True, False])
async def test_two_listeners_that_accept_at_once(ended: bool) -> None:
    """The second connection waits for a place; it is closed when the server ends before there is one."""
    served = 0

    async def handler(pipeline: Pipeline[Any, Any]) -> None:
        nonlocal served
        served += 1
        await echo(pipeline)

    (near, far), (near_too, far_too) = await tcp_pair(), await tcp_pair()
    async with far, far_too, accepting(handler, Listener(near), Listener(near_too)):
        await until(lambda: served)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert 1 == served
        if not ended:
            await far.aclose()
            await far_too.aclose()
            await until(lambda: 2 == served)

    assert 2 - ended == served
    assert (-1, -1) == (near.socket.fileno(), near_too.socket.fileno())


@pytest.mark.real_time
@pytest.mark.parametrize("limit", [0, -1])
async def test_a_limit_of_no_connections_is_refused(limit: int) -> None:
    """The message says what to give."""
    with pytest.raises(ValueError, match=f"max_connections is {limit}; give 1 or more, or None"):
        await serve_tcp(echo, 0, lines, max_connections=limit)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS])
async def test_when_the_machine_is_out_of_descriptors_it_tries_again(
    number: int, caplog: pytest.LogCaptureFixture
) -> None:
    """After a while, and says so."""
    near, far = await unix_pair()
    async with near, far:
        assert near is await _accept(Listener(OSError(number, "too many"), near))

    assert 0.1 == trio.current_time()
    assert "no connection can be accepted now, trying again" in caplog.text


@pytest.mark.real_time
async def test_another_error_of_accept_ends_the_server() -> None:
    """It is not hidden; the listener is closed."""
    listener = Listener(OSError(errno.EINVAL, "not listening"))
    with pytest.RaisesGroup(OSError):
        async with accepting(echo, listener):
            await trio.sleep_forever()

    assert 1 == listener.closed


@pytest.mark.real_time
async def test_a_port_that_is_taken() -> None:
    """OSError itself, before anything is served."""
    async with serving(echo) as (port, _):
        with pytest.raises(OSError, match=r"[Aa]ddress"):
            await serve_tcp(echo, port, lines, host="127.0.0.1")


# ---- the end


@pytest.mark.real_time
async def test_cancelled_without_grace_it_ends_at_once() -> None:
    """Handlers are cancelled, connections closed, no new ones accepted."""
    async with serving(echo) as (port, nursery):
        stream = await connect(port)
        await stream.send_all(b"x\n")
        assert b"x\n" == await stream.receive_some()
        began = trio.current_time()
        nursery.cancel_scope.cancel()

    assert trio.current_time() - began < 4, "close_seconds are 5"
    async with stream:
        with pytest.raises(OSError, match="all attempts to connect"):
            await connect(port)


async def serve_until(handler: Any, scope: trio.CancelScope, task_status: Any, **options: Any) -> None:
    with scope:
        await serve_tcp(handler, 0, lines, host="127.0.0.1", task_status=task_status, **options)


@asynccontextmanager
async def winding_down(handler: Any, *sent: bytes, grace_seconds: float) -> AsyncIterator[Any]:
    """Connections that have sent something to a server, which is then cancelled."""
    scope = trio.CancelScope()
    async with trio.open_nursery() as nursery:

        async def serve(task_status: Any) -> None:
            await serve_until(handler, scope, task_status, grace_seconds=grace_seconds)

        (listener,) = await nursery.start(serve)
        streams: list[trio.SocketStream] = []
        for data in sent:
            streams.append(await connect(listener.socket.getsockname()[1]))
            small_buffers(streams[-1])
            await streams[-1].send_all(data)
        await trio.testing.wait_all_tasks_blocked(0.01)
        scope.cancel()
        async with both_closed(*streams):
            with trio.fail_after(PATIENCE):
                yield streams


@pytest.mark.real_time
async def test_with_grace_a_handler_that_waits_for_input_sees_the_end() -> None:
    """Its last words still go out."""

    async def handler(pipeline: Pipeline[Any, Any]) -> None:
        async for line in pipeline:
            await pipeline.send(line + b"\n")
        await pipeline.send(b"bye\n")

    began = trio.current_time()
    async with winding_down(handler, b"x\n", b"", grace_seconds=PATIENCE) as (one, two):
        assert (b"x\nbye\n", b"bye\n") == (await read_all(one), await read_all(two))

    assert trio.current_time() - began < PATIENCE


@pytest.mark.real_time
async def test_with_grace_an_item_that_has_begun_may_be_finished() -> None:
    """The handler gets it whole, and then sees the end."""
    async with winding_down(echo, b"beg", grace_seconds=PATIENCE) as (stream,):
        await stream.send_all(b"un\nmore")
        assert b"begun\n" == await stream.receive_some()
        await stream.send_all(b" of it\n")
        await stream.send_eof()
        assert b"more of it\n" == await read_all(stream)


@pytest.mark.real_time
async def test_after_the_grace_handlers_are_cancelled() -> None:
    """One in the middle of an item, and one that does not receive."""
    cancelled = 0

    async def handler(pipeline: Pipeline[Any, Any]) -> None:
        nonlocal cancelled
        try:
            await pipeline.receive()
            await trio.sleep_forever()
        finally:
            cancelled += 1

    began = trio.current_time()
    async with winding_down(handler, b"unfinished", b"line\n", grace_seconds=0.1) as (one, two):
        assert (b"", b"") == (await read_all(one), await read_all(two))

    assert 2 == cancelled
    assert 0.1 <= trio.current_time() - began


@pytest.mark.real_time
async def test_with_grace_a_connection_that_becomes_ready_late_sees_the_end_too() -> None:
    """Its handler is called, and has nothing to wait for."""

    class OpenedByA(Lines):
        ready = False

        def process_sync(self, item: bytes, /) -> list[bytes]:
            self.ready = True
            return super().process_sync(item.removeprefix(b"a"))

    async def handler(pipeline: Pipeline[Any, Any]) -> None:
        await echo(pipeline)
        await pipeline.send(b"bye\n")

    chains: list[Passthrough] = []
    scope = trio.CancelScope()
    async with trio.open_nursery() as nursery:

        async def serve(task_status: Any) -> None:
            with scope:

                def make_chain() -> Passthrough:
                    chains.append(Passthrough(OpenedByA()))
                    return chains[-1]

                await serve_tcp(
                    handler, 0, make_chain, host="127.0.0.1", grace_seconds=PATIENCE, task_status=task_status
                )

        (listener,) = await nursery.start(serve)
        with trio.fail_after(PATIENCE):
            async with await connect(listener.socket.getsockname()[1]) as stream:
                await until(lambda: chains)
                scope.cancel()
                await trio.testing.wait_all_tasks_blocked(0.01)
                await stream.send_all(b"a")
                assert b"bye\n" == await read_all(stream)


@pytest.mark.real_time
async def test_a_handler_that_fails_when_it_is_cancelled_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Also when its error comes out in a group beside the cancellation."""

    async def handler(pipeline: Pipeline[Any, Any]) -> None:
        async def fail() -> None:
            try:
                await trio.sleep_forever()
            finally:
                raise ValueError("cleaning up")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail)
            await pipeline.receive()

    async with winding_down(handler, b"", grace_seconds=0) as (stream,):
        assert b"" == await read_all(stream)

    assert "ValueError: cleaning up" in caplog.text


@pytest.mark.real_time
async def test_the_last_words_of_a_handler_arrive_although_the_peer_goes_on_sending() -> None:
    """Seeing the end while the server winds down does not mean that the peer has ended."""
    filled = 0

    async def handler(pipeline: Pipeline[Any, Any]) -> None:
        nonlocal filled
        async for _ in pipeline:
            pass
        small_buffers(pipeline.transport)
        filled = await clog(pipeline.transport)
        full.set()
        await pipeline.send(b"bye")
        sent.set()

    full, sent = trio.Event(), trio.Event()
    async with winding_down(handler, b"x\n", grace_seconds=PATIENCE) as (stream,):
        await full.wait()
        await stream.send_all(b"unread" * 1000)
        wire = b""
        while not sent.is_set():
            wire += await stream.receive_some(1000)
            await trio.testing.wait_all_tasks_blocked()
        await stream.send_all(b"more" * 1000)
        await trio.testing.wait_all_tasks_blocked(0.01)
        wire += await read_all(stream)

    assert b"x" * filled + b"bye" == wire


# ---- the client


@pytest.mark.real_time
async def test_a_chain_that_cannot_run_is_refused_before_connecting() -> None:
    """The port is not even looked at."""
    with pytest.raises(TypeError, match="stage 1 of 1 is the class Lines"):
        await open_tcp_pipeline("127.0.0.1", 1, Lines)  # type: ignore[arg-type]


@pytest.mark.real_time
async def test_a_refused_connection() -> None:
    """OSError, and the chain can be used for the next attempt."""
    chain = lines()
    with pytest.raises(OSError, match="all attempts to connect"):
        await open_tcp_pipeline("127.0.0.1", 1, chain)
    async with serving(echo) as (port, _), await open_tcp_pipeline("127.0.0.1", port, chain) as pipeline:
        await pipeline.send(b"x\n")
        assert b"x" == await pipeline.receive()


@pytest.mark.real_time
async def test_a_chain_that_was_used_while_connecting_leaves_nothing_open() -> None:
    """The second of two attempts with one chain fails, and its connection is closed."""
    chain = lines()
    pipelines: list[Pipeline[Any, Any]] = []

    async def open_one(port: int) -> None:
        pipelines.append(await open_tcp_pipeline("127.0.0.1", port, chain))

    ended = trio.Event()

    async def handler(pipeline: Pipeline[Any, Any]) -> None:
        await echo(pipeline)
        ended.set()

    async with serving(handler) as (port, _):
        with pytest.RaisesGroup(StageInUseError):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(open_one, port)
                nursery.start_soon(open_one, port)
        await ended.wait()
        for pipeline in pipelines:
            await pipeline.aclose()
