"""What stages take for bytes."""

from __future__ import annotations

from typing import TypeAlias

BytesLike: TypeAlias = bytes | bytearray | memoryview

_WITH_LEN = (bytes, bytearray)  # a union would be made anew by each call, which costs more than the call


def as_bytes(stage: str, data: object) -> bytes:
    """`data` as real bytes: a bytearray may be changed later by whoever owns it (F8).

    Raises:
        TypeError: it is no bytes; an int, for one, would become as many zero bytes.
    """
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(data)
    remedy = "what makes objects of bytes and back, such as JSONCodec(), goes on its client's side"
    if isinstance(data, str):
        remedy = "put a TextCodec() next to it, on the client's side; in a test, the wire's side takes b\"...\""
    raise TypeError(f"{stage} takes bytes, not {type(data).__name__}: {remedy}")


def size_of(item: object) -> int:
    """The number of bytes in `item`; 0 where it is no bytes, or a memoryview that was released."""
    if isinstance(item, _WITH_LEN):
        return len(item)
    if not isinstance(item, memoryview):
        return 0
    try:
        return item.nbytes
    except ValueError:
        return 0
