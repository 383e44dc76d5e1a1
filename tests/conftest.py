"""How `async def` tests run: under trio, on a clock that jumps over every wait; one that hangs fails.

A test marked `real_time` runs on the system's clock, for real sockets and processes. The names of
parametrised tests are the same in every process, so that pytest-xdist can share them out.
"""

from __future__ import annotations

import functools
import gc
import inspect
import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial

import pytest
import trio
import trio.testing
from hypothesis import settings

from tests.hanging import fail_if_it_hangs
from tests.measuring import EVERY_CUT, unmeasured

# An example that takes longer than 200 ms is no error: other workers have the processors too.
settings.register_profile("penstock", settings(deadline=None, max_examples=100 if EVERY_CUT else 40))
settings.load_profile("penstock")


MEASURED = 20
"""So many of the examples that Hypothesis tries."""


@pytest.fixture(autouse=True)
def _pause_coverage(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Coverage sees nothing of a test marked `unmeasured`, and of Hypothesis's examples the first."""
    with ExitStack() as paused:
        given = getattr(getattr(request.node, "obj", None), "hypothesis", None)
        if request.node.get_closest_marker("unmeasured"):
            paused.enter_context(unmeasured())
        elif given is not None:
            monkeypatch.setattr(given, "inner_test", _first_measured(given.inner_test, paused))
        yield


def _first_measured(test: Callable[..., object], paused: ExitStack) -> Callable[..., object]:
    examples = itertools.count(1)

    @functools.wraps(test)
    def measured(*arguments: object, **named: object) -> object:
        if next(examples) == MEASURED + 1:
            paused.enter_context(unmeasured())
        return test(*arguments, **named)

    return measured


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long-ways", action="store_true", help="pipelines go no short ways: item by item, by the engine")


@pytest.fixture(autouse=True)
def _go_the_long_ways(request: pytest.FixtureRequest) -> Iterator[None]:
    if not request.config.getoption("--long-ways"):
        yield
        return
    from tests.pipeline.ways import long_ways_only  # noqa: PLC0415 - the library is first imported under coverage

    with long_ways_only():
        yield


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run an async test in an event loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    real = pyfuncitem.get_closest_marker("real_time") is not None
    clock = None if real else trio.testing.MockClock(autojump_threshold=0)
    test = partial(pyfuncitem.obj, **arguments)
    trio.run(partial(fail_if_it_hangs, test, real_time=real), clock=clock, strict_exception_groups=True)
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
