"""The short way out does what the long one does."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline import END, Engine, Reply, inbound, outbound
from pipeline._quick import QuickSend
from tests.pipeline.parts import Join, Waits


def send(quick: QuickSend, item: Any) -> bytes | None:
    """What a pipeline does: the bytes of the short way, or None where it is left to the engine."""
    try:
        out = quick.out(item)
    except BaseException as error:
        quick.fail(item, error)
    if type(out) is bytes and out:
        return out
    quick.settle(out)
    return None


def ready(chain: Any) -> Engine[Any, Any]:
    """An engine that has begun."""
    engine: Engine[Any, Any] = Engine(chain, byte_wire=True)
    engine.start()
    engine.next_item()
    return engine


def test_one_item_becomes_one_write() -> None:
    """Through stages that give one result each, the bytes come out at once and nothing is under way."""
    engine = ready(outbound(lambda item: [b"<" + item]) | Join())

    assert b"<x\n" == send(QuickSend(engine), b"x")
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
    assert send(QuickSend(engine), b"x") is None
    assert written == engine.to_write()
    assert [b"x"] == calls
    assert [] == engine.to_write()


def test_a_chain_with_a_stage_that_may_wait_goes_the_long_way() -> None:
    """Only plain stages are called directly; inbound ones do not matter."""

    async def late(item: bytes) -> list[bytes]:
        return [item]

    engine = ready(Waits() | outbound(late))
    assert QuickSend.through(engine) is None
    quick = QuickSend.through(ready(inbound(late)))
    assert quick is not None
    assert b"y" == send(quick, b"y")


def test_a_stage_that_fails_or_returns_the_wrong_thing() -> None:
    """The error has its note, and it is as if nothing had been sent."""

    def fail(item: bytes) -> Any:
        if item == b"fail":
            raise ValueError("no")
        return None if item == b"none" else [item]

    engine = ready(outbound(fail))
    quick = QuickSend(engine)
    with pytest.raises(ValueError, match="no") as caught:
        send(quick, b"fail")
    assert ["in outbound stage fail (stage 1 of 1 of outbound(fail)), process(), item: b'fail'"] == (
        caught.value.__notes__
    )
    with pytest.raises(TypeError, match="returned None"):
        send(quick, b"none")
    assert not engine.sending
    assert b"x" == send(quick, b"x")


def test_what_is_no_item_is_refused() -> None:
    """END and Reply cannot be sent this way either."""
    quick = QuickSend(ready(Join()))
    with pytest.raises(TypeError, match="END is no item") as caught:
        send(quick, END)
    assert not hasattr(caught.value, "__notes__")  # it is no stage's error
    with pytest.raises(TypeError, match="cannot be sent"):
        send(quick, Reply(b"x"))


def test_an_interrupt_passes() -> None:
    """KeyboardInterrupt out of a stage leaves nothing under way."""

    def interrupt(item: bytes) -> list[bytes]:
        if item == b"stop":
            raise KeyboardInterrupt
        return [item]

    quick = QuickSend(ready(outbound(interrupt)))
    with pytest.raises(KeyboardInterrupt):
        send(quick, b"stop")
    assert b"x" == send(quick, b"x")
