"""A bus of one's own: dbus-daemon."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

needs_dbus_daemon = pytest.mark.skipif(
    shutil.which("dbus-daemon") is None, reason="there is no dbus-daemon: apt-get install dbus-daemon"
)


@contextmanager
def dbus_daemon(folder: Path) -> Iterator[Path]:
    """The path of the bus's socket."""
    path = folder / "bus"
    command = ["dbus-daemon", "--session", "--nofork", "--print-address", f"--address=unix:path={path}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith(f"unix:path={path}")
            yield path
        finally:
            process.kill()
