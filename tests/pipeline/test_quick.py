"""The short way out does what the long one does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import END, Duplex, Engine, Inbound, Outbound, Reply, inbound, outbound
from pipeline._quick import NONE_CAME, QuickSend
from tests.pipeline.engines import taken, written
from tests.pipeline.parts import Join, Waits, Window

pytestmark = pytest.mark.short_ways


def send(quick: QuickSend, item: Any) -> bytes | None:
    """What a pipeline does: the bytes of the short way, or None where it is left to the engine."""
    try:
        out = quick.out(item)
    except BaseException as error:
        quick.fail(item, error)
    if type(out) is bytes and out:
        return out
    if out is NONE_CAME:
        return b""
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


def test_an_item_of_which_nothing_comes() -> None:
    """That is no reason to go the long way."""
    engine = ready(outbound(lambda item: []) | Join())
    assert b"" == send(QuickSend(engine), b"x")
    assert not engine.sending


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


# ---- stages that keep state, have gates, or wake their other half


class Counts(Outbound[bytes, bytes]):
    """Numbers what is sent; what is in `at` it treats in a way of its own."""

    def __init__(self, at: dict[bytes, str]) -> None:
        self.at, self.count = at, 0

    def process_sync(self, item: bytes, /) -> Any:
        match self.at.get(item[-1:]):
            case "raise":
                raise ValueError("no")
            case "none":
                self.count += 1
                return ()
            case "two":
                return [item, item]
            case "lazy":
                return self._lazily(item)
            case "wrong":
                return None
            case "end":
                return [item, END]
            case "reply":
                return [Reply(item), item]
        self.count += 1
        return [b"%d%s" % (self.count, item)]

    def _lazily(self, item: bytes) -> Iterator[bytes]:
        self.count += 1
        yield item
        if self.count % 2:
            raise ValueError("late")


class CountsNothing(Counts):
    """Says that it keeps no state."""

    keeps_outbound_state = False


HOWS = ["raise", "none", "two", "lazy", "wrong", "end", "reply"]
AT = st.dictionaries(st.sampled_from([b"a", b"b", b"c"]), st.sampled_from(HOWS), max_size=2)


@settings(max_examples=300, deadline=None)
@given(
    plan=st.lists(st.tuples(st.sampled_from([Counts, CountsNothing]), AT), min_size=1, max_size=3),
    items=st.lists(st.sampled_from([b"a", b"b", b"c"]), max_size=4),
)
def test_random_chains_do_what_the_long_way_does(plan: Any, items: list[bytes]) -> None:
    """What is written, what is raised, with which notes, and whether outbound is broken, by what."""

    def history(*, quickly: bool) -> list[Any]:
        chain: Any = plan[0][0](plan[0][1])
        for kind, at in plan[1:]:
            chain |= kind(at)
        engine = ready(chain)
        happened: list[Any] = []
        for item in items:
            try:
                if quickly and engine.outbound_idle:
                    data = send(QuickSend(engine), item)
                    happened.append(b"".join(written(engine)) if data is None else data)
                else:
                    engine.send(item)
                    happened.append(b"".join(written(engine)))
            except Exception as error:
                happened.append((repr(error), getattr(error, "__notes__", ())))
            happened += [str(engine.outbound_error), engine.outbound_ended, engine.sending, taken(engine)]
        return happened

    assert history(quickly=False) == history(quickly=True)


def test_a_send_that_is_cut_short_behind_a_stage_that_keeps_state_breaks_outbound() -> None:
    """The caller got bytes and did not write any; the stage has gone ahead of the wire."""
    engine = ready(Counts({}) | Join())
    quick = QuickSend(engine)
    assert quick.keeps_state
    assert b"1x\n" == send(quick, b"x")
    quick.cut_short(ValueError("cut"))
    assert "Counts had gone ahead of the wire" in str(engine.outbound_error)

    engine = ready(CountsNothing({}) | Join())
    quick = QuickSend(engine)
    assert not quick.keeps_state
    assert b"1x\n" == send(quick, b"x")
    quick.cut_short(ValueError("cut"))
    assert b"2x\n" == send(quick, b"x")


def test_an_interrupt_behind_a_stage_that_keeps_state_breaks_outbound() -> None:
    def interrupt(item: bytes) -> list[bytes]:
        raise KeyboardInterrupt

    engine = ready(outbound(interrupt) | Counts({}))
    with pytest.raises(KeyboardInterrupt):
        send(QuickSend(engine), b"x")
    assert "Counts had gone ahead of the wire" in str(engine.outbound_error)


def test_a_gate_is_asked_for_each_item() -> None:
    engine = ready(Window(1))
    quick = QuickSend(engine)
    assert b"a" == send(quick, b"a")
    assert send(quick, b"b") is None
    assert [] == written(engine)
    engine.feed(b"+1")
    assert [] == taken(engine)
    assert [b"b"] == written(engine)


class Echo(Duplex[bytes, bytes, bytes, bytes]):
    """What is sent can be polled, too, but for `x`."""

    def __init__(self) -> None:
        echo = self

        class In(Inbound[bytes, bytes]):
            @property
            def has_more(self) -> bool:
                return bool(echo.sent)

            def process_sync(self, item: bytes, /) -> list[bytes]:
                return [item]

            def poll(self) -> list[bytes]:
                sent, echo.sent = echo.sent, []
                return sent

        class Out(Outbound[bytes, bytes]):
            def process_sync(self, item: bytes, /) -> list[bytes]:
                echo.sent += [item] if item != b"x" else []
                return [item]

        self.sent: list[bytes] = []
        self.inbound, self.outbound = In(), Out()


def test_whoever_waits_for_input_is_told_if_there_is_something() -> None:
    engine = ready(Echo())
    news: list[str] = []
    engine.on_news = lambda: news.append("news")
    quick = QuickSend(engine)
    assert b"x" == send(quick, b"x")
    assert [] == news
    assert b"y" == send(quick, b"y")
    assert ["news"] == news
    assert [b"y"] == taken(engine)


def test_an_interrupt_where_there_is_no_stage_is_raised_as_it_is() -> None:
    quick = QuickSend(ready(inbound(lambda item: [item])))
    with pytest.raises(KeyboardInterrupt) as caught:
        quick.fail(b"x", KeyboardInterrupt())
    assert not hasattr(caught.value, "__notes__")
