"""Ready-made stages; each is importable from here and from its family: `stages.framing`, `.codecs`, `.taps`."""

from __future__ import annotations

from .framing import LengthFramer, LineFramer

__all__ = ["LengthFramer", "LineFramer"]
