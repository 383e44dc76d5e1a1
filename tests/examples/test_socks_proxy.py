"""socks_proxy.py: curl is in tests/stages/protocols/test_socks_interop.py; here is what goes wrong."""

from __future__ import annotations

import errno
import runpy

import pytest
import trio

from stages import SOCKSReply
from tests.code_blocks import ROOT
from tests.examples.programs import Client, one_by_one, run, serving

PROGRAM = "examples/socks_proxy.py"


def test_who_is_refused_is_told_and_the_proxy_goes_on() -> None:
    with serving(PROGRAM, "--port", "0") as server:
        with Client(server.port) as client:
            client.write(*one_by_one(b"\5\1\0\5\1\0\1\x7f\0\0\1\0\1"))
            assert b"\5\0\5\5\0\1" + bytes(6) == client.read_to_end()
        with Client(server.port) as client:
            client.write(b"GET / HTTP/1.1\r\n\r\n")
            assert b"" == client.read_to_end()
        with Client(server.port) as client:
            client.end()
            assert b"" == client.read_to_end()
        server.wait_for("closing: SOCKS: the handshake with the client failed: Version 71 is not in allowed")
        printed = server.stop()
        assert printed.startswith("refusing '127.0.0.1':1: all attempts to connect")
        assert printed.endswith("SOCKS proxy closed\n")


def test_a_password_is_wanted() -> None:
    login = ("--user", "Ada", "--password", "secret")
    with serving(PROGRAM, "--port", "0", *login) as server, Client(server.port) as client:
        client.write(b"\5\1\0")
        assert b"\5\xff" == client.read_to_end()


def test_a_name_without_a_password_is_refused_at_once() -> None:
    done = run(PROGRAM, "--port", "0", "--user", "Ada")
    assert 2 == done.returncode
    assert "username and password go together" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("error", "reply"),
    [
        (OSError(errno.ENETUNREACH, "no network"), SOCKSReply.NETWORK_UNREACHABLE),
        (OSError(-2, "no such name"), SOCKSReply.HOST_UNREACHABLE),
        (ValueError("no name"), SOCKSReply.HOST_UNREACHABLE),
        (trio.TooSlowError(), SOCKSReply.HOST_UNREACHABLE),
    ],
)
def test_the_reason_is_the_errors(error: Exception, reply: SOCKSReply) -> None:
    reason_for = runpy.run_path(str(ROOT / PROGRAM))["reason_for"]
    assert reply == reason_for(error)
    several = OSError("all attempts failed")
    several.__cause__ = ExceptionGroup("multiple", [OSError("first"), error])
    assert reply == reason_for(several)
