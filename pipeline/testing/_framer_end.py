"""A part of `check_framer`: a stream that ends inside a frame (F4) is an error, or what is left comes out."""

from __future__ import annotations

from typing import Final

from ._harness import Harness
from ._outcome import Factory, name_of
from ._report import fail

_MOST_ENDS: Final = 200


def check_end_is_told(factory: Factory, wire: bytes, frames: int) -> None:
    """Fail if the framer keeps silent wherever the stream ends, although that is inside a frame somewhere.

    Args:
        factory: makes a fresh framer.
        wire: what becomes frames.
        frames: so many frames all of it becomes.
    """
    inside, came = None, 0
    for end in range(min(len(wire), _MOST_ENDS)):
        before, told = _frames_of(factory, wire[:end])
        if told:
            return
        if inside is None and end and before == came < frames:
            inside = wire[:end]  # its last byte gave nothing, and there is more to come
        came = before
    if inside is not None:
        fail(
            "F4",
            "the stream ended inside a frame, and finish() neither raised nor gave what was left: "
            "raise IncompleteFrameError(message, leftover=...). If the rest is dropped on purpose: "
            "check_framer(..., drops_rest=True)",
            stage=name_of(factory),
            wire=repr(inside),
        )


def _frames_of(factory: Factory, wire: bytes) -> tuple[int, bool]:
    """How many frames there are before the end, and whether anything tells that there was more."""
    with Harness(factory()) as harness:
        try:
            harness.receive(wire)
            before = len(harness.received)
            harness.finish()
        except Exception:
            return 0, True
        return before, len(harness.received) > before
