"""`SOCKS`: the proxy protocol SOCKS 4, 4a and 5 by siosocks, as client or server.

Here is how one is made, and what is checked before; `_socks_halves.py` has its halves, `_socks_handshake.py` what goes
on in a handshake.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final, Generic, Literal, overload

from typing_extensions import TypeVar

from pipeline import Duplex

from .._arguments import check_choice, check_seconds
from .._bytes import BytesLike
from ._socks_halves import ClientInbound, ClientOutbound, ServerInbound, ServerOutbound
from ._socks_handshake import ClientHandshake, ServerHandshake, SOCKSError, SOCKSReply, SOCKSRequest, siosocks_protocol

__all__ = ["SOCKS", "SOCKSError", "SOCKSReply", "SOCKSRequest"]

A = TypeVar("A")  # what the client receives
B = TypeVar("B")  # what it sends

_DEFAULT_SECONDS: Final = 30


class SOCKS(Duplex[BytesLike, A, B, bytes], Generic[A, B]):
    r"""SOCKS 4, 4a and 5 with siosocks: the handshake, then bytes as they are; as client or server.

    in:  b"\x05\x01\x00"  b"\x05\x01\x00\x03\x0bexample.org\x00\x50"        out:  SOCKSRequest("example.org", 80, 5)

    A client shakes hands by itself: entering the pipeline waits for it. A server gives one `SOCKSRequest`; send a
    `SOCKSReply`, before which nothing more is read. Behind `GRANTED` bytes pass both ways, behind any other reply the
    connection ends. When bytes pass, `await pipeline.remove(SOCKS)` takes the stage out, and `replace` puts another one
    there, with exactly what follows.

    Needs the extra `penstock[siosocks]`.

    Args:
        role: "client" or "server".
        host: a client's: where the proxy is to connect to, an address or a name for the proxy to look up.
        port: a client's: at which port.
        version: a client's: 5, or 4; with 4 a name makes it 4a.
        versions: a server's: which it accepts; without it 4 and 5, and 5 alone with a `username`.
        username: with `password`, what a client of SOCKS 5 says, and a server wants to hear; alone, with version 4, the
            user's id.
        password: see there.
        handshake_seconds: how long the peer may take for its part of the handshake; None: for ever.

    Raises:
        SOCKSError: the handshake was refused or cut short, or the peer speaks no SOCKS. A server has sent the answer
            that says so, where the protocol has one. The stage stays failed.
        StageTimeoutError: it took too long.
        TypeError: what a server sends is neither bytes nor a `SOCKSReply`; nothing was written.
        ValueError: from the constructor: the arguments do not fit.
        ImportError: siosocks is not there.
    """

    @overload
    def __init__(
        self: SOCKS[bytes, BytesLike],
        role: Literal["client"],
        *,
        host: str,
        port: int,
        version: Literal[4, 5] = 5,
        username: str | None = None,
        password: str | None = None,
        handshake_seconds: float | None = _DEFAULT_SECONDS,
    ) -> None: ...
    @overload
    def __init__(
        self: SOCKS[bytes | SOCKSRequest, BytesLike | SOCKSReply],
        role: Literal["server"],
        *,
        versions: Collection[Literal[4, 5]] | None = None,
        username: str | None = None,
        password: str | None = None,
        handshake_seconds: float | None = _DEFAULT_SECONDS,
    ) -> None: ...
    def __init__(
        self,
        role: Literal["client", "server"],
        *,
        host: str | None = None,
        port: int | None = None,
        version: Literal[4, 5] = 5,
        versions: Collection[Literal[4, 5]] | None = None,
        username: str | None = None,
        password: str | None = None,
        handshake_seconds: float | None = _DEFAULT_SECONDS,
    ) -> None:
        if password is not None:
            # What was called is shown in errors and logs.
            self._call = (self._call[0], {**self._call[1], "password": "***"})
        check_choice("SOCKS", "role", role, ("client", "server"))
        check_seconds("SOCKS", "handshake_seconds", handshake_seconds)
        if role == "client":
            if versions is not None:
                raise ValueError(
                    f"SOCKS('client', versions={versions!r}): a server says that; a client, version=4 or 5"
                )
            client = _client(_checked_place(host, port), version, username, password)
            super().__init__(ClientInbound(client, handshake_seconds), ClientOutbound(client))
        else:
            if (host, port, version) != (None, None, 5):
                given = f"host={host!r}, port={port!r}, version={version!r}"
                raise ValueError(f"SOCKS('server', {given}): a client says that: {_SERVER}, or with versions=[5]")
            server = _server(versions, username, password)
            super().__init__(ServerInbound(server, handshake_seconds), ServerOutbound(server))


def _client(where: tuple[str, int], version: int, username: str | None, password: str | None) -> ClientHandshake:
    _check_user(version, username, password)
    user: dict[str, Any] = {"username": username, "password": password}
    if version == 4:
        user = {"socks4_extras": {"user_id": username or ""}}
    steps = siosocks_protocol().SocksClient(*where, version, **user)
    return ClientHandshake(steps, where, version, authenticates=password is not None)


def _server(versions: Collection[int] | None, username: str | None, password: str | None) -> ServerHandshake:
    _check_password(username, password)
    accepted = _checked_versions(versions, username)
    steps = siosocks_protocol().SocksServer(allowed_versions=accepted, username=username, password=password)
    return ServerHandshake(steps, authenticates=username is not None)


# ---- arguments


_CLIENT: Final = "SOCKS('client', host='example.org', port=80)"
_SERVER: Final = "SOCKS('server')"


def _checked_place(host: str | None, port: int | None) -> tuple[str, int]:
    # A NUL ends a name with SOCKS 4, and a length of one byte stands before it with SOCKS 5.
    if not isinstance(host, str) or not host.isascii() or "\0" in host or not 0 < len(host) < 256:
        raise ValueError(f"SOCKS('client', host={host!r}): must be a name or an address, in ASCII: {_CLIENT}")
    if not isinstance(port, int) or not 0 < port < 65536:
        raise ValueError(f"SOCKS('client', port={port!r}): must be 1 to 65535: {_CLIENT}")
    return host, port


def _check_user(version: int, username: str | None, password: str | None) -> None:
    check_choice("SOCKS", "version", version, (4, 5))
    if version == 5:
        _check_password(username, password)
    elif password is not None or "\0" in (username or ""):
        raise ValueError("SOCKS('client', version=4): the user's id has no NUL in it, and there is no password")


def _check_password(username: str | None, password: str | None) -> None:
    texts = [username, password]
    if texts == [None, None]:
        return
    if not all(isinstance(text, str) and 0 < len(text.encode()) < 256 for text in texts):
        raise ValueError("SOCKS: username and password go together, each of 1 to 255 bytes")


def _checked_versions(versions: Collection[int] | None, username: str | None) -> set[int]:
    accepted = {5} if username is not None else {4, 5}
    if versions is None:
        return accepted
    given = set(versions)
    if not given or not given <= accepted:
        why = ", and with SOCKS 4 there are no passwords" if username is not None else ""
        raise ValueError(f"SOCKS(versions={versions!r}): must be some of {sorted(accepted)}{why}: {_SERVER}")
    return given
