"""What is looked at in a message of D-Bus before jeepney parses it: how long it is, and whether it is well-formed.

jeepney trusts its bus. An array of empty structs, which the specification forbids, keeps it in a loop for ever;
variants in variants make it recurse as deep as they are nested; a length that points beyond the message is not noticed.
So the marshalled data is walked through here first, by the rules of the specification, which bound the depth at 64:
https://dbus.freedesktop.org/doc/dbus-specification.html ("Marshaling (Wire Format)", "Valid Signatures").
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple, TypeAlias

FIXED_HEADER: Final = 16
"""Bytes after which it is known how long the message is."""
MAX_DEPTH: Final = 64
_MAX_ARRAY_BYTES: Final = 1 << 26
_MAX_SIGNATURE: Final = 255
_FIXED: Final = {"y": 1, "b": 4, "n": 2, "q": 2, "i": 4, "u": 4, "x": 8, "t": 8, "d": 8, "h": 4}
_ALIGNED: Final = {**_FIXED, "s": 4, "o": 4, "g": 1, "v": 1, "a": 4, "(": 8, "{": 8}
_BASIC: Final = frozenset(_FIXED) | {"s", "o", "g"}
_OPENING: Final = {")": "(", "}": "{"}

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
        self._inner: list[_Array | Iterator[Type]] = []  # what the place is in, outermost first

    def through(self, signature: str, at: int) -> int:
        """The place behind values of a signature which begin at a place."""
        self._inner.append(iter(types_of(signature)))
        while self._inner:
            if len(self._inner) > MAX_DEPTH:
                raise ValueError(f"values are nested deeper than {MAX_DEPTH}")
            innermost = self._inner[-1]
            kind = innermost.next_type(at) if isinstance(innermost, _Array) else next(innermost, None)
            if kind is None:
                self._inner.pop()
            else:
                at = self._begin(kind, _padded(at, _ALIGNED[kind[0]]))
        return at

    def _begin(self, kind: Type, at: int) -> int:
        """Go through a value, or into it."""
        code, parts = kind
        if code in _FIXED:
            return self._inside(at + _FIXED[code])
        if code == "g":
            return self._behind_text(at, 1)
        if code in "so":
            return self._behind_text(at, 4)
        if code == "v":
            return self._into_variant(at)
        if code == "a":
            return self._into_array(parts[0], at)
        self._inner.append(iter(parts))
        return at

    def _into_variant(self, at: int) -> int:
        end = self._behind_text(at, 1)
        kinds = types_of(self._data[at + 1 : end - 1].decode("ascii"))
        if len(kinds) != 1:
            raise ValueError(f"a variant has one value, not {len(kinds)}")
        self._inner.append(iter(kinds))
        return end

    def _into_array(self, kind: Type, at: int) -> int:
        size = self._length(at)
        if size > _MAX_ARRAY_BYTES:
            raise ValueError(f"an array of {size} bytes is over the limit of D-Bus, {_MAX_ARRAY_BYTES}")
        at = _padded(at + 4, _ALIGNED[kind[0]])
        array = _Array(kind, self._inside(at + size))
        self._inner.append(array)
        # Of numbers none needs to be looked at, unless the last one is cut.
        return at + size - size % _FIXED[kind[0]] if kind[0] in _FIXED else at

    def _behind_text(self, at: int, width: int) -> int:
        size = self._data[self._inside(at + 1) - 1] if width == 1 else self._length(at)
        end = self._inside(at + width + size + 1)
        if self._data[end - 1]:
            raise ValueError("a string does not end in NUL")
        if self._data.find(0, at + width, end - 1) >= 0:
            raise ValueError("a string has a NUL in it")
        return end

    def _length(self, at: int) -> int:
        self._inside(at + 4)
        return int(self._u32(self._data, at)[0])

    def _inside(self, at: int) -> int:
        if at > len(self._data):
            raise ValueError(f"a value ends {at - len(self._data)} bytes behind the end of the message")
        return at


class _Array(NamedTuple):
    """An array that is gone through: what its elements are, and where it ends."""

    kind: Type
    end: int

    def next_type(self, at: int) -> Type | None:
        """What is at a place in it; None: its end."""
        if at > self.end:
            raise ValueError("the last element of an array does not end where the array does")
        return self.kind if at < self.end else None


@functools.lru_cache(maxsize=256)
def types_of(signature: str) -> tuple[Type, ...]:
    """The types of a signature.

    Raises:
        ValueError: it is none.
    """
    if len(signature) > _MAX_SIGNATURE:
        raise ValueError(f"a signature of {len(signature)} characters; {_MAX_SIGNATURE} are the most")
    reader = _Signature(signature)
    for at, code in enumerate(signature):
        reader.read(code, at)
    return reader.types()


class _Signature:
    """Reads a signature, code by code."""

    def __init__(self, signature: str) -> None:
        self._signature = signature
        self._open: list[str] = []  # arrays, structs and dict entries that have begun
        self._lists: list[list[Type]] = [[]]  # what is in each of them but the arrays, and outside

    def read(self, code: str, at: int) -> None:
        """Take the next code."""
        if len(self._open) == MAX_DEPTH:
            raise self._wrong(f"is nested deeper than {MAX_DEPTH}")
        if code == "v" or code in _BASIC:
            self._add((code, ()))
        elif code == "a":
            self._open.append(code)
        elif code in "({":
            if code == "{" and self._open[-1:] != ["a"]:
                raise self._wrong("has a dict entry outside of an array")
            self._open.append(code)
            self._lists.append([])
        elif code in _OPENING and self._open[-1:] == [_OPENING[code]]:
            self._add(self._group(self._open.pop(), self._lists.pop()))
        else:
            raise self._wrong(f"is none: {code!r} at {at}")

    def types(self) -> tuple[Type, ...]:
        """All that were read."""
        if self._open:
            raise self._wrong(f"is none: nothing ends the {self._open[-1]!r} in it")
        return tuple(self._lists[0])

    def _group(self, code: str, kinds: list[Type]) -> Type:
        if not kinds:
            raise self._wrong("has a struct of nothing")
        if code == "{" and not (len(kinds) == 2 and kinds[0][0] in _BASIC):
            raise self._wrong("has a dict entry that is none")
        return code, tuple(kinds)

    def _add(self, kind: Type) -> None:
        while self._open[-1:] == ["a"]:
            self._open.pop()
            kind = ("a", (kind,))
        self._lists[-1].append(kind)

    def _wrong(self, what: str) -> ValueError:
        return ValueError(f"the signature {self._signature!r} {what}")


def _padded(at: int, to: int) -> int:
    return -(-at // to) * to
