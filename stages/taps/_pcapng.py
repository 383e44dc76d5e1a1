"""The blocks of a pcapng file (draft-ietf-opsawg-pcapng), little-endian."""

from __future__ import annotations

import struct
from typing import Final

_RAW_IP: Final = 101
"""LINKTYPE_RAW: a packet begins with its IP header."""

_SECTION = struct.Struct("<IHHq")
_INTERFACE = struct.Struct("<HHI")
_PACKET = struct.Struct("<IIIII")


def file_header() -> bytes:
    """A section of any length, and one interface on which IP packets were seen, times in microseconds."""
    return _block(0x0A0D0D0A, _SECTION.pack(0x1A2B3C4D, 1, 0, -1)) + _block(1, _INTERFACE.pack(_RAW_IP, 0, 0xFFFF))


def packet_block(time: float, packet: bytes) -> bytes:
    """A packet that was seen at `time`, in seconds since 1970."""
    microseconds = round(time * 1e6)
    size = len(packet)
    head = _PACKET.pack(0, microseconds >> 32, microseconds & 0xFFFFFFFF, size, size)
    return _block(6, head + packet + bytes(-size % 4))


def _block(kind: int, body: bytes) -> bytes:
    length = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + length + body + length
