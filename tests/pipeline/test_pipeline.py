"""The trio channel as a whole: how it shows itself, both directions at once, and trio's contract."""

from __future__ import annotations

import gc
import tracemalloc
from contextlib import AsyncExitStack, suppress
from typing import Any

import pytest
import trio
import trio.testing

from pipeline import END, Inbound, Pipeline, Reply, StageInUseError
from pipeline.testing import check_cancellation, check_channel
from stages import JSONCodec, LineFramer
from tests.pipeline import wires
from tests.pipeline.parts import Answers, Lines, Waits, WaitsOut, tcp_pair


async def test_repr_shows_transport_and_chain() -> None:
    """A pipeline is drawn from wire to client."""
    async with Pipeline(wires.Recording(), Lines() | Answers()) as pipeline:
        assert "<Pipeline Recording | Lines() | Answers()>" == repr(pipeline)
        assert "Lines() | Answers()" == repr(pipeline.chain)


async def test_a_chain_serves_one_pipeline() -> None:
    """A second use is refused, and the message shows a chain factory."""
    chain = Lines() | Answers()
    Pipeline(wires.Recording(), chain)
    with pytest.raises(StageInUseError, match=r"def make_chain\(\): return"):
        Pipeline(wires.Recording(), chain)


async def test_what_is_no_transport_is_refused() -> None:
    """The message names trio's kinds."""
    with pytest.raises(TypeError, match="is no transport: give a trio stream"):
        Pipeline(object(), Lines())  # type: ignore[arg-type]


@pytest.mark.real_time
async def test_it_takes_little_memory() -> None:
    """It is most of what an idle connection takes (docs/cost.md); if this fails, some class may have no slots."""
    sizes = []
    async with AsyncExitStack() as stack:
        pairs = [await stack.enter_async_context(tcp_pair()) for _ in range(30)]
        tracemalloc.start()
        stack.callback(tracemalloc.stop)
        for some in (pairs[:10], pairs[10:]):
            for near, far in some:
                pipeline = await stack.enter_async_context(Pipeline(near, LineFramer() | JSONCodec()))
                await far.send_all(b"1\n")
                await pipeline.send(await pipeline.receive())
            gc.collect()
            sizes.append(tracemalloc.get_traced_memory()[0])
        for _, far in pairs:
            await far.aclose()
    assert (sizes[1] - sizes[0]) / 20 < 9700


@pytest.mark.real_time
async def test_send_and_receive_at_once_over_tcp() -> None:
    """Two peers that each send and receive in two tasks get everything."""
    async with (
        tcp_pair() as (one, two),
        Pipeline(one, Lines()) as a,
        Pipeline(two, Lines()) as b,
        trio.open_nursery() as nursery,
    ):

        async def send(pipeline: Any) -> None:
            for number in range(500):
                await pipeline.send(b"%d" % number)
            await pipeline.send_eof()

        async def receive(pipeline: Any) -> None:
            assert [b"%d" % number for number in range(500)] == [item async for item in pipeline]

        for pipeline in (a, b):
            nursery.start_soon(send, pipeline)
            nursery.start_soon(receive, pipeline)


# ---- trio's contract, on every transport


def _lines_at_both(left: Any, right: Any) -> tuple[Any, Any]:
    return Pipeline(left, Lines()), Pipeline(right, Lines())


async def _memory() -> tuple[Any, Any]:
    return _lines_at_both(*trio.testing.memory_stream_pair())


async def _lockstep() -> tuple[Any, Any]:
    return _lines_at_both(*trio.testing.lockstep_stream_pair())


async def _tcp() -> tuple[Any, Any]:
    return _lines_at_both(*await wires.tcp_pair())


async def _tls() -> tuple[Any, Any]:
    return _lines_at_both(*wires.tls(*await wires.tcp_pair()))


BYTES = [b"one", b"two", b"three"]


async def test_a_pipeline_keeps_trios_contract_in_memory() -> None:
    """Over memory streams."""
    await check_channel(_memory, items=BYTES, both_ways=True)


async def test_a_pipeline_keeps_trios_contract_in_lockstep() -> None:
    """Over streams where every write waits for the reader."""
    await check_channel(_lockstep, items=BYTES, both_ways=True, make_clogged=_lockstep)


async def test_a_pipeline_keeps_trios_contract_over_tcp() -> None:
    """Over real sockets."""
    await check_channel(_tcp, items=BYTES, both_ways=True)


async def test_a_pipeline_keeps_trios_contract_over_tls() -> None:
    """Over `trio.SSLStream` on real sockets."""
    await check_channel(_tls, items=BYTES, both_ways=True)


# ---- cancellation at every checkpoint, both directions: S5, P10


class Twice(Inbound[bytes, bytes]):
    """Waits twice, answers, and gives each item twice."""

    async def process(self, item: bytes, /) -> list[Any]:
        await trio.sleep(1)
        await trio.lowlevel.checkpoint()
        return [Reply(b"got " + item), item, item]


async def test_chains_that_really_wait_are_cancelled_at_every_checkpoint() -> None:
    """Nothing is lost, nothing doubled, in both directions."""
    checkpoints = await check_cancellation(
        lambda: Lines() | Twice() | WaitsOut() | Waits(), wire=[b"a\nb", b"\nc\n"], client=[b"x", b"y"]
    )
    assert checkpoints > 20


class _Shut(Inbound[bytes, Any]):
    """Not ready after "shut"; then ends outbound, or answers what is no bytes."""

    def process_sync(self, item: bytes, /) -> list[Any]:
        self.ready = False
        if item == b"shut":
            return []
        return [Reply(END) if item == b"end" else Reply("text")]

    ready = True


@pytest.mark.parametrize(("word", "error"), [(b"end", trio.ClosedResourceError), (b"bad", trio.BrokenResourceError)])
async def test_a_send_at_a_gate_is_told_when_another_task_ended_outbound(word: bytes, error: type[Exception]) -> None:
    """It did not go out, so it does not return as if it had."""
    near, far = trio.testing.memory_stream_pair()
    pipeline = Pipeline(near, _Shut())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pipeline.receive)
        await far.send_all(b"shut")
        await trio.testing.wait_all_tasks_blocked()

        async def send() -> None:
            with pytest.raises(error):
                await pipeline.send(b"x")
            nursery.cancel_scope.cancel()

        nursery.start_soon(send)
        await trio.testing.wait_all_tasks_blocked()
        await far.send_all(word)
    with suppress(TypeError):  # of the reply; nobody was told of it before
        await pipeline.aclose()
