"""How `HTTP2` goes on from HTTP/1.1 ("h2c", RFC 7540, section 3.2): a request there is the one of stream 1 here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from h2.connection import H2Connection

_OF_THE_CONNECTION: Final = {
    b"connection",
    b"host",
    b"http2-settings",
    b"keep-alive",
    b"proxy-connection",
    b"transfer-encoding",
    b"upgrade",
}


def begin_client(connection: H2Connection) -> list[tuple[str, str]]:
    """Make the connection ready for an upgrade; return the headers that ask for it."""
    settings = connection.initiate_upgrade_connection() or b""
    return [
        ("Connection", "Upgrade, HTTP2-Settings"),
        ("Upgrade", "h2c"),
        ("HTTP2-Settings", settings.rstrip(b"=").decode()),
    ]


def begin_server(connection: H2Connection, request: Any) -> list[tuple[bytes, bytes]]:
    """Take over a request of h11; return it as HTTP/2 would have it.

    Raises:
        ValueError: the request does not ask for the upgrade, or its settings are none.
    """
    fields = [(bytes(name).lower(), bytes(value)) for name, value in request.headers]
    settings = [value for name, value in fields if name == b"http2-settings"]
    if len(settings) != 1:
        raise ValueError(
            f"HTTP2(upgrade=...): a request that asks for h2c has one HTTP2-Settings header, not {len(settings)}"
        )
    try:
        connection.initiate_upgrade_connection(settings[0] + b"=" * (-len(settings[0]) % 4))
    except Exception as error:
        raise ValueError(f"HTTP2(upgrade=...): its HTTP2-Settings header is wrong: {settings[0]!r}") from error
    host = [value for name, value in fields if name == b"host"]
    return [
        (b":method", bytes(request.method)),
        (b":scheme", b"http"),
        *((b":authority", value) for value in host[:1]),
        (b":path", bytes(request.target)),
        *(field for field in fields if field[0] not in _OF_THE_CONNECTION),
    ]
