"""What the tests of framers share: see `driving.py` for the functions."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture
def quiet() -> Iterator[None]:
    """Skipped frames are not logged: ten thousand cuts skip too many of them."""
    log = logging.getLogger("stages.framing")
    log.disabled = True
    yield
    log.disabled = False
