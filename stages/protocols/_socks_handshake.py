"""The handshake of `SOCKS`: siosocks at work, as far as the bytes go; no stages here.

siosocks speaks both sides, as generators that ask to read, to write and to connect (RFC 1928, RFC 1929 and, for SOCKS 4
and 4a, the documents of NEC). What is added here is what its users have to add: the writes of one step go out in one,
since there are peers that hang up otherwise; what follows the handshake is not lost in its buffer; and the peer is told
why a request is refused.

Rules for this file: siosocks gets one byte at a time during a handshake, some hundreds at most. So it never has a byte
that it does not need, and nothing has to be taken out of it again.
"""

from __future__ import annotations

import enum
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from pipeline import PipelineError

from .._bytes import BytesLike
from .._extras import Extra

__all__ = [
    "ClientHandshake",
    "Handshake",
    "SOCKSError",
    "SOCKSReply",
    "SOCKSRequest",
    "ServerHandshake",
    "siosocks_protocol",
]

_REASONS_4: Final = {
    91: "request rejected or failed",
    92: "the proxy cannot reach identd on the client",
    93: "identd names another user",
}


class SOCKSError(PipelineError):
    """A SOCKS handshake failed: refused, cut short, or no SOCKS at all; `__cause__` is siosocks' own error, if any.

    Attributes:
        code: what a proxy answered that refused the request: 1 to 8 (RFC 1928), with SOCKS 4 91 to 93; else None.
    """

    def __init__(self, message: str, *, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class SOCKSRequest:
    """What a client asks a SOCKS server: to connect it to somewhere.

    Attributes:
        host: an address or, with SOCKS 4a and 5, a name. It is the client's, and may be any text.
        port: the TCP port.
        version: 4 or 5.
    """

    host: str
    port: int
    version: int


class SOCKSReply(enum.Enum):
    """What a SOCKS server answers; SOCKS 4 knows only yes and no. The values are those of RFC 1928."""

    GRANTED = 0
    FAILURE = 1
    NOT_ALLOWED = 2
    NETWORK_UNREACHABLE = 3
    HOST_UNREACHABLE = 4
    CONNECTION_REFUSED = 5
    TTL_EXPIRED = 6


class Handshake:
    """siosocks at work, as far as the bytes go.

    Args:
        steps: its generator.
    """

    peer = "peer"

    def __init__(self, steps: Generator[dict[str, Any], Any, None]) -> None:
        self._steps = steps
        self._rest = bytearray()  # what came, and siosocks has not got
        self._written = b""
        self._wrote_now = False
        self.wants = ""  # what siosocks asked for last: "read", "connect", "passthrough"
        self.asked: dict[str, Any] = {}
        self.heard = bytearray()  # what the peer said since it was written to
        self.turns = 0  # how often it was
        self.ended = False  # we refused
        self.failure: Exception | None = None
        self._listen(steps.send(None))

    @property
    def over(self) -> bool:
        """Whether bytes pass."""
        return self.wants == "passthrough"

    @property
    def asks(self) -> bool:
        """Whether it waits for the client's answer."""
        return self.wants == "connect"

    @property
    def begun(self) -> bool:
        """Whether either side has said anything."""
        return bool(self.heard or self.turns)

    @property
    def holds(self) -> int:
        """Bytes of something unfinished."""
        return len(self._rest) + (0 if self.over else len(self.heard))

    def feed(self, data: BytesLike) -> None:
        """Give siosocks what it asks for, as far as it is there; what it has to say is to be taken, also on errors.

        Raises:
            SOCKSError: it failed.
        """
        self._rest += data
        try:
            while self.wants == "read" and self._rest:
                byte = bytes(self._rest[:1])
                del self._rest[:1]
                self.heard += byte
                self._wrote_now = False
                self._listen(self._steps.send(byte))
        except Exception as error:
            raise self.fail(error) from error

    def fail(self, error: Exception | None) -> SOCKSError:
        """Stay failed; None: the peer ended the stream."""
        self.failure = failure = self._complaint(error)
        return failure

    def check(self) -> None:
        """Refuse to go on after a failure."""
        if self.failure is not None:
            raise self.failure.with_traceback(None)

    def take_written(self) -> bytes:
        """What is to be written, all in one."""
        written, self._written = self._written, b""
        return written

    def take_rest(self) -> list[bytes]:
        """What came behind the handshake, if anything."""
        if not self._rest:
            return []
        rest, self._rest = bytes(self._rest), bytearray()
        return [rest]

    def close(self) -> None:
        """Let go of siosocks."""
        self._steps.close()

    def _complaint(self, error: Exception | None) -> SOCKSError:
        """What went wrong, in the words of who reads the log."""
        if error is None:
            return SOCKSError(f"SOCKS: the {self.peer} ended the connection during the handshake")
        return SOCKSError(f"SOCKS: the handshake with the {self.peer} failed: {error}")

    def _listen(self, message: dict[str, Any]) -> None:
        while message["method"] == "write":
            self._wrote_now = True
            self._written += message["data"]
            message = self._steps.send(None)
        self.wants, self.asked = message["method"], message
        if self._wrote_now:
            self.turns += 1
            self.heard.clear()


class ClientHandshake(Handshake):
    """A client's side.

    Args:
        steps: siosocks' generator.
        where: what the proxy is asked for.
        version: 4 or 5.
        authenticates: whether with a password.
    """

    peer = "proxy"

    def __init__(self, steps: Any, where: tuple[str, int], version: int, *, authenticates: bool) -> None:
        super().__init__(steps)
        self._where, self._version = where, version
        self._last_turn = 1 if version == 4 else 2 + authenticates

    def _complaint(self, error: Exception | None) -> SOCKSError:
        """With the reason of a proxy that refused the request."""
        granted = 90 if self._version == 4 else 0
        if error is None or self.turns < self._last_turn or len(self.heard) < 2 or self.heard[1] == granted:
            return super()._complaint(error)
        code = self.heard[1]
        reason = _REASONS_4.get(code, "for a reason that is not known") if self._version == 4 else _reason_5(code)
        host, port = self._where
        return SOCKSError(f"SOCKS: the proxy does not connect to {host}:{port}: {reason} (code {code})", code=code)


class ServerHandshake(Handshake):
    """A server's side.

    Args:
        steps: siosocks' generator.
        authenticates: whether it wants a password.
    """

    peer = "client"

    def __init__(self, steps: Any, *, authenticates: bool) -> None:
        super().__init__(steps)
        self._version = 0
        self._last_turn = 1 + authenticates

    def feed(self, data: BytesLike) -> None:
        """As above; a request that siosocks refuses without a word is answered, too."""
        self._version = self._version or data[0]
        try:
            super().feed(data)
        except SOCKSError:
            if not self._wrote_now:
                self._written += self._refusal()
            raise

    def request(self) -> SOCKSRequest:
        """What the client is asked."""
        return SOCKSRequest(self.asked["host"], self.asked["port"], self._version)

    def answer(self, reply: SOCKSReply) -> None:
        """Go on; what siosocks says to the peer is to be taken."""
        if reply is SOCKSReply.GRANTED:
            self._listen(self._steps.send(None))
            return
        with suppress(Exception):  # it raises what it is told, behind the answer
            self._listen(self._steps.throw(ConnectionError()))
        if self._version == 5:  # siosocks knows one reason only
            self._written = self._written[:1] + bytes([reply.value]) + self._written[2:]
        self.wants, self.ended = "", True

    def _refusal(self) -> bytes:
        """What the protocol has to say where siosocks says nothing."""
        if self._version == 4:
            return b"\0\x5b" + bytes(6)
        if self.turns == self._last_turn:
            unknown_type = len(self.heard) > 3 and self.heard[3] not in (1, 3, 4)
            return bytes([5, 8 if unknown_type else 1, 0, 1]) + bytes(6)
        return b"\1\1" if self.turns else b""  # of the password; before that no version is agreed on


def siosocks_protocol() -> Any:
    """Siosocks.

    Raises:
        ImportError: it is not there.
    """
    with Extra("SOCKS", "siosocks"):
        from siosocks import protocol  # noqa: PLC0415 - an extra
    return protocol


def _reason_5(code: int) -> str:
    reasons: dict[int, str] = {each.value: each.name.replace("_", " ") for each in siosocks_protocol().Socks5Code}
    return reasons.get(code, "for a reason that RFC 1928 does not know")
