"""A TCP conversation that nobody had: the packets in which a session's bytes might have travelled.

Rules for this file: no file and no time. RFC 791 (IPv4) and RFC 9293 (TCP): handshake, data, acknowledgements as
late as the window allows, FIN. Nothing is lost, nothing comes twice, so that an analyser has nothing to remark.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

_FIN, _SYN, _PSH, _ACK = 0x01, 0x02, 0x08, 0x10
_HEADER_BYTES: Final = 20 + 20
_WINDOW: Final = 0xFFFF
SEGMENT_BYTES: Final = 0xFFFF - _HEADER_BYTES
"""The most that an IPv4 packet can carry of a TCP stream."""

_IP = struct.Struct(">BBHHHBBH4s4s")
_TCP = struct.Struct(">HHIIBBHHH")
_PSEUDO = struct.Struct(">4s4sBBH")


@dataclass(slots=True)
class Endpoint:
    """One of the two, and how far it has come.

    Args:
        address: four bytes.
        port: its port.
        sent: the sequence number of the next byte that it sends.
        ended: whether it has sent its FIN.
    """

    address: bytes
    port: int
    sent: int = 0
    ended: bool = False
    acknowledged: int = field(init=False)

    def __post_init__(self) -> None:
        self.acknowledged = self.sent

    @property
    def in_flight(self) -> int:
        """How many bytes the other one has not acknowledged."""
        return (self.sent - self.acknowledged) % 2**32


def handshake(client: Endpoint, server: Endpoint) -> list[bytes]:
    """SYN, SYN-ACK, ACK."""
    return [_packet(client, server, _SYN), _packet(server, client, _SYN | _ACK), _packet(client, server, _ACK)]


def data_packets(sender: Endpoint, receiver: Endpoint, data: bytes) -> Iterator[bytes]:
    """The data, in as few packets as they take; where the window would be full, the receiver acknowledges first."""
    for begin in range(0, len(data), SEGMENT_BYTES):
        payload = data[begin : begin + SEGMENT_BYTES]
        if sender.in_flight + len(payload) >= _WINDOW:
            yield _packet(receiver, sender, _ACK)
        yield _packet(sender, receiver, _PSH | _ACK, payload)


def farewell(sender: Endpoint, receiver: Endpoint) -> list[bytes]:
    """FIN and its acknowledgement; nothing if the sender has ended before."""
    if sender.ended:
        return []
    sender.ended = True
    return [_packet(sender, receiver, _FIN | _ACK), _packet(receiver, sender, _ACK)]


def _packet(sender: Endpoint, receiver: Endpoint, flags: int, payload: bytes = b"") -> bytes:
    acknowledgement = receiver.sent if flags & _ACK else 0
    header = _TCP.pack(sender.port, receiver.port, sender.sent, acknowledgement, 5 << 4, flags, _WINDOW, 0, 0)
    pseudo = _PSEUDO.pack(sender.address, receiver.address, 0, 6, len(header) + len(payload))
    check = _checksum(pseudo, header, payload)
    if flags & _ACK:
        receiver.acknowledged = receiver.sent
    sender.sent = (sender.sent + len(payload) + bool(flags & (_SYN | _FIN))) % 2**32
    return _ip_header(sender.address, receiver.address, len(payload)) + header[:16] + check + header[18:] + payload


def _ip_header(source: bytes, destination: bytes, size: int) -> bytes:
    header = _IP.pack(0x45, 0, _HEADER_BYTES + size, 0, 0x4000, 64, 6, 0, source, destination)
    return header[:10] + _checksum(header) + header[12:]


def _checksum(*parts: bytes) -> bytes:
    """The internet checksum (RFC 1071) of parts of which only the last may have an odd length."""
    # Read as one large number, words of 16 bits are its digits: modulo 0xFFFF it is their one's complement sum.
    words = (int.from_bytes(part, "big") << 8 * (len(part) % 2) for part in parts)
    return (-sum(words) % 0xFFFF).to_bytes(2, "big")
