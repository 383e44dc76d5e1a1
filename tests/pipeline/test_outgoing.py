"""What is sent, and cut short; what comes out at the wire end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pipeline import (
    END,
    Duplex,
    Engine,
    Outbound,
    PipelineError,
    Reply,
    StageReturnError,
    Waiting,
)
from pipeline._flow import WOULD_WAIT
from tests.pipeline.engines import (
    Cancelled,
    FreeOut,
    Handshake,
    In,
    Out,
    Waits,
    finished,
    note_of,
    pause,
    received,
    running,
    sent,
    taken,
    written,
)

# ---- P10: sends that are cut short


def test_a_failed_send_has_no_effect_where_no_stage_keeps_state() -> None:
    """The item is as if never sent, and the next one goes."""
    engine = running(
        FreeOut(lambda _, item: [1 // item]) | FreeOut(lambda _, item: [1, 0] if item == "bad" else [item])
    )
    engine.send("bad")
    with pytest.raises(ZeroDivisionError):
        engine.to_write()

    assert not engine.sending
    assert 0 == engine.to_write_bytes
    assert [1] == sent(engine, 1)


def test_a_stage_that_refuses_an_item_has_not_gone_ahead() -> None:
    """Though it keeps state: what raised has not happened, whether at once or before its first result."""

    def at_once(stage: Out, item: Any) -> Any:
        return [1 // item]

    class Lazily(Out):
        def process_sync(self, item: Any, /) -> Iterator[Any]:
            yield 1 // item

    for stage in (Out(at_once), Lazily()):
        engine = running(stage)
        engine.send(0)
        with pytest.raises(ZeroDivisionError):
            engine.to_write()

        assert [1] == sent(engine, 1)


@pytest.mark.parametrize("lazily", [False, True])
def test_a_failed_send_breaks_outbound_where_a_stage_has_gone_ahead(lazily: bool) -> None:
    """Loudly, naming it; the cause is the error."""

    class Compress(Out):
        def process_sync(self, item: Any, /) -> list[Any]:
            return [item]

    class LazyCompress(Out):
        def process_sync(self, item: Any, /) -> Iterator[Any]:
            yield item

    engine = running(FreeOut(lambda _, item: [1 // item]) | (LazyCompress() if lazily else Compress()))
    engine.send(0)
    with pytest.raises(ZeroDivisionError) as info:
        engine.to_write()

    with pytest.raises(
        PipelineError,
        match=r"is broken: a send was cut short by ZeroDivision.* after (Lazy)?Compress had gone ahead of the wire$",
    ) as broken:
        engine.send(1)
    cause = broken.value.__cause__
    assert cause is not None
    assert cause.__cause__ is info.value


def test_a_lazy_stage_that_swallowed_an_item_has_gone_ahead() -> None:
    """A generator that gave nothing may have kept it."""

    class Batch(Out):
        def process_sync(self, item: Any, /) -> Iterator[Any]:
            yield from ()

    engine = running(Batch() | FreeOut(lambda _, item: (1 // number for number in (1, 0))))
    engine.send(1)
    with pytest.raises(ZeroDivisionError):
        engine.to_write()

    assert engine.outbound_error is not None


def test_a_send_of_which_a_part_was_written_breaks_outbound() -> None:
    """No matter what the stages keep; the rest is not written, as it would look whole."""
    engine = running(FreeOut(lambda _, item: (part or 1 // 0 for part in (b"x" * 70_000, b"", b"z"))), byte_wire=True)
    engine.send(1)
    assert 70_000 == len(engine.to_write()[0])
    assert engine.send_is_torn
    with pytest.raises(ZeroDivisionError):
        engine.to_write()

    with pytest.raises(PipelineError, match="after a part of the item was handed to the wire"):
        engine.send(1)
    assert 0 == engine.to_write_bytes


def test_a_partly_written_piece_counts_as_handed_over() -> None:
    """To the byte; the rest of a complete item is written by the next write, come what may."""
    engine = running(FreeOut(), byte_wire=True)
    engine.send(b"abcdef")
    engine.work_out()
    engine.wrote(2)
    assert engine.send_is_torn
    assert engine.send_is_out
    engine.finish_send()
    assert b"cdef" == engine.peek()
    engine.send(b"gh")

    assert [b"cdefgh"] == written(engine)


def test_replies_in_the_buffer_survive_an_aborted_send() -> None:
    """They belong to the pipeline, not to the call (P14)."""
    engine = running(In(lambda _, item: [Reply(item)]) | FreeOut(), byte_wire=True)
    received(engine, b"r1")
    engine.work_out()
    engine.send(b"lost")
    engine.work_out()
    received(engine, b"r2")
    engine.work_out()
    assert b"r1lostr2" == engine.peek()

    engine.abort_send(Cancelled())
    engine.abort_send(Cancelled())

    assert [b"r1r2"] == written(engine)
    assert engine.outbound_error is None
    assert not engine.owes_replies


@pytest.mark.parametrize("how", ["aborted", "broken"])
def test_replies_behind_a_send_that_a_stage_has_gone_ahead_with_mean_nothing(how: str) -> None:
    """What a cipher or a compressor made of them cannot be read without what was dropped; they are counted."""

    def numbered(stage: Out, item: Any) -> list[bytes]:
        return [b"%d:%b " % (len(stage.seen), item)]

    engine = running(Out(numbered) | In(lambda _, item: [Reply(item)]), byte_wire=True)
    received(engine, b"r1")
    engine.work_out()
    engine.send(b"lost")
    engine.work_out()
    received(engine, b"r2")
    engine.work_out()
    assert b"1:r1 2:lost 3:r2 " == engine.peek()

    if how == "aborted":
        engine.abort_send(Cancelled())
    else:
        engine.break_outbound(ValueError())

    assert b"1:r1 " == engine.peek()
    assert 1 == engine.dropped_replies
    assert engine.outbound_error is not None


def test_an_aborted_send_lets_a_delayed_reply_go() -> None:
    """The list it waited for will never be through."""
    frame = Duplex(In(lambda _, item: [Reply(item)]), FreeOut(lambda _, item: ["a" * 70_000, "b"]))
    engine = running(frame)
    engine.send("x")
    engine.work_out()
    received(engine, "r")
    engine.abort_send(Cancelled())

    assert ["r"] == written(engine)


def test_breaking_outbound_leaves_whole_replies_to_be_written() -> None:
    """An alert goes out; the part of a send which is there does not."""
    engine = running(
        In(lambda _, item: [Reply(item)]) | FreeOut(lambda _, item: iter([b"x" * 70_000, b"y"])), byte_wire=True
    )
    received(engine, b"alert")
    engine.work_out()
    engine.send(1)
    engine.work_out()

    engine.break_outbound(ValueError("no"))

    assert [b"alert"] == written(engine)
    assert not engine.sending
    assert [b"in"] != received(engine, b"in")
    engine.break_outbound(KeyError())
    assert isinstance(engine.outbound_error, ValueError)


def test_a_reply_that_fails_on_its_way_breaks_outbound() -> None:
    """It is no caller's."""
    engine = running(Out(lambda _, item: [1 // item]) | In(lambda _, item: [Reply(item)]))
    received(engine, 0)
    with pytest.raises(ZeroDivisionError) as info:
        engine.to_write()

    assert engine.outbound_error is info.value


def test_an_error_while_a_cut_send_is_cleaned_up_is_told() -> None:
    """As a note of what cut it short."""

    def act(stage: Any, item: Any) -> Iterator[Any]:
        try:
            yield "a" * 70_000
            yield "b"
        finally:
            raise ValueError("clean-up")

    engine = running(FreeOut(act))
    engine.send("x")
    engine.work_out()
    error = Cancelled()

    engine.abort_send(error)

    assert ["and then ValueError('clean-up')"] == error.__notes__
    assert ["and then ValueError('clean-up')"] == broken_with(act).__notes__


def broken_with(act: Any) -> BaseException:
    engine = running(FreeOut(act))
    engine.send("x")
    engine.work_out()
    error = KeyError()
    engine.break_outbound(error)
    return error


def test_a_send_that_waits_in_a_stage_is_given_up_with_it() -> None:
    """Aborting closes the stage's call."""

    class Slow(Outbound[Any, Any]):
        async def process(self, item: Any, /) -> list[Any]:
            await pause()
            return [item]

    engine = running(Slow())
    engine.send("x")
    assert isinstance(engine.to_write(), Waiting)
    engine.abort_send(Cancelled())

    assert [] == engine.to_write()
    engine.close()


def test_an_aborted_send_leaves_a_waiting_timer_alone() -> None:
    """It overtook results of the send, and is not part of it."""

    class Beats(FreeOut):
        deadline: float | None = 10.0

        async def on_timer(self, now: float, /) -> list[Any]:
            await pause()
            self.deadline = None
            return ["beat"]

    engine = running(Handshake() | Beats(lambda _, item: [item, item]), clock=lambda: 20.0)
    engine.send("x")
    assert [] == engine.to_write()
    engine.tick()
    waiting = engine.to_write()
    assert not engine.send_is_out
    engine.abort_send(Cancelled())
    finished(waiting)
    received(engine, "go")

    assert ["beat"] == written(engine)


def test_a_send_that_comes_to_nothing_while_another_task_runs_outbound_is_known() -> None:
    """Its own task learns of it, once, and not the one which only wrote replies."""
    for why in ("END", "error"):
        engine = running(
            In(lambda _, item: [Reply(END) if item == "END" else Reply("text")]) | Handshake(), byte_wire=True
        )
        engine.send(b"x")
        engine.work_out()
        received(engine, why)
        if why == "error":
            engine.break_outbound(ValueError("by another task"))
        else:
            assert END is engine.work_out(replies_only=True)

        assert not engine.sending
        error = engine.take_send_error()
        assert (why == "END") == ("before the item that was sent was through" in str(error))
        assert engine.take_send_error() is None


def test_one_item_at_a_time_is_sent() -> None:
    """The message says how to go on."""
    engine = running(Out())
    engine.send(1)
    with pytest.raises(PipelineError, match=r"still under way: call to_write\(\) until it gives \[\]"):
        engine.send(2)


# ---- the wire end


@pytest.mark.parametrize(
    ("item", "how"), [("text", r"TextCodec\(\), or item.encode\(\)"), ({"a": 1}, r"a codec such as JSONCodec\(\)")]
)
def test_a_byte_wire_takes_bytes_only(item: Any, how: str) -> None:
    """The message names the encoder that is missing, and nothing was sent."""
    engine = running(FreeOut() | In(), byte_wire=True)
    engine.send(item)
    start = rf"^the chain FreeOut\(\) \| In\(\) gave the wire {type(item).__name__} .*"
    end = rf".*byte stream and takes bytes: put an encoder into the chain \({how}\)$"
    with pytest.raises(TypeError, match=start + end):
        engine.to_write()

    assert [b"ok"] == sent(engine, b"ok")


def test_a_reply_that_is_no_bytes_breaks_outbound() -> None:
    """It is the chain's mistake, and not the sender's."""
    engine = running(In(lambda _, item: [Reply("text")]), byte_wire=True)
    received(engine, b"x")
    with pytest.raises(TypeError, match="gave the wire str 'text'"):
        engine.to_write()

    assert engine.outbound_error is not None


def test_a_byte_wire_joins_and_leaves_out_what_is_empty() -> None:
    """One write for all that an item became (P12)."""
    engine = running(Out(lambda _, item: [b"a", bytearray(b"b"), b"", memoryview(b"c")]), byte_wire=True)

    assert [b"abc"] == sent(engine, 1)
    engine = running(Out(lambda _, item: [b""]), byte_wire=True)
    assert [] == sent(engine, 1)
    assert not engine.sending


def test_a_write_is_about_64_kib() -> None:
    """So memory stays bounded, however much an item becomes."""
    engine = running(Out(lambda _, item: (bytes(1000) for _ in range(1000))), byte_wire=True)
    engine.send(1)
    writes = []
    while data := engine.to_write():
        assert isinstance(data, list)
        writes += data

    assert 1_000_000 == sum(map(len, writes))
    assert max(map(len, writes)) < 67_000


def test_a_driver_may_ask_not_to_wait() -> None:
    """It is told before a call that may wait, in every place where one can be."""

    class Slow(Outbound[Any, Any]):
        async def process(self, item: Any, /) -> list[Any]:
            await self._look_up()
            return [item]

        async def _look_up(self) -> None:
            pass

        async def finish(self) -> list[Any]:
            return ["last"]

    engine = running(Waits(0) | Slow(), clock=lambda: 2.0)
    assert WOULD_WAIT is engine.advance_inbound(never_wait=True)
    assert ["started"] == taken(engine)
    engine.feed(1)
    assert WOULD_WAIT is engine.advance_inbound(never_wait=True)
    assert [1] == taken(engine)
    engine.tick()
    assert WOULD_WAIT is engine.advance_inbound(never_wait=True)
    assert ["tick"] == taken(engine)
    engine.feed_eof()
    assert WOULD_WAIT is engine.advance_inbound(never_wait=True)
    assert ["finished", END] == taken(engine)
    engine.send(2)
    assert WOULD_WAIT is engine.work_out(never_wait=True)
    assert [2] == written(engine)
    engine.send_eof()
    assert WOULD_WAIT is engine.work_out(never_wait=True)
    assert ["last"] == written(engine)


def test_a_driver_may_leave_a_send_where_it_is() -> None:
    """`replies_only`: what another task sends stays, what is below goes out."""
    engine = running(Out() | In(lambda _, item: [Reply(item)]) | Out())
    engine.send("mine")
    received(engine, "r")

    engine.work_out(replies_only=True)
    assert ["r"] == engine.peek()
    assert not engine.send_is_out
    engine.work_out()
    assert ["r", "mine"] == engine.peek()
    assert engine.send_is_out


def test_an_idle_outbound_lets_a_driver_take_a_short_cut() -> None:
    """Only if nothing at all is under way."""
    engine: Any = Engine(FreeOut() | In(lambda _, item: [Reply(item)]))
    assert not engine.outbound_idle
    engine.start()
    assert engine.outbound_idle
    received(engine, 1)
    assert not engine.outbound_idle
    written(engine)
    assert engine.outbound_idle
    engine.send_eof()
    assert not engine.outbound_idle


def test_what_is_left_of_a_write_goes_first() -> None:
    """A driver that took the short cut and was cut short puts the rest back."""
    engine = running(FreeOut(), byte_wire=True)
    taken(engine)
    engine.add_unsent(b"rest")
    engine.send(b"next")

    assert [b"restnext"] == written(engine)


def test_a_short_cut_is_taken_over_where_it_ended() -> None:
    """At a stage with its result, or at the wire end."""
    engine = running(FreeOut(lambda _, item: [item, item]) | FreeOut())
    taken(engine)
    slot = engine.outbound_slots[0]
    engine.resume_send(slot, "x", ["x"])
    assert ["x", "x"] == written(engine)
    engine.resume_send(None, "x", ["y"])
    assert ["x"] == written(engine)
    with pytest.raises(StageReturnError):
        engine.resume_send(slot, "x", None)
    assert not engine.sending


def test_a_short_cut_that_fails_is_an_error_of_its_stage() -> None:
    """Ctrl-C stays itself."""
    engine = running(FreeOut())
    slot = engine.outbound_slots[0]
    with pytest.raises(ValueError) as info:
        slot.flow.fail(slot, "x", ValueError())
    assert "item: 'x'" in note_of(info.value)
    with pytest.raises(KeyboardInterrupt) as interrupt:
        slot.flow.fail(slot, "x", KeyboardInterrupt())
    assert not hasattr(interrupt.value, "__notes__")
