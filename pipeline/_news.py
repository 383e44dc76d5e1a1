"""How the tasks of a pipeline wait for each other, and how all of them stop at once when it is closed."""

from __future__ import annotations

import math
import types
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any, Final, NoReturn, TypeVar

import trio

T = TypeVar("T")
U = TypeVar("U")

LOOKS: Final = 6
"""Turns of the scheduler in which whatever is there already gets through trio's own wrappers."""


class Newsroom:
    """Where tasks wait until something changed in a pipeline."""

    # fmt: off
    __slots__ = (
        "_followed", "_lot", "_read_scope", "_scopes", "_turn_scopes", "_turns", "awaited", "changes", "closed",
        "deadline", "turn_taken",
    )
    # fmt: on

    def __init__(self) -> None:
        self.closed = False
        self.changes = 0  # how often something changed
        self.deadline: Callable[[], float | None] = lambda: None  # what a waiting task must look after
        self._lot: trio.lowlevel.ParkingLot | None = None  # most pipelines never need one
        self._scopes: list[trio.CancelScope] = []  # cancelled by close() only
        self._turn_scopes: list[trio.CancelScope] = []  # which follow the deadline ...
        self._followed = math.inf  # ... as it was last
        self._read_scope: trio.CancelScope | None = None
        self._turns: trio.lowlevel.ParkingLot | None = None
        self.turn_taken = False
        self.awaited = 0
        """How many tasks wait for something to change, or for their turn."""

    def tell(self) -> None:
        """Something changed: whoever waits looks again."""
        self.changes += 1
        if self._lot:
            self._lot.unpark_all()
        if self._turn_scopes:
            self._follow_deadline()

    def interrupt(self) -> None:
        """Something is to be done inbound of which the transport knows nothing."""
        if self._read_scope is not None:
            self._read_scope.cancel()
        self.tell()

    def close(self) -> None:
        """Every task leaves what it waits for with `trio.ClosedResourceError`."""
        self.closed = True
        for scope in (*self._scopes, *self._turn_scopes):
            scope.cancel()
        self.interrupt()

    def check_open(self) -> None:
        """Raise if the pipeline was closed."""
        if self.closed:
            raise closed_error()

    async def changed(self) -> None:
        """Wait until something changed."""
        if self._lot is None:
            self._lot = trio.lowlevel.ParkingLot()
        await self._park(self._lot)

    async def _park(self, lot: trio.lowlevel.ParkingLot) -> None:
        self.awaited += 1
        try:
            await lot.park()
        finally:
            self.awaited -= 1

    async def wait(self, deadline: float | None = None) -> None:
        """Wait until something changed, or the deadline is over; raise when the pipeline is closed."""
        if deadline is None:
            await self.changed()
        else:
            with trio.CancelScope(deadline=deadline):
                await self.changed()
        self.check_open()

    async def until_closed(self, wait: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Await `wait(*args)`; when the pipeline is closed meanwhile, cancel it and raise."""
        with trio.CancelScope() as scope:
            self._scopes.append(scope)
            try:
                return await wait(*args)
            finally:
                self._scopes.remove(scope)
        raise closed_error()

    @types.coroutine
    def until_closed_midway(self, waiting: Awaitable[None]) -> Generator[Any, Any, None]:
        """Do what `until_closed` does for a stage's call that has begun to wait already.

        The stage may have opened scopes, and none can be opened around those any more. So there is one inside
        them around each single wait, and the stage is got out of it by an error.
        """
        steps = waiting.__await__()
        step: Callable[[Any], Any] = steps.send
        value: Any = None
        told = False
        while True:
            try:
                yielded = step(value)
            except StopIteration:
                return
            except BaseException as error:
                rest = _apart_from_leaving(error)
                if rest is error:
                    raise
                raise (rest or closed_error()) from None
            with trio.CancelScope() as scope:
                if not told:
                    self._scopes.append(scope)
                    if self.closed:
                        scope.cancel()
                try:
                    step, value = steps.send, (yield self._with_way_out(yielded))
                finally:
                    if not told:
                        self._scopes.remove(scope)
            # What trio sends is an outcome, of which the stage makes what it stands for.
            if self.closed and not told and isinstance(getattr(value, "error", None), trio.Cancelled):
                told, step, value = True, steps.throw, _Leave()

    def _with_way_out(self, yielded: Any) -> Any:
        """What is yielded to trio: a nursery that waits for its tasks does not mind a scope inside it, but an error."""
        abort = getattr(yielded, "abort_func", None)
        if abort is None:
            return yielded

        def leave(raise_cancel: Callable[[], NoReturn]) -> trio.lowlevel.Abort:
            done: trio.lowlevel.Abort = abort(raise_cancel)
            return abort(_raise_leave) if self.closed and done is trio.lowlevel.Abort.FAILED else done

        wait = trio.lowlevel.wait_task_rescheduled(leave)  # noqa: ASYNC105 - only what it yields is wanted
        try:
            return wait.send(None)
        finally:
            wait.close()

    @contextmanager
    def reading(self, deadline: float | None) -> Iterator[trio.CancelScope]:
        """The scope in which the transport is read: it ends at the deadline, or when interrupted."""
        with trio.CancelScope(deadline=math.inf if deadline is None else deadline) as scope:
            self._read_scope = scope
            try:
                yield scope
            finally:
                self._read_scope = None

    def hurry(self, ask: Callable[[], float | None]) -> None:
        """The deadline may have moved: a task that reads is to notice; while none reads, it is not asked for."""
        if self._read_scope is not None:
            deadline = ask()
            self._read_scope.deadline = math.inf if deadline is None else deadline

    async def take_turn(self, on_deadline: Callable[[], Awaitable[None]]) -> None:
        """Wait for the turn to send, first come, first served; deadlines are looked after meanwhile."""
        while self.turn_taken:
            if self._turns is None:
                self._turns = trio.lowlevel.ParkingLot()
            if not await self.park_until_due(self._turns):
                return  # handed over by pass_turn
            await on_deadline()
        self.turn_taken = True
        self.changes += 1

    async def park_until_due(self, lot: trio.lowlevel.ParkingLot) -> bool:
        """Wait in `lot`; whether a deadline passed meanwhile. Raise when the pipeline is closed."""
        self._follow_deadline()
        with trio.CancelScope(deadline=self._followed) as scope:
            self._turn_scopes.append(scope)
            try:
                await self._park(lot)
                return False
            finally:
                self._turn_scopes.remove(scope)
        self.check_open()
        return True

    def pass_turn(self) -> None:
        """Hand the turn to the task that waits longest."""
        if self._turns:
            self._turns.unpark()
        else:
            self.turn_taken = False
        self.tell()

    def _follow_deadline(self) -> None:
        deadline = self.deadline()
        due = math.inf if deadline is None else deadline
        if due != self._followed:  # it hardly ever is: a hundred tasks that wait for their turn cost nothing
            self._followed = due
            for scope in self._turn_scopes:
                scope.deadline = due


class _Leave(BaseException):
    """Gets a task out of what a stage waits for; it passes what catches an `Exception`, or cancellation."""


def _raise_leave() -> NoReturn:
    raise _Leave


def _apart_from_leaving(error: BaseException) -> BaseException | None:
    """What else the error says than that a task left, perhaps a nursery, too."""
    if isinstance(error, BaseExceptionGroup) and error.subgroup(_Leave) is not None:
        return error.split((_Leave, trio.Cancelled))[1]
    return None if isinstance(error, _Leave) else error


def closed_error() -> trio.ClosedResourceError:
    """What a task gets that uses a pipeline after, or while, it is closed."""
    return trio.ClosedResourceError("this pipeline was closed; use it inside its `async with` block only")


async def briefly(wait: Callable[[], Awaitable[T]], *, otherwise: U) -> T | U:
    """Get what is there without waiting: some turns of the scheduler, and no time.

    Args:
        wait: must lose nothing when it is cancelled.
        otherwise: the result if there was nothing.
    """
    result: T | U = otherwise
    failed: Exception | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_cancel_soon, nursery.cancel_scope)
        try:
            result = await wait()
        except Exception as error:
            failed = error
        nursery.cancel_scope.cancel()
    if failed is not None:
        raise failed
    return result


async def _cancel_soon(scope: trio.CancelScope) -> None:
    for _ in range(LOOKS):
        await trio.lowlevel.cancel_shielded_checkpoint()
    scope.cancel()
