"""What is put on PyPI: built once, looked into, not installed."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ["pipeline", "stages"]
MODULES = {path.relative_to(ROOT).as_posix() for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
TYPED = {f"{package}/py.typed" for package in PACKAGES}
LICENSES = {"LICENSE", "LICENSE.APACHE2", "LICENSE.MIT"}


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", str(directory)], cwd=ROOT, capture_output=True, check=True
    )
    return directory


@pytest.fixture(scope="module")
def wheel(dist: Path) -> zipfile.ZipFile:
    (path,) = dist.glob("*.whl")
    return zipfile.ZipFile(path)


def test_wheel_has_the_two_packages_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    assert MODULES | TYPED == {name for name in wheel.namelist() if ".dist-info/" not in name}


def test_wheel_has_the_licenses(wheel: zipfile.ZipFile) -> None:
    assert LICENSES == {name.rpartition("/")[2] for name in wheel.namelist() if "/licenses/" in name}


def test_metadata_say_what_it_is_and_needs(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith("/METADATA"))
    metadata = message_from_bytes(wheel.read(name))
    needed = {text.partition(">")[0] for text in metadata.get_all("Requires-Dist", []) if "extra ==" not in text}

    assert metadata["Name"] == "penstock"
    assert metadata["License-Expression"] == "MIT OR Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    assert {"trio", "typing-extensions"} == needed
    assert {"msgspec", "testing", "test", "docs"} <= set(metadata.get_all("Provides-Extra", []))
    assert "Framework :: Trio" in metadata.get_all("Classifier", [])


def test_source_distribution_can_be_tested(dist: Path) -> None:
    """It has what `make test` needs."""
    (path,) = dist.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert (
        MODULES | TYPED | LICENSES | {"README.md", "Makefile", "pyproject.toml", "tests/test_distribution.py"} <= names
    )


def test_news_fragments_name_issue_and_type() -> None:
    """`2.feature.md`; a name towncrier does not know would be left out of the changelog."""
    types = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["towncrier"]["type"]
    known = {kind["directory"] for kind in types}
    fragments = {path.name for path in (ROOT / "newsfragments").iterdir()} - {"README.md"}
    assert [] == [name for name in fragments if not name[0].isdigit() or name.split(".")[1] not in known]
