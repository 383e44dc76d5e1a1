"""A peer that says nothing: `IdleTimeout`.

Silence is judged by DESIGN S12: it is measured only while somebody waits for the peer, and a deadline that
passed while nobody did is judged after what is there was read. So a slow client is no idle peer.
"""

from __future__ import annotations

from pipeline import Passthrough

from ._half import check_amount
from ._patience import Patience

__all__ = ["IdleTimeout"]


class IdleTimeout(Passthrough):
    """Fail when nothing comes from the peer for so many seconds.

    in:  "a"  …29 s…  "b"  …30 s…        IdleTimeout(30)        out:  "a"  "b"  StageTimeoutError

    What counts is what passes this place: at the wire every byte, behind a framer only whole frames. Time
    counts from when the pipeline begins to wait for input: while your code is busy with an item, the peer
    is not waited for. It does not count while a stage keeps the wire from being read, such as `RateLimit`.

    Args:
        seconds: how long the peer may be silent.

    Raises:
        StageTimeoutError: out of the `receive()` or waiting `send()` that noticed it; inbound is broken
            then, and outbound still works, so the peer can be told.
        ValueError, TypeError: at once: no number above 0.
    """

    def __init__(self, seconds: float) -> None:
        check_amount("IdleTimeout", "seconds", seconds, right="IdleTimeout(30)")
        super().__init__(inbound=IdleInbound(seconds))


class IdleInbound(Patience):
    """The inbound half of `IdleTimeout`."""

    name = "IdleTimeout"

    def _complaint(self, waited: float) -> str:
        return (
            f"nothing has come from the peer for {waited:.3g} seconds. Raise seconds, or see to it that the peer "
            f"has something to send now and then, as the answers to a Heartbeat()"
        )
