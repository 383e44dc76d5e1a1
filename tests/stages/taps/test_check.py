"""What the stages made of a function refuse when they are built."""

from __future__ import annotations

from typing import Any

import pytest

from stages import Filter, Map, Tap, recover
from stages.codecs import JSONCodec
from stages.taps._check import check_functions


async def later(*_: Any) -> None: ...


BUILDERS: list[Any] = [
    lambda function: Map(inbound=function),
    lambda function: Filter(outbound=function),
    Tap,
    lambda function: recover(JSONCodec(), function),
]


@pytest.mark.parametrize("build", BUILDERS, ids=["Map", "Filter", "Tap", "recover"])
def test_an_async_function_is_refused_at_once(build: Any) -> None:
    """Its coroutine would pass for a result: true for every filter."""
    with pytest.raises(TypeError, match=r"is an async function, but \w+ never waits. Make a stage of it with inbound"):
        build(later)


@pytest.mark.parametrize("build", BUILDERS, ids=["Map", "Filter", "Tap", "recover"])
def test_what_cannot_be_called_is_refused_at_once(build: Any) -> None:
    with pytest.raises(TypeError, match=r"must be a function, not 'text'"):
        build("text")


def test_an_object_that_is_called_async_is_refused_too() -> None:
    class Later:
        async def __call__(self, item: object) -> None: ...

    with pytest.raises(TypeError, match="is an async function"):
        check_functions("X", one=Later())


def test_plain_functions_pass() -> None:
    check_functions("X")
    check_functions("X", one=print, two=len)
