"""FromGenerator: generators that ask, and what holds for every kind; `test_generator_kinds.py` has the kinds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ohneio
import pytest
import trio
import trio.testing

from pipeline import (
    END,
    FrameTooLongError,
    IncompleteFrameError,
    Pipeline,
    Reply,
    StageReturnError,
    SurgeryError,
)
from pipeline.testing import Harness, check_limit, check_linear, pipeline_pair
from stages import FromGenerator, LineFramer
from tests.stages.protocols.generators import (
    Asking,
    cuts_of,
    frame,
    frames,
    lines,
    ohneio_frame,
    protocol,
    shaking,
    wait_for,
)

# ---- the generators


def session() -> Asking:
    """Asks in each way, answers, and is over behind QUIT."""
    yield Reply(b"220 hello\r\n")
    while True:
        word, _, rest = (yield b"\r\n").removesuffix(b"\r\n").partition(b" ")
        if word == b"DATA":
            yield Reply(b"354 go on\r\n")
            yield (("data", (yield int(rest))), Reply(b"250 taken\r\n"))
        elif word == b"QUIT":
            yield Reply(b"221 bye\r\n")
            return "quit"
        else:
            yield [word.decode()]


WIRE = b"\0\3abc\0\0\0\1d"
ITEMS = [b"abc", b"", b"d"]
FRAMES: dict[str, Callable[[], FromGenerator]] = {
    "asks": lambda: FromGenerator(frames),
    "repeats": lambda: FromGenerator(frame, repeat=True),
    "ohneio": lambda: FromGenerator(ohneio_frame, repeat=True),
}
EACH_FRAMES = pytest.mark.parametrize("make", FRAMES.values(), ids=FRAMES)


# ---- items


@EACH_FRAMES
def test_items_are_the_same_however_the_stream_is_cut(make: Callable[[], FromGenerator]) -> None:
    for pieces in cuts_of(WIRE):
        harness = Harness(make())
        assert ITEMS == harness.receive(*pieces)
        assert [] == harness.finish()


def test_a_generator_speaks() -> None:
    wire = b"HELO\r\nDATA 4\r\n\r\n\r\nQUIT\r\nmore"
    for pieces in cuts_of(wire):
        harness = Harness(stage := FromGenerator(session))
        assert [b"220 hello\r\n"] == harness.replies
        assert ["HELO", ("data", b"\r\n\r\n"), "quit"] == harness.receive(*pieces)
        said = b"220 hello\r\n354 go on\r\n250 taken\r\n221 bye\r\n"
        assert said == b"".join(harness.replies)
        assert not stage.wants_input
        assert [b"out"] == harness.send(b"out")


def test_a_bare_yield_gives_what_has_come_and_nothing_at_the_end() -> None:
    def collect() -> Asking:
        parts = [(yield)]
        while data := (yield):
            parts.append(data)
        return parts

    harness = Harness(FromGenerator(collect))
    assert [] == harness.receive(b"a", b"", b"bc")
    assert [[b"a", b"bc"]] == harness.finish()


def test_all_kinds_of_bytes_are_real_bytes_to_it() -> None:
    harness = Harness(FromGenerator(lines, push=True))
    assert [b"a", b"b"] == harness.receive(bytearray(b"a\n"), memoryview(b"b\n"))
    with pytest.raises(TypeError, match="FromGenerator takes bytes, not str"):
        harness.receive("c\n")


async def test_results_come_one_by_one_and_a_stage_works_by_itself() -> None:
    results = iter(await FromGenerator(session).process(b"a\r\nb\r\n"))
    assert [Reply(b"220 hello\r\n"), "a", "b"] == list(results)


def test_end_ends_the_stream() -> None:
    def until_bye() -> Asking:
        yield [(yield b"\n")]
        yield END

    harness = Harness(FromGenerator(until_bye))
    assert [b"bye\n"] == harness.receive(b"bye\nlost")


def asks_who() -> Asking:
    yield Reply(b"who?\n")
    name = yield b"\n"
    yield Reply(b"hello " + name)
    return name.decode().strip()


def says_who() -> Asking:
    question = yield 5
    yield Reply(b"Ada\n")
    return question, (yield b"\n")


@pytest.mark.parametrize("trickle", [None, 1, 3])
@pytest.mark.parametrize("server", [asks_who, shaking], ids=["asks", "ohneio"])
async def test_two_generators_shake_hands_and_make_room(server: Callable[[], Any], trickle: int | None) -> None:
    async def greet(pipeline: Pipeline[Any, Any], item: object, line: bytes, answer: bytes) -> None:
        assert item == await pipeline.receive()
        await pipeline.replace(FromGenerator, LineFramer())
        await pipeline.send(line)
        assert answer == await pipeline.receive()

    stages = (FromGenerator(says_who), FromGenerator(server))
    async with pipeline_pair(*stages, trickle=trickle) as (left, right), trio.open_nursery() as nursery:
        nursery.start_soon(greet, left, (b"who?\n", b"hello Ada\n"), b"from left", b"from right")
        nursery.start_soon(greet, right, "Ada", b"from right", b"from left")


# ---- when it has returned


def once() -> Asking:
    return (yield b"\n")


def pushed_once() -> Asking:
    data = b""
    while b"\n" not in data:
        data += yield
    line, _, rest = data.partition(b"\n")
    return [line + b"\n"], rest


@protocol
def ohneio_once() -> Asking:
    return (yield from ohneio.read((yield from wait_for(b"\n")) + 1))


ONCE: dict[str, Callable[[], FromGenerator]] = {
    "asks": lambda: FromGenerator(once),
    "pushed": lambda: FromGenerator(pushed_once, push=True),
    "ohneio": lambda: FromGenerator(ohneio_once),
}
EACH_ONCE = pytest.mark.parametrize("make", ONCE.values(), ids=ONCE)
SWITCH = b"go\nline one\nline two\n"


async def later(peer: trio.abc.SendStream, data: bytes) -> None:
    await trio.sleep(1)
    await peer.send_all(data)


@EACH_ONCE
@pytest.mark.parametrize("at", range(1, len(SWITCH)))
async def test_the_next_stage_gets_exactly_what_follows(make: Callable[[], FromGenerator], at: int) -> None:
    peer, ours = trio.testing.memory_stream_pair()
    async with Pipeline[Any, Any](ours, make()) as pipeline, trio.open_nursery() as nursery:
        await peer.send_all(SWITCH[:at])
        nursery.start_soon(later, peer, SWITCH[at:])
        assert b"go\n" == await pipeline.receive()
        await pipeline.replace(FromGenerator, LineFramer())
        assert [b"line one", b"line two"] == [await pipeline.receive() for _ in range(2)]


@EACH_ONCE
async def test_nothing_is_read_until_another_stage_is_there(make: Callable[[], FromGenerator]) -> None:
    peer, ours = trio.testing.memory_stream_pair()
    async with Pipeline[Any, Any](ours, make()) as pipeline:
        await peer.send_all(b"go\na\n")
        assert b"go\n" == await pipeline.receive()
        with trio.move_on_after(1) as scope:
            await pipeline.receive()
        assert scope.cancelled_caught
        await peer.send_all(b"b\n")
        await pipeline.replace(FromGenerator, LineFramer())
        assert [b"a", b"b"] == [await pipeline.receive() for _ in range(2)]


async def test_the_stream_can_end_with_it() -> None:
    async with pipeline_pair(LineFramer(), FromGenerator(once, then="end")) as (left, right):
        await left.send_many([b"go", b"more"])
        assert [b"go\n"] == [item async for item in right]


def test_a_stream_that_ended_is_not_ended_again() -> None:
    harness = Harness(FromGenerator(lines, push=True, then="end"))
    assert [b"a"] == harness.receive(b"a\n")
    assert [] == harness.finish()


@pytest.mark.parametrize("repeat", [True, False])
async def test_after_any_item_of_one_that_asks_the_rest_can_be_given_back(repeat: bool) -> None:
    stage = FromGenerator(frame, repeat=True) if repeat else FromGenerator(frames)
    results = iter(await stage.process(WIRE))
    assert b"abc" == next(results)
    assert 5 == stage.holds
    assert [b"\0\0\0\1d"] == stage.unread(())
    assert [] == stage.unread(())
    assert [b"", b"d"] == list(await stage.process(b"\0\0\0\1d"))


async def test_inside_a_frame_nothing_can_be_given_back() -> None:
    for stage in (FromGenerator(frames), FromGenerator(ohneio_frame, repeat=True)):
        assert [] == list(await stage.process(b"\0\2a"))
        assert 3 == stage.holds
        assert stage.unread(()) is None
    pushed = FromGenerator(lines, push=True)
    assert [b"a"] == list(await pushed.process(b"a\nb"))
    assert pushed.unread(()) is None


async def test_results_of_which_one_was_not_taken_are_not_given_back() -> None:
    stage = FromGenerator(session)
    results = iter(await stage.process(b"DATA 0\r\nx"))
    assert Reply(b"220 hello\r\n") == next(results)
    assert [("data", b"")] == [item for item in (next(results), next(results)) if type(item) is tuple]
    assert stage.unread(()) is None
    assert Reply(b"250 taken\r\n") == next(results)
    assert stage.unread(["x"]) is None
    assert [b"x"] == stage.unread(())


async def test_before_the_first_result_is_taken_everything_is_given_back() -> None:
    stage = FromGenerator(frames)
    _never_taken = stage.process_sync(WIRE)
    assert [WIRE] == stage.unread(())


async def test_a_change_inside_a_frame_is_refused() -> None:
    peer, ours = trio.testing.memory_stream_pair()
    async with Pipeline[Any, Any](ours, FromGenerator(frames)) as pipeline:
        await peer.send_all(b"\0\5ab")
        with trio.move_on_after(1):
            await pipeline.receive()
        with pytest.raises(SurgeryError, match=r"its unread\(\) returned None"):
            await pipeline.replace(FromGenerator, LineFramer())
        await peer.send_all(b"cde")
        assert b"abcde" == await pipeline.receive()


# ---- the end of the stream


@EACH_FRAMES
@pytest.mark.parametrize("cut", [1, 2, 4])
def test_the_end_inside_a_frame_is_an_error(make: Callable[[], FromGenerator], cut: int) -> None:
    for pieces in cuts_of(b"\0\1x" + WIRE[:cut]):
        harness = Harness(make())
        assert [b"x"] == harness.receive(*pieces)
        with pytest.raises(
            IncompleteFrameError, match=f"the stream ended, .* waits for more behind {cut} bytes"
        ) as info:
            harness.finish()
        assert WIRE[:cut] == info.value.leftover


def test_what_a_pushed_generator_did_not_use_at_the_end_is_an_error() -> None:
    for pieces in cuts_of(b"a\nbc"):
        harness = Harness(FromGenerator(lines, push=True))
        assert [b"a"] == harness.receive(*pieces)
        with pytest.raises(IncompleteFrameError) as info:
            harness.finish()
        assert b"bc" == info.value.leftover


def test_a_generator_that_does_not_care_for_the_end_has_ended_in_the_middle() -> None:
    def waits() -> Asking:
        data = b""
        while b"." not in data:
            data += yield
        yield [data]

    harness = Harness(FromGenerator(waits))
    harness.receive(b"ab")
    with pytest.raises(IncompleteFrameError) as info:
        harness.finish()
    assert b"ab" == info.value.leftover


async def test_a_failed_stage_stays_failed() -> None:
    stage = FromGenerator(frames)
    assert [] == list(stage.process_sync(b"\0"))
    with pytest.raises(IncompleteFrameError):
        list(await stage.finish())
    with pytest.raises(IncompleteFrameError):
        stage.process_sync(b"x")
    with pytest.raises(IncompleteFrameError):
        await stage.finish()
    assert stage.unread(()) is None


# ---- limits


def stated(n: int) -> bytes:
    """A frame of n bytes in all, whose first one says how many follow."""
    return bytes([n - 1]) + b"x" * (n - 1)


def stated_frames() -> Asking:
    while True:
        (size,) = yield 1
        yield [(yield size)]


def marked_frames() -> Asking:
    while True:
        yield [(yield b"--")]


@pytest.mark.parametrize(
    ("make", "wire", "certain"),
    [
        (lambda n: FromGenerator(stated_frames, max_bytes=n), stated, lambda n: 1),
        (lambda n: FromGenerator(marked_frames, max_bytes=n), lambda n: b"x" * (n - 2) + b"--", lambda n: n),
        (lambda n: FromGenerator(ohneio_once, repeat=True, max_bytes=n), lambda n: b"x" * (n - 1) + b"\n", None),
        (lambda n: FromGenerator(lines, push=True, max_bytes=n), lambda n: b"x" * (n - 1) + b"\n", None),
    ],
    ids=["number", "mark", "ohneio", "pushed"],
)
def test_exactly_the_limit_passes_and_one_more_byte_fails(make: Any, wire: Any, certain: Any) -> None:
    check_limit(make, wire, certain=certain, limits=(3, 5, 100), random_cuts=20)


def test_items_before_one_over_the_limit_come_out() -> None:
    harness = Harness(FromGenerator(frames, max_bytes=10))
    with pytest.raises(FrameTooLongError, match=r"FromGenerator\(frames, max_bytes=10\): at least 11 bytes without a"):
        harness.receive(b"\0\1a\0\x09")
    assert [b"a"] == harness.received


@EACH_FRAMES
def test_work_is_linear(make: Callable[[], FromGenerator]) -> None:
    """Also for many items in one read, of which those behind the next one are given back and taken again."""
    check_linear(make, lambda n: [WIRE[:5] * n], n=500)


@pytest.mark.parametrize("make", [marked_frames, frames, ohneio_frame], ids=["mark", "number", "ohneio"])
def test_one_long_item_byte_by_byte_is_linear(make: Callable[[], Any]) -> None:
    check_linear(lambda: FromGenerator(make), lambda n: [b"\x7f"] * n, n=1000)


# ---- mistakes


def test_what_the_generator_raises_comes_behind_what_it_said() -> None:
    def refuses() -> Asking:
        yield 1
        yield [Reply(b"no\n"), "first"]
        raise ZeroDivisionError("nothing")

    stage = FromGenerator(refuses)
    results = iter(stage.process_sync(b"ab"))
    assert [Reply(b"no\n"), "first"] == [next(results), next(results)]
    with pytest.raises(ZeroDivisionError):
        next(results)
    with pytest.raises(ZeroDivisionError):
        stage.process_sync(b"c")


@pytest.mark.parametrize("said", ["text", {"a": 1}, bytearray(b"x"), 1.5])
def test_what_means_nothing_is_refused(said: object) -> None:
    def wrong() -> Asking:
        yield said

    name = type(said).__name__
    with pytest.raises(StageReturnError, match=rf"yielded {name}\. For an item: yield \[item\]; to write: yield Reply"):
        Harness(FromGenerator(wrong))


@pytest.mark.parametrize("wish", [True, -1, b""])
def test_what_cannot_be_asked_for_is_refused(wish: object) -> None:
    def wrong() -> Asking:
        yield wish

    with pytest.raises(StageReturnError, match=r"asked for .*: it may be a number, 0 or more"):
        Harness(FromGenerator(wrong))


def test_one_that_takes_nothing_does_not_repeat_for_ever() -> None:
    def nothing() -> Asking:
        yield from ()
        return 1

    with pytest.raises(StageReturnError, match="returned without having taken a byte"):
        Harness(FromGenerator(nothing, repeat=True))


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(TypeError, match="must be a generator, or a function that makes one; it is None"):
        FromGenerator(lambda: None)  # type: ignore[arg-type, return-value]
    with pytest.raises(TypeError, match=r"to repeat it needs the function, .* FromGenerator\(read_message,"):
        FromGenerator(frame(), repeat=True)
    with pytest.raises(ValueError, match="then='stop'"):
        FromGenerator(frames, then="stop")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="max_bytes=0"):
        FromGenerator(frames, max_bytes=0)


def test_closing_lets_the_generator_clean_up() -> None:
    closed = []

    def cleans() -> Asking:
        try:
            yield
        finally:
            closed.append(True)

    with Harness(FromGenerator(cleans)):
        pass
    assert [True] == closed
