"""What the log of a server says of a connection that failed: one line where it was the peer, else a traceback."""

from __future__ import annotations

import logging
import re
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import trio

from pipeline import (
    FrameError,
    Inbound,
    IncompleteFrameError,
    Passthrough,
    Pipeline,
    StreamRules,
    Substream,
    open_streams,
)
from stages import LineFramer
from tests.pipeline.servers import connect, echo, serving
from tests.pipeline.wires import read_all, tls_contexts


def reset(stream: trio.SocketStream) -> None:
    """Vanish, as a machine does that was switched off and on."""
    stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.socket.close()


async def both_ways(pipeline: Pipeline[Any, Any]) -> None:
    """A task for each direction."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(echo, pipeline)
        await trio.sleep_forever()


async def twice(pipeline: Pipeline[Any, Any]) -> None:
    """Tries again after an error."""
    with suppress(trio.BrokenResourceError, FrameError):
        await echo(pipeline)
    await echo(pipeline)


@pytest.mark.real_time
@pytest.mark.parametrize("handler", [echo, both_ways, twice])
async def test_a_peer_that_resets_is_one_line_of_the_log(
    handler: Callable[[Pipeline[Any, Any]], Any], caplog: pytest.LogCaptureFixture
) -> None:
    """With its address and the reason; the traceback is for those who debug."""
    caplog.set_level(logging.DEBUG, "pipeline.serve")
    async with serving(handler) as (port, _):
        stream = await connect(port)
        peer = stream.socket.getsockname()
        await stream.send_all(b"one\n")
        assert b"one\n" == await stream.receive_some()
        reset(stream)
        while len(caplog.records) < 2:
            await trio.lowlevel.checkpoint()

    line, details = caplog.records
    assert (logging.WARNING, None) == (line.levelno, line.exc_info)
    assert line.getMessage().startswith(f"the connection from {peer} broke off: ")
    assert "Connection reset by peer" in line.getMessage()
    assert logging.DEBUG == details.levelno
    assert details.exc_info is not None


@pytest.mark.real_time
async def test_a_peer_that_does_not_read_is_one_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """When its connection was closed and what was sent did not get out."""
    block = b"x" * 20_000_000 + b"\n"

    async def send(pipeline: Pipeline[Any, Any]) -> None:
        pipeline._close_seconds = 0.05
        with trio.move_on_after(0.05):
            await pipeline.send(block)

    async with serving(send) as (port, _), await connect(port):
        while not caplog.records:
            await trio.lowlevel.checkpoint()

    (line,) = caplog.records
    assert (logging.WARNING, None) == (line.levelno, line.exc_info)
    assert re.search(r" broke off: closed after 0.05 seconds with \d+ bytes unwritten", line.getMessage())


@pytest.mark.real_time
async def test_a_peer_that_leaves_in_mid_frame_is_one_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """In the framer's words."""
    async with serving(echo, LineFramer) as (port, _), await connect(port) as stream:
        await stream.send_all(b"hel")
        await stream.send_eof()
        assert b"" == await read_all(stream)

    (line,) = caplog.records
    assert (logging.WARNING, None) == (line.levelno, line.exc_info)
    assert line.getMessage().endswith(
        " broke off: LineFramer: the stream ended 3 bytes into a line, before its ending. To take it as a line: "
        "at_eof='emit'"
    )


@pytest.mark.real_time
async def test_a_tls_handshake_that_never_comes(caplog: pytest.LogCaptureFixture) -> None:
    """It counts as not ready."""
    async with (
        serving(echo, ssl_context=tls_contexts()[1], ready_seconds=0.05) as (port, _),
        await connect(port) as stream,
    ):
        assert b"" == await read_all(stream)

    assert "not ready within 0.05 seconds" in caplog.text


async def line_of_the_log(sent: bytes, caplog: pytest.LogCaptureFixture, **server: Any) -> logging.LogRecord:
    """What is logged of a connection over which this is sent; at DEBUG there is a traceback behind it."""
    caplog.set_level(logging.DEBUG, "pipeline.serve")
    async with serving(**server) as (port, _):
        async with await connect(port) as stream:
            with suppress(trio.BrokenResourceError):  # the server may have been faster
                await stream.send_all(sent)
                await stream.send_eof()
                await read_all(stream)
        while not caplog.records:
            await trio.lowlevel.checkpoint()
    if caplog.records[0].levelno == logging.WARNING:
        line, details = caplog.records
        assert None is line.exc_info
        assert (logging.DEBUG, True) == (details.levelno, details.exc_info is not None)
        return line
    (line,) = caplog.records
    return line


@pytest.mark.real_time
@pytest.mark.parametrize("handler", [echo, both_ways, twice])
async def test_what_a_peer_sends_wrong_is_one_line_of_the_log(
    handler: Callable[[Pipeline[Any, Any]], Any], caplog: pytest.LogCaptureFixture
) -> None:
    """It names the stage, its limit and both numbers."""
    line = await line_of_the_log(b"too long\n", caplog, handler=handler, make_chain=lambda: LineFramer(max_bytes=5))
    assert re.search(
        r"^the connection from .* was closed for what came over it: FrameTooLongError in LineFramer.inbound: "
        r"LineFramer: a line of at least \d bytes is over the limit, max_bytes=5",
        line.getMessage(),
    )


@pytest.mark.real_time
async def test_a_stream_that_the_peer_gives_up_is_one_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Where nobody catches it, in a task of its own or elsewhere, it ends the connection."""
    rules = StreamRules(
        key=lambda line: line[:1],
        opens=lambda line: True,
        error=lambda line: ConnectionAbortedError("of no use any more") if line[1:] == b"gone" else None,
    )

    async def each(pipeline: Pipeline[Any, Any]) -> None:
        async with open_streams(pipeline, rules=rules) as streams, trio.open_nursery() as nursery:
            async for stream in streams:
                nursery.start_soon(read, stream)

    async def read(stream: Substream[bytes, bytes]) -> None:
        async for line in stream:
            await stream.send(line)

    async with serving(each, LineFramer) as (port, _):
        async with await connect(port) as client:
            await client.send_all(b"1one\n")
            assert b"1one\n" == await client.receive_some()
            await client.send_all(b"1gone\n")
            assert b"" == await read_all(client)
        while not caplog.records:
            await trio.lowlevel.checkpoint()
    (line,) = caplog.records
    assert (logging.WARNING, None) == (line.levelno, line.exc_info)
    assert re.search(
        r" was closed: the peer has given this stream up: ConnectionAbortedError\('of no use any more'\)$",
        line.getMessage(),
    )


class Picky(Inbound[bytes, bytes]):
    """Takes no X."""

    def process_sync(self, item: bytes, /) -> list[bytes]:
        if b"X" in item:
            raise ValueError(f"of {item!r}\n{'y' * 1000}")
        return [item]


class Declared(Picky):
    peer_errors = (ValueError,)


class Handshake(Declared):
    ready = False


class PickyHandshake(Picky):
    ready = False


@pytest.mark.real_time
@pytest.mark.parametrize("stage", [Declared, Handshake])
async def test_a_stage_says_which_of_its_errors_are_the_peers(
    stage: type[Picky], caplog: pytest.LogCaptureFixture
) -> None:
    """A peer cannot write lines of its own, nor long ones; also not before the handler is called."""
    line = await line_of_the_log(b"X\n", caplog, handler=echo, make_chain=lambda: Passthrough(stage()))
    _, text = line.getMessage().split(" was closed for what came over it: ")
    assert text.startswith(rf"ValueError in {stage.__name__}: of b'X\n'\nyyy")
    assert text.endswith("yyy...")
    assert len(line.getMessage()) < 550


async def send_two_lines(pipeline: Pipeline[Any, Any]) -> None:
    await pipeline.send(b"one\ntwo")


@pytest.mark.real_time
@pytest.mark.parametrize(
    ("handler", "make_chain", "kind"),
    [
        (echo, lambda: Passthrough(Picky()), ValueError),
        (echo, lambda: Passthrough(PickyHandshake()), ValueError),
        (echo, lambda: Picky() | Passthrough(Declared()), ValueError),
        (send_two_lines, LineFramer, FrameError),
    ],
)
async def test_an_error_that_is_nobodys_but_ones_own_keeps_its_traceback(
    handler: Callable[[Pipeline[Any, Any]], Any],
    make_chain: Callable[[], Any],
    kind: type[Exception],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Of a stage that says nothing, whatever another one says; and of what is sent."""
    line = await line_of_the_log(b"X", caplog, handler=handler, make_chain=make_chain)
    assert logging.ERROR == line.levelno
    assert line.exc_info is not None
    assert isinstance(line.exc_info[1], kind)


@pytest.mark.real_time
@pytest.mark.parametrize("error", [trio.BrokenResourceError(), IncompleteFrameError("half", leftover=b"h")], ids=repr)
async def test_another_connection_of_a_handler_that_breaks_keeps_its_traceback(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """It is not this peer's, and perhaps a mistake."""

    async def proxy(pipeline: Pipeline[Any, Any]) -> None:
        raise error

    async with serving(proxy) as (port, _), await connect(port) as stream:
        assert b"" == await read_all(stream)

    (record,) = caplog.records
    assert logging.ERROR == record.levelno
    assert record.exc_info is not None
    assert error is record.exc_info[1]
