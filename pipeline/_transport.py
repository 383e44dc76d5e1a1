"""The wire end: what is asked of a transport, and each kind of it made to answer.

Rules for this file: one end reads, one end writes, and nobody here knows of chains. A read that is
cancelled has read nothing (P11). What a cancelled write left behind is counted where it can be, and
never guessed at (P10).
"""

from __future__ import annotations

import errno
import inspect
import os
import select
import ssl
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeAlias

import trio

from ._chain import Duplex, Inbound, Outbound, Passthrough
from ._errors import HalfCloseError, PipelineError
from ._flow import Mark
from ._stage import END

Transport: TypeAlias = (
    trio.abc.SendStream
    | trio.abc.ReceiveStream
    | trio.abc.SendChannel[Any]
    | trio.abc.ReceiveChannel[Any]
    | tuple[trio.abc.ReceiveStream, trio.abc.SendStream]
    | tuple[trio.abc.ReceiveChannel[Any], trio.abc.SendChannel[Any]]
)
"""A stream, a channel, one half of either, or two halves: (the one to receive from, the one to send to)."""

NOTHING: Final = Mark.NOTHING

PIECE_BYTES: Final = 4096
"""A stream which says that it has room takes so much without waiting, a pipe too."""

CUT_SECONDS: Final = 1
"""A write that is cancelled although there was room is given so long to end."""

WAITS: Final = 10
"""So many reads wait for their input at once after one that had to."""

READ_BYTES: Final = 65536
"""So much is asked of a socket at once."""

SOCKETS_ARE_FILES: Final = sys.platform != "win32"
"""Whether `os.read` and `os.write` take sockets."""

_CLOSED: Final = "this socket was already closed"

Wrote: TypeAlias = "Callable[[int], None]"


class StreamReader:
    """Reads chunks; an empty one is the end."""

    __slots__ = ("resource",)

    def __init__(self, stream: trio.abc.ReceiveStream) -> None:
        self.resource = stream

    async def read(self) -> Any:
        try:
            return await self.resource.receive_some() or END
        except trio.BrokenResourceError as error:
            _say_why(error)
            raise


class SocketReader(StreamReader):
    """Reads from a socket; a wait can be interrupted without a cancel scope, which costs a third of a read."""

    __slots__ = ("closing", "interrupts", "socket")

    def __init__(self, stream: trio.SocketStream) -> None:
        super().__init__(stream)
        self.socket = stream.socket
        self.interrupts = 0
        self.closing = False

    async def read(self) -> Any:
        interrupts = self.interrupts
        try:
            return await self.resource.receive_some() or END
        except trio.ClosedResourceError:
            if interrupts == self.interrupts or self.socket.fileno() < 0:
                raise
            return NOTHING


class DirectReader(SocketReader):
    """The same as with `trio.SocketStream.receive_some`, checkpoints and all, but for what is between: 3 µs a read.

    It looks whether there is something before it waits, after its checkpoint, as long as that is mostly so: to look in
    vain costs 1 µs more than to wait, else it costs half.
    """

    __slots__ = ("_waits",)

    def __init__(self, stream: trio.SocketStream) -> None:
        super().__init__(stream)
        self._waits = 0  # so many reads are to wait first

    async def read(self) -> Any:
        interrupts = self.interrupts
        if self._waits:
            self._waits -= 1
        else:
            await trio.lowlevel.checkpoint()
            data = self._read_now()
            if data is not None:
                return data or END
            self._waits = WAITS
            if interrupts != self.interrupts:
                return NOTHING
        try:
            while True:  # more than once after a false alarm, or where somebody else was faster
                await trio.lowlevel.wait_readable(_open_fileno(self.socket))
                data = self._read_now()
                if data is not None:
                    return data or END
        except trio.ClosedResourceError:
            if interrupts == self.interrupts or self.socket.fileno() < 0:
                raise
            return NOTHING

    def _read_now(self) -> bytes | None:
        try:
            return os.read(self.socket.fileno(), READ_BYTES)
        except BlockingIOError:
            return None
        except OSError as error:
            raise _as_trio_error(error) from error


class ChannelReader:
    """Reads items; any object is one."""

    def __init__(self, channel: trio.abc.ReceiveChannel[Any]) -> None:
        self.resource = channel

    async def read(self) -> Any:
        try:
            return await self.resource.receive()
        except trio.EndOfChannel:
            return END


class StreamWriter:
    """Writes to a stream which cannot say how much of a cancelled `send_all` it sent."""

    takes_bytes = True
    counts = False

    def __init__(self, stream: trio.abc.SendStream, *, own: bool) -> None:
        self.resource = stream
        self.can_end = own or hasattr(stream, "send_eof")

    def has_room(self) -> bool | None:
        """Whether `write_some` would not wait, or None: unknown."""
        fd = _fileno(self.resource)
        return None if fd is None else _poll_for_writing(fd)()

    async def wait_room(self) -> None:
        await self.resource.wait_send_all_might_not_block()

    async def write_some(self, data: Any, wrote: Wrote) -> None:
        """Write a piece for which there is room, so that a cancellation in the middle can wait for its end.

        Raises:
            trio.BrokenResourceError: it was cancelled and had no end within CUT_SECONDS.
        """
        piece = data[:PIECE_BYTES]
        failed: Exception | None = None
        try:
            async with trio.open_nursery() as nursery:
                with trio.CancelScope(shield=True) as scope:
                    nursery.start_soon(_hurry_when_cancelled, scope)
                    try:
                        await self.resource.send_all(piece)
                        wrote(len(piece))
                    except Exception as error:
                        _say_why(error)
                        failed = error
                if scope.cancelled_caught:
                    failed = trio.BrokenResourceError("a write was cancelled, and how much of it went out is unknown")
                nursery.cancel_scope.cancel()
        finally:
            if failed is not None:  # it counts more than the cancellation, which shows again at the next checkpoint
                raise failed

    async def write(self, data: Any, wrote: Wrote) -> None:
        try:
            await self.resource.send_all(data)
        except trio.BrokenResourceError as error:
            _say_why(error)
            raise
        wrote(len(data))

    async def send_eof(self) -> None:
        await _send_eof(self.resource, can_end=self.can_end)


class SocketWriter:
    """Writes to a socket and counts what it took, so that a cancelled write can be continued."""

    __slots__ = ("_poll", "closing", "interrupts", "resource", "socket")

    takes_bytes = True
    counts = True
    can_end = True

    def __init__(self, stream: trio.SocketStream) -> None:
        self.resource = stream
        self.socket = stream.socket
        self.interrupts = 0
        self.closing = False
        self._poll: Callable[[], bool] | None = None

    def has_room(self) -> bool | None:
        """Whether `write_some` would not wait; a closed socket would not."""
        if self._poll is None:
            self._poll = _poll_for_writing(self.socket.fileno())
        return self._poll()

    async def wait_room(self) -> None:
        while True:
            interrupts = self.interrupts
            try:
                await self.resource.wait_send_all_might_not_block()
            except trio.ClosedResourceError:
                if self.closing or interrupts == self.interrupts or self.socket.fileno() < 0:
                    raise
            else:
                return

    async def send_some(self, data: bytes | memoryview) -> int:
        """Send as much as the socket takes, and wait only if it takes nothing."""
        while True:
            interrupts = self.interrupts
            try:
                return await self._send(data)
            except trio.ClosedResourceError:
                if self.closing or interrupts == self.interrupts or self.socket.fileno() < 0:
                    raise
            except OSError as error:
                raise _as_trio_error(error) from error

    async def _send(self, data: bytes | memoryview) -> int:
        return await self.socket.send(data)

    def send_now(self, data: bytes | memoryview) -> int:
        """Send as much as the socket takes without waiting, and without a checkpoint."""
        return 0

    async def write_some(self, data: Any, wrote: Wrote) -> None:
        wrote(await self.send_some(data))

    async def write(self, data: Any, wrote: Wrote) -> None:
        view = memoryview(data)
        while view:
            sent = await self.send_some(view)
            wrote(sent)
            view = view[sent:]

    async def send_eof(self) -> None:
        await self.resource.send_eof()


class DirectWriter(SocketWriter):
    """The same as trio's `socket.send`, checkpoints and all, but for the layers in between: 2 µs a write."""

    __slots__ = ()

    async def _send(self, data: bytes | memoryview) -> int:
        await trio.lowlevel.checkpoint_if_cancelled()
        sent = self.send_now(data)
        if sent:
            await trio.lowlevel.cancel_shielded_checkpoint()
            return sent
        while not sent:
            await trio.lowlevel.wait_writable(self.socket)
            sent = self.send_now(data)
        return sent

    def send_now(self, data: bytes | memoryview) -> int:
        try:
            return os.write(self.socket.fileno(), data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise _as_trio_error(error) from error


class ChannelWriter:
    """Writes items, one send each; a send that is cancelled was not made, unless a pipeline says otherwise."""

    takes_bytes = False
    counts = True

    def __init__(self, channel: trio.abc.SendChannel[Any], *, own: bool) -> None:
        self.resource = channel
        self.can_end = own or hasattr(channel, "send_eof")

    def has_room(self) -> bool | None:
        """Unknown."""
        return None

    async def wait_room(self) -> None:
        await trio.lowlevel.checkpoint()

    async def write_some(self, items: Any, wrote: Wrote) -> None:
        try:
            await self.resource.send(items[0])
        except BaseException:
            if getattr(self.resource, "cut_send_goes_out", False):
                wrote(1)
            raise
        wrote(1)

    async def write(self, items: Any, wrote: Wrote) -> None:
        for item in items:
            await self.write_some([item], wrote)

    async def send_eof(self) -> None:
        await _send_eof(self.resource, can_end=self.can_end)


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
                    _say_why(error)
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


async def _hurry_when_cancelled(scope: trio.CancelScope) -> None:
    try:
        await trio.sleep_forever()
    finally:
        scope.deadline = trio.current_time() + CUT_SECONDS


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


async def _send_eof(resource: Any, *, can_end: bool) -> None:
    """End one direction: by `send_eof` where there is one, by closing where the sending end is an object of its own."""
    if hasattr(resource, "send_eof"):
        await resource.send_eof()
    elif can_end:
        await resource.aclose()
    else:
        raise HalfCloseError(
            f"{type(resource).__name__} cannot end one direction alone; it is still open, and what was sent is "
            f"written. Close it with aclose(), or use a transport with send_eof()"
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
    stream = None if writer is None else _innermost(writer.resource)
    with suppress(OSError):  # it is closed, or there are no descriptors left
        return stream.socket.dup() if isinstance(stream, trio.SocketStream) else None
    return None


async def _discard_input(socket: trio.socket.SocketType) -> None:
    with suppress(OSError):
        socket.shutdown(trio.socket.SHUT_WR)
        while await socket.recv(65536):
            pass


def _innermost(stream: Any) -> Any:
    """What is found under trio's wrappers."""
    for wrapped in ("transport_stream", "send_stream"):
        if hasattr(stream, wrapped):
            return _innermost(getattr(stream, wrapped))
    return stream


def _fileno(stream: Any) -> int | None:
    """The file descriptor under a stream, if one can be found."""
    stream = _innermost(stream)
    stream = getattr(stream, "socket", stream)
    with suppress(AttributeError, OSError, trio.ClosedResourceError):
        fd = stream.fileno()
        return fd if isinstance(fd, int) and fd >= 0 else None
    return None


def _poll_for_writing(fd: int) -> Callable[[], bool]:
    """A function which tells whether the descriptor can be written to now; a closed one can."""
    if fd < 0:
        return lambda: True
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(fd, select.POLLOUT)
        return lambda: bool(poll.poll(0))
    return lambda: bool(select.select([], [fd], [], 0)[1])  # pragma: no cover - Windows has no poll


def _say_why(error: Exception) -> None:
    """`trio.SSLStream` raises its error without a word; the reason is the cause only, which many loggers leave out."""
    if isinstance(error.__cause__, ssl.SSLError) and not error.args:
        error.args = (f"TLS failed: {error.__cause__}",)


def _open_fileno(socket: trio.socket.SocketType) -> int:
    fd = socket.fileno()
    if fd < 0:
        raise trio.ClosedResourceError(_CLOSED)
    return fd


def _as_trio_error(error: OSError) -> Exception:
    if error.errno in (errno.EBADF, errno.ENOTSOCK):
        return trio.ClosedResourceError(_CLOSED)
    return trio.BrokenResourceError(f"socket connection broken: {error}")
