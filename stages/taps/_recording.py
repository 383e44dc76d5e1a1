"""The file format of a recorded session: what `Recorder` writes and `replay` reads.

One JSON object per line. `number` counts them from 0, so that a missing one is noticed; `time` is in seconds
since 1970. The first says that the session began, the last that it was closed, however that came; in between
there is one for each item, and one for each direction's clean end:

    {"number": 0, "time": 1795262400.000000, "version": 1}
    {"number": 1, "time": 1795262400.250000, "direction": "inbound", "bytes": "b25lCg=="}
    {"number": 2, "time": 1795262401.000000, "direction": "inbound", "end": true}
    {"number": 3, "time": 1795262401.500000, "closed": true}

A file that became too long is called `….1`, and the next line is the first of a new one. A torn last line is
what a crash leaves; it is not looked at.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ._file import old_path

VERSION: Final = 1

_DIRECTIONS = ("", "inbound", "outbound")


@dataclass(frozen=True, slots=True)
class Record:
    """One line.

    Args:
        number: which of the session's lines it is.
        time: seconds since 1970.
        direction: "inbound" or "outbound"; "" for the session's beginning or close.
        data: the item, or None: the direction ended.
    """

    number: int
    time: float
    direction: str = ""
    data: bytes | None = None

    def line(self) -> bytes:
        """The record as it is written."""
        if not self.direction:
            what = '"closed": true' if self.number else f'"version": {VERSION}'
        elif self.data is None:
            what = f'"direction": "{self.direction}", "end": true'
        else:
            what = f'"direction": "{self.direction}", "bytes": "{base64.b64encode(self.data).decode("ascii")}"'
        return b'{"number": %d, "time": %.6f, %s}\n' % (self.number, self.time, what.encode("ascii"))

    def __str__(self) -> str:
        if not self.direction:
            what = "the close" if self.number else "the beginning"
        else:
            what = f"{self.direction}, " + ("its end" if self.data is None else f"{len(self.data)} bytes")
        return f"number {self.number} of the recording ({what})"


def read_recording(path: str) -> Iterator[Record]:
    """Read a session's records in order, from the file that was set aside, if there is one, on.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a line is no record, or one is missing.
    """
    expected = None
    for line, where in _lines(path):
        record = _record_of(line, where)
        if expected is not None and record.number != expected:
            raise ValueError(
                f"{where}: number {record.number} of the session where number {expected} should be: "
                f"lines are missing, or the files are not of one session"
            )
        expected = record.number + 1
        yield record


def _lines(path: str) -> Iterator[tuple[bytes, str]]:
    """Each line, and how errors call it; without the last one of all if it is torn."""
    names = [name for name in (old_path(path), path) if os.path.exists(name)] or [path]  # noqa: PTH110
    for name in names:
        with open(name, "rb") as file:  # noqa: PTH123
            for count, line in enumerate(file, 1):
                if line.endswith(b"\n") or name != names[-1]:
                    yield line, f"{name}, line {count}"


def _record_of(line: bytes, where: str) -> Record:
    try:
        fields = json.loads(line)
        number, time, version = fields["number"], fields["time"], fields.get("version", VERSION)
        direction, data = fields.get("direction", ""), fields.get("bytes")
        known = type(number) is int and isinstance(time, int | float) and direction in _DIRECTIONS
        record = Record(number, time, direction, None if data is None else base64.b64decode(data, validate=True))
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{where}: this is no line of a recording: {line[:100]!r}") from error
    if not known:
        raise ValueError(f"{where}: this is no line of a recording: {line[:100]!r}")
    if version != VERSION:
        raise ValueError(f"{where}: a recording of version {version!r}, and this Penstock reads {VERSION}")
    return record
