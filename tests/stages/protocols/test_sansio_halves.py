"""The halves of an adapter: when the library is fed and asked, and in what order that which it says goes out."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

import pytest

from pipeline import END, NEED_INPUT, End, Engine, Reply, StageReturnError
from pipeline.testing import Harness
from stages.protocols import SansIO
from tests.stages.protocols.command_library import CommandError, Least, Whole


def whole() -> Harness:
    """After its start and the first command."""
    harness = Harness(Whole())
    assert ["started"] == harness.received
    assert [b"hello\n"] == harness.replies
    assert ["a"] == harness.receive(b"a\n")
    harness.replies.clear()
    return harness


# ---- the least


def test_all_kinds_of_bytes_are_fed_as_bytes() -> None:
    harness = Harness(Least())
    assert ["a", "b"] == harness.receive(bytearray(b"a\n"), memoryview(b"b\n"))
    with pytest.raises(TypeError, match=r"Least takes bytes, not str: put a TextCodec\(\) next to it"):
        harness.receive("c\n")


def test_what_the_library_writes_goes_out_before_the_event() -> None:
    harness = Harness(Least())
    assert ["ping"] == harness.receive(b"ping\n")
    assert [b"pong\n"] == harness.replies


async def test_what_one_call_writes_is_one_write() -> None:
    results = list(await Least().inbound.process(b"ping\nping\n"))
    assert [Reply(b"pong\npong\n"), "ping", "ping"] == results


def test_an_error_comes_behind_what_the_library_writes_about_it() -> None:
    """Also where it is raised before the first event was returned; and the stage stays failed."""
    for stage in (Least(), Whole()):
        harness = Harness(stage)
        with pytest.raises(CommandError, match="bad"):
            harness.receive(b"ping\nbad\n")
        assert b"pong\nerror\n" == b"".join(harness.replies).removeprefix(b"hello\n")
        with pytest.raises(CommandError, match="bad"):
            stage.inbound.process_sync(b"ping\n")


async def test_a_failed_stage_does_not_finish() -> None:
    stage = Whole()
    with pytest.raises(CommandError):
        list(stage.inbound.process_sync(b"bad\n"))
    with pytest.raises(CommandError):
        await stage.inbound.finish()
    assert () == stage.inbound.poll()
    assert stage.inbound.unread(()) is None


async def test_what_cannot_be_sent_raises_behind_what_is_written_about_it() -> None:
    results = iter(await Least().outbound.process("wrong"))
    assert b"giving up\n" == next(results)
    with pytest.raises(CommandError, match="wrong"):
        next(results)


def test_what_cannot_be_sent_and_wrote_nothing_leaves_outbound_as_it_was() -> None:
    harness = Harness(Least())
    with pytest.raises(AttributeError):
        harness.send(5)
    assert [b"text\n"] == harness.send("text")


def test_what_is_sent_may_be_returned_at_once() -> None:
    """Then the library is not asked what it has to write."""

    class Direct(Least):
        def send_event(self, event: str, /) -> bytes:  # type: ignore[override]
            return event.encode()

    assert [b"text"] == Harness(Direct()).send("text")


async def test_an_end_that_cannot_be_raises_behind_what_is_written_about_it() -> None:
    class Endless(Least):
        def send_eof(self) -> None:
            self.library.send("wrong")

    results = iter(await Endless().outbound.finish())
    assert b"giving up\n" == next(results)
    with pytest.raises(CommandError, match="wrong"):
        next(results)


def test_an_event_that_becomes_nothing_writes_nothing() -> None:
    assert [] == Harness(Least()).send("")


# ---- all the rest


def test_events_are_asked_for_one_by_one() -> None:
    stage = Whole()
    results = iter(stage.inbound.process_sync(b"a\nb\nc"))
    assert "a" == next(results)
    assert b"b\nc" == stage.library.buffer
    assert 3 == stage.inbound.holds


class Ending(Least):
    """Once `enough` was sent, events of a list but for `quit` are of no use."""

    enough = False

    def send_event(self, event: str, /) -> None:
        self.enough = event == "enough"
        super().send_event(event)

    def outdated(self, event: str, /) -> bool:
        return self.enough and event != "last"


def sent_by(engine: Engine[Any, Any], item: str) -> bytes:
    """All that there is to write then."""
    engine.send(item)
    written = engine.to_write()
    assert isinstance(written, list)
    return b"".join(written)


@pytest.mark.parametrize("reply", [b"", b"ping\n"], ids=["alone", "behind a reply"])
def test_an_event_that_is_outdated_when_it_is_asked_for_is_left_out(reply: bytes) -> None:
    engine: Engine[Any, Any] = Engine(Ending(), byte_wire=True)
    engine.start()
    engine.feed(reply + b"one\ntwo\nthree\nlast\n")
    assert ["ping", "one"][not reply :] == [engine.next_item() for _ in range(1 + bool(reply))]
    assert b"pong\n" * bool(reply) + b"enough\n" == sent_by(engine, "enough")
    assert ["last", NEED_INPUT] == [engine.next_item(), engine.next_item()]


def test_an_end_is_never_outdated() -> None:
    class Ends(Ending):
        def receive_data(self, data: bytes, /) -> Iterable[str | End]:
            return [*super().receive_data(data), END]

    engine: Engine[Any, Any] = Engine(Ends(), byte_wire=True)
    engine.start()
    engine.feed(b"one\ntwo\n")
    assert "one" == engine.next_item()
    assert b"enough\n" == sent_by(engine, "enough")
    assert END is engine.next_item()


def test_events_that_may_be_outdated_are_not_given_back_as_bytes() -> None:
    """While any of them waits; whoever is told what they are has them from a list as from an iterator."""

    class Returning(Ending):
        def leftover(self) -> bytes:
            rest, self.library.buffer = self.library.buffer, b""
            return rest

    stage = Returning()
    results = stage.inbound.process_sync(b"one\ntwo\nthr")
    taken = iter(results)
    assert ("one", None) == (next(taken), stage.inbound.unread(()))
    assert ("two", [b"thr"]) == (next(taken), stage.inbound.unread(()))


def test_the_start_gives_items_and_replies_before_anything_came() -> None:
    harness = Harness(Whole())
    assert (["started"], [b"hello\n"]) == (harness.received, harness.sent)


def test_a_send_waits_for_the_handshake() -> None:
    engine = Engine(Whole(), byte_wire=True)
    engine.start()
    assert "started" == engine.next_item()
    engine.send("early")
    assert [b"hello\n"] == engine.to_write()
    engine.feed(b"a\n")
    assert "a" == engine.next_item()
    assert [b"early\n"] == engine.to_write()
    engine.close()


def test_a_paused_library_is_not_fed_and_goes_on_by_itself() -> None:
    stage = Whole()
    harness = Harness(stage)
    assert ["hold"] == harness.receive(b"hold\nb\n", b"c\n")
    assert not stage.inbound.wants_input
    assert b"b\n" == stage.library.buffer
    harness.send("go")
    assert ["started", "hold", "b", "c"] == harness.received
    assert not stage.library.fed_while_holding


def test_the_end_of_the_stream_is_told() -> None:
    harness = whole()
    assert ["the end"] == harness.finish()
    assert [b"farewell\n"] == harness.send_eof()


def test_an_end_too_early_is_an_error_behind_what_is_written_about_it() -> None:
    harness = whole()
    harness.receive(b"beg")
    with pytest.raises(CommandError, match="the end inside a command"):
        harness.finish()
    assert [b"too short\n"] == harness.replies


async def test_the_last_thing_sent_ends_the_wire() -> None:
    stage = Whole()
    assert [b"over\n", END] == list(await stage.outbound.process("over"))
    assert [] == list(await stage.outbound.process(""))


async def test_the_end_of_both_directions_can_come_from_the_peer() -> None:
    results = list(await Whole().inbound.process(b"quit\nnever seen"))
    assert [Reply(b"bye\n"), Reply(END), "quit", END] == results


def test_what_follows_an_event_can_be_given_back() -> None:
    stage = Whole()
    results = iter(stage.inbound.process_sync(b"a\nb\nc"))
    assert "a" == next(results)
    assert stage.inbound.unread(["b"]) is None
    assert [b"b\nc"] == stage.inbound.unread(())
    assert [] == stage.inbound.unread(())


def test_before_the_first_event_is_taken_everything_can_be_given_back() -> None:
    """Results that nobody began to take are closed: the bytes must be with the library, not in them."""
    stage = Whole()
    _never_taken = stage.inbound.process_sync(b"a\nb")
    assert [b"a\nb"] == stage.inbound.unread(())


class Eager(Least):
    """Events as a list, and it can give back."""

    def leftover(self) -> bytes:
        rest, self.library.buffer = self.library.buffer, b""
        return rest


def test_events_that_are_there_already_are_not_given_back_as_bytes() -> None:
    """Where they came from the library does not know any more; once they are taken, the rest can be."""
    stage = Eager()
    results = iter(stage.inbound.process_sync(b"a\nb\nc"))
    assert "a" == next(results)
    assert stage.inbound.unread(["b"]) is None
    deque(results, maxlen=0)
    assert [b"c"] == stage.inbound.unread(())


class Timed(Whole):
    """It says so where nothing came in time, and fails at the second time."""

    def __init__(self) -> None:
        super().__init__()
        self.deadline: float | None = None

    def start(self) -> Iterable[str]:
        self.deadline = self.inbound.now() + 5
        return super().start()

    def on_timer(self, now: float, /) -> Iterable[str]:
        self.library.out += b"still there?\n"
        if self.holds:
            raise CommandError("too slow")
        self.deadline = now + 5
        return [f"silent until {now:g}"]


class TimedLeast(Timed):
    """Without `poll`."""

    poll = SansIO.poll


@pytest.mark.parametrize("make", [Timed, TimedLeast])
def test_a_library_may_have_timers(make: type[Timed]) -> None:
    """What it says and gives then goes as elsewhere; after an error there are none."""
    stage = make()
    harness = Harness(stage)
    harness.receive(b"a\n")
    harness.advance(4)
    harness.replies.clear()
    assert ["silent until 5"] == harness.advance(1)
    assert [b"still there?\n"] == harness.replies
    harness.receive(b"beg")
    with pytest.raises(CommandError, match="too slow"):
        harness.advance(5)
    assert [b"still there?\n"] * 2 == harness.replies
    assert stage.inbound.deadline is None
    harness.advance(50)


def test_what_the_library_raises_for_the_peers_bytes_is_laid_to_the_peer() -> None:
    """Where the stage says which errors these are."""

    class Says(Least):
        peer_errors = (CommandError,)

    for stage, blamed in ((Says(), True), (Least(), False)):
        engine: Engine[Any, Any] = Engine(stage)
        engine.start()
        engine.feed(b"bad\n")
        with pytest.raises(CommandError):
            while engine.next_item() is NEED_INPUT:
                engine.to_write()
        assert blamed == (engine.at_fault() is stage.inbound)
        engine.close()


def test_what_a_library_waits_for_is_passed_on() -> None:
    class Waits(Least):
        close_waits = True
        end_waits = False

    for stage, waits in ((Waits(), True), (Least(), False)):
        assert (waits, not waits) == (stage.inbound.close_waits, stage.outbound.end_waits)


@pytest.mark.parametrize(("returned", "word"), [(None, "None"), (5, "int"), ("async", "coroutine")])
def test_what_are_no_events_is_told_with_the_method(returned: Any, word: str) -> None:
    """And the stage stays failed."""

    async def waits() -> None: ...

    class Wrong(Least):
        def receive_data(self, data: bytes, /) -> Any:
            return waits() if returned == "async" else returned

    half = Wrong().inbound
    for _ in range(2):
        with pytest.raises(
            StageReturnError, match=rf"^Wrong.receive_data\(\) returned {word}. Return the events: a list"
        ):
            list(half.process_sync(b"one\n"))
