"""Ready-made stages; each is importable from here and from its family.

Families: `stages.framing`, `stages.codecs`, `stages.limits`, `stages.protocols`, `stages.taps`, `stages.tls`.
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
    COBSFramer,
    ContentLengthFramer,
    DelimiterFramer,
    FixedFramer,
    JSONFramer,
    LengthFramer,
    LineFramer,
    NetstringFramer,
    Peek,
    Rechunk,
    SLIPFramer,
    VarintFramer,
)
from .limits import CountLimit, FrameTimeout, Heartbeat, IdleTimeout, RateLimit, SizeLimit
from .protocols import HTTP1, FromGenerator
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
from .tls import TLS, TLSError

__all__ = [
    "HTTP1",
    "TLS",
    "COBSFramer",
    "ChannelTap",
    "ContentLengthFramer",
    "CountLimit",
    "DelimiterFramer",
    "Filter",
    "FixedFramer",
    "FrameTimeout",
    "FromGenerator",
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
    "Peek",
    "ProtobufCodec",
    "RateLimit",
    "Rechunk",
    "Recorder",
    "Replayed",
    "SLIPFramer",
    "SizeLimit",
    "StructCodec",
    "TLSError",
    "Tap",
    "TextCodec",
    "Traffic",
    "VarintFramer",
    "ZlibCodec",
    "recover",
    "replay",
]
