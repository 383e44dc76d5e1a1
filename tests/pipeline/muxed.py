"""Protocols with many streams, for the tests of `open_streams`: items are (kind, key, data)."""

from __future__ import annotations

from collections import defaultdict
from itertools import count
from typing import Any, TypeAlias

import trio

from pipeline import StreamRules
from stages import JSONCodec, LineFramer

Item: TypeAlias = tuple[Any, ...]


class PeerResetError(trio.BrokenResourceError):
    """The peer gave a stream up."""


def mux_rules(**more: Any) -> StreamRules:
    """Streams that end each way for itself, and can be reset."""
    rules: dict[str, Any] = {
        "key": lambda item: item[1],
        "ends": lambda item: item[0] == "end",
        "error": lambda item: PeerResetError(item[2]) if item[0] == "reset" else None,
        "hides": lambda item: item[0] in ("end", "window"),
        "sends_end": lambda item: item[0] == "end",
        "eof": lambda key: ("end", key, ""),
        "reset": lambda key, reason: ("reset", key, reason),
    }
    return StreamRules(**rules | more)


class Credit:
    """The windows of one end: what it may send of each stream, and what it has returned of what it took.

    Args:
        window: characters of data that each stream may have on its way.
        first_key: of the streams that this end opens.
    """

    def __init__(self, window: int, first_key: int) -> None:
        self.window = window
        self.windows: dict[Any, int] = defaultdict(lambda: window)
        self.untaken: dict[Any, int] = defaultdict(int)
        self.rules = mux_rules(
            new_key=count(first_key, 2).__next__,
            size=lambda item: len(item[2]),
            hides=self.hides,
            may_send=self.may_send,
            taken=self.taken,
        )

    def may_send(self, key: Any, item: Item) -> bool:
        if item[0] == "data":
            if self.windows[key] < len(item[2]):
                return False
            self.windows[key] -= len(item[2])
        return True

    def hides(self, item: Item) -> bool:
        kind, key, data = item
        if kind == "window":
            self.windows[key] += data
        elif kind == "data":
            self.untaken[key] += len(data)
            assert self.untaken[key] <= self.window, "more came than the credit allows"
        return kind in ("end", "window")

    def taken(self, item: Item) -> Item:
        _, key, data = item
        self.untaken[key] -= len(data)
        return ("window", key, len(data))


def json_lines() -> Any:
    return LineFramer() | JSONCodec()
