"""A test that hangs fails, and one that only takes its time does not."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Awaitable, Callable
from functools import partial

import pytest
import trio
import trio.testing

from tests.hanging import LONG, fail_if_it_hangs


def run(test: Callable[[], Awaitable[object]], *, real_time: bool = False, patience: float = 60) -> None:
    clock = None if real_time else trio.testing.MockClock(autojump_threshold=0)
    trio.run(partial(fail_if_it_hangs, test, real_time=real_time, patience=patience), clock=clock)


async def never() -> None:
    await trio.Event().wait()


def test_tasks_that_nothing_wakes_are_named_with_the_places_where_they_wait() -> None:
    async def both() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(never)

    with pytest.raises(AssertionError) as info:
        run(both)

    what, outer, inner = str(info.value).split("\n")
    assert "the test hangs:" == what
    assert " waits in " in outer
    assert ".both, " in outer
    assert " waits in never, " in inner
    assert f"{__file__}:" in inner


def test_a_task_that_looks_again_and_again_hangs_too() -> None:
    async def look() -> None:
        while True:  # noqa: ASYNC110 - to look is what it is about
            await trio.sleep(LONG / 50)

    with pytest.raises(AssertionError, match="look"):
        run(look)


def test_a_test_that_takes_its_time_passes() -> None:
    run(partial(trio.sleep, LONG / 2))


def test_an_error_of_the_test_is_its_own() -> None:
    async def fail() -> None:
        raise ValueError("own")

    with pytest.raises(ValueError, match="own"):
        run(fail)


def test_a_thread_has_its_time() -> None:
    run(partial(trio.to_thread.run_sync, time.sleep, 0.03))


async def read_what_comes(seconds: float) -> None:
    near, far = socket.socketpair()
    with near, far, trio.socket.from_stdlib_socket(near) as reader:
        later = threading.Timer(seconds, far.send, [b"x"])
        later.start()
        try:
            assert b"x" == await reader.recv(1)
        finally:
            later.cancel()
            later.join()


def test_a_socket_has_its_time() -> None:
    run(partial(read_what_comes, 0.03))


@pytest.mark.parametrize("real_time", [False, True])
def test_a_socket_does_not_have_all_the_time_in_the_world(*, real_time: bool) -> None:
    with pytest.raises(AssertionError, match="read_what_comes"):
        run(partial(read_what_comes, 60), real_time=real_time, patience=0.03)
