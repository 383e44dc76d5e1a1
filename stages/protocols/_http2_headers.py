"""Headers that `HTTP2` sends are looked at here, before h2 has them.

h2 checks them while it compresses them: what is wrong then has opened a stream of which the peer knows nothing, and
left entries in the table of the compression which the peer's has not. The whole connection would be lost by it. So h2's
checks are made here, with those that it makes of received headers alone (RFC 9113, section 8.2.1).

Rules for this file: nothing in h2's connection is changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from ._http2_items import SendHeaders

_NAME: Final = re.compile(rb":?[^\x00-\x20A-Z\x7f-\xff:]+").fullmatch
_VALUE: Final = re.compile(rb"[^\0\r\n]*").fullmatch
_STATUS: Final = re.compile(rb"(?!101)[1-9][0-9][0-9]").fullmatch  # 101 is HTTP/1.1's (RFC 9113, section 8.6)
_PLAIN: Final = {tuple}
_NO_PAIRS: Final = (Mapping, str)
_SHOWN: Final = 100
_SHORT: Final = 200
_REMEMBERED: Final = 200
_FEW: Final = 50


class Headers:
    """Makes of what a user gives the list that h2 compresses.

    Args:
        library: h2.
        client: whether they are a client's.
    """

    def __init__(self, library: Any, *, client: bool) -> None:
        self._utilities, self._client = library.utilities, client
        self._known: dict[Any, Any] = {}
        self._right: set[tuple[bool | bytes, ...]] = set()
        self._error = library.exceptions.ProtocolError
        flags = library.utilities.HeaderValidationFlags
        opens = {"is_client": client, "is_trailer": False, "is_push_promise": False}
        self._first = flags(is_response_header=not client, **opens)
        self._trailers = flags(is_response_header=False, **opens | {"is_trailer": True})

    def of(self, item: SendHeaders, *, began: bool) -> list[Any]:
        """Return the headers of an item, checked; names in lower case, and what must not be compressed marked.

        Args:
            item: what is to be sent.
            began: whether the head is out already, so that these are trailers.

        Raises:
            TypeError: they are no pairs of text or bytes.
            ValueError: text that UTF-8 has not.
            h2.exceptions.ProtocolError: one is wrong, or is missing.
        """
        if began and not item.end_stream:
            raise self._error(
                f"HTTP2: the head of stream {item.stream_id} was sent, so these are trailers, and the last of it: "
                f"SendHeaders(stream_id, headers, end_stream=True)"
            )
        flags = self._trailers if began else self._first
        given = item.headers
        try:
            # A tuple of h2's own, which is not to be compressed, is equal to a plain one.
            plain = type(given) is list and {*map(type, given)} == _PLAIN
            headers = [self._known[pair] for pair in given] if plain else self._looked_at(given, flags)
        except (KeyError, TypeError):
            headers = self._looked_at(given, flags)
        names = (began, *[header[0] for header in headers])
        if names in self._right:
            return headers
        checked: list[Any] = list(self._utilities.validate_outbound_headers(headers, flags))
        self._remember(names)
        return checked

    def _remember(self, names: tuple[bool | bytes, ...]) -> None:
        """What h2 has found right is so with other values, too, but for a request's head, and `te`."""
        if (names[0] or not self._client) and b"te" not in names and len(names) <= _FEW:
            if len(self._right) >= _REMEMBERED:
                self._right.clear()
            self._right.add(names)

    def _looked_at(self, given: Any, flags: Any) -> list[Any]:
        """Each header by itself; those that are short are remembered, as it is mostly the same few that are sent."""
        headers = list(self._utilities.normalize_outbound_headers(self._encoded(given), flags))
        for name, value in headers:
            if _NAME(name) is None or _VALUE(value) is None or (name == b":status" and _STATUS(value) is None):
                raise self._error(f"HTTP2: {name[:_SHOWN]!r}: {value[:_SHOWN]!r} cannot be a header")
        if type(given) is list and len(given) == len(headers):
            for pair, header in zip(given, headers, strict=True):
                if type(pair) is tuple and len(header[0]) + len(header[1]) <= _SHORT:
                    if len(self._known) >= _REMEMBERED:
                        self._known.clear()
                    self._known[pair] = header
        return headers

    def _encoded(self, headers: Iterable[tuple[str | bytes, str | bytes]]) -> list[Any]:
        try:
            if isinstance(headers, _NO_PAIRS):
                raise TypeError(type(headers).__name__)
            encoded: list[Any] = self._utilities.utf8_encode_headers(headers)
        except (TypeError, AttributeError, IndexError) as error:
            raise TypeError(
                "SendHeaders(headers=...): must be pairs of text or bytes, [(':status', '200'), ('content-length', "
                "'5')]; of a dict, list(headers.items()); of a number, str(number)"
            ) from error
        return encoded
