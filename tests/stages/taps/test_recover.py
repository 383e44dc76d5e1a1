"""recover: items that a stage cannot process become the caller's decision."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing

from pipeline import (
    CorruptFrameError,
    Duplex,
    Engine,
    FrameError,
    Inbound,
    Outbound,
    Passthrough,
    Pipeline,
    PipelineError,
    Reply,
    Result,
    StageInUseError,
    StageReturnError,
)
from pipeline.testing import AsyncHarness, Harness, check_cancellation
from stages import Filter, JSONCodec, JSONDecoder, LineFramer, Map, Tap, TextCodec, recover


def skip(item: object, error: Exception) -> Result[Any]:
    return ()


def instead(item: object, error: Exception) -> Result[Any]:
    return [item, type(error).__name__]


def parse(text: str) -> int:
    return int(text)


def reciprocal(number: int) -> str:
    return str(1 // number)


class Chars(Inbound[str, str]):
    """One item a character, lazily; fails at `!`, and for `#` as a framer would."""

    def process_sync(self, item: str, /) -> Iterator[str]:
        for char in item:
            if char == "!":
                raise LookupError(item)
            if char == "#":
                raise CorruptFrameError(item)
            yield char


class Waits(Inbound[str, int]):
    async def process(self, item: str, /) -> list[int]:
        await trio.lowlevel.checkpoint()
        if item == "#":
            raise CorruptFrameError(item)
        return [int(item)]


# ---- what the handler decides


def test_a_bad_item_is_skipped() -> None:
    harness = Harness(LineFramer() | recover(JSONCodec(), skip))
    assert [1, 2] == harness.receive(b"1\n{\n2\n")


def test_a_bad_item_is_replaced() -> None:
    assert [1, "x", "ValueError", 2] == Harness(recover(Map(inbound=parse), instead)).receive("1", "x", "2")


def test_a_bad_item_is_answered() -> None:
    def answer(item: object, error: Exception) -> Result[Any]:
        yield Reply(b"400")

    harness = Harness(recover(JSONCodec(), answer))
    assert [] == harness.receive(b"{")
    assert [b"400"] == harness.replies


def test_the_handler_may_raise() -> None:
    def give_up(item: object, error: Exception) -> Result[Any]:
        raise OSError("enough") from error

    with pytest.raises(OSError, match="enough"):
        Harness(recover(JSONCodec(), give_up)).receive(b"{")


def test_outbound_items_are_recovered_too() -> None:
    assert [b"1", b"2"] == Harness(recover(JSONCodec(), skip)).send(1, object(), 2)
    assert ["1"] == Harness(recover(Map(outbound=reciprocal), skip)).send(0, 1)


def test_an_error_of_a_lazy_result_comes_after_what_was_produced() -> None:
    assert ["a", "b", "b!c", "LookupError", "d"] == Harness(recover(Chars(), instead)).receive("a", "b!c", "d")


class Numbers(Iterator[int]):
    """What `map` would do; it can be asked for more after an error."""

    def __init__(self, texts: str) -> None:
        self._texts = iter(texts)

    def __next__(self) -> int:
        return int(next(self._texts))


class GoingOn(Numbers):
    goes_on = True


@pytest.mark.parametrize(("kind", "expected"), [(GoingOn, [1, "bad", 2, "bad", 3]), (Numbers, [1, "bad"])])
def test_behind_an_error_an_iterator_is_asked_for_more_if_it_says_that_it_goes_on(kind: Any, expected: Any) -> None:
    """Another one might raise the same error for ever."""

    class Stage(Inbound[str, Any]):
        def process_sync(self, item: str, /) -> Result[Any]:
            return kind(item)  # type: ignore[no-any-return]

    assert expected == Harness(recover(Stage(), lambda item, error: ["bad"])).receive("1x2y3")


def test_a_frame_error_is_never_skipped() -> None:
    """Behind it, nobody knows where the next item begins."""
    with pytest.raises(FrameError):
        Harness(recover(LineFramer(2), skip)).receive(b"long\nab\n")
    harness = Harness(recover(Chars(), skip))
    with pytest.raises(CorruptFrameError):
        harness.receive("a#b")
    assert ["a"] == harness.received


def test_a_frame_error_of_process_itself_passes() -> None:
    framer = recover(LineFramer(2), skip)
    with pytest.raises(FrameError):
        framer.outbound.process_sync(b"long")


async def test_cancelling_a_stage_that_waits_is_no_error_to_recover_from() -> None:
    """`Cancelled` never gets to the handler, so nothing is lost or doubled."""
    assert await check_cancellation(lambda: recover(Waits(), instead), wire=["1", "?", "2"]) > 0


async def test_a_stage_that_waits_is_recovered_and_still_waits() -> None:
    stage = recover(Waits(), instead)
    async with AsyncHarness(stage) as harness:
        assert [1, "x", "ValueError", 2] == await harness.receive("1", "x", "2")
        with pytest.raises(CorruptFrameError):
            await harness.receive("#")


def test_cancellation_is_no_error_to_skip() -> None:
    def stop(item: object) -> object:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        recover(Map(inbound=stop), skip).process_sync(1)


# ---- what the handler returns


def nothing(item: object, error: Exception) -> Any:
    return None


def text(item: object, error: Exception) -> Any:
    return "text"


@pytest.mark.parametrize(("handler", "kind"), [(nothing, "NoneType"), (text, "str")])
def test_a_wrong_result_of_the_handler_shows_the_right_form(handler: Any, kind: str) -> None:
    message = (
        rf"the handler {handler.__name__} of recover\(JSONDecoder\(\)\) returned {kind}, .*return \(\); .*\[item\]"
    )
    with pytest.raises(StageReturnError, match=message):
        recover(JSONDecoder(), handler).process_sync(b"{")


def test_a_wrong_result_of_the_stage_is_still_the_stages_fault() -> None:
    class Wrong(Inbound[Any, Any]):
        def process_sync(self, item: Any, /) -> Any:
            return item

    for result in (None, "text", 5):
        with pytest.raises(StageReturnError, match=r"Wrong.process_sync\(\) returned"):
            Harness(recover(Wrong(), skip)).receive(result)


# ---- the stage shines through


class Protocol(Inbound[bytes, bytes]):
    """Uses all that a stage may have."""

    shareable = False
    ready = True

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.name = "Proto"
        self.due: float | None = None

    @property
    def deadline(self) -> float | None:
        return self.due

    @property
    def wants_input(self) -> bool:
        return "pause" not in self.calls

    async def start(self) -> Result[bytes]:
        self.calls.append("start")
        self.due = self.now() + 5
        return [Reply(b"hello")]

    def process_sync(self, item: bytes, /) -> Result[bytes]:
        self.calls.append(item.decode())
        return [item]

    async def on_timer(self, now: float, /) -> Result[bytes]:
        self.due = None
        return [b"timer"]

    def poll(self) -> Result[bytes]:
        if self.calls[-1:] != ["poll"]:
            return ()
        self.calls.append("polled")
        return [b"polled"]

    async def finish(self) -> Result[bytes]:
        return [b"finish"]

    def close(self) -> None:
        self.calls.append("close")


def test_start_timers_poll_finish_and_close_are_the_stages_own() -> None:
    stage = Protocol()
    with Harness(recover(stage, skip)) as harness:
        assert [b"hello"] == harness.replies
        assert [b"timer"] == harness.advance(5)
        assert [b"poll", b"polled"] == harness.receive(b"poll")
        assert [b"finish"] == harness.finish()
    assert ["start", "poll", "polled", "close"] == stage.calls


def test_attributes_are_the_stages_own() -> None:
    stage = Protocol()
    recovering: Any = recover(stage, skip)
    stage.due = 7.0
    assert ("Proto", 7.0, True) == (recovering.name, recovering.deadline, recovering.wants_input)
    recovering.calls.append("pause")
    assert not stage.wants_input
    assert isinstance(recovering, Protocol)


def test_a_framer_can_still_give_back() -> None:
    framer = recover(LineFramer(), skip)
    results = list(framer.inbound.process_sync(b"a\nb\nc"))
    assert [b"b\nc"] == framer.inbound.unread(results[1:])


def test_a_duplex_keeps_its_attributes() -> None:
    original = LineFramer(2, oversize="skip")
    framer: Any = recover(original, skip)
    list(framer.inbound.process_sync(b"long\n"))
    assert (1, 1) == (framer.skipped, original.skipped)
    assert isinstance(framer, LineFramer)


def test_what_a_stage_declares_stays() -> None:
    assert recover(JSONDecoder(), skip).shareable
    assert recover(JSONCodec(), skip).outbound.keeps_outbound_state is False
    assert recover(TextCodec("utf-16"), skip).outbound.keeps_outbound_state is True


def test_stage_and_recovering_stage_are_one_for_the_rule_of_one_pipeline() -> None:
    stage = TextCodec()
    recovering = recover(stage, skip)
    Harness(recovering)
    with pytest.raises(StageInUseError):
        Harness(stage)


def test_a_passthrough_stays_one() -> None:
    stage = recover(Filter(inbound=len), skip)
    assert isinstance(stage, Passthrough)
    assert ["a"] == Harness(stage).receive(1, "a")
    assert stage.outbound is None


def test_of_two_handlers_the_inner_one_is_asked_first() -> None:
    """The inner handler has the first word; what it raises comes to the outer one."""

    def again(item: object, error: Exception) -> Result[Any]:
        raise OSError from error

    assert [b"{", "OSError"] == Harness(recover(recover(JSONCodec(), again), instead)).receive(b"{")


def test_repr_shows_it_as_it_is_written() -> None:
    assert "LineFramer() | recover(JSONCodec(), skip)" == repr(LineFramer() | recover(JSONCodec(), skip))

    class Handler:
        def __call__(self, item: object, error: Exception) -> Result[Any]:
            return ()

    assert "recover(JSONDecoder(), Handler)" == repr(recover(JSONDecoder(), Handler()))


# ---- building


def test_a_chain_is_refused_with_the_right_place() -> None:
    """What came of an item before the error would be lost."""
    for chain in (LineFramer() | JSONCodec(), JSONDecoder() | Map(inbound=parse)):
        with pytest.raises(TypeError, match=r"takes one stage, not the chain .*recover\(JSONCodec\(\), handler\)"):
            recover(chain, skip)


def test_what_is_no_stage_is_refused() -> None:
    with pytest.raises(
        TypeError, match=r"recover\(\) takes a stage, as in recover\(JSONCodec\(\), handler\), not <class"
    ):
        recover(JSONCodec, skip)  # type: ignore[call-overload]


def test_slots_are_refused() -> None:
    class Slotted(Inbound[int, int]):
        __slots__ = ("value",)

    with pytest.raises(TypeError, match="Slotted has __slots__, which cannot be shared; remove them"):
        recover(Slotted(), skip)


def test_an_error_that_is_not_skipped_names_the_stage() -> None:
    with pytest.raises(PipelineError) as info:
        Harness(LineFramer() | recover(LineFramer(1), skip)).receive(b"long\n")
    assert "LineFramer" in info.value.__notes__[0]


def test_halves_and_kinds() -> None:
    assert isinstance(recover(JSONDecoder(), skip), Inbound)
    assert isinstance(recover(Map(outbound=str), skip), Outbound)
    assert isinstance(recover(JSONCodec(), skip), Duplex)


async def test_what_the_stage_says_of_itself_is_not_said_of_the_handler() -> None:
    """A decoder gives items only, and a tap lets all pass; a handler may reply, also where nothing waits."""
    near, far = trio.testing.memory_stream_pair()
    refuse = partial(recover, handler=lambda item, error: [Reply(b"no")])
    chain = LineFramer() | refuse(JSONDecoder()) | refuse(Tap(lambda direction, item: 1 // item, strict=True))
    async with Pipeline(near, chain) as pipeline:
        await far.send_all(b"1\nx\n2\n0\n3\n")
        await far.send_eof()
        assert [1, 2, 3] == [item async for item in pipeline]
    assert b"no\nno\n" == await far.receive_some()


def test_what_the_handler_raises_is_not_laid_to_the_peer() -> None:
    """`JSONCodec` lays its own to him."""

    def give_up(item: object, error: Exception) -> Result[Any]:
        raise ValueError("of the handler")

    engine = Engine(recover(JSONCodec(), give_up))
    engine.start()
    engine.feed(b"{")
    with pytest.raises(ValueError, match="of the handler"):
        engine.next_item()
    assert None is engine.at_fault()
    engine.close()
