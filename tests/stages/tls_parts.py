"""Certificates, contexts and a wire between two `TLS` stages, for the test files that are about TLS."""

from __future__ import annotations

import functools
import ssl
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import trustme

from pipeline.testing import Harness
from stages import TLS

NAME = "server.example"
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@functools.cache
def authority() -> trustme.CA:
    return trustme.CA()


@functools.cache
def stranger() -> trustme.CA:
    """An authority that nobody trusts."""
    return trustme.CA()


@functools.cache
def certificate(name: str = NAME) -> trustme.LeafCert:
    return authority().issue_cert(name)


@functools.cache
def expired() -> trustme.LeafCert:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    return authority().issue_cert(NAME, not_before=yesterday - timedelta(days=9), not_after=yesterday)


def server_context(
    version: ssl.TLSVersion | None = None, *, cert: trustme.LeafCert | None = None, asks_client: bool = False
) -> ssl.SSLContext:
    """Of a server which proves that it is NAME; one that `asks_client` wants a certificate too."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    (cert or certificate()).configure_cert(context)
    if asks_client:
        context.verify_mode = ssl.CERT_REQUIRED
        authority().configure_trust(context)
    return _at(version, context)


def client_context(
    version: ssl.TLSVersion | None = None, *, trusts: trustme.CA | None = None, cert: trustme.LeafCert | None = None
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # without the system's authorities, which take long to load
    (trusts or authority()).configure_trust(context)
    if cert:
        cert.configure_cert(context)
    return _at(version, context)


def _at(version: ssl.TLSVersion | None, context: ssl.SSLContext) -> ssl.SSLContext:
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context


def client(version: ssl.TLSVersion | None = None, **options: Any) -> Any:
    return TLS(client_context(version, **options), NAME)


def server(version: ssl.TLSVersion | None = None, **options: Any) -> Any:
    return TLS(server_context(version, **options), server_side=True)


class Files:
    """PEM files, for programs: `key_and_cert` of the server, `ca` that vouches for it, a client's `client`."""

    def __init__(self, directory: Path) -> None:
        self.ca, self.key_and_cert, self.client = (directory / name for name in ("ca.pem", "server.pem", "client.pem"))
        authority().cert_pem.write_to_path(str(self.ca))
        certificate().private_key_and_cert_chain_pem.write_to_path(str(self.key_and_cert))
        certificate("client.example").private_key_and_cert_chain_pem.write_to_path(str(self.client))


Cut = Callable[[bytes], Iterable[bytes]]


def whole(data: bytes) -> list[bytes]:
    return [data]


class Wire:
    """Two ends, and what is on the wire between them; it is carried when the test says so.

    Attributes:
        client: what drives the client's stage, or chain.
        server: what drives the server's.
        errors: what the client and the server raised while something was carried to them.
    """

    def __init__(self, client: Any, server: Any, cut: Cut = whole) -> None:
        self.client, self.server = Harness(client), Harness(server)
        self.errors: dict[str, Exception] = {}
        self._cut = cut
        self._carried = {"client": 0, "server": 0}

    def carry(self) -> Wire:
        """Carry until both are silent; what a failed end still said is carried too."""
        while self._carry_to("server", self.client) or self._carry_to("client", self.server):
            pass
        return self

    def _carry_to(self, name: str, sender: Harness) -> bool:
        receiver: Harness = getattr(self, name)
        data = b"".join(sender.sent[self._carried[name] :])
        self._carried[name] = len(sender.sent)
        try:
            if name not in self.errors:
                for piece in self._cut(data) if data else ():
                    receiver.receive(piece)
        except Exception as error:
            self.errors[name] = error
        return bool(data)

    def shake(self) -> Wire:
        """Carry the handshake, which must succeed."""
        self.carry()
        assert {} == self.errors
        assert self.client.engine.ready
        assert self.server.engine.ready
        return self


def shaken(client: Any, server: Any, cut: Cut = whole) -> Wire:
    return Wire(client, server, cut).shake()
