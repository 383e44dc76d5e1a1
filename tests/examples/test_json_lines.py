"""json_lines.py: typed messages over TLS, by the real programs over real sockets."""

from __future__ import annotations

import shutil
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.examples.certificates import Certificates
from tests.examples.programs import Client, Server, one_by_one, run, serving

PROGRAM = "examples/json_lines.py"
TEA = b'{"item":"tea","count":3}\n'
ACCEPTED = '{"accepted":true,"text":"3 × tea"}\n'.encode()
REFUSED = b'{"accepted":false,"text":"that is no order"}\n'


@pytest.fixture(scope="module")
def server(certificates: Certificates) -> Iterator[Server]:
    with serving(PROGRAM, "serve", "--port", "0", "--cert", str(certificates.server)) as server:
        yield server


class TLSClient(Client):
    """The standard library's TLS on a plain socket."""

    def __init__(self, port: int, ca: Path) -> None:
        super().__init__(port)
        self.socket = ssl.create_default_context(cafile=ca).wrap_socket(self.socket, server_hostname="localhost")


@pytest.mark.parametrize("cut", [False, True], ids=["whole", "one by one"])
def test_answers_each_order(server: Server, certificates: Certificates, *, cut: bool) -> None:
    """One by one, each byte is a TLS record of its own."""
    with TLSClient(server.port, certificates.ca) as client:
        client.write(*(one_by_one(TEA * 2) if cut else [TEA * 2]))
        assert ACCEPTED * 2 == client.read(2 * len(ACCEPTED))


@pytest.mark.parametrize("line", [b"tea", b'{"item":"tea","count":"3"}', b'{"item":"tea"}', b"[]", b"", b"\xff"])
def test_what_is_no_order_is_refused_and_the_next_one_taken(
    server: Server, certificates: Certificates, line: bytes
) -> None:
    with TLSClient(server.port, certificates.ca) as client:
        client.write(TEA + line + b"\n" + TEA)
        expected = ACCEPTED + REFUSED + ACCEPTED
        assert expected == client.read(len(expected))


def test_an_endless_line_ends_this_connection_only(server: Server, certificates: Certificates) -> None:
    """Behind it nobody knows where the next order begins, so that is not refused but an error."""
    with TLSClient(server.port, certificates.ca) as client:
        client.write(b"x" * 5_000)
        assert b"" == client.read_to_end()
    test_answers_each_order(server, certificates, cut=False)


def test_a_client_without_tls_does_not_hurt_the_others(server: Server, certificates: Certificates) -> None:
    with Client(server.port) as client:
        client.write(TEA)
        assert b"accepted" not in client.read_to_end()
    test_answers_each_order(server, certificates, cut=False)


def test_client_shows_the_answer(server: Server, certificates: Certificates) -> None:
    done = run(PROGRAM, "order", "--port", str(server.port), "--ca", str(certificates.ca), "tea", "3")
    assert "Order(item='tea', count=3)  ->  Answer(accepted=True, text='3 × tea')\n" == done.stdout
    assert (done.returncode, done.stderr) == (0, "")


def test_client_refuses_a_server_that_it_does_not_know(server: Server, certificates: Certificates) -> None:
    """Nothing is sent, and it says why in one line."""
    done = run(PROGRAM, "order", "--port", str(server.port), "--ca", str(certificates.stranger), "tea", "3")
    assert (done.returncode, done.stdout) == (1, "")
    assert "certificate verify failed" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_certificate_that_there_is_not() -> None:
    done = run(PROGRAM, "serve", "--cert", "no-such.pem")
    assert done.returncode == 2
    assert "argument --cert: there is no file no-such.pem" in done.stderr


@pytest.mark.skipif(shutil.which("openssl") is None, reason="it makes its certificate with openssl")
def test_alone_it_shows_both() -> None:
    done = run(PROGRAM)
    assert (done.returncode, done.stderr) == (0, "")
    greeting, *answers = done.stdout.splitlines()
    assert "LineFramer(max_bytes=4096) | JSONEncoder(Answer) | recover(JSONDecoder(Order), refuse)" in greeting
    assert answers == [
        "Order(item='tea', count=3)  ->  Answer(accepted=True, text='3 × tea')",
        "Order(item='milk', count=0)  ->  Answer(accepted=False, text='order one or more')",
    ]


def test_without_openssl_it_says_what_to_do(tmp_path: Path) -> None:
    done = run(PROGRAM, PATH=str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert "serve with one of your own, --cert and --key" in done.stderr


def test_without_msgspec_it_says_what_to_install(certificates: Certificates) -> None:
    without = "import runpy, sys; sys.modules['msgspec'] = None; del sys.argv[0]"
    program = f"{without}; runpy.run_path(sys.argv[0], None, '__main__')"
    done = run("-c", program, PROGRAM, "serve", "--port", "0", "--cert", str(certificates.server))
    assert (done.returncode, done.stdout) == (1, "")
    assert "pip install 'penstock[msgspec]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_server_ends_on_ctrl_c(certificates: Certificates) -> None:
    with serving(PROGRAM, "serve", "--port", "0", "--cert", str(certificates.server)) as server:
        assert "closed\n" == server.stop()
