"""smtpproto's state machine as it is used: refusals are replies, and a mail arrives as it was written.

It shows, too, that smtpproto is still the one whose private names are overridden.
"""

from __future__ import annotations

import sys
from email.message import EmailMessage

import pytest
from smtpproto.protocol import ClientState, SMTPClientProtocol, SMTPProtocolViolation

from stages.protocols._smtp_connection import _NEXT, connection_type, smtpproto


def connected(*, offers: bytes = b"250-mx\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n") -> SMTPClientProtocol:
    """A connection that was greeted and said EHLO."""
    connection = connection_type()()
    connection.feed_bytes(b"220 mx\r\n")
    connection.send_greeting("me")
    connection.feed_bytes(offers)
    connection.get_outgoing_data()
    return connection


def in_data() -> SMTPClientProtocol:
    """A connection that may send a mail."""
    connection = connected()
    connection.mail("a@b")
    connection.feed_bytes(b"250 ok\r\n")
    connection.recipient("a@b")
    connection.feed_bytes(b"250 ok\r\n")
    connection.start_data()
    connection.feed_bytes(b"354 go on\r\n")
    connection.get_outgoing_data()
    return connection


def code_of(connection: SMTPClientProtocol, reply: bytes) -> int:
    response = connection.feed_bytes(reply)
    assert response is not None
    return response.code


# ---- refusals


@pytest.mark.parametrize("code", [421, 454, 500, 502, 530, 554])
def test_any_refusal_of_a_command_is_a_reply(code: int) -> None:
    connection = connected()
    connection.mail("a@b")
    assert code == code_of(connection, b"%d no\r\n" % code)
    assert not connection.needs_incoming_data
    assert connection.state is (ClientState.finished if code == 421 else ClientState.ready)


@pytest.mark.parametrize("code", [452, 530, 552, 554])
def test_behind_a_mail_that_was_refused_the_next_one_may_follow(code: int) -> None:
    connection = in_data()
    connection.data(EmailMessage())
    assert connection.needs_incoming_data
    assert code == code_of(connection, b"%d spam\r\n" % code)
    connection.mail("a@b")


@pytest.mark.parametrize("code", [421, 450, 521, 554])
def test_a_greeting_that_refuses_is_the_end(code: int) -> None:
    connection = connection_type()()
    assert code == code_of(connection, b"%d go away\r\n" % code)
    assert ClientState.finished is connection.state
    assert not connection.needs_incoming_data


@pytest.mark.parametrize("code", [501, 504, 535])
def test_after_a_wrong_password_another_may_be_tried(code: int) -> None:
    connection = connected()
    connection.authenticate("PLAIN", "x")
    assert code == code_of(connection, b"%d no\r\n" % code)
    connection.authenticate("PLAIN")
    connection.feed_bytes(b"334 \r\n")
    connection.send_authentication_data("x")
    assert code == code_of(connection, b"%d no\r\n" % code)
    connection.mail("a@b")


@pytest.mark.parametrize("code", [500, 502])
def test_to_a_server_of_long_ago_it_says_helo(code: int) -> None:
    connection = connection_type()()
    connection.feed_bytes(b"220 mx\r\n")
    connection.send_greeting("me")
    assert connection.feed_bytes(b"%d what?\r\n" % code) is None
    assert b"EHLO me\r\nHELO me\r\n" == connection.get_outgoing_data()
    assert 250 == code_of(connection, b"250 hello\r\n")


def test_a_server_may_say_421_at_any_time() -> None:
    connection = connected()
    assert 421 == code_of(connection, b"421 going down\r\n")
    assert ClientState.finished is connection.state


@pytest.mark.parametrize("reply", [b"250 injected\r\n", b"554 injected\r\n", b"220 again\r\n"])
def test_a_reply_that_nobody_asked_for_is_a_violation(reply: bytes) -> None:
    with pytest.raises(SMTPProtocolViolation, match="Unexpected response"):
        connected().feed_bytes(reply)


def test_a_code_that_does_not_fit_is_a_violation() -> None:
    connection = connected()
    connection.mail("a@b")
    with pytest.raises(SMTPProtocolViolation, match="Unexpected response: 354 ok"):
        connection.feed_bytes(b"354 ok\r\n")


def test_behind_starttls_nothing_counts_that_was_offered_before() -> None:
    connection = connected(offers=b"250-mx\r\n250-SIZE 5\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n")
    assert (5, frozenset({"PLAIN"})) == (connection.max_message_size, connection.auth_mechanisms)
    connection.start_tls()
    assert 220 == code_of(connection, b"220 go on\r\n")
    assert connection.max_message_size is None
    assert frozenset() == connection.auth_mechanisms == connection.extensions


# ---- mails


def received(written: bytes) -> bytes:
    """What a server makes of it (RFC 5321, section 4.5.2); it must end where it does, and not before."""
    assert written.endswith(b"\r\n.\r\n")
    lines = written.removesuffix(b".\r\n").split(b"\r\n")[:-1]
    assert b"." not in lines
    return b"".join(line.removeprefix(b".") + b"\r\n" for line in lines)


@pytest.mark.parametrize(
    "text", ["", "one\n", ".\n", "..\n.\n", ".a\n\n.\n..b\n", "\n.\n", "no end", "ends in a dot.", ".", "x\n."]
)
def test_dots_and_ends_arrive_as_they_were(text: str) -> None:
    connection, mail = in_data(), EmailMessage()
    mail["Subject"] = "dots"
    mail.set_payload(text)
    connection.data(mail)
    ended = text if text.endswith("\n") or not text else f"{text}\n"
    assert b"Subject: dots\r\n\r\n" + ended.replace("\n", "\r\n").encode() == received(connection.get_outgoing_data())


def test_a_dot_that_begins_the_first_header_is_doubled() -> None:
    connection, mail = in_data(), EmailMessage()
    mail[".Odd"] = "x"
    mail.set_content("y")
    connection.data(mail)
    assert received(connection.get_outgoing_data()).startswith(b".Odd: x\r\n")


def test_a_mail_with_a_lone_lf_is_refused_and_the_next_one_goes_out() -> None:
    """It is what lets one mail hide another (SMTP smuggling)."""
    connection, mail = in_data(), EmailMessage()
    mail._headers = [("X", Raw("y"))]  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="has a lone CR or LF in it"):
        connection.data(mail)
    assert b"" == connection.get_outgoing_data()
    right = EmailMessage()
    right.set_content("y")
    connection.data(right)
    assert received(connection.get_outgoing_data()).endswith(b"\r\ny\r\n")


class Raw(str):
    """A header that writes itself, as no header of the standard library does."""

    __slots__ = ()
    name = "X"

    def fold(self, *, policy: object) -> str:
        return "X: a\n.\nMAIL FROM:<b>\r\n"


def test_one_class_is_made() -> None:
    assert connection_type() is connection_type()


def test_without_smtpproto_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "smtpproto", None)
    with pytest.raises(ImportError, match=r"SMTPClient needs smtpproto: pip install 'penstock\[smtpproto\]'"):
        smtpproto()


def test_what_cannot_be_sent_now_is_told_with_what_comes_next() -> None:
    connection = connection_type()()
    for received, says in [
        (b"", "the server has not greeted yet: receive first"),
        (b"220 mx\r\n", r"first comes SMTPCommand.ehlo\('me.example'\)"),
    ]:
        connection.feed_bytes(received)
        with pytest.raises(SMTPProtocolViolation, match=rf"^SMTPClient: this cannot be sent now, {says} \("):
            connection.mail("a@b")
    with pytest.raises(SMTPProtocolViolation, match=r"a mail begins with SMTPCommand.mail\(address\)"):
        connected().recipient("a@b")
    with pytest.raises(SMTPProtocolViolation, match=r"next comes the mail, an EmailMessage"):
        in_data().mail("a@b")


def test_every_state_of_smtpproto_has_what_comes_next() -> None:
    assert {state.name for state in ClientState} == {*_NEXT, "ready", "authenticated"}
