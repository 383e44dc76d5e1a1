"""starttls.py: a mail server and a client that change to TLS, against each other and against other programs."""

from __future__ import annotations

import shutil
import smtplib
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.examples.certificates import Certificates
from tests.examples.mail_servers import aiosmtpd, scripted, wait_until_it_listens
from tests.examples.programs import SECONDS, Client, Server, one_by_one, run, serving
from tests.ports import free_port

PROGRAM = "examples/starttls.py"
MAIL = "Subject: hello\n\nIt works.\n.\n..dots"
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl")


@pytest.fixture
def server(certificates: Certificates) -> Iterator[Server]:
    with serving(PROGRAM, "serve", "--port", "0", "--cert", str(certificates.server)) as server:
        yield server


def upgraded(client: Client, ca: Path) -> None:
    """Say STARTTLS, and wrap the socket in the standard library's TLS."""
    read_line(client)
    client.write(b"STARTTLS\r\n")
    assert b"220 go ahead\r\n" == read_line(client)
    context = ssl.create_default_context(cafile=ca)
    client.socket = context.wrap_socket(client.socket, server_hostname="localhost")


def read_line(client: Client) -> bytes:
    line = b""
    while not line.endswith(b"\n") and (byte := client.read(1)):
        line += byte
    return line


# ---- our server


@pytest.mark.parametrize("cut", [False, True], ids=["whole", "one by one"])
def test_a_connection_goes_on_encrypted(server: Server, certificates: Certificates, *, cut: bool) -> None:
    with Client(server.port) as client:
        upgraded(client, certificates.ca)
        client.write(*(one_by_one(b"EHLO x\r\nNOOP\r\n") if cut else [b"EHLO x\r\nNOOP\r\n"]))
        assert [b"250 localhost\r\n", b"250 OK\r\n"] == [read_line(client), read_line(client)]


def test_in_plaintext_no_mail_is_taken(server: Server) -> None:
    with Client(server.port) as client:
        client.write(b"EHLO x\r\nMAIL FROM:<me@x.example>\r\nQUIT\r\n")
        assert [
            b"220 localhost ready",
            b"250-localhost",
            b"250 STARTTLS",
            b"530 Must issue a STARTTLS command first",
            b"221 bye",
        ] == client.read_to_end().splitlines()


def test_what_was_injected_behind_starttls_is_refused(server: Server) -> None:
    """In the same segment: it must not be read as if it had come encrypted."""
    with Client(server.port) as client:
        client.write(b"STARTTLS\r\nMAIL FROM:<mallory@evil.example>\r\n")
        assert b"220 localhost ready\r\n220 go ahead\r\n" == client.read_to_end()
    server.wait_for("refused: something was received before the change")


def test_starttls_twice_is_no_command(server: Server, certificates: Certificates) -> None:
    with Client(server.port) as client:
        upgraded(client, certificates.ca)
        client.write(b"STARTTLS\r\n")
        assert b"502 Command not implemented\r\n" == read_line(client)


def test_a_mail_that_is_cut_short_is_not_taken(server: Server, certificates: Certificates) -> None:
    with Client(server.port) as client:
        upgraded(client, certificates.ca)
        client.write(b"DATA\r\nhalf of it\r\n")
        assert b"354 End it with a dot\r\n" == read_line(client)
        client.vanish()
    with smtplib.SMTP("localhost", server.port) as other:
        assert 250 == other.noop()[0]
    assert "mail:" not in server.stop()


def test_pythons_smtplib_sends_a_mail(server: Server, certificates: Certificates) -> None:
    with smtplib.SMTP("localhost", server.port, timeout=SECONDS) as client:
        code, _ = client.starttls(context=ssl.create_default_context(cafile=certificates.ca))
        assert 220 == code
        assert not client.has_extn("starttls")
        client.sendmail("me@x.example", ["postmaster@localhost"], MAIL)
    server.wait_for("mail: Subject: hello |  | It works. | . | ..dots")


def test_pythons_smtplib_refuses_a_stranger(server: Server, certificates: Certificates) -> None:
    with (
        pytest.raises(ssl.SSLCertVerificationError),
        smtplib.SMTP("localhost", server.port, timeout=SECONDS) as client,
    ):
        client.starttls(context=ssl.create_default_context(cafile=certificates.stranger))
    server.wait_for("TLS: the client broke off during the handshake with the alert 'unknown ca'")


@needs_openssl
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_s_client_upgrades(server: Server, certificates: Certificates, version: str) -> None:
    command = f"openssl s_client -starttls smtp -crlf -quiet -connect 127.0.0.1:{server.port} -servername localhost"
    check = ["-CAfile", str(certificates.ca), "-verify_hostname", "localhost", "-verify_return_error", version]
    done = subprocess.run(
        [*command.split(), *check],
        input="EHLO x\nMAIL FROM:<me@x.example>\nQUIT\n",
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.stdout.endswith("250 localhost\n250 OK\n221 bye\n"), done.stderr


# ---- our client


def send(port: int, ca: Path, text: str = MAIL) -> subprocess.CompletedProcess[str]:
    return run(PROGRAM, "send", "--port", str(port), "--ca", str(ca), text)


def test_our_client_and_our_server(server: Server, certificates: Certificates) -> None:
    sent = send(server.port, certificates.ca)
    assert 0 == sent.returncode, sent.stderr
    server.wait_for("mail: Subject: hello |  | It works. | . | ..dots")


def test_both_at_once() -> None:
    shown = run(PROGRAM)
    assert 0 == shown.returncode, shown.stderr
    assert "LineFramer  STARTTLS                  ->  220 go ahead\nTLS         EHLO client.example" in shown.stdout
    assert "mail: Subject: hello |  | It works." in shown.stdout


def test_our_client_refuses_a_stranger(server: Server, certificates: Certificates) -> None:
    sent = send(server.port, certificates.stranger)
    assert 1 == sent.returncode
    assert sent.stderr.startswith("TLS: the server's certificate was not accepted: ")
    server.wait_for("TLS: the client broke off during the handshake with the alert 'unknown ca'")


def test_our_client_sends_to_aiosmtpd(certificates: Certificates) -> None:
    port = free_port()
    with aiosmtpd(certificates.server, port) as process:
        wait_until_it_listens(port)
        sent = send(port, certificates.ca)
        assert 0 == sent.returncode, sent.stderr + sent.stdout
        assert "TLS         MAIL FROM:<me@client.example>  ->  250 OK" in sent.stdout
        process.terminate()
        printed, _ = process.communicate(timeout=SECONDS)
    assert "It works.\n.\n..dots\n" in printed


def test_our_client_sends_nothing_where_the_offer_was_taken_out(certificates: Certificates) -> None:
    with scripted(b"250 nothing special\r\n") as port:
        sent = send(port, certificates.ca)
    assert "the server does not offer STARTTLS, or somebody on the way took the offer out\n" == sent.stderr
    assert "MAIL" not in sent.stdout


def test_our_client_refuses_an_answer_that_was_injected(certificates: Certificates) -> None:
    """A second answer behind that to STARTTLS would be taken for the one to the first encrypted command."""
    with scripted(b"250 STARTTLS\r\n", b"220 go ahead\r\n250 injected\r\n") as port:
        sent = send(port, certificates.ca)
    assert 1 == sent.returncode
    assert sent.stderr.startswith("something was received before the change")
