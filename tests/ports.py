"""Ports for programs that cannot say which one they became."""

from __future__ import annotations

import secrets
import socket


def free_port() -> int:
    """A port of the loopback on which nobody listens.

    The kernel gives those from 32768 on to whoever asks for any port. This one is below, so that no other test gets it
    until the program takes it.
    """
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as one:
            try:
                one.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
