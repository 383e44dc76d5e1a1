"""The wire end: each kind of transport as one thing with an end to read from and an end to write to.

Rules for this file: nobody here knows of chains. How the ends read and write is told in `_ends` and `_socketends`.
"""

from __future__ import annotations

import inspect
from contextlib import suppress
from typing import Any, TypeAlias

import trio

from ._chain import Duplex, Inbound, Outbound, Passthrough
from ._ends import ChannelReader, ChannelWriter, StreamReader, StreamWriter, innermost, say_why
from ._errors import PipelineError
from ._socketends import SOCKETS_ARE_FILES, DirectReader, DirectWriter, SocketReader, SocketWriter

Transport: TypeAlias = (
    trio.abc.SendStream
    | trio.abc.ReceiveStream
    | trio.abc.SendChannel[Any]
    | trio.abc.ReceiveChannel[Any]
    | tuple[trio.abc.ReceiveStream, trio.abc.SendStream]
    | tuple[trio.abc.ReceiveChannel[Any], trio.abc.SendChannel[Any]]
)
"""A stream, a channel, one half of either, or two halves: (the one to receive from, the one to send to)."""


class Wire:
    """A transport as a pipeline sees it: an end to read from, an end to write to, either may be missing.

    Raises:
        TypeError: `transport` is none of the kinds that trio has; the message names them.
    """

    __slots__ = ("can_interrupt", "counts", "reader", "takes_bytes", "writer")

    def __init__(self, transport: Transport) -> None:
        source, sink = transport if isinstance(transport, tuple) and len(transport) == 2 else (transport, transport)
        self.reader = _reader(source)
        self.writer = _writer(sink, own=source is not sink)
        if (self.reader is None and self.writer is None) or (
            source is not sink and (self.reader is None or self.writer is None)
        ):
            raise TypeError(_no_transport(transport))
        self.takes_bytes = self.writer.takes_bytes if self.writer else isinstance(self.reader, StreamReader)
        self.counts = self.writer is not None and self.writer.counts
        self.can_interrupt = isinstance(self.reader, SocketReader)

    @property
    def can_half_close(self) -> bool:
        """Whether outbound can end while inbound goes on."""
        return self.writer is not None and self.writer.can_end

    def interrupt(self, *, closing: bool = False) -> None:
        """Let whoever waits for a socket look again: a read gives NOTHING, a write goes on, unless it is closing."""
        for end in (self.reader, self.writer):
            if isinstance(end, SocketReader | SocketWriter) and end.socket.fileno() >= 0:
                end.interrupts += 1
                end.closing = closing
                trio.lowlevel.notify_closing(end.socket)

    async def enter(self) -> None:
        """Do the handshake that the transport itself has."""
        for resource in self._resources()[:1]:
            if isinstance(resource, trio.SSLStream):
                try:
                    await resource.do_handshake()
                except trio.BrokenResourceError as error:
                    say_why(error)
                    raise

    def _resources(self) -> list[Any]:
        return [end.resource for end in (self.writer, self.reader) if end is not None]

    async def aclose(self, *, graceful: bool, linger: bool) -> None:
        """Close both ends, whatever happens in the first.

        Args:
            graceful: whether it may look to the peer as if all had been said.
            linger: whether to wait until the peer has closed: a socket closed with unread input would
                destroy what the peer has not read yet.
        """
        handle = _second_handle(self.writer) if linger else None
        try:
            first, *others = self._resources()
            try:
                await _close(first, graceful=graceful)
            finally:
                for other in others:
                    if other is not first:
                        await _close(other, graceful=graceful)
            if handle is not None:
                await _discard_input(handle)
        finally:
            if handle is not None:
                handle.close()


def _reader(source: object) -> StreamReader | ChannelReader | None:
    if isinstance(source, trio.SocketStream):
        return (DirectReader if SOCKETS_ARE_FILES else SocketReader)(source)
    if isinstance(source, trio.abc.ReceiveStream):
        return StreamReader(source)
    return ChannelReader(source) if isinstance(source, trio.abc.ReceiveChannel) else None


def _writer(sink: object, *, own: bool) -> SocketWriter | StreamWriter | ChannelWriter | None:
    own = own or not isinstance(sink, trio.abc.ReceiveStream | trio.abc.ReceiveChannel)
    if isinstance(sink, trio.SocketStream):
        return (DirectWriter if SOCKETS_ARE_FILES else SocketWriter)(sink)
    if isinstance(sink, trio.abc.SendStream):
        return StreamWriter(sink, own=own)
    return ChannelWriter(sink, own=own) if isinstance(sink, trio.abc.SendChannel) else None


def _no_transport(given: object) -> str:
    if inspect.iscoroutine(given):
        given.close()  # it is reported here; Python need not warn that nobody awaited it
        return f"{given.__qualname__}() was not awaited: write Pipeline(await {given.__qualname__}(...), chain)"
    if isinstance(given, Inbound | Outbound | Duplex | Passthrough):
        return f"{given!r} is a chain, and the transport comes first: write Pipeline(stream, {given!r})"
    return (
        f"{given!r} is no transport: give a trio stream (of a socket: trio.SocketStream(socket)) or channel, "
        f"one half of one, or two halves as (receive_half, send_half)"
    )


async def _close(resource: trio.abc.AsyncResource, *, graceful: bool) -> None:
    if graceful:
        await resource.aclose()
    elif isinstance(resource, trio.SSLStream):
        await trio.aclose_forcefully(resource)  # without its close notify
    else:  # what is itself a pipeline closes in the same way as the one on it
        await resource.__aexit__(PipelineError, PipelineError("the pipeline on this transport failed"), None)


def _second_handle(writer: Any) -> trio.socket.SocketType | None:
    """The socket of a transport once more, so that it can be read to its end after the transport was closed."""
    stream = None if writer is None else innermost(writer.resource)
    with suppress(OSError):  # it is closed, or there are no descriptors left
        return stream.socket.dup() if isinstance(stream, trio.SocketStream) else None
    return None


async def _discard_input(socket: trio.socket.SocketType) -> None:
    with suppress(OSError):
        socket.shutdown(trio.socket.SHUT_WR)
        while await socket.recv(65536):
            pass
