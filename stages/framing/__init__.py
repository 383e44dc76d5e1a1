"""Framers: from a byte stream to frames, and back.

Every framer is a duplex with frames as `bytes`, a limit that is on by default, and the same outcome
however the stream was cut.
"""

from __future__ import annotations

from ._cobs import COBSFramer
from ._content_length import ContentLengthFramer
from ._delimiter import DelimiterFramer
from ._fixed import FixedFramer
from ._json import JSONFramer
from ._length import LengthFramer
from ._line import LineFramer
from ._netstring import NetstringFramer
from ._peek import Peek
from ._rechunk import Rechunk
from ._slip import SLIPFramer
from ._varint import VarintFramer

__all__ = [
    "COBSFramer",
    "ContentLengthFramer",
    "DelimiterFramer",
    "FixedFramer",
    "JSONFramer",
    "LengthFramer",
    "LineFramer",
    "NetstringFramer",
    "Peek",
    "Rechunk",
    "SLIPFramer",
    "VarintFramer",
]
