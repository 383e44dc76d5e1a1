"""Stages made of a function: `inbound(fn)` and `outbound(fn)`, also as decorators."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, cast, overload

from typing_extensions import TypeVar

from ._chain import Inbound, Outbound
from ._stage import In, Out, Result, Stage, shown

A = TypeVar("A", default=Any)
B = TypeVar("B", default=Any)


class _FunctionStage(Stage[In, Out]):
    """Calls `function`, is named after it, and holds nothing, so one object may serve many pipelines."""

    shareable = True
    keeps_outbound_state = False
    holds = 0

    def __init__(self, function: Callable[[In], Any]) -> None:
        self.function = function
        self.name = getattr(function, "__name__", type(function).__name__)

    def __repr__(self) -> str:
        return f"{self._direction}({self.name})"

    @property
    def _direction(self) -> str:
        return "inbound" if isinstance(self, Inbound) else "outbound"

    def _called(self, method: str) -> str:
        return f"{self.name}()"  # the user wrote a function, and no method


class _SyncFunction(_FunctionStage[In, Out]):
    def _other_remedy(self) -> str:
        """Show `Map`: the function may be one that cannot be changed, like `str.upper`."""
        function = shown(self.function)
        return f", or take Map({self._direction}={function if function.replace('.', '').isidentifier() else '...'})"

    def process_sync(self, item: In, /) -> Result[Out]:
        return cast("Result[Out]", self.function(item))


class _AsyncFunction(_FunctionStage[In, Out]):
    async def process(self, item: In, /) -> Result[Out]:
        return cast("Result[Out]", await self.function(item))


class _SyncInbound(_SyncFunction[In, Out], Inbound[In, Out]): ...


class _AsyncInbound(_AsyncFunction[In, Out], Inbound[In, Out]): ...


class _SyncOutbound(_SyncFunction[In, Out], Outbound[In, Out]): ...


class _AsyncOutbound(_AsyncFunction[In, Out], Outbound[In, Out]): ...


def _is_async(function: object) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004


def _check_function(function: object, maker: str) -> None:
    if not callable(function):
        raise TypeError(f"{maker}() takes a function item → items, not {function!r}")


@overload
def inbound(function: Callable[[A], Result[B]]) -> Inbound[A, B]: ...
@overload
def inbound(function: Callable[[A], Awaitable[Result[B]]]) -> Inbound[A, B]: ...
def inbound(function: Callable[[A], Any]) -> Inbound[A, Any]:
    """Make an inbound stage of a plain or async function item → items; also as a decorator.

    in:  "a b"        inbound(str.split)        out:  "a"  "b"

    Args:
        function: called with each item; returns an iterable, `()` for "nothing yet", `[x]` for one item.
    """
    _check_function(function, "inbound")
    return _AsyncInbound(function) if _is_async(function) else _SyncInbound(function)


@overload
def outbound(function: Callable[[A], Result[B]]) -> Outbound[A, B]: ...
@overload
def outbound(function: Callable[[A], Awaitable[Result[B]]]) -> Outbound[A, B]: ...
def outbound(function: Callable[[A], Any]) -> Outbound[A, Any]:
    """Make an outbound stage of a plain or async function item → items; also as a decorator.

    in:  "a b"        outbound(str.split)        out:  "a"  "b"

    Args:
        function: called with each item; returns an iterable, `()` for "nothing yet", `[x]` for one item.
    """
    _check_function(function, "outbound")
    return _AsyncOutbound(function) if _is_async(function) else _SyncOutbound(function)
