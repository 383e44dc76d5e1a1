"""A server of IRC that nobody here wrote, for the tests that talk to one: ngircd."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.stages.protocols.programs import path_of

PROGRAM = path_of("ngircd")
needs_ngircd = pytest.mark.skipif(PROGRAM is None, reason="there is no ngircd: apt-get install ngircd")

CONFIGURATION = """
[Global]
Name = irc.test.example
Info = a test
AdminInfo1 = nobody
AdminEMail = nobody@test.example
Listen = 127.0.0.1
Ports = {port}
MotdPhrase = hello
[Limits]
MaxConnectionsIP = 0
MaxPenaltyTime = 0
[Options]
DNS = no
Ident = no
PAM = no
RequireAuthPing = yes
"""
"""Nobody is registered who has not answered a PING."""


@contextmanager
def ngircd(directory: Path) -> Iterator[int]:
    """A running server; its port."""
    assert PROGRAM is not None
    port = free_port()
    path = directory / "ngircd.conf"
    path.write_text(CONFIGURATION.format(port=port))
    command = [PROGRAM, "--nodaemon", "--config", str(path)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_until_it_listens(process, port)
        yield port
    finally:
        process.terminate()
        process.wait()


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int) -> None:
    for _ in range(6000):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=60).close()
        except OSError:
            assert process.poll() is None
            threading.Event().wait(0.01)
        else:
            return
    raise AssertionError
