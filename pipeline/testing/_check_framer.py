"""`check_framer`: a framer fulfils rules F1 and F4 to F8, however its input is cut."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NoReturn

from .._chain import InboundChain
from .._errors import FrameError
from .._stage import Stage
from ._cuts import RANDOM_CUTS, Cut, pieces_of, shortest_failing_cut
from ._framer_end import check_end_is_told
from ._framer_outbound import check_outbound
from ._framer_unread import check_unread
from ._outcome import Factory, Outcome, inbound_half, name_of, outcome_of, refuse_object, results, run_now
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
    drops_rest: bool = False,
    random_cuts: int = RANDOM_CUTS,
    seed: int = 0,
) -> None:
    r"""Check that a framer makes `frames` of `wire`, and keeps the rules for framers.

    check_framer(LineFramer, wire=b"one\r\n\n", frames=[b"one", b""])
    check_framer(LineFramer, wire=b"one\ntw", frames=[b"one"], errors=IncompleteFrameError, leftover=b"tw")

    What is checked, each for every way of cutting up to 10 bytes, for every single cut and for random ones
    (also Hypothesis's, with the extra `penstock[testing]`) of more:

    - F1: frames, error and leftover never depend on the cut; nor where the stream ends early, at any byte.
    - F4: an `IncompleteFrameError` carries exactly the bytes after the last frame; and an end inside a frame is
      not passed over in silence, as it is where there is no `finish()`.
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
        drops_rest: True for a framer that drops on purpose what is unfinished when the stream ends.
        random_cuts: so many random ways to cut more than 10 bytes.
        seed: of the random ways.

    Raises:
        AssertionError: names the rule and the shortest cut that shows it.
    """
    refuse_object(factory)
    is_chain = isinstance(inbound_half(factory()), InboundChain)
    whole = _check_uncut(factory, wire, list(frames), errors, leftover)
    _check_cuts(factory, wire, whole, random_cuts, seed)
    _check_truncated(factory, wire)
    if not drops_rest:
        check_end_is_told(factory, wire, len(whole.frames))
    _check_types(factory, wire, whole)
    if isinstance(whole.error, FrameError):
        _check_stays_failed(factory, wire)
    if unread and not is_chain:
        check_unread(factory, wire, whole)
    if outbound != "none":
        check_outbound(factory, wire, whole.frames, same_bytes=outbound == "bytes")


def _check_uncut(
    factory: Factory, wire: bytes, frames: list[Any], errors: type[Exception] | None, leftover: bytes | None
) -> Outcome:
    """The outcome without any cut, which all others are compared with."""
    whole = outcome_of(factory, [wire])
    right_end = isinstance(whole.error, errors) if errors else whole.error is None
    if whole.frames != frames or not right_end or (leftover is not None and whole.leftover != leftover):
        end = "" if errors is None else f", then {errors.__name__}"
        expected = f"{frames!r:.500}{end}" + ("" if leftover is None else f", leftover {leftover!r}")
        fail(
            "frames",
            "already uncut, the wire gives something else than expected",
            cause=whole.error,
            stage=name_of(factory),
            wire=wire,
            expected=expected,
            got=str(whole),
        )
    return whole


def _check_cuts(factory: Factory, wire: bytes, whole: Outcome, random_cuts: int, seed: int) -> None:
    def fails(cut: Cut) -> bool:
        return not outcome_of(factory, pieces_of(wire, cut)).same_as(whole)

    cut = shortest_failing_cut(len(wire), fails, random_cuts=random_cuts, seed=seed)
    if cut is not None:
        _fail_cut(factory, wire, cut, whole)


def _check_truncated(factory: Factory, wire: bytes) -> None:
    """The stream may end at any byte: at once or byte by byte, the outcome is one, and tells what is left."""
    for end in _truncations(len(wire)):
        short = wire[:end]
        whole = outcome_of(factory, [short])
        for cut in [tuple(range(1, end)), (end // 2,)]:
            if not outcome_of(factory, pieces_of(short, cut)).same_as(whole):
                _fail_cut(factory, short, cut, whole)
        _check_leftover(factory, short, whole)


def _truncations(length: int) -> Iterator[int]:
    yield from range(0, length, length // _MOST_TRUNCATIONS + 1)


def _check_leftover(factory: Factory, wire: bytes, whole: Outcome) -> None:
    left = whole.leftover
    if not left:
        return
    framed = wire[: len(wire) - len(left)]
    before = outcome_of(factory, [framed])
    if not wire.endswith(left) or before.error or before.frames != whole.frames:
        fail(
            "F4",
            "the leftover is not exactly the bytes after the last frame",
            cause=whole.error,
            stage=name_of(factory),
            wire=wire,
            frames=whole.frames,
            leftover=left,
        )


def _fail_cut(factory: Factory, wire: bytes, cut: Cut, whole: Outcome) -> NoReturn:
    pieces = pieces_of(wire, cut)
    got = outcome_of(factory, pieces)
    fail(
        "F1",
        "the outcome depends on how the bytes are cut",
        cause=got.error,
        stage=name_of(factory),
        wire=wire,
        cut=show_pieces(pieces),
        uncut=str(whole),
        got=str(got),
    )


def _check_types(factory: Factory, wire: bytes, whole: Outcome) -> None:
    """What a transport may give: bytes, bytearray or memoryview, also in turn."""
    kinds = itertools.cycle([bytearray, memoryview, bytes])
    single = [wire[place : place + 1] for place in range(len(wire))]
    mixed = [kind(piece) for kind, piece in zip(kinds, single, strict=False)]
    for pieces in ([bytearray(wire)], [memoryview(wire)], mixed):
        got = outcome_of(factory, pieces)
        if not got.same_as(whole):
            fail(
                "F8",
                "frames are not the same, or no bytes, where the transport gives bytearray or memoryview",
                cause=got.error,
                stage=name_of(factory),
                pieces=", ".join(f"{type(piece).__name__}({bytes(piece)!r})" for piece in pieces[:5]),
                expected=str(whole),
                got=str(got),
            )


def _check_stays_failed(factory: Factory, wire: bytes) -> None:
    """After an error in the framing, nothing is taken for a frame any more."""
    stage = inbound_half(factory())
    try:
        list(results(stage, wire))
    except FrameError as error:
        first = error
    else:
        return  # it came with the end of the stream: there are no later calls
    for name, later in _later_calls(stage, wire):
        try:
            got = later()
        except FrameError:
            continue
        fail(
            "F6",
            f"after an error, {name} did not raise again",
            cause=first,
            stage=name_of(factory),
            wire=wire,
            error=first,
            got=got,
        )


def _later_calls(stage: Stage[Any, Any], wire: bytes) -> list[tuple[str, Callable[[], list[Any]]]]:
    return [
        ("process(the same bytes)", lambda: list(results(stage, wire))),
        ("process(one byte)", lambda: list(results(stage, wire[:1]))),
        ("finish()", lambda: list(run_now(stage.finish()))),
    ]
