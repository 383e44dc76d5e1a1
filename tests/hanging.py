"""A test that hangs fails, and says where: at once on the clock that jumps, on the system's after some minutes."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import trio
import trio.testing

LONG = 10_000
"""Seconds of the clock that jumps: no test takes so long, unless nothing else is left to wait for."""

PATIENCE = 300
"""Seconds of the system's clock: many, as a machine may have other things to do."""


async def fail_if_it_hangs(
    test: Callable[[], Awaitable[object]], *, real_time: bool = False, patience: float = PATIENCE
) -> None:
    """Run a test, and cancel it when nothing is left that could go on.

    Raises:
        AssertionError: it hangs, or looks for something again and again; with the place where each of its tasks waits.
    """
    __tracebackhide__ = True
    watch = _Watch(trio.lowlevel.current_task(), patience)
    trio.lowlevel.spawn_system_task(watch.until_late if real_time else watch.until_nothing_is_left)
    try:
        with watch.scope:
            await test()
    finally:
        if watch.places:
            raise AssertionError("\n  ".join(["the test hangs:", *watch.places]))


class _Watch:
    """Notices that a task and those under it hang.

    Attributes:
        scope: what it cancels then.
        places: where they waited; none if they did not hang.
    """

    def __init__(self, task: trio.lowlevel.Task, patience: float) -> None:
        self.scope = trio.CancelScope()
        self.places: list[str] = []
        self._task, self._patience = task, patience

    async def until_late(self) -> None:
        await trio.sleep(self._patience)
        self._give_up()

    async def until_nothing_is_left(self) -> None:
        """The world has its time: the clock jumps over it, as long as nothing comes from there."""
        await trio.sleep(LONG)
        until = time.monotonic() + self._patience
        while _waits_for_the_world() and time.monotonic() < until:
            await trio.testing.wait_all_tasks_blocked(0.01)
            await trio.sleep(LONG)
        self._give_up()

    def _give_up(self) -> None:
        self.places += [f"{task.name} {_where(task)}" for task in _with_those_under(self._task)]
        self.scope.cancel()


def _waits_for_the_world() -> bool:
    """Whether a socket, a process or a thread may still bring something."""
    io: Any = trio.lowlevel.current_statistics().io_statistics
    if io.backend != "epoll":
        return True
    own = 1  # trio waits for other threads
    threads = trio.to_thread.current_default_thread_limiter().borrowed_tokens
    return bool(io.tasks_waiting_read + io.tasks_waiting_write - own or threads)


def _with_those_under(task: trio.lowlevel.Task) -> Iterator[trio.lowlevel.Task]:
    yield task
    for nursery in task.child_nurseries:
        for child in nursery.child_tasks:
            yield from _with_those_under(child)


def _where(task: trio.lowlevel.Task) -> str:
    """The innermost place that is not trio's own."""
    frames = [
        f"waits in {frame.f_code.co_qualname}, {frame.f_code.co_filename}:{line}"
        for frame, line in task.iter_await_frames()
        if not frame.f_globals.get("__name__", "").startswith("trio.")
    ]
    return frames[-1] if frames else "waits in trio"
