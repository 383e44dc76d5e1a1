"""How a pipeline takes items: alone, many at once, merged with others, and to the end.

Rules for this file: a send goes the short way (`_quick`) while nothing else happens, else it waits its turn. It has no
effect, or it is written, or outbound is broken (P10).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import trio
from typing_extensions import TypeVar

from ._core import WRITE_BYTES
from ._lifetime import Lifetime
from ._quick import ALL, CHECK_FIRST, NONE_CAME, NOT_NOW, PAUSE, SHUT, YIELD_AFTER

Sent = TypeVar("Sent", contravariant=True, default=Any)


class Sending(Lifetime, trio.abc.SendChannel[Sent]):
    """The sending half of a pipeline."""

    async def send(self, value: Sent) -> None:
        """Take an item through the stages and give the transport what it became, in as few writes as possible.

        Sends by several tasks are done one after the other, whole items in the order they were called.

        Raises:
            trio.ClosedResourceError: the pipeline was closed, or outbound has ended.
            trio.BrokenResourceError: outbound is broken, its cause tells by what; receiving may still work.
            TypeError: the chain gave a byte stream something else than bytes.
            Exception: what a stage raised, with a note. If no byte was written and no stage has gone
                ahead it is as if the call had not been made; else outbound is broken.

        Cancellation: as for an exception; where the transport can count (TCP, Unix sockets, channels)
        an item that was begun to be written is finished by the next write.
        """
        take = self._driver.take_lane  # called by a name of its own, an attribute that is no method is found faster
        try:
            out = take(value)
        except BaseException as error:
            self._driver.fail_lane(value, error)
        if out is ALL:
            return
        if out is CHECK_FIRST:
            await trio.lowlevel.checkpoint_if_cancelled()
            out = self._driver.take_checked(value)
        if type(out) is bytes and out and not self._engine.buffer.size:
            await self._driver.send_quickly(out)
        elif out is NOT_NOW:
            await self._send_otherwise(value)
        elif out is NONE_CAME:
            await self._send_nothing()
        elif out is not ALL:
            await self._send_begun(out)

    async def _send_otherwise(self, value: Sent) -> None:
        """Open the lane first, or do without."""
        driver, buffer = self._driver, self._engine.buffer
        if len(buffer.loose) >= YIELD_AFTER:
            buffer.gather()
        if not (self._entered and driver.open_lane()):
            await self._with_turn(self._send_one, value)
        else:
            if driver.merge_writes:
                await trio.lowlevel.checkpoint_if_cancelled()
            await self.send(value)
            if driver.merge_writes:
                await trio.lowlevel.cancel_shielded_checkpoint()

    async def send_many(self, values: Iterable[Sent]) -> None:
        """Send several items, with writes merged as if they were one step.

        Raises:
            TypeError: `values` is one item, such as a `str`; nothing is sent.
            Exception: as `send` does, for the first item that fails; the items before it are sent.

        Cancellation: the items before the one in work are sent, or will be by the next write.
        """
        if isinstance(values, str | bytes | bytearray | memoryview | dict):
            raise TypeError(
                f"send_many() takes several items, and would send a {type(values).__name__} in pieces; "
                f"one item is for send(item)"
            )
        driver, items = self._driver, iter(values)
        if not (driver.lane_is_open or (self._entered and driver.open_lane())):
            await self._with_turn(self._send_all, items)
            return
        await trio.lowlevel.checkpoint_if_cancelled()
        assert driver.quick is not None
        buffer = self._engine.buffer
        before = len(buffer.loose)
        try:
            out = driver.quick.fill(items)
        except BaseException as error:
            driver.lane = SHUT
            if isinstance(error, Exception):
                await self._in_free_turn(self._flush)
            raise
        if out is ALL and driver.merge_writes and not driver.reading:
            if not before < len(buffer.loose) < YIELD_AFTER:
                await trio.lowlevel.cancel_shielded_checkpoint()
        elif out is ALL and (data := buffer.take_loose()):
            await driver.send_quickly(data, of_many=True)
        else:
            await self._in_free_turn(self._send_all, items, out)

    async def flush(self) -> None:
        """Write what was merged or replied and waits in the buffer.

        Raises:
            Exception: as `send` does; also an error which a `receive()` met when it wrote.

        Cancellation: what was not written yet stays in the buffer.
        """
        await self._with_turn(self._flush)

    async def send_eof(self) -> None:
        """End outbound: the stages finish, client side first, then the transport is half-closed.

        Receiving goes on. A second call does nothing.

        Raises:
            HalfCloseError: the transport cannot half-close; what the stages gave is written, it is open.
            Exception: as `send` does.

        Cancellation: if it had begun, outbound is at its end.
        """
        await self._with_turn(self._send_eof)

    async def _with_turn(self, act: Any, *args: Any) -> None:
        """Do what sends, in its turn, and with a checkpoint."""
        if not self._entered:
            await self._enter()
        await trio.lowlevel.checkpoint_if_cancelled()
        self._news.check_open()
        await self._news.take_turn(self._driver.on_deadline)
        try:
            self._news.check_open()
            if not await act(*args):
                await trio.lowlevel.cancel_shielded_checkpoint()
        finally:
            self._driver.pass_turn()

    async def _send_one(self, value: Sent) -> bool:
        writes = self._driver.writes
        await self._pass_on(value, merge=self._driver.merge_writes)
        return writes != self._driver.writes

    async def _send_begun(self, out: Any) -> None:
        """Go on with what the short way left of a send; nobody has the turn."""
        driver = self._driver
        assert driver.quick is not None
        driver.lane = SHUT
        driver.quick.settle(out)
        await self._in_free_turn(self._finish_begun)

    async def _finish_begun(self) -> bool:
        writes = self._driver.writes
        try:
            await trio.lowlevel.checkpoint_if_cancelled()
        except BaseException as error:
            self._cut_short(error)
            raise
        await self._take_out(merge=self._driver.merge_writes)
        return writes != self._driver.writes

    async def _send_nothing(self) -> None:
        """What was sent became nothing."""
        if not self._driver.checks_first:  # else it was done before
            await trio.lowlevel.checkpoint_if_cancelled()
        await trio.lowlevel.cancel_shielded_checkpoint()

    async def _in_free_turn(self, act: Any, *args: Any) -> None:
        """Do what sends, in a turn that nobody else has taken, and with a checkpoint."""
        self._driver.lane, self._news.turn_taken = SHUT, True
        try:
            if not await act(*args):
                await trio.lowlevel.cancel_shielded_checkpoint()
        finally:
            self._driver.pass_turn()

    async def _send_all(self, items: Iterator[Sent], out: Any = ALL) -> bool:
        """Send all of them, once what the short way gave last is on its way."""
        self._driver.gathering = True
        try:
            await self._go_on(out)
            while await self._send_some(items):
                pass
        except Exception:
            self._driver.gathering = False
            await self._flush()
            raise
        finally:
            self._driver.gathering = False
        if self._driver.merge_writes and not self._driver.reading:
            return False
        return await self._flush()

    async def _send_some(self, items: Iterator[Sent]) -> bool:
        """Send items as far as they go the same way; whether there may be more."""
        quick = self._driver.free_way
        if quick is None:
            for item in items:
                await self._pass_on(item, merge=True)
                return True
            return False
        out = quick.fill(items)
        await self._go_on(out)
        return out is not ALL

    async def _go_on(self, out: Any) -> None:
        """Do what the short way left to do."""
        driver = self._driver
        if out is PAUSE and self._engine.to_write_bytes < WRITE_BYTES:
            await trio.lowlevel.checkpoint()
        elif out is PAUSE:
            await driver.write_out()
        elif out is not ALL:
            assert driver.quick is not None
            driver.quick.settle(out)
            await self._take_out(merge=True)

    async def _pass_on(self, value: Sent, *, merge: bool) -> None:
        """Let one item go out, or be as if nothing had been sent, or break outbound."""
        self._check_can_send()
        self._engine.send(value)
        await self._take_out(merge=merge)

    async def _take_out(self, *, merge: bool) -> None:
        try:
            await self._driver.send_out(merge=merge)
        except BaseException as error:
            self._cut_short(error)
            raise
        finally:
            self._news.tell()

    def _cut_short(self, error: BaseException) -> None:
        engine = self._engine
        if engine.send_is_torn and engine.send_is_out:
            engine.finish_send()  # the rest is counted, and the next write begins with it
            self._driver.kept_rest = True
        elif engine.sending:
            engine.abort_send(error)
        else:  # cut short in the replies behind it, unless it came to nothing
            failed = engine.take_send_error() or engine.outbound_error
            self._driver.kept_rest = failed is None and not isinstance(error, Exception)

    async def _flush(self) -> bool:
        self._raise_unraised()
        writes = self._driver.writes
        if self._driver.free_way is not None:
            if self._engine.to_write_bytes:
                await self._driver.write_out()
        elif self._engine.outbound_error is None:
            await self._driver.send_out(merge=False)
        return writes != self._driver.writes

    async def _send_eof(self) -> bool:
        self._raise_unraised()
        if not self._engine.eof_sent and not self._engine.outbound_ended:
            self._check_can_send()
            self._engine.send_eof()
        await self._driver.end_out()
        error, self._driver.half_close_error = self._driver.half_close_error, None
        if error is not None:
            raise error
        return False

    def _raise_unraised(self) -> None:
        error, self._driver.unraised = self._driver.unraised, None
        if error is not None:
            raise error

    def _check_can_send(self) -> None:
        self._raise_unraised()
        if self._engine.outbound_error is not None:
            raise trio.BrokenResourceError(
                f"outbound is broken: {self._engine.outbound_error}"
            ) from self._engine.outbound_error
        if not self._engine.takes_sends:
            raise trio.ClosedResourceError("outbound has ended: nothing can be sent after send_eof() or END")
