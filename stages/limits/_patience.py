"""What the timeouts share: how long the pipeline has waited for the peer.

Rules for this file: the deadline is asked for when a call begins to wait (DESIGN S12), and that is where the time
begins. So it never counts what your code does between two calls, nor what a stage does that wants no input.
"""

from __future__ import annotations

import math
from typing import Any

from pipeline import Inbound, Result, StageTimeoutError

from ._half import Half


class Patience(Half, Inbound[Any, Any]):
    """Lets items pass, and fails when the next one takes too long.

    Args:
        seconds: how long the pipeline may wait for an item.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since = math.inf  # the pipeline waits since then; infinite: it does not

    @property
    def deadline(self) -> float | None:
        """When it has waited too long; None while it does not wait for the peer."""
        if self.input_paused() or not self._awaits_peer():
            self._since = math.inf
            return None
        if self._since == math.inf:
            self._since = self.now()
        return self._since + self._seconds

    def process_one(self, item: Any, /) -> Any:
        """Let an item pass, and begin anew."""
        self._since = math.inf
        return item

    async def on_timer(self, now: float, /) -> Result[Any]:
        """It has waited too long.

        Raises:
            StageTimeoutError: always.
        """
        raise StageTimeoutError(f"{self.name}({self._seconds:g}): {self._complaint(now - self._since)}")

    def _awaits_peer(self) -> bool:
        """Whether the peer has to do something."""
        return True

    def _complaint(self, waited: float) -> str:
        """Say what the peer did not do in so many seconds, and how to help it."""
        raise NotImplementedError
