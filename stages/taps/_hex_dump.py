"""Bytes for reading, in hex and in ASCII: `HexDump`.

The rows are those of `hexdump -C`; the head line above them is this library's.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar, Protocol

from pipeline import Inbound, Outbound, Passthrough

from .._arguments import check_size
from .._bytes import size_of
from ._check import check_functions
from ._half import Half

__all__ = ["HexDump"]

_log = logging.getLogger("stages.taps")

_ROW = 16
_GROUP = 8
_GROUP_WIDTH = 3 * _GROUP - 1
_PRINTABLE = bytes(byte if 0x20 <= byte <= 0x7E else ord(".") for byte in range(256))
# For a file whose encoding has no arrows.
_ASCII = str.maketrans({"→": "->", "←": "<-", "…": "..."})


class Writable(Protocol):
    """What a dump is written to: a text file, `io.StringIO`, anything with `write(str)`."""

    def write(self, text: str, /) -> object:
        """Write all of the text."""


class HexDump(Passthrough):
    r"""Write the bytes that pass to a file, in hex and in ASCII; the items go on as they are.

    in:  b"GET / HTTP/1.1\r\n\r\n"        out:  b"GET / HTTP/1.1\r\n\r\n"

        → in  18 bytes at 0
          0000  47 45 54 20 2f 20 48 54  54 50 2f 31 2e 31 0d 0a  |GET / HTTP/1.1..|
          0010  0d 0a                                             |..|

    The head line has the item's length and how many bytes passed in its direction before it; the rows
    begin with the place inside the item. Of an item that is no bytes the type is shown.

    Each item is one `write()`, so two pipelines that share a file do not interleave, and a `flush()`
    where the file has one. A file that makes its writer wait (a pipe that nobody reads) holds up the
    traffic. What the file raises is logged once, under `stages.taps`, and never touches the traffic.

    Args:
        file: a text file, or any object with `write(str)`; None: `sys.stderr`, as it is at the time.
        max_bytes: how many bytes of an item are shown; beyond, the last line says of how many.
        redact: called with each item's bytes, as `bytes`; returns those to show instead, or the same.
            For anything that is no bytes, None for one, and where it raises, no bytes are shown. It
            sees one item at a time: a secret that may be cut in two is safe only behind a framer.

    Raises:
        TypeError: at once: the file has no `write`, max_bytes is no int, or redact is no plain function.
        ValueError: at once: max_bytes is below 1.
    """

    def __init__(
        self,
        file: Writable | None = None,
        *,
        max_bytes: int = 256,
        redact: Callable[[bytes], object] | None = None,
    ) -> None:
        if file is not None and not callable(getattr(file, "write", None)):
            raise TypeError(f"HexDump({file!r}): must be an open text file, as in HexDump(open('wire.txt', 'w'))")
        check_size("HexDump", "max_bytes", max_bytes, default=256)
        if redact is not None:
            check_functions("HexDump", redact=redact)
        output, look = _Output(file), _Look(max_bytes, redact)
        super().__init__(HexDumpInbound(output, look), HexDumpOutbound(output, look))


class _Output:
    """Where a dump goes; one for both directions."""

    def __init__(self, file: Writable | None) -> None:
        self._file = file
        self._failed = False

    def write(self, text: str) -> None:
        file: Any = sys.stderr if self._file is None else self._file
        try:
            file.write(text)
        except UnicodeEncodeError:
            file.write(text.translate(_ASCII).encode("ascii", "backslashreplace").decode("ascii"))
        flush = getattr(file, "flush", None)
        if flush is not None:
            flush()

    def failed(self, error: Exception) -> None:
        if self._failed:
            return
        self._failed = True
        _log.error(
            "HexDump: an item could not be written; traffic goes on, and later failures are not logged",
            exc_info=error,
        )


class _Look:
    """How an item looks in the dump."""

    def __init__(self, max_bytes: int, redact: Callable[[bytes], object] | None) -> None:
        self._max_bytes, self._redact = max_bytes, redact

    def __call__(self, arrow: str, item: Any, offset: int) -> str:
        if not isinstance(item, bytes | bytearray | memoryview):
            return f"{arrow} {type(item).__name__}, no bytes\n"
        size, remark = size_of(item), ""
        head = f"{arrow} {size} {'byte' if size == 1 else 'bytes'} at {offset}"
        if self._redact is not None:
            item, remark = _redacted(self._redact, bytes(item))
            size = len(item)
        rows = _rows(_beginning(item, self._max_bytes), size)
        return "\n".join([head + remark, *rows, ""])


def _beginning(item: bytes | bytearray | memoryview, size: int) -> bytes:
    """The first bytes, without a copy of the others where slices count in bytes."""
    if isinstance(item, memoryview) and (item.ndim != 1 or item.itemsize != 1):
        item = bytes(item)
    return bytes(item[:size])


def _redacted(redact: Callable[[bytes], object], data: bytes) -> tuple[bytes, str]:
    """What is to be shown, and what the head line says of it. An error's text might have the secret in it."""
    try:
        shown = redact(data)
    except Exception as error:
        return b"", f", not shown: redact raised {type(error).__name__}"
    if not isinstance(shown, bytes | bytearray | memoryview):
        return b"", ", redacted"
    return bytes(shown), "" if shown == data else ", redacted"


def _rows(data: bytes, size: int) -> Iterator[str]:
    """The lines below the head, for the beginning of an item of this size."""
    digits = max(4, len(f"{len(data):x}"))
    for place in range(0, len(data), _ROW):
        row = data[place : place + _ROW]
        left, right = row[:_GROUP].hex(" "), row[_GROUP:].hex(" ")
        text = row.translate(_PRINTABLE).decode("ascii")
        yield f"  {place:0{digits}x}  {left:<{_GROUP_WIDTH}}  {right:<{_GROUP_WIDTH}}  |{text}|"
    if len(data) < size:
        yield f"  {'…':<{digits}}  {len(data)} of {size} bytes shown"


class _HexDumpHalf(Half):
    arrow: ClassVar[str]

    def __init__(self, output: _Output, look: _Look) -> None:
        self._output, self._look = output, look
        self._offset = 0

    def process_one(self, item: Any, /) -> Any:
        offset = self._offset
        try:
            self._offset += size_of(item)
            self._output.write(self._look(self.arrow, item, offset))
        except Exception as error:
            self._output.failed(error)
        return item

    def unread(self, outputs: Iterable[Any], /) -> Iterable[Any]:
        """Give everything back; when it passes again, it is at the same place."""
        items = list(outputs)
        self._offset -= sum(map(size_of, items))
        return items


class HexDumpInbound(_HexDumpHalf, Inbound[Any, Any]):
    """Inbound half of `HexDump`."""

    name = "HexDump.inbound"
    arrow = "→ in "


class HexDumpOutbound(_HexDumpHalf, Outbound[Any, Any]):
    """Outbound half of `HexDump`."""

    name = "HexDump.outbound"
    arrow = "← out"
