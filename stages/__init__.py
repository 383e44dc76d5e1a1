"""Ready-made stages; each is importable from here and from its family.

Families: `stages.framing`, `stages.codecs`, `stages.limits`, `stages.taps`.
"""

from __future__ import annotations

from .codecs import (
    JSONCodec,
    JSONDecoder,
    JSONEncoder,
    MessagePackCodec,
    ProtobufCodec,
    StructCodec,
    TextCodec,
    ZlibCodec,
)
from .framing import (
    ContentLengthFramer,
    DelimiterFramer,
    FixedFramer,
    JSONFramer,
    LengthFramer,
    LineFramer,
    NetstringFramer,
    Rechunk,
    VarintFramer,
)
from .limits import CountLimit, FrameTimeout, Heartbeat, IdleTimeout, RateLimit, SizeLimit
from .taps import (
    ChannelTap,
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
    "ChannelTap",
    "ContentLengthFramer",
    "CountLimit",
    "DelimiterFramer",
    "Filter",
    "FixedFramer",
    "FrameTimeout",
    "Heartbeat",
    "HexDump",
    "IdleTimeout",
    "Intercept",
    "JSONCodec",
    "JSONDecoder",
    "JSONEncoder",
    "JSONFramer",
    "LengthFramer",
    "LineFramer",
    "Logger",
    "Map",
    "MessagePackCodec",
    "Meter",
    "MeterSnapshot",
    "NetstringFramer",
    "PcapTap",
    "ProtobufCodec",
    "RateLimit",
    "Rechunk",
    "Recorder",
    "Replayed",
    "SizeLimit",
    "StructCodec",
    "Tap",
    "TextCodec",
    "Traffic",
    "VarintFramer",
    "ZlibCodec",
    "recover",
    "replay",
]
