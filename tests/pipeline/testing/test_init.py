"""What the test kit imports, and when."""

from __future__ import annotations

import subprocess
import sys

import pytest

import pipeline.testing


def test_a_harness_needs_no_trio() -> None:
    """The names that need it load it on first use."""
    code = (
        "import sys; from pipeline.testing import Harness, AsyncHarness, check_framer;"
        "assert 'trio' not in sys.modules; from pipeline.testing import pipeline_pair; assert 'trio' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", pipeline.testing.__all__)
def test_every_name_is_there(name: str) -> None:
    """Whether loaded early or late."""
    assert getattr(pipeline.testing, name).__name__ == name
    assert name in dir(pipeline.testing)


def test_late_names_are_loaded_once() -> None:
    """From then on they are ordinary attributes."""
    pipeline.testing.__dict__.pop("Cut", None)

    assert pipeline.testing.Cut is vars(pipeline.testing)["Cut"]


def test_an_unknown_name_is_an_attribute_error() -> None:
    """As for any module."""
    with pytest.raises(AttributeError, match="no attribute 'Harnes'"):
        _ = pipeline.testing.Harnes
