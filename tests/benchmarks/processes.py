"""A server that is measured: a process of its own, which prints its port and what each connection cost it."""

from __future__ import annotations

import json
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"


class Process:
    """A running server.

    Attributes:
        pid: of the process.
        port: where it listens.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self._output = process.stdout
        self.pid = process.pid
        self.port = int(self._output.readline())

    def connect(self) -> socket.socket:
        """A connection which gives no segment time to wait for the next."""
        connection = socket.create_connection((HOST, self.port), timeout=60)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        return connection

    def cpu_seconds(self) -> float:
        """User and system time of its one thread so far, to the nanosecond; Linux only."""
        return int(Path(f"/proc/{self.pid}/schedstat").read_text("utf-8").split()[0]) / 1e9

    def report(self) -> Any:
        """What it prints next, an object of JSON."""
        return json.loads(self._output.readline())


@contextmanager
def running(script: Path, *arguments: str) -> Iterator[Process]:
    """A server from a script, killed when the block ends."""
    process = subprocess.Popen([sys.executable, str(script), *arguments], stdout=subprocess.PIPE, text=True)
    try:
        yield Process(process)
    finally:
        process.kill()
        process.communicate()


def read_exactly(connection: socket.socket, size: int) -> bytes:
    """So many bytes."""
    data = bytearray()
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            raise ConnectionError(f"the server closed the connection after {len(data)} of {size} bytes")
        data += piece
    return bytes(data)


def allow_files(count: int) -> None:
    """Let this process, and those it starts, have so many files open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < count:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (count if hard == resource.RLIM_INFINITY else min(count, hard), hard)
        )
