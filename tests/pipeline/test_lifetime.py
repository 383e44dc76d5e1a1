"""A pipeline is entered once, however it is used first, and closed once."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from pipeline import Inbound, Pipeline, Reply
from tests.pipeline.parts import Lines
from tests.pipeline.wires import Closing, Recorder, Recording


async def test_the_first_call_enters_where_nobody_did() -> None:
    """A pipeline works without `async with`; two first calls at once enter it once."""
    starts: list[int] = []

    class Starts(Inbound[bytes, bytes]):
        async def start(self) -> list[Any]:
            starts.append(1)
            await trio.sleep(1)
            return [Reply(b"hello")]

        def process_sync(self, item: bytes, /) -> list[bytes]:
            return [item]

    stream = Recording(b"a\n")
    pipeline = Pipeline(stream, Lines() | Starts())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pipeline.send, b"x")
        assert b"a" == await pipeline.receive()
    await pipeline.aclose()
    assert [1] == starts
    assert b"hello\n" == stream.writes[0]


async def test_with_and_for_without_async_say_so() -> None:
    here, _ = trio.testing.memory_stream_pair()
    pipeline: Any = Pipeline(here, Lines())
    with pytest.raises(TypeError, match="write `async with`, not `with`"), pipeline:
        pass
    with pytest.raises(TypeError, match="write `async for`, not `for`"):
        list(pipeline)


class _Start(Inbound[bytes, bytes]):
    """Does what it is told when it starts; is never ready."""

    ready = False

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.closed = 0

    async def start(self) -> list[bytes]:
        if self.error is not None:
            raise self.error
        return []

    def process_sync(self, item: bytes, /) -> list[bytes]:
        return [item]

    def close(self) -> None:
        self.closed += 1


async def test_entering_that_fails_closes_stages_and_transport() -> None:
    """The stage's error is raised, and nothing is left open."""
    transport, stage = Recorder(), _Start(ValueError("no start"))
    with pytest.raises(ValueError, match="no start"):
        async with Pipeline(transport, stage):
            raise AssertionError("unreachable")

    assert (1, 1) == (stage.closed, transport.closed)


async def test_entering_that_is_cancelled_closes_stages_and_transport() -> None:
    """At once, and nothing is left open."""
    transport, stage = Recorder(), _Start()
    with trio.move_on_after(1):
        async with Pipeline(transport, stage):
            raise AssertionError("unreachable")

    assert (1, 1, 1) == (stage.closed, transport.closed, trio.current_time())


async def test_a_second_aclose_does_nothing() -> None:
    """Closing is idempotent, one after the other and at the same time."""
    transport, stage = Recorder(), Closing()
    pipeline = Pipeline(transport, stage)
    async with pipeline, trio.open_nursery() as nursery:
        nursery.start_soon(pipeline.aclose)
        nursery.start_soon(pipeline.aclose)

    assert (1, 1) == (stage.finished, stage.closed)


async def test_a_pipeline_that_was_never_entered_is_closed() -> None:
    """Stages did not start, so they do not finish; they are closed, and so is the transport."""
    transport, stage = Recorder(), Closing()
    await Pipeline(transport, stage).aclose()

    assert ([], 0, 1, 1) == (transport.writes, stage.finished, stage.closed, transport.closed)


async def test_an_error_of_the_block_keeps_errors_of_closing_as_notes() -> None:
    """The block's own error stays the one that is raised."""
    with pytest.raises(KeyError) as info:
        async with Pipeline(Recorder(), Closing(ValueError("in close"))):
            raise KeyError

    assert any("ValueError('in close')" in note for note in info.value.__notes__)


@pytest.mark.parametrize("act", ["receive", "send", "flush", "send_eof", "__anext__"])
async def test_a_closed_pipeline_says_so(act: str) -> None:
    """Every call raises ClosedResourceError after aclose()."""
    pipeline = Pipeline(Recording(b"a\n"), Lines())
    await pipeline.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await getattr(pipeline, act)(*([b"x"] if act == "send" else []))


async def test_an_error_of_the_block_survives_a_close_that_is_cancelled_in_a_nursery() -> None:
    """The transport's nursery makes a group of the cancellation, which is none the less what ends closing."""

    class Slow(Recording):
        async def aclose(self) -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep_forever)

    pipeline = Pipeline(Slow(), Lines())
    with trio.move_on_after(1), pytest.raises(ValueError, match="mine") as caught:
        async with pipeline:
            raise ValueError("mine")
    assert not hasattr(caught.value, "__notes__")
