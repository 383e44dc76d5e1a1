"""What came out of a chain at the wire end and waits to be written.

Rules for this file: it knows of every byte whether it is a reply, of the present send, or of an
earlier one, since they differ in what becomes of them when a send is cut short (P10).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

from ._items import size_of
from ._row import Row, behind, rest, row_of


class Of(enum.Enum):
    """What an item in the buffer is part of."""

    REPLY = enum.auto()
    PRESENT_SEND = enum.auto()
    EARLIER_SEND = enum.auto()


@dataclass(slots=True)
class _Entry:
    item: Any
    of: Of
    size: int


class WriteBuffer:
    """Items in the order in which they are written.

    add(b"ab"), add(b"cd")        peek() -> b"abcd"        take(3)        peek() -> b"d"

    Args:
        byte_wire: whether they are joined; else they are written one by one.

    Attributes:
        size: how much there is, in bytes; 0 only if there is nothing.
        reply_size: how much of it is replies.
        handed: whether a part of the present send was taken.
        loose: bytes of sends that are complete, behind all else; to be added to, and to `size`, by who is in a hurry.
    """

    __slots__ = ("_byte_wire", "_entries", "handed", "loose", "reply_size", "size")

    def __init__(self, *, byte_wire: bool) -> None:
        self.size = self.reply_size = 0
        self.handed = False
        self._byte_wire = byte_wire
        self._entries: Row[_Entry] = ()
        self.loose: list[bytes] = []

    def gather(self) -> None:
        """Join what is loose."""
        if self.loose:
            data = b"".join(self.loose)
            self.loose.clear()
            self._entries = behind(self._entries, _Entry(data, Of.EARLIER_SEND, len(data)))

    def add(self, item: Any, of: Of) -> int:
        """Put an item behind the others; return what it counts."""
        self.gather()
        size = len(item) if self._byte_wire else max(1, size_of(item))
        self._entries = behind(self._entries, _Entry(item, of, size))
        self.size += size
        self.reply_size += size if of is Of.REPLY else 0
        return size

    def peek(self) -> Any:
        """What is to be written: bytes on a byte wire, else a list of items."""
        if self.loose and not self._entries:
            return b"".join(self.loose)
        self.gather()
        items = [entry.item for entry in self._entries]
        if not self._byte_wire:
            return items
        return items[0] if len(items) == 1 else b"".join(items)

    def take_loose(self) -> bytes:
        """Take off all of it, if it is of sends that are complete; else nothing."""
        if self._entries or not self.loose:
            return b""
        data = b"".join(self.loose)
        self.loose.clear()
        self.size = 0
        return data

    def take(self, count: int) -> int:
        """Take off the first `count` bytes (items, where the wire is no byte stream); return the bytes of replies."""
        if count == self.size and not self._entries:
            self.clear()
            return 0
        self.gather()
        before = self.reply_size
        while count > 0:
            entry = self._entries[0]
            size = min(count, entry.size) if self._byte_wire else entry.size
            if size < entry.size:
                # A view: cutting an item of 1 GiB piece by piece must not copy the rest each time.
                entry.item, entry.size = memoryview(entry.item)[size:], entry.size - size
            else:
                self._entries = rest(self._entries)
            self.handed = self.handed or entry.of is Of.PRESENT_SEND
            self.size -= size
            self.reply_size -= size if entry.of is Of.REPLY else 0
            count -= size if self._byte_wire else 1
        return before - self.reply_size

    def settle_send(self) -> None:
        """The present send is complete: from now on its bytes are written, come what may."""
        self.handed = False
        for entry in self._entries:
            if entry.of is Of.PRESENT_SEND:
                entry.of = Of.EARLIER_SEND

    def drop_send(self, *, and_rest: bool = False) -> int:
        """Forget the bytes of the present send; with `and_rest` what came after them, too.

        Returns:
            How many replies were forgotten.
        """
        self.gather()
        entries = list(self._entries)
        first = next((at for at, entry in enumerate(entries) if entry.of is Of.PRESENT_SEND), len(entries))
        kept = entries[:first] if and_rest else [entry for entry in entries if entry.of is not Of.PRESENT_SEND]
        self._entries = row_of(kept)
        self.size = sum(entry.size for entry in kept)
        self.reply_size = sum(entry.size for entry in kept if entry.of is Of.REPLY)
        return sum(entry.of is Of.REPLY for entry in entries[first:]) if and_rest else 0

    def clear(self) -> None:
        """Forget everything."""
        self._entries = ()
        self.loose.clear()
        self.size = self.reply_size = 0

    def __bool__(self) -> bool:
        return bool(self._entries or self.loose)
