"""dbus_client.py: names and signals on a bus of one's own."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.code_blocks import ROOT
from tests.examples.programs import SECONDS, run
from tests.stages.protocols.dbus_daemon import dbus_daemon, needs_dbus_daemon

PROGRAM = "examples/dbus_client.py"


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    with dbus_daemon(tmp_path) as path:
        yield f"unix:path={path}"


@needs_dbus_daemon
def test_it_lists_the_names_on_a_bus(address: str) -> None:
    listed = run(PROGRAM, "--address", address)
    assert "" == listed.stderr
    assert re.fullmatch(r"the bus calls us :1\.\d+\norg\.freedesktop\.DBus is process \d+\n", listed.stdout)


@needs_dbus_daemon
def test_it_prints_signals_until_it_is_stopped(address: str) -> None:
    """Another client comes: the bus says so to everybody."""
    command = [sys.executable, "-W", "error", PROGRAM, "--watch", "--address", address]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watching:
        try:
            assert any("NameAcquired" in line for line in watching.stdout or ())
            assert 0 == run(PROGRAM, "--address", address).returncode
            assert any("NameOwnerChanged" in line for line in watching.stdout or ())
            watching.send_signal(signal.SIGINT)
            _, errors = watching.communicate(timeout=SECONDS)
        finally:
            watching.kill()
        assert ("", 0) == (errors, watching.returncode)


def test_it_says_that_there_is_no_bus(tmp_path: Path) -> None:
    refused = run(PROGRAM, "--address", f"unix:path={tmp_path}/none")
    assert refused.stderr.startswith(f"no bus at unix:path={tmp_path}/none: ")
    assert 1 == refused.returncode
