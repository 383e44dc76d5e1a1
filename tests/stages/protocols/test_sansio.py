"""The adapter for sans-I/O libraries: what a library must have and may have, with one of a few lines."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
import trio
import trio.testing

from pipeline import End, Pipeline, SurgeryError
from pipeline.testing import Harness, check_codec, check_linear, pipeline_pair
from stages.framing import LineFramer
from stages.protocols import SansIO
from tests.stages.protocols.command_library import Least, Whole


def test_three_methods_make_a_stage() -> None:
    check_codec(Least, ["one", "two"], wire=[b"one\n", b"two\n"], cut=True)
    harness = Harness(Least())
    assert ["one"] == harness.receive(b"on", b"", b"e\ntw")
    assert [b"three\n"] == harness.send("three")
    assert [] == harness.finish()


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


async def test_without_timers_nothing_is_due() -> None:
    assert () == Least().on_timer(0)
    assert Least().inbound.deadline is None


def test_a_generator_that_would_be_fed_too_late_is_refused() -> None:
    class Late(Whole):
        def receive_data(self, data: bytes, /) -> Iterable[str | End]:
            yield from super().receive_data(data)

    with pytest.raises(TypeError, match=r"Late.receive_data\(\) is a generator, .* Feed the library first, then"):
        Late()


def test_close_is_passed_on_once() -> None:
    stage = Whole()
    with Harness(stage):
        pass
    assert 1 == stage.closed


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
