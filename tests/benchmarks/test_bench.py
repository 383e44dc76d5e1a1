"""`make bench` runs every benchmark, and `--write` is handed on."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.benchmarks import bench

NO_TABLE = {"bench.py", "peer.py", "servers.py"}  # run by others, or with arguments


def test_every_program_is_run() -> None:
    programs = {
        path.name
        for path in Path(bench.__file__).parent.glob("*.py")
        if not path.name.startswith("test_") and "\nif __name__ ==" in path.read_text("utf-8")
    }
    assert programs - NO_TABLE == bench.SCRIPTS.keys()


@pytest.mark.parametrize("options", [[], ["--write"]], ids=["printed", "written"])
def test_options_are_handed_on(options: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "script.py"
    script.write_text("import sys; print('table', sys.argv[1:])", "utf-8")
    bench.main(options, {str(script): "Title"})
    assert f"\nTitle\n\ntable {options}\n" == capfd.readouterr().out


def test_it_stops_where_one_fails(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("raise SystemExit(1)", "utf-8")
    with pytest.raises(subprocess.CalledProcessError):
        bench.main([], {str(script): "Title"})
