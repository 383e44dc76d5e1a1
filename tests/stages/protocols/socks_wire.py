"""What tests of `SOCKS` say on the wire, and both roles to say it to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from stages import SOCKS, SOCKSRequest

REQUEST = SOCKSRequest("example.org", 80, 5)
ASK_5 = b"\5\1\0\3\x0bexample.org\0\x50"
GRANTED_5 = b"\5\0\0\1\0\0\0\0\0\0"
ASK_4A = b"\4\1\0\x50\0\0\0\xff\0example.org\0"
LOGIN: dict[str, Any] = {"username": "Ada", "password": "secret"}


def client(**options: Any) -> SOCKS[bytes, Any]:
    return SOCKS("client", host="example.org", port=80, **options)


def server(**options: Any) -> SOCKS[Any, Any]:
    return SOCKS("server", **options)


def cuts_of(wire: bytes) -> Iterator[list[bytes]]:
    """At every single place, and byte by byte."""
    for at in range(len(wire)):
        yield [wire[:at], wire[at:]]
    yield [wire[at : at + 1] for at in range(len(wire))]
