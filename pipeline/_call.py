"""One call of one stage's method, and all that can become of it.

Rules for this file: it knows one slot. However a call ends, what it leaves is at that slot: results,
an error, a call that waits, or, if it was cancelled, what it was about, so that it is made again (S5).
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Generator
from types import CoroutineType
from typing import Any, NoReturn

from ._errors import StageReturnError
from ._items import show_item
from ._results import Noted
from ._row import before
from ._slot import Slot
from ._stage import END, Stage, results_of

Call = tuple[Any, ...]
"""The name of a stage's method and its arguments."""


class Waiting:
    """A stage waits: await this on the loop the stage waits with, then make the same call again.

    Await it at once, in the task that made the call and before anything else: the stage is in the
    middle of its own waiting, perhaps inside a cancel scope.

    Cancellation: the stage's call did not happen; it is made again with the same item.
    """

    def __init__(self, slot: Slot, call: Call, coroutine: Any, yielded: Any = None, loop: Any = None) -> None:
        self._slot, self.call = slot, call
        self._coroutine, self._yielded = coroutine, yielded
        self._loop = loop  # which began to await the coroutine: if it ended before, it would close the coroutine
        self._suspended = False  # a task waits in it
        self._detached = False  # nobody wants its result any more

    def begin(self) -> None:
        """Run the stage's call up to its first wait; most never wait, and then nobody needs to await this."""
        self._yielded = _step(self._slot, self.call, self._coroutine.send, None)

    @property
    def stage_name(self) -> str:
        """The name of the stage that waits."""
        return self._slot.name

    def __await__(self) -> Generator[Any, Any, None]:
        """Do what `await` would do with the stage's coroutine, from its first wait on."""
        while self._slot.running is self or self._detached:
            step: Callable[[Any], Any]
            self._suspended = True
            try:
                step, value = self._coroutine.send, (yield self._yielded)
            except BaseException as error:
                step, value = self._coroutine.throw, error
            finally:
                self._suspended = False
            if not self._detached:
                self._yielded = _step(self._slot, self.call, step, value)
                continue
            try:
                self._yielded = step(value)
            except StopIteration:
                return

    def abandon(self) -> None:
        """Give the stage's call up, as if it had been cancelled.

        If a task is waiting in it, the stage's code goes on there to its own end, and nothing comes of it.
        """
        self._slot.running = None
        try:
            if self._suspended:
                self._detached = True
            else:
                self._coroutine.close()
        finally:
            put_back(self._slot, self.call)


def call(slot: Slot, op: str, *args: Any) -> Waiting | None:
    """Call a method of the stage; its results wait at the slot then, or once the `Waiting` was awaited.

    Raises:
        Exception: what the stage raised, with a note; or it returned something that is no result.
    """
    if op != "process":
        slot.mine = False
    this: Call = (op, *args)
    try:
        if op == "poll" or (op == "process" and slot.sync is not None):
            method = slot.poll if op == "poll" else slot.sync
            returned(slot, method(*args), this)
            return None
        coroutine = _as_coroutine(slot.stage, op, getattr(slot.stage, op)(*args))
    except BaseException as error:
        cut(slot, this, error)
    slot.running = Waiting(slot, this, coroutine)
    slot.running.begin()
    slot.prompt = slot.running is None
    raise_failure(slot)
    return slot.running


def begin_process(slot: Slot, item: Any) -> Any:
    """Let a stage that may wait process an item; most never wait.

    Returns:
        What it returned; or, if it waits, the `Waiting`.
    """
    coroutine = _as_coroutine(slot.stage, "process", slot.stage.process(item))
    try:
        yielded = coroutine.send(None)
    except StopIteration as stop:
        slot.prompt = True
        return stop.value
    slot.prompt = False
    slot.running = Waiting(slot, ("process", item), coroutine, yielded)
    return slot.running


def returned(slot: Slot, result: Any, this: Call) -> None:
    """A stage's method gave its results."""
    op, *args = this
    method = "process_sync" if op == "process" and slot.sync is not None else op
    slot.results, slot.op, slot.args = results_of(slot.stage, method, result), op, tuple(args)
    slot.listed = len(result) if isinstance(result, list | tuple) else 0
    slot.timer_waits = False
    slot.started = slot.started or op == "start"
    slot.fresh = slot.polls and op != "poll"
    if op == "poll":
        slot.results = Noted(slot.results, slot.refresh)  # where something came from there may be more
    elif slot.generates and slot.mine:
        slot.results = Noted(slot.results, slot.go_ahead)
    else:
        slot.go_ahead()
    if slot.wakes:
        slot.wake()
    if slot.aside is not None:
        slot.flow.end_overtaking(slot)
    slot.flow.touch(slot.index)


def raise_failure(slot: Slot) -> None:
    """Raise the error that a call ended with, if it did, once."""
    failure, slot.failure = slot.failure, None
    if failure is not None:
        raise failure


def put_back(slot: Slot, this: Call) -> None:
    """A call was cancelled: what it was about waits again."""
    match this:
        case ("process", item):
            slot.inbox = before(slot.inbox, (item, slot.mine, 0))
        case ("finish",):
            slot.inbox = before(slot.inbox, (END, False, 0))
        case ("on_timer", now):
            slot.due = now
        case ("poll",):
            slot.fresh = True
    slot.flow.touch(slot.index)


def cut(slot: Slot, this: Call, error: BaseException) -> NoReturn:
    """A call raised; if it was cancelled, what it was about waits again."""
    if isinstance(error, Exception):
        fail(slot, this, error)
    put_back(slot, this)
    raise error


def fail(slot: Slot, this: Call, error: BaseException) -> NoReturn:
    """Raise what a stage raised, with its note."""
    raise described(error, slot, this)


def described(error: BaseException, slot: Slot, this: Call) -> Any:
    """The error with a note on where it happened and with which item."""
    op, *args = this
    if _looks_like_an_end(error):
        cause, error = error, RuntimeError(f"{slot.name}.{op}() raised {type(error).__name__}")
        error.__cause__ = cause
    note = f"in {slot.flow.describe(slot)}, {op}()"
    if op == "process" and args:
        note += f", item: {show_item(args[0], show_items=slot.flow.show_items)}"
    if note not in getattr(error, "__notes__", ()):
        error.add_note(note)
    slot.flow.failed_mine = slot.mine
    slot.flow.failed = (slot.stage, error)
    return error


def _looks_like_an_end(error: BaseException) -> bool:
    """Whether it would end whatever loop it passes on its way, as if nothing had happened; of trio's, by name."""
    trios = any((kind.__module__, kind.__name__) == ("trio", "EndOfChannel") for kind in type(error).__mro__)
    return trios or isinstance(error, StopIteration | StopAsyncIteration)


def _step(slot: Slot, this: Call, step: Callable[[Any], Any], value: Any) -> Any:
    """Run a stage's coroutine up to its next wait, and return what it yields there.

    At its end `slot.running` is None and its results or its error wait at the slot.

    Raises:
        BaseException: the call was cancelled; it is as if it had not been made.
    """
    try:
        return step(value)
    except StopIteration as stop:
        result = stop.value
    except Exception as error:
        slot.running = None
        slot.failure = described(error, slot, this)
        return None
    except BaseException:
        slot.running = None
        put_back(slot, this)
        raise
    slot.running = None
    try:
        returned(slot, result, this)
    except Exception as error:
        slot.failure = described(error, slot, this)
    return None


def _as_coroutine(stage: Stage[Any, Any], op: str, awaitable: Any) -> Any:
    """What an `async def` method returned, as something with send() and throw().

    Raises:
        StageReturnError: the method is not `async def`.
    """
    if type(awaitable) is CoroutineType or inspect.iscoroutine(awaitable):
        return awaitable
    if inspect.isawaitable(awaitable):
        return _await(awaitable)
    results_of(stage, op, awaitable)
    hint = "; a stage that never waits defines process_sync" if op == "process" else ""
    raise StageReturnError(f"{stage.name}.{op}() is not async: write `async def {op}`{hint}")


async def _await(awaitable: Awaitable[Any]) -> Any:
    return await awaitable
