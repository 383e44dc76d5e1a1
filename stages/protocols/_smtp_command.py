"""`SMTPCommand`: what an SMTP client says, as items; RFC 5321, 3207 (STARTTLS), 4954 (AUTH).

Rules for this file: a command that exists is one line on the wire; what would make it two is refused when it is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from email.headerregistry import Address
from typing import Any, Final

__all__ = ["SMTPCommand"]

_SECRET: Final = {"LOGIN": 1, "AUTH": 1, "ANSWER": 0}
"""From which argument on it is nobody's business."""


@dataclass(frozen=True, repr=False)
class SMTPCommand:
    """A command for `SMTPClient` to send, made by one of the methods: `SMTPCommand.mail("me@here.example")`.

    in:  mail("me@here.example")        out:  MAIL FROM:<me@here.example>

    Passwords are not shown by `repr`, and so in no error and no log of items.

    Args:
        verb: the command's name.
        arguments: what the method was given.

    Raises:
        ValueError: there is a line break or another control character in an argument, which would begin a second
            command, `<` or `>` in an address, or a NUL in a username or password.
    """

    verb: str
    arguments: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        texts = [argument for argument in self.arguments if isinstance(argument, str)]
        if self.verb == "LOGIN" and any("\0" in text for text in texts):
            raise ValueError("SMTPCommand.login(...): a NUL would end the username before its end (RFC 4616)")
        for text in texts if self.verb != "LOGIN" else ():
            if not _is_one_line(text):
                raise ValueError(
                    f"{self!r}: an argument has a line break or another control character in it, which could begin a "
                    f"second command"
                )

    def __repr__(self) -> str:
        shown = _SECRET.get(self.verb, len(self.arguments))
        words = ["smtputf8=True" if argument is True else repr(argument) for argument in self.arguments[:shown]]
        words += ["..."] * len(self.arguments[shown:])
        return f"SMTPCommand.{self.verb.lower()}({', '.join(words)})"

    # ---- the connection

    @classmethod
    def ehlo(cls, domain: str) -> SMTPCommand:
        """Say who this is, and ask what the server can do; to servers of long ago HELO is said instead."""
        return cls("EHLO", (domain,))

    @classmethod
    def starttls(cls) -> SMTPCommand:
        """Ask for TLS; behind the reply 220 it is inserted: `await pipeline.insert(TLS(...), before=SMTPClient)`."""
        return cls("STARTTLS")

    @classmethod
    def noop(cls) -> SMTPCommand:
        """Do nothing, and be told so."""
        return cls("NOOP")

    @classmethod
    def quit(cls) -> SMTPCommand:
        """End; behind the reply 221 both directions end."""
        return cls("QUIT")

    # ---- who sends

    @classmethod
    def login(cls, username: str, password: str) -> SMTPCommand:
        """Authenticate by PLAIN, or by LOGIN where that is all there is; one reply comes, 235 if it was accepted."""
        return cls("LOGIN", (username, password))

    @classmethod
    def auth(cls, mechanism: str, secret: str | None = None) -> SMTPCommand:
        """Begin to authenticate by any mechanism; to each reply 334 an `answer` is due.

        Args:
            mechanism: as the server calls it, such as "XOAUTH2".
            secret: what is sent with it, in base64.
        """
        return cls("AUTH", (mechanism,) if secret is None else (mechanism, secret))

    @classmethod
    def answer(cls, data: str) -> SMTPCommand:
        """Answer a reply 334, in base64; "*" gives up."""
        return cls("ANSWER", (data,))

    # ---- a mail

    @classmethod
    def mail(cls, sender: str | Address, *, smtputf8: bool = False) -> SMTPCommand:
        """Begin a mail.

        Args:
            sender: to whom it goes back if it cannot be delivered; "": to nobody.
            smtputf8: whether this mail has addresses that are not ASCII; every server on its way must know of it.
        """
        return cls("MAIL", (_address(sender), True) if smtputf8 else (_address(sender),))

    @classmethod
    def rcpt(cls, recipient: str | Address) -> SMTPCommand:
        """Name one who is to get the mail."""
        return cls("RCPT", (_address(recipient),))

    @classmethod
    def data(cls) -> SMTPCommand:
        """Ask to send the mail itself; behind the reply 354 the next item is an `email.message.EmailMessage`."""
        return cls("DATA")

    @classmethod
    def rset(cls) -> SMTPCommand:
        """Drop the mail that was begun."""
        return cls("RSET")


def _is_one_line(text: str) -> bool:
    return not any(character < " " or character == "\x7f" for character in text)


def _address(given: str | Address) -> str:
    address = given.addr_spec if isinstance(given, Address) else given
    if "<" in address or ">" in address:
        raise ValueError(f"SMTPCommand: {address!r} is to be the address alone, such as 'ada@here.example'")
    return address
