"""The long ways alone: what a pipeline has its short ways for is done item by item, through the engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pipeline._core import Engine
from pipeline._quick import QuickSend


@contextmanager
def long_ways_only() -> Iterator[None]:
    """All goes item by item through the engine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(QuickSend, "through", classmethod(lambda *_: None))
        patch.setattr(Engine, "inbound_is_steady", False)
        patch.setattr(Engine, "ready_items", lambda _: iter(()))
        yield
