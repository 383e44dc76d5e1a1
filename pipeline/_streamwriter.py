"""What writes the items of many streams: one task, which lets them take turns.

Rules for this file: it waits for the wire only. What is given to be sent goes out whole or not at all, whoever stops
waiting for it; what answers for the connection (credit, resets) goes ahead of all streams and belongs to no sender.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import trio

from ._beside import Shared
from ._streamrules import StreamRules
from ._substream import Substream
from ._turns import Turns


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
        self._current: Sending | None = None  # what is being written

    @abstractmethod
    def unsendable(self, error: Exception) -> None:
        """What was owed cannot be sent, though the connection is whole."""

    @abstractmethod
    def sent_all(self, stream: Substream[Any, Any]) -> None:
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
        if self._current is not None:
            self._current.fail(error)
        self.left = True
        self._work.unpark()

    # ---- the task that writes

    async def write(self) -> None:
        """Write until the block was left."""
        while (sending := await self._next()) is not None:
            self._current = sending
            try:
                if sending.error is not None:
                    raise sending.error
                if sending.stream is not None:
                    sending.stream._state.begun = True
                await self.pipeline.send(sending.item)
            except Exception as error:
                self._not_sent(sending, error)
            else:
                self._sent(sending)
            sending.over.set()
            self.resets -= isinstance(sending, _Reset)
            self.room.unpark_all()
            del sending
            self._current = None
        self.written.set()

    async def _next(self) -> Sending | None:
        """Whose turn it is, or None: nothing more is to be written."""
        while True:
            sending = self.turns.next(self._may_send)
            if sending is not None or self.left:
                return sending
            await self._work.park()

    def _may_send(self, stream: Substream[Any, Any], sending: Sending) -> bool:
        try:
            return self.rules.may_send is None or self.rules.may_send(stream.key, sending.item)
        except Exception as error:
            sending.error = error
            return True

    def _sent(self, sending: Sending) -> None:
        if sending.stream is None:
            self.turns.look_again()
        elif sending.ends:
            self.turns.look_again()
            self.sent_all(sending.stream)

    def _not_sent(self, sending: Sending, error: Exception) -> None:
        sending.error = error
        if isinstance(error, trio.BrokenResourceError | trio.ClosedResourceError):
            self.broken = self.broken or error
        elif sending.stream is None:
            self.unsendable(error)
        if sending.stream is not None and sending.ends:
            sending.stream._state.sending_ended = False
