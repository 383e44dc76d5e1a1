"""Peek: the first bytes, which decide what reads the stream."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
import trio
from trio.testing import memory_stream_pair

from pipeline import Inbound, IncompleteFrameError, Pipeline, SurgeryError
from pipeline.testing import Harness, pipeline_pair
from stages import LengthFramer, LineFramer, Logger, Peek

from .driving import pieces_at


def shown(size: int, pieces: Iterable[bytes]) -> tuple[list[Any], bytes]:
    """What it shows, and what it gives back."""
    peek, items = Peek(size), list[Any]()
    for piece in pieces:
        if not peek.wants_input:
            break
        items += peek.process_sync(piece)
    return items, b"".join(peek.unread(()))


@pytest.mark.parametrize("size", [1, 3, 5])
def test_the_first_bytes_are_shown_once_however_the_stream_is_cut(size: int) -> None:
    for place in range(6):
        items, given = shown(size, pieces_at(b"hello", [place]))
        assert [b"hello"[:size]] == items
        assert b"hello".startswith(given)
        assert len(given) >= size


def test_what_was_shown_is_given_back() -> None:
    assert ([b"he"], b"hello") == shown(2, [b"hello"])


def test_it_shows_real_bytes() -> None:
    assert [b"ab"] == Peek(2).process_sync(bytearray(b"abc"))


def test_it_wants_no_more_and_says_what_it_holds() -> None:
    harness = Harness(peek := Peek(2))
    assert [b"ab"] == harness.receive(b"a", b"bc")
    assert (False, 3) == (peek.wants_input, peek.holds)
    assert [b"out"] == harness.send(b"out")


def test_what_was_not_taken_is_shown_again() -> None:
    peek = Peek(2)
    (item,) = peek.process_sync(b"abc")
    assert [b"abc"] == list(peek.unread([item]))
    assert [b"ab"] == peek.process_sync(b"abc")


def test_an_empty_stream_shows_nothing() -> None:
    assert [] == Harness(Peek(2)).finish()
    assert [] == list(Peek(2).unread(()))


def test_a_stream_that_is_too_short_is_an_error_with_its_bytes() -> None:
    harness = Harness(Peek(4))
    assert [] == harness.receive(b"abc")
    with pytest.raises(IncompleteFrameError, match="ended after 3 of the 4 bytes") as info:
        harness.finish()
    assert b"abc" == info.value.leftover


@pytest.mark.parametrize(("size", "error"), [(0, ValueError), ("4", TypeError), (True, ValueError)])
def test_a_size_that_is_none_is_refused(size: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"Peek\(size=.*1 or more.*Peek\(size=1\)"):
        Peek(size)


def test_what_is_no_bytes_is_refused() -> None:
    with pytest.raises(TypeError, match="Peek takes bytes, not str"):
        Peek().process_sync("text")  # type: ignore[arg-type]


# ---- in a running pipeline

CONVERSATIONS = {b"one\ntwo\n": LineFramer, b"\0\0\0\x03one\0\0\0\x03two": LengthFramer}


@pytest.mark.parametrize("wire", CONVERSATIONS, ids=["lines", "frames"])
@pytest.mark.parametrize("tapped", [False, True])
async def test_what_was_chosen_begins_with_the_very_first_byte(wire: bytes, tapped: bool) -> None:
    for place in range(len(wire)):
        near, far = memory_stream_pair()
        chain: Any = Logger() | Peek(2) | Logger() if tapped else Peek(2)
        async with Pipeline[Any, Any](near, chain) as pipeline, trio.open_nursery() as nursery:

            async def send(far: Any = far, place: int = place) -> None:
                for piece in pieces_at(wire, [place]):
                    await far.send_all(piece)
                    await trio.testing.wait_all_tasks_blocked()
                await far.send_eof()

            nursery.start_soon(send)
            first = await pipeline.receive()
            assert wire[:2] == first
            chosen = LineFramer() if first.isalpha() else LengthFramer()
            assert [] == await pipeline.replace(Peek, chosen)
            assert [b"one", b"two"] == [item async for item in pipeline]


async def test_nothing_comes_before_another_stage_is_there() -> None:
    async with pipeline_pair(LineFramer(), Peek()) as (client, server):
        await client.send(b"hello")
        assert b"h" == await server.receive()
        with trio.move_on_after(10) as scope:
            await server.receive()
        assert scope.cancelled_caught
        await server.replace(Peek, LineFramer())
        assert b"hello" == await server.receive()


async def test_a_choice_that_is_refused_leaves_it_as_it_was() -> None:
    """What was shown is not shown twice, and all of it goes through the next choice."""

    class Unwilling(Inbound[bytes, bytes]):
        async def start(self) -> list[bytes]:
            raise ValueError("not today")

        def process_sync(self, item: bytes, /) -> list[bytes]:
            raise NotImplementedError

    async with pipeline_pair(LineFramer(), Peek()) as (client, server):
        await client.send_many([b"hello", b"world"])
        assert b"h" == await server.receive()
        with pytest.raises(SurgeryError, match="not today"):
            await server.replace(Peek, Unwilling())
        with trio.move_on_after(10) as scope:
            await server.receive()
        assert scope.cancelled_caught
        await server.replace(Peek, LineFramer())
        assert [b"hello", b"world"] == [await server.receive(), await server.receive()]
