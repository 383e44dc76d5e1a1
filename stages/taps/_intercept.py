"""A function that decides what becomes of each item: `Intercept`."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, TypeAlias, cast

from pipeline import Inbound, Outbound, Passthrough, Result, Stage

from ._check import check_callable, is_async
from ._half import Direction

__all__ = ["Intercept"]

Function: TypeAlias = "Callable[[Direction, Any], Any]"
Finish: TypeAlias = "Callable[[Direction], Any]"


class Intercept(Passthrough):
    """Hand each item to a function, and pass on what it returns: changed, dropped, added or held items.

    in:  "a"  "drop"  "b"        out:  "a"  "b"  "b"

        def function(direction, item):
            if item == "drop":
                return ()
            return [item, item] if item == "b" else [item]

    The function returns what a stage's `process` does: any iterable, also a lazy one, in which `Reply(x)`
    turns round and `END` ends the direction. It holds an item by keeping it and returning `()`, and gives
    it with a later one.

    Args:
        function: called with the direction, "inbound" or "outbound", and the item; plain or async. One
            function serves both directions: an async one may be called for the one while it waits in the
            other. Where an async one is cancelled, an inbound item is handed to it again, so it must
            not have changed its state.
        finish: called with the direction when that direction's input has ended cleanly; returns the last
            items, plain or async. Without it, what the function still holds then is lost. It is not called
            where a pipeline ends with an error.

    Raises:
        TypeError: at once: what was given is no function.
        Exception: in a running pipeline whatever the function raises; the direction breaks as with any
            stage.
    """

    def __init__(
        self,
        function: Callable[[Direction, Any], Result[Any] | Awaitable[Result[Any]]],
        *,
        finish: Callable[[Direction], Result[Any] | Awaitable[Result[Any]]] | None = None,
    ) -> None:
        check_callable("Intercept", "function", function)
        if finish is not None:
            check_callable("Intercept", "finish", finish)
        if is_async(function):
            super().__init__(AsyncInterceptInbound(function, finish), AsyncInterceptOutbound(function, finish))
        else:
            super().__init__(InterceptInbound(function, finish), InterceptOutbound(function, finish))


class _InterceptHalf(Stage[Any, Any]):
    direction: ClassVar[Direction]

    def __init__(self, function: Function, finish: Finish | None) -> None:
        self._function, self._finish = function, finish
        self.name = f"Intercept({getattr(function, '__name__', type(function).__name__)}).{self.direction}"

    async def finish(self) -> Result[Any]:
        if self._finish is None:
            return ()
        result = self._finish(self.direction)
        return cast("Result[Any]", await result if inspect.isawaitable(result) else result)


class _Plain(_InterceptHalf):
    def process_sync(self, item: Any, /) -> Result[Any]:
        return cast("Result[Any]", self._function(self.direction, item))


class _Async(_InterceptHalf):
    async def process(self, item: Any, /) -> Result[Any]:
        return cast("Result[Any]", await self._function(self.direction, item))


class InterceptInbound(_Plain, Inbound[Any, Any]):
    """Inbound half of `Intercept` of a plain function."""

    direction = "inbound"


class InterceptOutbound(_Plain, Outbound[Any, Any]):
    """Outbound half of `Intercept` of a plain function."""

    direction = "outbound"


class AsyncInterceptInbound(_Async, Inbound[Any, Any]):
    """Inbound half of `Intercept` of an async function."""

    direction = "inbound"


class AsyncInterceptOutbound(_Async, Outbound[Any, Any]):
    """Outbound half of `Intercept` of an async function."""

    direction = "outbound"
