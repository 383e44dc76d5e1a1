"""Ready-made stages; each is importable from here and from its family: `stages.framing`, `.codecs`, `.taps`."""

from __future__ import annotations

from .codecs import JSONCodec, JSONDecoder, JSONEncoder, TextCodec
from .framing import LengthFramer, LineFramer

__all__ = ["JSONCodec", "JSONDecoder", "JSONEncoder", "LengthFramer", "LineFramer", "TextCodec"]
