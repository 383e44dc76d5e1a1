"""The short way out does what the long one does."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline import END, Engine, Reply, inbound, outbound
from pipeline._quick import QuickSend
from tests.pipeline.parts import Join, Waits


def ready(chain: Any) -> Engine[Any, Any]:
    """An engine that has begun."""
    engine: Engine[Any, Any] = Engine(chain, byte_wire=True)
    engine.start()
    engine.next_item()
    return engine


def test_one_item_becomes_one_write() -> None:
    """Through stages that give one result each, the bytes come out at once and nothing is under way."""
    engine = ready(outbound(lambda item: [b"<" + item]) | Join())

    assert b"<x\n" == QuickSend(engine).send(b"x")
    assert not engine.sending


@pytest.mark.parametrize(
    ("results", "written"),
    [
        ([b"a", b"b"], [b"ab"]),
        ([], []),
        ((b"a",), [b"a"]),
        (iter([b"a", b"b"]), [b"ab"]),
        ([b""], []),
        ([bytearray(b"a")], [b"a"]),
        ([Reply(b"r")], []),
        ([b"a", END], [b"a"]),
        ([END], []),
    ],
)
def test_anything_else_goes_the_long_way_from_there(results: Any, written: list[bytes]) -> None:
    """What comes out is the same as without the short way, and each stage is called once."""
    calls: list[bytes] = []

    def expand(item: bytes) -> Any:
        calls.append(item)
        return results

    engine = ready(outbound(expand) | outbound(lambda item: [item]))
    assert QuickSend(engine).send(b"x") is None
    assert written == engine.to_write()
    assert [b"x"] == calls
    assert [] == engine.to_write()


def test_a_chain_with_a_stage_that_may_wait_goes_the_long_way() -> None:
    """Only plain stages are called directly; inbound ones do not matter."""

    async def late(item: bytes) -> list[bytes]:
        return [item]

    engine = ready(Waits() | outbound(late))
    assert QuickSend(engine).send(b"x") is None
    assert [b"x"] == engine.to_write()
    assert b"y" == QuickSend(ready(inbound(late))).send(b"y")


def test_a_stage_that_fails_or_returns_the_wrong_thing() -> None:
    """The error has its note, and it is as if nothing had been sent."""

    def fail(item: bytes) -> Any:
        if item == b"fail":
            raise ValueError("no")
        return None if item == b"none" else [item]

    engine = ready(outbound(fail))
    quick = QuickSend(engine)
    with pytest.raises(ValueError, match="no") as caught:
        quick.send(b"fail")
    assert ["in outbound stage fail (stage 1 of 1 of outbound(fail)), process(), item: b'fail'"] == (
        caught.value.__notes__
    )
    with pytest.raises(TypeError, match="returned None"):
        quick.send(b"none")
    assert not engine.sending
    assert b"x" == quick.send(b"x")


def test_what_is_no_item_is_refused() -> None:
    """END and Reply cannot be sent this way either."""
    quick = QuickSend(ready(Join()))
    with pytest.raises(TypeError, match="END is no item"):
        quick.send(END)
    with pytest.raises(TypeError, match="cannot be sent"):
        quick.send(Reply(b"x"))


def test_an_interrupt_passes() -> None:
    """KeyboardInterrupt out of a stage leaves nothing under way."""

    def interrupt(item: bytes) -> list[bytes]:
        if item == b"stop":
            raise KeyboardInterrupt
        return [item]

    quick = QuickSend(ready(outbound(interrupt)))
    with pytest.raises(KeyboardInterrupt):
        quick.send(b"stop")
    assert b"x" == quick.send(b"x")
