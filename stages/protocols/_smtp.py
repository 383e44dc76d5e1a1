"""`SMTPClient`: mail submission (RFC 5321) by smtpproto, with STARTTLS (RFC 3207) and AUTH (RFC 4954).

What is done here beside naming the library's calls, and why:

- Replies are cut, checked and counted here, and given to smtpproto whole, one at a time: it keeps lines without bound,
  and what follows the reply to STARTTLS must not have been seen by it.
- smtpproto takes a refusal that it does not know for the command, such as 554 to a mail, for a violation that ends
  the session. It is the server's good right, and the session goes on.
- The first dot and the last line of a mail: smtpproto doubles dots behind line breaks only, and ends no last line.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from email.message import EmailMessage
from typing import TYPE_CHECKING, Final, NoReturn

from pipeline import END, End, FrameTooLongError, StageTimeoutError

from .._arguments import check_seconds, check_size
from ._smtp_command import SMTPCommand
from ._smtp_connection import connection_type, smtpproto
from .sansio import SansIO

if TYPE_CHECKING:
    from smtpproto.protocol import SMTPClientProtocol, SMTPResponse

__all__ = ["SMTPClient"]

_DEFAULT_BYTES: Final = 65536
_DEFAULT_SECONDS: Final = 300
"""RFC 5321, section 4.5.3.2.1."""
_SHORTEST_REPLY: Final = len(b"250\r\n")
_CODE: Final = 3  # digits
_ASKS = 334
_RIGHT_CALL = "SMTPCommand.ehlo('me.example'), and others of its methods; behind the reply to data(), an EmailMessage"

_SAY: Final[dict[str, Callable[..., None]]] = {
    "EHLO": lambda connection, domain: connection.send_greeting(domain),
    "STARTTLS": lambda connection: connection.start_tls(),
    "NOOP": lambda connection: connection.noop(),
    "QUIT": lambda connection: connection.quit(),
    "AUTH": lambda connection, mechanism, secret=None: connection.authenticate(mechanism, secret),
    "ANSWER": lambda connection, data: connection.send_authentication_data(data),
    "MAIL": lambda connection, sender, smtputf8=False: connection.mail(sender, smtputf8=smtputf8),
    "RCPT": lambda connection, recipient: connection.recipient(recipient),
    "DATA": lambda connection: connection.start_data(),
    "RSET": lambda connection: connection.reset(),
}


class SMTPClient(SansIO["SMTPResponse", "SMTPCommand | EmailMessage"]):
    r"""A mail client's side of SMTP with smtpproto: commands and mails out, the server's replies in.

    in:  b"220 mx.exam"  b"ple\r\n"        out:  SMTPResponse(code=220, message="mx.example")

    The first reply is the server's greeting; entering waits for it. Then each `SMTPCommand` has one reply, and so has
    each mail, an `email.message.EmailMessage`. A `send()` waits for the reply to what was sent before. A refusal (a
    code of 400 or more) is a reply like others. When the pipeline is closed in good order, QUIT is said.

    Behind the reply 220 to `SMTPCommand.starttls()` nothing is read nor sent before the chain was changed by
    `await pipeline.insert(TLS(context, name), before=SMTPClient)`, which is refused if anything was received already;
    then this connection is of no more use. What the server had offered before is forgotten then; say `ehlo` again.

    Needs the extra `penstock[smtpproto]`.

    Args:
        max_reply_bytes: the longest reply accepted, with all its lines and their ends.
        greeting_seconds: how long the server may take to greet; None: for ever.

    Raises:
        smtpproto.protocol.SMTPProtocolViolation: what the server sent is no reply, or none that fits; it ended the
            connection when a reply was due; inbound stays failed. Or the command cannot be sent now, nothing was
            written, and others can be sent.
        smtpproto.protocol.SMTPMissingExtension, smtpproto.protocol.SMTPUnsupportedAuthMechanism: the server does not
            offer that; nothing was written.
        StageTimeoutError: the greeting took too long; inbound stays failed.
        FrameTooLongError: a reply is over `max_reply_bytes`; inbound stays failed.
        ValueError: the mail has a lone CR or LF in it; nothing was written.
        TypeError: what is sent is neither a command nor a mail; nothing was written.
        ImportError: smtpproto is not there.

    Attributes:
        connection: the `smtpproto.protocol.SMTPClientProtocol`, to ask: `extensions`, `auth_mechanisms`,
            `max_message_size`, `state`.
    """

    connection: SMTPClientProtocol
    end_waits = False

    def __init__(
        self, *, max_reply_bytes: int = _DEFAULT_BYTES, greeting_seconds: float | None = _DEFAULT_SECONDS
    ) -> None:
        check_size("SMTPClient", "max_reply_bytes", max_reply_bytes, default=_DEFAULT_BYTES, least=_SHORTEST_REPLY)
        check_seconds("SMTPClient", "greeting_seconds", greeting_seconds)
        self._smtp = smtpproto()
        self.peer_errors = (self._smtp.SMTPProtocolViolation,)
        self._max_reply_bytes, self._greeting_seconds = max_reply_bytes, greeting_seconds
        self.connection = connection_type()()
        self._buffer = bytearray()  # of the next reply, which smtpproto has not seen
        self._line = self._searched = 0  # where its unfinished line begins, and where to look for the end of that
        self._said = ""  # the verb of the command whose reply is due
        self._answers: list[str] = []  # to the server's questions, the next one first
        self._changes_to_tls = False
        self._injected = 0  # bytes that came when TLS was next
        self.sending_ended = False
        super().__init__()

    @property
    def ready(self) -> bool:
        """Whether something may be sent: not while a reply is to come."""
        return not self.connection.needs_incoming_data

    @property
    def paused(self) -> bool:
        """Whether nothing is read: until TLS is there."""
        return self._changes_to_tls

    @property
    def holds(self) -> int:
        """Bytes of an unfinished reply."""
        return len(self._buffer)

    # ---- in

    def start(self) -> Iterable[SMTPResponse | End]:
        """Wait for the greeting."""
        if self._greeting_seconds is not None:
            self.deadline = self.inbound.now() + self._greeting_seconds
        return ()

    def on_timer(self, now: float, /) -> Iterable[SMTPResponse | End]:
        """Fail: it took too long."""
        raise StageTimeoutError(
            f"SMTPClient: the server has not greeted after {self._greeting_seconds:g} seconds. Raise greeting_seconds "
            f"if it is right to be so slow"
        )

    def receive_data(self, data: bytes, /) -> Iterable[SMTPResponse | End]:
        """Take replies, one by one."""
        self._check_nothing_injected()
        self._buffer += data
        return self._replies()

    def receive_eof(self) -> Iterable[SMTPResponse | End]:
        """Take the end of the stream: right when no reply is due."""
        if self._buffer or self.connection.needs_incoming_data:
            begun = f", {len(self._buffer)} bytes into it" if self._buffer else ""
            raise self._smtp.SMTPProtocolViolation(
                f"SMTPClient: the server ended the connection when a reply was due{begun} "
                f"(state: {self.connection.state.name})"
            )
        return ()

    def leftover(self) -> bytes:
        """Take out what follows the last reply taken."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        self._line = self._searched = 0
        if self._changes_to_tls:
            self._injected += len(rest)
        self._changes_to_tls = False
        return rest

    def _replies(self) -> Iterator[SMTPResponse | End]:
        while not (self._changes_to_tls or self.sending_ended) and (size := self._reply_size()):
            reply = bytes(self._buffer[:size])
            del self._buffer[:size]
            self._line = self._searched = 0
            response = self._take(reply)
            if response is None:
                continue
            yield response
            if self.sending_ended:
                yield END

    def _take(self, reply: bytes) -> SMTPResponse | None:
        """What a whole reply becomes; None: it was answered."""
        self.deadline = None  # this is the greeting, or it came before
        lines = [line.ljust(_CODE + 1) for line in reply.decode(errors="replace").split("\r\n")[:-1]]
        # smtpproto takes ASCII alone, in lines that have a space behind the code.
        plain = "".join(f"{line}\r\n" for line in lines).encode("ascii", "backslashreplace")
        try:
            response = self.connection.feed_bytes(plain)
        except ValueError as error:  # such as a SIZE of five thousand digits
            self._refuse(str(error))
        if response is None:
            return None
        if response.code == _ASKS and self._answers:
            self.connection.send_authentication_data(self._answers.pop(0))
            return None
        self._answers = []
        if not response.is_error():
            self._changes_to_tls, self.sending_ended = self._said == "STARTTLS", self._said == "QUIT"
        self._said = ""
        return type(response)(response.code, "\n".join(line[_CODE + 1 :] for line in lines))

    def _reply_size(self) -> int:
        """The bytes of the first reply; 0: it is not whole."""
        while (end := self._buffer.find(b"\n", self._searched) + 1) > 0:
            self._check_size(end)
            line = bytes(self._buffer[self._line : end])
            self._check_start(line)
            if line.find(b"\r") != len(line) - 2:
                self._refuse(f"a line must end in CRLF, and this does not: {line[:80]!r}")
            self._line = self._searched = end
            if line[_CODE : _CODE + 1] != b"-":
                return end
        self._searched = len(self._buffer)
        if self._buffer:
            begun = len(self._buffer) - self._line
            missing = 1 if self._buffer.endswith(b"\r") else 2
            self._check_size(self._line + max(begun + missing, _SHORTEST_REPLY))
            self._check_start(bytes(self._buffer[self._line : self._line + _CODE + 1]))
        return 0

    def _check_size(self, size: int) -> None:
        limit = self._max_reply_bytes
        if size > limit:
            raise FrameTooLongError(
                f"SMTPClient: a reply of at least {limit + 1} bytes is over the limit, max_reply_bytes={limit}. Raise "
                f"max_reply_bytes if it is a right one",
                limit=limit,
                size=limit + 1,
            )

    def _check_start(self, line: bytes) -> None:
        """Refuse at once what is no reply: another protocol need not end its lines."""
        for at, byte in enumerate(line[: _CODE + 1]):
            if not (48 <= byte <= 57 if at < _CODE else byte in b" -\r"):
                self._refuse(f"a reply begins with three digits and a space, not with {line[: at + 1]!r}")

    def _refuse(self, problem: str) -> NoReturn:
        raise self._smtp.SMTPProtocolViolation(f"SMTPClient: what the server sent is no reply: {problem}")

    def _check_nothing_injected(self) -> None:
        """Go on neither in plaintext nor over TLS once a change to it was refused."""
        if self._injected:
            raise self._smtp.SMTPProtocolViolation(
                f"SMTPClient: {self._injected} bytes followed the reply to STARTTLS before TLS began, as somebody on "
                f"the way may have put them there; this connection is not to be used any more"
            )

    # ---- out

    def send_event(self, event: SMTPCommand | EmailMessage, /) -> None:
        """Write a command, or a mail."""
        self._check_nothing_injected()
        if self._changes_to_tls:
            raise self._smtp.SMTPProtocolViolation(
                "SMTPClient: STARTTLS was accepted, so TLS is next: "
                "await pipeline.insert(TLS(context, 'the.server'), before=SMTPClient)"
            )
        if self._buffer:
            raise self._smtp.SMTPProtocolViolation(
                f"SMTPClient: {len(self._buffer)} bytes came behind the last reply, which would be taken for the one "
                f"to what is sent next: receive them first"
            )
        match event:
            case EmailMessage():
                self.connection.data(event)
            case SMTPCommand("LOGIN"):
                self._log_in(*event.arguments)
            case SMTPCommand() if event.verb in _SAY:
                _SAY[event.verb](self.connection, *event.arguments)
                self._said = event.verb
            case _:
                raise TypeError(f"SMTPClient sends commands and mails, not {_shown(event)}: {_RIGHT_CALL}")

    def data_to_send(self) -> bytes:
        """Take what is to be written."""
        return self.connection.get_outgoing_data()

    def send_eof(self) -> None:
        """End in good order: not inside a mail, and with QUIT where a command can be sent."""
        connection = self.connection
        if connection.state.name == "send_data":
            raise self._smtp.SMTPProtocolViolation(
                "SMTPClient: the client's direction ended inside a mail; behind the reply to data(), send the mail"
            )
        may_send = self.ready and not (self.paused or self._injected or self._buffer)
        if may_send and connection.state.name != "finished":
            self.send_event(SMTPCommand.quit())

    def _log_in(self, username: str, password: str) -> None:
        connection = self.connection
        answers = [_base64(username), _base64(password)]
        if "PLAIN" in connection.auth_mechanisms or "LOGIN" not in connection.auth_mechanisms:
            # RFC 4616; without either, smtpproto says what is missing.
            connection.authenticate("PLAIN", _base64(f"\0{username}\0{password}"))
            answers = []
        else:
            connection.authenticate("LOGIN")
        self._answers = [*answers, "*"]  # RFC 4954: to more questions, that this is given up


def _shown(event: object) -> str:
    return repr(event) if isinstance(event, SMTPCommand) else type(event).__name__


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode()
