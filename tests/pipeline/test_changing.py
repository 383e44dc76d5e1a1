"""Changing the chain of a running pipeline: exact to the byte, in its turn, and never half (U1-U5)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import memory_stream_pair, wait_all_tasks_blocked

from pipeline import (
    END,
    Duplex,
    Inbound,
    Outbound,
    Passthrough,
    Pipeline,
    PipelineError,
    Reply,
    StageInUseError,
    SurgeryError,
    open_attended,
)
from stages import (
    CountLimit,
    FrameTimeout,
    Heartbeat,
    IdleTimeout,
    JSONCodec,
    LengthFramer,
    LineFramer,
    Logger,
    Map,
    RateLimit,
    SizeLimit,
    Tap,
    TextCodec,
)

from .parts import Handshake, Lines, Waits, WaitsOut, cancelled_at, tcp_pair
from .wires import Clogged, Closing


class Held(Inbound[Any, Any]):
    """Keeps one item back, and cannot give it back."""

    def __init__(self) -> None:
        self.kept: list[Any] = []

    def process_sync(self, item: Any, /) -> list[Any]:
        self.kept.append(item)
        return [self.kept.pop(0)] if len(self.kept) > 1 else []


class Same(Inbound[Any, Any]):
    """Holds nothing, and says so."""

    holds = 0

    def process_sync(self, item: Any, /) -> list[Any]:
        return [item]


class Notes(Duplex[Any, Any, Any, Any]):
    """Tells what is done to it; `fails` is the method that raises."""

    def __init__(self, fails: str = "", *, start: tuple[Any, ...] = ()) -> None:
        self.inbound = NotesIn(fails, start)
        self.outbound = NotesOut(fails)

    @property
    def done(self) -> list[str]:
        return [*self.inbound.done, *self.outbound.done]  # type: ignore[attr-defined]


class _Noted:
    def __init__(self, fails: str) -> None:
        self.fails = fails
        self.done: list[str] = []

    def _note(self, method: str) -> None:
        self.done.append(f"{type(self).__name__}.{method}")
        if self.fails == self.done[-1]:
            raise ValueError(f"no {method}")

    def process_sync(self, item: Any, /) -> list[Any]:
        return [item]

    def unread(self, outputs: Any, /) -> list[Any]:
        return list(outputs)

    async def finish(self) -> list[Any]:
        await trio.lowlevel.checkpoint()
        self._note("finish")
        return [f"{type(self).__name__} finished".encode()]

    def close(self) -> None:
        self._note("close")


class NotesIn(_Noted, Inbound[Any, Any]):
    def __init__(self, fails: str, start: tuple[Any, ...]) -> None:
        super().__init__(fails)
        self._start = start

    async def start(self) -> tuple[Any, ...]:
        await trio.lowlevel.checkpoint()
        self._note("start")
        return self._start


class NotesOut(_Noted, Outbound[Any, Any]):
    pass


class Boundary(Lines):
    """Lines that do not trust what came before."""

    def __init__(self) -> None:
        super().__init__()
        self.inbound.is_trust_boundary = True


@asynccontextmanager
async def piped(chain: Any, **options: Any) -> AsyncIterator[tuple[Pipeline[Any, Any], Any]]:
    """A pipeline in memory, and the other end."""
    near, far = memory_stream_pair()
    with trio.fail_after(10_000):  # what hangs fails at once, on a clock that jumps
        async with Pipeline(near, chain, **options) as pipeline:
            yield pipeline, far


async def until_waiting() -> None:
    await trio.testing.wait_all_tasks_blocked()


# ---- exact


async def test_what_follows_in_the_same_segment_goes_through_the_new_chain() -> None:
    async with piped(LineFramer() | TextCodec()) as (pipeline, far):
        await far.send_all(b"one\nswitch\n\0\0\0\x03a\nb\0\0\0")
        assert ["one", "switch"] == [await pipeline.receive(), await pipeline.receive()]
        assert [] == await pipeline.replace(LineFramer, LengthFramer())
        assert "a\nb" == await pipeline.receive()
        await far.send_all(b"\x02cd")
        assert "cd" == await pipeline.receive()
        await pipeline.send("ef")
        assert b"\0\0\0\x02ef" == await far.receive_some()
        assert "LengthFramer() | TextCodec()" == repr(pipeline.chain)


async def test_the_change_may_be_made_inside_async_for() -> None:
    async with piped(LineFramer()) as (pipeline, far):
        await far.send_all(b"a\nb\nswitch\n\0\x01x\0\x01y")
        await far.send_eof()
        items = []
        async for item in pipeline:
            items.append(item)
            if item == b"switch":
                await pipeline.replace(LineFramer, LengthFramer(2))
        assert [b"a", b"b", b"switch", b"x", b"y"] == items


async def test_after_a_batch_what_follows_begins_behind_the_batch() -> None:
    async with piped(LineFramer()) as (pipeline, far):
        await far.send_all(b"a\nb\n\0\x01x")
        async for batch in pipeline.batches():
            if batch == [b"x"]:
                break
            assert [b"a", b"b"] == batch
            await pipeline.replace(LineFramer, LengthFramer(2))


async def test_a_stage_in_the_middle_is_replaced_and_those_above_go_on() -> None:
    async with piped(LineFramer() | TextCodec() | Map(inbound=str.upper)) as (pipeline, far):
        await far.send_all(b"a\n[1]\n[2]\n")
        assert "A" == await pipeline.receive()
        await pipeline.remove("Map")
        await pipeline.replace(TextCodec, JSONCodec())
        assert [[1], [2]] == [await pipeline.receive(), await pipeline.receive()]


async def test_removing_a_framer_gives_the_rest_as_it_came() -> None:
    async with piped(LineFramer()) as (pipeline, far):
        await far.send_all(b"a\nraw\nrest")
        assert b"a" == await pipeline.receive()
        await pipeline.remove(LineFramer)
        assert b"raw\nrest" == await pipeline.receive()
        await pipeline.send(b"out")
        assert b"out" == await far.receive_some()


async def test_a_chain_goes_in_and_comes_out_stage_by_stage() -> None:
    async with piped(LineFramer()) as (pipeline, far):
        await far.send_all(b"{}\n[1]\n")
        assert b"{}" == await pipeline.receive()
        await pipeline.insert(TextCodec() | Map(inbound=len), at="client")
        assert 3 == await pipeline.receive()
        assert "LineFramer() | TextCodec() | Map(inbound=len)" == repr(pipeline.chain)


async def test_what_the_stages_above_hold_goes_back_too() -> None:
    """A framer behind a framer: both give back what they have, and the new chain sees the bytes as they came."""
    async with piped(LengthFramer(1) | LineFramer()) as (pipeline, far):
        await far.send_all(b"\x02a\n\x03b\nc\x01")
        assert b"a" == await pipeline.receive()
        await pipeline.replace(LengthFramer, Map(inbound=bytes))
        assert b"\x03b" == await pipeline.receive()
        await far.send_all(b"\n")
        assert b"c\x01" == await pipeline.receive()


async def test_parked_items_go_back() -> None:
    """An item that came out while nobody received was not delivered: it goes through the new chain."""
    near, far = memory_stream_pair()
    await far.send_all(b"hello\nx\ny\n")
    async with Pipeline(near, Lines() | Handshake(client=False)) as pipeline:
        await pipeline.insert(Map(inbound=bytes.upper), at="client")
        assert [b"X", b"Y"] == [await pipeline.receive(), await pipeline.receive()]


async def test_empty_lines_go_back_too() -> None:
    """What a tap or a codec gives back is lines, of which an empty one is as good as any."""
    near, far = memory_stream_pair()
    await far.send_all(b"a\n\n\nb\n")
    async with Pipeline(near, LineFramer() | TextCodec() | Tap(lambda *_: None)) as pipeline:
        async with open_attended(pipeline) as attended:
            assert "a" == await attended.receive()
            await wait_all_tasks_blocked()
        await pipeline.insert(Map(inbound=str.upper), before=Tap)
        with trio.fail_after(1):
            assert ["", "", "B"] == [await pipeline.receive() for _ in range(3)]


# ---- where


@pytest.mark.parametrize(
    ("where", "chain"),
    [
        ({"at": "wire"}, "Same() | Lines() | TextCodec()"),
        ({"at": "client"}, "Lines() | TextCodec() | Same()"),
        ({"before": TextCodec}, "Lines() | Same() | TextCodec()"),
        ({"after": "Lines"}, "Lines() | Same() | TextCodec()"),
        ({"after": "TextCodec"}, "Lines() | TextCodec() | Same()"),
    ],
    ids=str,
)
async def test_the_place_is_named_by_class_or_name_or_end(where: dict[str, Any], chain: str) -> None:
    async with piped(Lines() | TextCodec()) as (pipeline, far):
        await pipeline.insert(Same(), **where)
        assert chain == repr(pipeline.chain)
        await far.send_all(b"a\n")
        assert "a" == await pipeline.receive()


async def test_the_place_is_named_by_the_object_or_a_half_of_it() -> None:
    framer, text = LineFramer(), TextCodec()
    async with piped(framer | text) as (pipeline, _):
        await pipeline.insert(Same(), before=text)
        await pipeline.remove(text.inbound)
        await pipeline.remove(framer)
        assert "Same()" == repr(pipeline.chain)


async def test_the_last_stage_can_go_and_another_come() -> None:
    async with piped(LineFramer()) as (pipeline, far):
        await pipeline.remove(LineFramer)
        assert "" == repr(pipeline.chain)
        await far.send_all(b"x")
        assert b"x" == await pipeline.receive()
        await pipeline.insert(LineFramer(), at="wire")
        await far.send_all(b"y\n")
        assert b"y" == await pipeline.receive()


@pytest.mark.parametrize(
    ("where", "error", "says"),
    [
        ({}, TypeError, "needs one place"),
        ({"before": "Lines", "at": "wire"}, TypeError, "needs one place"),
        ({"at": "end"}, ValueError, "must be 'wire' or 'client'"),
        (
            {"before": "Lime"},
            SurgeryError,
            "'Lime' is not in the chain .* It has: Lines, Same, Same",
        ),
        ({"before": LineFramer}, SurgeryError, "LineFramer is not in the chain"),
        ({"before": Same}, SurgeryError, "Same is there more than once .* as stages 2 and 3: name the object"),
        ({"at": "wire", "leftover": "keep"}, ValueError, "leftover='keep': must be 'forward', 'forbid', 'return'"),
    ],
    ids=str,
)
async def test_a_place_that_is_none_is_refused_at_once(where: dict[str, Any], error: Any, says: str) -> None:
    async with piped(Lines() | Same() | Same()) as (pipeline, _):
        with pytest.raises(error, match=says):
            await pipeline.insert(Same(), **where)


async def test_a_used_stage_and_what_is_no_stage_are_refused() -> None:
    lines: Any = Lines()
    async with piped(lines) as (pipeline, _):
        with pytest.raises(StageInUseError):
            await pipeline.insert(lines, at="wire")
        with pytest.raises(TypeError, match="the class Lines, not a stage"):
            await pipeline.insert(Lines, at="wire")  # type: ignore[arg-type]
        await pipeline.remove(lines)
        with pytest.raises(StageInUseError):
            await pipeline.insert(lines, at="wire")


# ---- beside other tasks


@pytest.mark.parametrize("kind", ["memory", "tcp"])
async def test_a_task_that_waits_in_receive_goes_on_with_the_new_chain(kind: str) -> None:
    got: list[Any] = []

    async def receive(pipeline: Pipeline[Any, Any]) -> None:
        got.append(await pipeline.receive())

    async def swap(near: Any, far: Any) -> None:
        async with Pipeline(near, LineFramer()) as pipeline, trio.open_nursery() as nursery:
            nursery.start_soon(receive, pipeline)
            await far.send_all(b"\0\x02a")
            await until_waiting()
            await pipeline.replace(LineFramer, LengthFramer(2))
            await until_waiting()
            await far.send_all(b"b")
        await far.aclose()

    if kind == "memory":
        await swap(*memory_stream_pair())
    else:
        async with tcp_pair() as (near, far):
            await swap(near, far)
    assert [b"ab"] == got


async def test_a_change_waits_for_the_item_in_work() -> None:
    slow = Waits(5)
    slow.holds = 0
    async with piped(Lines() | slow) as (pipeline, far), trio.open_nursery() as nursery:
        await far.send_all(b"a\nb\n")
        got: list[Any] = []

        async def receive() -> None:
            got.extend([await pipeline.receive(), await pipeline.receive()])

        nursery.start_soon(receive)
        await until_waiting()
        began = trio.current_time()
        await pipeline.remove(Waits)
        assert 5 == trio.current_time() - began
        await until_waiting()
        assert [b"a", b"b"] == got


async def test_a_change_waits_for_the_send_in_work_under_the_callers_timeout() -> None:
    async with piped(Lines() | WaitsOut(5)) as (pipeline, far), trio.open_nursery() as nursery:
        nursery.start_soon(pipeline.send, b"x")
        await until_waiting()
        with trio.move_on_after(1) as scope:
            await pipeline.remove(WaitsOut)
        assert scope.cancelled_caught
        assert "Lines() | WaitsOut(5)" == repr(pipeline.chain)
        await pipeline.remove(WaitsOut)
        assert b"x\n" == await far.receive_some()


async def test_two_changes_are_made_one_after_the_other() -> None:
    async with piped(Lines()) as (pipeline, far), trio.open_nursery() as nursery:
        nursery.start_soon(lambda: pipeline.insert(Handshake(client=True), at="wire"))
        await until_waiting()
        nursery.start_soon(lambda: pipeline.insert(Same(), at="client"))
        await until_waiting()
        nursery.start_soon(lambda: pipeline.insert(Tap(print), at="wire"))  # a tap, too, while a chain may go back
        await until_waiting()
        assert "Handshake(client=True) | Lines()" == repr(pipeline.chain)
        await far.send_all(b"hello")
        await until_waiting()
        assert "Tap(print) | Handshake(client=True) | Lines() | Same()" == repr(pipeline.chain)


async def test_merged_writes_go_out_before_the_change() -> None:
    async with piped(LineFramer(), merge_writes=True) as (pipeline, far):
        await pipeline.send(b"a")
        await pipeline.replace(LineFramer, LengthFramer(1))
        assert b"a\n" == await far.receive_some()
        await pipeline.send(b"b")
        await pipeline.flush()
        assert b"\x01b" == await far.receive_some()


async def test_the_short_way_out_takes_the_new_stages_too() -> None:
    async with tcp_pair() as (near, far), Pipeline(near, LineFramer()) as pipeline:
        await pipeline.send(b"a")
        await pipeline.insert(Map(outbound=bytes.upper), at="client")
        await pipeline.send(b"b")
        await pipeline.remove("Map")
        await pipeline.send(b"c")
        await pipeline.send_eof()
        assert b"a\nB\nc\n" == b"".join([bytes(data) async for data in far])


async def test_a_stage_with_a_deadline_wakes_a_task_that_waits_already() -> None:
    class Impatient(Inbound[Any, Any]):
        deadline = None

        async def start(self) -> list[Any]:
            self.deadline = self.now() + 3
            return []

        async def on_timer(self, now: float, /) -> list[Any]:
            self.deadline = None
            return [b"late"]

        def process_sync(self, item: Any, /) -> list[Any]:
            return [item]

    async with piped(Lines()) as (pipeline, _), trio.open_nursery() as nursery:
        got: list[Any] = []

        async def receive() -> None:
            got.append((await pipeline.receive(), trio.current_time()))

        began = trio.current_time()
        nursery.start_soon(receive)
        await until_waiting()
        await pipeline.insert(Impatient(), at="client")
        await trio.sleep(4)
        assert [(b"late", began + 3)] == got


async def test_a_pipeline_that_was_not_entered_is_entered_first() -> None:
    near, far = memory_stream_pair()
    pipeline = Pipeline(near, Lines())
    await pipeline.insert(Same(), at="client")
    await far.send_all(b"a\n")
    assert b"a" == await pipeline.receive()
    await pipeline.aclose()


# ---- taps


async def test_a_tap_sees_what_passes_its_place_from_then_on() -> None:
    seen: list[Any] = []
    tap = Tap(lambda *what: seen.append(what))
    async with piped(LineFramer() | TextCodec()) as (pipeline, far):
        await far.send_all(b"a\nb\nc\n")
        assert "a" == await pipeline.receive()
        await pipeline.insert(tap, after=LineFramer)
        assert "b" == await pipeline.receive()
        await pipeline.send("out")
        await pipeline.remove(tap)
        assert "c" == await pipeline.receive()
        assert [("inbound", b"b"), ("outbound", b"out")] == seen


async def test_a_tap_goes_in_and_out_while_a_send_is_stuck_and_a_stage_waits() -> None:
    """That is when somebody wants to look."""
    async with (
        Pipeline(Clogged(), LineFramer() | Waits(1000), close_seconds=0) as pipeline,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(pipeline.send, b"x")
        nursery.start_soon(pipeline.receive)
        await until_waiting()
        began = trio.current_time()
        await pipeline.insert(Logger(), at="wire")
        await pipeline.insert(Logger(), before=Waits)
        assert "Logger() | LineFramer() | Logger() | Waits(1000)" == repr(pipeline.chain)
        await pipeline.replace(pipeline.chain.parts[0], Tap(print))
        await pipeline.remove(Tap)
        assert began == trio.current_time()
        nursery.cancel_scope.cancel()


async def test_what_waits_at_a_tap_that_goes_is_not_lost() -> None:
    """Two taps above a pause: the items behind it wait at the first of them."""

    class Lazily(Inbound[Any, Any]):
        def process_sync(self, item: Any, /) -> list[Any]:
            return [item, item + b"2", item + b"3"]

    class AsyncTap(Inbound[Any, Any]):
        is_tap = True

        def __init__(self) -> None:
            self.waits = True

        async def process(self, item: Any, /) -> list[Any]:
            if self.waits:
                await trio.sleep_forever()
            return [item]

    tap = AsyncTap()
    async with piped(Lines() | Lazily() | tap) as (pipeline, far):
        await far.send_all(b"a\n")
        with trio.move_on_after(1):
            await pipeline.receive()
        await pipeline.remove(tap)
        assert [b"a", b"a2", b"a3"] == [await pipeline.receive() for _ in range(3)]


async def test_a_tap_that_starts_waits_its_turn() -> None:
    class Starting(Passthrough):
        def __init__(self) -> None:
            super().__init__(StartingTap())

    class StartingTap(Same):
        is_tap = True
        started = 0

        async def start(self) -> list[Any]:
            self.started += 1
            return []

    tap = Starting()
    async with piped(Lines()) as (pipeline, _):
        await pipeline.insert(tap, at="wire")
        assert 1 == tap.inbound.started  # type: ignore[union-attr]


# ---- leftover


async def test_forbid_refuses_when_anything_was_received_and_leaves_all_as_it_was() -> None:
    async with piped(LineFramer() | TextCodec()) as (pipeline, far):
        await far.send_all(b"starttls\ninjec")
        assert "starttls" == await pipeline.receive()
        with pytest.raises(SurgeryError, match=r"received before the change of .* leftover='forbid'"):
            await pipeline.insert(Same(), at="wire", leftover="forbid")
        await far.send_all(b"ted\nmore\n")
        assert "injected" == await pipeline.receive()
        with pytest.raises(SurgeryError, match="not delivered"):  # a whole line waits
            await pipeline.insert(Same(), at="client", leftover="forbid")
        with pytest.raises(SurgeryError, match="not delivered"):
            await pipeline.insert(Same(), at="wire", leftover="forbid")
        assert "more" == await pipeline.receive()
        await pipeline.insert(Same(), at="wire", leftover="forbid")


async def test_what_a_stage_below_the_place_holds_is_forbidden_too() -> None:
    async with piped(LineFramer() | TextCodec()) as (pipeline, far):
        await far.send_all(b"a\nb")
        assert "a" == await pipeline.receive()
        with pytest.raises(SurgeryError, match="not delivered"):
            await pipeline.insert(Same(), at="client", leftover="forbid")


async def test_a_trust_boundary_forbids_unless_told_otherwise() -> None:
    async with piped(LineFramer()) as (pipeline, far):
        await far.send_all(b"starttls\ninjected\n")
        await pipeline.receive()
        with pytest.raises(SurgeryError, match="forbid"):
            await pipeline.insert(Boundary(), at="wire")
        assert [] == await pipeline.insert(Boundary(), at="wire", leftover="forward")


async def test_return_gives_what_was_received_to_the_caller() -> None:
    async with piped(LineFramer() | TextCodec()) as (pipeline, far):
        await far.send_all(b"a\nb\nc\nd")
        assert "a" == await pipeline.receive()
        assert [b"b\nc\nd"] == await pipeline.replace(LineFramer, LengthFramer(1), leftover="return")
        await far.send_all(b"\x01x")
        assert "x" == await pipeline.receive()


async def test_return_gives_what_waits_below_the_place_too() -> None:
    async with piped(LineFramer() | Same() | TextCodec()) as (pipeline, far):
        await far.send_all(b"a\nb\nc\nd")
        assert "a" == await pipeline.receive()
        assert [b"b", b"c"] == await pipeline.remove(TextCodec, leftover="return")
        await far.send_all(b"\n")
        assert b"d" == await pipeline.receive()


async def test_what_an_outbound_stage_answered_is_no_leftover() -> None:
    class Echo(Outbound[Any, Any]):
        def process_sync(self, item: Any, /) -> list[Any]:
            return [Reply(item)]

    async with piped(LineFramer() | Same() | Echo() | Map(inbound=bytes.upper)) as (pipeline, far):
        await far.send_all(b"a\nb\n")
        assert b"A" == await pipeline.receive()
        await pipeline.send(b"answer")
        assert [b"b"] == await pipeline.remove(Same, leftover="return")
        assert b"ANSWER" == await pipeline.receive()


# ---- refused


@pytest.mark.parametrize(
    "chain",
    [
        lambda: LineFramer() | Held(),
        lambda: LineFramer() | Held() | TextCodec(),
        lambda: LineFramer() | TextCodec() | Held(),
        lambda: LineFramer() | JSONCodec() | Held(),
    ],
    ids=["above", "between", "top", "json"],
)
async def test_a_stage_that_cannot_give_back_refuses_and_nothing_is_lost(chain: Callable[[], Any]) -> None:
    async with piped(chain()) as (pipeline, far):
        await far.send_all(b"1\n2\n3\n4\n")
        got = [await pipeline.receive()]
        with pytest.raises(SurgeryError, match=r"Held .* cannot give back what it took: it has no unread"):
            await pipeline.replace(LineFramer, LengthFramer())
        await far.send_all(b"5\n6\n")
        got += [await pipeline.receive() for _ in range(4)]
        assert ["1", "2", "3", "4", "5"] == [item.decode() if isinstance(item, bytes) else str(item) for item in got]


@pytest.mark.parametrize(
    "limit",
    [
        lambda: Heartbeat(3, lambda: b"ping"),
        lambda: IdleTimeout(30),
        lambda: FrameTimeout(30),
        lambda: CountLimit(4),
        lambda: SizeLimit(10),
    ],
)
async def test_what_waits_above_a_stage_goes_back_through_it_whatever_it_did_before(limit: Callable[[], Any]) -> None:
    """Its start, and a timer that ran, are no part of what it made of the item."""
    async with piped(LineFramer() | limit() | RateLimit(items_per_s=1)) as (pipeline, far):
        with trio.move_on_after(4):
            await pipeline.receive()
        await far.send_all(b"one\ntwo\nthree\nfour\n")
        assert b"one" == await pipeline.receive()
        with trio.move_on_after(0.5):
            await pipeline.receive()
        await pipeline.insert(TextCodec(), after=LineFramer)
        assert ["two", "three", "four"] == [await pipeline.receive() for _ in range(3)]


async def test_a_text_codec_gives_back_a_cut_character() -> None:
    async with piped(TextCodec() | Map(inbound=str.upper)) as (pipeline, far):
        await far.send_all("aé".encode()[:2])
        assert "A" == await pipeline.receive()
        await pipeline.replace(TextCodec, TextCodec("latin-1"))
        assert "Ã" == await pipeline.receive()


async def test_a_start_that_fails_is_a_refusal() -> None:
    notes = Notes("NotesIn.start")
    async with piped(LineFramer()) as (pipeline, far):
        await far.send_all(b"a\nb\nc")
        assert b"a" == await pipeline.receive()
        with pytest.raises(SurgeryError, match=r"a new stage did not start: ValueError.'no start'") as info:
            await pipeline.replace(LineFramer, LengthFramer() | notes)
        assert isinstance(info.value.__cause__, ValueError)
        assert ["NotesIn.start", "NotesIn.close", "NotesOut.close"] == notes.done
        assert "LineFramer()" == repr(pipeline.chain)
        await far.send_all(b"\n")
        assert [b"b", b"c"] == [await pipeline.receive(), await pipeline.receive()]
        await pipeline.send(b"out")
        assert b"out\n" == await far.receive_some()


async def test_a_change_of_a_broken_direction_is_refused() -> None:
    async with piped(LineFramer(2)) as (pipeline, far):
        await far.send_all(b"long\n")
        with pytest.raises(Exception, match="over the limit"):
            await pipeline.receive()
        with pytest.raises(trio.BrokenResourceError, match="inbound is broken"):
            await pipeline.remove(LineFramer)
        await pipeline.insert(Map(outbound=bytes.upper), at="client")  # outbound still works
        await pipeline.send(b"a")
        assert b"A\n" == await far.receive_some()
        await far.aclose()
        with pytest.raises(trio.BrokenResourceError):
            await pipeline.send(b"b")
        with pytest.raises(trio.BrokenResourceError, match="outbound is broken"):
            await pipeline.remove("Map")
    with pytest.raises(trio.ClosedResourceError):
        await pipeline.remove("Map")


async def test_a_one_way_pipeline_can_be_changed() -> None:
    near, far = memory_stream_pair()
    async with Pipeline(near.receive_stream, LineFramer()) as pipeline:
        await far.send_all(b"a\n\x01b")
        assert b"a" == await pipeline.receive()
        await pipeline.replace(LineFramer, LengthFramer(1))
        assert b"b" == await pipeline.receive()


# ---- at the end of the stream


async def test_the_end_stays_behind_what_goes_through_the_new_chain() -> None:
    async with piped(LineFramer()) as (pipeline, far):
        await far.send_all(b"a\nb")
        await far.send_eof()
        assert b"a" == await pipeline.receive()
        await pipeline.replace(LineFramer, LineFramer(at_eof="emit"))
        assert b"b" == await pipeline.receive()
        with pytest.raises(trio.EndOfChannel):
            await pipeline.receive()
        await pipeline.insert(Map(outbound=bytes.upper), at="client")
        await pipeline.insert(Same(), at="wire")
        await pipeline.send(b"out")
        assert b"OUT\n" == await far.receive_some()
        with pytest.raises(trio.EndOfChannel):
            await pipeline.receive()


async def test_an_end_that_waits_at_the_place_stays_behind() -> None:
    """The lines are cut, and the end has been seen, but nobody asked for them yet."""

    class Ends(Inbound[Any, Any]):
        def process_sync(self, item: Any, /) -> list[Any]:
            return [item, b"last", END]

    async with piped(Ends() | LineFramer(at_eof="emit")) as (pipeline, far):
        await far.send_all(b"a\nb")
        assert b"a" == await pipeline.receive()
        await pipeline.replace(LineFramer, Map(inbound=bytes.upper))
        assert [b"B", b"LAST"] == [item async for item in pipeline]


async def test_what_finished_stages_gave_is_received_before_a_change() -> None:
    class Late(Inbound[Any, Any]):
        def process_sync(self, item: Any, /) -> list[Any]:
            return []

        async def finish(self) -> list[Any]:
            return [b"x", b"y"]

    async with piped(Late()) as (pipeline, far):
        await far.send_eof()
        assert b"x" == await pipeline.receive()
        with pytest.raises(SurgeryError, match=r"what its finish\(\) gave waits to be received"):
            await pipeline.remove(Late)
        assert b"y" == await pipeline.receive()
        await pipeline.insert(Same(), at="wire")  # now it has finished
        with pytest.raises(trio.EndOfChannel):
            await pipeline.receive()
        await pipeline.remove(Late)


async def test_a_stage_that_finished_while_those_above_have_not_cannot_be_replaced() -> None:
    class Late(Same):
        async def finish(self) -> list[Any]:
            return [b"x", b"y"]

    async with piped(LineFramer() | Late()) as (pipeline, far):
        await far.send_eof()
        assert b"x" == await pipeline.receive()
        with pytest.raises(SurgeryError, match=r"inbound has ended, and what the stages .* gave was not received"):
            await pipeline.remove(LineFramer)
        assert b"y" == await pipeline.receive()


# ---- handshakes


async def test_the_handshake_of_a_new_stage_is_driven_on_both_sides() -> None:
    near, far = memory_stream_pair()
    async with Pipeline(near, Map(inbound=bytes)) as client, Pipeline(far, Map(inbound=bytes)) as server:

        async def upgrade(pipeline: Pipeline[Any, Any], *, is_client: bool) -> None:
            await pipeline.insert(Handshake(client=is_client), at="wire")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: upgrade(client, is_client=True))
            nursery.start_soon(lambda: upgrade(server, is_client=False))
        await client.send(b"hi")
        assert b"hi" == await server.receive()


async def test_a_handshake_that_fails_breaks_both_directions_after_its_last_word() -> None:
    near, far = memory_stream_pair()
    async with Pipeline(near, Lines() | Same()) as pipeline:
        await far.send_all(b"wrong\n")
        with pytest.raises(ValueError, match="no handshake"):
            await pipeline.insert(Handshake(client=False), after=Lines)
        assert b"refused\n" == await far.receive_some()
        with pytest.raises(trio.BrokenResourceError):
            await pipeline.receive()
        with pytest.raises(trio.BrokenResourceError):
            await pipeline.send(b"x")


async def test_a_handshake_that_is_cancelled_breaks_both_directions() -> None:
    async with piped(Lines()) as (pipeline, far):
        with trio.move_on_after(3) as scope:
            await pipeline.insert(Handshake(client=True), at="wire")
        assert scope.cancelled_caught
        assert b"hello" == await far.receive_some()
        with pytest.raises(trio.BrokenResourceError, match="cancelled before the new stages were ready"):
            await pipeline.send(b"x")
        with pytest.raises(trio.BrokenResourceError):
            await pipeline.receive()


async def test_a_peer_that_goes_away_in_the_handshake_is_an_error() -> None:
    async with piped(Lines()) as (pipeline, far):
        await far.send_eof()
        with pytest.raises(ValueError, match="went away during the handshake"):
            await pipeline.insert(Handshake(client=True), at="wire")


async def test_what_start_replies_goes_out_at_once() -> None:
    async with piped(LineFramer()) as (pipeline, far):
        await pipeline.insert(Notes(start=(Reply(b"preface"),)), at="wire")
        assert b"preface" == await far.receive_some()


async def test_closing_ends_a_change_that_waits() -> None:
    async with piped(Lines()) as (pipeline, _), trio.open_nursery() as nursery:

        async def insert() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await pipeline.insert(Handshake(client=True), at="wire")

        async def insert_next() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await pipeline.insert(Same(), at="wire")

        nursery.start_soon(insert)
        await until_waiting()
        nursery.start_soon(insert_next)
        await until_waiting()
        await pipeline.aclose()


async def test_closing_ends_a_start_that_waits() -> None:
    class Sleeps(Same):
        async def start(self) -> list[Any]:
            await trio.sleep_forever()
            raise AssertionError("unreachable")

    async with piped(Lines()) as (pipeline, _), trio.open_nursery() as nursery:

        async def insert() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await pipeline.insert(Sleeps(), at="wire")

        nursery.start_soon(insert)
        await until_waiting()
        await pipeline.aclose()


# ---- what goes


async def test_the_old_stage_is_closed_and_finishes_only_if_asked() -> None:
    notes = Notes()
    async with piped(Lines() | notes) as (pipeline, _):
        await pipeline.remove(notes)
    assert ["NotesIn.start", "NotesIn.close", "NotesOut.close"] == notes.done


async def test_with_finish_what_it_still_has_goes_on_both_ways() -> None:
    async with piped(Lines() | Notes()) as (pipeline, far):
        await far.send_all(b"a\nb\nc\n")
        assert b"a" == await pipeline.receive()
        await pipeline.replace(Notes, Map(inbound=bytes.upper, outbound=bytes.upper), finish=True)
        await pipeline.send(b"out")
        assert b"NotesOut finished\nOUT\n" == await far.receive_some()
        assert [b"NotesIn finished", b"B", b"C"] == [await pipeline.receive() for _ in range(3)]


async def test_the_halves_of_what_finishes_may_be_chains() -> None:
    class Both(Duplex[Any, Any, Any, Any]):
        def __init__(self) -> None:
            self.inbound = NotesIn("", ()) | Same() | Counting()
            self.outbound = Closing()

    class Counting(Inbound[Any, Any]):
        def __init__(self) -> None:
            self.count = 0

        async def process(self, item: Any, /) -> list[Any]:
            await trio.sleep(1)
            self.count += 1
            return [Reply(b"counted"), item]

        def unread(self, outputs: Any, /) -> tuple[()]:
            return ()

        async def finish(self) -> list[Any]:
            return [str(self.count).encode(), END]

    async with piped(Lines() | Both()) as (pipeline, far):
        await pipeline.remove(Both, finish=True)
        assert [b"NotesIn finished", b"1"] == [await pipeline.receive(), await pipeline.receive()]
        await pipeline.flush()
        assert b".\ncounted\n" == await far.receive_some()


async def test_a_half_that_has_finished_does_not_finish_again() -> None:
    notes = Notes()
    async with piped(LineFramer() | notes) as (pipeline, far):
        await pipeline.send_eof()
        assert b"NotesOut finished\n" == await far.receive_some()
        await pipeline.remove(notes, finish=True)
        assert b"NotesIn finished" == await pipeline.receive()
    assert 1 == notes.done.count("NotesOut.finish")


@pytest.mark.parametrize("fails", ["NotesIn.finish", "NotesOut.finish"])
async def test_a_finish_that_fails_breaks_both_directions(fails: str) -> None:
    async with piped(Lines() | Notes(fails)) as (pipeline, _):
        with pytest.raises(ValueError, match="no finish"):
            await pipeline.remove(Notes, finish=True)
        with pytest.raises(trio.BrokenResourceError):
            await pipeline.receive()
        with pytest.raises(trio.BrokenResourceError):
            await pipeline.send(b"x")


@pytest.mark.parametrize("fails", ["NotesIn.close", "NotesOut.close"])
async def test_a_close_that_fails_is_raised_when_the_change_is_made(fails: str) -> None:
    async with piped(Lines() | Notes(fails)) as (pipeline, far):
        await far.send_all(b"a\nb\n")
        assert b"a" == await pipeline.receive()
        with pytest.raises(ValueError, match="no close"):
            await pipeline.replace(Notes, Handshake(client=True))
        await far.send_all(b"hello\nc\n")


# ---- cancelled anywhere


@pytest.mark.parametrize("kind", ["plain", "handshake", "finish", "return"])
async def test_a_change_cancelled_anywhere_is_made_or_not_or_broke_the_pipeline_loudly(kind: str) -> None:
    step = steps = 0
    while True:
        step += 1
        near, far = memory_stream_pair()
        async with trio.open_nursery() as nursery, Pipeline(near, Lines() | Notes() | Same()) as pipeline:
            await far.send_all(b"a\nhello\nb\n" if kind != "handshake" else b"a\n")
            assert b"a" == await pipeline.receive()
            if kind == "handshake":
                nursery.start_soon(say_hello, far)

            async def act(pipeline: Pipeline[Any, Any] = pipeline) -> None:
                new: Any = Handshake(client=True) if kind == "handshake" else Notes()
                left: Any = "return" if kind == "return" else None
                await pipeline.replace(Notes, new, finish=kind == "finish", leftover=left)

            if not await cancelled_at(step, act):
                break
            steps += 1
            try:
                left = [await pipeline.receive(), await pipeline.receive()]
                assert left in ([b"hello", b"b"], [b"NotesIn finished", b"hello"])
            except trio.BrokenResourceError as error:
                assert "was cancelled" in str(error)  # noqa: PT017 - either outcome is right
                with pytest.raises(trio.BrokenResourceError):
                    await pipeline.send(b"x")
        with pytest.raises(trio.BrokenResourceError):
            await far.send_all(b"the transport is closed")
    assert steps > 0


async def say_hello(far: Any) -> None:
    for _ in range(3):
        await trio.lowlevel.checkpoint()
    await far.send_all(b"hello\n")
    await far.send_all(b"b\n")


def test_an_error_of_the_library_is_what_a_change_raises() -> None:
    assert issubclass(SurgeryError, PipelineError)
