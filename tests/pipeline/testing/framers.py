"""A small framer that keeps the rules, for tests to break one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from pipeline import Duplex, FrameError, FrameTooLongError, Inbound, IncompleteFrameError, Outbound
from pipeline.testing import check_framer


class LinesIn(Inbound[Any, bytes]):
    """A small framer that keeps the rules: LF ends a line, 5 bytes at most."""

    name = "LinesIn"

    def __init__(self) -> None:
        self.rest = b""
        self.failure: FrameError | None = None

    def process_sync(self, item: Any, /) -> Iterable[bytes]:
        self.check()
        self.rest += bytes(item)
        return self.lines()

    def check(self) -> None:
        if self.failure is not None:
            raise self.failure

    def lines(self) -> Iterator[bytes]:
        while True:
            line, end, rest = self.rest.partition(b"\n")
            if len(line) > 5:
                self.failure = FrameTooLongError("too long", limit=5, size=len(line))
                raise self.failure
            if not end:
                return
            self.rest = rest
            yield line

    async def finish(self) -> tuple[()]:
        self.check()
        if self.rest:
            raise IncompleteFrameError("inside a line", leftover=self.rest)
        return ()

    def unread(self, outputs: Iterable[Any], /) -> list[bytes]:
        given, self.rest = b"".join(line + b"\n" for line in outputs) + self.rest, b""
        return [given]


class ListedLinesIn(LinesIn):
    """The same, with a list as its result."""

    def process_sync(self, item: Any, /) -> Iterable[bytes]:
        self.check()
        self.rest += bytes(item)
        *lines, self.rest = self.rest.split(b"\n")
        return lines


class LinesOut(Outbound[bytes, bytes]):
    """Adds LF, refuses what has one."""

    def process_sync(self, item: bytes, /) -> list[bytes]:
        if b"\n" in item or len(item) > 5:
            raise FrameError("no line")
        return [item, b"\n"]


def lines(
    inbound: Callable[[], Inbound[Any, bytes]] = LinesIn, outbound: Callable[[], Outbound[bytes, bytes]] = LinesOut
) -> Callable[[], Duplex[Any, bytes, bytes, bytes]]:
    return lambda: Duplex(inbound(), outbound())


def failure(factory: Callable[[], Any], wire: bytes = b"a\nbc\n", **options: Any) -> str:
    """The message of the failed check."""
    with pytest.raises(AssertionError) as info:
        check_framer(factory, wire=wire, **{"frames": [b"a", b"bc"], **options})
    return str(info.value)
