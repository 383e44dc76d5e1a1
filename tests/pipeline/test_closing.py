"""P8: a pipeline closes in good order if it may, within a time, and always."""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterator
from typing import Any

import pytest
import trio
import trio.testing

from pipeline import Duplex, Inbound, Outbound, Passthrough, Pipeline, Reply, inbound, outbound
from tests.pipeline.parts import Paced
from tests.pipeline.wires import (
    PATIENCE,
    Clogged,
    Closing,
    Lines,
    Recorder,
    clog,
    read_all,
    small_buffers,
    tcp_pair,
    tls,
    unix_pair,
)


class Waits(Inbound[Any, Any]):
    """Waits for ever when it processes."""

    async def process(self, item: Any, /) -> list[Any]:
        with trio.move_on_after(3600):
            await trio.sleep_forever()
        return [item]


class Refuses(Outbound[bytes, bytes]):
    """Refuses an item."""

    def process_sync(self, item: bytes, /) -> list[bytes]:
        raise ValueError("not this one")


async def test_a_block_that_ended_well_lets_the_stages_finish() -> None:
    """What they give is written, then stages and transport are closed."""
    transport, near, far = Recorder(), Closing(), Closing()

    async with Pipeline(transport, near | far) as pipeline:
        await pipeline.send(b"item")

    assert b"item.." == b"".join(transport.writes)
    assert (1, 1, 1) == (near.closed, far.closed, transport.closed)


async def test_what_waits_for_its_time_when_a_block_ends_is_written() -> None:
    """Closing waits for a gate that opens by its timer, but the end itself need not."""
    transport, near, far = Recorder(), Closing(), Closing()

    async with Pipeline(transport, near | Paced() | far) as pipeline:
        await pipeline.send(b"item")
        start = trio.current_time()

    assert b"item.." == b"".join(transport.writes)
    assert 1 == pytest.approx(trio.current_time() - start), "the terminator of one; the other is below"


async def test_closing_waits_for_no_gate_that_nothing_waits_at() -> None:
    transport = Recorder()
    async with Pipeline(transport, Paced()) as pipeline:
        await pipeline.send(b"item")
        start = trio.current_time()
    assert start == trio.current_time()


async def test_closing_does_not_wait_for_a_timer_that_opens_nothing() -> None:
    """The end has passed the one gate, and waits at another one."""

    class NeverReady(Outbound[bytes, bytes]):
        ready = True

        def process_sync(self, item: bytes, /) -> list[bytes]:
            self.ready = False
            return [item]

    transport = Recorder()
    async with Pipeline(transport, NeverReady() | Paced()) as pipeline:
        await pipeline.send(b"item")
        start = trio.current_time()
    assert start == trio.current_time()


async def test_a_block_that_raised_writes_no_terminator() -> None:
    """Nothing truncated may look complete; the stages are closed all the same."""
    transport, stage = Recorder(), Closing()

    with pytest.raises(ValueError, match="of mine"):
        async with Pipeline(transport, stage) as pipeline:
            await pipeline.send(b"begin")
            raise ValueError("of mine")

    assert [b"begin"] == transport.writes
    assert (0, 1, 1) == (stage.finished, stage.closed, transport.closed)


async def test_an_item_cut_in_the_middle_gets_no_terminator() -> None:
    """Outbound is broken then, and aclose() does not let the stages finish."""

    def halves(item: bytes) -> Iterator[bytes]:
        yield b"x" * 70000
        raise ValueError("second half")

    transport, stage = Recorder(), Closing()
    pipeline = Pipeline(transport, stage | outbound(halves))
    with pytest.raises(ValueError, match="second half"):
        await pipeline.send(b"item")
    await pipeline.aclose()

    assert [b"x" * 70000] == transport.writes
    assert (0, 1) == (stage.finished, stage.closed)


async def test_a_refused_item_does_not_prevent_a_good_ending() -> None:
    """A send that failed without effect leaves outbound whole."""

    def refuse_empty(item: bytes) -> list[bytes]:
        return [item[: 1 // len(item)]]

    transport, stage = Recorder(), Closing()
    async with Pipeline(transport, stage | outbound(refuse_empty)) as pipeline:
        with pytest.raises(ZeroDivisionError):
            await pipeline.send(b"")

    assert [b"."] == transport.writes


@pytest.mark.parametrize("seconds", [0.5, 20])
async def test_a_peer_that_never_reads(seconds: float) -> None:
    """Closing ends in time, and the error says how long it took and how many bytes are lost."""
    transport, stage = Clogged(), Closing()
    pipeline = Pipeline(transport, stage, close_seconds=seconds)
    began = trio.current_time()

    with pytest.raises(trio.BrokenResourceError, match=f"after {seconds} seconds with 1 bytes unwritten"):
        async with pipeline:
            pass

    assert seconds == trio.current_time() - began
    assert (1, 1) == (stage.closed, transport.closed)


async def test_a_peer_that_never_reads_from_a_socket() -> None:
    """The same over TCP, when the kernel takes nothing more."""
    near, far = await tcp_pair()
    small_buffers(near, far)
    pipeline = Pipeline(near, Closing(), close_seconds=0.1)
    with pytest.raises(trio.BrokenResourceError, match=r"0\.1 seconds with 1 bytes unwritten"):
        async with far, pipeline:
            await clog(near)
            began = trio.current_time()

    assert 0.1 == pytest.approx(trio.current_time() - began)
    assert -1 == near.socket.fileno()


async def test_a_peer_that_never_reads_tls() -> None:
    """The same over TLS, whose close notify does not go out either."""
    raw, raw_peer = await tcp_pair()
    small_buffers(raw, raw_peer)
    near, far = tls(raw, raw_peer)
    pipeline = Pipeline(near, outbound(lambda item: [item]), close_seconds=0.1, merge_writes=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(far.do_handshake)
        await pipeline._enter()
    await pipeline.send(b"x" * 60_000)
    began = trio.current_time()
    await pipeline.aclose()
    await trio.aclose_forcefully(far)

    assert trio.current_time() - began <= 0.1
    assert -1 == raw.socket.fileno()


@pytest.mark.parametrize("closes", [False, True])
async def test_a_peer_that_does_not_close(closes: bool, caplog: pytest.LogCaptureFixture) -> None:
    """All is written, so it is no error; the log tells what took so long, and what to do."""
    near, far = await tcp_pair()
    async with far, Pipeline(near, Passthrough(), close_seconds=0.5) as pipeline:
        await pipeline.send(b"goodbye")
        if closes:
            await far.aclose()
            await trio.lowlevel.wait_readable(near.socket)

    assert [("pipeline.close", logging.WARNING)] * (not closes) == [
        (record.name, record.levelno) for record in caplog.records
    ]
    for record in caplog.records:
        assert record.getMessage().startswith("closing Passthrough() took 0.5 seconds")
        assert "the peer did not close its end. If that end is in this task too, give each" in record.getMessage()


async def test_a_block_that_raised_warns_of_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Its error is what is to be read, however long the closing takes."""
    near, far = await unix_pair()
    async with far:
        with pytest.raises(KeyError):
            async with Pipeline(near, Passthrough()) as pipeline:
                await pipeline.send(b"goodbye")
                raise KeyError

    assert 5 == trio.current_time()
    assert [] == caplog.records


class _SaysSorry(Inbound[bytes, bytes]):
    """Answers, then fails."""

    def process_sync(self, item: bytes, /) -> Iterator[Any]:
        yield Reply(b"400 " * 1000)
        raise ValueError("bad request")


@pytest.mark.real_time
@pytest.mark.parametrize("make_pair", [tcp_pair, unix_pair])
async def test_a_reply_before_an_error_arrives(make_pair: Any) -> None:
    """Reply, then raise, then close: the peer sees the reply and the end."""
    near, far = await make_pair()
    async with far, trio.open_nursery() as nursery:

        async def fail() -> None:
            with pytest.raises(ValueError, match="bad request"):
                async with Pipeline(near, _SaysSorry()) as pipeline:
                    await pipeline.receive()

        nursery.start_soon(fail)
        await far.send_all(b"GET")
        assert b"400 " * 1000 == await read_all(far)
        await far.aclose()


@pytest.mark.real_time
@pytest.mark.parametrize("make_pair", [tcp_pair, unix_pair])
async def test_unread_input_does_not_destroy_the_last_reply(make_pair: Any) -> None:
    """All of it arrives, although the peer sent what nobody read, goes on sending, and reads late."""
    near, far = await make_pair()
    small_buffers(near, far)
    async with far, trio.open_nursery() as nursery:

        async def answer() -> None:
            async with Pipeline(near, Passthrough(Lines()), close_seconds=PATIENCE) as pipeline:
                await pipeline.send(b"the last reply")
                sent.set()

        sent = trio.Event()
        await far.send_all(b"unread" * 1000)
        filled = await clog(near)
        nursery.start_soon(answer)
        wire = b""
        while not sent.is_set():
            wire += await far.receive_some(1000)
            await trio.testing.wait_all_tasks_blocked()
        await far.send_all(b"more" * 1000)
        await trio.testing.wait_all_tasks_blocked(0.01)
        wire += await read_all(far)
        await far.aclose()

    assert b"x" * filled + b"the last reply" == wire


@pytest.mark.real_time
async def test_unread_input_does_not_destroy_the_last_reply_over_tls() -> None:
    """The close notify goes out, then the socket below is half-closed and what comes is discarded."""
    raw, raw_peer = await tcp_pair()
    small_buffers(raw_peer)
    near, far = tls(raw, raw_peer)
    reply = bytes(300_000)

    async def answer() -> None:
        async with Pipeline(near, Passthrough(Lines()), close_seconds=PATIENCE) as pipeline:
            await pipeline.send(reply)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        await far.do_handshake()
        await far.send_all(b"unread" * 1000)
        await trio.testing.wait_all_tasks_blocked(0.01)
        with trio.fail_after(PATIENCE):
            assert reply == await read_all(far)
        await far.aclose()


@pytest.mark.parametrize("ends", [1, 2])
async def test_a_cancelled_aclose_still_closes(ends: int) -> None:
    """At once, and without finishing."""
    stage = Closing()
    halves = Clogged(), Clogged()
    transport: Any = halves if ends == 2 else halves[0]
    pipeline = Pipeline(transport, stage)
    await pipeline._enter()
    with trio.CancelScope() as scope:
        scope.cancel()
        await pipeline.aclose()

    assert scope.cancelled_caught
    assert [1] * ends == [half.closed for half in halves[:ends]]
    assert 1 == stage.closed


async def test_every_stage_is_closed_even_when_one_raises() -> None:
    """The first error is raised, and the others are its notes."""
    transport = Recorder()
    stages = [Closing(ValueError("one")), Closing(), Closing(OSError("three"))]
    pipeline = Pipeline(transport, stages[0] | stages[1] | stages[2])
    with pytest.raises(ValueError, match="one") as info:
        await pipeline.aclose()

    assert [1, 1, 1] == [stage.closed for stage in stages]
    assert 1 == transport.closed
    assert any("OSError('three')" in note for note in info.value.__notes__)


class _BadEnd(Recorder):
    async def aclose(self) -> None:
        await super().aclose()
        raise OSError("in aclose")


async def test_a_failing_transport_and_a_failing_finish_are_both_told() -> None:
    """What went wrong first is raised; stages and both halves are closed."""

    class Fails(Closing):
        async def finish(self) -> list[bytes]:
            raise ValueError("in finish")

    stage, half = Fails(OSError("in close")), Recorder()
    with pytest.raises(ValueError, match="in finish") as info:
        async with Pipeline((half, _BadEnd()), stage):
            pass

    assert (1, 1) == (stage.closed, half.closed)
    assert ["OSError('in aclose')", "OSError('in close')"] == [
        note.removeprefix("and then, closing the pipeline: ") for note in info.value.__notes__[1:]
    ]


@pytest.mark.parametrize("where", ["transport", "stage"])
async def test_closing_wakes_a_task_that_receives(where: str) -> None:
    """It gets ClosedResourceError at once, also from inside a stage that waits."""
    near, far = trio.testing.memory_stream_pair()
    pipeline = Pipeline(near, Waits())
    async with pipeline, trio.open_nursery() as nursery:
        if where == "stage":
            await far.send_all(b"x")

        async def receive() -> None:
            with pytest.raises(trio.ClosedResourceError, match="this pipeline was closed"):
                await pipeline.receive()

        nursery.start_soon(receive)
        await trio.testing.wait_all_tasks_blocked()
        await pipeline.aclose()

    assert 0 == trio.current_time()


@pytest.mark.parametrize("cancelled", [False, True])
async def test_closing_wakes_tasks_that_send(cancelled: bool) -> None:
    """The one that writes and the one that waits its turn, also when closing itself is cancelled."""
    pipeline = Pipeline(Clogged(), Passthrough(), close_seconds=1)
    closed = 0

    async def send() -> None:
        nonlocal closed
        with pytest.raises(trio.ClosedResourceError, match="this pipeline was closed"):
            await pipeline.send(b"x")
        closed += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        nursery.start_soon(send)
        await trio.testing.wait_all_tasks_blocked()
        with trio.CancelScope() as scope:
            if cancelled:
                scope.cancel()
            await pipeline.aclose()

    assert (2, 0) == (closed, trio.current_time())


async def test_a_cancelled_aclose_wakes_a_task_inside_a_stage_that_waits() -> None:
    """The stage's own cancel scopes are left in order, and the task gets ClosedResourceError."""
    near, far = trio.testing.memory_stream_pair()
    pipeline = Pipeline(near, Waits())
    await pipeline._enter()
    await far.send_all(b"x")
    async with trio.open_nursery() as nursery:

        async def receive() -> None:
            with pytest.raises(trio.ClosedResourceError, match="this pipeline was closed"):
                await pipeline.receive()

        nursery.start_soon(receive)
        await trio.testing.wait_all_tasks_blocked()
        with trio.CancelScope() as scope:
            scope.cancel()
            await pipeline.aclose()


async def test_a_stage_that_cannot_be_cancelled_holds_closing_up_for_its_time_only() -> None:
    """The pipeline is closed after close_seconds; the stage goes on to its own end."""
    ended = False

    class Stubborn(Inbound[Any, Any]):
        async def process(self, item: Any, /) -> list[Any]:
            nonlocal ended
            with trio.CancelScope(shield=True):
                await trio.sleep(10)
            ended = True
            return [item]

    near, far = trio.testing.memory_stream_pair()
    pipeline = Pipeline(near, Stubborn(), close_seconds=2)
    await pipeline._enter()
    await far.send_all(b"x")
    async with trio.open_nursery() as nursery:

        async def receive() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await pipeline.receive()

        nursery.start_soon(receive)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BrokenResourceError, match="after 2 seconds before the stages had finished"):
            await pipeline.aclose()
        assert 2 == trio.current_time()

    assert ended


async def test_an_aclose_that_waits_for_the_peer_can_be_cancelled() -> None:
    """It does not wait for close_seconds, and everything is closed."""
    near, far = await tcp_pair()
    stage = Closing()
    pipeline = Pipeline(near, stage, close_seconds=60)
    await pipeline.send(b"x")
    async with far:
        with trio.move_on_after(1) as scope:
            await pipeline.aclose()
        assert scope.cancelled_caught
        assert b"x." == await read_all(far)

    assert (1, -1) == (stage.closed, near.socket.fileno())


async def test_a_peer_that_does_not_close_holds_closing_up_for_its_time_only() -> None:
    """That is no error: all was written."""
    near, far = await tcp_pair()
    async with far:
        began = trio.current_time()
        async with Pipeline(near, Passthrough()) as pipeline:
            await pipeline.send(b"x")
        assert 5 == pytest.approx(trio.current_time() - began)
        assert b"x" == await read_all(far)


async def test_a_finish_that_waits_too_long_is_told() -> None:
    """Closing ends in time, and says that a stage had not finished."""

    class Slow(Closing):
        async def finish(self) -> list[bytes]:
            await trio.sleep(3600)
            return []

    transport, stage = Recorder(), Slow()
    with pytest.raises(trio.BrokenResourceError, match="closed after 3 seconds before the stages had finished"):
        async with Pipeline(transport, stage, close_seconds=3):
            pass

    assert (1, 1, 3) == (stage.closed, transport.closed, trio.current_time())


@pytest.mark.real_time
async def test_a_peer_that_reset_the_connection_is_no_error_when_nothing_is_left_to_write() -> None:
    """As trio's own aclose(), it says nothing of a connection that is gone."""
    near, far = await tcp_pair()
    async with Pipeline(near, Passthrough()) as pipeline:
        await pipeline.send(b"x")
        await trio.aclose_forcefully(far)  # with unread input: a reset
        with pytest.raises(trio.BrokenResourceError):
            await pipeline.receive()


@pytest.mark.real_time
async def test_a_peer_that_reset_the_connection_is_an_error_when_something_is_left_to_write() -> None:
    """What was merged does not get lost silently."""
    near, far = await tcp_pair()
    with pytest.raises(trio.BrokenResourceError):
        async with Pipeline(near, Passthrough(), merge_writes=True) as pipeline:
            await far.send_all(b"x")
            assert b"x" == await pipeline.receive()
            await pipeline.send(b"merged")
            await far.send_all(b"unread")
            far.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, struct.pack("ii", 1, 0))
            await far.aclose()


async def test_an_error_that_receive_met_when_it_wrote_is_raised_by_aclose() -> None:
    """Nobody has seen it before."""
    near, far = trio.testing.memory_stream_pair()
    pipeline = Pipeline(near, Refuses() | inbound(lambda item: [Reply(b"refused"), item]))
    await far.send_all(b"x")

    assert b"x" == await pipeline.receive()
    with pytest.raises(ValueError, match="not this one"):
        await pipeline.aclose()


async def test_a_block_that_raised_sends_no_close_notify() -> None:
    """Over TLS too, nothing truncated may look complete."""
    near, far = tls(*trio.testing.memory_stream_pair())

    async def fail() -> None:
        with pytest.raises(ValueError, match="of mine"):
            async with Pipeline(near, Passthrough()) as pipeline:
                await pipeline.send(b"begin")
                raise ValueError("of mine")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(fail)
        assert b"begin" == await far.receive_some()
        with pytest.raises(trio.BrokenResourceError):
            await far.receive_some()


async def test_a_block_that_raised_does_not_let_the_pipeline_below_finish() -> None:
    """A pipeline as transport is closed in the same way as the one on it."""
    transport, lower = Recorder(), Closing()

    with pytest.raises(ValueError, match="of mine"):
        async with Pipeline(Pipeline(transport, lower), Passthrough()) as pipeline:
            await pipeline.send(b"begin")
            raise ValueError("of mine")

    assert [b"begin"] == transport.writes
    assert (0, 1, 1) == (lower.finished, lower.closed, transport.closed)


class Windowed(Duplex[bytes, bytes, bytes, bytes]):
    """Keeps what is sent until the peer gives leave for it: `+`, a letter each."""

    def __init__(self) -> None:
        self.kept: list[bytes] = []
        self.inbound, self.outbound = _WindowedIn(self), _WindowedOut(self)


class _WindowedIn(Inbound[bytes, bytes]):
    close_waits = True

    def __init__(self, whole: Windowed) -> None:
        self._whole = whole

    @property
    def ready(self) -> bool:
        return not self._whole.kept

    def process_sync(self, item: bytes, /) -> list[Any]:
        if item == b"!":
            raise ValueError("that is no letter")
        out = [Reply(self._whole.kept.pop(0)) for _ in range(min(item.count(b"+"), len(self._whole.kept)))]
        return [*out, item]


class _WindowedOut(Outbound[bytes, bytes]):
    def __init__(self, whole: Windowed) -> None:
        self._whole = whole

    def process_sync(self, item: bytes, /) -> list[bytes]:
        self._whole.kept += [item[at : at + 1] for at in range(len(item))]
        return []


async def closing_a_window(*says: bytes) -> tuple[bytes, float]:
    """What the peer gets, who says something each second and then nothing, and how long closing takes."""
    near, far = trio.testing.memory_stream_pair()
    pipeline = Pipeline(near, Windowed())
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def peer() -> None:
            for word in says:
                await trio.sleep(1)
                await (far.send_all(word) if word else far.send_eof())

        await pipeline.send(b"abc")
        began = trio.current_time()
        try:
            await pipeline.aclose()
        finally:
            seconds = trio.current_time() - began
            nursery.cancel_scope.cancel()
    return await read_all(far), seconds


async def test_closing_waits_for_the_peer_where_a_stage_says_so() -> None:
    """What was sent is on its way; what else comes is for nobody."""
    got, seconds = await closing_a_window(b"+", b"x", b"++", b"")
    assert b"abc" == got
    assert 3 <= seconds < 5


async def test_closing_waits_no_longer_than_it_may_take() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        await closing_a_window(b"+")
    (error,) = caught.value.exceptions
    assert str(error).startswith("closed after 5 seconds before the stages had finished. ")


@pytest.mark.parametrize("last", [b"", b"!"])
async def test_closing_waits_for_no_peer_that_has_ended_or_makes_no_sense(last: bytes) -> None:
    got, seconds = await closing_a_window(b"+", last, b"")
    assert b"a" == got
    assert seconds < 5
