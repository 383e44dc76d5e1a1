"""A stage that waits in the loop in which it did not wait before: nothing is lost, and nobody stays in it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing

from pipeline import Inbound, Pipeline
from pipeline._slot import coroutine_code, has_no_await
from stages import LineFramer, Logger, Map

from .parts import tcp_pair

pytestmark = pytest.mark.short_ways


async def ten_seconds() -> None:
    await trio.sleep(10)


class Sometimes(Inbound[bytes, bytes]):
    """Waits for some lines, each in its own way, and passes them all on."""

    def __init__(self, waits: dict[bytes, Callable[[], Awaitable[object]]]) -> None:
        self.waits = waits
        self.seen: list[bytes] = []

    async def process(self, line: bytes, /) -> list[bytes]:
        if line in self.waits:
            await self.waits[line]()
        self.seen.append(line)
        return [line]


@asynccontextmanager
async def receiving(data: bytes, *stages: Any) -> AsyncIterator[Any]:
    """A pipeline of lines through the stages, all of which were read."""
    chain: Any = LineFramer()
    for stage in stages:
        chain |= stage
    async with tcp_pair() as (near, far), Pipeline(near, chain) as pipeline:
        await far.send_all(data)
        await far.aclose()
        yield pipeline


def in_the_loop(pipeline: Pipeline[Any, Any]) -> bool:
    """Whether its items come the short way."""
    return pipeline._driver.loop is not None


async def test_what_waits_gives_its_item_then_and_the_others_follow() -> None:
    stage = Sometimes({b"c": ten_seconds})
    async with receiving(b"a\nb\nc\nd\ne\n", stage, Map(inbound=bytes.upper)) as pipeline:
        got = []
        async for line in pipeline:
            got.append((line, trio.current_time(), in_the_loop(pipeline)))
        assert [(b"A", 0, True), (b"B", 0, True), (b"C", 10, False), (b"D", 10, True), (b"E", 10, True)] == got


async def test_what_waits_first_of_a_read() -> None:
    """`receive()` goes on from what was read at once to what waits."""
    stage = Sometimes({b"b": ten_seconds})
    async with tcp_pair() as (near, far), Pipeline(near, LineFramer() | stage) as pipeline:
        for line in (b"a", b"b", b"c"):
            await far.send_all(line + b"\n")
            assert line == await pipeline.receive()
        assert 10 == trio.current_time()


async def test_a_batch_waits_with_the_stage() -> None:
    stage = Sometimes({b"c": ten_seconds})
    async with receiving(b"a\nb\nc\nd\n", stage) as pipeline:
        assert [[b"a", b"b"], [b"c"], [b"d"]] == [batch async for batch in pipeline.batches()]
        assert 10 == trio.current_time()


async def test_a_batch_that_is_cancelled_meanwhile_is_not_lost() -> None:
    stage = Sometimes({b"c": ten_seconds})
    async with receiving(b"a\nb\nc\nd\n", stage) as pipeline:
        batches = pipeline.batches()
        with trio.move_on_after(1):
            await anext(batches)
        assert [b"a", b"b", b"c", b"d"] == [line async for line in pipeline]
        assert stage.seen == [b"a", b"b", b"c", b"d"]
        assert 11 == trio.current_time()


@pytest.mark.parametrize("taps", [0, 2])
async def test_a_cancelled_item_is_offered_again(taps: int) -> None:
    stage = Sometimes({b"b": ten_seconds})
    async with receiving(b"a\nb\nc\n", *(Logger() for _ in range(taps)), stage) as pipeline:
        assert b"a" == await anext(pipeline)
        for _ in range(3):
            with trio.move_on_after(1):
                await anext(pipeline)
        assert [b"b", b"c"] == [line async for line in pipeline]
        assert 13 == trio.current_time()


async def test_an_error_behind_the_wait_has_its_note() -> None:
    async def fail() -> None:
        await trio.sleep(1)
        raise ValueError("boom")

    async with receiving(b"a\nb\n", Logger(), Sometimes({b"b": fail})) as pipeline:
        assert b"a" == await anext(pipeline)
        with pytest.raises(ValueError, match="boom") as info:
            await anext(pipeline)
        assert "inbound stage Sometimes (stage 3 of 3" in info.value.__notes__[0]
        assert info.value.__notes__[0].endswith("process(), item: b'b'")
        with pytest.raises(trio.BrokenResourceError):
            await anext(pipeline)


async def test_a_result_that_is_none_is_refused_as_ever() -> None:
    class Forgets(Inbound[Any, Any]):
        async def process(self, item: bytes, /) -> Any:
            return [item] if item == b"a" else None

    async with receiving(b"a\nb\n", Forgets()) as pipeline:
        assert b"a" == await anext(pipeline)
        assert not in_the_loop(pipeline)  # nothing is awaited in it
        with pytest.raises(TypeError, match=r"Forgets.process\(\) returned None"):
            await anext(pipeline)


async def test_others_are_kept_out_meanwhile_and_a_change_waits() -> None:
    stage = Sometimes({b"b": ten_seconds})
    async with receiving(b"a\nb\nc\n", stage) as pipeline:
        got = [await anext(pipeline)]

        async def receive() -> None:
            got.append(await anext(pipeline))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(trio.BusyResourceError):
                await pipeline.receive()
            await pipeline.insert(Map(inbound=bytes.upper), at="client")
            assert 10 == trio.current_time()
        assert [b"a", b"b"] == [line.lower() for line in got]
        assert b"C" == await pipeline.receive()


# ---- closed by another task


async def forever() -> None:
    await trio.sleep_forever()


async def with_time_limit() -> None:
    with trio.fail_after(1000):
        await trio.sleep_forever()


async def in_a_shield() -> None:
    with trio.CancelScope(shield=True):
        await trio.sleep_forever()


async def at_the_end_of_a_nursery() -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep_forever)


async def inside_a_nursery() -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep_forever)
        await trio.sleep_forever()


async def with_a_net() -> None:
    """Goes on whatever error there is."""
    while True:
        try:
            await trio.sleep_forever()
        except Exception:
            raise AssertionError from None


async def with_clean_up() -> None:
    try:
        await trio.sleep_forever()
    finally:
        await trio.sleep(3)
        await trio.lowlevel.cancel_shielded_checkpoint()


@asynccontextmanager
async def one_in_a_stage(wait: Callable[[], Awaitable[object]]) -> AsyncIterator[Any]:
    """A pipeline, and how and when the task ended that waits in a stage of it, once it has."""
    async with tcp_pair() as (near, far), trio.open_nursery() as nursery:
        pipeline = Pipeline(near, LineFramer() | Sometimes({b"b": wait}))
        await far.send_all(b"a\nb\nc\n")
        await far.aclose()
        assert b"a" == await anext(pipeline)
        ended: list[Any] = []

        async def receive() -> None:
            assert in_the_loop(pipeline)
            try:
                await anext(pipeline)
            except BaseException as error:
                ended.extend((error, trio.current_time()))

        nursery.start_soon(receive)
        await trio.testing.wait_all_tasks_blocked()
        assert not in_the_loop(pipeline)
        yield pipeline, ended


@pytest.mark.parametrize(
    ("wait", "until"),
    [
        (forever, 0),
        (with_time_limit, 0),
        (in_a_shield, 0),
        (at_the_end_of_a_nursery, 0),
        (inside_a_nursery, 0),
        (with_a_net, 0),
        (with_clean_up, 3),
    ],
)
async def test_who_waits_in_the_stage_gets_out_of_it(wait: Any, until: float) -> None:
    async with one_in_a_stage(wait) as (pipeline, ended):
        await pipeline.aclose()
    error, time = ended
    assert isinstance(error, trio.ClosedResourceError)
    assert "this pipeline was closed" in str(error)
    assert until == time


async def test_a_stage_that_has_just_gone_on_and_waits_again() -> None:
    event = trio.Event()

    async def twice() -> None:
        await event.wait()
        await trio.sleep_forever()

    async with one_in_a_stage(twice) as (pipeline, ended):
        event.set()
        await pipeline.aclose()
    assert isinstance(ended[0], trio.ClosedResourceError)
    assert 0 == ended[1]


@pytest.mark.parametrize("error", [SystemExit, ValueError])
async def test_what_else_the_stage_raises_then(error: type[BaseException]) -> None:
    """An error of its own is nobody's any more, but what is to end the program does."""

    async def raises() -> None:
        try:
            await trio.sleep_forever()
        except BaseException:
            raise error from None

    async with one_in_a_stage(raises) as (pipeline, ended):
        await pipeline.aclose()
    assert isinstance(ended[0], SystemExit if error is SystemExit else trio.ClosedResourceError)


async def test_what_else_happens_in_a_nursery_then() -> None:
    async def fail() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("boom")

    async def raises() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail)

    async with one_in_a_stage(raises) as (pipeline, ended):
        await pipeline.aclose()
    assert isinstance(ended[0], ExceptionGroup)
    assert ["boom"] == [str(error) for error in ended[0].exceptions]


async def test_a_stage_that_goes_on_all_the_same() -> None:
    async def deaf() -> None:
        with suppress(BaseException):  # what no stage should do
            await trio.sleep_forever()

    async with one_in_a_stage(deaf) as (pipeline, ended):
        await pipeline.aclose()
    assert isinstance(ended[0], trio.ClosedResourceError)


async def test_what_cannot_be_left_is_waited_for() -> None:
    async def wake(task: trio.lowlevel.Task) -> None:
        await trio.sleep(2)
        trio.lowlevel.reschedule(task)

    async def deaf() -> None:
        trio.lowlevel.spawn_system_task(wake, trio.lowlevel.current_task())
        await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.FAILED)

    async with one_in_a_stage(deaf) as (pipeline, ended):
        await pipeline.aclose()
    assert isinstance(ended[0], trio.ClosedResourceError)
    assert 2 == ended[1]


# ---- what is known of a coroutine


class Kinds(Inbound[Any, Any]):
    async def process(self, item: Any, /) -> Any:
        return [item, *(each for each in [item])]

    async def awaits(self) -> None:
        await self.process(1)

    async def enters(self, scope: Any) -> None:
        async with scope:
            pass

    async def goes_over(self, items: Any) -> Any:
        async for _ in items:
            pass

    async def lists(self, items: Any) -> Any:
        return [each async for each in items]


@pytest.mark.parametrize(
    ("name", "never"),
    [("process", True), ("awaits", False), ("enters", False), ("goes_over", False), ("lists", False)],
)
def test_a_coroutine_in_which_nothing_is_awaited_never_waits(name: str, *, never: bool) -> None:
    code = coroutine_code(getattr(Kinds(), name))
    assert code is not None
    assert never == has_no_await(code)


@pytest.mark.parametrize("method", [Kinds().now, print, Kinds(), partial(forever)])
def test_nothing_is_known_of_what_is_no_async_def(method: Any) -> None:
    assert coroutine_code(method) is None
