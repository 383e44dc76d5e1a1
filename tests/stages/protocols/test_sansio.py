"""The adapter for sans-I/O libraries, with a library of a few lines: commands that end in a newline."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
import trio
import trio.testing

from pipeline import END, NEED_INPUT, End, Engine, Pipeline, Reply, SurgeryError
from pipeline.testing import Harness, check_codec, check_linear, pipeline_pair
from stages.framing import LineFramer
from stages.protocols import SansIO


class CommandError(Exception):
    """What the library raises."""


class Library:
    """One command a line; `ping` is answered, `bad` is refused, `hold` waits until `go` is sent, `quit` is the end."""

    def __init__(self) -> None:
        self.buffer = b""
        self.out = b""
        self.holding = self.over = False
        self.fed_while_holding = False

    def feed(self, data: bytes) -> None:
        self.fed_while_holding = self.fed_while_holding or self.holding
        self.buffer += data

    def next_event(self) -> str | None:
        if self.holding or b"\n" not in self.buffer:
            return None
        line, _, self.buffer = self.buffer.partition(b"\n")
        if line == b"ping":
            self.out += b"pong\n"
        elif line == b"bad":
            self.out += b"error\n"
            raise CommandError("bad")
        elif line == b"quit":
            self.out += b"bye\n"
            self.over = True
        self.holding = line == b"hold"
        return line.decode()

    def send(self, text: str) -> None:
        if text == "wrong":
            self.out += b"giving up\n"
            raise CommandError("wrong")
        self.holding = self.holding and text != "go"
        self.over = text == "over"
        self.out += text.encode() + b"\n" if text else b""

    def take(self) -> bytes:
        data, self.out = self.out, b""
        return data


class Least(SansIO[str, str]):
    """What a library must have, and no more; events come as a list."""

    def __init__(self) -> None:
        super().__init__()
        self.library = Library()

    def receive_data(self, data: bytes, /) -> Iterable[str | End]:
        self.library.feed(data)
        return list(iter(self.library.next_event, None))

    def send_event(self, event: str, /) -> None:
        self.library.send(event)

    def data_to_send(self) -> bytes:
        return self.library.take()


class Whole(Least):
    """All that a library may have; events come one by one."""

    def __init__(self) -> None:
        super().__init__()
        self.shaken = False
        self.closed = 0

    @property
    def ready(self) -> bool:
        return self.shaken

    @property
    def paused(self) -> bool:
        return self.library.holding

    @property
    def sending_ended(self) -> bool:
        return self.library.over

    @property
    def holds(self) -> int:
        return len(self.library.buffer)

    def start(self) -> Iterable[str]:
        self.library.out = b"hello\n"
        return ["started"]

    def receive_data(self, data: bytes, /) -> Iterable[str | End]:
        self.library.feed(data)
        return self._events()

    def _events(self) -> Iterator[str | End]:
        while (event := self.library.next_event()) is not None:
            self.shaken = True
            yield event
            if event == "quit":
                yield END

    def receive_eof(self) -> Iterable[str]:
        if self.library.buffer:
            self.library.out = b"too short\n"
            raise CommandError("the end inside a command")
        return ["the end"]

    def send_eof(self) -> None:
        self.library.out += b"farewell\n"

    def poll(self) -> Iterable[str | End]:
        return self._events()

    def leftover(self) -> bytes:
        rest, self.library.buffer = self.library.buffer, b""
        return rest

    def close(self) -> None:
        self.closed += 1


def whole() -> Harness:
    """After its start and the first command."""
    harness = Harness(Whole())
    assert ["started"] == harness.received
    assert [b"hello\n"] == harness.replies
    assert ["a"] == harness.receive(b"a\n")
    harness.replies.clear()
    return harness


# ---- the least


def test_three_methods_make_a_stage() -> None:
    check_codec(Least, ["one", "two"], wire=[b"one\n", b"two\n"], cut=True)
    harness = Harness(Least())
    assert ["one"] == harness.receive(b"on", b"", b"e\ntw")
    assert [b"three\n"] == harness.send("three")
    assert [] == harness.finish()


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


def test_missing_methods_are_named() -> None:
    class Nothing(SansIO[str, str]):
        pass

    stage = Nothing()
    for call in (lambda: stage.receive_data(b"x"), lambda: stage.send_event("x"), stage.data_to_send):
        with pytest.raises(NotImplementedError, match="Nothing does not define "):
            call()


def test_by_default_nothing_waits_and_nothing_can_be_given_back() -> None:
    stage = Least()
    half = stage.inbound
    assert (True, True, None, None) == (half.ready, half.wants_input, half.holds, half.unread(()))
    assert stage.outbound.end_waits
    assert ((), False) == (stage.poll(), stage.outdated("event"))
    assert "Least()" == repr(stage)
    assert ("Least.inbound", "Least.outbound") == (half.name, stage.outbound.name)


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


def test_start_begins() -> None:
    whole()


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


def test_close_is_passed_on_once() -> None:
    stage = Whole()
    with Harness(stage):
        pass
    assert 1 == stage.closed


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


def test_a_generator_that_would_be_fed_too_late_is_refused() -> None:
    class Late(Eager):
        def receive_data(self, data: bytes, /) -> Iterable[str | End]:
            yield from super().receive_data(data)

    with pytest.raises(TypeError, match=r"Late.receive_data\(\) is a generator, .* Feed the library first, then"):
        Late()


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


async def test_without_timers_nothing_is_due() -> None:
    assert () == Least().on_timer(0)
    assert Least().inbound.deadline is None


WIRE = b"a\nhold\nline one\nline two\n"


async def later(peer: trio.abc.SendStream, data: bytes) -> None:
    await trio.sleep(1)
    await peer.send_all(data)


@pytest.mark.parametrize("at", range(1, len(WIRE)))
async def test_a_change_is_exact_wherever_the_bytes_are_cut(at: int) -> None:
    """What follows the switching event goes to the next stage, byte for byte (U1)."""
    peer, ours = trio.testing.memory_stream_pair()
    async with Pipeline[Any, str](ours, Whole()) as pipeline:
        assert "started" == await pipeline.receive()
        await peer.send_all(WIRE[:at])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(later, peer, WIRE[at:])
            assert ["a", "hold"] == [await pipeline.receive() for _ in range(2)]
        await pipeline.replace(Whole, LineFramer())
        assert [b"line one", b"line two"] == [await pipeline.receive() for _ in range(2)]


async def test_where_nothing_can_be_given_back_a_change_is_refused() -> None:
    peer, ours = trio.testing.memory_stream_pair()
    async with Pipeline[Any, str](ours, Least()) as pipeline:
        await peer.send_all(b"one\ntwo\n")
        assert "one" == await pipeline.receive()
        with pytest.raises(SurgeryError, match="The chain is as it was"):
            await pipeline.replace(Least, LineFramer())
        assert "two" == await pipeline.receive()


async def test_two_ends_understand_each_other_byte_by_byte() -> None:
    async with pipeline_pair(Least(), Least(), trickle=1) as (left, right):
        await left.send_many(["one", "ping", "two"])
        assert ["one", "ping", "two"] == [await right.receive() for _ in range(3)]
        assert "pong" == await left.receive()


def test_work_is_linear() -> None:
    check_linear(Least, lambda n: [b"a\n"] * n, n=2000)


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
