"""How a pipeline gives items: one by one, many that came of one read, or whatever is there already.

Rules for this file: what came of one read is taken from `Driver.ready` as long as nothing else happens; all else goes
the long way through `_next`, in a role.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final, Self, cast

import trio
from typing_extensions import TypeVar

from ._call import Waiting
from ._core import Engine
from ._driver import Driver
from ._ends import NOTHING
from ._flow import NEED_INPUT, WOULD_WAIT, Mark, NeedInput
from ._lifetime import Lifetime
from ._quick import YIELD_AFTER
from ._stage import END, End

Received = TypeVar("Received", covariant=True, default=Any)

T = TypeVar("T")

_NEVER_WAITS: Final[frozenset[type[Any]]] = frozenset((dict, bytes, str))
"""Nothing of these types is ever given to trio to wait for: such an item is one."""
_NO_ITEMS: Final = frozenset((NeedInput, Mark, End, Waiting))


class Receiving(Lifetime, trio.abc.ReceiveChannel[Received]):
    """The receiving half of a pipeline."""

    def __init__(self, engine: Engine[Any, Any], driver: Driver, *, close_seconds: float) -> None:
        super().__init__(engine, driver, close_seconds=close_seconds)
        self._receiving = False
        self._late_error: Exception | None = None  # came after the items of a batch
        self._calm_since = -1  # the state of the news since when nothing was to be done but to take items
        self._patience = 0  # what may pass until the next checkpoint; see YIELD_AFTER
        self._lent = 0  # how much of it what is ready may use up

    async def receive(self) -> Received:
        """Return the next item.

        Raises:
            trio.EndOfChannel: the input ended cleanly, and every item was received; from then on always.
            trio.BrokenResourceError: inbound is broken, its cause tells by what; sending may still work.
            trio.BusyResourceError: another task is receiving.
            trio.ClosedResourceError: the pipeline was closed.
            Exception: what a stage raised, with a note on where and with which item.

        Cancellation: nothing is lost; the next call goes on where this one was.
        """
        if not self._entered:
            await self._enter()
        self._claim_receive()
        try:
            item: Received
            if self._late_error is None and self._driver.may_read():
                item = await self._driver.read_straight(YIELD_AFTER)
                self._lent, self._patience = YIELD_AFTER, 0
                if item is not NOTHING:
                    return item
                self._lent = 0
            await trio.lowlevel.checkpoint_if_cancelled()
            reads = self._driver.reads
            item = await self._next()
            if reads == self._driver.reads:
                await trio.lowlevel.cancel_shielded_checkpoint()
            return item
        finally:
            self._receiving = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Received:
        """Return the next item, as `receive` does, but without a checkpoint each time."""
        item: Received
        driver = self._driver
        try:
            for item in driver.ready:
                return item
            for item in driver.unsure:
                if type(item) in _NEVER_WAITS or driver.loop.gi_yieldfrom is None:  # `stage_waits`, but fast
                    return item
                driver.wait_for(item)
                break
        except BaseException as error:
            self._engine.fail_ready(error)
        if driver.waiting is not None:
            await self._wait_in_stage()
        if self._receiving or self._late_error is not None or not driver.may_read():
            return await self._receive_next()
        self._receiving = True
        self._lent = self._patience = 0
        try:
            item = await driver.read_straight(YIELD_AFTER)
        finally:
            self._receiving = False
        self._lent = YIELD_AFTER
        return await self._receive_next() if item is NOTHING else item

    async def _receive_next(self) -> Received:
        item: Received
        if self._lent:
            self._take_patience_back()
        if self._patience > 0:
            item = self._take_one()
            if item is WOULD_WAIT:
                item = await self._take_waiting()
                self._lend_patience()
            if item is not NOTHING:
                return item
        try:
            item = await self.receive()
        except trio.EndOfChannel:
            raise StopAsyncIteration from None
        if not self._lent:
            self._patience = YIELD_AFTER - 1
            self._lend_patience()
        return item

    def _lend_patience(self) -> None:
        """Let what came of the last read be taken the short way, if it can be."""
        if self._is_calm():
            self._driver.make_ready(self._engine.ready_items(), self._patience)
            self._lent, self._patience = self._patience, 0

    def _take_patience_back(self) -> None:
        """Be as patient as if what was taken the short way had been taken one by one."""
        self._patience, self._lent = max(0, self._lent - self._engine.ready_taken()), 0

    def batches(self) -> AsyncIterator[list[Received]]:
        r"""Iterate over lists of items: all that came of one read, or a part of it.

        wire  b"a\nb\nc"        async for batch in p.batches()        [b"a", b"b"]

        A list has at most 1,000 items, or 1 MiB; it is never empty. Errors and cancellation as in
        `receive`; items before an error come first.
        """
        return _Batches(self)

    async def _receive_batch(self) -> list[Received]:
        batch = [await self.receive()]
        try:
            self._fill(batch)
        except Exception as error:
            self._late_error = error  # the items before it come first
        except BaseException:
            self._driver.park_again(batch)
            raise
        if self._driver.waiting is not None:
            try:
                await self._wait_in_stage()
            except BaseException:
                self._driver.park_again(batch)
                raise
        return batch

    def _fill(self, batch: list[Received]) -> None:
        """Add what came of the same read, as far as patience goes."""
        if not self._lent:
            self._patience = YIELD_AFTER - 1
            self._lend_patience()
        try:
            batch.extend(self._driver.ready)
            self._fill_unsure(batch)
        except BaseException as error:
            self._engine.fail_ready(error)
        if self._lent:
            self._take_patience_back()
        if self._driver.waiting is not None:
            return
        while self._patience > 0 and not self._driver.idle:
            item = self._take_one()
            if item is NOTHING or item is WOULD_WAIT:
                break
            batch.append(cast("Received", item))

    def _fill_unsure(self, batch: list[Received]) -> None:
        driver = self._driver
        for item in driver.unsure:
            if driver.stage_waits:
                driver.wait_for(item)
                return
            batch.append(item)

    async def _wait_in_stage(self) -> None:
        self._receiving = True
        try:
            await self._driver.waited()
        finally:
            self._receiving = False

    def _claim_receive(self) -> None:
        if self._receiving:
            raise trio.BusyResourceError(
                "another task is receiving from this pipeline. Receive in one task, and give the others their items "
                "through trio.open_memory_channel()"
            )
        self._news.check_open()
        self._receiving = True

    async def _next(self) -> Any:
        driver, flushed = self._driver, False
        while True:
            if driver.parked and (flushed or not self._engine.owes_replies):
                return driver.unpark()
            if driver.parked:  # replies leave before the item behind them does
                await driver.flush_shielded()
                self._news.check_open()
                flushed = True
                continue
            if self._late_error is not None:
                error, self._late_error = self._late_error, None
                raise error
            self._news.check_open()
            if driver.driving or driver.changing:
                await self._news.wait()
                continue
            with driver.drives_inbound():
                item = await driver.step()
            if item is END:
                raise trio.EndOfChannel("the input has ended; `async for item in pipeline` ends there without an error")
            if item is not NOTHING:
                return item

    def _take_one(self) -> Any:
        """An item that is there and next, WOULD_WAIT if a stage may have to wait for it, or NOTHING."""
        if self._news.changes != self._calm_since and not self._is_calm():
            return NOTHING
        item = self._engine.advance_quickly()
        kind = type(item)
        if kind in _NO_ITEMS:
            return item if item is WOULD_WAIT else NOTHING
        if self._news.changes != self._calm_since:
            self._driver.park(item)  # replies go out before the item does
            return NOTHING
        self._patience -= 1 + (len(item) >> 10) if kind is bytes or kind is str else 1
        return item

    async def _take_waiting(self) -> Any:
        """An item for which a stage has to be called that may wait, or NOTHING if that gave none."""
        self._receiving = True
        try:
            with self._driver.drives_inbound():
                item = await self._driver.look()
        finally:
            self._receiving = False
        self._patience -= 1
        return NOTHING if item is NEED_INPUT or item is END else item

    def _is_calm(self) -> bool:
        """Whether items can be taken one after the other until something changes."""
        driver, engine = self._driver, self._engine
        if (
            self._receiving
            or driver.driving
            or driver.changing
            or driver.parked
            or self._news.closed
            or engine.owes_replies
        ):
            return False
        if not engine.quicken():
            return False
        self._calm_since = self._news.changes
        return True


class _Batches(AsyncIterator[list[T]]):
    """See `Pipeline.batches`."""

    def __init__(self, pipeline: Receiving[T]) -> None:
        self._pipeline = pipeline

    def __aiter__(self) -> _Batches[T]:
        return self

    async def __anext__(self) -> list[T]:
        try:
            return await self._pipeline._receive_batch()
        except trio.EndOfChannel:
            raise StopAsyncIteration from None
