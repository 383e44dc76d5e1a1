"""CountLimit: so many items and no more."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from pipeline import LimitError, Pipeline
from pipeline.testing import Harness, check_limit, check_tap
from stages import CountLimit, LineFramer, RateLimit, recover
from tests.pipeline.wires import tcp_pair


def test_up_to_the_limit_it_changes_nothing() -> None:
    check_tap(lambda: CountLimit(100))


def test_exactly_the_limit_passes_and_one_more_fails() -> None:
    check_limit(CountLimit, lambda n: ["x"] * n, errors=LimitError)


def test_the_error_has_both_numbers() -> None:
    harness = Harness(CountLimit(2))
    with pytest.raises(
        LimitError, match=r"CountLimit: item 3 came from the peer, over the limit, items=2\. Raise items"
    ) as info:
        harness.receive("a", "b", "c")
    assert ["a", "b"] == harness.received
    assert (2, 3) == (info.value.limit, info.value.size)


def test_outbound_refuses_each_one_that_is_too_much_and_writes_nothing() -> None:
    harness = Harness(CountLimit(2))
    harness.send("a", "b")
    for _ in range(2):
        with pytest.raises(LimitError, match=r"CountLimit: item 3 was to be sent, over the limit, items=2\."):
            harness.send("c")
    assert ["a", "b"] == harness.sent


def test_each_direction_counts_for_itself() -> None:
    harness = Harness(CountLimit(2))
    assert ["a", "b"] == harness.receive("a", "b")
    assert ["c", "d"] == harness.send("c", "d")


@pytest.mark.parametrize(("direction", "free"), [("inbound", "send"), ("outbound", "receive")])
def test_the_other_direction_passes_unseen(direction: Any, free: str) -> None:
    harness = Harness(CountLimit(1, direction=direction))
    assert ["a", "b"] == getattr(harness, free)("a", "b")
    limited = harness.receive if free == "send" else harness.send
    with pytest.raises(LimitError):
        limited("a", "b")


def test_what_was_not_taken_counts_when_it_comes_again() -> None:
    stage = CountLimit(1).inbound
    assert stage is not None
    stage.process_sync("a")
    assert ["a"] == list(stage.unread(["a"]) or ())
    assert ["a"] == stage.process_sync("a")


def test_the_items_that_are_too_many_can_be_dropped() -> None:
    harness = Harness(recover(CountLimit(1), lambda item, error: ()))
    assert ["a"] == harness.receive("a", "b", "c")


async def test_a_cancelled_send_breaks_nothing() -> None:
    """It may have counted; a limit that is reached one item early does less harm than a broken connection."""
    here, there = trio.testing.memory_stream_pair()
    async with Pipeline(here, LineFramer() | RateLimit(items_per_s=1) | CountLimit(3)) as pipeline:
        await pipeline.send(b"a")
        with trio.move_on_after(0.5) as scope:
            await pipeline.send(b"b")
        assert scope.cancelled_caught
        await pipeline.send(b"c")
        with pytest.raises(LimitError, match="item 4 was to be sent"):
            await pipeline.send(b"d")
    assert b"a\nc\n" == await there.receive_some()


@pytest.mark.real_time
async def test_on_a_socket() -> None:
    with trio.fail_after(60):
        one, two = await tcp_pair()
        async with Pipeline(one, LineFramer() | CountLimit(2, direction="inbound")) as pipeline, two:
            await two.send_all(b"a\nb\nc\n")
            assert [b"a", b"b"] == [await pipeline.receive(), await pipeline.receive()]
            with pytest.raises(LimitError):
                await pipeline.receive()
            await pipeline.send(b"too many")
            assert b"too many\n" == await two.receive_some()


@pytest.mark.parametrize(("items", "kind"), [(0, ValueError), ("5", TypeError)])
def test_what_is_no_limit_is_refused(items: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=r"CountLimit\(items=.*\): must be a whole number, 1 or more, as in CountLimit"):
        CountLimit(items)


def test_what_is_no_direction_is_refused() -> None:
    with pytest.raises(ValueError, match="one of 'both', 'inbound', 'outbound'"):
        CountLimit(1, direction="in")  # type: ignore[arg-type]


def test_repr_shows_it_as_it_is_written() -> None:
    assert "CountLimit(5)" == repr(CountLimit(5))
