"""Items that pass and items that do not: `Filter`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from pipeline import Inbound, Outbound, Passthrough, Result, Stage

from ._check import check_functions

__all__ = ["Filter"]

Predicate: TypeAlias = Callable[[Any], object]


class Filter(Passthrough):
    """Let pass the items for which a function returns something true; drop the others.

    in:  "a"  ""  "b"        Filter(inbound=bool)        out:  "a"  "b"

    Holds nothing, so one object may serve many pipelines. A direction without a function passes unseen.

    Args:
        inbound: called with each item from the wire. Plain, not async.
        outbound: called with each item of the client. Plain, not async.

    Raises:
        TypeError: at once: no function, an async one (its coroutine would be true for every item), or
            none at all. In a running pipeline whatever the function raises.
    """

    def __init__(self, *, inbound: Predicate | None = None, outbound: Predicate | None = None) -> None:
        given = {
            name: function for name, function in (("inbound", inbound), ("outbound", outbound)) if function is not None
        }
        if not given:
            raise TypeError("Filter() would let pass everything: give it a function, as in Filter(inbound=bool)")
        check_functions("Filter", **given)
        super().__init__(
            FilterInbound(inbound) if inbound is not None else None,
            FilterOutbound(outbound) if outbound is not None else None,
        )


class _FilterHalf(Stage[Any, Any]):
    shareable = True
    only_items = True
    never_expands = True
    keeps_outbound_state = False
    holds = 0

    def __init__(self, predicate: Predicate) -> None:
        self._predicate = predicate

    def process_sync(self, item: Any, /) -> Result[Any]:
        return [item] if self._predicate(item) else ()

    def unread(self, outputs: Iterable[Any], /) -> Iterable[Any]:
        return list(outputs)


class FilterInbound(_FilterHalf, Inbound[Any, Any]):
    """Inbound half of `Filter`."""

    name = "Filter.inbound"


class FilterOutbound(_FilterHalf, Outbound[Any, Any]):
    """Outbound half of `Filter`."""

    name = "Filter.outbound"
