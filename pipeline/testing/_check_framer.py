"""`check_framer`: a framer fulfils rules F1 and F4 to F8, however its input is cut."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Literal

from .._errors import FrameError
from ._cuts import RANDOM_CUTS, Cut, pieces_of, shortest_failing_cut
from ._framer_outbound import check_outbound
from ._framer_unread import check_unread
from ._outcome import Factory, Outcome, inbound_half, name_of, outcome_of, results, run_now
from ._report import fail, show_pieces

_MOST_TRUNCATIONS = 100


def check_framer(
    factory: Factory,
    *,
    wire: bytes,
    frames: Sequence[Any],
    errors: type[Exception] | None = None,
    leftover: bytes | None = None,
    outbound: Literal["frames", "bytes", "none"] = "frames",
    unread: bool = True,
    random_cuts: int = RANDOM_CUTS,
    seed: int = 0,
) -> None:
    r"""Check that a framer makes `frames` of `wire`, and keeps the rules for framers.

    check_framer(LineFramer, wire=b"one\r\n\n", frames=[b"one", b""])
    check_framer(LineFramer, wire=b"one\ntw", frames=[b"one"], errors=IncompleteFrameError, leftover=b"tw")

    What is checked, each for every way of cutting up to 10 bytes, for every single cut and for random ones
    (also Hypothesis's, with the extra `penstock[testing]`) of more:

    - F1: frames, error and leftover never depend on the cut; nor where the stream ends early, at any byte.
    - F4: an `IncompleteFrameError` carries exactly the bytes after the last frame.
    - F5: what was framed goes out, and comes in as the same frames; no payload goes out that would
      come in as something else (tried: pieces of the wire); a refused one leaves no byte.
    - F6: after a `FrameError` every later call raises again.
    - F7: `unread()` gives back exactly the bytes after the last frame taken.
    - F8: frames are `bytes` where `frames` has `bytes`, also from `bytearray` and `memoryview`.

    For F2 there is `check_limit`, for the time `check_linear`; F3 (`"skip"`) is a wire with other frames.

    Args:
        factory: makes a fresh framer, or a chain which begins with one.
        wire: what comes from the wire, then its end.
        frames: what the client must get, errors or not.
        errors: how it must end, at `wire` or at its end; None: cleanly.
        leftover: the bytes that the error must carry.
        outbound: "frames": what was framed must come in as the same frames again; "bytes": and go out
            as the very bytes of `wire`; "none": inbound only.
        unread: False for a framer that cannot give back its input.
        random_cuts: so many random ways to cut more than 10 bytes.
        seed: of the random ways.

    Raises:
        AssertionError: names the rule and the shortest cut that shows it.
    """
    expected = Outcome(list(frames), errors("expected") if errors and leftover is None else None)
    whole = _check_uncut(factory, wire, expected, errors, leftover)
    _check_cuts(factory, wire, whole, random_cuts, seed)
    _check_truncated(factory, wire)
    _check_types(factory, wire, whole)
    single = type(inbound_half(factory())).__name__ != "InboundChain"
    if isinstance(whole.error, FrameError):
        _check_stays_failed(factory, wire)
    if unread and single:
        check_unread(factory, wire, whole)
    if outbound != "none":
        check_outbound(factory, wire, whole, same_bytes=outbound == "bytes")
