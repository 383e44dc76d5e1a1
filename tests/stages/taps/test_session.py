"""What taps share that write a whole session down."""

from __future__ import annotations

from typing import Any

from pipeline import END, Passthrough
from pipeline.testing import check_tap
from stages.taps._session import SessionInbound, SessionOutbound
from tests.pipeline.engines import received, running, sent, taken, written


class Told:
    """A session that remembers what it was told, without the times."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def begin(self, now: float) -> None:
        self.events.append("begin")

    def add(self, now: float, direction: str, item: Any) -> None:
        self.events.append((direction, item))

    def end(self, now: float, direction: str) -> None:
        self.events.append(f"end {direction}")

    def close(self, now: float) -> None:
        self.events.append("close")


def tap(session: Told) -> Passthrough:
    return Passthrough(SessionInbound(session), SessionOutbound(session))


def test_it_lets_everything_pass() -> None:
    check_tap(lambda: tap(Told()))


def test_a_session_is_told_of_everything_in_its_order() -> None:
    """It begins once; each half closes it."""
    told = Told()
    engine = running(tap(told))
    assert [b"question"] == received(engine, b"question")
    assert [b"answer"] == sent(engine, b"answer")
    engine.feed_eof()
    assert [END] == taken(engine)
    engine.send_eof()
    assert [] == written(engine)
    engine.close()
    passed = [("inbound", b"question"), ("outbound", b"answer")]
    assert ["begin", *passed, "end inbound", "end outbound", "close", "close"] == told.events


def test_what_is_given_back_passes_again() -> None:
    assert [b"a"] == list(SessionInbound(Told()).unread([b"a"]))
