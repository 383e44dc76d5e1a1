"""The example programs, run as their users run them."""

from __future__ import annotations

import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from tests.code_blocks import ROOT
from tests.forking import forker

SECONDS = 60
"""What a program or a reply may take before a test fails; many times what it takes, for others use the machine, too."""


def run(*command: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python with these arguments from the repository's root, to its end; warnings are errors.

    A program with no environment of its own is forked, which is as if it had been started, and much cheaper.
    """
    if command[0].endswith(".py") and not environment:
        return forker().run(ROOT / command[0], ROOT, *command[1:], stdin=stdin, seconds=SECONDS)
    return start(*command, stdin=stdin, **environment)


def start(*command: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """The same in an interpreter that has imported nothing before."""
    return subprocess.run(
        [sys.executable, "-W", "error", *command],
        cwd=ROOT,
        env=_environment(**environment),
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        timeout=SECONDS,
        check=False,
    )


class Server:
    """A running example server, whose output is read all the time: with a full pipe it would stand still.

    Attributes:
        greeting: its first line.
        port: where it listens.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self._process, self._output = process, process.stdout
        self.greeting = self._output.readline()
        port = re.search(r"127\.0\.0\.1:(\d+)", self.greeting)
        assert port, self.greeting + self._output.read()
        self.port = int(port[1])
        self._printed: list[str] = []
        self._news = threading.Condition()
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        for line in self._output:
            with self._news:
                self._printed.append(line)
                self._news.notify_all()

    def wait_for(self, text: str, *, times: int = 1) -> None:
        """Wait until so many lines with this text were printed."""
        with self._news:
            found = self._news.wait_for(lambda: sum(text in line for line in self._printed) >= times, SECONDS)
            assert found, self._printed

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def _wait_until_idle(self) -> None:
        """Wait until it sleeps: a KeyboardInterrupt in the middle of anything could leave that half done."""
        stat = Path(f"/proc/{self._process.pid}/stat")
        end, idle = time.monotonic() + SECONDS, 0
        while idle < 100 and time.monotonic() < end:
            idle = idle + 1 if stat.read_text("utf-8").rpartition(") ")[2].startswith("S") else 0

    def stop(self) -> str:
        """Press Ctrl+C; return what the server printed since its greeting.

        Raises:
            AssertionError: it did not end in good order.
        """
        self._wait_until_idle()
        self._process.send_signal(signal.SIGINT)
        self._process.wait(timeout=SECONDS)
        self._reading.join(SECONDS)
        printed = "".join(self._printed)
        assert self._process.returncode == 0, printed
        return printed

    def close(self) -> None:
        """End it, if it has not ended."""
        self._process.kill()
        self._process.wait()
        self._reading.join(SECONDS)
        self._output.close()


@contextmanager
def serving(*command: str) -> Iterator[Server]:
    """An example server; it prints the port it became on its first line."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", *command],
        cwd=ROOT,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    server = Server(process)
    try:
        yield server
    finally:
        server.close()


class Client:
    """A plain socket, as telnet or nc would have it."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def write(self, *pieces: bytes) -> None:
        """Send each piece as a segment of its own."""
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        for piece in pieces:
            self.socket.sendall(piece)

    def read(self, size: int) -> bytes:
        """Read so many bytes; fewer if the stream ends before."""
        received = b""
        while len(received) < size and (data := self.socket.recv(size - len(received))):
            received += data
        return received

    def read_to_end(self) -> bytes:
        """Read until the server closes; with a reset, if it did not care for what was sent last."""
        received = bytearray()
        with suppress(ConnectionResetError):
            while data := self.socket.recv(65536):
                received += data
        return bytes(received)

    def end(self) -> None:
        """Half-close: this client has nothing more to say."""
        self.socket.shutdown(socket.SHUT_WR)

    def vanish(self) -> None:
        """Break the connection off with a reset, as a machine does that was switched off and on."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


def one_by_one(data: bytes) -> list[bytes]:
    """Each byte for itself."""
    return [bytes([byte]) for byte in data]


def _environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", **more}
