"""Where a MessagePack value ends, found without making it; `MessagePackCodec` decodes what is found.

The format is https://github.com/msgpack/msgpack/blob/master/spec.md. No stack is needed for it: how many values are to
come is a number, which a container adds its items to and each value takes one from. Nothing is allocated for what a
header announces.
"""

from __future__ import annotations

from typing import Final

from pipeline import CorruptFrameError, FrameTooLongError

__all__ = ["Scan"]

# What the first byte of a value says. Of its length: all of it where it is known, else that of the header.
_LENGTH: Final = [
    *[1] * 0xA0,  # small numbers; maps and arrays of up to 15 items
    *range(1, 33),  # strings of up to 31 bytes
    *[1, 1, 1, 1],  # nil, 0xc1, false, true
    *[2, 3, 5],  # bytes
    *[3, 4, 6],  # ext: length and type
    *[5, 9, 2, 3, 5, 9, 2, 3, 5, 9],  # floats, unsigned and signed numbers
    *[3, 4, 6, 10, 18],  # ext of a fixed length
    *[2, 3, 5],  # strings
    *[3, 5, 3, 5],  # arrays, maps
    *[1] * 32,  # small negative numbers
]
# Of how many more values are to come, itself taken off.
_MORE: Final = [
    *[-1] * 0x80,
    *range(-1, 31, 2),
    *range(-1, 15),
    *[-1] * 0x60,
]
# Where the header goes on with a length in bytes, or a number of items: how many bytes that has.
_FIELD: Final = {
    # bytes, ext, strings, arrays and maps
    **dict(zip((0xC4, 0xC5, 0xC6, 0xC7, 0xC8, 0xC9), (1, 2, 4, 1, 2, 4), strict=True)),
    **dict(zip((0xD9, 0xDA, 0xDB, 0xDC, 0xDD, 0xDE, 0xDF), (1, 2, 4, 2, 4, 2, 4), strict=True)),
}
# And for items: how many values one is.
_ITEM: Final = {0xDC: 1, 0xDD: 1, 0xDE: 2, 0xDF: 2}
_NEVER_USED: Final = 0xC1
# What needs a second look: the bytes of _FIELD, and the one that is never used.
_PLAIN: Final = [byte not in _FIELD and byte != _NEVER_USED for byte in range(256)]


class Scan:
    """How far the unfinished value was looked at."""

    __slots__ = ("_max_bytes", "_seen", "_to_come")

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self.restart()

    def restart(self) -> None:
        self._seen = 0  # bytes of it that need not be looked at again; may be more than there are
        self._to_come = 1  # values

    def end(self, data: bytes | bytearray, start: int) -> int | None:
        """Where the value ends that begins at `start`, or None: not in `data`.

        Raises:
            FrameTooLongError: it is over the limit.
            CorruptFrameError: it is none.
        """
        at, to_come = start + self._seen, self._to_come
        size, most = len(data), start + self._max_bytes
        while to_come and at < size:
            byte = data[at]
            behind = at + _LENGTH[byte]
            left = to_come + _MORE[byte]
            if behind + left > most:  # each value that is to come has at least one byte
                self._too_long(behind + left - start)
            if not _PLAIN[byte]:
                if behind > size or byte == _NEVER_USED:
                    _check_used(byte)
                    break
                field = int.from_bytes(data[at + 1 : at + 1 + _FIELD[byte]], "big")
                if byte in _ITEM:
                    left += field * _ITEM[byte]
                else:
                    behind += field
                if behind + left > most:
                    self._too_long(behind + left - start)
            at, to_come = behind, left
        if to_come or at > size:
            self._seen, self._to_come = at - start, to_come
            return None
        self.restart()
        return at

    def _too_long(self, size: int) -> None:
        raise FrameTooLongError(
            f"MessagePackCodec: a value of at least {size} bytes is over the limit, max_bytes={self._max_bytes}. "
            f"Raise max_bytes if it is a right one",
            limit=self._max_bytes,
            size=size,
        )


def _check_used(byte: int) -> None:
    if byte == _NEVER_USED:
        raise CorruptFrameError(
            "MessagePackCodec: the byte 0xc1, which MessagePack never uses, where a value should begin. Does the peer "
            "send something else, or another framing?"
        )
