"""One item in, one item out, by a plain function: `Map`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, overload

from typing_extensions import TypeVar

from pipeline import Duplex, Inbound, Outbound

from ._check import check_functions

__all__ = ["Map"]

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
In = TypeVar("In", contravariant=True)
Out = TypeVar("Out", covariant=True)


@overload
def Map(*, inbound: Callable[[A], B]) -> Inbound[A, B]: ...
@overload
def Map(*, outbound: Callable[[C], D]) -> Outbound[C, D]: ...
@overload
def Map(*, inbound: Callable[[A], B], outbound: Callable[[C], D]) -> Duplex[A, B, C, D]: ...
def Map(  # noqa: N802 - it reads as the stage it makes, among stages
    *, inbound: Callable[[Any], Any] | None = None, outbound: Callable[[Any], Any] | None = None
) -> Any:
    """Turn each item into another one; holds nothing, so one object may serve many pipelines.

    in:  "1"  "2"        Map(inbound=int)        out:  1  2

    With one function it is an inbound or outbound stage, and the other way passes it unseen; with
    both it is a duplex. (A function, not a class, as only so type checkers know which of the three.)

    Args:
        inbound: makes of an item from the wire the one for the client. Plain, not async.
        outbound: makes of an item of the client the one for the wire. Plain, not async.

    Raises:
        TypeError: at once: no function, an async one, or none at all. In a running pipeline whatever
            the function raises.
    """
    given = {
        name: function for name, function in (("inbound", inbound), ("outbound", outbound)) if function is not None
    }
    if not given:
        raise TypeError("Map() has nothing to do: give it a function, as in Map(inbound=int) or Map(outbound=str)")
    check_functions("Map", **given)
    if outbound is None:
        return MapInbound(inbound=inbound)
    if inbound is None:
        return MapOutbound(outbound=outbound)
    return MapDuplex(inbound=inbound, outbound=outbound)


class MapInbound(Inbound[In, Out]):
    """Inbound half of `Map`."""

    name = "Map"
    shareable = True
    holds = 0

    process_one: Any = None  # the function itself: nothing stands between

    def __init__(self, *, inbound: Any) -> None:
        self.process_one = inbound

    def unread(self, outputs: Iterable[Any], /) -> Iterable[Any] | None:
        """Nothing is held; an item that was made cannot be turned back."""
        return None if list(outputs) else ()


class MapOutbound(Outbound[In, Out]):
    """Outbound half of `Map`."""

    name = "Map"
    shareable = True
    holds = 0
    keeps_outbound_state = False

    process_one: Any = None  # the function itself: nothing stands between

    def __init__(self, *, outbound: Any) -> None:
        self.process_one = outbound


class MapDuplex(Duplex[A, B, C, D]):
    """`Map` of two functions."""

    name = "Map"

    def __init__(self, *, inbound: Callable[[A], B], outbound: Callable[[C], D]) -> None:
        super().__init__(MapInbound(inbound=inbound), MapOutbound(outbound=outbound))
