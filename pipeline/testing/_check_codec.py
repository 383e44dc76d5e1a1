"""`check_codec`: what a codec writes, it reads back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ._cuts import RANDOM_CUTS, Cut, pieces_of, shortest_failing_cut
from ._harness import Harness
from ._outcome import Factory, Outcome, name_of, outcome_of, refuse_object
from ._report import fail, show_pieces


def check_codec(
    factory: Factory,
    items: Iterable[Any],
    *,
    wire: Sequence[Any] | None = None,
    cut: bool = False,
    join: bool = False,
    random_cuts: int = RANDOM_CUTS,
    seed: int = 0,
) -> None:
    r"""Check that items go out and come in as the same items, of the same types.

    check_codec(JSONCodec, [{"a": 1}, None, []])
    check_codec(lambda: LineFramer() | JSONCodec(), [{"a": 1}], wire=[b'{"a":1}\n'], cut=True)
    check_codec(TextCodec, ["smørrebrød"], cut=True, join=True)

    Each item is sent and read back alone, then all of them through one codec. Both halves finish, so
    that what they keep until the end takes part.

    Args:
        factory: makes a fresh codec or chain.
        items: client items.
        wire: what the items must become; None: whatever it is. With `cut` only the bytes count.
        cut: the wire is a byte stream: what was written is read back cut in every way up to 10
            bytes, and at every single place and in random ways beyond (DESIGN F1).
        join: the client side is a stream as well, so that `"a", "b"` may come back as `"ab"`.
        random_cuts: so many random ways to cut more than 10 bytes.
        seed: of the random ways.

    Raises:
        AssertionError: with the items, what was written and what came back.
    """
    refuse_object(factory)
    rows = [[item] for item in items]
    together = [item for row in rows for item in row]
    for row in [*rows, together]:
        written = _written(factory, row)
        if row is together and wire is not None:
            _check_wire(factory, row, written, list(wire), cut=cut)
        _check_back(factory, row, written, join=join)
        if cut:
            _check_cuts(factory, row, b"".join(written), join=join, random_cuts=random_cuts, seed=seed)


def _written(factory: Factory, items: list[Any]) -> list[Any]:
    with Harness(factory()) as harness:
        try:
            harness.send(*items)
            harness.send_eof()
        except Exception as error:
            fail("codec", "outbound refused an item", cause=error, stage=name_of(factory), items=items, error=error)
        return harness.sent


def _check_wire(factory: Factory, items: list[Any], written: list[Any], wire: list[Any], *, cut: bool) -> None:
    same = b"".join(written) == b"".join(wire) if cut else written == wire
    if not same:
        fail(
            "codec",
            "outbound writes something else than expected",
            stage=name_of(factory),
            items=items,
            expected=wire,
            wrote=written,
        )


def _check_back(factory: Factory, items: list[Any], written: list[Any], *, join: bool) -> None:
    back = outcome_of(factory, written)
    if not _same(items, back, join=join):
        fail(
            "codec",
            "what was sent does not come back",
            cause=back.error,
            stage=name_of(factory),
            items=items,
            wrote=written,
            came_back=str(back),
        )


def _check_cuts(factory: Factory, items: list[Any], wire: bytes, *, join: bool, random_cuts: int, seed: int) -> None:
    def fails(cut: Cut) -> bool:
        return not _same(items, outcome_of(factory, pieces_of(wire, cut)), join=join)

    cut = shortest_failing_cut(len(wire), fails, random_cuts=random_cuts, seed=seed)
    if cut is not None:
        pieces = pieces_of(wire, cut)
        fail(
            "F1",
            "what comes back depends on how the bytes are cut",
            stage=name_of(factory),
            items=items,
            cut=show_pieces(pieces),
            came_back=str(outcome_of(factory, pieces)),
        )


def _same(items: list[Any], back: Outcome, *, join: bool) -> bool:
    """Whether the items came back, and cleanly; 1, 1.0 and True are not the same."""
    if back.error is not None:
        return False
    if join and items and back.frames:
        return bool(type(items[0])().join(items) == type(items[0])().join(back.frames))
    return back.frames == items and [*map(type, back.frames)] == [*map(type, items)]
