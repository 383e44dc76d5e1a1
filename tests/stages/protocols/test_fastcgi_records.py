"""The records of FastCGI: cut, refused, written."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.protocols._fastcgi_records import Records, decode_pairs, encode_pairs, pieces
from tests.stages.framing.driving import random_pieces
from tests.stages.protocols.fastcgi_peer import record

KINDS = st.tuples(st.sampled_from([1, 2, 4, 5, 8]), st.integers(1, 65535), st.binary(max_size=50), st.integers(0, 255))


def anything(request_id: int, size: int) -> None:
    """No parameters are too long."""


@given(st.lists(KINDS, max_size=10), st.randoms(use_true_random=False))
def test_records_come_whole_however_they_are_cut(given: list[tuple[int, int, bytes, int]], rng: random.Random) -> None:
    """Without their padding; what is no whole one yet is held."""
    records, cut = Records(ValueError, anything), []
    wire = b"".join([record(*each) for each in given]) + b"\1\5\0"
    for piece in random_pieces(rng, wire):
        records.feed(piece)
        cut += list(records.cut())
    assert [each[:3] for each in given] == cut
    assert 3 == records.held


def test_whoever_stops_asking_leaves_the_rest() -> None:
    records = Records(ValueError, anything)
    records.feed(record(5, 1, b"one") + record(5, 1, b"two"))
    assert (5, 1, b"one") == next(records.cut())
    assert 11 == records.held
    records.feed(record(5, 1, b"three"))
    assert [(5, 1, b"two"), (5, 1, b"three")] == list(records.cut())
    assert 0 == records.held


def test_records_that_belong_to_no_request_come_too() -> None:
    """The one that web servers send, and those of types that the specification does not know."""
    records = Records(ValueError, anything)
    records.feed(record(9, 0, b"names") + record(200, 0))
    assert [(9, 0, b"names"), (200, 0, b"")] == list(records.cut())


def test_the_record_that_was_cut_last_can_be_put_back() -> None:
    """And one that is none: it is wrong again."""
    records = Records(ValueError, anything)
    records.feed(record(5, 1, b"one") + record(5, 1, b"two") + record(6, 1))
    for _ in range(3):
        assert (5, 1, b"one") == next(records.cut())
        records.put_back()
    cut = records.cut()
    assert [(5, 1, b"one"), (5, 1, b"two")] == [next(cut), next(cut)]
    for _ in range(3):
        with pytest.raises(ValueError, match="a record of type 6"):
            next(cut)
        records.put_back()
        cut = records.cut()
    assert 8 == records.held


@pytest.mark.parametrize("header", [b"\0\5\0\1", b"\1\3\0\1", b"\1\x0b\0\0", b"\1\5\0\0", b"\1\xc8\0\1"])
def test_what_web_servers_do_not_send_is_refused_by_its_header(header: bytes) -> None:
    records = Records(ValueError, anything)
    records.feed(header + b"\xff\xff\0\0")
    with pytest.raises(ValueError, match="a record of"):
        list(records.cut())


def test_parameters_are_told_before_they_are_there() -> None:
    """From the header alone; other records are not."""
    told = []
    records = Records(ValueError, lambda request_id, size: told.append((request_id, size)))
    records.feed(record(5, 1, b"data") + record(4, 7, b"x" * 1000)[:8])
    assert [(5, 1, b"data")] == list(records.cut())
    assert [(7, 1000)] == told


@pytest.mark.parametrize("size", [0, 1, 65528, 65529, 65535, 200_000])
def test_data_becomes_as_many_records_as_it_takes(size: int) -> None:
    """None of them is empty, which would mean the end."""
    data = random.Random(size).randbytes(size)
    records = Records(ValueError, anything)
    records.feed(pieces(5, 3, data))
    contents = [content for _, _, content in records.cut()]
    assert data == b"".join(contents)
    assert all(contents)
    assert -(-size // 65528) == len(contents)


def test_names_and_values_may_be_long_or_no_ascii() -> None:
    """A length of more than 127 has four bytes, one of less may; what is no UTF-8 comes as from `os.fsdecode`."""
    long = b"\x80\0\0\xc8\x80\1\0\0" + b"N" * 200 + b"V" * (1 << 16)
    short = b"\x04\x03PATH\xff/x" + b"\x01\x80\0\0\x02A\xc3\xa9" + b"\x00\x00"
    assert [("N" * 200, "V" * (1 << 16))] == decode_pairs(long, ValueError)
    assert [("PATH", "\udcff/x"), ("A", "\xe9"), ("", "")] == decode_pairs(short, ValueError)


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"\x01", "names and values end inside a length"),
        (b"\x00\x00\x01", "names and values end inside a length"),
        (b"\x81\0\0", "names and values end inside a length"),
        (b"\x81\0\0\0", "names and values end inside a length"),
        (b"\x00\x81\0", "names and values end inside a length"),
        (b"\x01\x05Aval", "a name and its value of 6 bytes, of which 4 are there"),
        (b"\x01\x05A\xff", "a name and its value of 6 bytes, of which 2 are there"),
        (b"\xff\xff\xff\xff\0", "a name and its value of 2147483647 bytes, of which 0 are there"),
    ],
)
def test_what_ends_inside_a_pair_is_an_error(data: bytes, match: str) -> None:
    with pytest.raises(ValueError, match=f"^{match}$"):
        decode_pairs(data, ValueError)


@given(st.dictionaries(st.text(st.characters(codec="ascii"), max_size=127), st.integers()))
def test_names_and_values_come_back(pairs: dict[str, int]) -> None:
    assert {name: str(value) for name, value in pairs.items()} == dict(decode_pairs(encode_pairs(pairs), ValueError))


@given(st.binary(max_size=50))
def test_any_bytes_are_pairs_or_an_error(data: bytes) -> None:
    try:
        pairs = decode_pairs(data, KeyError)
    except KeyError:
        return
    assert len(data) >= 2 * len(pairs)
