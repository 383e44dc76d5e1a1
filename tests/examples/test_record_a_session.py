"""record_a_session.py: two sessions over a real socket, recorded, and replayed without one."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from tests.examples.programs import run

PROGRAM = "examples/record_a_session.py"


def test_the_sessions_come_back_and_are_answered_as_they_were() -> None:
    done = run(PROGRAM)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "2 received, {'pieces': 3, 'price': 5} first",
        r"""answered as in the recording: b'{"total":15}\n' b'{"total":7}\n'""",
        "1 received, {'pieces': 2} first",
        r"""answered as in the recording: b'{"error":"no price"}\n'""",
    ]


def test_the_recordings_can_be_kept(tmp_path: Path) -> None:
    """For their owner's eyes; an answer that has changed is noticed."""
    assert run(PROGRAM, "--keep", str(tmp_path / "kept" / "here")).returncode == 0
    first, second = sorted((tmp_path / "kept" / "here").iterdir())
    assert (0o600, 0o600) == (first.stat().st_mode & 0o777, second.stat().st_mode & 0o777)
    read = [
        base64.b64decode(line["bytes"])
        for line in map(json.loads, first.read_bytes().splitlines())
        if line.get("direction") == "inbound" and "bytes" in line
    ]
    assert b'{"pieces": 3, "price": 5}\n{"pieces": 1, "price": 7}\n' == b"".join(read)

    assert run(PROGRAM, "--replay", str(first)).stdout.endswith(r"""b'{"total":15}\n' b'{"total":7}\n'""" + "\n")
    changed = first.read_bytes().replace(base64.b64encode(b'{"total":15}\n'), base64.b64encode(b'{"total":16}\n'))
    first.write_bytes(changed)
    done = run(PROGRAM, "--replay", str(first))
    assert done.returncode == 1
    assert done.stderr.endswith("AssertionError: the answers have changed\n")
