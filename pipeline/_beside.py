"""What the high-level API is made of: tasks that run beside a block, and the inboxes which they fill."""

from __future__ import annotations

import operator
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, Literal, Protocol, Self, TypeAlias

import trio
from typing_extensions import TypeVar

from ._errors import LimitError

T = TypeVar("T")
Received = TypeVar("Received", covariant=True, default=Any)
Sent = TypeVar("Sent", contravariant=True, default=Any)

OnFull: TypeAlias = Literal["drop-oldest", "fail"]

CLEAN_END: Final = "the input has ended; `async for` ends there without an error"


class Shared(Protocol[Received, Sent]):
    """What many tasks share: a pipeline, or anything else with its `send`, `receive` and `async for`."""

    def send(self, value: Sent, /) -> Awaitable[object]: ...

    def receive(self) -> Awaitable[Received]: ...

    def __aiter__(self) -> Self: ...

    def __anext__(self) -> Awaitable[Received]: ...


@asynccontextmanager
async def beside(
    *tasks: Callable[[], Awaitable[None]],
    leave: Callable[[], None],
    finish: Callable[[], Awaitable[None]] | None = None,
) -> AsyncIterator[None]:
    """Run tasks while the block runs.

    Args:
        tasks: they raise no `Exception`; cancelled when the block is left.
        leave: called first then, however the block ended.
        finish: awaited next, before the tasks are cancelled, if the block ended well.

    Raises:
        Exception: what the block raised, itself and in no group.
    """
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        for task in tasks:
            nursery.start_soon(task)
        for _ in range(2):  # until they run: whoever receives from the pipeline in the block is told so, and not they
            await trio.lowlevel.cancel_shielded_checkpoint()
        try:
            yield
        except Exception as error:
            failure = error
            nursery.cancel_scope.shield = True  # a cancellation from outside does not replace the error
        finally:
            leave()
        if failure is None and finish is not None:
            await finish()
        nursery.cancel_scope.cancel()
    if failure is not None:
        try:
            raise failure
        finally:
            del failure


class Inbox(trio.abc.ReceiveChannel[T]):
    """Items that wait for whoever receives them, and then how it ended.

    Args:
        max_items: how many may wait.
        left: what `trio.ClosedResourceError` says to whoever receives after it was closed.

    Attributes:
        room: where a task waits until an item was received.
    """

    def __init__(self, max_items: int, *, left: str) -> None:
        self._max_items, self._left = max_items, left
        self._put, self._items = trio.open_memory_channel[T](max_items)
        self._error: Exception | None = None
        self._error_raised = False
        self.closed = False
        self.room = trio.lowlevel.ParkingLot()

    async def receive(self) -> T:
        """Return the next item.

        Raises:
            trio.EndOfChannel: the input ended cleanly, and every item was received.
            trio.ClosedResourceError: it was closed.
            trio.BrokenResourceError: the error that ended it was raised to another `receive()` before.
            Exception: what ended it, after the items before it.

        Cancellation: nothing is lost.
        """
        try:
            item = await self._items.receive()
        except trio.ClosedResourceError:
            raise trio.ClosedResourceError(self._left) from None
        except trio.EndOfChannel:
            pass
        else:
            self.room.unpark_all()
            return item
        raise self._how_it_ended()  # out here, so that the error keeps the cause it has

    def _how_it_ended(self) -> Exception:
        if self._error is None:
            return trio.EndOfChannel(CLEAN_END)
        if self._error_raised:
            return afresh(self._error, "nothing more can be received")
        self._error_raised = True
        return self._error

    async def aclose(self) -> None:
        """Want no more items; whoever waits for one gets `trio.ClosedResourceError`."""
        self.close()
        await trio.lowlevel.checkpoint()

    def close(self) -> list[T]:
        """Close it, and return what nobody received."""
        rest = self.take_all()
        self.closed = True
        self._items.close()
        self.room.unpark_all()
        return rest

    # ---- for the task that fills it

    @property
    def is_full(self) -> bool:
        """Whether `put` would find no room."""
        return self._put.statistics().current_buffer_used >= self._max_items

    def put(self, item: T) -> bool:
        """Hand an item to a task that waits for it, or keep it; False: there is no room. Once closed, drop it."""
        try:
            if not self.closed:
                self._put.send_nowait(item)
        except trio.WouldBlock:
            return False
        return True

    def drop_oldest(self) -> None:
        """Make room."""
        self._items.receive_nowait()

    def take_all(self) -> list[T]:
        """Take out what waits."""
        items: list[T] = []
        try:
            while True:
                items.append(self._items.receive_nowait())
        except (trio.WouldBlock, trio.EndOfChannel, trio.ClosedResourceError):
            return items

    def end(self, error: Exception | None) -> None:
        """Nothing more comes, for this reason; None: the input has ended."""
        self._error = error
        self._put.close()


class Events(Inbox[T]):
    """What came and is for no task in particular: bounded, so that nobody must receive it.

    Args:
        max_events: how many may wait.
        on_full: whether one more pushes the oldest out, or is an error.
        of: how the user calls what has it: "calls".
        left: as for an inbox.

    Attributes:
        dropped: how many were dropped because nobody received them.
    """

    def __init__(self, max_events: int, on_full: OnFull, *, of: str, left: str) -> None:
        if operator.index(max_events) < 1:
            raise ValueError(f"max_events is {max_events}; it must be 1 or more")
        if on_full not in ("drop-oldest", "fail"):
            raise ValueError(f'on_full is {on_full!r}; it must be "drop-oldest" or "fail"')
        super().__init__(max_events, left=left)
        self._on_full, self._of = on_full, of
        self.dropped = 0

    def add(self, event: T) -> None:
        """Let one more wait.

        Raises:
            LimitError: there is no room, and that is to be an error.
        """
        if self.closed:
            self.dropped += 1
        elif not self.put(event):
            if self._on_full == "fail":
                raise LimitError(
                    f"{self._max_items} events wait in {self._of}.events, and one more came: receive them in a task "
                    f'of their own, raise max_events, or open_{self._of}(..., on_full="drop-oldest")',
                    limit=self._max_items,
                    size=self._max_items + 1,
                )
            self.drop_oldest()
            self.dropped += 1
            self.put(event)


def afresh(cause: Exception, what: str) -> Exception:
    """Make an error for one task of an error that several tasks are to get, and which can be raised in one only."""
    kind = trio.ClosedResourceError if isinstance(cause, trio.ClosedResourceError) else trio.BrokenResourceError
    error = kind(f"{what}: {cause!r}")
    error.__cause__ = cause
    return error
