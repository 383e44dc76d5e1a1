"""The file of a recorded session: its lines, and what is wrong with one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stages.taps._recording import Record, read_recording

BEGIN = Record(0, 1795262400.0)
ITEM = Record(1, 1795262400.25, "inbound", b"one\n")
EMPTY = Record(2, 1795262401.0, "outbound", b"")
END = Record(3, 1795262401.0, "inbound")
CLOSE = Record(4, 1795262402.0)
RECORDS = [BEGIN, ITEM, EMPTY, END, CLOSE]
LINES = [record.line() for record in RECORDS]


def read(path: Path, *lines: bytes) -> list[Record]:
    path.write_bytes(b"".join(lines))
    return list(read_recording(str(path)))


def test_a_line_is_an_object_for_anybody() -> None:
    assert [json.loads(line) for line in LINES] == [
        {"number": 0, "time": 1795262400.0, "version": 1},
        {"number": 1, "time": 1795262400.25, "direction": "inbound", "bytes": "b25lCg=="},
        {"number": 2, "time": 1795262401.0, "direction": "outbound", "bytes": ""},
        {"number": 3, "time": 1795262401.0, "direction": "inbound", "end": True},
        {"number": 4, "time": 1795262402.0, "closed": True},
    ]
    assert all(line.index(b"\n") == len(line) - 1 for line in LINES)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    assert RECORDS == read(tmp_path / "x", *LINES)


def test_cut_at_any_byte_all_whole_lines_are_read(tmp_path: Path) -> None:
    data = b"".join(LINES)
    for size in range(len(data) + 1):
        assert RECORDS[: data[:size].count(b"\n")] == read(tmp_path / "x", data[:size])


def test_cut_at_any_byte_behind_what_was_set_aside(tmp_path: Path) -> None:
    (tmp_path / "x.1").write_bytes(b"".join(LINES[:2]))
    data = b"".join(LINES[2:])
    for size in range(len(data) + 1):
        assert RECORDS[: 2 + data[:size].count(b"\n")] == read(tmp_path / "x", data[:size])


def test_what_was_set_aside_comes_first(tmp_path: Path) -> None:
    (tmp_path / "x.1").write_bytes(b"".join(LINES[:2]))
    assert RECORDS == read(tmp_path / "x", *LINES[2:])


def test_a_crash_between_the_two_files(tmp_path: Path) -> None:
    (tmp_path / "x.1").write_bytes(b"".join(LINES[:2]))
    assert RECORDS[:2] == list(read_recording(str(tmp_path / "x")))


def test_a_recording_that_is_not_there_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="x'"):
        list(read_recording(str(tmp_path / "x")))


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"[]\n",
        b"1\n",
        b"{}\n",
        b"\xff\n",
        LINES[1][:-9] + b"\n",
        b'{"number": 1}\n',
        b'{"number": true, "time": 1}\n',
        b'{"number": 1, "time": "noon"}\n',
        b'{"number": 1, "time": 1, "direction": "sideways", "bytes": ""}\n',
        b'{"number": 1, "time": 1, "direction": [], "bytes": ""}\n',
        b'{"number": 1, "time": 1, "direction": "inbound", "bytes": "-"}\n',
        b'{"number": 1, "time": 1, "direction": "inbound", "bytes": 7}\n',
    ],
)
def test_what_is_no_line_of_a_recording_is_named(tmp_path: Path, line: bytes) -> None:
    with pytest.raises(ValueError, match=r"/x, line 2: this is no line of a recording: b'"):
        read(tmp_path / "x", BEGIN.line(), line)


def test_a_later_version_is_not_guessed_at(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="line 1: a recording of version 2, and this Penstock reads 1"):
        read(tmp_path / "x", b'{"number": 0, "time": 1, "version": 2}\n')


def test_a_missing_line_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="line 3: number 3 of the session where number 2 should be: lines are missing"):
        read(tmp_path / "x", LINES[0], LINES[1], LINES[3])


def test_a_torn_line_is_an_error_where_more_came_after_it(tmp_path: Path) -> None:
    (tmp_path / "x.1").write_bytes(LINES[0] + LINES[1][:-9])
    with pytest.raises(ValueError, match=r"/x.1, line 2: this is no line"):
        read(tmp_path / "x", *LINES[2:])


def test_errors_call_a_record_by_number_and_kind() -> None:
    assert [str(record) for record in RECORDS] == [
        "number 0 of the recording (the beginning)",
        "number 1 of the recording (inbound, 4 bytes)",
        "number 2 of the recording (outbound, 0 bytes)",
        "number 3 of the recording (inbound, its end)",
        "number 4 of the recording (the close)",
    ]
