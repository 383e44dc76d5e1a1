"""Items that come out while nobody receives are received later, in order, and bounded."""

from __future__ import annotations

import trio
import trio.testing

from pipeline import Inbound, Pipeline, open_attended
from tests.pipeline.parts import Lines, Paced, Rings, three_paced


async def test_items_that_a_timer_gives_while_nobody_receives_are_kept() -> None:
    """A send that waits its turn lets them out; a later receive gets them, and no more than there is room for."""
    here, there = trio.testing.lockstep_stream_pair()
    async with Pipeline(here, Lines() | Rings(1)) as pipeline, trio.open_nursery() as nursery:
        nursery.start_soon(pipeline.send, b"blocks")
        nursery.start_soon(pipeline.send, b"waits")
        await trio.sleep(100.5)
        for _ in range(64):
            assert b"ring" == await pipeline.receive()
        nursery.cancel_scope.cancel()
    del there


async def test_a_gate_opened_by_a_timer_when_nothing_more_can_be_parked() -> None:
    """A peer that sends, and is not received from, does not hold up what is sent to it."""
    here, there = trio.testing.memory_stream_pair()
    async with Pipeline(here, Lines() | Paced()) as pipeline:
        await there.send_all(b"line\n" * 1000)
        await three_paced(pipeline)
        assert 1000 == len([await pipeline.receive() for _ in range(1000)])


async def test_entering_ends_when_an_item_for_the_client_is_there() -> None:
    """A stage that asks the client first is received from, although another one is not ready yet."""

    class Asks(Inbound[bytes, bytes]):
        ready = False

        async def start(self) -> list[bytes]:
            return [b"question", b"another"]

        def process_sync(self, item: bytes, /) -> list[bytes]:
            return [item]

    here, _there = trio.testing.memory_stream_pair()
    async with Pipeline(here, Lines() | Asks()) as pipeline:
        assert b"question" == await pipeline.receive()
        assert b"another" == await pipeline.receive()


async def test_what_was_received_for_a_task_that_has_left_comes_first_again() -> None:
    here, there = trio.testing.memory_stream_pair()
    async with Pipeline(here, Lines()) as pipeline:
        await there.send_all(b"a\nb\n")
        async with open_attended(pipeline):
            await trio.testing.wait_all_tasks_blocked()
        assert [b"a", b"b"] == [await pipeline.receive() for _ in range(2)]
