"""What is looked at in a message of D-Bus before jeepney parses it: how long it is, and whether it is well-formed.

jeepney trusts its bus. An array of empty structs, which the specification forbids, keeps it in a loop for ever;
variants in variants make it recurse as deep as they are nested; a length that points beyond the message is not noticed.
So the marshalled data is walked through here first, by the rules of the specification, which bound the depth at 64:
https://dbus.freedesktop.org/doc/dbus-specification.html ("Marshaling (Wire Format)", "Valid Signatures").
"""

from __future__ import annotations

import functools
import struct
from typing import Final, TypeAlias

FIXED_HEADER: Final = 16
"""Bytes after which it is known how long the message is."""
MAX_DEPTH: Final = 64
_MAX_ARRAY_BYTES: Final = 1 << 26
_MAX_SIGNATURE: Final = 255
_FIXED: Final = {"y": 1, "b": 4, "n": 2, "q": 2, "i": 4, "u": 4, "x": 8, "t": 8, "d": 8, "h": 4}
_ALIGNED: Final = {**_FIXED, "s": 4, "o": 4, "g": 1, "v": 1, "a": 4, "(": 8, "{": 8}
_BASIC: Final = frozenset(_FIXED) | {"s", "o", "g"}

Type: TypeAlias = "tuple[str, tuple[Type, ...]]"
"""A code, and what is in it: of an array one type, of a struct its fields, of a dict entry two."""


def message_size(head: bytes) -> int:
    """How long the message is that begins with these 16 bytes.

    Raises:
        ValueError: no message begins so.
    """
    order = byte_order(head)
    body, _, fields = struct.unpack_from(f"{order}III", head, 4)
    return FIXED_HEADER + _padded(int(fields), 8) + int(body)


def byte_order(head: bytes) -> str:
    """The byte order of a message, as `struct` calls it."""
    order = {b"l": "<", b"B": ">"}.get(head[:1])
    if order is None:
        raise ValueError(f"a message begins with b'l' or b'B', for its byte order, not with {head[:1]!r}")
    if head[3] != 1:
        raise ValueError(f"protocol version {head[3]}; there is only 1")
    return order


def check_header(message: bytes) -> int:
    """Check that the header is well-formed; return where the body begins."""
    return _padded(_Walk(message).through("a(yv)", 12), 8)


def check_body(message: bytes, start: int, signature: str) -> None:
    """Check that the body is what its signature says, all of it and nothing else."""
    end = _Walk(message).through(signature, start)
    if end != len(message):
        raise ValueError(f"the body has {len(message) - start} bytes, its signature {signature!r} takes {end - start}")


class _Walk:
    """Goes through marshalled data, and looks at lengths only."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        order = byte_order(data)
        self._u32 = struct.Struct(f"{order}I").unpack_from

    def through(self, signature: str, at: int) -> int:
        """The place behind values of a signature which begin at a place."""
        for kind in types_of(signature):
            at = self._value(kind, at, 0)
        return at

    def _value(self, kind: Type, at: int, depth: int) -> int:
        code, parts = kind
        at = _padded(at, _ALIGNED[code])
        if code in _FIXED:
            return self._inside(at + _FIXED[code])
        if code == "g":
            return self._behind_text(at, 1)
        if code in "so":
            return self._behind_text(at, 4)
        if depth == MAX_DEPTH:
            raise ValueError(f"values are nested deeper than {MAX_DEPTH}")
        if code == "v":
            return self._variant(at, depth + 1)
        if code == "a":
            return self._array(parts[0], at, depth + 1)
        for part in parts:
            at = self._value(part, at, depth + 1)
        return at

    def _variant(self, at: int, depth: int) -> int:
        end = self._behind_text(at, 1)
        kinds = types_of(self._data[at + 1 : end - 1].decode("ascii"))
        if len(kinds) != 1:
            raise ValueError(f"a variant has one value, not {len(kinds)}")
        return self._value(kinds[0], end, depth)

    def _array(self, kind: Type, at: int, depth: int) -> int:
        size = self._length(at)
        if size > _MAX_ARRAY_BYTES:
            raise ValueError(f"an array of {size} bytes is over the limit of D-Bus, {_MAX_ARRAY_BYTES}")
        at = _padded(at + 4, _ALIGNED[kind[0]])
        end = self._inside(at + size)
        if kind[0] in _FIXED:
            at += size - size % _FIXED[kind[0]]
        while at < end:
            at = self._value(kind, at, depth)
        if at != end:
            raise ValueError(f"the elements of an array of {size} bytes do not end where it does")
        return end

    def _behind_text(self, at: int, width: int) -> int:
        size = self._data[self._inside(at + 1) - 1] if width == 1 else self._length(at)
        end = self._inside(at + width + size + 1)
        if self._data[end - 1]:
            raise ValueError("a string does not end in NUL")
        return end

    def _length(self, at: int) -> int:
        self._inside(at + 4)
        return int(self._u32(self._data, at)[0])

    def _inside(self, at: int) -> int:
        if at > len(self._data):
            raise ValueError(f"a value ends {at - len(self._data)} bytes behind the end of the message")
        return at


@functools.lru_cache(maxsize=256)
def types_of(signature: str) -> tuple[Type, ...]:
    """The types of a signature.

    Raises:
        ValueError: it is none.
    """
    if len(signature) > _MAX_SIGNATURE:
        raise ValueError(f"a signature of {len(signature)} characters; {_MAX_SIGNATURE} are the most")
    kinds: list[Type] = []
    at = 0
    while at < len(signature):
        kind, at = _type(signature, at, 0)
        kinds.append(kind)
    return tuple(kinds)


def _type(signature: str, at: int, depth: int) -> tuple[Type, int]:
    """The type which begins at a place of a signature, and the place behind it."""
    code = signature[at : at + 1]
    if depth > MAX_DEPTH:
        raise ValueError(f"the signature {signature!r} is nested deeper than {MAX_DEPTH}")
    if code == "a":
        kind, at = _type(signature, at + 1, depth + 1)
        return ("a", (kind,)), at
    if code in ("(", "{"):
        return _group(signature, at, depth)
    if code == "v" or code in _BASIC:
        return (code, ()), at + 1
    raise ValueError(f"the signature {signature!r} is none: {repr(code) if code else 'its end'} at {at}")


def _group(signature: str, start: int, depth: int) -> tuple[Type, int]:
    code, at = signature[start], start + 1
    closing = ")" if code == "(" else "}"
    kinds: list[Type] = []
    while signature[at : at + 1] != closing:
        kind, at = _type(signature, at, depth + 1)
        kinds.append(kind)
    if not kinds:
        raise ValueError(f"the signature {signature!r} has a struct of nothing")
    entry = signature[start - 1 : start] == "a" and len(kinds) == 2 and kinds[0][0] in _BASIC
    if code == "{" and not entry:
        raise ValueError(f"the signature {signature!r} has a dict entry that is none")
    return (code, tuple(kinds)), at + 1


def _padded(at: int, to: int) -> int:
    return -(-at // to) * to
