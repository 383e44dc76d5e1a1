"""TapFile: what a tap writes into, and what happens when it cannot."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import pytest

from stages.taps._file import TapFile, data_of
from tests.stages.taps.limited import files_of_at_most

STAGE = "Recorder('x')"


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "stages.taps"]


def test_it_is_made_by_the_first_write_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "x"
    umask = os.umask(0)
    try:
        file = TapFile(STAGE, path, strict=True)
        assert not path.exists()
        file.write(b"one\n")
        assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"one\n", 0o600)
        file.close()
    finally:
        os.umask(umask)


def test_each_write_is_in_the_file_at_once(tmp_path: Path) -> None:
    file = TapFile(STAGE, tmp_path / "x", strict=True)
    for count in range(1, 4):
        file.write(b"line\n")
        assert b"line\n" * count == (tmp_path / "x").read_bytes()
        assert count * 5 == file.size
    file.close()


def test_after_close_nothing_is_written(tmp_path: Path) -> None:
    file = TapFile(STAGE, tmp_path / "x", strict=True)
    file.close()
    file.write(b"late")
    file.close()
    assert file.over
    assert not (tmp_path / "x").exists()


def test_a_relative_path_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = TapFile(STAGE, "x", strict=True)
    monkeypatch.chdir("/")
    file.write(b"here")
    file.close()
    assert b"here" == (tmp_path / "x").read_bytes()


@pytest.mark.parametrize("name", ["x", "x.1"])
def test_a_file_that_exists_is_not_touched(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / name).write_bytes(b"precious")
    file = TapFile(STAGE, tmp_path / "x", strict=False)
    file.write(b"a")
    file.write(b"b")
    assert [b"precious"] == [path.read_bytes() for path in tmp_path.iterdir()]
    assert [f"{STAGE}: writing failed and ends here; traffic goes on"] == errors(caplog)
    assert "give each session a name of its own" in caplog.text


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    """In a directory where others may write, one could lead anywhere."""
    (tmp_path / "x").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        TapFile(STAGE, tmp_path / "x", strict=True).write(b"a")
    assert not (tmp_path / "elsewhere").exists()


def test_a_full_disk_ends_it_and_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Also when room comes back: what is in the file has no holes."""
    file = TapFile(STAGE, tmp_path / "x", strict=False)
    with files_of_at_most(10):
        file.write(b"12345678")
        file.write(b"abcd")
    file.write(b"efgh")
    assert b"12345678ab" == (tmp_path / "x").read_bytes()
    assert [f"{STAGE}: writing failed and ends here; traffic goes on"] == errors(caplog)
    assert [logging.ERROR] == [record.levelno for record in caplog.records]


def test_strict_raises_from_the_failure_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = TapFile(STAGE, tmp_path / "x", strict=True)
    with files_of_at_most(3), pytest.raises(OSError, match="File too large"):
        file.write(b"abcd")
    for _ in range(2):
        with pytest.raises(OSError, match="File too large"):
            file.write(b"efgh")
    assert (b"abc", []) == ((tmp_path / "x").read_bytes(), errors(caplog))


def test_set_aside_it_has_its_old_name_and_a_new_one_begins(tmp_path: Path) -> None:
    file = TapFile(STAGE, tmp_path / "x", strict=True)
    for data in (b"first", b"second", b"third"):
        file.write(data)
        file.set_aside()
        assert 0 == file.size
        assert data == Path(file.old_path).read_bytes()
    file.close()
    assert ["x", "x.1"] == sorted(path.name for path in tmp_path.iterdir())
    assert 0o600 == (tmp_path / "x").stat().st_mode & 0o777


def test_set_aside_before_anything_was_written(tmp_path: Path) -> None:
    TapFile(STAGE, tmp_path / "x", strict=True).set_aside()
    assert [] == [*tmp_path.iterdir()]


def test_what_cannot_be_set_aside_ends_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = TapFile(STAGE, tmp_path / "x", strict=False)
    file.write(b"first")
    (tmp_path / "x.1").mkdir()
    file.set_aside()
    file.write(b"second")
    assert b"first" == (tmp_path / "x").read_bytes()
    assert [f"{STAGE}: writing failed and ends here; traffic goes on"] == errors(caplog)


def test_it_may_be_ended_in_the_middle(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = TapFile(STAGE, tmp_path / "x", strict=True)
    file.write(b"first")
    file.end("that was enough")
    file.write(b"second")
    assert b"first" == (tmp_path / "x").read_bytes()
    assert [f"{STAGE}: that was enough; traffic goes on"] == errors(caplog)


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        (None, TypeError, r"Recorder\('x'\): the path must be a str or a Path, not NoneType"),
        ("no/such/x", FileNotFoundError, r"Recorder\('x'\): there is no directory '.*/no/such'; make it first"),
        ("/", IsADirectoryError, r"Recorder\('x'\): '/' is a directory; name a new file in it for each session"),
    ],
)
def test_a_wrong_path_is_refused_at_once(path: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        TapFile(STAGE, path, strict=False)


@pytest.mark.parametrize("item", [b"ab", bytearray(b"ab"), memoryview(b"ab"), memoryview(b"a.b.")[::2]])
def test_bytes_of_all_kinds(item: Any) -> None:
    assert b"ab" == data_of(STAGE, item)


def test_what_is_no_bytes_belongs_elsewhere() -> None:
    with pytest.raises(TypeError, match=r"takes bytes, not str. .* at the wire: Recorder\('x'\) \| LineFramer\(\)"):
        data_of(STAGE, "text")
