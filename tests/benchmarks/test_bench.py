"""`make bench` runs every benchmark, and hands on `--write`."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.benchmarks import bench


def test_every_program_is_run_once() -> None:
    programs = {
        path.name
        for path in bench.HERE.glob("*.py")
        if not path.name.startswith("test_") and "\nif __name__ == " in path.read_text("utf-8")
    }
    run_by_others = {"bench.py", "peer.py", "servers.py"}
    assert sorted(programs - run_by_others) == sorted([*bench.WITH_PAGE, *bench.without_page()])


@pytest.mark.parametrize("options", [[], ["--write"]], ids=["printed", "written"])
def test_it_is_handed_on_to_those_that_have_a_page(options: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[tuple[str, ...]] = []
    monkeypatch.setattr(bench, "run", lambda script, *given: ran.append((script.name, *given)))
    bench.main(options)
    assert ran == [*((name, *options) for name in bench.WITH_PAGE), *((name,) for name in bench.without_page())]


def test_each_has_a_title(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "script.py"
    script.write_text('"""What it measures.\n\nMore of it.\n"""\nimport sys; print("table", sys.argv[1:])', "utf-8")
    bench.run(script, "--write")
    assert "\nWhat it measures.\n\ntable ['--write']\n" == capfd.readouterr().out


def test_it_stops_where_one_fails(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("raise SystemExit(1)", "utf-8")
    with pytest.raises(subprocess.CalledProcessError):
        bench.run(script)
