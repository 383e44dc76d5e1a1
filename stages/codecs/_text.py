"""Text in any of Python's encodings: `TextCodec`."""

from __future__ import annotations

import codecs
from collections.abc import Iterable
from typing import Any

from pipeline import Duplex, Inbound, IncompleteFrameError, Outbound, Result

from .._bytes import BytesLike, as_bytes

__all__ = ["TextCodec"]


class TextCodec(Duplex[BytesLike, str, str, bytes]):
    r"""Decode bytes to text inbound, encode text to bytes outbound, both incrementally.

    in:  b"caf\xc3"  b"\xa9"        out:  "caf"  "é"

    A code point may be cut: what is there of it waits for the next item. A piece of bytes that gives
    no text yet gives no item, but `b""` gives `""`, so that an empty line stays a line.

    Args:
        encoding: one of Python's text encodings.
        errors: what to do with what cannot be decoded or encoded, as for `bytes.decode`:
            "strict" raises; "replace", "ignore", "surrogateescape" …

    Raises:
        UnicodeDecodeError: the bytes are no text in that encoding; they are dropped, with a cut code
            point before them, and the next item is decoded for itself (`recover` can go on behind it).
        UnicodeEncodeError: the text cannot be encoded; nothing is written, and outbound goes on.
        IncompleteFrameError: the stream ended inside a code point; `leftover` has its bytes.
    """

    def __init__(self, encoding: str = "utf-8", errors: str = "strict") -> None:
        try:
            # bytes.decode refuses what is no text encoding; the incremental classes would take "hex".
            b"".decode(encoding, errors)
            "".encode(encoding, errors)
            codecs.lookup_error(errors)
            super().__init__(TextInbound(encoding, errors), TextOutbound(encoding, errors))
        except LookupError as error:
            raise ValueError(
                f"TextCodec({encoding!r}, errors={errors!r}): {error}. Take a text encoding and an error handler that "
                f"Python knows, as in TextCodec('utf-8', errors='replace')"
            ) from None


class TextInbound(Inbound[BytesLike, str]):
    """The inbound half of `TextCodec`: keeps the bytes of a cut code point."""

    name = "TextCodec.inbound"
    peer_errors = (UnicodeError,)
    only_items = True
    never_expands = True

    def __init__(self, encoding: str, errors: str) -> None:
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder(encoding)(errors)
        self._held, self._last = b"", b""  # for unread(): the cut code point before the last item, and that item

    def process_sync(self, data: BytesLike, /) -> Result[str]:
        """Decode what is complete.

        Raises:
            UnicodeDecodeError: no text; these bytes are dropped and the next item is decoded for itself.
        """
        if type(data) is not bytes:
            data = as_bytes("TextCodec", data)
        self._held, state = self._decoder.getstate()
        self._last = data
        try:
            text = self._decoder.decode(data)
        except UnicodeDecodeError as error:
            self._decoder.setstate((b"", state))
            held = self._held
            before = f"; {held!r} is from the item before, which ended inside a character" if held else ""
            reason = f"{error.reason}{before} (TextCodec; errors='replace' would take it)"
            raise UnicodeDecodeError(error.encoding, error.object, error.start, error.end, reason) from None
        return [text] if text or not data else ()

    async def finish(self) -> Result[str]:
        """End of the stream: a cut code point is an error, or what `errors` makes of it."""
        pending = self._decoder.getstate()[0]
        try:
            text = self._decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            raise IncompleteFrameError(
                f"TextCodec: the stream ended inside a character of {self._encoding}, after {pending!r}; "
                f"errors='replace' would take it",
                leftover=pending,
            ) from None
        return [text] if text else ()

    def unread(self, outputs: Iterable[Any], /) -> Iterable[bytes]:
        """Give back the bytes of the text that was not taken, or of a cut code point."""
        if list(outputs):
            items = [self._held, self._last] if self._held else [self._last]
        else:
            pending = self._decoder.getstate()[0]
            items = [pending] if pending else []
        self._decoder.reset()
        return items

    @property
    def holds(self) -> int:
        """Bytes of a cut code point."""
        return len(self._decoder.getstate()[0])


class TextOutbound(Outbound[str, bytes]):
    """The outbound half of `TextCodec`."""

    name = "TextCodec.outbound"

    def __init__(self, encoding: str, errors: str) -> None:
        self._encoder = codecs.getincrementalencoder(encoding)(errors)
        # UTF-8 and the single-byte encodings encode each item for itself. Those that write a byte order mark
        # first, or switch between alphabets, say so by having a state.
        self.keeps_outbound_state = type(self._encoder).getstate is not codecs.IncrementalEncoder.getstate
        self._begun = False
        # A stateful one may keep a character back, and does not tell.
        self.holds = None if self.keeps_outbound_state else 0

    def process_sync(self, text: str, /) -> Result[bytes]:
        """Encode one item.

        Raises:
            UnicodeEncodeError: the encoding has no such character; it is as if nothing had been sent.
        """
        if not isinstance(text, str):
            raise TypeError(_no_text(text))
        state = self._encoder.getstate() if self.keeps_outbound_state else 0
        try:
            data = self._encoder.encode(text)
        except UnicodeEncodeError as error:
            self._encoder.setstate(state)
            reason = f"{error.reason} (TextCodec; errors='replace' would take it)"
            raise UnicodeEncodeError(error.encoding, error.object, error.start, error.end, reason) from None
        self._begun = True
        return [data] if data or not text else ()

    async def finish(self) -> Result[bytes]:
        """End: an encoding that switches between alphabets switches back."""
        # Never begun, it would write a byte order mark for no text at all.
        data = self._encoder.encode("", final=True) if self._begun else b""
        return [data] if data else ()


def _no_text(item: object) -> str:
    is_bytes = isinstance(item, bytes | bytearray | memoryview)
    remedy = "decode it, or leave TextCodec out" if is_bytes else "send text, or put JSONCodec() in its place"
    return f"TextCodec encodes str, not {type(item).__name__}: {remedy}"
