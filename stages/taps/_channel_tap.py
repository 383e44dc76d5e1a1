"""What passes, for another task to see: `ChannelTap`."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

from pipeline import Inbound, Outbound, Passthrough

from ._half import Direction, Half

__all__ = ["ChannelTap"]


class SendsNowait(Protocol):
    """What a `trio.MemorySendChannel` can do that matters here."""

    def send_nowait(self, value: tuple[Direction, Any], /) -> object:
        """Take the value at once, or raise."""


class ChannelTap(Passthrough):
    """Hand each item that passes to another task, over a memory channel; the items go on as they are.

    in:  1  2        out:  1  2        channel:  ("inbound", 1)  ("inbound", 2)

    The traffic never waits for who receives: what finds the channel full, or nobody there to receive it,
    is dropped and counted. So the channel's size is how far the other task may be behind; with a size
    of 0 it gets only what passes while it waits.

    The channel stays the caller's, who closes it. It gets the very items: whoever receives must not
    alter them. One object may serve many pipelines, and counts for all of them.

    Args:
        send_channel: of `trio.open_memory_channel(size)` the first; anything with `send_nowait(item)`.

    Raises:
        TypeError: at once: there is no `send_nowait`.

    Attributes:
        dropped: how many items the channel did not take.
    """

    def __init__(self, send_channel: SendsNowait) -> None:
        if not callable(getattr(send_channel, "send_nowait", None)):
            raise TypeError(
                f"ChannelTap({send_channel!r}): must be a channel with send_nowait(): "
                f"send, receive = trio.open_memory_channel(100), then ChannelTap(send)"
            )
        self._copies = _Copies(send_channel)
        super().__init__(ChannelTapInbound(self._copies), ChannelTapOutbound(self._copies))

    @property
    def dropped(self) -> int:
        """How many items the channel did not take, be it full, closed or broken."""
        return self._copies.dropped


class _Copies:
    """Where the items go; one for both directions."""

    def __init__(self, send_channel: SendsNowait) -> None:
        self._channel = send_channel
        self.dropped = 0

    def send(self, direction: Direction, item: Any) -> None:
        try:
            self._channel.send_nowait((direction, item))
        except Exception:
            # trio's WouldBlock, BrokenResourceError and ClosedResourceError, which are not named here because a
            # stage that never waits needs no trio. Whatever it is, the item was not taken and the traffic goes on.
            self.dropped += 1


class _ChannelTapHalf(Half):
    shareable = True
    direction: ClassVar[Direction]

    def __init__(self, copies: _Copies) -> None:
        self._copies = copies

    def process_one(self, item: Any, /) -> Any:
        self._copies.send(self.direction, item)
        return item


class ChannelTapInbound(_ChannelTapHalf, Inbound[Any, Any]):
    """Inbound half of `ChannelTap`."""

    name = "ChannelTap.inbound"
    direction = "inbound"


class ChannelTapOutbound(_ChannelTapHalf, Outbound[Any, Any]):
    """Outbound half of `ChannelTap`."""

    name = "ChannelTap.outbound"
    direction = "outbound"
