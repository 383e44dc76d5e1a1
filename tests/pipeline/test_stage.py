"""One stage alone: which of its methods counts, what it says of itself, and `Reply` and `END`."""

from __future__ import annotations

import copy
import pickle
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import FrozenInstanceError, dataclass
from typing import Any

import pytest

from pipeline import END, End, Inbound, Outbound, Reply, Result, Stage, StageReturnError
from pipeline._stage import can_process, declares, is_generator, results_of, sync_process
from tests.pipeline.engines import run


class Sync(Inbound[Any, Any]):
    def process_sync(self, item: Any, /) -> list[Any]:
        return ["sync", item]


class Async(Inbound[Any, Any]):
    async def process(self, item: Any, /) -> list[Any]:
        return ["async", item]


class SyncMixin:
    def process_sync(self, item: Any, /) -> list[Any]:
        return ["sync mixin", item]


class AsyncMixin:
    async def process(self, item: Any, /) -> list[Any]:
        return ["async mixin", item]


class SyncOverAsync(Async):
    def process_sync(self, item: Any, /) -> list[Any]:
        return ["sync over async", item]


class AsyncOverSync(Sync):
    async def process(self, item: Any, /) -> list[Any]:
        return ["async over sync", item]


class Heir(SyncOverAsync): ...


class AsyncAgain(SyncOverAsync):
    async def process(self, item: Any, /) -> list[Any]:
        return ["async again", item]


class MixedSync(SyncMixin, Async): ...


class MixedAsync(AsyncMixin, Sync): ...


class MixedBehind(Async, SyncMixin): ...  # type: ignore[misc]


class Diamond(SyncOverAsync, Async): ...


@pytest.mark.parametrize(
    ("stage", "word", "is_sync"),
    [
        (Sync(), "sync", True),
        (Async(), "async", False),
        (SyncOverAsync(), "sync over async", True),
        (AsyncOverSync(), "async over sync", False),
        (Heir(), "sync over async", True),
        (AsyncAgain(), "async again", False),
        (MixedSync(), "sync mixin", True),
        (MixedAsync(), "async mixin", False),
        (MixedBehind(), "async", False),
        (Diamond(), "sync over async", True),
    ],
)
def test_the_method_defined_nearest_counts(stage: Stage[Any, Any], word: str, is_sync: bool) -> None:
    """Of process and process_sync; `await stage.process(x)` does what a pipeline does (S4)."""
    sync = sync_process(stage)

    assert is_sync == (sync is not None)
    assert [word, 1] == run(stage.process(1))
    assert sync is None or [word, 1] == sync(1)


def test_both_methods_in_one_class_are_refused() -> None:
    """The message says which to keep."""
    with pytest.raises(
        TypeError,
        match=r"Both defines both process and process_sync; keep process_sync if the stage never waits, "
        r"process_one if it gives one item for each as well, else `async def process`$",
    ):
        type("Both", (Inbound,), {"process": Async.process, "process_sync": Sync.process_sync})


def test_a_stage_without_either_says_so() -> None:
    """A chain refuses it; called on its own it raises."""

    class Neither(Inbound[Any, Any]): ...

    assert not can_process(Neither())
    assert can_process(Sync())
    assert can_process(Async())
    with pytest.raises(NotImplementedError, match=r"Neither defines neither process nor process_sync$"):
        run(Neither().process(1))


def test_a_generator_runs_while_its_results_are_taken() -> None:
    """Which is known beforehand only of a `process_sync` that is one."""

    class Generator(Inbound[Any, Any]):
        def process_sync(self, item: Any, /) -> Iterator[Any]:
            yield item

    assert is_generator(Generator())
    assert not is_generator(Sync())
    assert not is_generator(Async())


def test_defaults_give_nothing() -> None:
    """A stage needs to define no more than process."""
    stage = Sync()

    assert () == run(stage.start())
    assert () == run(stage.finish())
    assert () == run(stage.on_timer(1.0))
    assert () == stage.poll()
    assert stage.unread([]) is None
    stage.close()
    assert (True, True, None, False, True, False) == (
        stage.ready,
        stage.wants_input,
        stage.deadline,
        stage.shareable,
        stage.keeps_outbound_state,
        stage.is_tap,
    )


def test_the_clock_outside_a_pipeline() -> None:
    """It is the system's, so that a stage can be tried alone."""
    before = time.monotonic()

    assert before <= Sync().now() <= time.monotonic()


@pytest.mark.parametrize("asked", [False, True])
def test_what_is_copied_from_a_stage_that_says_nothing_is_said(asked: bool) -> None:
    """Whoever keeps an attribute may change it; also where somebody has asked for the `__dict__`."""

    class Copies(Inbound[Any, Any]):
        def __init__(self, other: Any) -> None:
            self.ready = other.ready

    copies = Copies(Sync())
    if asked:
        assert vars(copies)
    assert declares(copies, "ready")


def test_what_a_stage_does_not_say_looks_like_what_it_would() -> None:
    """The defaults of what it may declare can be told from it by `declares` alone."""
    assert Sync().ready
    assert Sync().wants_input
    assert "True" == repr(Sync().ready) == repr(Sync().wants_input)


def test_what_a_stage_declares_is_found_wherever_it_stands() -> None:
    """On the class, on the object, or as a property."""

    class OnClass(Sync):
        ready = False

    class AsTheDefault(Sync):
        ready = True

    class AsProperty(Sync):
        @property
        def ready(self) -> bool:
            return True

    on_object = Sync()
    on_object.ready = False

    assert all(declares(stage, "ready") for stage in (OnClass(), AsTheDefault(), AsProperty(), on_object))
    assert not declares(Sync(), "ready")


# ---- names and drawings: C4


class Named(Sync):
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...


def function(item: Any) -> Any: ...


class Shy:
    def __repr__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("stage", "drawn"),
    [
        (Named(), "Named()"),
        (Named(1, "a", key=b"x"), "Named(1, 'a', key=b'x')"),
        (Named(function), "Named(function)"),
        (Named(int, type=Named), "Named(int, type=Named)"),
        (Named(lambda item: item), "Named(<lambda>)"),
        (Named(str.upper, [].append), "Named(str.upper, list.append)"),
        (Named("x" * 100), f"Named('{'x' * 56}...)"),
        (Named(Shy()), "Named(<Shy, whose repr raised RuntimeError>)"),
    ],
)
def test_a_stage_is_drawn_as_it_was_written(stage: Stage[Any, Any], drawn: str) -> None:
    """Its class and its arguments, which are cut and may fail."""
    assert drawn == repr(stage)


def test_local_functions_are_drawn_by_their_own_name() -> None:
    """Where they were defined is of no interest."""

    def local(item: Any) -> Any: ...

    assert "Named(local)" == repr(Named(local))


def test_a_name_is_the_class_unless_set() -> None:
    """A subclass has its own; one that sets it keeps it for its own heirs' errors."""

    class Renamed(Sync):
        name = "renamed"

    assert "Heir" == Heir().name
    assert "renamed" == Renamed().name
    assert "renamed()" == repr(Renamed())


def test_no_stage_needs_to_call_its_base() -> None:
    """Neither a class with an `__init__` of its own nor a dataclass, frozen or not."""

    @dataclass
    class Plain(Inbound[Any, Any]):
        size: int = 5

        def process_sync(self, item: Any, /) -> list[Any]:
            return [item * self.size]

    @dataclass(frozen=True)
    class Frozen(Outbound[Any, Any]):
        size: int = 5

        def process_sync(self, item: Any, /) -> list[Any]:
            return [item * self.size]

    assert [10] == run(Plain(size=2).process(5))
    assert [10] == run(Frozen(2).process(5))


def test_stages_can_be_copied() -> None:
    """And drawn then as the one they were copied from."""
    assert "Named(1)" == repr(copy.copy(Named(1)))
    assert "Named(1)" == repr(copy.deepcopy(Named(1)))


def test_keyword_arguments_of_a_class_reach_its_bases() -> None:
    """The library's hook hands them on."""
    seen = []

    class Wants:
        def __init_subclass__(cls, *, word: str) -> None:
            seen.append(word)

    class Wanted(Sync, Wants, word="x"): ...

    assert ["x"] == seen


# ---- Reply and END


def test_a_reply_is_a_value() -> None:
    """Compared, hashed, shown, copied and matched as one; it cannot be changed."""
    reply = Reply(1)

    assert reply == Reply(1) != Reply(2)
    assert reply != object()
    assert hash(reply) == hash(Reply(1))
    assert "Reply(item=1)" == repr(reply)
    assert reply == copy.deepcopy(reply) == pickle.loads(pickle.dumps(reply))
    assert reply == Reply[int](1)
    match reply:
        case Reply(item):
            assert 1 == item
    with pytest.raises(FrozenInstanceError):
        reply.item = 2  # type: ignore[misc]


def test_end_is_the_same_wherever_it_goes() -> None:
    """Also in a copy."""
    assert END is copy.deepcopy(END)
    assert END is pickle.loads(pickle.dumps(END))
    assert "END" == repr(END)


def test_results_may_be_of_any_iterable() -> None:
    """Whose type checkers see as `Result`."""

    class Many(Inbound[int, int]):
        def process_sync(self, item: int, /) -> Iterable[int]:
            return range(item)

    assert [0, 1] == list(run(Many().process(2)))


def test_a_dict_is_no_result() -> None:
    """It is iterable, but nobody who returns one means its keys; who does, returns `keys()`."""
    stage = Sync()
    with pytest.raises(StageReturnError) as info:
        results_of(stage, "process_sync", {"id": 1})

    assert (
        "Sync.process_sync() returned dict, which would be passed on one key at a time. If you meant one item, put it "
        "in a list: return [item]" == str(info.value)
    )
    assert ["id"] == list(results_of(stage, "process_sync", {"id": 1}.keys()))


async def no_results() -> AsyncIterator[int]:
    yield 1


async def late_results() -> list[int]:
    return []


@pytest.mark.parametrize(
    ("method", "make", "message"),
    [
        ("process", lambda: "text", r"returned str, .* one character at a time\. .*: return \[item\]$"),
        ("process", lambda: b"data", r"returned bytes, .* one byte at a time\. .*: return \[item\]$"),
        ("process", lambda: None, r'returned None\. For "nothing yet" return \(\); for one item return \[item\]$'),
        ("process", lambda: Reply(5), r"returned Reply\(\.\.\.\) by itself\. .*: return \[Reply\(\.\.\.\)\]$"),
        ("process", lambda: END, r"returned END by itself\. Put it in a list: return \[END\]$"),
        ("process", lambda: 5, r"returned int, which is no iterable of items\. For one item: return \[item\]$"),
        (
            "process",
            no_results,
            r"is an async generator \(`async def` with `yield`\)\. Return the items: return \[item\]",
        ),
        ("process", late_results, r"returned a coroutine\. Await it: return await \.\.\.$"),
        ("process_sync", late_results, r"returned a coroutine\. A stage that waits defines `async def process`$"),
    ],
)
def test_what_is_no_result_is_refused_with_the_right_form(method: str, make: Any, message: str) -> None:
    with pytest.raises(StageReturnError, match=rf"^Sync\.{method}\(\) {message}"):
        results_of(Sync(), method, make())


def test_a_result_can_be_named_where_python_evaluates_annotations() -> None:
    """As in a file without `from __future__ import annotations`."""
    of_str: object = Result[str]
    later: object = Result["Later"]  # type: ignore[name-defined]
    assert of_str == Iterable[str | Reply[Any] | End]
    assert of_str != later


@pytest.mark.parametrize("kind", ["async", "generator"])
def test_process_one_gives_one_item(kind: str) -> None:
    """So it cannot wait, nor yield."""

    async def waits(self: object, item: int) -> int:
        return item

    def yields(self: object, item: int) -> Iterator[int]:
        yield item

    with pytest.raises(TypeError, match=r"Bad.process_one returns one item: it cannot be `async`, nor a generator"):
        type("Bad", (Inbound,), {"process_one": waits if kind == "async" else yields})


async def test_process_one_counts_where_it_is_nearest() -> None:
    """A stage has all three methods; of those defined, the one nearest to its class is what they do."""

    class List(Inbound[int, int]):
        def process_sync(self, item: int, /) -> list[int]:
            return [item, item]

    class One(List):
        def process_one(self, item: int, /) -> int:
            return item + 1

    class Again(One):
        def process_sync(self, item: int, /) -> list[int]:
            return [*super().process_sync(item), 0]

    assert [2] == One().process_sync(1)
    assert [2] == await One().process(1)
    assert [2, 0] == Again().process_sync(1)
    assert [2, 0] == await Again().process(1)


def test_arguments_that_nobody_takes_are_refused() -> None:
    """As of any class: a stage without an `__init__` does not swallow them."""

    class Bare(Inbound[int, int]):
        def process_sync(self, item: int, /) -> list[int]:
            return [item]

    with pytest.raises(TypeError, match=r"^Bare\(\) takes no arguments: it has no __init__$"):
        Bare(5)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"^Inbound\(\) takes no arguments"):
        Inbound(lambda item: [item])  # type: ignore[call-arg]


def test_close_cannot_wait() -> None:
    """It would be called, and nobody would await it."""
    with pytest.raises(TypeError, match=r"Waits.close must not wait: write `def close` without `async`$"):

        class Waits(Inbound[int, int]):
            async def close(self) -> None: ...  # type: ignore[override]
