"""How `async def` tests run: under trio, on a clock that jumps over every wait.

A test marked `real_time` runs on the system's clock, for real sockets and processes. The names of
parametrised tests are the same in every process, so that pytest-xdist can share them out.
"""

from __future__ import annotations

import gc
import inspect
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial

import pytest
import trio
import trio.testing
from hypothesis import settings

from tests.measuring import unmeasured

# An example that takes longer than 200 ms is no error: other workers have the processors too.
settings.register_profile("penstock", settings(deadline=None))
settings.load_profile("penstock")


@pytest.fixture(autouse=True)
def _pause_coverage(request: pytest.FixtureRequest) -> Iterator[None]:
    with unmeasured() if request.node.get_closest_marker("unmeasured") else nullcontext():
        yield


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run an async test in an event loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    real = pyfuncitem.get_closest_marker("real_time") is not None
    clock = None if real else trio.testing.MockClock(autojump_threshold=0)
    trio.run(partial(pyfuncitem.obj, **arguments), clock=clock, strict_exception_groups=True)
    return True


def pytest_collection_finish() -> None:
    """What is there before the first test stays: a test that collects garbage looks through its own, in no time."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse a name with an address in it: each worker of pytest-xdist would call the test something else."""
    for item in items:
        if " at 0x" in item.nodeid:
            raise pytest.UsageError(f"{item.nodeid}: leave out ids=, or give ids= that are the same in every process")
