"""`check_tap`: whatever a tap changes is told."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline import END, Duplex, Inbound, Outbound, Passthrough, Reply, inbound, outbound
from pipeline.testing import check_tap


def failure(make: Any) -> str:
    with pytest.raises(AssertionError) as info:
        check_tap(make)
    return str(info.value)


def test_a_good_tap_passes() -> None:
    """In both directions, in one, or in none."""
    seen: list[Any] = []

    def note(item: Any) -> list[Any]:
        seen.append(item)
        return [item]

    check_tap(lambda: Passthrough(inbound(note), outbound(note)))
    check_tap(lambda: inbound(note), items=[1])
    check_tap(Passthrough)
    assert None in seen


def test_a_tap_that_copies() -> None:
    """Equal is not enough: a consumer may rely on identity, and copying costs."""
    message = failure(lambda: inbound(lambda item: [item[:]] if isinstance(item, bytearray) else [item]))

    assert message.startswith("tap: items did not pass as the same objects, inbound")


def test_a_tap_that_swallows() -> None:
    """What is empty is an item too."""

    def swallow(item: Any) -> list[Any]:
        return [] if item == "" else [item]

    message = failure(lambda: outbound(swallow))

    assert "outbound" in message
    assert "items: ['']\n  came out: []" in message


def test_a_tap_that_alters_in_place() -> None:
    """The same object, but no longer the same."""

    def clear(item: Any) -> list[Any]:
        if isinstance(item, bytearray):
            item.clear()
        return [item]

    message = failure(lambda: inbound(clear))

    assert message.startswith("tap: items were altered in place, inbound")
    assert "items: [bytearray(b'mutable')]\n  came out: [bytearray(b'')]" in message


def test_a_tap_that_fails_on_odd_items() -> None:
    """The error is shown and chained."""

    def measure(item: Any) -> list[Any]:
        assert len(item) >= 0
        return [item]

    message = failure(lambda: inbound(measure))

    assert message.startswith("tap: an item was stopped inbound")
    assert "TypeError" in message


def test_a_tap_that_replies() -> None:
    """A tap is silent."""
    message = failure(lambda: inbound(lambda item: [item, Reply(1)]))

    assert message.startswith("tap: items made the tap add items of its own, inbound")


def test_a_tap_that_says_goodbye() -> None:
    """Nothing may come out at the end."""

    class Last(Outbound[Any, Any]):
        def process_sync(self, item: Any, /) -> list[Any]:
            return [item]

        async def finish(self) -> list[Any]:
            return ["bye"]

    class Through(Inbound[Any, Any]):
        def process_sync(self, item: Any, /) -> list[Any]:
            return [item]

    assert "came out: ['bye']" in failure(lambda: Duplex(Through(), Last()))


def test_a_tap_that_ends_the_stream() -> None:
    """What comes behind it would be missing."""

    def end(item: Any) -> list[Any]:
        return [END if item is None else item]

    assert "items: [None]\n  came out: []" in failure(lambda: inbound(end))


def test_a_stage_instead_of_a_factory_is_refused() -> None:
    stage: Any = inbound(lambda item: [item])
    with pytest.raises(TypeError, match=r"each try needs a fresh stage, .* makes one: lambda: inbound\("):
        check_tap(stage)
