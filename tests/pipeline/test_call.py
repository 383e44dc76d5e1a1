"""Calls of stages: what they may give, what becomes of their errors, and of being cancelled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trio

from pipeline import (
    END,
    Duplex,
    Engine,
    Inbound,
    Outbound,
    PipelineError,
    Reply,
    StageReturnError,
    Waiting,
)
from tests.pipeline.engines import (
    Async,
    Boom,
    Cancelled,
    FreeOut,
    In,
    Out,
    Waits,
    cancelled,
    finished,
    note_of,
    pause,
    received,
    running,
    sent,
    taken,
)


async def agen() -> Any:
    yield 1


async def coro() -> Any:
    return []


def sync_of(result: Callable[[], Any]) -> Inbound[Any, Any]:
    return In(lambda _, item: result(), name="Sync")


WRONG: list[tuple[Callable[[], Any], str]] = [
    (lambda: None, 'returned None. For "nothing yet" return (); for one item return [item]'),
    (
        lambda: "text",
        (
            "returned str, which would be passed on one character at a time. If you meant one item, put it in a "
            "list: return [item]"
        ),
    ),
    (
        lambda: b"bytes",
        (
            "returned bytes, which would be passed on one byte at a time. If you meant one item, put it in a "
            "list: return [item]"
        ),
    ),
    (
        lambda: bytearray(b"bytes"),
        (
            "returned bytearray, which would be passed on one byte at a time. If you meant one item, put it in a "
            "list: return [item]"
        ),
    ),
    (
        lambda: memoryview(b"bytes"),
        (
            "returned memoryview, which would be passed on one byte at a time. If you meant one item, put it in a "
            "list: return [item]"
        ),
    ),
    (lambda: 5, "returned int, which is no iterable of items. For one item: return [item]"),
    (lambda: Reply(5), "returned Reply(...) by itself. Put it in a list: return [Reply(...)]"),
    (lambda: END, "returned END by itself. Put it in a list: return [END]"),
    (agen, "is an async generator (`async def` with `yield`). Return the items: return [item], or a plain generator"),
]


@pytest.mark.parametrize(("result", "message"), WRONG)
def test_wrong_results_of_process_sync_are_refused(result: Callable[[], Any], message: str) -> None:
    """At once, naming the stage and showing the right form (S2)."""
    with pytest.raises(StageReturnError) as info:
        received(running(sync_of(result)), 1)

    assert f"Sync.process_sync() {message}" == str(info.value)


@pytest.mark.parametrize(("result", "message"), WRONG)
@pytest.mark.parametrize("method", ["process", "start", "finish", "on_timer", "poll"])
def test_wrong_results_of_other_methods_are_refused(method: str, result: Callable[[], Any], message: str) -> None:
    """Every method that gives items is held to the same."""

    async def wrong(self: Any, *args: Any) -> Any:
        return result()

    def wrong_sync(self: Any) -> Any:
        return result()

    body: dict[str, Any] = {"deadline": 1.0, "process_sync": lambda self, item: [item]}
    body[method] = wrong_sync if method == "poll" else wrong
    if method == "process":
        del body["process_sync"]
    engine = running(type("Wrong", (Inbound,), body)(), clock=lambda: 2.0)
    with pytest.raises(StageReturnError) as info:
        drive_all(engine)

    assert f"Wrong.{method}() {message}" == str(info.value)


def drive_all(engine: Engine[Any, Any]) -> None:
    """Start, feed, tick and end, so that every method is called."""
    received(engine, 1)
    engine.tick()
    taken(engine)
    engine.feed_eof()
    taken(engine)


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("process_sync", "returned a coroutine. A stage that waits defines `async def process`"),
        ("poll", "returned a coroutine. Define it without `async`"),
        ("process", "returned a coroutine. Await it: return await ..."),
        ("finish", "returned a coroutine. Await it: return await ..."),
    ],
)
def test_a_coroutine_as_a_result_is_refused(method: str, message: str) -> None:
    """Nobody would await it; it is closed, so that Python does not warn on top."""

    async def async_one(self: Any, *args: Any) -> Any:
        return [] if method in ("process_sync", "poll") else coro()

    body: dict[str, Any] = {"process_sync": lambda self, item: [item]}
    if method == "process":
        del body["process_sync"]
    engine = running(type("Wrong", (Inbound,), {**body, method: async_one})())
    with pytest.raises(StageReturnError) as info:
        drive_all(engine)

    assert f"Wrong.{method}() {message}" == str(info.value)


@pytest.mark.parametrize(
    ("method", "hint"),
    [("process", "; a stage that never waits defines process_sync"), ("start", ""), ("finish", ""), ("on_timer", "")],
)
def test_methods_that_are_not_async_are_refused(method: str, hint: str) -> None:
    """A list from a plain `def` cannot be awaited; the message shows `async def`."""
    body: dict[str, Any] = {"deadline": 1.0, "process_sync": lambda self, item: [item]}
    if method == "process":
        del body["process_sync"]
    body[method] = lambda self, *args: []
    engine = running(type("Plain", (Inbound,), body)(), clock=lambda: 2.0)
    with pytest.raises(StageReturnError) as info:
        drive_all(engine)

    assert f"Plain.{method}() is not async: write `async def {method}`{hint}" == str(info.value)


def test_process_written_as_an_async_generator_is_refused() -> None:
    """`async def process` with `yield` is the likeliest of all mistakes."""

    class Wrong(Inbound[Any, Any]):
        async def process(self, item: Any, /) -> Any:
            yield item

    with pytest.raises(StageReturnError, match=r"^Wrong.process\(\) is an async generator"):
        received(running(Wrong()), 1)


def test_an_outbound_result_of_the_wrong_kind_has_no_effect() -> None:
    """The send is refused; the next one goes."""
    engine = running(FreeOut(lambda _, item: None if item == "bad" else [item]))
    engine.send("bad")
    with pytest.raises(StageReturnError):
        engine.to_write()

    assert ["good"] == sent(engine, "good")


# ---- P9: errors


def broken_chain() -> Any:
    return (
        In(name="A")
        | Duplex(In(lambda _, item: [1 // item], name="H"), Out(lambda _, item: [1 // item], name="O"))
        | Out(name="Z")
    )


def test_the_note_of_an_inbound_error() -> None:
    """Direction, name, position, the chain as it is drawn, the method and the item."""
    with pytest.raises(ZeroDivisionError) as info:
        received(running(broken_chain()), 0)

    assert note_of(info.value).startswith("in inbound stage Duplex.H (stage 2 of 3 of A(name='A') | Duplex(H(")
    assert note_of(info.value).endswith(" | Z(name='Z')), process(), item: 0")


def test_the_note_of_an_outbound_error() -> None:
    """The same, for the other direction."""
    with pytest.raises(ZeroDivisionError) as info:
        sent(running(broken_chain()), 0)

    assert note_of(info.value).startswith("in outbound stage Duplex.O (stage 2 of 3 of A(name='A') | ")


class SyncBoom(Boom):
    """The same, from `process_sync`."""

    def process_sync(self, item: Any, /) -> Any:
        return self._maybe("process_sync", [item])


EVERY_PATH = [
    f"{method}{how}" for method in ("start", "process", "finish", "poll", "on_timer") for how in ("", " lazily")
]
EVERY_PATH += ["process_sync", "process_sync lazily"]


def boom(where: str, error: BaseException) -> Boom:
    return SyncBoom(where, error) if where.startswith("process_sync") else Boom(where, error)


@pytest.mark.parametrize("where", EVERY_PATH)
def test_an_error_of_a_stage_stays_itself_on_every_path(where: str) -> None:
    """Type, cause and context are untouched, there is one note, and inbound is broken from then on."""
    cause, context = KeyError("cause"), KeyError("context")
    error = ValueError("mine")
    error.__cause__, error.__context__ = cause, context
    engine = running(boom(where, error), clock=lambda: 2.0)

    with pytest.raises(ValueError, match="mine") as info:
        drive_all(engine)

    assert info.value is error
    assert error.__cause__ is cause
    assert error.__context__ is context
    op = where.split(maxsplit=1)[0].removesuffix("_sync")
    assert f"(stage 1 of 1 of {type(engine.chain).__name__}('{where}', ValueError('mine'))), {op}()" in note_of(error)
    for _ in range(2):
        with pytest.raises(PipelineError, match=r"inbound is broken: ValueError\('mine'\)") as again:
            engine.next_item()
        assert again.value.__cause__ is error


@pytest.mark.parametrize("kind", [StopIteration, StopAsyncIteration, trio.EndOfChannel])
@pytest.mark.parametrize("where", EVERY_PATH)
def test_what_looks_like_an_end_is_an_error_on_every_path(where: str, kind: type[Exception]) -> None:
    """It must not end a loop on its way as if nothing had happened."""
    engine = running(boom(where, kind("mine")), clock=lambda: 2.0)

    with pytest.raises(RuntimeError, match=f"raised {kind.__name__}") as info:
        drive_all(engine)

    assert isinstance(info.value.__cause__, kind)


def test_a_wrong_result_has_no_context_of_the_engines_own() -> None:
    """How a coroutine tells its result is nobody's business."""
    with pytest.raises(StageReturnError) as info:
        received(running(Async(lambda: None)), 1)

    assert info.value.__context__ is None


def test_items_before_an_error_are_delivered_first() -> None:
    """Also through a stage behind the one that fails."""

    def act(stage: In, item: str) -> Iterator[str]:
        yield "a"
        raise ValueError(item)

    engine = running(In(act) | In(lambda _, item: [item, item]))
    engine.feed("x")

    assert ["a", "a"] == [engine.next_item(), engine.next_item()]
    with pytest.raises(ValueError, match="x"):
        engine.next_item()


def test_after_an_inbound_error_outbound_still_works() -> None:
    """So an error can be answered; what outbound stages turn round is dropped and counted, and holds nothing up."""
    engine = running(In(lambda _, item: [1 // item]) | Out(lambda _, item: [item, Reply(bytes(70_000))]))
    with pytest.raises(ZeroDivisionError):
        received(engine, 0)

    assert ["a", "b"] == sent(engine, "a", "b")
    assert 2 == engine.dropped_replies
    assert not engine.wants_input


def test_a_long_item_is_cut_before_it_is_shown() -> None:
    """200 bytes of it, and its length."""
    with pytest.raises(ZeroDivisionError) as info:
        received(running(In(lambda _, item: [1 // 0])), b"x" * 10**6)

    assert note_of(info.value).endswith(f"item: {b'x' * 200!r}... (bytes of 1000000 bytes)")


def test_items_are_not_shown_where_they_are_secret() -> None:
    """`show_items=False` leaves type and length."""
    with pytest.raises(ZeroDivisionError) as info:
        received(running(In(lambda _, item: [1 // 0]), show_items=False), b"secret")

    assert note_of(info.value).endswith("process(), item: bytes of 6 bytes")


def test_a_failing_repr_is_survived() -> None:
    """Of the item, of a stage's argument and of a stage: the error is still the stage's own."""

    class Shy:
        def __repr__(self) -> str:
            raise RuntimeError("shy")

    class ShyStage(In):
        def __repr__(self) -> str:
            raise RuntimeError("shy")

    with pytest.raises(ZeroDivisionError) as info:
        received(running(In(lambda _, item: [1 // 0]) | ShyStage()), Shy())

    assert "of a chain whose repr raised RuntimeError), process(), item: <Shy" in note_of(info.value)


# ---- S5: cancellation


@pytest.mark.parametrize("at", range(4))
def test_a_cancelled_call_is_made_again(at: int) -> None:
    """Whatever the method and wherever in it: no item is lost or doubled, and each call is completed once."""
    stage = Waits(4)
    engine = running(stage, clock=lambda: 2.0)
    out: list[Any] = []

    def next_item() -> Any:
        item = engine.next_item()
        if isinstance(item, Waiting):
            cancel_at(item, at)
            item = engine.next_item()
        while isinstance(item, Waiting):
            finished(item)
            item = engine.next_item()
        out.append(item)
        return item

    assert "started" == next_item()
    engine.feed("a")
    engine.feed("b")
    next_item()
    next_item()
    engine.tick()
    next_item()
    engine.feed_eof()
    next_item()
    next_item()

    assert ["started", "a", "b", "tick", "finished", END] == out
    assert ["start", "process a", "process b", "on_timer", "finish"] == stage.log


def cancel_at(waiting: Waiting, wait: int) -> None:
    """Cancel it at the given one of its waits."""
    steps = waiting.__await__()
    for number in range(wait + 1):
        assert number == next(steps)
    with pytest.raises(Cancelled):
        steps.throw(Cancelled())


def test_a_stage_may_wait_in_its_clean_up() -> None:
    """A cancellation which the stage answers by waiting again is over only after that."""

    class CleansUp(Inbound[Any, Any]):
        async def process(self, item: Any, /) -> list[Any]:
            try:
                await pause()
            finally:
                await pause("clean-up")
            return [item]

    engine = running(CleansUp())
    engine.feed(1)
    waiting = engine.next_item()
    assert isinstance(waiting, Waiting)
    steps = waiting.__await__()
    next(steps)

    assert "clean-up" == steps.throw(Cancelled())
    with pytest.raises(Cancelled):
        next(steps)
    finished(engine.next_item())
    assert [1] == taken(engine)


def test_a_stage_that_absorbs_its_cancellation_keeps_its_result() -> None:
    """As with any `await`: what returned has happened."""

    class Absorbs(Inbound[Any, Any]):
        async def process(self, item: Any, /) -> list[Any]:
            try:
                await pause()
            except Cancelled:
                return ["absorbed"]
            return [item]

    engine = running(Absorbs())
    engine.feed(1)
    waiting = engine.next_item()
    assert isinstance(waiting, Waiting)
    steps = waiting.__await__()
    next(steps)

    with pytest.raises(StopIteration):
        steps.throw(Cancelled())
    assert ["absorbed"] == taken(engine)


def test_a_cancelled_process_sync_is_made_again() -> None:
    """Ctrl-C in the middle of a stage is a cancellation, too: behind a plain stage and at the first one."""
    for make in (lambda act: In() | In(act), In):
        interrupt = [True]

        def act(stage: In, item: Any, interrupt: list[bool] = interrupt) -> Any:
            if interrupt:
                interrupt.clear()
                raise KeyboardInterrupt
            return [item]

        engine = running(make(act))
        engine.feed(1)
        with pytest.raises(KeyboardInterrupt):
            engine.next_item()

        assert [1] == taken(engine)


def test_a_cancelled_poll_is_made_again() -> None:
    """It gives nothing else away than an item does."""

    class Polls(In):
        left = 2

        def poll(self) -> list[Any]:
            self.left -= 1
            if self.left == 1:
                raise KeyboardInterrupt
            return ["polled"] if self.left == 0 else []

    engine = running(Polls())
    with pytest.raises(KeyboardInterrupt):
        engine.next_item()

    assert ["polled"] == taken(engine)


def test_an_outbound_item_is_not_kept_when_its_send_is_cancelled() -> None:
    """The caller who sees Cancelled owns it."""

    class WaitsOut(Outbound[Any, Any]):
        async def process(self, item: Any, /) -> list[Any]:
            await pause()
            return [item]

    engine = running(FreeOut() | WaitsOut())
    engine.send("a")
    cancelled(engine.to_write())
    engine.abort_send(Cancelled())
    assert [] == engine.to_write()

    engine.send("b")
    finished(engine.to_write())
    assert ["b"] == engine.to_write()


def test_a_waiting_that_is_over_does_nothing() -> None:
    """Awaiting it twice is harmless."""
    engine = running(Waits(1))
    waiting = engine.next_item()
    finished(waiting)
    finished(waiting)

    assert ["started"] == taken(engine)


def test_the_same_call_gives_the_same_waiting() -> None:
    """A driver that asks again while a stage waits is told to wait for the same."""
    engine = running(Waits(1))

    waiting = engine.next_item()

    assert waiting is engine.next_item()
    assert isinstance(waiting, Waiting)
    assert "Waits" == waiting.stage_name
    finished(waiting)
    assert ["started"] == taken(engine)
    engine.feed(1)
    assert engine.next_item() is engine.next_item()
    finished(engine.next_item())
    assert [1] == taken(engine)


def test_both_directions_may_wait_at_once() -> None:
    """Each has its own stage that waits."""

    class Slow(Outbound[Any, Any]):
        async def process(self, item: Any, /) -> list[Any]:
            await pause()
            return [item]

    engine = running(Async(list) | Waits(1) | Slow())
    finished(engine.next_item())
    assert ["started"] == taken(engine)
    engine.send("out")
    engine.feed("in")
    engine.feed_eof()
    inner, outer = engine.next_item(), engine.to_write()
    finished(outer)
    finished(inner)

    assert ["out"] == engine.to_write()
    assert "finished" == engine.next_item()


def test_an_awaitable_that_is_no_coroutine_will_do() -> None:
    """A future, or any object with `__await__`."""

    class Later:
        def __await__(self) -> Any:
            yield
            return ["later"]

    class Future(Inbound[Any, Any]):
        def process(self, item: Any, /) -> Any:
            return Later()

    engine = running(Future())
    engine.feed(1)
    finished(engine.next_item())

    assert ["later"] == taken(engine)
