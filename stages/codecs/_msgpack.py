"""MessagePack: `MessagePackCodec`, a framer and a codec in one, as its values say where they end.

msgspec decodes one value whose end is known; where that is, is found in `_msgpack_scan.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, overload

from typing_extensions import TypeVar

from pipeline import (
    Duplex,
    FrameError,
    FrameTooLongError,
    Inbound,
    IncompleteFrameError,
    Outbound,
    Result,
)

from .._arguments import check_size
from .._bytes import BytesLike, as_bytes
from .._extras import Extra
from ._msgpack_scan import Scan

__all__ = ["MessagePackCodec"]

T = TypeVar("T")
_DEFAULT_BYTES: Final = 1048576


class MessagePackCodec(Duplex[BytesLike, T, T, bytes]):
    r"""Decode a stream of MessagePack values inbound, encode outbound; no framer is needed.

    in:  b"\x81\xa2i"  b"d\x01\xc0"        out:  {"id": 1}  None

    Needs the extra `penstock[msgspec]`.

    Args:
        type: what the values are, as msgspec knows types: a `msgspec.Struct`, a dataclass, `list[int]`, a
            union of tagged structs … Then values are checked and are of that type. None: any value.
        max_bytes: the longest value accepted, as it is encoded; outbound, too.

    Raises:
        ValueError: a value is no right one (a string that is no UTF-8, nested too deeply) or not of the type. It is
            over, and where the next one begins is known, so `recover` can go on. Outbound: the value
            cannot be MessagePack (an integer of more than 64 bits); nothing is written.
        TypeError: outbound, an object of a type that msgspec cannot encode; nothing is written.
        FrameTooLongError: as soon as a value is certain to be over `max_bytes`: from the length of a string, or the
            number of items, that it announces. Inbound stays failed. Outbound refuses such a value, and goes on.
        CorruptFrameError: the byte 0xc1, which MessagePack never uses. Inbound stays failed.
        IncompleteFrameError: the stream ended inside a value; `leftover` has its bytes.
        ImportError: msgspec is not there.
    """

    @overload
    def __init__(self: MessagePackCodec[Any], type: None = None, *, max_bytes: int = ...) -> None: ...
    @overload
    def __init__(self, type: type[T], *, max_bytes: int = ...) -> None: ...
    @overload
    def __init__(self: MessagePackCodec[Any], type: object, *, max_bytes: int = ...) -> None: ...
    def __init__(self, type: Any = None, *, max_bytes: int = _DEFAULT_BYTES) -> None:  # noqa: A002 - as in JSONCodec
        check_size("MessagePackCodec", "max_bytes", max_bytes, default=_DEFAULT_BYTES)
        msgpack = _msgpack()
        decoder = msgpack.Decoder() if type is None else msgpack.Decoder(type)
        super().__init__(
            MessagePackInbound(decoder.decode, max_bytes), MessagePackOutbound(msgpack.Encoder().encode, max_bytes)
        )


def _msgpack() -> Any:
    with Extra("MessagePackCodec", "msgspec"):
        import msgspec  # noqa: PLC0415 - an extra
    return msgspec.msgpack


class MessagePackInbound(Inbound[BytesLike, T]):
    """The inbound half of `MessagePackCodec`: bytes cut anywhere in, values out."""

    name = "MessagePackCodec.inbound"
    peer_errors = (ValueError,)

    def __init__(self, decode: Callable[[bytes], T], max_bytes: int) -> None:
        self._decode, self._max_bytes = decode, max_bytes
        self._scan = Scan(max_bytes)
        self._tail = bytearray()  # the unfinished value
        # What the last results come from, and up to where they were given.
        self._source, self._at = b"", 0
        self._end: int | None = None  # of the first value in there, where it was found already
        self._failure: FrameError | None = None

    def process_sync(self, data: BytesLike, /) -> Result[T]:
        """Decode the values that end in `data`.

        Raises:
            ValueError: a value is no right one; the values after it come all the same.
            FrameError: when the values before it were taken; the stage stays failed.
        """
        if type(data) is not bytes:
            data = as_bytes("MessagePackCodec", data)
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        if self._at < len(self._source):  # nobody asked for the rest, after a value that was no right one
            data, self._source, self._at = self._source[self._at :] + data, b"", 0
        if self._tail:
            self._tail += data
            if (end := self._end_in(self._tail, 0)) is None:
                return ()
            data, self._tail = bytes(self._tail), bytearray()
            self._source, self._at, self._end = data, 0, end
            return _Values(self)
        self._source, self._at, self._end = data, 0, None
        if 0 < len(data) <= self._max_bytes:
            try:
                # Mostly, what comes at once is one value.
                value = self._decode(data)
            except Exception:
                return _Values(self)  # which tells it, when the values before it were taken
            self._at = len(data)
            return [value]
        return _Values(self)

    async def finish(self) -> Result[T]:
        """End of the stream: an unfinished value is an error."""
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        if self._at < len(self._source):
            return self._last()
        self._check_end()
        return ()

    def unread(self, outputs: Iterable[Any], /) -> Iterable[bytes] | None:
        """Give back the bytes after the last value taken; None after an error of the framing."""
        if self._failure is not None:
            return None
        rest = self._source[0 if list(outputs) else self._at :] or bytes(self._tail)
        self._tail, self._source, self._at = bytearray(), b"", 0
        self._scan.restart()
        return [rest] if rest else []

    @property
    def holds(self) -> int:
        """Bytes of an unfinished value, or not decoded yet."""
        return len(self._tail) + len(self._source) - self._at

    def next_value(self) -> T:
        """The next of the values that have ended; StopIteration: there is no more."""
        end, self._end = self._end or self._end_in(self._source, self._at), None
        if end is None:
            self._tail = bytearray(self._source[self._at :])
            self._source, self._at = b"", 0
            raise StopIteration
        data, self._at = self._source[self._at : end], end
        try:
            return self._decode(data)
        except RecursionError:
            problem = "the value is nested too deeply"
        except Exception as error:
            problem = str(error)
        dots = "..." if len(data) > 40 else ""
        raise ValueError(f"MessagePackCodec: {problem}: {data[:40]!r}{dots}")

    def _end_in(self, data: bytes | bytearray, start: int) -> int | None:
        try:
            return self._scan.end(data, start)
        except FrameError as error:
            self._failure, self._source, self._at = error, b"", 0
            self._tail.clear()
            raise

    def _last(self) -> Iterator[T]:
        yield from _Values(self)
        self._check_end()

    def _check_end(self) -> None:
        if self._tail:
            raise IncompleteFrameError(
                f"MessagePackCodec: the stream ended {len(self._tail)} bytes into a value", leftover=bytes(self._tail)
            )


class _Values(Iterator[T]):
    """The values, lazily; no generator, which would be over with the first one that is no right one."""

    goes_on = True  # recover() may ask for more after an error

    def __init__(self, inbound: MessagePackInbound[T]) -> None:
        self._next = inbound.next_value

    def __next__(self) -> T:
        return self._next()


class MessagePackOutbound(Outbound[T, bytes]):
    """The outbound half of `MessagePackCodec`; holds nothing."""

    name = "MessagePackCodec.outbound"
    holds = 0
    shareable = True
    keeps_outbound_state = False

    def __init__(self, encode: Callable[[T], bytes], max_bytes: int) -> None:
        self._encode, self._max_bytes = encode, max_bytes

    def process_sync(self, value: T, /) -> Result[bytes]:
        """Encode one value.

        Raises:
            TypeError: msgspec cannot encode such an object; nothing is written.
            ValueError: MessagePack has no such value; nothing is written.
            FrameTooLongError: it is over `max_bytes`; nothing is written.
        """
        try:
            data = self._encode(value)
        except RecursionError:
            raise ValueError("MessagePackCodec: the value is nested too deeply, or contains itself") from None
        except TypeError as error:
            raise TypeError(
                f"MessagePackCodec: {error}. Make it of dicts, lists, strings and numbers first, as with "
                f"Map(outbound=...), or let its class be a dataclass or msgspec.Struct"
            ) from error
        except Exception as error:
            raise ValueError(f"MessagePackCodec: {error}") from error
        if len(data) > self._max_bytes:
            raise FrameTooLongError(
                f"MessagePackCodec: a value of {len(data)} bytes is over the limit, max_bytes={self._max_bytes}; "
                f"nothing was written",
                limit=self._max_bytes,
                size=len(data),
            )
        return [data]
