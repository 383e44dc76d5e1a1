"""The halves of `SOCKS`, as client and as server: during the handshake and behind it, when bytes pass as they are.

What is said in a handshake is `_socks_handshake.py`'s; here is when: what is read, sent, asked and given back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pipeline import END, Inbound, Outbound, Reply, Result, StageTimeoutError

from .._bytes import BytesLike, as_bytes
from ._socks_handshake import SOCKSError, SOCKSReply

__all__ = ["ClientInbound", "ClientOutbound", "ServerInbound", "ServerOutbound"]


class ClientInbound(Inbound[BytesLike, Any]):
    """The inbound half of a client."""

    name = "SOCKS.inbound"
    peer_errors = (SOCKSError,)

    def __init__(self, handshake: Any, seconds: float | None) -> None:
        self._handshake, self._seconds = handshake, seconds
        self._due: float | None = None

    @property
    def ready(self) -> bool:
        """Whether what is sent reaches the other end."""
        return bool(self._handshake.over)

    @property
    def holds(self) -> int:
        """Bytes of an unfinished handshake, or behind one."""
        held: int = self._handshake.holds
        return held

    @property
    def deadline(self) -> float | None:
        """When the peer's part of the handshake is to be over."""
        waits = self._handshake.wants == "read" and self._handshake.failure is None
        return self._due if waits else None

    async def start(self) -> Result[Any]:
        """Begin."""
        if self._seconds is not None:
            self._due = self.now() + self._seconds
        return self._replies()

    async def on_timer(self, now: float, /) -> Result[Any]:
        """Fail: it took too long."""
        self._handshake.failure = StageTimeoutError(
            f"SOCKS: the {self._handshake.peer} has not done its part of the handshake after {self._seconds:g} "
            f"seconds. Raise handshake_seconds if it is right to be so slow"
        )
        raise self._handshake.failure

    def process_sync(self, data: BytesLike, /) -> Result[Any]:
        """Go on with the handshake; behind it, give the bytes."""
        if type(data) is not bytes:
            data = as_bytes("SOCKS", data)
        if self._handshake.over:
            return [data]
        self._handshake.check()
        if not data:
            return ()
        try:
            self._handshake.feed(data)
        except SOCKSError as error:
            return self._failing(error)
        return [*self._replies(), *self._news()]

    async def finish(self) -> Result[Any]:
        """End of the stream: not inside the handshake."""
        handshake = self._handshake
        handshake.check()
        if handshake.over or handshake.ended or not handshake.begun:
            return ()
        raise handshake.fail(None)

    def unread(self, outputs: Iterable[Any], /) -> Iterable[bytes] | None:
        """Give back what came behind the handshake; a part of one cannot be."""
        outputs = list(outputs)
        if self._handshake.over:
            return [*outputs, *self._handshake.take_rest()]
        return None if outputs or self._handshake.begun else []

    def close(self) -> None:
        """Let go of siosocks."""
        self._handshake.close()

    def _news(self) -> list[Any]:
        rest: list[Any] = self._handshake.take_rest() if self._handshake.over else []
        return rest

    def _replies(self) -> list[Any]:
        written = self._handshake.take_written()
        return [Reply(written)] if written else []

    def _failing(self, error: SOCKSError) -> Iterator[Any]:
        yield from self._replies()
        raise error


class ServerInbound(ClientInbound):
    """The inbound half of a server."""

    name = "SOCKS.inbound"
    _gave_end = False

    @property
    def ready(self) -> bool:
        """Whether what is sent may come: it is the answer that the peer waits for."""
        return True

    @property
    def wants_input(self) -> bool:
        """Not between the question and its answer."""
        return not self._handshake.asks

    def poll(self) -> Result[Any]:
        """Behind the answer, give what came already, or the end."""
        if self._handshake.ended and not self._gave_end:
            self._gave_end = True
            return [END]
        return super()._news()

    def _news(self) -> list[Any]:
        return [self._handshake.request()] if self._handshake.asks else super()._news()


class ClientOutbound(Outbound[Any, bytes]):
    """The outbound half of a client."""

    name = "SOCKS.outbound"
    holds = 0
    keeps_outbound_state = False

    def __init__(self, handshake: Any) -> None:
        self._handshake = handshake

    def process_sync(self, data: BytesLike, /) -> Result[bytes]:
        """Let the bytes pass."""
        self._handshake.check()
        if not self._handshake.over:
            raise SOCKSError("SOCKS: nothing can be sent before the handshake is over")
        return [data if type(data) is bytes else as_bytes("SOCKS", data)]


class ServerOutbound(ClientOutbound):
    """The outbound half of a server: the answer, then bytes."""

    name = "SOCKS.outbound"
    keeps_outbound_state = True

    def process_sync(self, item: BytesLike | SOCKSReply, /) -> Result[Any]:
        """Answer, or let the bytes pass."""
        if self._handshake.over:
            return super().process_sync(_bytes_only(item))
        if not isinstance(item, SOCKSReply):
            raise TypeError(
                f"SOCKS sends the answer first, and not {type(item).__name__}: SOCKSReply.GRANTED, or why not, such as "
                f"SOCKSReply.HOST_UNREACHABLE"
            )
        self._handshake.check()
        if not self._handshake.asks:
            raise SOCKSError("SOCKS: the client has not asked yet: receive the SOCKSRequest first")
        return self._answer(item)

    async def finish(self) -> Result[Any]:
        """End: who does not answer refuses."""
        return self._answer(SOCKSReply.FAILURE) if self._handshake.asks else ()

    def _answer(self, reply: SOCKSReply) -> list[Any]:
        self._handshake.answer(reply)
        return [self._handshake.take_written(), *([END] if self._handshake.ended else [])]


def _bytes_only(item: Any) -> BytesLike:
    if isinstance(item, SOCKSReply):
        raise SOCKSError(f"SOCKS: {item} was said already; from here on bytes pass")
    return as_bytes("SOCKS", item)
