"""`pipeline_pair`: two pipelines, each the other's peer."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from pipeline import END, Inbound, Outbound, Passthrough, Pipeline, Reply, outbound
from pipeline.testing import pipeline_pair
from pipeline.testing._pair import at_once


class Greets(Inbound[bytes, bytes]):
    """A handshake that both sides begin: ready when the other's hello is there; says goodbye at the end."""

    ready = False

    async def start(self) -> list[Any]:
        return [Reply(b"H")]

    def process_sync(self, item: bytes, /) -> list[Any]:
        items: list[Any] = []
        for number in range(len(item)):
            byte = bytes(item[number : number + 1])
            if self.ready:
                items.append(byte)
            elif byte == b"X":
                raise ValueError("no handshake")
            self.ready = True
        return items


class Bye(Outbound[bytes, bytes]):
    """Ends with one byte."""

    keeps_outbound_state = False

    def process_sync(self, item: bytes, /) -> list[bytes]:
        return [item]

    async def finish(self) -> list[bytes]:
        return [b"."]


async def receive_until_end(pipeline: Pipeline[Any, Any]) -> bytes:
    return b"".join([item async for item in pipeline])


@pytest.mark.parametrize("lockstep", [False, True])
@pytest.mark.parametrize("trickle", [None, 1])
async def test_both_ways_and_the_ends(lockstep: bool, trickle: int | None) -> None:
    """What one sends the other receives, in the order it was sent, in pieces as small as ordered."""
    async with pipeline_pair(Bye(), Bye(), lockstep=lockstep, trickle=trickle) as (left, right):
        for sender, receiver in ((left, right), (right, left)):
            got: list[bytes] = []
            async with trio.open_nursery() as nursery:
                nursery.start_soon(sender.send, b"hello")
                while b"".join(got) != b"hello":
                    got.append(await receiver.receive())
            assert ([b"h", b"e", b"l", b"l", b"o"] if trickle else [b"hello"]) == got
        async with trio.open_nursery() as nursery:
            nursery.start_soon(left.send_eof)
            assert b"." == await receive_until_end(right)


@pytest.mark.parametrize("lockstep", [False, True])
async def test_handshakes_meet(lockstep: bool) -> None:
    """Both are entered at once, so neither waits for a peer that is not there."""
    async with pipeline_pair(Greets(), Greets(), lockstep=lockstep) as (left, right), trio.open_nursery() as nursery:
        nursery.start_soon(left.send, b"a")
        assert b"a" == await right.receive()


async def test_a_failed_handshake_ends_both() -> None:
    """The error itself is raised, not a group, also if the other one waits for ever."""

    class Lies(Inbound[bytes, bytes]):
        ready = False

        async def start(self) -> list[Any]:
            return [Reply(b"X")]

        def process_sync(self, item: bytes, /) -> list[bytes]:
            return []

    with pytest.raises(ValueError, match="no handshake"):
        async with pipeline_pair(Greets(), Lies()):
            pass  # pragma: no cover - never entered


async def test_an_error_in_the_block_leaves_as_itself() -> None:
    """Nothing finishes then; both ends are closed."""
    both: list[Pipeline[Any, Any]] = []
    with pytest.raises(ValueError, match="mine"):
        async with pipeline_pair(Bye(), Bye()) as (left, right):
            both += left, right
            raise ValueError("mine")

    for pipeline in both:
        with pytest.raises(trio.ClosedResourceError):
            await pipeline.receive()


async def test_both_close_at_once() -> None:
    """In lockstep each last write waits for the other end, which closes too."""
    pair = pipeline_pair(Bye(), Passthrough(), lockstep=True, close_seconds=1)
    async with pair as (left, right), trio.open_nursery() as nursery:
        nursery.start_soon(left.aclose)
        assert b"." == await receive_until_end(right)


async def test_options_are_the_pipelines() -> None:
    """Here: what is sent stays in the buffer until flushed."""
    async with pipeline_pair(Bye(), Bye(), merge_writes=True) as (left, right):
        await left.send(b"a")
        await left.send(b"b")
        await left.flush()
        assert b"ab" == await right.receive()


async def test_end_of_one_side_by_a_stage() -> None:
    """The wire's end is carried, too."""

    def last(item: bytes) -> list[Any]:
        return [item, END]

    async with pipeline_pair(outbound(last), Passthrough()) as (left, right):
        await left.send(b"bye")
        assert b"bye" == await receive_until_end(right)


async def test_at_once_raises_the_first_error_with_the_others_as_notes() -> None:
    """No group; without `all_or_none` every call runs to its end."""
    ended = []

    async def fail(after: float) -> None:
        await trio.sleep(after)
        ended.append(after)
        raise ValueError(after)

    with pytest.raises(ValueError, match="1") as info:
        await at_once(lambda: fail(2), lambda: fail(1))

    assert [1, 2] == ended
    assert ["and then ValueError(2)"] == info.value.__notes__
