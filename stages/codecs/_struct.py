"""Records of a fixed layout, as Python's struct module knows them: `StructCodec`.

One item is one record; the framer that goes with it is `FixedFramer`. What struct would do in silence and the
other end could not see, cut a byte string that is longer than its field, is refused.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Any

from pipeline import Duplex, Inbound, Outbound

from .._bytes import BytesLike, as_bytes

__all__ = ["StructCodec"]


class StructCodec(Duplex[BytesLike, tuple[Any, ...], Sequence[Any], bytes]):
    r"""Unpack records of a fixed layout to tuples inbound, pack tuples or lists outbound: one item, one record.

    in:  b"\x00\x07\xff"        StructCodec(">Hb")        out:  (7, -1)

    A format with one field gives tuples, too. Begin it with ">" or "<": without, the layout is this machine's,
    with gaps between the fields.

    Args:
        format: of the `struct` module.

    Raises:
        ValueError: an item has not exactly the record's size, or outbound the values do not fit the
            format; nothing is kept or written, so `recover` can go on with the next item.
        TypeError: outbound, no tuple or list; nothing is written.

    Attributes:
        size: bytes of a record, as for `FixedFramer(codec.size) | codec`.
    """

    def __init__(self, format: str) -> None:  # noqa: A002 - struct's own word
        try:
            record = struct.Struct(format)
        except (struct.error, TypeError, UnicodeEncodeError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(
                f"StructCodec({format!r}): {error}. Take a format of the struct module, as in StructCodec('>HI')"
            ) from None
        super().__init__(StructInbound(record), StructOutbound(record))
        self.size = record.size


class StructInbound(Inbound[BytesLike, tuple[Any, ...]]):
    """The inbound half of `StructCodec`; holds nothing."""

    name = "StructCodec.inbound"
    peer_errors = (ValueError,)
    shareable = True
    only_items = True
    never_expands = True
    holds = 0

    def __init__(self, record: struct.Struct) -> None:
        self._record, self._unpack = record, record.unpack

    def process_one(self, data: BytesLike, /) -> tuple[Any, ...]:
        """Unpack one record.

        Raises:
            ValueError: it has another size; the next item is unpacked all the same.
        """
        if type(data) is not bytes:
            data = as_bytes("StructCodec", data)
        try:
            return self._unpack(data)
        except struct.error:
            record = self._record
            raise ValueError(
                f"StructCodec({record.format!r}): an item of {len(data)} bytes, but a record has {record.size}. Is "
                f"there a framer before it, as in FixedFramer({record.size}) | StructCodec({record.format!r})?"
            ) from None

    def unread(self, outputs: Iterable[Any], /) -> Iterable[Any] | None:
        """Nothing is held; a record that was not taken need not pack to the same bytes."""
        return None if list(outputs) else ()


class StructOutbound(Outbound[Sequence[Any], bytes]):
    """The outbound half of `StructCodec`; holds nothing."""

    name = "StructCodec.outbound"
    shareable = True
    holds = 0
    keeps_outbound_state = False

    def __init__(self, record: struct.Struct) -> None:
        self._record, self._pack = record, record.pack
        self._has_strings = "s" in record.format or "p" in record.format

    def process_one(self, values: Sequence[Any], /) -> bytes:
        """Pack one record.

        Raises:
            ValueError: the values do not fit the format; nothing is written.
            TypeError: no tuple or list; nothing is written.
        """
        if not _is_record(values):
            example = "StructCodec('>HI') | Map(outbound=...)"
            raise TypeError(
                f"StructCodec({self._record.format!r}) packs a tuple or list of values, not "
                f"{type(values).__name__}: send a tuple, of a single value (value,), or make one of it: {example}"
            )
        try:
            data = self._pack(*values)
        except (struct.error, OverflowError) as error:
            raise ValueError(f"StructCodec({self._record.format!r}): {error}: {_shown(values)}") from None
        if self._has_strings:
            self._check_strings(values, data)
        return data

    def _check_strings(self, values: Sequence[Any], data: bytes) -> None:
        for value, packed in zip(values, self._record.unpack(data), strict=True):
            if isinstance(packed, bytes) and len(value) > len(packed):
                raise ValueError(
                    f"StructCodec({self._record.format!r}): {_shown(value)} has {len(value)} bytes, but its field "
                    f"takes {len(packed)}; struct would cut it"
                )


def _is_record(values: object) -> bool:
    return isinstance(values, Sequence) and not isinstance(values, str | bytes | bytearray | memoryview)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}..."
