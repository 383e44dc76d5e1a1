"""Ready-made stages; each is importable from here and from its family: `stages.framing`, `.codecs`, `.taps`."""

from __future__ import annotations

from .codecs import JSONCodec, JSONDecoder, JSONEncoder, StructCodec, TextCodec, ZlibCodec
from .framing import (
    DelimiterFramer,
    JSONFramer,
    LengthFramer,
    LineFramer,
    NetstringFramer,
    VarintFramer,
)
from .taps import (
    Filter,
    HexDump,
    Intercept,
    Logger,
    Map,
    Meter,
    MeterSnapshot,
    PcapTap,
    Recorder,
    Replayed,
    Tap,
    Traffic,
    recover,
    replay,
)

__all__ = [
    "DelimiterFramer",
    "Filter",
    "HexDump",
    "Intercept",
    "JSONCodec",
    "JSONDecoder",
    "JSONEncoder",
    "JSONFramer",
    "LengthFramer",
    "LineFramer",
    "Logger",
    "Map",
    "Meter",
    "MeterSnapshot",
    "NetstringFramer",
    "PcapTap",
    "Recorder",
    "Replayed",
    "StructCodec",
    "Tap",
    "TextCodec",
    "Traffic",
    "VarintFramer",
    "ZlibCodec",
    "recover",
    "replay",
]
