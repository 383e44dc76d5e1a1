"""The ends of a socket: by the system's own calls where it has them, and nothing is lost however they are cut short.

Rules for this file: what is sent is counted, so a cancelled write can be continued (P10). Who waits can be told to look
again without being cancelled: `interrupts` is counted up, and trio told that the socket closes, which it does not.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from typing import Any, Final

import trio

from ._ends import NOTHING, StreamReader, Wrote, poll_for_writing
from ._stage import END

WAITS: Final = 10
"""So many reads wait for their input at once after one that had to."""

READ_BYTES: Final = 65536
"""So much is asked of a socket at once."""

SOCKETS_ARE_FILES: Final = sys.platform != "win32"
"""Whether `os.read` and `os.write` take sockets."""

_CLOSED: Final = "this socket was already closed"


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
            self._poll = poll_for_writing(self.socket.fileno())
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


def _open_fileno(socket: trio.socket.SocketType) -> int:
    fd = socket.fileno()
    if fd < 0:
        raise trio.ClosedResourceError(_CLOSED)
    return fd


def _as_trio_error(error: OSError) -> Exception:
    if error.errno in (errno.EBADF, errno.ENOTSOCK):
        return trio.ClosedResourceError(_CLOSED)
    return trio.BrokenResourceError(f"socket connection broken: {error}")
