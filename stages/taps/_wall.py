"""The time of day for taps that write it down."""

from __future__ import annotations

import time


class WallClock:
    """Wall time that goes on with the pipeline's clock: it never jumps, and a test moves it by hand."""

    def __init__(self) -> None:
        self._offset: float | None = None

    def __call__(self, now: float) -> float:
        """Return the seconds since 1970 at the pipeline's `now`; the first call looks at the system's clock."""
        if self._offset is None:
            self._offset = time.time() - now
        return self._offset + now
