"""`IRC`: lines to messages and back, and the answer to PING; RFC 1459 and https://modern.ircdocs.horse.

There is no library below: what IRC has of a format is a line, and the framer is a stage of its own. So a line that is
none is an error of that line, whatever came with it in the same read.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable
from typing import Any, Final

from pipeline import Duplex, FrameTooLongError, Inbound, Outbound, Reply, Result

from .._arguments import check_size
from .._bytes import BytesLike, as_bytes
from ._irc_message import IRCMessage, parse, written

__all__ = ["IRC"]

_DEFAULT_BYTES: Final = 512
_DEFAULT_TAG_BYTES: Final = 4096
_LINE_END: Final = len(b"\r\n")


class IRC(Duplex[BytesLike, IRCMessage, IRCMessage, bytes]):
    """Messages of IRC, with tags: lines in, messages out, and the reverse; as client or server.

    in:  b":ada!a@host PRIVMSG #chat :good morning"        out:  IRCMessage("PRIVMSG", "#chat", "good morning", ...)

    An item is one line: put the framer on the wire's side, `LineFramer(max_bytes=8701, ending="crlf") | IRC()`. PING is
    answered, and not shown. Empty lines are ignored. What commands mean is the client's matter.

    Args:
        max_bytes: the longest message sent, without tags and with its CRLF: beyond, servers cut it off.
        max_tag_bytes: the most bytes of tags sent, with the `@` before and the space behind them.
        encoding: of what is said; none of those in which ASCII has other bytes.
        errors: what becomes of received bytes that are none of that encoding, as for `bytes.decode`.
        answer_pings: whether PING is answered and not shown, or shown and not answered.

    Raises:
        ValueError: a line is no message; `recover` can go on with the next one. Or what is sent cannot be encoded.
        FrameTooLongError: what is sent is over one of the limits; nothing was written.
        TypeError: what is sent is no `IRCMessage`; nothing was written.
    """

    def __init__(
        self,
        *,
        max_bytes: int = _DEFAULT_BYTES,
        max_tag_bytes: int = _DEFAULT_TAG_BYTES,
        encoding: str = "utf-8",
        errors: str = "replace",
        answer_pings: bool = True,
    ) -> None:
        check_size("IRC", "max_bytes", max_bytes, default=_DEFAULT_BYTES)
        check_size("IRC", "max_tag_bytes", max_tag_bytes, default=_DEFAULT_TAG_BYTES)
        _check_encoding(encoding, errors)
        super().__init__(
            IRCInbound(encoding, errors, answer_pings=answer_pings),
            IRCOutbound(max_bytes, max_tag_bytes, encoding, errors),
        )


class IRCInbound(Inbound[BytesLike, IRCMessage]):
    """The inbound half of `IRC`; holds nothing."""

    name = "IRC.inbound"
    holds = 0
    peer_errors = (ValueError,)
    shareable = True

    def __init__(self, encoding: str, errors: str, *, answer_pings: bool) -> None:
        self._encoding, self._errors, self._answer_pings = encoding, errors, answer_pings

    def process_sync(self, line: BytesLike, /) -> Result[IRCMessage]:
        """Make a message of a line, or the answer to it.

        Raises:
            ValueError: it is none; the next line is read all the same.
        """
        data = as_bytes("IRC", line)
        if not data:
            return ()
        try:
            message = parse(data.decode(self._encoding, self._errors))
        except ValueError as error:
            dots = "..." if len(data) > 100 else ""
            remedy = '. A line is a framer\'s matter: LineFramer(ending="crlf") | IRC()' if b"\n" in data else ""
            raise ValueError(f"IRC: this line is no message: {error}: {data[:100]!r}{dots}{remedy}") from error
        return [self._pong(data)] if self._answer_pings and message.command == "PING" else [message]

    def _pong(self, data: bytes) -> Reply[bytes]:
        """The answer, with the same bytes, whatever they are."""
        ping = parse(data.decode(self._encoding, "surrogateescape"))
        return Reply(written(IRCMessage("PONG", *ping.params))[1].encode(self._encoding, "surrogateescape"))

    def unread(self, outputs: Iterable[Any], /) -> Iterable[Any] | None:
        """Nothing is held; a message that was not taken cannot be turned back into the same bytes."""
        return None if list(outputs) else ()


class IRCOutbound(Outbound[IRCMessage, bytes]):
    """The outbound half of `IRC`; holds nothing."""

    name = "IRC.outbound"
    holds = 0
    shareable = True
    keeps_outbound_state = False

    def __init__(self, max_bytes: int, max_tag_bytes: int, encoding: str, errors: str) -> None:
        self._max_bytes, self._max_tag_bytes, self._encoding = max_bytes, max_tag_bytes, encoding
        # What inbound gave goes back as it came, where that is possible; else what is sent is right.
        self._errors = errors if errors == "surrogateescape" else "strict"

    def process_one(self, message: IRCMessage, /) -> bytes:
        """Make a line of a message, without its end.

        Raises:
            FrameTooLongError, ValueError, TypeError: nothing is written.
        """
        if not isinstance(message, IRCMessage):
            raise TypeError(
                f"IRC sends messages, not {type(message).__name__}: IRCMessage('PRIVMSG', '#chat', 'good morning')"
            )
        tags, line = (text.encode(self._encoding, self._errors) for text in written(message))
        _check("a message", len(line) + _LINE_END, "max_bytes", self._max_bytes)
        _check("tags", len(tags), "max_tag_bytes", self._max_tag_bytes)
        return tags + line


def _check_encoding(encoding: str, errors: str) -> None:
    every = bytes(range(128))
    try:
        codecs.lookup_error(errors)
        right = every.decode(encoding, "replace") == every.decode() and every.decode().encode(encoding) == every
    except LookupError as error:
        raise ValueError(f"IRC(encoding={encoding!r}, errors={errors!r}): {error}") from None
    if not right:
        raise ValueError(f"IRC(encoding={encoding!r}): ASCII must be the same in it, as in 'utf-8' or 'cp1252'")


def _check(what: str, size: int, parameter: str, limit: int) -> None:
    if size > limit:
        raise FrameTooLongError(
            f"IRC: {what} of {size} bytes is over the limit, {parameter}={limit}; nothing was written. Say it in "
            f"several messages",
            limit=limit,
            size=size,
        )
