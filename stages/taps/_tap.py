"""A function that watches: `Tap`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, ClassVar

from pipeline import Inbound, Outbound, Passthrough

from ._check import check_functions
from ._half import Direction, Half

__all__ = ["Tap"]


_log = logging.getLogger("stages.taps")


class Tap(Passthrough):
    """Call a function with each item that passes; the items go on as they are.

    in:  1  2        out:  1  2        function("inbound", 1)  function("inbound", 2)

    Args:
        function: called with the direction, "inbound" or "outbound", and the item, which it must not
            alter. Plain, not async: to wait in it would hold up the traffic.
        strict: whether an exception in the function is raised as the stage's own. If not, the first
            one is logged, under `stages.taps`, and none ever touches the traffic.

    Raises:
        TypeError: at once: no function, or an async one.
        Exception: with `strict`, what the function raised; the item did not pass.
    """

    def __init__(self, function: Callable[[Direction, Any], object], *, strict: bool = False) -> None:
        check_functions("Tap", function=function)
        failed = _Failed(function, strict=strict)
        super().__init__(TapInbound(function, failed), TapOutbound(function, failed))


class _Failed:
    """What to do when the function raised; one for both directions."""

    def __init__(self, function: Callable[[Direction, Any], object], *, strict: bool) -> None:
        self._function = function
        self._strict = strict
        self._logged = False

    def __call__(self, error: Exception) -> None:
        if self._strict:
            raise error
        if not self._logged:
            self._logged = True
            _log.error(
                "Tap(%s): the function raised; traffic goes on, and later exceptions of it are not logged",
                getattr(self._function, "__name__", type(self._function).__name__),
                exc_info=error,
            )


class _TapHalf(Half):
    shareable = True
    direction: ClassVar[Direction]

    def __init__(self, function: Callable[[Direction, Any], object], failed: _Failed) -> None:
        self.watch, self.watch_failed = function, failed  # type: ignore[method-assign]

    def process_one(self, item: Any, /) -> Any:
        try:
            self.watch(self.direction, item)
        except Exception as error:
            self.watch_failed(error)
        return item


class TapInbound(_TapHalf, Inbound[Any, Any]):
    """Inbound half of `Tap`."""

    name = "Tap.inbound"
    direction = "inbound"


class TapOutbound(_TapHalf, Outbound[Any, Any]):
    """Outbound half of `Tap`."""

    name = "Tap.outbound"
    direction = "outbound"
