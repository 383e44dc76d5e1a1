"""Decoding as one writes it by hand: the loops that the codecs of `stages` are measured against.

The rules are those of `framing_by_hand.py`: one format, the default parameters, inbound, limits included.
"""

from __future__ import annotations

import codecs
import json
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from tests.benchmarks.framing_by_hand import RefusedError


class Text:
    """UTF-8, a character may be cut."""

    def __init__(self) -> None:
        self.decode = codecs.getincrementaldecoder("utf-8")().decode

    def feed(self, data: bytes) -> list[str]:
        text = self.decode(data)
        return [text] if text or not data else []


class JSON:
    """One value an item, by the standard library; NaN and Infinity are refused."""

    def __init__(self) -> None:
        self.loads = json.JSONDecoder(parse_constant=self._refuse).decode

    def _refuse(self, constant: str) -> None:
        raise RefusedError(constant)

    def feed(self, data: bytes) -> list[Any]:
        return [self.loads(data.decode())]


class TypedJSON:
    """One value an item, of a type, by msgspec."""

    def __init__(self, type_: Any) -> None:
        self.decode: Callable[[bytes], Any] = msgspec.json.Decoder(type_).decode

    def feed(self, data: bytes) -> list[Any]:
        return [self.decode(data)]


class Records:
    """One record of a fixed layout an item."""

    def __init__(self, layout: str) -> None:
        self.unpack = struct.Struct(layout).unpack  # refuses any other size

    def feed(self, data: bytes) -> list[tuple[Any, ...]]:
        return [self.unpack(data)]


class Protobuf:
    """One message an item."""

    def __init__(self, message: Any) -> None:
        self.parse = message.FromString

    def feed(self, data: bytes) -> list[Any]:
        return [self.parse(data)]


class Gzip:
    """One gzip member, decompressed in pieces of 64 KiB, refused from a ratio of 100 on beyond 100 KiB."""

    def __init__(self, max_ratio: int = 100, max_bytes: int = 1 << 30) -> None:
        self.max_ratio, self.max_bytes = max_ratio, max_bytes
        self.zlib = zlib.decompressobj(31)
        self.taken = self.given = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        self.taken += len(data)
        while data:
            piece = self.zlib.decompress(data, 65536)
            self.given += len(piece)
            if self.given > self.max_bytes or self.given > max(102400, self.max_ratio * self.taken):
                raise RefusedError
            if piece:
                yield piece
            data = self.zlib.unconsumed_tail


class MessagePack:
    """Values one behind the other, decoded by msgspec once it is known where they end."""

    def __init__(self, max_bytes: int = 1048576) -> None:
        self.max_bytes = max_bytes
        self.decode: Callable[[bytes], Any] = msgspec.msgpack.Decoder().decode
        self.tail = b""
        self.at, self.values = 0, 1  # of the unfinished value: how far it is known, and what is still to come

    def feed(self, data: bytes) -> list[Any]:
        if self.tail:
            data = self.tail + data
        decoded = []
        begin = 0
        while (end := self._end(data, begin)) >= 0:
            decoded.append(self.decode(data[begin:end]))
            begin = end
        self.tail = data[begin:]
        return decoded

    def _end(self, data: bytes, begin: int) -> int:
        at, values, size = begin + self.at, self.values, len(data)
        while values and at < size:
            if at - begin + values > self.max_bytes:
                raise RefusedError
            step, more = _step(data, at)
            if not step:  # inside a header
                break
            at += step
            values += more - 1
        if at - begin > self.max_bytes:
            raise RefusedError
        if values or at > size:
            self.at, self.values = at - begin, values
            return -1
        self.at, self.values = 0, 1
        return at


_PLAIN = {0xC0: 1, 0xC2: 1, 0xC3: 1, 0xCA: 5, 0xCB: 9, 0xCC: 2, 0xCD: 3, 0xCE: 5, 0xCF: 9}
_PLAIN |= {0xD0: 2, 0xD1: 3, 0xD2: 5, 0xD3: 9, 0xD4: 3, 0xD5: 4, 0xD6: 6, 0xD7: 10, 0xD8: 18}
_SIZED = {0xC4: (1, 0), 0xC5: (2, 0), 0xC6: (4, 0), 0xC7: (1, 1), 0xC8: (2, 1), 0xC9: (4, 1)}
_SIZED |= {0xD9: (1, 0), 0xDA: (2, 0), 0xDB: (4, 0)}
_MANY = {0xDC: (2, 1), 0xDD: (4, 1), 0xDE: (2, 2), 0xDF: (4, 2)}


def _step(data: bytes, at: int) -> tuple[int, int]:
    """How many bytes the value at this place has, without the values in it, and how many those are."""
    byte = data[at]
    if byte < 0x80 or byte >= 0xE0:
        return 1, 0
    if byte < 0xA0:
        return 1, (byte & 15) * (2 if byte < 0x90 else 1)
    if byte < 0xC0:
        return 1 + (byte & 31), 0
    if byte in _PLAIN:
        return _PLAIN[byte], 0
    if byte == 0xC1:
        raise RefusedError
    width, extra = _SIZED[byte] if byte in _SIZED else _MANY[byte]
    if at + 1 + width > len(data):
        return 0, 0
    number = int.from_bytes(data[at + 1 : at + 1 + width], "big")
    if byte in _SIZED:
        return 1 + width + extra + number, 0
    return 1 + width, number * extra
