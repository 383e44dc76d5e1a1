"""`open_streams` (M2): many streams over one pipeline, a channel each."""

from __future__ import annotations

import gc
import math
import random
import weakref
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from itertools import count
from typing import Any

import pytest
import trio
import trio.testing

from pipeline import (
    HalfCloseError,
    LimitError,
    Pipeline,
    StreamRules,
    Streams,
    Substream,
    inbound,
    open_streams,
    outbound,
)
from pipeline._demux import MAX_RESETS
from pipeline._streamgroup import MAX_GONE
from pipeline._streamwriter import MAX_BATCH
from pipeline.testing import Reset, check_channel, pipeline_pair
from stages import Heartbeat, JSONCodec, LineFramer, TextCodec
from tests.pipeline.muxed import Credit, Item, PeerResetError, json_lines, mux_rules
from tests.pipeline.parts import cancelled_at, tcp_pair
from tests.pipeline.tasks import End, Task, connection, settled, started

MUX = mux_rules()


def data(key: Any, text: str = "") -> Item:
    return ("data", key, text)


def end(key: Any) -> Item:
    return ("end", key, "")


def reset(key: Any, reason: Any = None) -> Item:
    return ("reset", key, reason)


def key_of(item: Item) -> Any:
    """All that some protocols have."""
    return item[1]


@asynccontextmanager
async def streaming(
    room: float = math.inf, rules: StreamRules | None = MUX, **options: Any
) -> AsyncIterator[tuple[Streams, End, trio.Nursery, End]]:
    """Streams over a connection, with its far end, and a nursery for users outside the block."""
    near, far = connection(room)
    async with trio.open_nursery() as nursery, open_streams(near, rules, **options) as streams:
        yield streams, far, nursery, near


async def give(peer: End, *items: Item) -> None:
    """Let the peer send, and all of it be read."""
    for item in items:
        await peer.send(item)
    await settled()


def received(peer: End) -> list[Item]:
    """What is there for the peer."""
    items = []
    while True:
        try:
            items.append(peer.receiving.receive_nowait())
        except (trio.WouldBlock, trio.EndOfChannel):
            return items


# ---- the peer's streams


async def test_each_stream_gets_its_own_items() -> None:
    """However they are mixed, and whoever reads first."""
    async with streaming() as (streams, peer, _, _):
        await give(peer, data(1, "a"), data(2, "x"), data(1, "b"), end(2), data(1, "c"), end(1))
        one, two = await streams.receive(), await streams.receive()
        assert (1, 2) == (one.key, two.key)
        assert [data(2, "x")] == [item async for item in two]
        assert [data(1, text) for text in "abc"] == [item async for item in one]


async def test_a_stream_is_there_before_its_end_and_while_others_go_on() -> None:
    async with streaming() as (streams, peer, nursery, _):
        await give(peer, data(1, "a"))
        one = await streams.receive()
        assert data(1, "a") == await one.receive()
        task = await started(nursery, one.receive)
        await give(peer, data(2, "x"))
        assert not task.over
        await give(peer, data(1, "b"))
        assert data(1, "b") == task.result


async def test_several_tasks_may_accept() -> None:
    async with streaming() as (streams, peer, nursery, _):
        tasks = [await started(nursery, streams.receive) for _ in range(2)]
        await give(peer, data(1), data(2))
        assert [1, 2] == [task.result.key for task in tasks]


async def test_accepting_ends_with_the_connection() -> None:
    """After the streams that are there; what they have can still be received, and answered."""
    async with streaming() as (streams, peer, _, _):
        await give(peer, data(1, "a"), end(1))
        await peer.sending.aclose()
        (stream,) = [stream async for stream in streams]
        assert [data(1, "a")] == [item async for item in stream]
        await stream.send(data(1, "answer"))
        await stream.send_eof()
        assert [data(1, "answer"), end(1)] == received(peer)


async def test_answers_go_out_on_the_same_stream() -> None:
    async with streaming() as (streams, peer, _, _):
        await give(peer, data(1, "question"), end(1))
        async with await streams.receive() as stream:
            await stream.send(data(1, "answer"))
        assert [data(1, "answer"), end(1)] == received(peer)
        await give(peer, data(1, "the key is free again"))
        assert 1 == (await streams.receive()).key


async def test_items_of_no_stream_are_events() -> None:
    """Bounded as those of `open_calls`."""
    async with streaming(max_events=2) as (streams, peer, _, _):
        await give(peer, *(("ping", None, number) for number in range(4)), ("window", None, 9))
        assert [("ping", None, 2), ("ping", None, 3)] == [await streams.events.receive() for _ in range(2)]
        await peer.sending.aclose()
        assert [] == [event async for event in streams.events]
        assert 2 == streams.dropped_events


async def test_too_many_events_can_be_an_error() -> None:
    async with streaming(max_events=1, on_full="fail") as (streams, peer, _, _):
        await give(peer, ("ping", None, 1), ("ping", None, 2))
        with pytest.raises(LimitError, match=r"1 events wait in streams.events.*open_streams"):
            await streams.receive()
        assert ("ping", None, 1) == await streams.events.receive()
        with pytest.raises(trio.BrokenResourceError, match="LimitError"):
            await streams.events.receive()


async def test_the_rules_say_what_may_open_a_stream() -> None:
    """What may not, and is of no open one, is dropped, counted, and its credit returned."""
    taken: list[Item] = []
    rules = mux_rules(opens=lambda item: item[2] == "open", taken=taken.append)
    async with streaming(rules=rules) as (streams, peer, _, _):
        await give(peer, data(1, "late"), data(2, "open"), data(2, "open"), reset(3, "x"), end(4))
        stream = await streams.receive()
        assert [data(2, "open")] * 2 == [await stream.receive() for _ in range(2)]
        assert 1 == streams.late_items
        assert [data(1, "late"), data(2, "open"), data(2, "open")] == taken


async def test_a_key_that_is_begun_again_ends_the_stream_that_had_it() -> None:
    """In protocols in which our end is the end (FastCGI); whoever waited there learns it."""
    rules = mux_rules(opens=lambda item: item[2] == "begin")
    async with streaming(rules=rules) as (streams, peer, nursery, _):
        await give(peer, data(1, "begin"))
        first = await streams.receive()
        assert data(1, "begin") == await first.receive()
        await first.send_eof()
        task = await started(nursery, first.receive)
        await give(peer, data(1, "begin"), data(1, "second"))
        assert isinstance(task.error, trio.BrokenResourceError)
        assert "the peer began another stream with the key 1: opens(item) is true" in str(task.error)
        second = await streams.receive()
        assert [data(1, "begin"), data(1, "second")] == [await second.receive() for _ in range(2)]
        await first.aclose()
        await second.send(data(1, "still there"))
        assert [end(1), data(1, "still there")] == received(peer)


async def test_a_key_may_be_begun_again_while_its_end_is_written() -> None:
    """The peer has it before we know that it has."""
    async with streaming(room=0, rules=mux_rules(opens=lambda item: item[2] == "begin")) as (streams, peer, nursery, _):
        await give(peer, data(1, "begin"))
        first = await streams.receive()
        await started(nursery, first.send_eof)
        await give(peer, data(1, "begin"))
        assert 1 == (await streams.receive()).key
        assert data(1, "begin") == await first.receive()
        with pytest.raises(trio.BrokenResourceError, match="the peer began another stream"):
            await first.receive()


@pytest.mark.parametrize("opens", [None, lambda item: True], ids=["any", "told"])
async def test_more_streams_than_allowed_are_refused(opens: Any) -> None:
    """Told to the peer once, and their items are nobody's; when others are over there is room again."""
    async with streaming(rules=mux_rules(opens=opens), max_streams=2) as (streams, peer, _, _):
        await give(peer, data(1), data(2), data(3), end(3))
        assert [reset(3)] == received(peer)
        assert 1 == streams.refused_streams
        for _ in range(2):
            stream = await streams.receive()
            await stream.send_eof()
        await give(peer, end(1), end(2), data(4), data(5), data(6))
        assert [4, 5] == [(await streams.receive()).key for _ in range(2)]
        assert [end(1), end(2), reset(6)] == received(peer)


async def test_a_stream_whose_end_is_being_written_is_in_nobodys_way() -> None:
    """The peer may have that end, and open the next stream, before the task that writes goes on."""
    async with streaming(room=0, max_streams=1) as (streams, peer, nursery, _):
        await give(peer, data(1), end(1))
        one = await streams.receive()
        await started(nursery, one.send_eof)
        await give(peer, data(2), data(3))
        assert [end(1), reset(3)] == [await peer.receive(), await peer.receive()]
        assert 2 == (await streams.receive()).key
        assert 1 == streams.refused_streams


async def test_streams_that_nobody_accepts_are_bounded_though_the_peer_resets_them() -> None:
    """What was reset before anybody saw it is never seen."""
    async with streaming(max_streams=2) as (streams, peer, _, _):
        for number in range(100):
            await give(peer, data(number), reset(number, "rapid"))
        assert 98 == streams.refused_streams
        received(peer)
        await peer.sending.aclose()
        assert [] == [stream async for stream in streams]


async def test_whoever_accepts_no_streams_says_so() -> None:
    """Those that wait and those that come are given up."""
    async with streaming() as (streams, peer, _, _):
        await give(peer, data(1))
        await streams.aclose()
        await give(peer, data(2))
        assert [reset(1), reset(2)] == received(peer)
        with pytest.raises(trio.ClosedResourceError, match="no more streams of the peer"):
            await streams.receive()


# ---- one's own streams


async def test_an_own_stream_begins_with_its_first_item() -> None:
    async with streaming() as (streams, peer, _, _):
        async with streams.open(7) as stream:
            assert [] == received(peer)
            await stream.send(data(7, "question"))
            await stream.send_eof()
            await give(peer, data(7, "answer"), end(7))
            assert [data(7, "answer")] == [item async for item in stream]
        assert [data(7, "question"), end(7)] == received(peer)


async def test_keys_are_made_where_the_first_item_is() -> None:
    """So they rise in the order in which streams begin on the wire, whoever was opened first."""
    async with streaming(rules=mux_rules(new_key=count(1, 2).__next__)) as (streams, peer, _, _):
        slow, quick = streams.open(), streams.open()
        assert "<Substream, no key yet>" == repr(slow)
        for stream in (quick, slow):
            await stream.send(data(stream.key))
        assert [1, 3] == [quick.key, slow.key]
        assert "<Substream 1>" == repr(quick)
        unused = streams.open()
        await unused.aclose()
        with pytest.raises(trio.ClosedResourceError):
            unused.key  # noqa: B018 - asking makes it
        assert 5 == streams.open().key
        assert [data(1), data(3)] == received(peer)


async def test_keys_that_are_taken_or_missing_are_refused() -> None:
    async with streaming() as (streams, peer, _, _):
        stream = streams.open(1)
        with pytest.raises(ValueError, match="a stream with the key 1 is open already"):
            streams.open(1)
        with pytest.raises(ValueError, match=r"make no keys \(new_key\): streams.open\(key\)"):
            streams.open()
        await stream.send(data(1))
        stream.reset()
        with pytest.raises(ValueError, match=r"was given up before the peer had ended it.*take another key"):
            streams.open(1)
        await give(peer, data(1, "late"), end(1))
        assert "<Streams, 0 open>" == repr(streams)
        streams.open(1)
        assert "<Streams, 1 open>" == repr(streams)
        assert 1 == streams.late_items


async def test_the_peer_answers_on_an_own_stream_only() -> None:
    """It has not opened that one, so nobody accepts it."""
    async with streaming() as (streams, peer, nursery, _):
        stream = streams.open(1)
        accepts = await started(nursery, streams.receive)
        await give(peer, data(1, "unasked"))
        assert data(1, "unasked") == await stream.receive()
        assert not accepts.over
        await accepts.cancel()


# ---- sending


async def test_streams_take_turns_to_send() -> None:
    """A stream with much to send does not hold up another."""
    async with streaming(room=0) as (streams, peer, nursery, _):
        one, two = streams.open(1), streams.open(2)
        for text in "abc":
            await started(nursery, one.send, data(1, text))
        task = await started(nursery, two.send, data(2, "x"))
        items = [await peer.receive() for _ in range(4)]
        assert [data(1, "a"), data(1, "b"), data(2, "x"), data(1, "c")] == items
        await settled()
        assert task.over


async def test_send_returns_when_it_is_written() -> None:
    async with streaming(room=0) as (streams, peer, nursery, _):
        task = await started(nursery, streams.open(1).send, data(1))
        over = task.over
        assert data(1) == await peer.receive()
        await settled()
        assert (False, True) == (over, task.over)


async def test_a_stream_that_may_not_send_holds_up_nobody() -> None:
    """It is asked again when anything comes, also what is for nobody."""
    credit = Credit(window=3, first_key=1)
    async with streaming(rules=credit.rules) as (streams, peer, nursery, _):
        one, two = streams.open(1), streams.open(3)
        waits = await started(nursery, one.send, data(1, "large"))
        for text in ("a", "b"):
            await two.send(data(3, text))
        assert [data(3, "a"), data(3, "b")] == received(peer)
        before = waits.over
        await give(peer, ("window", 1, 2))
        assert (False, True) == (before, waits.over)
        assert [data(1, "large")] == received(peer)


async def test_an_end_that_frees_a_place_lets_the_next_stream_begin() -> None:
    """The peer allows two at a time; the others begin in the order in which they came."""
    begun: set[int] = set()

    def may_send(key: int, item: Item) -> bool:
        if key not in begun and len(begun) == 2:
            return False
        begun.add(key)
        if item[0] == "end":
            begun.remove(key)
        return True

    async with streaming(rules=mux_rules(may_send=may_send)) as (streams, peer, nursery, _):
        opened = [streams.open(number) for number in range(5)]
        for stream in opened:
            await started(nursery, stream.send, data(stream.key))
        assert [data(0), data(1)] == received(peer)
        await opened[1].send_eof()
        await settled()
        assert [end(1), data(2)] == received(peer)
        begun.remove(0)
        opened[0].reset("enough")
        await settled()
        assert [reset(0, "enough"), data(3)] == received(peer)
        begun.remove(2)
        await give(peer, reset(2, "enough"))
        assert [data(4)] == received(peer)


async def test_nothing_is_sent_behind_the_end() -> None:
    """Whether it was `send_eof()` or the last item itself; receiving goes on."""
    async with streaming() as (streams, peer, _, _):
        for number in range(2):
            stream = streams.open(number)
            await stream.send(data(number))
            await (stream.send(end(number)) if number else stream.send_eof())
            await stream.send_eof()
            with pytest.raises(trio.ClosedResourceError, match="this direction of the stream has ended"):
                await stream.send(data(number))
            assert [data(number), end(number)] == received(peer)
            await give(peer, data(number, "answer"))
            assert data(number, "answer") == await stream.receive()


async def test_the_end_goes_behind_what_others_send() -> None:
    async with streaming(room=0) as (streams, peer, nursery, _):
        stream = streams.open(1)
        await started(nursery, stream.send, data(1, "a"))
        await started(nursery, stream.send, data(1, "b"))
        closing = await started(nursery, stream.aclose)
        late = await started(nursery, stream.send, data(1, "c"))
        assert isinstance(late.error, trio.ClosedResourceError)
        assert [data(1, "a"), data(1, "b"), end(1)] == [await peer.receive() for _ in range(3)]
        assert reset(1) == await peer.receive()
        await settled()
        assert closing.over


async def test_a_protocol_may_have_no_end_of_one_direction() -> None:
    async with streaming(rules=None, key=key_of) as (streams, peer, _, _):
        async with streams.open(1) as stream:
            await stream.send(data(1))
            with pytest.raises(HalfCloseError, match="no end of one direction"):
                await stream.send_eof()
            await stream.send(data(1))
        assert [data(1), data(1)] == received(peer)


# ---- cancellation


async def test_cancelled_before_its_turn_it_is_withdrawn() -> None:
    """An end, too: the stream goes on."""
    async with streaming(room=0) as (streams, peer, nursery, _):
        stream = streams.open(1)
        await started(nursery, stream.send, data(1, "being written"))
        await (await started(nursery, stream.send, data(1, "withdrawn"))).cancel()
        await (await started(nursery, stream.send_eof)).cancel()
        await started(nursery, stream.send, data(1, "next"))
        assert [data(1, "being written"), data(1, "next")] == [await peer.receive() for _ in range(2)]


async def test_cancelled_while_it_is_written_it_goes_out_whole() -> None:
    async with streaming(room=0) as (streams, peer, nursery, _):
        stream = streams.open(1)
        await (await started(nursery, stream.send_eof)).cancel()
        with pytest.raises(trio.ClosedResourceError):
            await stream.send(data(1))
        await started(nursery, streams.open(2).send, data(2))
        assert [end(1), data(2)] == [await peer.receive() for _ in range(2)]


async def test_cancelled_anywhere_nothing_is_torn() -> None:
    """Over a wire that cannot count, where a cancelled `send()` in the middle of a write would break it."""

    async def echo(server: Pipeline[Any, Any]) -> None:
        async for item in server:
            if item[0] == "data":
                await server.send(item)

    async def ask(streams: Streams, number: int) -> None:
        async with streams.open(number) as stream:
            await stream.send(data(number, "x" * 3000))
            assert ["data", number, "x" * 3000] == await stream.receive()

    cuts = 0
    async with (
        pipeline_pair(json_lines(), json_lines(), lockstep=True) as (client, server),
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(echo, server)
        async with open_streams(client, MUX) as streams:
            for step in count(1):
                if not await cancelled_at(step, partial(ask, streams, 2 * step)):
                    break
                cuts += 1
                await ask(streams, 2 * step + 1)
        nursery.cancel_scope.cancel()
    assert cuts >= 3


async def test_a_stream_whose_closing_is_cancelled_is_reset() -> None:
    async with streaming(rules=mux_rules(may_send=lambda key, item: item[0] != "end")) as (streams, peer, _, _):
        stream = streams.open(1)
        await stream.send(data(1))
        with trio.move_on_after(1) as scope:
            await stream.aclose()
        assert scope.cancelled_caught
        await settled()
        assert [data(1), reset(1)] == received(peer)


async def test_receiving_that_is_cancelled_loses_nothing() -> None:
    async with streaming() as (streams, peer, nursery, _):
        stream = streams.open(1)
        for number in range(50):
            task = await started(nursery, stream.receive)
            peer.sending.send_nowait(data(1, str(number)))
            task._scope.cancel()
            await settled()
            if task.cancelled:
                assert data(1, str(number)) == await stream.receive()
            else:
                assert data(1, str(number)) == task.result


# ---- reset, and closing


async def test_a_reset_that_crosses_the_end_of_our_direction_counts() -> None:
    """The end is being written when it comes."""
    async with streaming(room=0) as (streams, peer, nursery, _):
        await give(peer, data(1))
        stream = await streams.receive()
        task = await started(nursery, stream.send_eof)
        await give(peer, reset(1))
        assert end(1) == await peer.receive()
        await settled()
        assert (True, None) == (task.over, task.error)
        assert data(1) == await stream.receive()
        with pytest.raises(PeerResetError):
            await stream.receive()


@pytest.mark.parametrize("ended", [False, True], ids=["open", "the peer has ended"])
async def test_a_reset_of_the_peer_fails_both_directions(ended: bool) -> None:
    """After the items before it; nothing is told to the peer, and the key is free."""
    async with streaming(rules=mux_rules(may_send=lambda key, item: item[2] != "waits")) as (streams, peer, nursery, _):
        await give(peer, data(1, "a"), *([end(1)] if ended else []))
        stream = await streams.receive()
        sending = await started(nursery, stream.send, data(1, "waits"))
        await give(peer, reset(1, "no more"))
        assert isinstance(sending.error, trio.BrokenResourceError)
        with pytest.raises(trio.BrokenResourceError, match="nothing can be sent on this stream any more") as info:
            await stream.send(data(1))
        assert isinstance(info.value.__cause__, PeerResetError)
        assert data(1, "a") == await stream.receive()
        with pytest.raises(trio.EndOfChannel if ended else PeerResetError):
            await stream.receive()
        await stream.aclose()
        assert [] == received(peer)
        streams.open(1)


async def test_whatever_a_reset_is_to_the_protocol_a_channel_is_broken_by_it() -> None:
    """What the rules make of it is the cause."""
    why = ValueError("code 8")
    async with streaming(rules=mux_rules(error=lambda item: why if item[0] == "reset" else None)) as (
        streams,
        peer,
        _,
        _,
    ):
        await give(peer, data(1))
        stream = await streams.receive()
        await give(peer, reset(1))
        assert data(1) == await stream.receive()
        for act in (stream.receive, partial(stream.send, data(1))):
            with pytest.raises(trio.BrokenResourceError, match="code 8") as info:
                await act()
            assert why is info.value.__cause__


async def test_resetting_a_stream_drops_what_waits() -> None:
    """Whoever waits is told, the peer too, with the reason; a second time does nothing."""
    async with streaming(room=0) as (streams, peer, nursery, _):
        await give(peer, data(1, "a"))
        stream = await streams.receive()
        assert data(1, "a") == await stream.receive()
        sends = [await started(nursery, stream.send, data(1, text)) for text in ("being written", "dropped")]
        receives = await started(nursery, stream.receive)
        stream.reset("busy")
        stream.reset("again")
        await settled()
        for task in (sends[1], receives):
            assert isinstance(task.error, trio.ClosedResourceError)
        for act in (stream.receive, partial(stream.send, data(1)), stream.send_eof):
            with pytest.raises(trio.ClosedResourceError, match="this stream was closed"):
                await act()
        assert [data(1, "being written"), reset(1, "busy")] == [await peer.receive() for _ in range(2)]
        await settled()
        assert sends[0].over
        assert sends[0].error is None
        await give(peer, data(1, "late"))
        assert 1 == streams.late_items


async def test_a_protocol_may_have_nothing_to_reset_a_stream_with() -> None:
    """Always, or for some reasons."""
    async with streaming(rules=mux_rules(reset=lambda key, reason: reason)) as (streams, peer, _, _):
        for number, reason in enumerate((None, reset(1, "full"))):
            stream = streams.open(number)
            await stream.send(data(number))
            stream.reset(reason)
        await settled()
        assert [data(0), data(1), reset(1, "full")] == received(peer)


async def test_a_stream_that_nobody_used_is_closed_without_a_word() -> None:
    async with streaming() as (streams, peer, _, _):
        async with streams.open(1):
            pass
        assert [] == received(peer)


async def test_a_block_of_a_stream_that_fails_resets_it() -> None:
    """Nothing truncated is to look complete."""
    async with streaming() as (streams, peer, _, _):
        with pytest.raises(ValueError, match="of the block"):
            async with streams.open(1) as stream:
                await stream.send(data(1))
                raise ValueError("of the block")
        await settled()
        assert [data(1), reset(1)] == received(peer)


async def test_closing_gives_up_what_the_peer_has_not_ended() -> None:
    """Its credit is returned, also that of what nobody received."""
    credit = Credit(window=9, first_key=1)
    async with streaming(rules=credit.rules) as (streams, peer, _, _):
        await give(peer, data(2, "abc"), data(2, "de"))
        stream = await streams.receive()
        await stream.receive()
        await stream.aclose()
        await give(peer, data(2, "late"))
        told = received(peer)
        assert {("window", 2, 3), ("window", 2, 2), ("window", 2, 4), end(2), reset(2)} == set(told)
        assert told.index(end(2)) < told.index(reset(2))
        assert {2: 0} == dict(credit.untaken)


async def test_of_many_streams_given_up_the_oldest_key_is_forgotten() -> None:
    """A peer that never ends its streams does not fill the memory."""
    async with streaming(rules=None, key=key_of) as (streams, _, _, _):
        for number in range(MAX_GONE + 1):
            stream = streams.open(number)
            await stream.send(data(number))
            stream.reset()
        assert MAX_GONE == len(streams._group._gone)
        streams.open(0)
        with pytest.raises(ValueError, match="take another key"):
            streams.open(1)


async def test_substreams_keep_trios_rules_of_channels() -> None:
    async with AsyncExitStack() as stack:

        async def channels() -> tuple[Any, Any]:
            near, far = connection()
            ours, theirs = [await stack.enter_async_context(open_streams(end, MUX)) for end in (near, far)]
            stream = ours.open(1)
            await stream.send(data(1))
            accepted = await theirs.receive()
            await accepted.receive()
            return stream, accepted

        items = [data(1, text) for text in "abc"]
        await check_channel(channels, items=items, both_ways=True, busy=False)


# ---- too much


async def test_a_stream_that_nobody_reads_fails_alone() -> None:
    """The peer is told; what was there can be received, then why it failed. Others go on."""
    async with streaming(max_stream_bytes=1000) as (streams, peer, _, _):
        await give(peer, *(data(1, "x" * 100) for _ in range(4)), *(data(2, "y") for _ in range(2)))
        one, two = await streams.receive(), await streams.receive()
        assert [reset(1)] == received(peer)
        assert [data(2, "y")] * 2 == [await two.receive() for _ in range(2)]
        with pytest.raises(trio.BrokenResourceError, match="LimitError"):
            await one.send(data(1))
        for _ in range(2):
            assert data(1, "x" * 100) == await one.receive()
        with pytest.raises(LimitError, match=r"bytes wait in stream 1.*max_stream_bytes=1000") as info:
            await one.receive()
        assert info.value.limit == 1000 < info.value.size
        assert 1 == streams.late_items


async def test_empty_items_count_too() -> None:
    async with streaming(rules=mux_rules(size=lambda item: 0), max_stream_bytes=1000) as (streams, peer, _, _):
        await give(peer, *(data(1) for _ in range(11)))
        stream = await streams.receive()
        for _ in range(10):
            await stream.receive()
        with pytest.raises(LimitError):
            await stream.receive()


async def test_one_item_always_has_room() -> None:
    """It is there already, and whoever receives in time gets it."""
    async with streaming(max_stream_bytes=1) as (streams, peer, _, _):
        await give(peer, data(1, "x" * 1000))
        stream = await streams.receive()
        assert data(1, "x" * 1000) == await stream.receive()
        await give(peer, data(1, "y" * 1000))
        assert data(1, "y" * 1000) == await stream.receive()


async def test_all_may_wait_for_one() -> None:
    """With overflow="block" the peer is not read until the consumer has taken some."""
    async with streaming(overflow="block", max_stream_bytes=1000) as (streams, peer, nursery, _):
        await give(peer, *(data(1, str(number) * 300) for number in range(5)), data(2, "y"))
        one = await streams.receive()
        accepts = await started(nursery, streams.receive)
        assert not accepts.over
        for number in range(5):
            assert data(1, str(number) * 300) == await one.receive()
            await settled()
        assert 2 == accepts.result.key


async def test_whoever_leaves_lets_the_others_go_on() -> None:
    """Closed, a stream holds up nobody any more."""
    async with streaming(overflow="block", max_stream_bytes=1) as (streams, peer, nursery, _):
        await give(peer, data(1), data(2))
        one = await streams.receive()
        accepts = await started(nursery, streams.receive)
        one.reset()
        await settled()
        assert 2 == accepts.result.key


async def test_timers_go_on_while_all_wait() -> None:
    chain = LineFramer() | TextCodec() | Heartbeat(10, lambda: "beat", silence="outbound")
    async with (
        pipeline_pair(chain, LineFramer()) as (client, server),
        open_streams(client, key=lambda line: line[:1], overflow="block", max_stream_bytes=1) as streams,
        streams.open("1") as stream,
    ):
        await server.send_many([b"1a", b"1b", b"1c"])
        await trio.sleep(25)
        assert ["1a", "1b", "1c"] == [await stream.receive() for _ in range(3)]
        assert [b"beat", b"beat"] == [await server.receive() for _ in range(2)]


async def test_a_peer_that_does_not_read_its_resets_is_not_read() -> None:
    """Else its streams that are refused would fill the memory."""
    async with streaming(room=0, max_streams=1) as (streams, peer, _, _):
        for number in range(3 * MAX_RESETS):
            peer.sending.send_nowait(data(number))
        await settled()
        assert MAX_RESETS < streams.refused_streams < MAX_RESETS + 5
        assert reset(1) == await peer.receive()
        for _ in range(3 * MAX_RESETS - 2):
            await peer.receive()
        assert 3 * MAX_RESETS - 1 == streams.refused_streams


async def test_credit_that_the_peer_does_not_read_stops_nobody() -> None:
    """There is no more of it than of what came, and two that both waited for each other would do so for ever."""
    rules = mux_rules(taken=lambda item: ("window", item[1], 1), size=lambda item: 0)
    async with streaming(room=0, rules=rules) as (streams, peer, nursery, _):
        for _ in range(2 * MAX_RESETS):
            peer.sending.send_nowait(data(1))
        stream = await streams.receive()
        for _ in range(2 * MAX_RESETS):
            await stream.receive()
        accepts = await started(nursery, streams.receive)
        await give(peer, data(2))
        assert 2 == accepts.result.key


# ---- what is written at once


class Gatherer(End):
    """An end that sends many items at once, as a pipeline does: taken one by one, then written in one piece."""

    refused: Any = None

    async def send_many(self, values: Iterable[Any]) -> None:
        gathered: list[Any] = []
        try:
            for value in values:
                if value == self.refused:
                    raise ValueError("no such item")
                gathered.append(value)
        finally:
            await self.send(gathered)


@asynccontextmanager
async def gathering(senders: int) -> AsyncIterator[tuple[Gatherer, End, list[Task], Streams]]:
    """While one item is being written, so many others wait to be."""
    near, peer = connection(room=0)
    gatherer = Gatherer(near.receiving, near.sending)
    async with trio.open_nursery() as nursery, open_streams(gatherer, MUX) as streams:
        await started(nursery, streams.open(0).send, data(0))
        yield (
            gatherer,
            peer,
            [await started(nursery, streams.open(key).send, data(key)) for key in range(1, senders + 1)],
            streams,
        )


async def test_what_waits_together_is_written_together() -> None:
    """With what is owed in front; and so much of it at a time."""
    async with gathering(MAX_BATCH + 5) as (_, peer, tasks, streams):
        await give(peer, data(-1))
        (await streams.receive()).reset()
        assert data(0) == await peer.receive()
        assert [reset(-1), *(data(key) for key in range(1, MAX_BATCH))] == await peer.receive()
        await settled()
        assert [True] * (MAX_BATCH - 1) + [False] * 6 == [task.over for task in tasks]
        assert [data(key) for key in range(MAX_BATCH, MAX_BATCH + 6)] == await peer.receive()


async def test_what_is_refused_among_others_fails_for_itself() -> None:
    """What was before it is written, and what is behind it goes on."""
    async with gathering(5) as (gatherer, peer, tasks, _):
        gatherer.refused = data(3)
        assert [data(0), [data(1), data(2)], [data(4), data(5)]] == [await peer.receive() for _ in range(3)]
        await settled()
        assert [None, None, "no such item", None, None] == [task.error and str(task.error) for task in tasks]


async def test_a_write_that_breaks_fails_all_that_was_in_it() -> None:
    """Nobody knows how much of it went out; each gets an error of its own."""
    async with gathering(3) as (gatherer, peer, tasks, _):
        assert data(0) == await peer.receive()
        gatherer.broken = trio.BrokenResourceError("reset")
        assert [data(1), data(2), data(3)] == await peer.receive()
        await settled()
        assert gatherer.broken is tasks[2].error
        for task in tasks[:2]:
            assert isinstance(task.error, trio.BrokenResourceError)
            assert gatherer.broken is task.error.__cause__
            assert "this was sent with others" in str(task.error)


@pytest.mark.real_time
async def test_many_streams_are_one_write_to_the_kernel() -> None:
    """Over a real socket, from a hundred tasks: a few writes."""
    async with (
        tcp_pair() as (near, far),
        Pipeline(near, json_lines()) as pipeline,
        open_streams(pipeline, MUX) as streams,
    ):
        async with trio.open_nursery() as nursery:
            for key in range(MAX_BATCH):
                nursery.start_soon(streams.open(key).send, data(key))
        assert pipeline._driver.writes <= 3
        got = b""
        while got.count(b"\n") < MAX_BATCH:
            got += await far.receive_some()
        await far.send_eof()


# ---- when something fails


async def test_what_a_stage_refuses_is_its_senders_own() -> None:
    """With its note; the stream and the others go on."""

    @outbound
    def refuses(item: bytes) -> list[bytes]:
        if item == b"1bad":
            raise ValueError("no such item")
        return [item]

    rules = StreamRules(key=lambda line: line[:1], eof=lambda key: key + b"bad")
    async with (
        pipeline_pair(LineFramer() | refuses, LineFramer()) as (client, server),
        open_streams(client, rules) as streams,
    ):
        one, two = streams.open(b"1"), streams.open(b"2")
        for act in (partial(one.send, b"1bad"), one.send_eof):
            with pytest.raises(ValueError, match="no such item") as info:
                await act()
            assert "refuses" in info.value.__notes__[0]
        await one.send(b"1good")
        await two.send(b"2good")
        assert [b"1good", b"2good"] == [await server.receive() for _ in range(2)]


async def test_what_a_stage_refuses_since_the_stream_is_over_breaks_it() -> None:
    """The stage may know of the peer's reset before it comes out; others go on."""
    rules = mux_rules(gone=lambda error: isinstance(error, LookupError))
    async with streaming(rules=rules) as (streams, peer, _, near):
        stream = streams.open(1)
        for error in (LookupError("no such stream"), ValueError("no such item")):
            near.broken = error
            with pytest.raises((trio.BrokenResourceError, ValueError)) as info:
                await stream.send(data(1))
            assert error in (info.value, info.value.__cause__)
            assert isinstance(info.value, trio.BrokenResourceError) == isinstance(error, LookupError)
        near.broken = None
        await streams.open(2).send(data(2))
        assert data(2) == received(peer)[-1]
        assert streams._group.broken is None


async def test_a_connection_that_breaks_fails_every_stream() -> None:
    """Each with an error of its own, after what had come; the cause is what the pipeline raised."""
    async with (
        pipeline_pair(json_lines(), json_lines(), to_left=Reset(after=60)) as (client, server),
        trio.open_nursery() as nursery,
        open_streams(client, MUX) as streams,
    ):
        one, two = streams.open(1), streams.open(2)
        receives = await started(nursery, two.receive)
        with pytest.raises(trio.BrokenResourceError):
            for _ in range(9):
                await server.send(data(1, "abc"))
        with pytest.raises(trio.BrokenResourceError) as end:
            await streams.receive()
        assert ["data", 1, "abc"] == await one.receive()
        errors = [receives.error]
        for act in (partial(one.send, data(1)), partial(two.send, data(2)), streams.events.receive):
            with pytest.raises(trio.BrokenResourceError) as info:
                await act()
            errors.append(info.value)
        assert 4 == len(set(map(id, errors)))
        assert all(isinstance(error, trio.BrokenResourceError) for error in errors)
        assert isinstance(receives.error, Exception)
        assert end.value is receives.error.__cause__
        with pytest.raises(trio.BrokenResourceError, match="no stream can be opened any more"):
            streams.open(3)


async def test_a_stage_that_fails_inbound_fails_the_streams_with_its_error() -> None:
    @inbound
    def fails(item: bytes) -> list[bytes]:
        raise ValueError("no such item")

    async with (
        pipeline_pair(LineFramer() | fails, LineFramer()) as (client, server),
        open_streams(client, key=lambda line: line[:1]) as streams,
    ):
        stream = streams.open(b"1")
        await server.send(b"1")
        with pytest.raises(ValueError, match="no such item"):
            await streams.receive()
        with pytest.raises(trio.BrokenResourceError) as info:
            await stream.receive()
        assert isinstance(info.value.__cause__, ValueError)


@pytest.mark.parametrize("rules", [MUX, StreamRules(key=key_of)], ids=["streams end", "streams do not end"])
async def test_a_connection_that_ends_ends_the_streams(rules: StreamRules) -> None:
    """One that should have ended before was cut; things can still be sent, where the peer reads on."""
    async with streaming(rules=rules) as (streams, peer, nursery, _):
        stream = streams.open(1)
        task = await started(nursery, stream.receive)
        await peer.sending.aclose()
        await settled()
        if rules is MUX:
            assert isinstance(task.error, trio.BrokenResourceError)
            assert "the connection is over, and this stream was not" in str(task.error)
        else:
            assert isinstance(task.error, trio.EndOfChannel)
        await stream.send(data(1, "bye"))
        assert [data(1, "bye")] == received(peer)
        with pytest.raises(trio.BrokenResourceError, match="the peer ended the connection"):
            streams.open(2)
        stream.reset()
        await settled()
        assert ([reset(1)] if rules is MUX else []) == received(peer)


async def test_a_stream_that_was_over_both_ways_outlives_the_connection() -> None:
    """Its items are there to be received, and nothing tells of a failure."""
    async with streaming() as (streams, peer, _, near):
        await give(peer, data(1, "a"), end(1))
        stream = await streams.receive()
        await stream.send_eof()
        near.broken = trio.BrokenResourceError("reset")
        with pytest.raises(trio.BrokenResourceError):
            await streams.open(2).send(data(2))
        await peer.sending.aclose()
        await settled()
        assert [data(1, "a")] == [item async for item in stream]


async def test_an_end_after_writing_failed_is_no_clean_one() -> None:
    """A connection that is reset may look so to whoever reads."""
    async with streaming(rules=StreamRules(key=key_of)) as (streams, peer, nursery, near):
        waits = await started(nursery, streams.open(1).receive)
        near.broken = trio.BrokenResourceError("reset")
        other = streams.open(2)
        failed = await started(nursery, other.send, data(2))
        await peer.sending.aclose()
        await settled()
        assert near.broken is failed.error
        assert isinstance(waits.error, trio.BrokenResourceError)
        assert near.broken is waits.error.__cause__


async def test_a_pipeline_that_is_closed_ends_the_streams() -> None:
    async with (
        pipeline_pair(json_lines(), json_lines()) as (client, _),
        trio.open_nursery() as nursery,
        open_streams(client, MUX) as streams,
    ):
        stream = streams.open(1)
        task = await started(nursery, stream.receive)
        await client.aclose()
        await settled()
        assert isinstance(task.error, trio.ClosedResourceError)
        with pytest.raises(trio.ClosedResourceError):
            streams.open(2)


@pytest.mark.parametrize("rule", ["key", "opens", "ends", "error", "hides", "size"])
async def test_a_rule_that_fails_is_told(rule: str) -> None:
    """What was received cannot be anybody's then, so it is the connection that fails."""

    def fails(*args: Any) -> Any:
        raise KeyError("id")

    async with streaming(rules=mux_rules(**{rule: fails})) as (streams, peer, _, _):
        await give(peer, data(1))
        with pytest.raises(KeyError) as info:
            while True:
                await streams.receive()
        assert ["in open_streams(), the rules, of what was received: tuple"] == info.value.__notes__


async def test_a_rule_of_sending_that_fails_is_its_senders() -> None:
    def may_send(key: Any, item: Item) -> bool:
        if item[2] == "bad":
            raise KeyError("window")
        return True

    async with streaming(rules=mux_rules(may_send=may_send)) as (streams, peer, _, _):
        stream = streams.open(1)
        with pytest.raises(KeyError):
            await stream.send(data(1, "bad"))
        await stream.send(data(1, "good"))
        assert [data(1, "good")] == received(peer)


async def test_a_reset_that_cannot_be_sent_is_told_to_all() -> None:
    """It belongs to no sender, and the peer would wait for ever."""

    @outbound
    def refuses(item: Any) -> list[Any]:
        if item[0] == "reset":
            raise ValueError("no such item")
        return [item]

    async with (
        pipeline_pair(json_lines() | refuses, json_lines()) as (client, _),
        open_streams(client, MUX) as streams,
    ):
        one, two = streams.open(1), streams.open(2)
        await one.send(data(1))
        one.reset()
        with pytest.raises(trio.BrokenResourceError):
            await two.receive()
        with pytest.raises(ValueError, match="no such item") as info:
            await streams.receive()
        assert "in open_streams(): the rules made this, to reset a stream or to return credit" in info.value.__notes__


async def test_credit_that_a_broken_connection_does_not_take_is_nobodys_error() -> None:
    """Whoever reads is told in the end."""
    credit = Credit(window=9, first_key=1)
    async with streaming(rules=credit.rules) as (streams, peer, _, near):
        await give(peer, data(2, "a"), data(2, "b"))
        stream = await streams.receive()
        near.broken = trio.BrokenResourceError("reset")
        assert data(2, "a") == await stream.receive()
        await settled()
        await peer.sending.aclose()
        await settled()
        assert data(2, "b") == await stream.receive()
        with pytest.raises(trio.BrokenResourceError):
            await stream.receive()
        stream.reset()
        assert [("window", 2, 1)] == received(peer)


# ---- the stage's own rules


async def test_the_rules_of_a_stage_are_found_in_the_chain() -> None:
    """It is told when they are in use: it returns no credit itself then."""
    told: list[str] = []
    framer = LineFramer()
    rules = mux_rules(attach=lambda: told.append("attach"), detach=lambda: told.append("detach"))
    framer.stream_rules = rules  # type: ignore[attr-defined]
    async with pipeline_pair(framer | JSONCodec(), json_lines()) as (client, server):
        for _ in range(2):
            async with open_streams(client) as streams:
                told.append("block")
                await server.send(data(1))
                assert 1 == (await streams.receive()).key
    assert ["attach", "block", "detach"] * 2 == told


async def test_without_rules_it_says_what_is_missing() -> None:
    near, _ = connection()
    async with pipeline_pair(LineFramer(), LineFramer()) as (client, _):
        for pipeline in (client, near):
            with pytest.raises(ValueError, match=r"no stage of .* says which item belongs.*key=lambda item"):
                async with open_streams(pipeline):
                    pass


def test_rules_are_functions() -> None:
    with pytest.raises(TypeError, match=r"StreamRules\(ends=True\): must be a function, as in ends=lambda item: "):
        StreamRules(key=key_of, ends=True)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="key=None"):
        StreamRules(key=None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"max_stream_bytes": 0}, ValueError, "max_stream_bytes is 0; it must be 1 or more"),
        ({"max_streams": -1}, ValueError, "max_streams is -1; it must be 1 or more"),
        ({"max_streams": 1.5}, TypeError, "float"),
        ({"max_events": 0}, ValueError, "max_events is 0; it must be 1 or more"),
        ({"overflow": "drop"}, ValueError, """overflow is 'drop'; it must be "reset" or "block\""""),
        ({"on_full": "block"}, ValueError, """on_full is 'block'; it must be "drop-oldest" or "fail\""""),
        ({"key": key_of}, ValueError, r"the key is one of the rules: open_streams\(pipeline, StreamRules\(key="),
        ({"rules": key_of}, TypeError, r"the rules are StreamRules\(key=..., ...\), not <function"),
    ],
)
async def test_wrong_options_are_refused(options: dict[str, Any], error: type[Exception], match: str) -> None:
    near, _ = connection()
    with pytest.raises(error, match=match):
        async with open_streams(near, **{"rules": MUX, **options}):
            pass


# ---- leaving the block


async def test_leaving_the_block_gives_up_what_is_open() -> None:
    """The peer is told, other tasks too; the pipeline stays open, and gives what comes next."""
    async with pipeline_pair(json_lines(), json_lines()) as (client, server):
        async with trio.open_nursery() as nursery:
            async with open_streams(client, mux_rules(new_key=count(1).__next__)) as streams:
                stream, unused = streams.open(), streams.open()
                await stream.send(data(stream.key))
                await server.send_many([data(7), ("ping", None, "")])
                tasks = [await started(nursery, act) for act in (stream.receive, unused.receive)]
            await settled()
            for task in tasks:
                assert isinstance(task.error, trio.ClosedResourceError)
            for act in (stream.receive, partial(stream.send, data(1)), streams.receive, streams.events.receive):
                with pytest.raises(trio.ClosedResourceError):
                    await act()
            with pytest.raises(trio.ClosedResourceError, match="was left"):
                streams.open(9)
            assert 1 == streams.dropped_events
        items = [await server.receive() for _ in range(3)]
        assert ["data", 1, ""] == items[0]
        assert [["reset", 1, None], ["reset", 7, None]] == sorted(items[1:])
        await server.send("late")
        assert "late" == await client.receive()


@pytest.mark.parametrize(("close_seconds", "seconds"), [(None, 5), (2, 2)])
async def test_leaving_waits_for_a_peer_that_reads_nothing_as_long_as_told(
    close_seconds: float | None, seconds: float
) -> None:
    options: Any = {} if close_seconds is None else {"close_seconds": close_seconds}
    near, _ = connection(room=0)
    async with trio.open_nursery() as nursery:
        async with open_streams(near, MUX, **options) as streams:
            await started(nursery, streams.open(1).send, data(1))
            began = trio.current_time()
        assert seconds == pytest.approx(trio.current_time() - began)


async def test_a_block_that_fails_is_left_at_once_with_its_own_error() -> None:
    near, _ = connection(room=0)
    began, tasks = trio.current_time(), []
    async with trio.open_nursery() as nursery:
        with pytest.raises(ValueError, match="of the block"):
            async with open_streams(near, MUX) as streams:
                for number in range(2):
                    tasks.append(await started(nursery, streams.open(number).send, data(number)))
                raise ValueError("of the block")
        await settled()
    assert all(isinstance(task.error, trio.ClosedResourceError) for task in tasks[1:])
    assert began == trio.current_time()


async def test_nothing_is_left_of_streams_that_are_over() -> None:
    """A connection may live long."""
    async with streaming() as (streams, peer, _, _):
        left = []
        for number in range(100):
            async with streams.open(number) as stream:
                await stream.send(data(number))
                await stream.send_eof()
                await give(peer, data(number), end(number))
                await stream.receive()
            left.append(weakref.ref(stream))
            del stream
        gc.collect()
        assert 0 == len(streams._group.open) == len(streams._group._gone) == len(streams._group.turns._queues)
        assert 0 == sum(reference() is not None for reference in left)


# ---- all at once


class Transfer:
    """Streams that a client opens, and a server echoes; some misbehave.

    Attributes:
        done: the keys of those that got back what they sent.
        most: how much waited at most in all streams of the server.
    """

    WINDOW, PIECE = 1000, 100

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.done: set[int] = set()
        self.server_credit = Credit(self.WINDOW, first_key=2)
        self.client_credit = Credit(self.WINDOW, first_key=1)
        self.most = 0

    async def serve(self, server: Any) -> None:
        async with (
            open_streams(server, self.server_credit.rules, max_streams=200) as streams,
            trio.open_nursery() as nursery,
        ):
            async for stream in streams:
                nursery.start_soon(self.echo, stream)

    async def echo(self, stream: Substream) -> None:
        kind, key, text = await stream.receive()
        if text == "unread":
            await trio.sleep_forever()
        with suppress(trio.BrokenResourceError):
            async with stream:
                async for _, _, text in stream:
                    self.most = max(self.most, sum(self.server_credit.untaken.values()))
                    await stream.send((kind, key, text))

    async def ask(self, streams: Streams, how: str, pieces: int) -> None:
        """Send pieces, and get them back."""
        async with streams.open() as stream:
            key = stream.key
            await stream.send(data(key, how))
            if how in ("unread", "shut"):
                while True:  # until the window is used up
                    await stream.send(data(key, "x" * self.PIECE))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.send_pieces, stream, pieces)
                texts = [item[2] async for item in stream]
            assert [str(number).zfill(self.PIECE) for number in range(pieces)] == texts
            self.done.add(key)

    async def send_pieces(self, stream: Substream, pieces: int) -> None:
        for number in range(pieces):
            await stream.send(data(stream.key, str(number).zfill(self.PIECE)))
        await stream.send_eof()

    async def give_up(self, streams: Streams, pieces: int) -> None:
        """Be cancelled anywhere."""
        async with trio.open_nursery() as nursery:
            turns = self.random.choice([3, 40, 800]) * pieces  # early, or anywhere until it is over and beyond
            nursery.start_soon(self.cancel, nursery.cancel_scope, self.random.randrange(turns))
            await self.ask(streams, "given up", pieces)
            nursery.cancel_scope.cancel()

    async def cancel(self, scope: trio.CancelScope, turns: int) -> None:
        for _ in range(turns):
            await trio.lowlevel.checkpoint()
        scope.cancel()


async def run_transfer(transfer: Transfer, client: Any, server: Any, *, good: int, given_up: int, pieces: int) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(transfer.serve, server)
        async with open_streams(client, transfer.client_credit.rules) as streams, trio.open_nursery() as bad:
            bad.start_soon(transfer.ask, streams, "unread", 0)
            bad.start_soon(transfer.ask, streams, "shut", 0)
            async with trio.open_nursery() as users:
                for _ in range(good):
                    users.start_soon(transfer.ask, streams, "echo", pieces)
                for _ in range(given_up):
                    users.start_soon(transfer.give_up, streams, pieces)
            bad.cancel_scope.cancel()
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("pieces", [12, pytest.param(100, marks=pytest.mark.full)])
async def test_of_a_hundred_streams_two_that_stand_still_hold_up_nobody(pieces: int) -> None:
    """One that nobody reads, one whose window stays closed: the other 98 complete, and memory is bounded."""
    transfer = Transfer(1)
    near, far = connection(room=10)
    with trio.fail_after(60):
        await run_transfer(transfer, near, far, good=98, given_up=0, pieces=pieces)
    assert 98 == len(transfer.done)
    assert transfer.most <= 100 * Transfer.WINDOW


@pytest.mark.real_time
@pytest.mark.parametrize("merge", [False, True], ids=["", "merging writes"])
async def test_streams_over_a_real_socket(merge: bool) -> None:
    """The same, with what the kernel does to it."""
    transfer = Transfer(4)
    async with (
        tcp_pair() as (near, far),
        Pipeline(far, json_lines(), merge_writes=merge) as server,
        Pipeline(near, json_lines(), merge_writes=merge) as client,
    ):
        with trio.fail_after(60):
            await run_transfer(transfer, client, server, good=10, given_up=10, pieces=5)
        async with trio.open_nursery() as nursery:  # both at once, as either waits for the other
            nursery.start_soon(client.aclose)
            nursery.start_soon(server.aclose)
    assert 10 <= len(transfer.done)


@pytest.mark.parametrize("seed", [pytest.param(0, marks=pytest.mark.full), 1, pytest.param(2, marks=pytest.mark.full)])
async def test_many_streams_with_random_cancellations(seed: int) -> None:
    """Over a pipeline; whoever is cancelled, the others get back what they sent, and nothing is torn."""
    transfer = Transfer(seed)
    async with pipeline_pair(json_lines(), json_lines(), lockstep=seed == 0) as (client, server):
        with trio.fail_after(600):
            await run_transfer(transfer, client, server, good=10, given_up=20, pieces=5)
    assert 10 <= len(transfer.done) < 30
