"""Rule F5: outbound never writes what inbound would read as something else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .._chain import Inbound
from .._errors import FrameError
from ._harness import Harness
from ._outcome import Factory, name_of, outcome_of
from ._report import fail

_MOST_PAYLOADS = 300


def check_outbound(factory: Factory, wire: bytes, frames: list[Any], *, same_bytes: bool) -> None:
    """Send every frame, then every payload that might be taken for something else.

    Raises:
        AssertionError: F5, with the payload.
    """
    if isinstance(factory(), Inbound):
        return
    for frame in frames:
        _check_comes_back(factory, frame, must_go=True)
    if same_bytes:
        _check_same_bytes(factory, wire, frames)
    if all(isinstance(frame, bytes) for frame in frames):
        for payload in _hostile(wire):
            _check_comes_back(factory, payload, must_go=False)


def _check_comes_back(factory: Factory, frame: Any, *, must_go: bool) -> None:
    harness = Harness(factory())
    try:
        written = harness.send(frame)
    except FrameError as error:
        if must_go:
            fail("F5", "outbound refuses what inbound gave", cause=error, stage=name_of(factory), frame=frame)
        if harness.sent:
            fail("F5", "a refused payload left bytes behind", stage=name_of(factory), frame=frame, wrote=harness.sent)
        return
    back = outcome_of(factory, written)
    if back.frames != [frame] or back.error:
        fail(
            "F5",
            "outbound wrote what inbound reads as something else; refuse it with FrameError",
            stage=name_of(factory),
            payload=frame,
            wrote=written,
            read=str(back),
        )


def _check_same_bytes(factory: Factory, wire: bytes, frames: list[Any]) -> None:
    written = b"".join(Harness(factory()).send(*frames))
    if written != wire:
        fail("F5", "what was framed is not written back as the same bytes", stage=name_of(factory), wire=wire,
             wrote=written)  # fmt: skip


def _hostile(wire: bytes) -> Iterator[bytes]:
    """Pieces of the wire, which contain its delimiters and lengths; evenly chosen where there are many."""
    size = len(wire)
    places = [(start, end) for start in range(size) for end in range(start + 1, size + 1)] if size <= 100 else [
        (start, start + length) for start in range(0, size, size // 50) for length in (1, 2, 3, 5, 20, 100)
    ]  # fmt: skip
    step = len(places) // _MOST_PAYLOADS + 1
    yield b""
    for start, end in places[::step]:
        yield wire[start:end]
