r"""`DBus`: a client's side of D-Bus by jeepney: the authentication, then messages.

https://dbus.freedesktop.org/doc/dbus-specification.html. jeepney's `Authenticator` says who we are; what is added here:
the BEGIN that it leaves to its user, bounds, serial numbers, and a look at each message before jeepney parses it (see
`_dbus_format`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from pipeline import CorruptFrameError, End, FrameTooLongError, IncompleteFrameError, StageTimeoutError

from .._arguments import check_seconds, check_size
from .._extras import Extra
from ._dbus_format import FIXED_HEADER, check_body, check_header, message_size
from .sansio import SansIO

if TYPE_CHECKING:
    from jeepney import Message

__all__ = ["DBus"]

_DEFAULT_BYTES: Final = 1 << 20
_MAX_LINE_BYTES: Final = 8192
_DEFAULT_SECONDS: Final = 30
_LAST_TYPE: Final = 4
_FIRST_SERIAL: Final = 1
_MAX_SERIAL: Final = 0xFFFFFFFF


class DBus(SansIO["Message", "Message"]):
    r"""Messages of D-Bus with jeepney: bytes in, messages out, and the reverse; as client.

    in:  b"OK 0123\r\n"  b"l\x02\x01\x01\x09\x00"  b"\x00\x00..."        out:  Message(Header(...), (":1.7",))

    Entering says who we are (EXTERNAL: the user that the process runs as) and waits until the bus accepts it. Then all
    is jeepney's `Message`: calls, returns, errors and signals. Say `message_bus.Hello()` first, as any bus wants it.
    Each message that is sent gets a serial number, unless it has one. For calls from many tasks there is
    `open_calls(pipeline, key=DBus.reply_key, request_key=dbus.number)`.

    Messages of types that are not known are passed over, as the specification wants it. File descriptors cannot be sent
    nor received.

    Needs the extra `penstock[jeepney]`.

    Args:
        max_bytes: the longest message accepted or sent, with its header.
        authenticate: False: it was done before, or this is a connection on which nobody does it.
        handshake_seconds: how long the bus may take to accept us; None: for ever.

    Raises:
        jeepney.auth.AuthenticationError: the bus refused us, or ended the connection before it accepted us; inbound
            stays failed, and nothing can be sent.
        StageTimeoutError: it took too long to accept us; the same.
        FrameTooLongError: a message is over `max_bytes`, or a line of the authentication over 8192; as soon as it says
            so. Inbound stays failed; outbound refuses such a message, and goes on.
        CorruptFrameError: what came is no message; inbound stays failed.
        IncompleteFrameError: the bus ended the connection inside a message.
        TypeError: what is sent is no `Message`; nothing was written.
        ValueError: what is sent could not be read by any bus, such as text with a NUL in it; likewise.
        ImportError: jeepney is not there.

    Attributes:
        skipped: how many messages of unknown types were passed over.
    """

    end_waits = False

    def __init__(
        self,
        *,
        max_bytes: int = _DEFAULT_BYTES,
        authenticate: bool = True,
        handshake_seconds: float | None = _DEFAULT_SECONDS,
    ) -> None:
        check_size("DBus", "max_bytes", max_bytes, default=_DEFAULT_BYTES, least=FIXED_HEADER)
        check_seconds("DBus", "handshake_seconds", handshake_seconds)
        self._jeepney = _jeepney()
        self.peer_errors = (self._jeepney.auth.AuthenticationError,)
        self._max_bytes, self._handshake_seconds = max_bytes, handshake_seconds
        self._authenticator: Any = self._jeepney.auth.Authenticator() if authenticate else None
        self._received = bytearray()
        self._to_write = b""
        self._serial = 0  # the last one that was given
        self.skipped = 0
        super().__init__()

    @property
    def ready(self) -> bool:
        """Whether the bus knows who we are."""
        return self._authenticator is None

    @property
    def holds(self) -> int:
        """Bytes of an unfinished message."""
        return len(self._received)

    # ---- in

    def start(self) -> Iterable[Message | End]:
        """Say who we are."""
        if self._authenticator is not None:
            self._to_write = self._authenticator.data_to_send()
            if self._handshake_seconds is not None:
                self.deadline = self.inbound.now() + self._handshake_seconds
        return ()

    def on_timer(self, now: float, /) -> Iterable[Message | End]:
        """Fail: it took too long."""
        raise StageTimeoutError(
            f"DBus: the bus has not accepted us after {self._handshake_seconds:g} seconds. Raise handshake_seconds if "
            f"it is right to be so slow"
        )

    def receive_data(self, data: bytes, /) -> Iterable[Message | End]:
        """Take the answer of the bus, then messages."""
        self._received += data
        if self._authenticator is not None and not self._authenticated():
            return ()
        return self._messages()

    def receive_eof(self) -> Iterable[Message | End]:
        """Take the end: right between messages."""
        received = bytes(self._received)
        if self._authenticator is not None:
            raise self._jeepney.auth.AuthenticationError(
                received, "DBus: the bus ended the connection before it accepted us"
            )
        if received:
            raise IncompleteFrameError(
                f"DBus: the stream ended {len(received)} bytes into a message", leftover=received
            )
        return ()

    def leftover(self) -> bytes:
        """Take out what no message has come of."""
        rest = bytes(self._received)
        self._received.clear()
        return rest

    def _authenticated(self) -> bool:
        end = self._received.find(b"\r\n")
        size = len(self._received) if end < 0 else end + 2
        if size > _MAX_LINE_BYTES:
            raise FrameTooLongError(
                f"DBus: a line of {size} bytes in the authentication is over the limit, {_MAX_LINE_BYTES}",
                limit=_MAX_LINE_BYTES,
                size=size,
            )
        if end < 0:
            return False
        # All of it: what follows the line cannot be right, since the bus has not been told to begin.
        self._authenticator.feed(bytes(self._received))
        self._received.clear()
        self._authenticator = self.deadline = None
        self._to_write += self._jeepney.auth.BEGIN
        return True

    def _messages(self) -> Iterator[Message]:
        while len(self._received) >= FIXED_HEADER:
            size = self._size()
            if size > self._max_bytes:
                raise self._too_long("a message", size, "Raise max_bytes if it is a right one")
            if len(self._received) < size:
                return
            message = bytes(self._received[:size])
            del self._received[:size]
            if message[1] > _LAST_TYPE:
                self.skipped += 1
            else:
                yield self._parsed(message)

    def _size(self) -> int:
        try:
            return message_size(bytes(self._received[:FIXED_HEADER]))
        except ValueError as error:
            raise CorruptFrameError(f"DBus: {error}; the bytes were {bytes(self._received[:FIXED_HEADER])!r}") from None

    def _parsed(self, message: bytes) -> Message:
        low_level = self._jeepney.low_level
        try:
            start = check_header(message)
            header, _ = low_level.Header.from_buffer(message)
            check_body(message, start, header.fields.get(low_level.HeaderFields.signature, ""))
            parsed: Message = low_level.Message.from_buffer(message)
        except Exception as error:
            raise CorruptFrameError(f"DBus: a message of {len(message)} bytes is none: {error}") from error
        return parsed

    def _too_long(self, what: str, size: int, remedy: str) -> FrameTooLongError:
        return FrameTooLongError(
            f"DBus: {what} of {size} bytes is over the limit, max_bytes={self._max_bytes}. {remedy}",
            limit=self._max_bytes,
            size=size,
        )

    # ---- out

    def send_event(self, event: Message, /) -> None:
        """Write a message."""
        if not isinstance(event, self._jeepney.Message):
            raise TypeError(
                f"DBus sends messages of jeepney, not {type(event).__name__}: jeepney.new_method_call(address, "
                f"'Method', 's', ('text',)), or what jeepney.message_bus gives"
            )
        self.number(event)
        data = self._written(event)
        if len(data) > self._max_bytes:
            raise self._too_long("a message", len(data), "Nothing was written. Raise max_bytes, if the bus takes it")
        self._to_write += data

    def _written(self, message: Message) -> bytes:
        """A message's bytes, looked at as those that come: a bus hangs up on who sends wrong ones."""
        fields: Any = message.header.fields
        signature = fields.get(self._jeepney.HeaderFields.signature, "")
        try:
            if message.body and not signature:
                raise ValueError("there is a body, and no signature that says what it is")
            data: bytes = message.serialise()
            check_body(data, check_header(data), signature)
        except Exception as error:
            raise ValueError(f"DBus: the message is none, and nothing was written: {error}") from error
        return data

    def data_to_send(self) -> bytes:
        """Take what is to be written."""
        data, self._to_write = self._to_write, b""
        return data

    # ---- for `open_calls`

    def number(self, message: Message) -> int:
        """Give a message a serial number on this connection, unless it has one; return it."""
        header: Any = message.header
        if header.serial < _FIRST_SERIAL:
            self._serial = _FIRST_SERIAL if self._serial >= _MAX_SERIAL else self._serial + 1
            header.serial = self._serial
        return int(header.serial)

    @staticmethod
    def reply_key(message: Message) -> int | None:
        """Return to which message another one is the reply, by its number; None: it is none."""
        from jeepney import HeaderFields  # noqa: PLC0415 - an extra, which made the message

        serial: int | None = message.header.fields.get(HeaderFields.reply_serial)
        return serial


def _jeepney() -> Any:
    with Extra("DBus", "jeepney"):
        import jeepney.auth  # noqa: PLC0415 - an extra
        import jeepney.low_level  # noqa: PLC0415
    return jeepney
