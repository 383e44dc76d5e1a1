"""Tap: a function that watches."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from pipeline.testing import Harness, check_tap
from stages import Tap


class Seen:
    """Remembers what it was called with; fails where it is told to."""

    def __init__(self, *, fails: bool = False) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.fails = fails

    def __call__(self, direction: str, item: Any) -> None:
        self.calls.append((direction, item))
        if self.fails:
            raise LookupError("in the tap")


def test_it_holds_nothing() -> None:
    assert [0, 0] == [half.holds for half in (Tap(print).inbound, Tap(print).outbound) if half is not None]


@pytest.mark.parametrize("strict", [False, True])
def test_it_sees_everything_and_changes_nothing(strict: bool) -> None:
    check_tap(lambda: Tap(Seen(), strict=strict))


def test_it_is_called_with_direction_and_item() -> None:
    seen = Seen()
    harness = Harness(Tap(seen))
    harness.receive(1, None)
    harness.send("2")
    assert [("inbound", 1), ("inbound", None), ("outbound", "2")] == seen.calls


def test_an_exception_is_logged_once_and_the_traffic_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    seen = Seen(fails=True)
    harness = Harness(Tap(seen))
    with caplog.at_level(logging.ERROR, "stages.taps"):
        assert [1, 2] == harness.receive(1, 2)
        assert [3] == harness.send(3)

    assert 3 == len(seen.calls)
    assert ["Tap(Seen): the function raised; traffic goes on, and later exceptions of it are not logged"] == (
        caplog.messages
    )
    assert caplog.records[0].exc_info


def test_strict_raises_what_the_function_raised() -> None:
    harness = Harness(Tap(Seen(fails=True), strict=True))
    with pytest.raises(LookupError, match="in the tap"):
        harness.receive(1)
    with pytest.raises(LookupError, match="in the tap"):
        harness.send(1)


def test_cancellation_is_no_exception_to_swallow() -> None:
    def stop(direction: str, item: object) -> None:
        raise KeyboardInterrupt

    tap = Tap(stop)
    assert tap.inbound
    with pytest.raises(KeyboardInterrupt):
        tap.inbound.process_sync(1)


def test_repr_shows_it_as_it_is_written() -> None:
    assert "Tap(print, strict=True)" == repr(Tap(print, strict=True))
