"""`open_calls` (M1): many tasks ask over one pipeline, and each gets its own reply."""

from __future__ import annotations

import math
import random
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from typing import Any

import pytest
import trio
import trio.testing

from pipeline import Calls, LimitError, Pipeline, inbound, open_calls, outbound, serve_tcp
from pipeline.testing import Reset, pipeline_pair
from stages import JSONCodec, LineFramer
from tests.pipeline.parts import cancelled_at, tcp_pair
from tests.pipeline.tasks import End, connection, settled, started

Item = tuple[Any, ...]
"""A request or a reply: (key, anything)."""


def first(item: Item) -> Any:
    """The key of both."""
    return item[0]


def json_lines() -> Any:
    return LineFramer() | JSONCodec()


@asynccontextmanager
async def calling(room: float = math.inf, **options: Any) -> AsyncIterator[tuple[Calls, End, trio.Nursery, End]]:
    """Calls over a connection, with its far end, and a nursery for callers outside the block."""
    near, far = connection(room)
    async with trio.open_nursery() as nursery, open_calls(near, **options) as calls:
        yield calls, far, nursery, near


# ---- replies


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)], ids=str)
async def test_with_a_key_replies_come_in_any_order(order: tuple[int, ...]) -> None:
    async with calling(key=first) as (calls, peer, nursery, _):
        tasks = [await started(nursery, calls.call, (number, "request")) for number in range(3)]
        assert [(number, "request") for number in range(3)] == [await peer.receive() for _ in range(3)]
        assert 3 == calls.waiting
        for number in order:
            await peer.send((number, "reply"))
        await settled()
        assert [(number, "reply") for number in range(3)] == [task.result for task in tasks]
        assert 0 == calls.waiting


async def test_without_a_key_the_peer_answers_in_order() -> None:
    """Any item is a reply then, as long as somebody waits; with nobody it is an event."""
    async with calling() as (calls, peer, nursery, _):
        tasks = [await started(nursery, calls.call, number) for number in range(3)]
        for reply in ("a", None, "c", "event"):
            await peer.send(reply)
            await settled()
        assert ["a", None, "c"] == [task.result for task in tasks]
        assert "event" == await calls.events.receive()


async def test_a_request_may_have_its_key_elsewhere() -> None:
    """With typed messages, for one."""
    async with calling(key=first, request_key=lambda request: request["id"]) as (calls, peer, nursery, _):
        task = await started(nursery, calls.call, {"id": 7})
        await peer.send((7, "reply"))
        await settled()
        assert (7, "reply") == task.result


async def test_a_reply_may_come_before_its_request_is_written() -> None:
    """A server that has read enough answers at once; the rest still goes out."""
    async with calling(room=0, key=first) as (calls, peer, nursery, _):
        task = await started(nursery, calls.call, (1, "large"))
        await peer.send((1, "enough"))
        await settled()
        assert (1, "enough") == task.result
        assert (1, "large") == await peer.receive()
        await settled()
        other = await started(nursery, calls.call, (1, "again"))
        assert (1, "again") == await peer.receive()
        await peer.send((1, "well"))
        await settled()
        assert (1, "well") == other.result


async def test_a_reply_to_a_request_that_is_not_begun_is_an_event() -> None:
    """It cannot be its own; it waits on."""
    async with calling(room=0, key=first) as (calls, peer, nursery, _):
        await started(nursery, calls.call, (1, ""))
        waits = await started(nursery, calls.call, (2, ""))
        await peer.send((2, "too early"))
        assert (2, "too early") == await calls.events.receive()
        assert not waits.over


async def test_requests_go_out_in_the_order_of_the_calls() -> None:
    """So nobody waits for ever behind others."""
    async with calling(room=0, key=first) as (calls, peer, nursery, _):
        for number in range(50):
            await started(nursery, calls.call if number % 2 else calls.notify, (number,))
        assert [(number,) for number in range(50)] == [await peer.receive() for _ in range(50)]


@pytest.mark.parametrize("key", [first, None], ids=["by key", "in order"])
async def test_a_duplicate_key_is_refused(key: Any) -> None:
    """While another call waits with it; in order there are none."""
    async with calling(key=key) as (calls, peer, nursery, _):
        one = await started(nursery, calls.call, (1, "one"))
        two = await started(nursery, calls.call, (1, "two"))
        await settled()
        assert bool(key) == isinstance(two.error, ValueError)
        await peer.send((1, "reply"))
        await settled()
        assert (1, "reply") == one.result
        assert (1, "one") == await peer.receive()


# ---- notifications


async def test_a_notification_is_over_when_it_is_written() -> None:
    """And has no reply: what comes is an event."""
    async with calling(room=0) as (calls, peer, nursery, _):
        task = await started(nursery, calls.notify, "news")
        over = [task.over]
        assert "news" == await peer.receive()
        await settled()
        assert [False, True] == [*over, task.over]
        await peer.send("no reply")
        assert "no reply" == await calls.events.receive()


# ---- events


async def test_what_is_no_reply_is_an_event() -> None:
    """Its key is None, or nobody's; the calls wait on."""
    key = {"a": None, "b": 9, "c": 1}.get
    async with calling(key=key, request_key=len) as (calls, peer, nursery, _):
        task = await started(nursery, calls.call, "x")
        for item in "abc":
            await peer.send(item)
        assert ["a", "b"] == [await calls.events.receive() for _ in range(2)]
        assert "c" == task.result


@pytest.mark.parametrize("key", [first, None], ids=["by key", "in order"])
async def test_events_can_be_told_from_replies(key: Any) -> None:
    """Also in order, and where a request of the peer's has a key of ours."""
    async with calling(key=key, is_event=lambda item: len(item) == 3) as (calls, peer, nursery, _):
        task = await started(nursery, calls.call, (1, "request"))
        await peer.send((1, "do", "this"))
        await peer.send((1, "reply"))
        await settled()
        assert (1, "reply") == task.result
        assert (1, "do", "this") == await calls.events.receive()


@pytest.mark.parametrize("max_events", [1, 64])
async def test_too_many_events_push_the_oldest_out(max_events: int) -> None:
    """They are counted, and the reading of replies goes on."""
    options = {} if max_events == 64 else {"max_events": max_events}
    async with calling(key=first, **options) as (calls, peer, nursery, _):
        task = await started(nursery, calls.call, (1, "request"))
        for number in range(1000):
            await peer.send((None, number))
        await peer.send((1, "reply"))
        await settled()
        assert (1, "reply") == task.result
        assert 1000 - max_events == calls.dropped_events
        await peer.sending.aclose()
        assert [(None, number) for number in range(1000)][-max_events:] == [event async for event in calls.events]


async def test_too_many_events_can_be_an_error() -> None:
    """All calls fail as if the connection had, and the events that were there come first."""
    async with calling(key=first, max_events=2, on_full="fail") as (calls, peer, nursery, _):
        task = await started(nursery, calls.call, (1, "request"))
        for number in range(3):
            await peer.send((None, number))
        await settled()
        assert isinstance(task.error, trio.BrokenResourceError)
        assert isinstance(task.error.__cause__, LimitError)
        assert [(None, 0), (None, 1)] == [await calls.events.receive() for _ in range(2)]
        with pytest.raises(LimitError, match=r"2 events wait in calls.events, and one more came") as info:
            await calls.events.receive()
        assert (2, 3) == (info.value.limit, info.value.size)
        assert 0 == calls.dropped_events


@pytest.mark.parametrize("on_full", ["drop-oldest", "fail"])
async def test_whoever_wants_no_events_closes_them(on_full: str) -> None:
    """They are counted only."""
    async with calling(key=first, max_events=1, on_full=on_full) as (calls, peer, nursery, _):
        await peer.send((None, "before"))
        await settled()
        await calls.events.aclose()
        for _ in range(3):
            await peer.send((None, "news"))
        task = await started(nursery, calls.call, (1, "request"))
        await peer.send((1, "reply"))
        await settled()
        assert (1, "reply") == task.result
        assert 3 == calls.dropped_events


# ---- cancellation


@pytest.mark.parametrize("act", ["call", "notify"])
async def test_cancelled_before_its_turn_it_is_withdrawn(act: str) -> None:
    """Nothing of it goes out, and its key is free."""
    async with calling(room=0, key=first) as (calls, peer, nursery, _):
        await started(nursery, calls.call, (1, "being written"))
        await (await started(nursery, getattr(calls, act), (2, "withdrawn"))).cancel()
        task = await started(nursery, calls.call, (2, "in its place"))
        assert [(1, "being written"), (2, "in its place")] == [await peer.receive() for _ in range(2)]
        await peer.send((2, "reply"))
        await settled()
        assert (2, "reply") == task.result
        assert 0 == calls.late_replies


@pytest.mark.parametrize("key", [first, None], ids=["by key", "in order"])
async def test_cancelled_while_it_is_written_it_goes_out_whole(key: Any) -> None:
    """Its late reply is dropped and counted, and the next one gets its own."""
    async with calling(room=0, key=key) as (calls, peer, nursery, _):
        await (await started(nursery, calls.call, (1, "whole"))).cancel()
        task = await started(nursery, calls.call, (2, "request"))
        assert [(1, "whole"), (2, "request")] == [await peer.receive() for _ in range(2)]
        await peer.send((1, "late"))
        await peer.send((2, "reply"))
        await settled()
        assert ((2, "reply"), 1) == (task.result, calls.late_replies)


async def test_a_cancelled_notification_that_is_being_written_goes_out_whole() -> None:
    async with calling(room=0) as (calls, peer, nursery, _):
        await (await started(nursery, calls.notify, "news")).cancel()
        task = await started(nursery, calls.call, "request")
        assert ["news", "request"] == [await peer.receive() for _ in range(2)]
        await peer.send("reply")
        await settled()
        assert ("reply", 0) == (task.result, calls.late_replies)


@pytest.mark.parametrize("key", [first, None], ids=["by key", "in order"])
async def test_cancelled_anywhere_it_breaks_nothing(key: Any) -> None:
    """Over a wire that cannot count, where a cancelled `send()` in the middle of a write would."""

    async def answer(server: Pipeline[Any, Any]) -> None:
        async for number, _ in server:
            await server.send([number, "reply"])

    cuts = 0
    async with (
        pipeline_pair(json_lines(), json_lines(), lockstep=True) as (client, server),
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(answer, server)
        async with open_calls(client, key) as calls:
            for step in count(1):
                if not await cancelled_at(step, partial(calls.call, [step, "cut"])):
                    break
                cuts += 1
                assert [-step, "reply"] == await calls.call([-step, "whole"])
                await calls.notify([0, "whole"])
                assert [0, "reply"] == (await calls.events.receive() if key else [0, "reply"])
            assert [-1, "reply"] == await calls.call([-1, "whole"])
        nursery.cancel_scope.cancel()
    assert cuts >= 1


async def test_cancelled_with_a_blocked_writer_a_lockstep_wire_is_whole() -> None:
    """The peer reads at last, and gets both requests; a `send()` cut here would have broken outbound."""
    async with (
        pipeline_pair(LineFramer(), LineFramer(), lockstep=True) as (client, server),
        open_calls(client) as calls,
        trio.open_nursery() as nursery,
    ):
        await (await started(nursery, calls.call, b"x" * 5000)).cancel()
        task = await started(nursery, calls.call, b"next")
        assert [b"x" * 5000, b"next"] == [await server.receive() for _ in range(2)]
        await server.send_many([b"late", b"reply"])
        await settled()
        assert (b"reply", 1) == (task.result, calls.late_replies)


async def test_a_reply_that_comes_with_the_cancellation_is_counted() -> None:
    """Whichever of the two tasks the scheduler lets go on first: the one that reads or the one that is cancelled."""
    async with calling(key=first) as (calls, peer, nursery, _):
        for number in range(50):
            task = await started(nursery, calls.call, (number, "request"))
            peer.sending.send_nowait((number, "reply"))
            await task.cancel()
        assert (50, 0) == (calls.late_replies, calls.dropped_events)


async def test_a_block_that_is_cancelled_anywhere_leaves_a_pipeline_that_works() -> None:
    """Another block on it asks, and gets its replies; what was left over is an event to it."""
    cuts = 0

    async def answer(server: Pipeline[Any, Any]) -> None:
        async for number, _ in server:
            await server.send([number, "reply"])

    async def ask(client: Pipeline[Any, Any], *numbers: int) -> None:
        async with open_calls(client, first) as calls:
            for number in numbers:
                assert [number, "reply"] == await calls.call([number, "request"])
                await calls.notify([-number, "news"])

    async with pipeline_pair(json_lines(), json_lines()) as (client, server), trio.open_nursery() as nursery:
        nursery.start_soon(answer, server)
        for step in count(1):
            numbers = range(10 * step, 10 * step + 3)
            if not await cancelled_at(step, partial(ask, client, *numbers)):
                break
            cuts += 1
            await ask(client, 10 * step + 5)
        nursery.cancel_scope.cancel()
    assert cuts > 6


async def test_the_key_of_a_cancelled_call_is_free_when_its_reply_has_come() -> None:
    """Not before: else the late reply would be taken for the next one's."""
    async with calling(key=first) as (calls, peer, nursery, _):
        task = await started(nursery, calls.call, (1, "cancelled"))
        await task.cancel()
        with pytest.raises(ValueError, match="take another key"):
            await calls.call((1, "again"))
        await peer.send((1, "late"))
        await settled()
        task = await started(nursery, calls.call, (1, "again"))
        await peer.send((1, "reply"))
        await settled()
        assert ((1, "reply"), 1) == (task.result, calls.late_replies)


async def test_of_many_late_replies_the_oldest_key_is_forgotten() -> None:
    """So that a peer which never answers does not fill the memory; its reply is an event then."""
    async with calling(key=first, max_late=2) as (calls, peer, nursery, _):
        for number in range(3):
            task = await started(nursery, calls.call, (number, "cancelled"))
            await task.cancel()
        for number in range(3):
            await peer.send((number, "late"))
        assert (0, "late") == await calls.events.receive()
        await settled()
        assert 2 == calls.late_replies


async def test_in_order_too_many_late_replies_hold_requests_back() -> None:
    """What is not a request may go out; the others do when the peer has answered some."""
    async with calling(max_late=2) as (calls, peer, nursery, _):
        for number in range(2):
            task = await started(nursery, calls.call, number)
            await task.cancel()
        notified = await started(nursery, calls.notify, "news")
        task = await started(nursery, calls.call, "held back")
        assert notified.over
        assert [0, 1, "news"] == [await peer.receive() for _ in range(3)]
        with pytest.raises(trio.WouldBlock):
            peer.receiving.receive_nowait()
        await peer.send("late")
        assert "held back" == await peer.receive()
        await peer.send("late")
        await peer.send("reply")
        await settled()
        assert ("reply", 2) == (task.result, calls.late_replies)


async def test_callers_who_give_up_leave_nothing() -> None:
    """With a peer that reads nothing, the queue is as long as there are callers who wait."""
    async with calling(room=0, key=first) as (calls, _, nursery, _near):
        await started(nursery, calls.call, (-1, "being written"))
        for number in range(500):
            with trio.move_on_after(1):
                await calls.call((number, "given up"))
        assert 1 == calls.waiting
        assert [] == list(calls._queue)


# ---- when something fails


async def test_an_encoding_error_is_its_callers_own() -> None:
    """The stage's error, with its note; the calls before it and after it get their replies."""

    @outbound
    def refuses(item: bytes) -> list[bytes]:
        if item == b"bad":
            raise ValueError("no such request")
        return [item]

    async with (
        pipeline_pair(LineFramer() | refuses, LineFramer()) as (client, server),
        trio.open_nursery() as nursery,
        open_calls(client) as calls,
    ):
        tasks = [await started(nursery, calls.call, request) for request in (b"1", b"bad", b"2")]
        tasks.append(await started(nursery, calls.notify, b"bad"))
        assert [b"1", b"2"] == [await server.receive() for _ in range(2)]
        await server.send_many([b"one", b"two"])
        await settled()
        assert [b"one", None, b"two", None] == [task.result for task in tasks]
        for task in (tasks[1], tasks[3]):
            assert "no such request" == str(task.error)
            assert task.error is not None
            assert "refuses" in task.error.__notes__[0]


async def test_a_reply_counts_though_its_request_failed_later() -> None:
    """The caller has gone on with it by then."""
    async with calling(room=0, key=first) as (calls, peer, nursery, near):
        near.broken = ValueError("while it was written")
        task = await started(nursery, calls.call, (1, "request"))
        await peer.send((1, "reply"))
        assert (1, "request") == await peer.receive()
        await settled()
        assert ((1, "reply"), None) == (task.result, task.error)


@pytest.mark.parametrize("key", [first, None], ids=["by key", "in order"])
async def test_a_request_that_fails_after_its_caller_has_left_leaves_nothing(key: Any) -> None:
    """Its error is nobody's, and no reply to it will come."""
    async with calling(room=0, key=key) as (calls, peer, nursery, near):
        near.broken = ValueError("while it was written")
        await (await started(nursery, calls.call, (1, "cancelled"))).cancel()
        assert (1, "cancelled") == await peer.receive()
        await settled()
        near.broken = None
        task = await started(nursery, calls.call, (1, "again"))
        assert (1, "again") == await peer.receive()
        await peer.send((1, "reply"))
        await settled()
        assert ((1, "reply"), 0) == (task.result, calls.late_replies)


async def test_a_connection_that_breaks_fails_every_call_which_waits() -> None:
    """Each with an error of its own; the cause is what the pipeline raised. Later calls fail at once."""
    async with (
        pipeline_pair(json_lines(), json_lines(), to_left=Reset(after=4)) as (client, server),
        trio.open_nursery() as nursery,
        open_calls(client, first) as calls,
    ):
        tasks = [await started(nursery, calls.call, [number, "request"]) for number in range(3)]
        with pytest.raises(trio.BrokenResourceError):
            await server.send([1, "reply"])
        with pytest.raises(trio.BrokenResourceError) as end:
            await calls.events.receive()
        await settled()
        for task in tasks:
            assert isinstance(task.error, trio.BrokenResourceError)
            assert task.error.__cause__ is end.value
            assert "no reply came to this request: BrokenResourceError" in str(task.error)
        assert 3 == len({id(task.error) for task in tasks})
        with pytest.raises(trio.BrokenResourceError, match="nothing was sent, since no reply can come"):
            await calls.call([4, "request"])


async def test_a_stage_that_fails_inbound_fails_the_calls_but_not_what_is_sent() -> None:
    """Outbound works, so that notifications go out."""

    @inbound
    def fails(item: bytes) -> list[bytes]:
        raise ValueError("no such reply")

    async with (
        pipeline_pair(LineFramer() | fails, LineFramer()) as (client, server),
        trio.open_nursery() as nursery,
        open_calls(client) as calls,
    ):
        task = await started(nursery, calls.call, b"request")
        await server.send(b"reply")
        await settled()
        assert isinstance(task.error, trio.BrokenResourceError)
        with pytest.raises(ValueError, match="no such reply"):
            await calls.events.receive()
        await calls.notify(b"sorry")
        assert [b"request", b"sorry"] == [await server.receive() for _ in range(2)]


async def test_the_end_of_the_stream_fails_the_calls_which_wait() -> None:
    """Those whose turn to be written has not come are withdrawn; events end in good order."""
    async with calling(room=0, key=first) as (calls, peer, nursery, _):
        tasks = [await started(nursery, calls.call, (number, "request")) for number in range(3)]
        notified = await started(nursery, calls.notify, "news")
        await peer.send((None, "bye"))
        await peer.sending.aclose()
        assert [(None, "bye")] == [event async for event in calls.events]
        await settled()
        for task in tasks:
            assert isinstance(task.error, trio.BrokenResourceError)
            assert "no reply came to this request: EndOfChannel('the peer ended the stream')" == str(task.error)
        with pytest.raises(trio.BrokenResourceError, match=r"no reply can come any more.*the peer ended the stream"):
            await calls.call((3, "request"))
        assert [(0, "request"), "news"] == [await peer.receive() for _ in range(2)]
        await settled()
        assert (True, None) == (notified.over, notified.error)


async def test_an_end_after_writing_failed_is_no_clean_one() -> None:
    """A connection that is reset may look so to whoever reads; the cause is what whoever wrote was told first."""
    async with calling(key=first) as (calls, peer, nursery, near):
        waits = await started(nursery, calls.call, (1, "request"))
        near.broken = reset = trio.BrokenResourceError("reset")
        failed = [await started(nursery, calls.call, (2, "request"))]
        near.broken = trio.BrokenResourceError("again")
        failed.append(await started(nursery, calls.notify, "news"))
        await peer.sending.aclose()
        await settled()
        assert [reset, near.broken] == [task.error for task in failed]
        assert waits.error is not None
        assert reset is waits.error.__cause__


async def test_a_pipeline_that_is_closed_fails_the_calls() -> None:
    async with (
        pipeline_pair(LineFramer(), LineFramer()) as (client, _),
        trio.open_nursery() as nursery,
        open_calls(client) as calls,
    ):
        task = await started(nursery, calls.call, b"request")
        await client.aclose()
        await settled()
        assert isinstance(task.error, trio.ClosedResourceError)
        assert "no reply came to this request" in str(task.error)
        with pytest.raises(trio.ClosedResourceError):
            await calls.notify(b"news")


@pytest.mark.parametrize("option", ["key", "is_event"])
async def test_a_key_function_that_fails_is_told(option: str) -> None:
    """What was received cannot be anybody's then, so it is the connection that fails."""

    def fails(item: Any) -> Any:
        raise KeyError("id")

    options: dict[str, Any] = {"key": fails, "request_key": first} if option == "key" else {option: fails}
    async with calling(**options) as (calls, peer, nursery, _):
        task = await started(nursery, calls.call, (1, "request"))
        await peer.send(["what is this"])
        await settled()
        assert task.error is not None
        assert isinstance(task.error.__cause__, KeyError)
        note = "in open_calls(), is_event() or key() of what was received: list"
        assert [note] == task.error.__cause__.__notes__


async def test_a_request_without_a_key_is_refused() -> None:
    """Nothing is sent, and the calls go on."""
    async with calling(key=first) as (calls, peer, nursery, _):
        with pytest.raises(ValueError, match=r"this request's key is None"):
            await calls.call((None, "request"))
        with pytest.raises(TypeError, match="unhashable"):
            await calls.call(([], "request"))
        task = await started(nursery, calls.call, (1, "request"))
        assert (1, "request") == await peer.receive()
        await peer.send((1, "reply"))
        await settled()
        assert (1, "reply") == task.result


# ---- leaving the block


async def test_leaving_the_block_ends_the_calls_of_other_tasks() -> None:
    """What is just being written goes out; the pipeline stays open, and gives what comes next."""
    async with pipeline_pair(LineFramer(), LineFramer(), lockstep=True) as (client, server):
        async with trio.open_nursery() as nursery:
            async with open_calls(client) as calls:
                acts = [calls.call, calls.call, calls.notify]
                tasks = [await started(nursery, act, b"%d" % number) for number, act in enumerate(acts)]
                nursery.start_soon(server.receive)
            for task in tasks:
                assert isinstance(task.error, trio.ClosedResourceError)
                assert "the block of open_calls() was left" in str(task.error)
            for act in (calls.call, calls.notify):
                with pytest.raises(trio.ClosedResourceError, match="was left"):
                    await act(b"more")
            with pytest.raises(trio.ClosedResourceError, match="was left"):
                await calls.events.receive()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.send, b"late")
            assert b"late" == await client.receive()
            nursery.start_soon(client.send, b"more")
            assert b"more" == await server.receive()


@pytest.mark.parametrize(("close_seconds", "seconds"), [(None, 5), (2, 2)])
async def test_leaving_waits_for_a_peer_that_reads_nothing_as_long_as_told(
    close_seconds: float | None, seconds: float
) -> None:
    options: Any = {} if close_seconds is None else {"close_seconds": close_seconds}
    near, _ = connection(room=0)
    async with trio.open_nursery() as nursery:
        async with open_calls(near, **options) as calls:
            await started(nursery, calls.call, "stuck")
            began = trio.current_time()
        assert seconds == pytest.approx(trio.current_time() - began)


async def test_leaving_takes_no_time_when_all_is_written() -> None:
    began = trio.current_time()
    async with calling(room=0) as (calls, peer, nursery, _):
        await started(nursery, calls.notify, "news")
        assert "news" == await peer.receive()
    assert began == trio.current_time()


async def test_a_block_that_fails_is_left_at_once_with_its_own_error() -> None:
    """Not with a group."""
    near, _ = connection(room=0)
    began, tasks = trio.current_time(), []
    async with trio.open_nursery() as nursery:
        with pytest.raises(ValueError, match="of the block"):
            async with open_calls(near) as calls:
                tasks.append(await started(nursery, calls.call, "stuck"))
                raise ValueError("of the block")
    assert [trio.ClosedResourceError] == [type(task.error) for task in tasks]
    assert began == trio.current_time()


async def test_events_that_nobody_received_are_counted_in_the_end() -> None:
    async with calling(key=first) as (calls, peer, _, _):
        for number in range(3):
            await peer.send((None, number))
        await settled()
    assert 3 == calls.dropped_events


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"max_events": 0}, "max_events is 0; it must be 1 or more"),
        ({"max_late": 0}, "max_late is 0; it must be 1 or more"),
        ({"on_full": "block"}, 'on_full is \'block\'; it must be "drop-oldest" or "fail"'),
        ({"request_key": first}, r"request_key needs key.*open_calls\(pipeline, key, request_key="),
    ],
    ids=lambda value: str(*value) if isinstance(value, dict) else "",
)
async def test_wrong_arguments_are_refused(options: dict[str, Any], says: str) -> None:
    """Before anything has begun."""
    near, _ = connection()
    with pytest.raises(ValueError, match=says):
        async with open_calls(near, **options):
            pass


@pytest.mark.parametrize("options", [{"key": "id"}, {"key": first, "request_key": "id"}], ids=["key", "request_key"])
async def test_a_key_that_is_no_function_is_refused(options: dict[str, Any]) -> None:
    near, _ = connection()
    with pytest.raises(
        TypeError, match=r"key is 'id'; it must be a function: \w*key=lambda message: message.get\('id'\)"
    ):
        async with open_calls(near, **options):
            pass


# ---- many at once


class Storm:
    """Many tasks that call and are cancelled, and a server that takes its time.

    Attributes:
        replied: how many calls got their reply.
        asked: how many requests the server received.
    """

    def __init__(self, seed: int, seconds: float) -> None:
        self._random, self._seconds = random.Random(seed), seconds
        self._numbers = count()
        self.replied = self.asked = 0

    async def call(self, calls: Calls, times: int) -> None:
        """Call so often; at times with no patience at all, at times with a little."""
        for _ in range(times):
            number = next(self._numbers)
            patience = self._random.choice([0, self._random.uniform(0, self._seconds), math.inf])
            with trio.move_on_after(patience):
                assert [number, f"reply to {number}"] == await calls.call([number, f"request {number}"])
                self.replied += 1

    async def serve(self, server: Any, *, in_order: bool) -> None:
        """Answer some of the requests after a while, then others; in order or not."""
        waiting: list[int] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._receive, server, waiting)
            while True:
                await trio.sleep(self._random.uniform(0, self._seconds / 5))
                if not in_order:
                    self._random.shuffle(waiting)
                for _ in range(self._random.randint(0, len(waiting))):
                    number = waiting.pop(0)
                    await server.send([number, f"reply to {number}"])

    async def _receive(self, server: Any, waiting: list[int]) -> None:
        async for number, request in server:
            assert f"request {number}" == request
            self.asked += 1
            waiting.append(number)

    async def run(self, client: Any, server: Any, key: Any, tasks: int, times: int) -> None:
        """Let it blow, and calm down; each reply reached its own caller, or was dropped and counted."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(self.serve, server, in_order=key is None))
            async with open_calls(client, key, max_late=tasks * times) as calls:
                async with trio.open_nursery() as callers:
                    for _ in range(tasks):
                        callers.start_soon(self.call, calls, times)
                # It is written behind all others, so once it is answered the server has received them all.
                assert [-1, "reply to -1"] == await calls.call([-1, "request -1"])
                while calls.late_replies + self.replied < self.asked - 1:  # noqa: ASYNC110 - no event knows of all three
                    await trio.sleep(self._seconds)
            assert (0, 0) == (calls.waiting, calls.dropped_events)
            assert not calls._matching._requests  # type: ignore[attr-defined]
            assert self.replied + calls.late_replies == self.asked - 1
            assert min(self.replied, tasks * times - self.asked) > tasks * times / 20
            assert calls.late_replies
            nursery.cancel_scope.cancel()


@pytest.mark.unmeasured
@pytest.mark.parametrize("key", [first, None], ids=["by key", "in order"])
@pytest.mark.parametrize("times", [10, pytest.param(100, marks=pytest.mark.full)])
async def test_many_calls_from_a_hundred_tasks_with_random_cancellations(key: Any, times: int) -> None:
    """Every reply reaches its own caller, whichever left before: of a thousand calls, and of ten thousand."""
    async with pipeline_pair(json_lines(), json_lines()) as (client, server):
        await Storm(7, seconds=1).run(client, server, key, tasks=100, times=times)


@pytest.mark.real_time
@pytest.mark.parametrize("key", [first, None], ids=["by key", "in order"])
async def test_many_calls_over_a_real_socket(key: Any) -> None:
    """The same, with what the kernel does to it."""
    async with tcp_pair() as (near, far), Pipeline(far, json_lines()) as server, Pipeline(near, json_lines()) as client:
        with trio.fail_after(60):
            await Storm(8, seconds=0.01).run(client, server, key, tasks=100, times=10)
        async with trio.open_nursery() as nursery:  # both at once, as either waits for the other
            nursery.start_soon(client.aclose)
            nursery.start_soon(server.aclose)


@pytest.mark.real_time
async def test_a_peer_that_breaks_off_is_everyday_life_to_a_server(caplog: pytest.LogCaptureFixture) -> None:
    """Also where a handler has asked it: a warning in one line, and no traceback."""

    async def ask(pipeline: Pipeline[bytes, bytes]) -> None:
        async with open_calls(pipeline) as calls, trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(calls.call, b"who are you?")

    async with trio.open_nursery() as nursery:
        serve = partial(serve_tcp, host="127.0.0.1")
        (listener,) = await nursery.start(serve, ask, 0, LineFramer)
        stream = await trio.open_tcp_stream("127.0.0.1", listener.socket.getsockname()[1])
        await stream.receive_some()
        stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, struct.pack("ii", 1, 0))
        stream.socket.close()
        with trio.fail_after(10):
            while not caplog.records:  # noqa: ASYNC110 - a log record sets no event
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    (record,) = caplog.records
    assert "WARNING" == record.levelname
    assert "Connection reset by peer" in record.getMessage()
