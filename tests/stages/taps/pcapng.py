"""pcapng and TCP/IP read by hand: what the specifications say, written a second time."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Packet:
    time: float
    source: tuple[str, int]
    destination: tuple[str, int]
    sequence: int
    acknowledgement: int
    flags: str
    window: int
    payload: bytes


def packets_of(path: Path) -> list[Packet]:
    """The packets of a file, everything about its form checked."""
    blocks = list(_blocks(path.read_bytes()))
    kinds = [kind for kind, _ in blocks]
    assert [0x0A0D0D0A, 1] == kinds[:2]
    assert {6} >= set(kinds[2:])
    assert (0x1A2B3C4D, 1, 0, -1) == struct.unpack("<IHHq", blocks[0][1])
    assert (101, 0, 65535) == struct.unpack("<HHI", blocks[1][1])
    return [_packet(body) for _, body in blocks[2:]]


def _blocks(data: bytes) -> Iterator[tuple[int, bytes]]:
    while data:
        kind, length = struct.unpack_from("<II", data)
        assert length % 4 == 0
        assert (length,) == struct.unpack_from("<I", data, length - 4)
        yield kind, data[8 : length - 4]
        data = data[length:]


def _packet(body: bytes) -> Packet:
    interface, high, low, captured, original = struct.unpack_from("<IIIII", body)
    assert (0, original) == (interface, captured)
    assert bytes(-captured % 4) == body[20 + captured :]
    return parse(body[20 : 20 + captured], ((high << 32) + low) / 1e6)


def parse(packet: bytes, time: float = 0.0) -> Packet:
    """An IPv4 packet with a TCP segment, neither with options, both with the right sums."""
    ip, tcp = packet[:20], packet[20:]
    first, _, length, _, fragment, hops, protocol, _, source, destination = struct.unpack(">BBHHHBBH4s4s", ip)
    assert (0x45, len(packet), 0x4000, 6) == (first, length, fragment, protocol)
    assert hops
    assert 0xFFFF == _sum(ip)
    assert 0xFFFF == _sum(source + destination + struct.pack(">HH", 6, len(tcp)) + tcp)
    one, other, sequence, acknowledgement, offset, bits, window, _, urgent = struct.unpack_from(">HHIIBBHHH", tcp)
    assert (5 << 4, 0) == (offset, urgent)
    flags = "".join(letter for place, letter in enumerate("FSRPAU") if bits >> place & 1)
    ends = [(".".join(map(str, address)), port) for address, port in ((source, one), (destination, other))]
    return Packet(time, ends[0], ends[1], sequence, acknowledgement, flags, window, tcp[20:])


def _sum(data: bytes) -> int:
    """The one's complement sum, word by word with the carry brought round: 0xFFFF where the checksum is right."""
    total = 0
    for (word,) in struct.iter_unpack(">H", data + bytes(len(data) % 2)):
        total += word
        total = (total & 0xFFFF) + (total >> 16)
    return total
