"""The blocks of a pcapng file."""

from __future__ import annotations

import struct

import pytest

from stages.taps._pcapng import file_header, packet_block


def test_the_file_header_is_as_the_specification_draws_it() -> None:
    section = "0a0d0d0a 1c000000 4d3c2b1a 0100 0000 ffffffffffffffff 1c000000"
    interface = "01000000 14000000 6500 0000 ffff0000 14000000"
    assert bytes.fromhex(section + interface) == file_header()


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4])
def test_a_packet_is_padded_to_words(size: int) -> None:
    block = packet_block(0, b"x" * size)
    length = 32 + (size + 3) // 4 * 4
    assert length == len(block)
    assert (6, length, 0, 0, 0, size, size) == struct.unpack_from("<IIIIIII", block)
    assert b"x" * size + bytes(-size % 4) + struct.pack("<I", length) == block[28:]


def test_time_is_in_microseconds_in_two_halves() -> None:
    high, low = struct.unpack_from("<II", packet_block(1795262400.250001, b""), 12)
    assert 1795262400_250001 == (high << 32) + low
