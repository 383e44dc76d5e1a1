"""smtpproto's state machine, where it is stricter than RFC 5321, or not strict enough.

Rules for this file: it overrides, and adds nothing of its own to ask for. It knows smtpproto 2's private names, as
there is no other way in; `tests/stages/protocols/test_smtp_connection.py` would show a version that has changed them.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any

from .._extras import Extra

if TYPE_CHECKING:
    from smtpproto.protocol import SMTPClientProtocol as Base
    from smtpproto.protocol import SMTPResponse
else:
    Base = object  # the library is an extra: `connection_type` puts its class behind this one

__all__ = ["connection_type", "smtpproto"]

_END = b".\r\n"
_NEXT = {
    "greeting_expected": "the server has not greeted yet: receive first",
    "greeting_received": "first comes SMTPCommand.ehlo('me.example')",
    "authenticating": "SMTPCommand.answer(...) comes next",
    "mailtx": "next comes SMTPCommand.rcpt(address)",
    "recipient_sent": "next comes SMTPCommand.rcpt(address) or data()",
    "send_data": "next comes the mail, an EmailMessage",
    "data_sent": "the server has not taken the mail yet: receive first",
    "finished": "the connection is over",
}
_BEGINS = "a mail begins with SMTPCommand.mail(address)"  # where anything may be said


def smtpproto() -> Any:
    """The library, of which only this part needs no event loop."""
    with Extra("SMTPClient", "smtpproto"):
        from smtpproto import protocol  # noqa: PLC0415 - an extra
    return protocol


class Connection(Base):
    """A connection that takes every refusal, and writes every mail as it is."""

    _state: Any
    _out_buffer: bytes
    _extensions: frozenset[str]
    _auth_mechanisms: frozenset[str]

    def _require_state(self, *allowed: Any) -> None:
        if self._state not in allowed:
            names = ", ".join(state.name for state in allowed)
            raise smtpproto().SMTPProtocolViolation(
                f"SMTPClient: this cannot be sent now, {_NEXT.get(self._state.name, _BEGINS)} (Required state: one "
                f"of: {names}; current state: {self._state.name})"
            )

    def _parse_response(self, code: int, lines: Sequence[str]) -> SMTPResponse | None:
        library = smtpproto()
        command, before = self._command_sent, self._state
        if command == "EHLO" and code == 502:
            code = 500  # both mean that it does not know EHLO, and HELO is next
        try:
            response = super()._parse_response(code, lines)
        except library.SMTPProtocolViolation:
            was_due = command is not None or before.name in ("greeting_expected", "data_sent")
            if not 400 <= code <= 599 or not (was_due or code == 421):
                raise
            self._state = before
            response = library.SMTPResponse(code, "\n".join(lines))
        if code >= 400:
            self._refused(code, command, before)
        elif command == "STARTTLS":
            # RFC 3207: what was said in plaintext does not count.
            self._extensions = self._auth_mechanisms = frozenset()
            self._max_message_size = None
        return response

    def _refused(self, code: int, command: str | None, before: Any) -> None:
        """Go on where one is after a refusal."""
        states = smtpproto().ClientState
        if code == 421 or before is states.greeting_expected:
            self._state = states.finished
        elif before in (states.data_sent, states.authenticating) or command == "AUTH":
            self._state = states.ready

    def data(self, message: EmailMessage) -> None:
        before = self._state
        super().data(message)
        mail = self._out_buffer.removesuffix(_END)
        rest = mail.replace(b"\r\n", b"")
        if b"\r" in rest or b"\n" in rest:
            self._out_buffer, self._state = b"", before
            raise ValueError(
                "SMTPClient: the mail has a lone CR or LF in it, which servers read in different ways: one mail could "
                "hide another. Make it with email.message.EmailMessage's set_content()"
            )
        # smtpproto doubled the dots behind line breaks, and takes the mail's last line for ended.
        first = b"." if mail.startswith(b".") else b""
        last = b"" if mail.endswith(b"\r\n") else b"\r\n"
        self._out_buffer = first + mail + last + _END


@functools.cache
def connection_type() -> type[Base]:
    """The class of connections; made when it is asked for, as its other base is an extra."""
    return type("Connection", (Connection, smtpproto().SMTPClientProtocol), {})
