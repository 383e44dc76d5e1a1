"""What codecs take for bytes."""

from __future__ import annotations

from typing import TypeAlias

BytesLike: TypeAlias = bytes | bytearray | memoryview


def as_bytes(codec: str, data: object) -> bytes:
    """`data` as real bytes.

    Raises:
        TypeError: it is no bytes; an int, for one, would become as many zero bytes.
    """
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(data)
    raise TypeError(f"{codec} takes bytes from the wire's side, not {type(data).__name__}: see what stands before it")
