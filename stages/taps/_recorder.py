"""A session written down as it happens, for a test to come: `Recorder`. The format is told in `_recording.py`."""

from __future__ import annotations

import os
from typing import Any

from pipeline import Passthrough

from ._file import TapFile, data_of
from ._recording import Record
from ._session import SessionInbound, SessionOutbound
from ._wall import WallClock

__all__ = ["Recorder"]


class Recorder(Passthrough):
    r"""Write the bytes that pass to a file, with time and direction; the items go on as they are.

    in:  b"one\n"        out:  b"one\n"

        {"number": 1, "time": 1795262400.250000, "direction": "inbound", "bytes": "b25lCg=="}

    It belongs at the wire: `Recorder(path) | LineFramer() | ...`. `replay` brings the session back.

    One file is one session. It is made when the pipeline begins, and its owner alone may read it: what
    passes may be secret. Each line is written at once and unbuffered, so that a program that dies leaves
    all but the end of the last one. A file that exists is not written to.

    What cannot be written never touches the traffic: it is logged once, under `stages.taps`, and the
    recording ends there. An item is written down as it passes, before anybody knows whether the transport
    takes it.

    Args:
        path: the file. Its directory must exist.
        max_bytes: how long the file may become. Before an item would make it longer it is renamed, to
            `path` and `.1`, in place of an older one of that name, and a new one begins: at most twice
            `max_bytes` are kept, the latest. An item that is longer by itself has a file of its own.
        strict: whether what cannot be written is raised as the stage's own error.

    Raises:
        TypeError: at once: the path is none. In a running pipeline: an item is not bytes; it did not pass.
        FileNotFoundError, IsADirectoryError: at once: no file of that name can be.
        ValueError: at once: max_bytes is below 1.
        OSError: with `strict`, from this item on: it could not be written, or the file was there before.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, max_bytes: int = 64 * 1024 * 1024, strict: bool = False
    ) -> None:
        if max_bytes < 1:
            raise ValueError(f"Recorder(max_bytes={max_bytes}): must be 1 or more, as in Recorder(max_bytes=10**8)")
        session = _Session(path, max_bytes, strict=strict)
        super().__init__(RecorderInbound(session), RecorderOutbound(session))


class _Session:
    """What is written, numbered, and where; one for both directions."""

    def __init__(self, path: str | os.PathLike[str], max_bytes: int, *, strict: bool) -> None:
        self._stage = f"Recorder({str(path)!r})"
        self._file = TapFile(self._stage, path, strict=strict)
        self._max_bytes = max_bytes
        self._time = WallClock()
        self._number = 0

    def begin(self, now: float) -> None:
        self._write(Record(self._number, self._time(now)))

    def add(self, now: float, direction: str, item: Any) -> None:
        self._write(Record(self._number, self._time(now), direction, data_of(self._stage, item)))

    def end(self, now: float, direction: str) -> None:
        self._write(Record(self._number, self._time(now), direction))

    def close(self, now: float) -> None:
        """Both halves call it."""
        if self._number and not self._file.over:
            self._write(Record(self._number, self._time(now)))
        self._file.close()

    def _write(self, record: Record) -> None:
        self._number += 1
        line = record.line()
        if self._file.size and self._file.size + len(line) > self._max_bytes:
            self._file.set_aside()
        self._file.write(line)


class RecorderInbound(SessionInbound):
    """Inbound half of `Recorder`."""

    name = "Recorder.inbound"


class RecorderOutbound(SessionOutbound):
    """Outbound half of `Recorder`."""

    name = "Recorder.outbound"
