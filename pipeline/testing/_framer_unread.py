"""Rule F7: `unread()` gives back exactly the bytes after the last frame taken."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .._stage import Stage, results_of
from ._cuts import EVERY_WAY_BYTES, pieces_of
from ._outcome import Factory, Outcome, inbound_half, name_of, outcome_of, run_now
from ._report import fail, show_pieces

_MOST_FRAMES = 50


@dataclass(frozen=True)
class _Taken:
    """How it stood when so many frames had been taken."""

    frames: list[Any]
    fed: bytes
    given: bytes | None  # by unread(); None: could not
    again: bytes  # by a second unread()


def check_unread(factory: Factory, wire: bytes, whole: Outcome) -> None:
    """Stop after each frame in turn, however the bytes came, give back the rest and frame it anew.

    Raises:
        AssertionError: F7, with the pieces that show it.
    """
    if type(inbound_half(factory())).unread is Stage.unread:
        fail(
            "F7",
            "the framer defines no unread(); without it no chain can be changed behind it. "
            "If it really cannot: check_framer(..., unread=False)",
            stage=name_of(factory),
        )
    for count in range(min(len(whole.frames), _MOST_FRAMES) + 1):
        for pieces in _ways(wire):
            taken = _take(factory, pieces, count)
            wrong = _what_is_wrong(factory, wire, whole, taken) if taken else None
            if taken and wrong:
                fail(
                    "F7",
                    wrong,
                    stage=name_of(factory),
                    fed=show_pieces(pieces),
                    frames_taken=taken.frames,
                    unread=taken.given,
                )


def _ways(wire: bytes) -> Iterator[list[bytes]]:
    """Uncut, byte by byte, and for small inputs at every place."""
    yield [wire]
    if len(wire) <= EVERY_WAY_BYTES:
        yield from (pieces_of(wire, (place,)) for place in range(1, len(wire)))
    yield pieces_of(wire, tuple(range(1, len(wire))))


def _take(factory: Factory, pieces: list[bytes], count: int) -> _Taken | None:
    """Take so many frames and give back the rest; None if an error comes before there are as many."""
    stage = inbound_half(factory())
    taken: list[Any] = []
    for number, piece in enumerate(pieces, 1):
        try:
            result = run_now(stage.process(piece))
            outputs = results_of(stage, "process", result)
            taken += itertools.islice(outputs, count - len(taken))
        except Exception:
            return None
        if len(taken) == count:
            given = _joined(stage.unread(_untaken(result, outputs)))
            return _Taken(taken, b"".join(pieces[:number]), given, _joined(stage.unread(())) or b"")
    return None


def _untaken(result: Any, outputs: Iterator[Any]) -> list[Any]:
    """What the driver hands to `unread()`: the rest of a list; of a lazy result nothing, it is closed."""
    if isinstance(result, list | tuple):
        return list(outputs)
    getattr(outputs, "close", lambda: None)()
    return []


def _joined(given: Any) -> bytes | None:
    return None if given is None else b"".join(map(bytes, given))


def _what_is_wrong(factory: Factory, wire: bytes, whole: Outcome, taken: _Taken) -> str | None:
    given = taken.given
    if given is None:
        return None
    if taken.again:
        return f"after unread() the stage is not empty: a second one gave {taken.again!r}"
    if not taken.fed.endswith(given):
        return "what unread() gave is not the end of what was fed"
    used = outcome_of(factory, [taken.fed[: len(taken.fed) - len(given)]])
    if used.frames != taken.frames or used.error:
        return f"unread() gave back too much or too little: the bytes before it make {used}"
    rest = outcome_of(factory, [given, wire[len(taken.fed) :]])
    if taken.frames + rest.frames != whole.frames or type(rest.error) is not type(whole.error):
        return f"what unread() gave makes other frames than it would have: {rest}"
    return None
