"""What stages take for bytes."""

from __future__ import annotations

from typing import TypeAlias

BytesLike: TypeAlias = bytes | bytearray | memoryview


def as_bytes(stage: str, data: object) -> bytes:
    """`data` as real bytes: a bytearray may be changed later by whoever owns it (F8).

    Raises:
        TypeError: it is no bytes; an int, for one, would become as many zero bytes.
    """
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(data)
    remedy = "encode it first, as JSONCodec() does"
    if isinstance(data, str):
        remedy = "put a TextCodec() next to it, on the client's side"
    raise TypeError(f"{stage} takes bytes, not {type(data).__name__}: {remedy}")
