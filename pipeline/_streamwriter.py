"""What writes the items of many streams: one task, which lets them take turns.

Rules for this file: it waits for the wire only. What is given to be sent goes out whole or not at all, whoever stops
waiting for it; what answers for the connection (credit, resets) goes ahead of all streams and belongs to no sender.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

import trio

from ._beside import Shared, afresh
from ._streamrules import StreamRules
from ._substream import State, Substream
from ._turns import Turns

MAX_BATCH: Final = 100
"""So many items at most are given to the pipeline at once; who sends waits until all of them are written."""


class Sending:
    """An item on its way out, and the task that waits until it is written; or nobody's.

    Attributes:
        stream: whose it is; None: it belongs to no sender.
        ends: it is the last one of its stream.
        over: it is written, or will not be.
        error: why it was not written.
    """

    __slots__ = ("ends", "error", "item", "over", "stream")

    def __init__(self, item: Any, stream: Substream[Any, Any] | None = None, *, ends: bool = False) -> None:
        self.item, self.stream, self.ends = item, stream, ends
        self.over = trio.Event()
        self.error: Exception | None = None

    def fail(self, error: Exception) -> None:
        """Let the task that waits raise this, if it waits."""
        self.error = error
        self.over.set()


class _Reset(Sending):
    """It tells the peer that a stream is given up."""

    __slots__ = ()


class StreamWriter(ABC):
    """The writing side of a group of streams.

    Attributes:
        broken: how writing failed first.
        failed: why nothing can be sent any more, if the reader knows.
        left: nothing more is to be sent but what is owed.
        written: nothing is being written any more.
        resets: how many resets are still to be written.
        room: where the reader waits until something was taken or written.
    """

    def __init__(self, pipeline: Shared[Any, Any], rules: StreamRules) -> None:
        self.pipeline, self.rules = pipeline, rules
        self.turns: Turns[Substream[Any, Any], Sending] = Turns()
        self.broken: Exception | None = None
        self.failed: Exception | None = None
        self.left = False
        self.written = trio.Event()
        self.resets = 0
        self.room = trio.lowlevel.ParkingLot()
        self._work = trio.lowlevel.ParkingLot()  # where the task waits for something to write
        self._batch: list[Sending] = []  # what is being written
        self._send_many: Callable[[Iterator[Any]], Awaitable[object]] | None = getattr(pipeline, "send_many", None)

    @abstractmethod
    def unsendable(self, error: Exception) -> None:
        """What was owed cannot be sent, though the connection is whole."""

    @abstractmethod
    def sent_end(self, stream: Substream[Any, Any]) -> None:
        """The last item of a stream was sent."""

    # ---- for tasks that send

    async def send(self, stream: Substream[Any, Any], item: Any, *, ends: bool) -> None:
        """Let the writer send an item of a stream."""
        await trio.lowlevel.checkpoint_if_cancelled()
        state = stream._state
        sending = Sending(item, stream, ends=ends)
        state.sending_ended = ends
        self.turns.add(stream, sending)
        self._work.unpark()
        try:
            await sending.over.wait()
        except BaseException:
            if self.turns.withdraw(stream, sending) and ends:
                state.sending_ended = False
            raise
        if sending.error is not None:
            raise sending.error

    def owe_reset(self, item: Any) -> None:
        """Tell the peer that a stream is given up."""
        self.resets += 1
        self._owe(_Reset(item))

    def return_credit(self, item: Any) -> None:
        """A received item was taken, or nobody will."""
        credit = None if self.rules.taken is None else self.rules.taken(item)
        if credit is not None and self.failed is None:
            self._owe(Sending(credit))

    def _owe(self, sending: Sending) -> None:
        """Send what belongs to no sender, ahead of all others."""
        self.turns.add_first(sending)
        self._work.unpark()

    def look_again(self) -> None:
        """Streams that may not send may be able to, now."""
        if self.turns.look_again():
            self._work.unpark()

    def fail_sends(self, stream: Substream[Any, Any], make_error: Callable[[], Exception]) -> None:
        """Send nothing more of a stream."""
        for sending in self.turns.drop(stream):
            sending.fail(make_error())

    def stop(self, error: Exception) -> None:
        """Nobody is to wait any more; what is being written, and what is owed, goes out."""
        for sending in self._batch:
            sending.fail(error)
        self.left = True
        self._work.unpark()

    def ending(self) -> Iterator[State[Any]]:
        """The streams whose last item is just being written."""
        return (each.stream._state for each in self._batch if each.stream is not None and each.ends)

    # ---- the task that writes

    async def write(self) -> None:
        """Write until the block was left."""
        while await self._has_work():
            try:
                await self._write_some()
            except Exception as error:
                self._not_sent(error)
            while self._batch:
                self._settle(self._batch.pop())
            self.room.unpark_all()
        self.written.set()

    async def _has_work(self) -> bool:
        """Wait until it is some stream's turn; False: nothing more is to be written."""
        while (sending := self._draw()) is None:
            if self.left:
                return False
            await self._work.park()
        self._take_up(sending)
        return True

    async def _write_some(self) -> None:
        """Write what was begun, and with it what has its turn next."""
        if self._send_many is None or not self.turns.ready:
            await self.pipeline.send(self._batch[0].item)
        else:
            await self._send_many(self._items())

    def _items(self) -> Iterator[Any]:
        yield self._batch[0].item
        while len(self._batch) < MAX_BATCH and (sending := self._draw()) is not None:
            self._take_up(sending)
            yield sending.item

    def _draw(self) -> Sending | None:
        """Whose turn it is."""
        while (sending := self.turns.next(self._may_send)) is not None:
            if sending.error is None:
                return sending
            self._settle(sending)
        return None

    def _may_send(self, stream: Substream[Any, Any], sending: Sending) -> bool:
        try:
            return self.rules.may_send is None or self.rules.may_send(stream.key, sending.item)
        except Exception as error:
            sending.error = error
            return True

    def _take_up(self, sending: Sending) -> None:
        self._batch.append(sending)
        if sending.stream is not None:
            # Before it is sent: the peer's answer may be there before this task goes on.
            sending.stream._state.begun = True
            sending.stream._state.sent_all = sending.ends

    def _settle(self, sending: Sending) -> None:
        """It was sent, or failed: whoever waits is told."""
        if sending.stream is None:
            self.resets -= isinstance(sending, _Reset)
            self.turns.look_again()
        elif sending.ends:
            self.turns.look_again()
            if sending.error is None:
                self.sent_end(sending.stream)
            else:
                sending.stream._state.sending_ended = sending.stream._state.sent_all = False
        sending.over.set()

    def _not_sent(self, error: Exception) -> None:
        """Say which failed: the last one that was taken, or all, where nobody knows how much went out."""
        last = self._batch[-1]
        if isinstance(error, trio.BrokenResourceError | trio.ClosedResourceError):
            self.broken = self.broken or error
            for sending in self._batch[:-1]:
                sending.error = afresh(error, "this was sent with others")
        elif last.stream is None:
            self.unsendable(error)
        elif self.rules.gone is not None and self.rules.gone(error):
            error = afresh(error, "this stream is over")
        last.error = error
