"""A stream that comes in drops, and breaks when it is told to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import trio


@dataclass(frozen=True)
class Cut:
    """After so many bytes the stream ends, as if the sender had half-closed; what is sent on is lost.

    Args:
        after: bytes that still arrive.
    """

    after: int


@dataclass(frozen=True)
class Stall:
    """After so many bytes nothing arrives any more, and nothing fails, as with a peer that hangs.

    The write that crosses the place is still taken, as a kernel's buffer does; the next one waits.

    Args:
        after: bytes that still arrive.
    """

    after: int


@dataclass(frozen=True)
class Reset:
    """After so many bytes the connection is reset: both ends get `trio.BrokenResourceError`.

    Args:
        after: bytes that still arrive.
    """

    after: int


Fault: TypeAlias = Cut | Stall | Reset


class Line:
    """What the two ends of a connection share."""

    def __init__(self, *ends: Any) -> None:
        self.ends = ends  # trio.StapledStream of memory or lockstep streams
        self.was_reset = False
        self.closing = False  # both ends are being closed: a write that comes too late is lost, as on a network

    def reset(self) -> None:
        """Break both directions; what has arrived can still be read."""
        self.was_reset = True
        for end in self.ends:
            end.send_stream.close()  # wakes who reads at the other end, and who sends at this one


class FaultyStream(trio.abc.HalfCloseableStream):
    """One end of a connection in memory.

    Args:
        line: the connection.
        inner: this end of it.
        trickle: `receive_some` gives at most so many bytes.
        fault: what happens to the bytes that are sent here.
    """

    def __init__(self, line: Line, inner: Any, *, trickle: int | None, fault: Fault | None) -> None:
        self._line, self._inner = line, inner
        self._trickle, self._fault = trickle, fault
        self._sent = 0
        self._cut = False
        self._closed = trio.Event()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send as far as the fault allows.

        Raises:
            trio.BrokenResourceError: behind a `Cut` or a `Reset`.
        """
        await self._wait_if_stalled()
        room = len(data) if self._fault is None else max(0, self._fault.after - self._sent)
        self._sent += min(room, len(data))
        with self._errors_of_the_line():
            await self._inner.send_all(memoryview(data)[:room])
            if len(data) > room:
                self._fail()

    def _fail(self) -> None:
        """The bytes came to the fault's place."""
        match self._fault:
            case Stall():
                return
            case Reset():
                self._line.reset()
            case _:
                self._cut = True
                self._inner.send_stream.close()
        raise trio.ClosedResourceError

    async def _wait_if_stalled(self) -> None:
        if isinstance(self._fault, Stall) and self._sent >= self._fault.after:
            await self._closed.wait()
            raise trio.ClosedResourceError("this stream was closed while it was stalled")

    @contextmanager
    def _errors_of_the_line(self) -> Iterator[None]:
        """What fails because of a fault is broken, not closed: only `aclose()` closes."""
        try:
            yield
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            faulty = self._cut or self._line.was_reset
            if self._line.closing and not faulty and isinstance(error, trio.BrokenResourceError):
                return
            if self._closed.is_set() or not faulty:
                raise
            how = "cut" if self._cut else "reset"
            raise trio.BrokenResourceError(f"the connection was {how}") from error

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until a write might be taken."""
        await self._wait_if_stalled()
        with self._errors_of_the_line():
            await self._inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Receive at most `max_bytes`, and no more than the trickle gives.

        Raises:
            trio.BrokenResourceError: the connection was reset, and all that had arrived was received.
        """
        limits = [limit for limit in (max_bytes, self._trickle) if limit is not None]
        data: bytes | bytearray = await self._inner.receive_some(min(limits, default=None))
        if not data and self._line.was_reset:
            raise trio.BrokenResourceError("the connection was reset")
        return data

    async def send_eof(self) -> None:
        """End this direction."""
        with self._errors_of_the_line():
            await self._inner.send_eof()

    async def aclose(self) -> None:
        """Close this end."""
        self._closed.set()
        await self._inner.aclose()
