"""Cancelling a piece of code at its n-th checkpoint, whichever that is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import trio

from .._flow import Waiting


@dataclass(frozen=True)
class Cancelled:
    """Where the code was cancelled: the number of the checkpoint, 1 first, and what waited there."""

    number: int
    where: str


async def cancelled_at(number: int, call: Callable[[], Awaitable[None]]) -> Cancelled | None:
    """Run `call` and cancel it when it, or a task under it, waits for the n-th time.

    A checkpoint that only lets others run counts, as does a wait for something.

    Returns:
        Where it was cancelled, or None: it has fewer checkpoints, and ran to its end.
    """
    scope = trio.CancelScope()
    instrument = _Counter(trio.lowlevel.current_task(), scope, number)
    trio.lowlevel.add_instrument(instrument)
    try:
        with scope:
            await call()
    finally:
        trio.lowlevel.remove_instrument(instrument)
    return instrument.cancelled


class _Counter(trio.abc.Instrument):
    """Counts how often a task, or one under it, gave up control; cancels at a number."""

    def __init__(self, task: trio.lowlevel.Task, scope: trio.CancelScope, number: int) -> None:
        self.cancelled: Cancelled | None = None
        self._task, self._scope, self._number = task, scope, number
        self._count = 0
        self._older = set(task.child_nurseries)  # what runs in these is not under the call

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if not self._is_under(task):
            return
        self._count += 1
        if self._count == self._number:
            self.cancelled = Cancelled(self._number, _where(task))
            self._scope.cancel()

    def _is_under(self, task: trio.lowlevel.Task) -> bool:
        under: trio.lowlevel.Task | None = task
        while under is not None and under is not self._task:
            nursery = under.parent_nursery
            under = nursery.parent_task if nursery is not None and nursery not in self._older else None
        return under is self._task


def _where(task: trio.lowlevel.Task) -> str:
    """The stage that waits, or else the innermost function which is not trio's own."""
    where = "at its end"
    for frame, line in task.iter_await_frames():
        waiting = frame.f_locals.get("self")
        if isinstance(waiting, Waiting):
            return f"inside stage {waiting.stage_name}"
        if not frame.f_globals.get("__name__", "").startswith("trio."):
            where = f"in {frame.f_code.co_qualname}, line {line}"
    return where
