"""A peer that begins something and never ends it: `FrameTimeout`.

The attack it is for is known as Slowloris: a byte every few seconds keeps a connection from being idle for
ever. So what counts is when the frame began, not when its last byte came.
"""

from __future__ import annotations

from typing import Any

from pipeline import Passthrough, PipelineError, Result

from ._half import check_amount
from ._patience import Patience

__all__ = ["FrameTimeout"]


class FrameTimeout(Passthrough):
    r"""Fail when a frame is begun and not complete after so many seconds; silence between frames may last.

    in:  b"a\n"  …1 h…  b"b"  …10 s…        LineFramer() | FrameTimeout(10)        out:  b"a"  StageTimeoutError

    Put it on the client's side of a framer, next to it: it asks the stages on the wire's side what they
    hold (`Stage.holds`). The time begins when something is held and the pipeline waits for more; it begins
    anew with each frame that comes out, and not with each byte that comes in. It does not count while a stage
    keeps the wire from being read, such as `RateLimit`.

    Args:
        seconds: how long a frame may take.

    Raises:
        StageTimeoutError: out of the `receive()` or waiting `send()` that noticed it; inbound is broken
            then, and outbound still works, so the peer can be told.
        PipelineError: when the pipeline starts: no stage on the wire's side says what it holds, so the timeout
            would never strike.
        ValueError, TypeError: at once: no number above 0.
    """

    def __init__(self, seconds: float) -> None:
        check_amount("FrameTimeout", "seconds", seconds, right="FrameTimeout(10)")
        super().__init__(inbound=FrameInbound(seconds))


class FrameInbound(Patience):
    """The inbound half of `FrameTimeout`."""

    name = "FrameTimeout"

    async def start(self) -> Result[Any]:
        """Refuse a place where nothing can be known of frames.

        Raises:
            PipelineError: no stage on the wire's side says what it holds.
        """
        if self.held_below() is None:
            raise PipelineError(
                f"FrameTimeout({self._seconds:g}): no stage on the wire's side of it says what it `holds`, so it "
                f"would never strike. Put it behind a framer: LineFramer() | FrameTimeout({self._seconds:g}) | ..."
            )
        return ()

    def _awaits_peer(self) -> bool:
        return bool(self.held_below())

    def _complaint(self, waited: float) -> str:
        return (
            f"a frame is still incomplete {waited:.3g} seconds after it was begun; {self.held_below()} bytes "
            f"(or items) of it have come. Raise seconds if the peer is right to be so slow"
        )
