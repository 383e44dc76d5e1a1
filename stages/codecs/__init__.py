"""Codecs: from frames to values, and back."""

from __future__ import annotations

from ._json import JSONCodec, JSONDecoder, JSONEncoder
from ._msgpack import MessagePackCodec
from ._protobuf import ProtobufCodec
from ._struct import StructCodec
from ._text import TextCodec
from ._zlib import ZlibCodec

__all__ = [
    "JSONCodec",
    "JSONDecoder",
    "JSONEncoder",
    "MessagePackCodec",
    "ProtobufCodec",
    "StructCodec",
    "TextCodec",
    "ZlibCodec",
]
