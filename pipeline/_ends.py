"""The ends of a transport, to read from and to write to, by what trio's streams and channels have.

Rules for this file: nobody here knows of chains. A read that is cancelled has read nothing (P11). What a cancelled
write left behind is counted where it can be, and never guessed at (P10).

What reads has `read()`: what comes next, or END; of a socket perhaps NOTHING, and then it is to be asked again. What
writes has `write(data, wrote)`, which calls `wrote` with how much went out as it goes, and so does `write_some` with
what there is room for, once `has_room()` said so or `wait_room()` returned. What is under an end is its `resource`.
"""

from __future__ import annotations

import select
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeAlias

import trio

from ._errors import HalfCloseError
from ._flow import Mark
from ._stage import END

NOTHING: Final = Mark.NOTHING
"""What a read gives that is to be made again."""

PIECE_BYTES: Final = 4096
"""A stream which says that it has room takes so much without waiting, a pipe too."""

CUT_SECONDS: Final = 1
"""A write that is cancelled although there was room is given so long to end."""

Wrote: TypeAlias = "Callable[[int], None]"
"""Told how much of what is to be written went out."""


# ---- streams


class StreamReader:
    """Reads chunks; an empty one is the end."""

    __slots__ = ("resource",)

    def __init__(self, stream: trio.abc.ReceiveStream) -> None:
        self.resource = stream

    async def read(self) -> Any:
        try:
            return await self.resource.receive_some() or END
        except trio.BrokenResourceError as error:
            say_why(error)
            raise


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
        return None if fd is None else poll_for_writing(fd)()

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
                        say_why(error)
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
            say_why(error)
            raise
        wrote(len(data))

    async def send_eof(self) -> None:
        await _send_eof(self.resource, can_end=self.can_end)


async def _hurry_when_cancelled(scope: trio.CancelScope) -> None:
    try:
        await trio.sleep_forever()
    finally:
        scope.deadline = trio.current_time() + CUT_SECONDS


# ---- channels


class ChannelReader:
    """Reads items; any object is one."""

    def __init__(self, channel: trio.abc.ReceiveChannel[Any]) -> None:
        self.resource = channel

    async def read(self) -> Any:
        try:
            return await self.resource.receive()
        except trio.EndOfChannel:
            return END


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


# ---- what both need


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


def say_why(error: Exception) -> None:
    """`trio.SSLStream` raises its error without a word; the reason is the cause only, which many loggers leave out."""
    if isinstance(error.__cause__, ssl.SSLError) and not error.args:
        error.args = (f"TLS failed: {error.__cause__}",)


# ---- what is under them


def innermost(stream: Any) -> Any:
    """What is found under trio's wrappers."""
    for wrapped in ("transport_stream", "send_stream"):
        if hasattr(stream, wrapped):
            return innermost(getattr(stream, wrapped))
    return stream


def _fileno(stream: Any) -> int | None:
    """The file descriptor under a stream, if one can be found."""
    stream = innermost(stream)
    stream = getattr(stream, "socket", stream)
    with suppress(AttributeError, OSError, trio.ClosedResourceError):
        fd = stream.fileno()
        return fd if isinstance(fd, int) and fd >= 0 else None
    return None


def poll_for_writing(fd: int) -> Callable[[], bool]:
    """A function which tells whether the descriptor can be written to now; a closed one can."""
    if fd < 0:
        return lambda: True
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(fd, select.POLLOUT)
        return lambda: bool(poll.poll(0))
    return lambda: bool(select.select([], [fd], [], 0)[1])  # pragma: no cover - Windows has no poll
