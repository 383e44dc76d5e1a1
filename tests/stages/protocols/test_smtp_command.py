"""SMTPCommand: one line each, whatever is in it; and no password shown."""

from __future__ import annotations

from collections.abc import Callable
from email.headerregistry import Address

import pytest

from stages import SMTPCommand


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        (SMTPCommand.ehlo("me.example"), "SMTPCommand.ehlo('me.example')"),
        (SMTPCommand.starttls(), "SMTPCommand.starttls()"),
        (SMTPCommand.noop(), "SMTPCommand.noop()"),
        (SMTPCommand.quit(), "SMTPCommand.quit()"),
        (SMTPCommand.login("ada", "secret"), "SMTPCommand.login('ada', ...)"),
        (SMTPCommand.auth("XOAUTH2", "c2VjcmV0"), "SMTPCommand.auth('XOAUTH2', ...)"),
        (SMTPCommand.auth("LOGIN"), "SMTPCommand.auth('LOGIN')"),
        (SMTPCommand.answer("c2VjcmV0"), "SMTPCommand.answer(...)"),
        (SMTPCommand.mail("ada@a.example"), "SMTPCommand.mail('ada@a.example')"),
        (SMTPCommand.mail("ada@ä.example", smtputf8=True), "SMTPCommand.mail('ada@ä.example', smtputf8=True)"),
        (SMTPCommand.rcpt(Address("", "a b", "c.example")), "SMTPCommand.rcpt('\"a b\"@c.example')"),
        (SMTPCommand.data(), "SMTPCommand.data()"),
        (SMTPCommand.rset(), "SMTPCommand.rset()"),
    ],
    ids=str,
)
def test_it_is_shown_as_it_was_made_without_its_secrets(command: SMTPCommand, shown: str) -> None:
    assert shown == repr(command)


@pytest.mark.parametrize("bad", ["a\r\nDATA", "a\nb", "a\rb", "a\0b", "a\x7f"])
@pytest.mark.parametrize(
    "make", [SMTPCommand.ehlo, SMTPCommand.mail, SMTPCommand.rcpt, SMTPCommand.auth, SMTPCommand.answer]
)
def test_an_argument_cannot_begin_a_second_command(make: Callable[[str], SMTPCommand], bad: str) -> None:
    with pytest.raises(ValueError, match="a line break or another control character"):
        make(bad)


def test_a_password_may_have_anything_in_it() -> None:
    """It goes out in base64; and a wrong argument beside a secret does not show that."""
    SMTPCommand.login("ada", "a\r\nb")
    with pytest.raises(ValueError, match=r"^SMTPCommand.auth\('X', \.\.\.\): an argument has a line break"):
        SMTPCommand.auth("X", "c2Vjc\nmV0")


@pytest.mark.parametrize("user", [("ada\0eve", "secret"), ("ada", "sec\0ret")])
def test_a_nul_cannot_end_a_username(user: tuple[str, str]) -> None:
    """With PLAIN it stands between name and password; neither is shown."""
    with pytest.raises(ValueError, match=r"^SMTPCommand.login\(\.\.\.\): a NUL would end the username") as caught:
        SMTPCommand.login(*user)
    assert "sec" not in str(caught.value)


@pytest.mark.parametrize("address", ["Ada <ada@a.example>", "ada@a.example> SIZE=1", "<"])
def test_an_address_cannot_end_early(address: str) -> None:
    with pytest.raises(ValueError, match=r"is to be the address alone, such as 'ada@here.example'"):
        SMTPCommand.mail(address)
