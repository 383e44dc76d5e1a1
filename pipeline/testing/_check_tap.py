"""`check_tap`: a tap sees everything and changes nothing."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Final

from ._harness import Harness
from ._outcome import Factory, name_of, refuse_object
from ._report import fail

ODD_ITEMS: Final = (b"bytes", bytearray(b"mutable"), "text", None, 0, "", b"", ["a", {"list": 1}], object())
"""Everything is an item (DESIGN S3), and a tap must get along with all of it."""


def check_tap(factory: Factory, items: Sequence[Any] = ODD_ITEMS) -> None:
    """Check that a tap gives on each item as the very same object, at once, and adds nothing.

    check_tap(lambda: Logger("app.wire"))

    Both directions are checked: each item alone, all of them in one call, and the ends of both
    directions, where nothing may come out either. An item must not be altered in place.

    Args:
        factory: makes a fresh tap, or a chain of taps.
        items: what passes it; by default also odd ones: None, 0, empty ones, an object without a use.

    Raises:
        AssertionError: names the direction, the item and what came out instead.
    """
    refuse_object(factory)
    for direction in ("inbound", "outbound"):
        for item in items:
            _check_passes(factory, direction, [item])
        _check_passes(factory, direction, list(items))


def _check_passes(factory: Factory, direction: str, items: list[Any]) -> None:
    before = [_copy(item) for item in items]
    with Harness(factory()) as harness:
        call = harness.receive if direction == "inbound" else harness.send
        try:
            out = call(*items)
            late = harness.finish() + harness.send_eof()
        except Exception as error:
            fail("tap", f"an item was stopped {direction}", cause=error, tap=name_of(factory), items=items, error=error)
        if [*map(id, out)] != [*map(id, items)]:
            _fail(factory, direction, "did not pass as the same objects", items, out)
        if items != before:
            _fail(factory, direction, "were altered in place", before, items)
        if late or harness.replies:
            _fail(factory, direction, "made the tap add items of its own", items, late + harness.replies)


def _copy(item: Any) -> Any:
    """A copy that will be equal; what has no equality of its own is as it is."""
    return item if type(item) is object else copy.deepcopy(item)


def _fail(factory: Factory, direction: str, what: str, items: list[Any], out: list[Any]) -> None:
    fail("tap", f"items {what}, {direction}", tap=name_of(factory), items=items, came_out=out)
