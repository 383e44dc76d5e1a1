"""What taps share that write a whole session down, both directions of it: `Recorder`, `PcapTap`.

Rules for this file: it knows of no format. What is written where is the `Session`'s matter, which both halves share.
"""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

from pipeline import Inbound, Outbound, Result

from ._half import Half


class Session(Protocol):
    """Where a session is written down; each is told the time on the pipeline's clock."""

    def begin(self, now: float) -> None:
        """The session begins; called by the inbound half."""

    def add(self, now: float, direction: str, item: Any) -> None:
        """An item passed."""

    def end(self, now: float, direction: str) -> None:
        """A direction ended cleanly."""

    def close(self, now: float) -> None:
        """The session is over; called by both halves."""


class SessionHalf(Half):
    """One direction of a tap that writes a session down."""

    direction: ClassVar[str]

    def __init__(self, session: Session) -> None:
        self._session = session

    def process_one(self, item: Any, /) -> Any:
        """Write the item down, and let it pass."""
        self._session.add(self.now(), self.direction, item)
        return item

    async def finish(self) -> Result[Any]:
        """Write down that the direction ended cleanly."""
        self._session.end(self.now(), self.direction)
        return ()

    def close(self) -> None:
        """Write down that the session is over."""
        self._session.close(self.now())


class SessionInbound(SessionHalf, Inbound[Any, Any]):
    """The inbound half, which also tells of the beginning."""

    direction = "inbound"

    async def start(self) -> Result[Any]:
        """Write down that the session began."""
        self._session.begin(self.now())
        return ()


class SessionOutbound(SessionHalf, Outbound[Any, Any]):
    """The outbound half."""

    direction = "outbound"
