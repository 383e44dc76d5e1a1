"""ChannelTap: what passes, for another task to see."""

from __future__ import annotations

import math
from typing import Any

import pytest
import trio
import trio.testing

from pipeline import Pipeline
from pipeline.testing import Harness, check_tap, pipeline_pair
from stages import ChannelTap, LineFramer


def received(channel: trio.MemoryReceiveChannel[Any]) -> list[Any]:
    """What waits in the channel."""
    items = []
    while channel.statistics().current_buffer_used:
        items.append(channel.receive_nowait())
    return items


@pytest.mark.parametrize("size", [0, 2, math.inf])
def test_it_changes_nothing(size: float) -> None:
    send, receive = trio.open_memory_channel[Any](size)
    check_tap(lambda: ChannelTap(send))
    assert bool(size) is bool(received(receive))


def test_each_item_comes_with_its_direction_and_is_the_same_object() -> None:
    send, receive = trio.open_memory_channel[Any](10)
    tap = ChannelTap(send)
    item = bytearray(b"x")
    harness = Harness(tap)
    harness.receive(1, None, item)
    harness.send("2")
    items = received(receive)
    assert [("inbound", 1), ("inbound", None), ("inbound", item), ("outbound", "2")] == items
    assert item is items[2][1]
    assert 0 == tap.dropped


def test_what_a_full_channel_does_not_take_is_dropped_and_counted() -> None:
    """What is in it stays; when there is room again, items are taken again."""
    send, receive = trio.open_memory_channel[Any](2)
    tap = ChannelTap(send)
    harness = Harness(tap)
    assert [1, 2, 3] == harness.receive(1, 2, 3)
    assert [4] == harness.send(4)
    assert 2 == tap.dropped
    assert [("inbound", 1), ("inbound", 2)] == received(receive)
    harness.receive(5)
    assert ([("inbound", 5)], 2) == (received(receive), tap.dropped)


@pytest.mark.parametrize("end", ["send", "receive"])
def test_a_closed_channel_takes_nothing_and_the_traffic_goes_on(end: str) -> None:
    send, receive = trio.open_memory_channel[Any](10)
    tap = ChannelTap(send)
    harness = Harness(tap)
    harness.receive(1)
    (send if end == "send" else receive).close()
    assert [2] == harness.receive(2)
    assert [3] == harness.send(3)
    assert 2 == tap.dropped


async def test_without_a_size_only_who_waits_gets_an_item() -> None:
    send, receive = trio.open_memory_channel[Any](0)
    tap = ChannelTap(send)
    harness = Harness(tap)
    seen = []

    async def watch_one() -> None:
        seen.append(await receive.receive())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch_one)
        await trio.testing.wait_all_tasks_blocked()
        harness.receive(1, 2)
    assert ([("inbound", 1)], 1) == (seen, tap.dropped)


async def test_a_pipeline_does_not_wait_for_who_watches() -> None:
    """One task watches and falls asleep over it."""
    send, receive = trio.open_memory_channel[Any](3)
    tap = ChannelTap(send)
    seen = []

    async def watch() -> None:
        async with receive:
            async for direction, item in receive:
                seen.append((direction, item))
                await trio.sleep(1000)

    async with trio.open_nursery() as nursery, send:
        nursery.start_soon(watch)
        async with pipeline_pair(LineFramer() | tap, LineFramer()) as (left, right):
            with trio.fail_after(10):
                for count in range(100):
                    await right.send(b"%d" % count)
                    assert b"%d" % count == await left.receive()
        assert trio.current_time() < 1000
    assert [("inbound", b"%d" % count) for count in range(4)] == seen
    assert 96 == tap.dropped


async def test_one_serves_many_pipelines_and_its_channel_stays_open() -> None:
    send, receive = trio.open_memory_channel[Any](10)
    tap = ChannelTap(send)
    for word in (b"one", b"two"):
        ours, theirs = trio.testing.memory_stream_pair()
        async with Pipeline(ours, LineFramer() | tap) as pipeline, theirs:
            await pipeline.send(word)
    assert [("outbound", b"one"), ("outbound", b"two")] == received(receive)


def test_cancellation_is_no_exception_to_swallow() -> None:
    class Stopping:
        def send_nowait(self, value: Any) -> None:
            raise KeyboardInterrupt

    tap = ChannelTap(Stopping())
    assert tap.inbound
    with pytest.raises(KeyboardInterrupt):
        tap.inbound.process_sync(1)
    assert 0 == tap.dropped


@pytest.mark.parametrize("channel", [None, trio.open_memory_channel[Any](1), trio.open_memory_channel[Any](1)[1]])
def test_what_is_no_channel_to_send_to_is_refused(channel: Any) -> None:
    with pytest.raises(TypeError, match=r"must be a channel with send_nowait\(\): send, receive = trio.open_memory_ch"):
        ChannelTap(channel)


def test_repr_shows_it_as_it_is_written() -> None:
    class Channel:
        def send_nowait(self, value: Any) -> None: ...

        def __repr__(self) -> str:
            return "send"

    assert "ChannelTap(send)" == repr(ChannelTap(Channel()))
