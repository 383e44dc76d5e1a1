"""Compressed byte streams, gzip (RFC 1952), zlib (RFC 1950) or raw deflate (RFC 1951): `ZlibCodec`.

Rules for this file:

1. What is decompressed comes out as it is asked for, in pieces of at most 64 KiB. No input makes it sit in memory.
2. How the input is cut makes no difference: not to the bytes, not to an error, not to how many bytes come before it.
   So near a limit, and near corrupt data, decoding goes byte by byte: the same bytes then meet the same state.
   (zlib reads ahead by a byte where it can: the place in a message is not part of the promise.)
3. The limits are on what came out, never on what a header says. That `max_ratio` counts only from 100 KiB on, so that
   short items may be as regular as they like, is from Apache POI's ZipSecureFile; the default of `max_bytes` is
   Scrapy's DOWNLOAD_MAXSIZE.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, Final, Literal, TypeAlias

from pipeline import (
    CorruptFrameError,
    Duplex,
    FrameError,
    FrameTooLongError,
    Inbound,
    IncompleteFrameError,
    Outbound,
    Result,
)

from .._arguments import check_choice, check_size
from .._bytes import BytesLike, as_bytes

__all__ = ["ZlibCodec"]

Format: TypeAlias = Literal["gzip", "zlib", "deflate"]

_WBITS: Final = {"gzip": 31, "zlib": 15, "deflate": -15}
_FREE_BYTES: Final = 102400
_MOST_IN: Final = 16384  # zlib copies what it did not get to, each time
_MOST_OUT: Final = 65536
_FLUSHED: Final = b"\0\0\xff\xff"  # how a sync flush and a full flush end
_EMPTY_BLOCK: Final = b"\0" + _FLUSHED
_MOST_FLUSHES_IN: Final = 4096  # input with several flushes that is decompressed at once


class ZlibCodec(Duplex[BytesLike, bytes, BytesLike, bytes]):
    r"""Decompress a byte stream inbound, compress outbound, both as the bytes come.

    in:  b"\x1f\x8b\x08..."        out:  b"hello "  b"world"

    Each item sent is flushed, so that the peer can read it at once. Inbound gives pieces of at most 64 KiB, not the
    items that the peer sent: put a framer on the client's side, as in `ZlibCodec() | LineFramer()`.

    Args:
        format: "gzip", where members may follow one another; "zlib"; "deflate": without header and checksum.
        max_ratio: how many times the bytes received the decompressed bytes may be, counted over the whole stream,
            beyond 102400 bytes (100 KiB) which are free. Deflate reaches 1032, so 1033 allows everything. Outbound
            keeps to it, too, with empty blocks, so that a peer with the same limits reads what it writes.
        max_bytes: the most that may be decompressed between two flushes of the peer, or between the begin and the
            end of a stream that has none; outbound, the longest item. A connection whose peer flushes what
            it sends, with a sync or full flush as this codec does, may last for ever.

    Raises:
        FrameTooLongError: one byte more than `max_ratio` or `max_bytes` allows was decompressed, in whatever way the
            input was cut; what is allowed came out before. Inbound stays failed. Outbound refuses an
            item over `max_bytes`, and goes on.
        CorruptFrameError: no such compressed data, a wrong checksum, or bytes behind the end of a stream (behind a
            gzip member: another one, or zero bytes as padding, may follow). Inbound stays failed.
        IncompleteFrameError: the input ended inside a compressed stream. What could be decompressed came out, so
            `leftover` is empty. No input at all is a clean end, as nothing sent is nothing written.
    """

    def __init__(self, format: Format = "gzip", *, max_ratio: float = 100, max_bytes: int = 1073741824) -> None:  # noqa: A002 - gzip's own word
        check_choice("ZlibCodec", "format", format, tuple(_WBITS))
        check_size("ZlibCodec", "max_bytes", max_bytes, default=1073741824)
        _check_ratio(max_ratio)
        super().__init__(ZlibInbound(format, max_ratio, max_bytes), ZlibOutbound(format, max_ratio, max_bytes))


def _check_ratio(value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        kind: type[Exception] = TypeError
    elif 1 <= value < math.inf:
        return
    else:
        kind = ValueError
    raise kind(
        f"ZlibCodec(max_ratio={value!r}): must be a number, 1 or more. Leave it out for the default: "
        f"ZlibCodec(max_ratio=100); deflate reaches 1032, so max_ratio=1033 allows everything"
    )


class ZlibInbound(Inbound[BytesLike, bytes]):
    """The inbound half of `ZlibCodec`: decompresses."""

    name = "ZlibCodec.inbound"

    def __init__(self, format: Format, max_ratio: float, max_bytes: int) -> None:  # noqa: A002 - as above
        self._format, self._max_ratio, self._max_bytes = format, max_ratio, max_bytes
        self._decoder = zlib.decompressobj(_WBITS[format])
        self._inside = False  # a compressed stream has begun and not ended
        self._streams = 0  # how many have begun
        self._full = False  # the last output was as long as allowed, so there may be more without input
        self._taken = self._given = 0  # bytes in, bytes out
        self._unflushed = 0  # bytes out since the last flush
        # The input; what is before `_at` is only there to find a flush that was cut.
        self._data, self._at = b"", 0
        self._flush_at = 0  # where the next flush ends, or the last one that is near, or the input
        self._several = False  # there is more than one flush up to there
        self._singly_to = 0  # up to here flushes are taken one at a time
        self._most_in, self._most_out = _MOST_IN, _MOST_OUT
        self._failure: FrameError | None = None

    def process_sync(self, data: BytesLike, /) -> Result[bytes]:
        """Decompress, lazily.

        Raises:
            FrameError: when what came out before it is taken; the stage stays failed.
        """
        data = as_bytes("ZlibCodec", data)
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        keep = min(self._at, len(_FLUSHED))
        self._data, self._at, self._singly_to = self._data[self._at - keep :] + data, keep, 0
        self._find_flush()
        return self._decompress()

    async def finish(self) -> Result[bytes]:
        """End of the input: inside a compressed stream it is an error."""
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        if self._inside:
            raise IncompleteFrameError(
                f"{self._shown}: the input ended inside a compressed stream, {self._taken} bytes in and "
                f"{self._given} out; its end was not sent, or is lost",
                leftover=b"",
            )
        return ()

    def unread(self, outputs: Iterable[Any], /) -> Iterable[bytes] | None:
        """Give back the bytes behind the end of a compressed stream, or behind a flush; elsewhere None."""
        if list(outputs) or self._failure is not None or self.holds is None:
            return None
        rest = self._data[self._at :]
        self._data = self._data[: self._at]
        return [rest] if rest else []

    @property
    def holds(self) -> int | None:
        """Bytes that are not decompressed yet; None inside compressed data, where bytes have no edges."""
        return len(self._data) - self._at if self._flushed or not self._inside else None

    @property
    def _flushed(self) -> bool:
        return not self._full and self._data.endswith(_FLUSHED, 0, self._at)

    @property
    def _shown(self) -> str:
        return f"ZlibCodec({self._format!r})"

    def _decompress(self) -> Iterator[bytes]:
        try:
            while self._full or self._at < len(self._data):
                if out := self._step():
                    yield out
        except FrameError as error:
            self._failure, self._data, self._at = error, b"", 0
            raise

    def _step(self) -> bytes:
        """Take some input, or give some output, or both."""
        if not self._inside and not self._begin():
            return b""
        if room := self._room(self._taken):
            return self._decode(min(self._most_in, self._flush_at - self._at), room)
        # What is allowed has come out. Is there more in what was taken? If not, the next byte may allow more.
        take = 0 if self._full else 1
        room = self._room(self._taken + take)
        out = self._decode(take, room or 1)
        if out and not room:
            raise self._too_much()
        return out

    def _begin(self) -> bool:
        """Begin a compressed stream; False: there was only padding."""
        if self._streams and self._format != "gzip":
            raise CorruptFrameError(
                f"{self._shown}: the compressed stream ended, and there is more input from byte {self._taken} on. If "
                f"the peer is right to stop compressing there, take this stage out before what follows is asked for"
            )
        if self._streams:
            ahead = self._data[self._at : self._at + self._most_in]
            zeros = len(ahead) - len(ahead.lstrip(b"\0"))
            self._at += zeros
            self._taken += zeros
            if zeros == len(ahead):
                return False
        self._decoder = zlib.decompressobj(_WBITS[self._format])
        self._inside, self._unflushed = True, 0
        self._streams += 1
        return True

    def _decode(self, take: int, room: int) -> bytes:
        """Let zlib have so many bytes, and give at most `room`.

        Where it finds an error, what it gave in the same call is lost. So that call did not happen, and it goes on in
        smaller steps, up to the error.
        """
        before = self._decoder.copy()
        most = min(room, self._most_out)
        try:
            out = self._decoder.decompress(self._data[self._at : self._at + take], most)
        except zlib.error as error:
            self._decoder = before
            if self._most_out == 1:
                raise self._corrupt(error) from None
            self._most_in, self._most_out = 1, _MOST_OUT if self._most_in > 1 else 1
            return b""
        full = len(out) == most and not self._decoder.eof
        if self._several and (full or self._decoder.eof):
            # Which of it came since the last flush is not known.
            self._decoder, self._singly_to = before, self._flush_at
            self._find_flush()
            return b""
        used = take - len(self._decoder.unused_data or self._decoder.unconsumed_tail)
        self._at += used
        self._taken += used
        self._given += len(out)
        self._unflushed += len(out)
        self._inside = not self._decoder.eof
        self._full = full
        if self._flushed:
            self._unflushed = 0
            self._find_flush()
        return out

    def _find_flush(self) -> None:
        """Decompressing must stop at a flush, to count from there; but not at each one where nothing depends on it."""
        start = max(0, self._at - len(_FLUSHED) + 1)
        first = last = self._data.find(_FLUSHED, start)
        if first >= 0 and self._at >= self._singly_to:
            last = max(first, self._data.rfind(_FLUSHED, start, self._at + _MOST_FLUSHES_IN))
        self._flush_at = len(self._data) if first < 0 else last + len(_FLUSHED)
        self._several = last > first

    def _room(self, taken: int) -> int:
        """How many bytes more may come out when so many have been taken."""
        by_ratio = _FREE_BYTES + int(self._max_ratio * taken) - self._given
        return min(by_ratio, self._max_bytes - self._unflushed)

    def _too_much(self) -> FrameTooLongError:
        if self._unflushed > self._max_bytes:
            limit, size = self._max_bytes, self._unflushed
            problem = f"at least {size} bytes between two flushes, over the limit, max_bytes={limit}. Raise it"
        else:
            limit, size = _FREE_BYTES + int(self._max_ratio * self._taken), self._given
            problem = (
                f"{self._taken} bytes became at least {size}, over the limit of {limit}, max_ratio={self._max_ratio} "
                f"times the input and {_FREE_BYTES} bytes. Raise max_ratio"
            )
        return FrameTooLongError(f"{self._shown}: {problem} if the peer is right to send it", limit=limit, size=size)

    def _corrupt(self, error: zlib.error) -> CorruptFrameError:
        problem = str(error).rpartition("decompressing data: ")[2]
        hint = "" if self._given else f". Is it in another format? There are {', '.join(map(repr, _WBITS))}"
        return CorruptFrameError(f"{self._shown}: {problem}, near byte {self._taken} of the input{hint}")


class ZlibOutbound(Outbound[BytesLike, bytes]):
    """The outbound half of `ZlibCodec`: compresses."""

    name = "ZlibCodec.outbound"
    holds = 0
    keeps_outbound_state = True  # what comes later refers to what came before

    def __init__(self, format: Format, max_ratio: float, max_bytes: int) -> None:  # noqa: A002 - as above
        self._format, self._max_ratio, self._max_bytes = format, max_ratio, max_bytes
        self._encoder = zlib.compressobj(wbits=_WBITS[format])
        self._taken = self._given = 0  # bytes in, bytes out

    def process_sync(self, data: BytesLike, /) -> Result[bytes]:
        """Compress one item, and flush.

        Raises:
            FrameTooLongError: it is over `max_bytes`; nothing is written.
        """
        data = as_bytes("ZlibCodec", data)
        if len(data) > self._max_bytes:
            raise FrameTooLongError(
                f"ZlibCodec({self._format!r}): an item of {len(data)} bytes is over the limit, "
                f"max_bytes={self._max_bytes}; nothing was written",
                limit=self._max_bytes,
                size=len(data),
            )
        if not data:
            return ()
        return [b"".join(self._compress(data[at : at + _MOST_OUT]) for at in range(0, len(data), _MOST_OUT))]

    async def finish(self) -> Result[bytes]:
        """End the compressed stream, if one was begun."""
        return [self._encoder.flush()] if self._taken else ()

    def _compress(self, piece: bytes) -> bytes:
        """Compress what is at most as long as what is free, and flush."""
        self._taken += len(piece)
        missing = self._taken - _FREE_BYTES - int(self._max_ratio * self._given)
        # A peer with the same max_ratio must have got so many bytes before it. At a flush a block may begin.
        padding = _EMPTY_BLOCK * math.ceil(missing / (len(_EMPTY_BLOCK) * self._max_ratio)) if missing > 0 else b""
        data = padding + self._encoder.compress(piece) + self._encoder.flush(zlib.Z_SYNC_FLUSH)
        self._given += len(data)
        return data
