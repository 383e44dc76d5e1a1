"""Servers for mail that the examples' clients send: aiosmtpd, and one that says what it is told to."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.examples.programs import SECONDS


@contextmanager
def aiosmtpd(cert: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    """A mail server by others, which takes nothing without STARTTLS, and prints the mails."""
    options = ["--tlscert", str(cert), "--tlskey", str(cert), "-c", "aiosmtpd.handlers.Debugging", "stdout"]
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "aiosmtpd", "-n", "-l", f"127.0.0.1:{port}", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_until_it_listens(port: int) -> None:
    for _ in range(SECONDS * 100):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=SECONDS).close()
        except OSError:
            threading.Event().wait(0.01)
        else:
            return
    raise AssertionError


@contextmanager
def scripted(*answers: bytes) -> Iterator[int]:
    """A server that greets, and gives one of the answers to each line; its port."""

    def answer() -> None:
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as lines:
            connection.sendall(b"220 ready\r\n")
            for reply, _ in zip(answers, lines, strict=False):
                connection.sendall(reply)
            lines.read()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(SECONDS)
