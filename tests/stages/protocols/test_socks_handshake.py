"""The handshakes of SOCKS, without stages: what is said to the peer, and what is said of it."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from siosocks.protocol import SocksClient, SocksServer

from stages import SOCKSError, SOCKSReply, SOCKSRequest
from stages.protocols._socks_handshake import ClientHandshake, Handshake, ServerHandshake, siosocks_protocol

WHERE = ("example.org", 80)
ASK_5 = b"\5\1\0\3\x0bexample.org\0\x50"
GRANTED_5 = b"\5\0\0\1\0\0\0\0\0\0"
ASK_4 = b"\4\1\0\x50\1\2\3\4me\0"
ASK_4A = b"\4\1\0\x50\0\0\0\xffme\0example.org\0"
LOGIN = b"\1\3Ada\6secret"


def client(version: int = 5, *, login: bool = False) -> ClientHandshake:
    user: dict[str, Any] = {"username": "Ada", "password": "secret"} if login else {}
    if version == 4:
        user = {"socks4_extras": {"user_id": "me"}}
    return ClientHandshake(SocksClient(*WHERE, version, **user), WHERE, version, authenticates=login)


def server(*versions: int, login: bool = False) -> ServerHandshake:
    user: dict[str, Any] = {"username": "Ada", "password": "secret"} if login else {}
    steps = SocksServer(allowed_versions={*versions} or {4, 5}, strict_security_policy=False, **user)
    return ServerHandshake(steps, authenticates=login)


def dialog(handshake: Handshake, *heard: bytes) -> list[bytes]:
    """What it says at first, and to each thing it hears."""
    said = [handshake.take_written()]
    for data in heard:
        handshake.feed(data)
        said.append(handshake.take_written())
    return said


# ---- the client


@pytest.mark.parametrize(
    ("shaking", "heard", "said"),
    [
        (client(), [b"\5\0", GRANTED_5], [b"\5\1\0", ASK_5, b""]),
        (client(), [b"\5\0", b"\5\0\0\3\2ab\0\1"], [b"\5\1\0", ASK_5, b""]),
        (client(), [b"\5\0", b"\5\0\0\4" + bytes(18)], [b"\5\1\0", ASK_5, b""]),
        (client(login=True), [b"\5\2", b"\1\0", GRANTED_5], [b"\5\1\2", LOGIN, ASK_5, b""]),
        (client(4), [b"\0\x5a" + bytes(6)], [ASK_4A, b""]),
    ],
    ids=["5", "5, a name", "5, IPv6", "5, password", "4a"],
)
def test_a_client_says_each_thing_in_one_write(shaking: Handshake, heard: list[bytes], said: list[bytes]) -> None:
    assert said == dialog(shaking, *heard)
    shaking.check()
    assert shaking.over
    assert [] == shaking.take_rest()


def test_what_follows_is_there_at_the_end() -> None:
    handshake = client()
    dialog(handshake, b"\5\0", GRANTED_5 + b"more")
    assert 4 == handshake.holds
    assert [b"more"] == handshake.take_rest()
    handshake.close()


@pytest.mark.parametrize(
    ("shaking", "heard", "complaint", "code"),
    [
        (client(), [b"\5\0", b"\5\5\0\1" + bytes(6)], "connection refused by destination host (code 5)", 5),
        (client(), [b"\5\0", b"\5\x63\0\1" + bytes(6)], "for a reason that RFC 1928 does not know (code 99)", 99),
        (client(4), [b"\0\x5b" + bytes(6)], "request rejected or failed (code 91)", 91),
        (client(4), [b"\0\x10" + bytes(6)], "for a reason that is not known (code 16)", 16),
        (client(login=True), [b"\5\2", b"\1\0", b"\5\2\0\1" + bytes(6)], "not allowed by ruleset (code 2)", 2),
    ],
)
def test_a_refusal_names_its_reason(shaking: Handshake, heard: list[bytes], complaint: str, code: int) -> None:
    with pytest.raises(SOCKSError) as info:
        dialog(shaking, *heard)
    assert str(info.value).startswith("SOCKS: the proxy does not connect to example.org:80: ")
    assert str(info.value).endswith(complaint)
    assert code == info.value.code
    with pytest.raises(SOCKSError):
        shaking.check()


@pytest.mark.parametrize(
    ("shaking", "heard", "complaint"),
    [
        (client(), [b"\5\xff"], "Auth method 0x00 not accepted with 0xff code"),
        (client(), [b"HT"], "Expect socks version 5, but got 72"),
        (client(login=True), [b"\5\2", b"\1\1"], "Username/password auth failed with code 0x01"),
        (client(), [b"\5\0", b"\5\0\0\x09"], "Unknown address type 0x09"),
        (client(), [b"\5\0", b"\5\0\0\3\1\xff\0\1"], "'utf-8' codec can't decode byte 0xff"),
    ],
)
def test_what_is_no_right_handshake_is_said(shaking: Handshake, heard: list[bytes], complaint: str) -> None:
    with pytest.raises(SOCKSError) as info:
        dialog(shaking, *heard)
    assert str(info.value).startswith("SOCKS: the handshake with the proxy failed: " + complaint)
    assert info.value.code is None
    assert info.value.__cause__ is not None


def test_a_cut_handshake_is_said() -> None:
    handshake = client()
    assert "SOCKS: the proxy ended the connection during the handshake" == str(handshake.fail(None))


# ---- the server


@pytest.mark.parametrize(
    ("shaking", "heard", "said", "request_"),
    [
        (server(), [b"\5\2\0\1", ASK_5], [b"\5\0", b""], SOCKSRequest("example.org", 80, 5)),
        (server(), [b"\5\1\0\5\1\0\1\1\2\3\4\0\x50"], [b"\5\0"], SOCKSRequest("1.2.3.4", 80, 5)),
        (server(), [b"\5\1\0\5\1\0\4" + bytes(15) + b"\1\0\x50"], [b"\5\0"], SOCKSRequest("::1", 80, 5)),
        (server(login=True), [b"\5\1\2", LOGIN, ASK_5], [b"\5\2", b"\1\0", b""], SOCKSRequest("example.org", 80, 5)),
        (server(), [ASK_4], [b""], SOCKSRequest("1.2.3.4", 80, 4)),
        (server(), [ASK_4A], [b""], SOCKSRequest("example.org", 80, 4)),
    ],
    ids=["5", "5, IPv4 at once", "5, IPv6", "5, password", "4", "4a"],
)
def test_a_server_is_asked(
    shaking: ServerHandshake, heard: list[bytes], said: list[bytes], request_: SOCKSRequest
) -> None:
    assert [b"", *said] == dialog(shaking, *heard)
    assert shaking.asks
    assert request_ == shaking.request()
    shaking.answer(SOCKSReply.GRANTED)
    assert (GRANTED_5 if request_.version == 5 else b"\0\x5a" + bytes(6)) == shaking.take_written()
    assert shaking.over


@pytest.mark.parametrize("reply", [each for each in SOCKSReply if each is not SOCKSReply.GRANTED])
def test_a_server_refuses_with_the_reason(reply: SOCKSReply) -> None:
    for heard, refusal in (
        (b"\5\1\0" + ASK_5, bytes([5, reply.value, 0, 1, *bytes(6)])),
        (ASK_4, b"\0\x5b" + bytes(6)),
    ):
        handshake = server()
        dialog(handshake, heard)
        handshake.answer(reply)
        assert refusal == handshake.take_written()
        assert (handshake.ended, handshake.over, handshake.asks) == (True, False, False)


@pytest.mark.parametrize(
    ("shaking", "heard", "complaint", "said"),
    [
        (server(), b"\5\1\1", "No acceptible auth method", b"\5\xff"),
        (server(login=True), b"\5\1\2\1\3Ada\4wild", "Wrong username or password", b"\5\2\1\1"),
        (server(login=True), b"\5\1\2\7", "Username/password auth version 0x07 not supported", b"\5\2\1\1"),
        (server(login=True), b"\5\1\2\1\1\xff\1x", "'utf-8' codec", b"\5\2\1\1"),
        (server(), b"\5\1\0\5\2\0\1" + bytes(6), "Socks command 0x02 is not supported", b"\5\0\5\7\0\1" + bytes(6)),
        (server(), b"\5\1\0\5\1\0\x09", "Unknown address type 0x09", b"\5\0\5\x08\0\1" + bytes(6)),
        (server(), b"\5\1\0\5\1\0\3\1\xff\0\1", "'utf-8' codec", b"\5\0\5\1\0\1" + bytes(6)),
        (server(), b"\5\1\0\4\1\0\1", "Expect socks version 5, but got 4", b"\5\0\5\1\0\1" + bytes(6)),
        (server(), b"\4\2\0\x50\1\2\3\4me\0", "Socks command 0x02 is not supported", b"\0\x5b" + bytes(6)),
        (server(), b"\4\1\0\x50\1\2\3\4" + b"m" * 1025, "Buffer became too long", b"\0\x5b" + bytes(6)),
        (server(5), b"\4", "Version 4 is not in allowed {5}", b"\0\x5b" + bytes(6)),
        (server(4), b"\5", "Version 5 is not in allowed {4}", b""),
        (server(), b"GET / HTTP/1.1\r\n", "Version 71 is not in allowed {4, 5}", b""),
    ],
)
def test_a_client_that_is_not_understood_is_told_as_far_as_can_be(
    shaking: Handshake, heard: bytes, complaint: str, said: bytes
) -> None:
    with pytest.raises(SOCKSError) as info:
        shaking.feed(heard)
    assert f"SOCKS: the handshake with the client failed: {complaint}" in str(info.value)
    assert said == shaking.take_written()


# ---- both


def test_it_knows_whether_anything_has_begun() -> None:
    silent, speaking = server(), server()
    speaking.feed(b"\4")
    assert [True, False, True] == [each.begun for each in (client(), silent, speaking)]
    assert 1 == speaking.holds


def test_every_cut_is_the_same() -> None:
    for cut in range(len(ASK_4A)):
        handshake = server()
        for piece in (ASK_4A[:cut], ASK_4A[cut:] + b"rest"):
            if piece:
                handshake.feed(piece)
        assert SOCKSRequest("example.org", 80, 4) == handshake.request()
        assert [b"rest"] == handshake.take_rest()


def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "siosocks", None)
    with pytest.raises(ImportError, match=r"pip install 'penstock\[siosocks\]'"):
        siosocks_protocol()
