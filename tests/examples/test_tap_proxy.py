"""tap_proxy.py: the real program between a real client and a real server, tapped by a real signal."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator

import pytest

from tests.examples.programs import SECONDS, Client, Server, serving
from tests.ports import free_port

PROGRAM = "examples/tap_proxy.py"


class Echo(threading.Thread):
    """Sends back what it gets, and half-closes when its peer does."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def run(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    @staticmethod
    def _serve(connection: socket.socket) -> None:
        with connection:
            connection.settimeout(SECONDS)
            try:
                while data := connection.recv(65536):
                    connection.sendall(data)
            except ConnectionError:
                return
            connection.sendall(b"end")


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    server.start()
    yield server
    server.listener.close()


def exchange(client: Client, data: bytes) -> None:
    client.write(data)
    assert data == client.read(len(data))


def toggle(proxy: Server, says: str) -> None:
    proxy.signal(signal.SIGUSR1)
    proxy.wait_for(says)


def test_taps_go_in_and_out_of_a_running_connection(echo: Echo) -> None:
    """It shows what passes while they are in, nothing else; the bytes are the same."""
    with serving(PROGRAM, "--port", "0", "127.0.0.1", str(echo.port)) as proxy, Client(proxy.port) as client:
        exchange(client, b"unseen")
        toggle(proxy, "taps on, in 1 connections")
        exchange(client, b"first\0\xff")
        proxy.wait_for("client 1 ← out b'first")
        with Client(proxy.port) as other:  # comes while taps are on
            exchange(other, b"other")
            proxy.wait_for("client 2 ← out b'other'")
        toggle(proxy, "taps off")
        exchange(client, b"hidden")
        proxy.signal(signal.SIGUSR1)
        exchange(client, b"x")  # this one may be early
        proxy.wait_for("taps on", times=2)
        exchange(client, b"last")
        proxy.wait_for("client 1 ← out b'last'")
        client.end()
        assert b"end" == client.read_to_end()
        log = proxy.stop()
    assert r"client 1 → in  b'first\x00\xff'" in log
    assert "unseen" not in log
    assert "hidden" not in log
    assert "Traceback" not in log


@pytest.mark.parametrize("options", [[], ["--lines"]], ids=["bytes", "lines"])
def test_every_byte_passes_as_it_came_while_taps_go_in_and_out(echo: Echo, options: list[str]) -> None:
    wire = b"".join(b"%d\r\n" % number * (number % 7) + b"\n\0\xff" for number in range(1_500))
    with serving(PROGRAM, *options, "--port", "0", "127.0.0.1", str(echo.port)) as proxy, Client(proxy.port) as client:
        received: list[bytes] = []
        reader = threading.Thread(target=lambda: received.append(client.read_to_end()))
        reader.start()
        for start in range(0, len(wire), 5_000):
            proxy.signal(signal.SIGUSR1)
            client.write(wire[start : start + 5_000])
        client.end()
        reader.join(SECONDS)
        assert [wire + b"end"] == received


def test_with_lines_the_taps_show_lines(echo: Echo) -> None:
    with serving(PROGRAM, "--lines", "--port", "0", "127.0.0.1", str(echo.port)) as proxy, Client(proxy.port) as client:
        toggle(proxy, "taps on")
        exchange(client, b"one\r\ntwo\n")
        proxy.wait_for(r"client 1 → in  b'one\r\n'")
        proxy.wait_for(r"client 1 → in  b'two\n'")
        client.write(b"thr")
        client.end()
        assert b"thrend" == client.read_to_end()


def test_who_cannot_be_reached_or_breaks_off_costs_this_connection_only(echo: Echo) -> None:
    with serving(PROGRAM, "--port", "0", "127.0.0.1", str(free_port())) as proxy:
        with Client(proxy.port) as client:
            assert b"" == client.read_to_end()
        proxy.wait_for("proxy closing: ")
    with serving(PROGRAM, "--port", "0", "127.0.0.1", str(echo.port)) as proxy:
        with Client(proxy.port) as client:
            exchange(client, b"x")
            client.vanish()
        proxy.wait_for("client 1: broken off: ")
        with Client(proxy.port) as client:
            exchange(client, b"y")
        toggle(proxy, "taps on, in ")
        log = proxy.stop()
    assert "Traceback" not in log
    assert log.endswith("proxy closed\n")
