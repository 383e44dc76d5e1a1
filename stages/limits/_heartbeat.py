"""A sign of life when it has been silent: `Heartbeat`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Literal

from pipeline import Inbound, Outbound, Passthrough, Reply, Result

from ._half import Half, check_amount, check_direction

__all__ = ["Heartbeat"]

_RIGHT = "Heartbeat(20, lambda: 'ping')"


class Heartbeat(Passthrough):
    """Send the peer an item whenever it has been silent for so many seconds.

    in:  "a"  …20 s…  …20 s…        Heartbeat(20, make_item)        out:  "a"        to the wire:  "ping"  "ping"

    The item goes to the wire from this place, so it passes the stages on the wire's side. It is sent by
    whoever is in `receive()` (or in a `send()` that waits): while nobody is, no heart beats, and one beat,
    not several, makes up for it.

    Args:
        every: seconds of silence before each beat.
        make_item: gives the item, a new one for each beat. Plain, not async.
        silence: "inbound": nothing came from the peer, which makes it answer, so that an `IdleTimeout` on
            the wire's side tells a silent peer from a dead one. "outbound": nothing was sent to it, so that
            its own timeout does not strike.

    Raises:
        ValueError, TypeError: at once: no number above 0, no function, an async one, or no direction. In a
            running pipeline whatever the function raises.
    """

    def __init__(
        self, every: float, make_item: Callable[[], object], *, silence: Literal["inbound", "outbound"] = "inbound"
    ) -> None:
        check_amount("Heartbeat", "every", every, right=_RIGHT)
        if not callable(make_item):
            raise TypeError(f"Heartbeat: make_item must be a function, not {make_item!r}, as in {_RIGHT}")
        if inspect.iscoroutinefunction(make_item):
            raise TypeError(f"Heartbeat: make_item is an async function, but Heartbeat never waits; {_RIGHT}")
        check_direction("Heartbeat", silence, "inbound", "outbound")
        if silence == "inbound":
            super().__init__(inbound=HeartbeatInbound(every, make_item))
        else:
            super().__init__(outbound=HeartbeatOutbound(every, make_item))


class _HeartbeatHalf(Half):
    deadline: float | None

    def __init__(self, every: float, make_item: Callable[[], object]) -> None:
        self._every, self._make_item = every, make_item
        self.deadline = None

    async def start(self) -> Result[Any]:
        self.deadline = self.now() + self._every
        return ()

    def process_sync(self, item: Any, /) -> Result[Any]:
        self.deadline = self.now() + self._every
        return [item]

    async def on_timer(self, now: float, /) -> Result[Any]:
        """Beat."""
        self.deadline = now + self._every
        item = self._make_item()
        return [Reply(item) if isinstance(self, Inbound) else item]


class HeartbeatInbound(_HeartbeatHalf, Inbound[Any, Any]):
    """The stage of `Heartbeat` that hears what comes from the peer, and replies."""

    name = "Heartbeat"


class HeartbeatOutbound(_HeartbeatHalf, Outbound[Any, Any]):
    """The stage of `Heartbeat` that hears what is sent to the peer."""

    name = "Heartbeat"
