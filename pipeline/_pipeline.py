"""A chain attached to a transport: a trio channel of the client's items.

              inbound ─►
 transport  │ stage │ stage │ stage │  receive()
              ◄─ outbound              send()

Rules for this file: the public face only. What runs is `_core.Engine`; who runs it when is `_driver.Driver`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn, TypeAlias, TypedDict, cast

import trio
from typing_extensions import TypeVar

from ._call import Waiting
from ._chain import Duplex, Inbound, Outbound, Passthrough
from ._changing import change
from ._closing import close
from ._core import WRITE_BYTES, Engine
from ._driver import NOTHING, Driver
from ._flow import NEED_INPUT, WOULD_WAIT, Mark, NeedInput
from ._quick import ALL, NONE_CAME, PAUSE, YIELD_AFTER
from ._stage import END, End
from ._stream import HalfCloseablePipelineStream, PipelineStream
from ._surgery import Cut, Leftover, check_leftover, insertion, replacement
from ._transport import Transport, Wire
from ._writing import NOT_NOW, SHUT

Received = TypeVar("Received", covariant=True, default=Any)
Sent = TypeVar("Sent", contravariant=True, default=Any)

T = TypeVar("T")
Piece: TypeAlias = Duplex[Any, Any, Any, Any] | Inbound[Any, Any] | Outbound[Any, Any] | Passthrough

_NO_ITEMS: Final = frozenset((NeedInput, Mark, End, Waiting))


class PipelineOptions(TypedDict, total=False):
    """What a `Pipeline` takes by keyword."""

    merge_writes: bool
    max_reply_bytes: int
    close_seconds: float
    show_items: bool


class Pipeline(trio.abc.ReceiveChannel[Received], trio.abc.SendChannel[Sent]):
    r"""A chain attached to a transport, as a trio channel; use it with `async with`.

    wire  b'{"id": 1}\n'  ─►  LineFramer() | JSONCodec()  ─►  receive() -> {"id": 1}

    The stages run inside the calls: there is no task and no queue, and what nobody receives is not
    read. One task may receive while others send.

    Args:
        transport: a trio stream or channel, one half of one, or two halves (receive_half, send_half).
        chain: the stages, from wire to client; they belong to this pipeline for good.
        merge_writes: a `send()` only buffers (up to 64 KiB) while no `receive()` waits for the
            transport; what is buffered goes out when one would wait, at `flush()` and at the end. Such a
            send notices cancellation and lets other tasks run at least once per 64 KiB or 1,000 sends.
        max_reply_bytes: how much of the stages' replies may wait for the peer to read them; beyond,
            the peer is not read either.
        close_seconds: how long closing in good order may take.
        show_items: whether notes on errors may show (a piece of) the item.

    Raises:
        TypeError: the transport is none of trio's kinds, or a piece of the chain is no stage.
        StageInUseError: a stage belongs to another pipeline already; the message shows a chain factory.
    """

    def __init__(
        self,
        transport: Transport,
        chain: Duplex[Any, Received, Sent, Any] | Inbound[Any, Received] | Outbound[Sent, Any] | Passthrough,
        *,
        merge_writes: bool = False,
        max_reply_bytes: int = 65536,
        close_seconds: float = 5,
        show_items: bool = True,
    ) -> None:
        wire = Wire(transport)
        self._engine: Engine[Received, Sent] = Engine(
            chain,
            clock=_clock,
            byte_wire=wire.takes_bytes,
            max_reply_bytes=max_reply_bytes,
            show_items=show_items,
        )
        self._driver = Driver(self._engine, wire, merge_writes=merge_writes)
        self._news = self._driver.news
        self._close_seconds = close_seconds
        self._entering = self._entered = self._receiving = False
        self._closed = trio.Event()
        self._late_error: Exception | None = None  # came after the items of a batch
        self._calm_since = -1  # the state of the news since when nothing was to be done but to take items
        self._patience = 0  # what may pass until the next checkpoint; see YIELD_AFTER
        self._lent = 0  # how much of it what is ready may use up

    def __repr__(self) -> str:
        return f"<Pipeline {type(self.transport).__name__} | {self._engine.chain!r}>"

    @property
    def transport(self) -> Any:
        """What the pipeline reads from (or, if it cannot be read from, writes to)."""
        end = self._driver.wire.reader or self._driver.wire.writer
        assert end is not None
        return end.resource

    @property
    def chain(self) -> Any:
        """The chain, whose `repr` shows it as it was written."""
        return self._engine.chain

    @property
    def dropped_replies(self) -> int:
        """How many replies of stages came too late, after their direction had ended or broken."""
        return self._engine.dropped_replies

    @property
    def cut_send_goes_out(self) -> bool:
        """Whether the last `send()`, which was cancelled, was begun to be written and is finished by the next write."""
        return self._driver.kept_rest

    # ---- entering and leaving

    async def __aenter__(self) -> Pipeline[Received, Sent]:
        """Start the stages; ends when every one is ready, or an item for the client is there.

        Cancellation, and any error: stages and transport are closed.
        """
        await self._enter()
        return self

    async def _enter(self) -> None:
        while self._entering:
            await self._news.wait()
        self._news.check_open()
        if self._entered:
            return
        self._entering = True
        try:
            await self._driver.enter()
            self._entered = True
        except BaseException as error:
            await self._close_after(error)
            raise
        finally:
            self._entering = False
            self._news.tell()

    if not TYPE_CHECKING:  # the checkers are to refuse it

        def __enter__(self) -> NoReturn:
            raise TypeError("a Pipeline is closed asynchronously: write `async with`, not `with`")

        __exit__ = __enter__  # `with` looks for it first, and never calls it

        def __iter__(self) -> NoReturn:
            raise TypeError("a Pipeline is received from asynchronously: write `async for`, not `for`")

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close; in good order if the block ended well."""
        if exc_value is None:
            await self.aclose()
        else:
            await self._close_after(exc_value)

    async def _close_after(self, error: BaseException) -> None:
        """Close because of an error, which stays the one that is raised."""
        try:
            await self._close(graceful=False)
        except trio.Cancelled:
            pass  # closed at once; the error is what the block ends with
        except Exception as second:
            error.add_note(f"and then, closing the pipeline: {second!r}")

    async def aclose(self) -> None:
        """Close: the stages finish, what is buffered is written, then stages and transport are closed.

        Other tasks that use the pipeline get `trio.ClosedResourceError` at once. A second call does nothing.

        Raises:
            Exception: what went wrong first, the rest as notes; everything is closed nevertheless.
            trio.BrokenResourceError: the peer did not take within `close_seconds` what was sent before.

        Cancellation: everything is closed at once, without finishing.
        """
        await self._close(graceful=True)

    async def _close(self, *, graceful: bool) -> None:
        if self._news.closed:
            await self._closed.wait()
            await trio.lowlevel.checkpoint()
            return
        try:
            await close(self._driver, graceful=graceful and self._entered, seconds=self._close_seconds)
        finally:
            self._closed.set()

    # ---- receiving

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
        if self._driver.merge_writes and self._engine.to_write_bytes:
            self._driver.flush_straight()
        try:
            item: Received
            if self._driver.idle:
                item = await self._read_straight()
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

    async def _read_straight(self) -> Any:
        """An item of what is read next by an idle driver, or NOTHING, where more is to be done than to read."""
        driver = self._driver
        while self._late_error is None and await driver.read_straight(YIELD_AFTER):
            self._lent, self._patience = YIELD_AFTER, 0
            try:
                for item in driver.ready:
                    if not driver.stage_waits:
                        return item
                    driver.wait_for(item)
                    break
            except BaseException as error:
                self._engine.fail_ready(error)
            if driver.waiting is not None:
                await driver.waited()
            if not driver.idle:
                break
        return NOTHING

    def __aiter__(self) -> Pipeline[Received, Sent]:
        return self

    async def __anext__(self) -> Received:
        """Return the next item, as `receive` does, but without a checkpoint each time."""
        item: Received
        driver = self._driver
        try:
            for item in driver.ready:
                loop = driver.loop
                if loop is None or loop.gi_yieldfrom is None:  # `stage_waits`, but fast
                    return item
                driver.wait_for(item)
                break
        except BaseException as error:
            self._engine.fail_ready(error)
        return await self._receive_next()

    async def _receive_next(self) -> Received:
        driver = self._driver
        item: Received
        if driver.waiting is not None:
            await self._wait_in_stage()
        if driver.merge_writes and self._engine.to_write_bytes:
            driver.flush_straight()
        if driver.idle:
            self._lent = self._patience = 0
            self._claim_receive()
            try:
                item = await self._read_straight()
            finally:
                self._receiving = False
            if item is not NOTHING:
                return item
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
            if self._driver.loop is None:
                batch.extend(self._driver.ready)
            else:
                self._fill_from_loop(batch)
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

    def _fill_from_loop(self, batch: list[Received]) -> None:
        driver = self._driver
        for item in driver.ready:
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
        driver = self._driver
        while True:
            if driver.parked:
                return driver.unpark()
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

    # ---- sending

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
        driver = self._driver
        if driver.checks_first:
            await trio.lowlevel.checkpoint_if_cancelled()
        try:
            out = driver.take_lane(value)
        except BaseException as error:
            driver.fail_lane(value, error)
        if out is ALL:
            return
        if out is NOT_NOW:
            await self._send_otherwise(value)
        elif out is NONE_CAME:
            await self._send_nothing()
        elif type(out) is not bytes or not out or self._engine.to_write_bytes:
            await self._send_begun(out)
        else:
            await driver.send_quickly(out)

    async def _send_otherwise(self, value: Sent) -> None:
        """Open the lane first, or do without."""
        driver = self._driver
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
            Exception: as `send` does, for the first item that fails; the items before it are sent.

        Cancellation: the items before the one in work are sent, or will be by the next write.
        """
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
        try:
            await self._go_on(out)
            while await self._send_some(items):
                pass
        except Exception:
            await self._flush()
            raise
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
        else:
            engine.abort_send(error)

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

    # ---- changing the chain

    async def insert(
        self,
        stage: Piece,
        *,
        before: object = None,
        after: object = None,
        at: Literal["wire", "client"] | None = None,
        leftover: Leftover | None = None,
    ) -> list[Any]:
        """Put a stage or a chain into the running chain.

        LineFramer() | TextCodec()      insert(Logger(), after=LineFramer)      LineFramer() | Logger() | TextCodec()

        It takes effect between two items. Everything that was received and not delivered, also what came
        in the same read, goes through the new chain, to the byte. A tap goes in without waiting for
        anybody, and sees what passes its place from then on.

        Args:
            stage: what goes in; it belongs to this pipeline for good, unless it is shareable.
            before: the stage on whose wire side it goes: the object, its name or its class.
            after: the stage on whose client side it goes. Of `before`, `after` and `at` one is given.
            at: "wire" or "client": the end of the chain where it goes.
            leftover: what becomes of what was received and not delivered. "forward": it goes through
                the new chain; "forbid": if there is any, the change is refused; "return": it is given
                to the caller. Default: "forbid" for a stage that is a trust boundary (TLS), else "forward".

        Returns:
            With leftover="return" a list of that, as it came to the place; else an empty one.

        Raises:
            SurgeryError: the place is not there, a stage cannot give back what it took, there was
                something that is forbidden, or `start()` failed; everything goes on as before.
            StageInUseError: the stage belongs to a pipeline already.
            trio.ClosedResourceError: the pipeline was closed.
            trio.BrokenResourceError: a direction that is to be changed is broken.
            Exception: the handshake of the new stage failed; both directions are broken.

        Cancellation: before `start()` is over it is as if nothing had been asked; a handshake that is cut
        short breaks both directions.
        """
        return await self._change(
            partial(insertion, self._engine, stage, before=before, after=after, at=at), leftover, finish=False
        )

    async def remove(self, stage: object, *, leftover: Leftover | None = None, finish: bool = False) -> list[Any]:
        """Take a stage out of the running chain, and close it.

        LineFramer() | Logger() | TextCodec()        remove(Logger)        LineFramer() | TextCodec()

        Args:
            stage: the object, its name or its class.
            leftover: as in `insert`.
            finish: whether the stage's `finish()` is called, and what it gives goes on both ways.

        Returns, Raises, Cancellation: as `insert`.
        """
        return await self._change(partial(replacement, self._engine, stage, None), leftover, finish=finish)

    async def replace(
        self, old: object, new: Piece, *, leftover: Leftover | None = None, finish: bool = False
    ) -> list[Any]:
        """Put a stage or a chain where another stage was: what follows goes through the new one, to the byte.

        LineFramer() | Logger()        replace(LineFramer, LengthFramer())        LengthFramer() | Logger()

        Args:
            old: the object, its name or its class; it is closed.
            new: what goes in its place.
            leftover: as in `insert`.
            finish: whether the old stage's `finish()` is called, and what it gives goes on both ways.

        Returns, Raises, Cancellation: as `insert`.
        """
        return await self._change(partial(replacement, self._engine, old, new), leftover, finish=finish)

    async def _change(self, plan: Callable[[], Cut], leftover: Leftover | None, *, finish: bool) -> list[Any]:
        check_leftover(leftover)
        if not self._entered:
            await self._enter()
        await trio.lowlevel.checkpoint_if_cancelled()
        self._news.check_open()
        given = await change(self._driver, plan, leftover=leftover, finish=finish)
        await trio.lowlevel.cancel_shielded_checkpoint()
        return given

    def _drain(self) -> None:
        """The server is going down: let the handler see the end of the stream when nothing has begun."""
        self._driver.drain()

    # ---- as a stream

    def as_stream(self) -> trio.abc.Stream:
        """This pipeline as a `trio.abc.Stream`, for a chain whose client items are bytes.

        items  b"ab"  b"cd"        receive_some(3)  ─►  b"ab"        receive_some(1)  ─►  b"c"

        It is a `trio.abc.HalfCloseableStream` where the transport can be half-closed. Closing it
        closes the pipeline; use one or the other.
        """
        kind = HalfCloseablePipelineStream if self._driver.wire.can_half_close else PipelineStream
        stream: trio.abc.Stream = kind(cast("Pipeline[bytes, bytes]", self), self._driver)
        return stream


class _Batches(AsyncIterator[list[T]]):
    """See `Pipeline.batches`."""

    def __init__(self, pipeline: Pipeline[T, Any]) -> None:
        self._pipeline = pipeline

    def __aiter__(self) -> _Batches[T]:
        return self

    async def __anext__(self) -> list[T]:
        try:
            return await self._pipeline._receive_batch()
        except trio.EndOfChannel:
            raise StopAsyncIteration from None


def _clock() -> float:
    return trio.current_time()
