"""A TCP conversation that nobody had: its packets, read by hand."""

from __future__ import annotations

import random

import pytest

from stages.taps._conversation import SEGMENT_BYTES, Endpoint, data_packets, farewell, handshake
from tests.stages.taps.pcapng import Packet, parse

A, B = ("1.2.3.4", 1000), ("5.6.7.8", 2000)


def ends(first: int = 0, second: int = 0) -> tuple[Endpoint, Endpoint]:
    return Endpoint(bytes([1, 2, 3, 4]), 1000, first), Endpoint(bytes([5, 6, 7, 8]), 2000, second)


def facts(packets: list[bytes]) -> list[tuple[tuple[str, int], str, int, int, bytes]]:
    """Sender, flags, sequence and acknowledgement numbers, payload."""
    parsed = map(parse, packets)
    return [(found.source, found.flags, found.sequence, found.acknowledgement, found.payload) for found in parsed]


def test_a_whole_conversation() -> None:
    a, b = ends()
    packets = handshake(a, b)
    packets += data_packets(a, b, b"hello")
    packets += data_packets(b, a, b"hi")
    packets += farewell(a, b)
    packets += data_packets(b, a, b"!")
    packets += farewell(b, a)
    assert facts(packets) == [
        (A, "S", 0, 0, b""),
        (B, "SA", 0, 1, b""),
        (A, "A", 1, 1, b""),
        (A, "PA", 1, 1, b"hello"),
        (B, "PA", 1, 6, b"hi"),
        (A, "FA", 6, 3, b""),
        (B, "A", 3, 7, b""),
        (B, "PA", 3, 7, b"!"),
        (B, "FA", 4, 7, b""),
        (A, "A", 7, 5, b""),
    ]


def test_each_packet_leads_from_one_to_the_other() -> None:
    a, b = ends()
    assert [(A, B), (B, A)] == [(parse(one).source, parse(one).destination) for one in handshake(a, b)[:2]]


def test_an_end_comes_once() -> None:
    a, b = ends()
    assert 2 == len(farewell(a, b))
    assert [] == farewell(a, b)


def test_nothing_is_sent_for_no_data() -> None:
    assert [] == [*data_packets(*ends(), b"")]


@pytest.mark.parametrize("size", [1, SEGMENT_BYTES - 1, SEGMENT_BYTES, SEGMENT_BYTES + 1, 3 * SEGMENT_BYTES])
def test_data_is_split_at_what_a_packet_can_carry(size: int) -> None:
    data = random.Random(size).randbytes(size)
    a, b = ends()
    packets = [*data_packets(a, b, data)]
    payloads = [payload for sender, _, _, _, payload in facts(packets) if sender == A]
    assert [data[at : at + SEGMENT_BYTES] for at in range(0, size, SEGMENT_BYTES)] == payloads
    assert max(map(len, packets)) <= 65535


def test_before_the_window_is_full_the_receiver_acknowledges() -> None:
    """As late as that: what flies is less than the window, and no acknowledgement comes without need."""
    rng = random.Random(1)
    a, b = ends()
    acknowledged = sent = 0
    for _ in range(100):
        for packet in data_packets(a, b, rng.randbytes(rng.choice([1, 40, 1000, 70000]))):
            found = parse(packet)
            if found.source == A:
                sent += len(found.payload)
                assert sent - acknowledged < found.window
            else:
                assert sent - acknowledged + SEGMENT_BYTES >= found.window
                acknowledged = found.acknowledgement
                assert (b"", sent) == (found.payload, acknowledged)


def test_a_reply_acknowledges_by_itself() -> None:
    a, b = ends()
    packets: list[Packet] = []
    for _ in range(10):
        packets += map(parse, data_packets(a, b, b"x" * 60000))
        packets += map(parse, data_packets(b, a, b"y" * 60000))
    assert [A, B] * 10 == [packet.source for packet in packets]


def test_sequence_numbers_wrap_round() -> None:
    a, b = ends(2**32 - 3, 2**32 - 1)
    packets = [*handshake(a, b), *data_packets(a, b, b"hello"), *data_packets(a, b, b"x" * 65500), *farewell(b, a)]
    numbers = [(sequence, acknowledgement) for _, _, sequence, acknowledgement, _ in facts(packets)]
    assert numbers == [
        (2**32 - 3, 0),
        (2**32 - 1, 2**32 - 2),
        (2**32 - 2, 0),
        (2**32 - 2, 0),
        (3, 0),
        (65498, 0),
        (0, 65503),
        (65503, 1),
    ]


def test_a_checksum_is_right_whatever_the_data() -> None:
    """`parse` looks: words that add up to nothing, to all ones, odd lengths."""
    rng = random.Random(1)
    a, b = ends()
    for size in range(200):
        for data in (rng.randbytes(size), b"\0" * size, b"\xff" * size):
            for packet in data_packets(a, b, data):
                assert data == parse(packet).payload
