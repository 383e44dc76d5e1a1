"""Recorder: a session written down as it happens."""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline import FrameTooLongError
from pipeline.testing import Harness, check_tap, pipeline_pair
from stages import LineFramer, Recorder
from stages.taps._recording import read_recording
from tests.stages.taps.limited import files_of_at_most


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def items(path: Path) -> list[tuple[str, bytes | None]]:
    """What passed, without the beginning and the close."""
    return [(record.direction, record.data) for record in read_recording(str(path)) if record.direction]


@pytest.mark.parametrize("strict", [False, True])
def test_it_changes_nothing(tmp_path: Path, strict: bool) -> None:
    count = itertools.count()
    check_tap(
        lambda: Recorder(tmp_path / f"{next(count)}", strict=strict),
        [b"bytes", bytearray(b"mutable"), b""],
    )


def test_one_line_an_item_with_time_and_direction_and_its_bytes(tmp_path: Path) -> None:
    before = time.time()
    with Harness(Recorder(tmp_path / "x") | LineFramer()) as harness:
        harness.receive(b"one\ntw")
        harness.advance(1.5)
        harness.receive(bytearray(b"o\n"))
        harness.send(b"three")
        harness.advance(0.25)
        harness.finish()
        harness.send_eof()
    written = lines(tmp_path / "x")
    began = written[0]["time"]
    assert before - 1e-6 <= began <= time.time() + 1e-6
    assert [0.0, 0.0, 1.5, 1.5, 1.75, 1.75, 1.75] == [round(line.pop("time") - began, 3) for line in written]
    assert written == [
        {"number": 0, "version": 1},
        {"number": 1, "direction": "inbound", "bytes": "b25lCnR3"},
        {"number": 2, "direction": "inbound", "bytes": "bwo="},
        {"number": 3, "direction": "outbound", "bytes": "dGhyZWUK"},
        {"number": 4, "direction": "inbound", "end": True},
        {"number": 5, "direction": "outbound", "end": True},
        {"number": 6, "closed": True},
    ]


def test_its_owner_alone_may_read_it_and_an_item_is_there_at_once(tmp_path: Path) -> None:
    with Harness(Recorder(tmp_path / "x")) as harness:
        assert 1 == len(lines(tmp_path / "x"))
        harness.receive(b"secret")
        assert [("inbound", b"secret")] == items(tmp_path / "x")
    assert 0o600 == (tmp_path / "x").stat().st_mode & 0o777


def test_an_end_that_did_not_come_is_not_written(tmp_path: Path) -> None:
    """So a replay knows a session that was broken off from one that ended inside a frame."""
    with Harness(Recorder(tmp_path / "x")) as harness:
        harness.receive(b"one")
    assert [("inbound", b"one")] == items(tmp_path / "x")


def test_what_makes_a_later_stage_fail_is_written(tmp_path: Path) -> None:
    with Harness(Recorder(tmp_path / "x") | LineFramer(max_bytes=3)) as harness:
        with pytest.raises(FrameTooLongError):
            harness.receive(b"long")
        harness.send(b"bye")
    assert [("inbound", b"long"), ("outbound", b"bye\n")] == items(tmp_path / "x")


async def test_in_a_pipeline_both_directions_and_both_ends(tmp_path: Path) -> None:
    async with pipeline_pair(Recorder(tmp_path / "x") | LineFramer(), LineFramer()) as (left, right):
        await right.send(b"question")
        assert b"question" == await left.receive()
        await left.send(b"answer")
        await right.send_eof()
        assert [] == [item async for item in left]
    assert items(tmp_path / "x") == [
        ("inbound", b"question\n"),
        ("outbound", b"answer\n"),
        ("inbound", None),
        ("outbound", None),
    ]


def test_what_is_no_bytes_is_refused(tmp_path: Path) -> None:
    with Harness(LineFramer() | Recorder(tmp_path / "x")) as harness:
        with pytest.raises(TypeError, match=r"Recorder\('.*/x'\) takes bytes, not dict. Put it where the items are by"):
            harness.send({})
        assert [b"one"] == harness.receive(b"one\n")
    assert [("inbound", b"one")] == items(tmp_path / "x")


def test_before_a_file_is_too_long_it_is_set_aside(tmp_path: Path) -> None:
    with Harness(Recorder(tmp_path / "x", max_bytes=330)) as harness:
        harness.receive(b"one", b"two", b"three")
        assert not (tmp_path / "x.1").exists()
        harness.receive(b"four")
        assert [0, 1, 2, 3] == [line["number"] for line in lines(tmp_path / "x.1")]
        assert [4] == [line["number"] for line in lines(tmp_path / "x")]
        assert [b"one", b"two", b"three", b"four"] == [data for _, data in items(tmp_path / "x")]


def test_a_file_of_exactly_max_bytes_passes(tmp_path: Path) -> None:
    with Harness(Recorder(tmp_path / "a")) as harness:
        harness.receive(b"one", b"two")
    length = (tmp_path / "a").stat().st_size
    for less in (0, 1):
        with Harness(Recorder(tmp_path / f"b{less}", max_bytes=length - less)) as harness:
            harness.receive(b"one", b"two")
        assert bool(less) is (tmp_path / f"b{less}.1").exists()
        assert length == sum(path.stat().st_size for path in tmp_path.glob(f"b{less}*"))


def test_twice_max_bytes_are_kept_the_latest(tmp_path: Path) -> None:
    with Harness(Recorder(tmp_path / "x", max_bytes=1000)) as harness:
        for count in range(1000):
            harness.receive(b"%d" % count)
            assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 2000
    kept = [int(data) for _, data in items(tmp_path / "x") if data]
    assert 10 < len(kept) < 30
    assert [*range(1000)][-len(kept) :] == kept


def test_an_item_over_max_bytes_has_a_file_of_its_own(tmp_path: Path) -> None:
    with Harness(Recorder(tmp_path / "x", max_bytes=100)) as harness:
        harness.receive(b"x" * 1000, b"one")
        assert [b"x" * 1000, b"one"] == [data for _, data in items(tmp_path / "x")]
        assert 1 == len(lines(tmp_path / "x.1"))


def test_what_cannot_be_written_never_touches_the_traffic(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with files_of_at_most(200), Harness(Recorder(tmp_path / "x") | LineFramer()) as harness:
        assert [b"one"] == harness.receive(b"one\n")
        assert [b"two"] == harness.receive(b"two\n")
        assert [b"three\n"] == harness.send(b"three")
    assert [("inbound", b"one\n")] == items(tmp_path / "x")
    assert [f"Recorder('{tmp_path}/x'): writing failed and ends here; traffic goes on"] == caplog.messages


def test_strict_raises_what_cannot_be_written(tmp_path: Path) -> None:
    with files_of_at_most(200), Harness(Recorder(tmp_path / "x", strict=True)) as harness:
        harness.receive(b"one\n")
        with pytest.raises(OSError, match="File too large"):
            harness.receive(b"two\n")
        with pytest.raises(OSError, match="File too large"):
            harness.send(b"three\n")


def test_strict_does_not_even_begin_where_a_file_is(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(FileExistsError, match=r"there is a file '.*/x' already"):
        Harness(Recorder(tmp_path / "x", strict=True))


def test_a_chain_that_never_ran_leaves_no_file(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "x")
    assert recorder.inbound
    assert recorder.outbound
    recorder.inbound.close()
    recorder.outbound.close()
    assert [] == [*tmp_path.iterdir()]


def test_a_program_that_is_killed_leaves_what_it_had_recorded(tmp_path: Path) -> None:
    program = (
        "import os, signal\nfrom pipeline.testing import Harness\nfrom stages import Recorder\n"
        f"harness = Harness(Recorder({str(tmp_path / 'x')!r}))\n"
        "for count in range(100): harness.receive(b'%d' % count)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False)
    assert -signal.SIGKILL == done.returncode
    assert [b"%d" % count for count in range(100)] == [data for _, data in items(tmp_path / "x")]


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"path": 7}, TypeError, r"Recorder\('7'\): the path must be a str or a Path, not int"),
        ({"path": "no/x"}, FileNotFoundError, r"Recorder\('no/x'\): there is no directory '.*/no'; make it first"),
        ({"path": "x", "max_bytes": 0}, ValueError, r"Recorder\(max_bytes=0\): must be 1 or more, as in Recorder\(m"),
    ],
    ids=str,
)
def test_wrong_parameters_show_the_remedy(parameters: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Recorder(**parameters)


def test_repr_shows_it_as_it_is_written() -> None:
    assert "Recorder('x', max_bytes=1000)" == repr(Recorder("x", max_bytes=1000))
