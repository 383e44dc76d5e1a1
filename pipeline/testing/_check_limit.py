"""`check_limit`: exactly the limit passes, one more fails, however the input is cut."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from .._errors import FrameTooLongError
from ._bench import AnyChain
from ._cuts import RANDOM_CUTS, Cut, pieces_of, shortest_failing_cut
from ._harness import Harness
from ._outcome import Outcome, outcome_of, refuse_object
from ._report import fail, show_pieces


def check_limit(
    factory: Callable[[int], AnyChain],
    wire: Callable[[int], bytes | Sequence[Any]] | None = None,
    *,
    payload: Callable[[int], Any] | None = None,
    certain: Callable[[int], int] | None = None,
    limits: Iterable[int] = (1, 2, 5, 100),
    errors: type[Exception] = FrameTooLongError,
    random_cuts: int = RANDOM_CUTS,
    seed: int = 0,
) -> None:
    r"""Check that n passes and n + 1 fails, for every n in `limits` (DESIGN S10, STAGES F2).

    check_limit(
        lambda n: LineFramer(max_bytes=n),
        lambda n: b"x" * n + b"\n",
        payload=lambda n: b"x" * n,
        certain=lambda n: n + 1,
    )

    Bytes are cut in every way up to 10 bytes, at every single place and in random ways beyond: the limit
    must not depend on it. A `FrameTooLongError` must carry the limit, and a size over it.

    Args:
        factory: makes a fresh stage with the limit n.
        wire: makes input of exactly n units: bytes, which are cut, or a list of items, which are not.
            None: the limit is outbound only.
        payload: makes a client item of exactly n units, which may be sent; one more unit is refused
            before anything is written (STAGES F5). None: nothing is sent.
        certain: so many bytes of `wire(n + 1)` prove that the limit n is broken, and the error must be
            raised when they are there, without the rest. None: when it is raised does not matter.
        limits: the limits that are tried.
        errors: what is raised over the limit.
        random_cuts: so many random ways to cut more than 10 bytes.
        seed: of the random ways.

    Raises:
        AssertionError: names the rule, the limit and the shortest cut that shows it.
    """
    refuse_object(factory, "lambda n: LineFramer(max_bytes=n)")
    for limit in limits:
        if wire is not None:
            for size in (limit, limit + 1):
                _check_size(factory, limit, size, wire(size), errors, random_cuts, seed)
            if certain is not None:
                _check_early(factory, limit, bytes(wire(limit + 1)), certain(limit), errors)
        if payload is not None:
            _check_sent(factory, limit, payload, errors)


def _check_size(
    factory: Callable[[int], AnyChain],
    limit: int,
    size: int,
    data: bytes | Sequence[Any],
    errors: type[Exception],
    random_cuts: int,
    seed: int,
) -> None:
    """One input, which must pass if it is not over the limit, and fail if it is, in every cut."""

    def outcome(pieces: Sequence[Any]) -> Outcome:
        return outcome_of(lambda: factory(limit), pieces)

    def wrong(cut: Cut) -> bool:
        pieces = pieces_of(data, cut) if isinstance(data, bytes) else data
        return _what_is_wrong(outcome(pieces).error, limit, size, errors) is not None

    cuttable = isinstance(data, bytes)
    cut = shortest_failing_cut(len(data), wrong, random_cuts=random_cuts, seed=seed) if cuttable else ()
    if cut is None or not wrong(cut):
        return
    pieces = pieces_of(data, cut) if isinstance(data, bytes) else data
    got = outcome(pieces)
    fail(
        "S10",
        str(_what_is_wrong(got.error, limit, size, errors)),
        cause=got.error,
        stage=repr(factory(limit)),
        limit=limit,
        size=size,
        cut=show_pieces(pieces),
        got=str(got),
    )


def _what_is_wrong(error: Exception | None, limit: int, size: int, errors: type[Exception]) -> str | None:
    if size <= limit:
        return None if error is None else "exactly the limit does not pass"
    if not isinstance(error, errors):
        return f"one more than the limit does not raise {errors.__name__}"
    if isinstance(error, FrameTooLongError) and not error.limit == limit < error.size:
        return f"the error tells a limit of {error.limit} and a size of {error.size}"
    return None


def _check_early(
    factory: Callable[[int], AnyChain], limit: int, data: bytes, enough: int, errors: type[Exception]
) -> None:
    """The error comes with the byte that proves it, not with the end of the frame."""
    with Harness(factory(limit)) as harness:
        try:
            harness.receive(data[:enough])
        except errors:
            return
        fail(
            "F2",
            f"after {enough} bytes the limit is certainly broken, and no error was raised",
            stage=repr(factory(limit)),
            limit=limit,
            fed=data[:enough],
        )


def _check_sent(
    factory: Callable[[int], AnyChain], limit: int, payload: Callable[[int], Any], errors: type[Exception]
) -> None:
    for size in (limit, limit + 1):
        with Harness(factory(limit)) as harness:
            error = None
            try:
                harness.send(payload(size))
            except Exception as raised:
                error = raised
            wrong = _what_is_wrong(error, limit, size, errors)
            if wrong is None and error is not None and harness.sent:
                wrong = "a refused payload left bytes behind"
            if wrong is not None:
                fail(
                    "F5",
                    f"outbound, {wrong}",
                    cause=error,
                    stage=repr(factory(limit)),
                    limit=limit,
                    payload=payload(size),
                    wrote=harness.sent,
                )
