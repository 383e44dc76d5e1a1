"""What can be said of any item: how large it is, and how it looks in an error."""

from __future__ import annotations

import reprlib
from typing import Any, Final

OBJECT_BYTES: Final = 256
"""What an item that is not text or bytes counts where a place is bounded in bytes."""

SHOWN_BYTES: Final = 200
"""How much of an item an error shows."""

_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = _repr.maxlong = SHOWN_BYTES


def size_of(item: Any) -> int:
    """Bytes that an item counts in a bounded place; an object without a known size counts OBJECT_BYTES."""
    if isinstance(item, memoryview):
        return item.nbytes
    if isinstance(item, bytes | bytearray | str):
        return len(item)
    return OBJECT_BYTES


def show_item(item: Any, *, show_items: bool = True) -> str:
    """An item for an error message, cut before it is shown; a `repr` that fails is survived."""
    kind = type(item).__name__
    try:
        length = _length(item)
        if not show_items:
            return f"{kind}{length}"
        if not length:
            return _repr.repr(item)[:SHOWN_BYTES]
        cut = item[:SHOWN_BYTES]
        shown = repr(bytes(cut) if isinstance(cut, memoryview) else cut)
        return f"{shown}... ({kind}{length})" if len(item) > SHOWN_BYTES else shown
    except Exception as error:
        return f"<{kind}, whose repr raised {type(error).__name__}>" if show_items else kind


def _length(item: Any) -> str:
    if isinstance(item, str):
        return f" of {len(item)} characters"
    return f" of {size_of(item)} bytes" if isinstance(item, bytes | bytearray | memoryview) else ""
