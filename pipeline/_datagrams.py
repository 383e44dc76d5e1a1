"""A UDP socket as a channel, so that a pipeline can stand on it."""

from __future__ import annotations

import errno
from typing import Any, TypeAlias

import trio

Datagram: TypeAlias = "tuple[bytes, Any]"
"""The bytes, and the address they came from or go to."""


class Datagrams(trio.abc.Channel[Datagram]):
    """A UDP socket as a trio channel of (bytes, address).

    socket  ─►  receive() -> (b"...", ("127.0.0.1", 5353))

    Args:
        socket: a trio socket of the kind SOCK_DGRAM; it is closed with the channel.
        max_bytes: the longest datagram received; the system cuts longer ones.

    Raises:
        TypeError: the socket is none of trio's, or not of the kind SOCK_DGRAM.
        ValueError: `max_bytes` is less than 1.
    """

    def __init__(self, socket: trio.socket.SocketType, *, max_bytes: int = 65536) -> None:
        if not isinstance(socket, trio.socket.SocketType):
            raise TypeError(f"{socket!r} is no trio socket: give trio.socket.from_stdlib_socket(socket)")
        if socket.type != trio.socket.SOCK_DGRAM:
            raise TypeError(f"{socket!r} is not SOCK_DGRAM; for a stream socket give trio.SocketStream(socket)")
        if max_bytes < 1:
            raise ValueError(f"max_bytes is {max_bytes}; a datagram needs room: give 1 or more")
        self.socket, self._max_bytes = socket, max_bytes

    async def receive(self) -> Datagram:
        """Return the next datagram, which may be empty; the channel has no end.

        Raises:
            trio.ClosedResourceError: the channel was closed.
            trio.BrokenResourceError: the socket failed, for instance as an earlier datagram could not be delivered.

        Cancellation: nothing is lost.
        """
        with _Translated():
            data, address = await self.socket.recvfrom(self._max_bytes)
        return data, address

    async def send(self, value: Datagram) -> None:
        """Send one datagram: (bytes, address).

        Raises:
            TypeError: it is no such pair.
            trio.ClosedResourceError: the channel was closed.
            trio.BrokenResourceError: the system refused it.

        Cancellation: it was not sent.
        """
        data, address = _pair(value)
        with _Translated():
            await self.socket.sendto(data, address)

    async def aclose(self) -> None:
        """Close the socket."""
        self.socket.close()
        await trio.lowlevel.checkpoint()


def _pair(value: object) -> Datagram:
    if isinstance(value, tuple) and len(value) == 2:
        return value
    raise TypeError(
        f"Datagrams sends (bytes, address), not {type(value).__name__}. Where all go to one address, begin the chain "
        f"with Map(inbound=lambda pair: pair[0], outbound=lambda data: (data, address))"
    )


class _Translated:
    """Socket errors as trio's channels raise them."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, OSError):
            if error.errno in (errno.EBADF, errno.ENOTSOCK):
                raise trio.ClosedResourceError("this socket was already closed") from None
            raise trio.BrokenResourceError(f"the socket failed: {error}") from error
