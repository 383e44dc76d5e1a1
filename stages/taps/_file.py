"""A file that a tap writes into, and what happens when it cannot.

Rules for this file: each write goes to the system at once and unbuffered, so that a program that dies loses
at most the end of the last one. What is in the file has no holes: after a failure nothing more is written.
"""

from __future__ import annotations

import io
import logging
import os
from typing import Any

_log = logging.getLogger("stages.taps")


class TapFile:
    """A new file, readable by its owner alone, that is made when the first bytes are to go in.

    Args:
        stage: how errors call the tap: "Recorder('session.jsonl')".
        path: the name of the file. One that exists is never written to.
        strict: whether a failure is raised, at once and from every later write. If not, it is logged.

    Raises:
        TypeError: at once: the path is no path.
        FileNotFoundError: at once: the directory that it is to be in does not exist.
        IsADirectoryError: at once: the path is a directory itself.
    """

    def __init__(self, stage: str, path: str | os.PathLike[str], *, strict: bool) -> None:
        if not isinstance(path, str | os.PathLike):
            raise TypeError(f"{stage}: the path must be a str or a Path, not {type(path).__name__}")
        self.path = os.path.abspath(os.fspath(path))  # noqa: PTH100 - a later chdir() must not move it
        directory = os.path.dirname(self.path)  # noqa: PTH120
        if not os.path.isdir(directory):  # noqa: PTH112
            raise FileNotFoundError(f"{stage}: there is no directory {directory!r}; make it first: os.makedirs(...)")
        if os.path.isdir(self.path):  # noqa: PTH112
            raise IsADirectoryError(f"{stage}: {self.path!r} is a directory; name a new file in it for each session")
        self.size = 0
        self.over = False  # nothing more will be written
        self._stage, self._strict = stage, strict
        self._file: io.FileIO | None = None
        self._failure: OSError | None = None

    @property
    def old_path(self) -> str:
        """What the file is called after `set_aside()`."""
        return old_path(self.path)

    def write(self, data: bytes) -> None:
        """Write all of the data, or nothing ever again.

        Raises:
            OSError: with `strict`: it could not be written, or an earlier write failed.
        """
        if self._failure is not None and self._strict:
            raise self._failure
        if self.over:
            return
        try:
            self._write(data)
        except OSError as error:
            self._fail(error)

    def set_aside(self) -> None:
        """Give the file its old name, in place of an older one; the next write makes a new file.

        Raises:
            OSError: with `strict`: it could not be renamed.
        """
        if self._file is None:
            return
        try:
            self._file.close()
            os.replace(self.path, self.old_path)  # noqa: PTH105
            self._file = self._create()
            self.size = 0
        except OSError as error:
            self._fail(error)

    def close(self) -> None:
        """Close the file; nothing is written from now on."""
        self.over = True
        if self._file is not None:
            self._file.close()

    def end(self, why: str) -> None:
        """Close the file in the middle, and tell why."""
        self.close()
        _log.warning("%s: %s; traffic goes on", self._stage, why)

    def _write(self, data: bytes) -> None:
        if self._file is None:
            self._refuse_old()
            self._file = self._create()
        rest = memoryview(data)
        while rest:  # one write, but for a disk that becomes full in the middle of it
            rest = rest[self._file.write(rest) :]
        self.size += len(data)

    def _refuse_old(self) -> None:
        """An older recording is precious, and two in one are none."""
        for path in (self.path, self.old_path):
            if os.path.lexists(path):
                raise FileExistsError(
                    f"there is a file {path!r} already, which is not written to: give each session a name of its own, "
                    f"with time.time_ns() in it, or move the old one away"
                )

    def _create(self) -> io.FileIO:
        # "x": nobody else's file, no symbolic link, and so with these permissions for sure.
        return io.FileIO(self.path, "x", opener=lambda path, flags: os.open(path, flags, 0o600))

    def _fail(self, error: OSError) -> None:
        self._failure = error
        self.close()
        if self._strict:
            raise error
        _log.error("%s: writing failed and ends here; traffic goes on", self._stage, exc_info=error)


def old_path(path: str) -> str:
    """What a file that was set aside is called."""
    return f"{path}.1"


def data_of(stage: str, item: Any) -> bytes:
    """The item's bytes.

    Raises:
        TypeError: it has none; the message says where the tap belongs.
    """
    if isinstance(item, bytes | bytearray | memoryview):
        return bytes(item)
    raise TypeError(
        f"{stage} takes bytes, not {type(item).__name__}. Put it where the items are bytes, "
        f"at the wire: {stage} | LineFramer() | ..."
    )
