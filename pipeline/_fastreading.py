"""The fast path of a receive: read, and take what the read became, with as little as can be in between.

Rules for this file: it is taken while there is nothing to do but to read (`idle`), by the task that receives. What is
`ready` may be taken as long as nothing else happens (`_disturb`). All else, the long way knows what to do (`_driver`).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from ._call import Waiting
from ._core import Engine
from ._ends import NOTHING
from ._fused import waits
from ._parking import Parking
from ._stage import END
from ._transport import Wire

_NOTHING_READY: Final[Iterator[Any]] = iter(())


class FastReading(Parking):
    """The reading side of an engine on a wire, with its fast path.

    Args:
        engine, wire, merge_writes: as of `Writing`.

    Attributes:
        straight: whether this chain on this wire has such a path.
    """

    __slots__ = ("_calm", "_inbound", "loop", "ready", "straight", "unsure", "waiting")

    def __init__(self, engine: Engine[Any, Any], wire: Wire, *, merge_writes: bool) -> None:
        super().__init__(engine, wire, merge_writes=merge_writes)
        self.ready: Iterator[Any] = iter(())  # what may be taken as long as nothing else happens
        self.unsure: Iterator[Any] = iter(())  # the same, where a stage may wait: then `stage_waits`
        self.loop: Any = None  # what `unsure` comes from
        self.waiting: Waiting | None = None  # what a stage waits for that did; to be awaited at once
        self._calm = False  # nothing else has happened since reading was all there was to do
        self._inbound = engine.inbound

    def chain_changed(self) -> None:
        """The engine has other stages than before."""
        super().chain_changed()
        self._disturb()
        self.engine.forget_fused()
        self.straight = self.wire.can_interrupt and self.engine.inbound_is_steady

    def _disturb(self) -> None:
        """What was ready, and all there was to do, may be so no more."""
        self.ready, self.unsure = _NOTHING_READY, _NOTHING_READY
        self.loop, self._calm = None, False

    # ---- whether it is open

    @property
    def idle(self) -> bool:
        """Whether all there is to do is to read, and nobody does."""
        return (self._calm or self._is_calm()) and not self._buffer.size and self._inbound.rests()

    def may_read(self) -> bool:
        """The same, once what was merged is written; here it is, as far as there is room."""
        if not (self._calm or self._is_calm()) or not self._inbound.rests():
            return False
        return not self._buffer.size or (self.merge_writes and self._write_merged())

    def _is_calm(self) -> bool:
        waits = self.driving or self.changing or self.parked or self._draining or self.news.closed
        self._calm = self.straight and not waits and self.engine.idle
        return self._calm

    # ---- taking it

    async def read_straight(self, most: int) -> Any:
        """Read until an item is out, where that is all there is to do, or NOTHING: the long way knows what to do.

        What else came of the read, at `most` so many items of it, is `ready` then.
        """
        assert self.wire.reader is not None
        read = self.wire.reader.read
        while True:
            self.driving = self.reading = True
            try:
                data = await read()
            except Exception as error:
                self._read_failed(error)
            finally:
                self.driving = self.reading = False
                if self.news.awaited:
                    self.news.tell()
            if data is END or not self._calm:
                self.news.check_open()
                if data is not NOTHING:
                    self._feed(data)
                return NOTHING
            self.reads += 1
            item = self._take_straight(data, most)
            if item is not NOTHING:
                return item
            if self.waiting is not None:
                await self.waited()
            if not self.idle:
                return NOTHING

    def _take_straight(self, data: Any, most: int) -> Any:
        """The first item that data became, or NOTHING: there is none, or a stage waits."""
        self.make_ready(self.engine.take_in(data), most)
        try:
            for item in self.ready:
                return item
            for item in self.unsure:
                if not self.stage_waits:
                    return item
                self.wait_for(item)
                break
        except BaseException as error:
            self.engine.fail_ready(error)
        return NOTHING

    def make_ready(self, items: Iterator[Any], most: int) -> None:
        """Let so many of the items be taken."""
        inbound = self._inbound
        if inbound.ready_from > most:
            items = islice(items, most)
        if inbound.loop is None:
            self.ready, self.unsure = items, _NOTHING_READY
        else:
            self.ready, self.unsure, self.loop = _NOTHING_READY, items, inbound.loop

    # ---- a stage waits

    @property
    def stage_waits(self) -> bool:
        """Whether what was taken last of `unsure` is no item, but a stage waits, and that is for `wait_for`."""
        return waits(self.loop)

    def wait_for(self, yielded: Any) -> None:
        """Take note that a stage waits, and of what it yielded; `waited` is to be awaited at once."""
        self.waiting = self.engine.take_over(yielded)

    async def waited(self) -> None:
        """Wait for the stage; what comes of it is at its place then."""
        waiting, self.waiting = self.waiting, None
        assert waiting is not None
        with self.drives_inbound():
            await self.news.until_closed_midway(waiting)
            self.news.check_open()  # a stage that cannot be cancelled may have held it up beyond the end
