"""send_mail.py: a mail to aiosmtpd, which takes nothing without STARTTLS, and to servers that are not right."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.examples.certificates import Certificates
from tests.examples.mail_servers import aiosmtpd, scripted, wait_until_it_listens
from tests.examples.programs import SECONDS, run
from tests.ports import free_port

PROGRAM = "examples/send_mail.py"


def send(port: int, ca: Path, *options: str, text: str = "It works.\n.\n") -> subprocess.CompletedProcess[str]:
    addresses = ["--from", "Ada <me@here.example>", "--to", "you@there.example", "--to", "all@there.example"]
    return run(PROGRAM, *addresses, "--ca", str(ca), "--port", str(port), *options, "localhost", stdin=text)


def test_a_mail_arrives_over_tls(certificates: Certificates) -> None:
    port = free_port()
    with aiosmtpd(certificates.server, port) as process:
        wait_until_it_listens(port)
        sent = send(port, certificates.ca, "--subject", "Grüße")
        assert ("sent: OK\n", "", 0) == (sent.stdout, sent.stderr, sent.returncode)
        process.terminate()
        printed, _ = process.communicate(timeout=SECONDS)
    assert "From: Ada <me@here.example>\nTo: you@there.example, all@there.example\n" in printed
    assert "\nIt works.\n.\n" in printed


def test_a_stranger_gets_nothing(certificates: Certificates) -> None:
    port = free_port()
    with aiosmtpd(certificates.server, port):
        wait_until_it_listens(port)
        sent = send(port, certificates.stranger)
    assert 1 == sent.returncode
    assert sent.stderr.startswith("not sent: TLS: the server's certificate was not accepted: ")


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        (
            [b"250 nothing special\r\n"],
            "This operation requires the STARTTLS extension but the server does not",
        ),
        ([b"250-mx\r\n250 STARTTLS\r\n", b"454 not now\r\n"], "SMTPCommand.starttls(): 454 not now"),
        ([b"250-mx\r\n250 STARTTLS\r\n", b"220 go\r\n250 injected\r\n"], "something was received before the change"),
        ([b"hello\r\n"], "SMTPClient: what the server sent is no reply: "),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_sent(certificates: Certificates, answers: list[bytes], says: str) -> None:
    with scripted(*answers) as port:
        sent = send(port, certificates.ca)
    assert ("", 1) == (sent.stdout, sent.returncode)
    assert sent.stderr.startswith(f"not sent: {says}")
    assert "Traceback" not in sent.stderr
