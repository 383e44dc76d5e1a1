"""The write buffer: what is whose, byte by byte."""

from __future__ import annotations

import random
import time

import pytest

from pipeline._buffer import Of, WriteBuffer


def filled(*entries: tuple[bytes, Of]) -> WriteBuffer:
    buffer = WriteBuffer(byte_wire=True)
    for item, of in entries:
        assert len(item) == buffer.add(item, of)
    return buffer


def test_bytes_are_joined() -> None:
    """In the order in which they came."""
    buffer = filled((b"ab", Of.REPLY), (b"cd", Of.PRESENT_SEND), (b"e", Of.EARLIER_SEND))

    assert b"abcde" == buffer.peek()
    assert (5, 2) == (buffer.size, buffer.reply_size)
    assert buffer


def test_an_empty_buffer() -> None:
    """There is nothing to write."""
    assert b"" == WriteBuffer(byte_wire=True).peek()
    assert [] == WriteBuffer(byte_wire=False).peek()
    assert not WriteBuffer(byte_wire=True)


def test_taking_counts_replies_and_notes_the_present_send() -> None:
    """Also in the middle of an item."""
    buffer = filled((b"ab", Of.REPLY), (b"cd", Of.PRESENT_SEND), (b"ef", Of.REPLY))

    assert (1, False) == (buffer.take(1), buffer.handed)
    assert (1, True) == (buffer.take(2), buffer.handed)
    assert b"def" == buffer.peek()
    assert (3, 2) == (buffer.size, buffer.reply_size)
    assert 2 == buffer.take(3)
    assert (0, 0) == (buffer.size, buffer.reply_size)
    assert 0 == buffer.take(0)


def test_items_are_taken_one_by_one() -> None:
    """Where the wire is no byte stream; each counts, an empty one, too."""
    buffer = WriteBuffer(byte_wire=False)
    assert 1 == buffer.add(b"", Of.REPLY)
    assert 3 == buffer.add("abc", Of.PRESENT_SEND)
    assert ["b''", "'abc'"] == [repr(item) for item in buffer.peek()]

    assert 1 == buffer.take(1)
    assert ["abc"] == buffer.peek()
    assert 3 == buffer.size
    assert 0 == buffer.take(1)
    assert buffer.handed
    assert not buffer


def test_a_complete_send_stays_come_what_may() -> None:
    """What it was of is forgotten."""
    buffer = filled((b"ab", Of.PRESENT_SEND), (b"c", Of.REPLY))
    buffer.take(1)
    buffer.settle_send()
    buffer.drop_send()

    assert not buffer.handed
    assert b"bc" == buffer.peek()


def test_the_present_send_can_be_dropped() -> None:
    """The rest stays as it was."""
    buffer = filled((b"ab", Of.REPLY), (b"cd", Of.PRESENT_SEND), (b"e", Of.EARLIER_SEND))
    buffer.drop_send()

    assert b"abe" == buffer.peek()
    assert (3, 2) == (buffer.size, buffer.reply_size)
    buffer.clear()
    assert not buffer
    assert (0, 0) == (buffer.size, buffer.reply_size)


def test_with_the_present_send_what_came_after_it_can_be_dropped() -> None:
    """What came before stays; of the replies it says how many they were."""
    buffer = filled((b"ab", Of.REPLY), (b"cd", Of.PRESENT_SEND), (b"e", Of.REPLY), (b"f", Of.PRESENT_SEND))
    assert 1 == buffer.drop_send(and_rest=True)

    assert b"ab" == buffer.peek()
    assert (2, 2) == (buffer.size, buffer.reply_size)
    assert 0 == buffer.drop_send(and_rest=True)


def test_any_way_of_taking_gives_the_same_bytes() -> None:
    """And the same count of replies."""
    rng = random.Random(0)
    for _ in range(200):
        entries = [(rng.randbytes(rng.randrange(1, 9)), rng.choice(list(Of))) for _ in range(rng.randrange(6))]
        buffer = filled(*entries)
        written, replies = b"", 0
        while buffer:
            count = rng.randrange(1, buffer.size + 1)
            written += bytes(buffer.peek())[:count]
            replies += buffer.take(count)

        assert b"".join(item for item, _ in entries) == written
        assert sum(len(item) for item, of in entries if of is Of.REPLY) == replies


@pytest.mark.unmeasured
def test_a_large_item_taken_piece_by_piece_is_not_copied_each_time() -> None:
    """Twice the size costs about twice the time, not four times."""

    def cost(size: int) -> float:
        buffer = filled((bytes(size), Of.PRESENT_SEND))
        start = time.process_time()
        while buffer:
            buffer.take(min(64, len(buffer.peek())))
        return time.process_time() - start

    cost(1 << 16)
    # Both anew each time: the machine may have been faster for one of them.
    assert any(cost(1 << 22) < 8 * cost(1 << 20) for _ in range(5))


@pytest.mark.parametrize("byte_wire", [True, False])
def test_peeking_changes_nothing(byte_wire: bool) -> None:
    """It may be asked twice."""
    buffer = WriteBuffer(byte_wire=byte_wire)
    buffer.add(b"a", Of.REPLY)
    buffer.add(b"b", Of.REPLY)

    assert buffer.peek() == buffer.peek()
