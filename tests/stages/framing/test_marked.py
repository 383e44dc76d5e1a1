"""What SLIP and COBS share, shown with a format of its own: frames end in `|`, and `!` in one is corrupt."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from pipeline import CorruptFrameError, FrameTooLongError, IncompleteFrameError, Result
from pipeline.testing import check_framer
from stages._bytes import BytesLike
from stages.framing._base import Framer, OutboundFramer
from stages.framing._marked import MarkedInbound

from .driving import outcome, peak_bytes


class BarInbound(MarkedInbound):
    framer = "BarFramer"
    mark = b"|"

    def _payloads(self, blocks: list[bytes], data: bytes) -> list[bytes] | None:
        return None if any(b"!" in block for block in blocks) else [block.upper() for block in blocks]

    def _begin(self) -> None:
        self._size = 0

    def _grow(self, more: bytes) -> bool:
        self._size += len(more)
        return b"!" in more or self._size > self._max_bytes

    def _refuse(self, block: bytes, *, finished: bool) -> None:
        good = block.partition(b"!")[0]
        if len(good) > self._max_bytes:
            self._too_long(self._max_bytes + 1)
        if good != block:
            raise CorruptFrameError("BarFramer: !")


class BarOutbound(OutboundFramer):
    framer = "BarFramer"

    def process_sync(self, payload: BytesLike, /) -> Result[bytes]:
        return [bytes(payload) + b"|"]


class BarFramer(Framer):
    """Cuts at bars, and gives upper case."""

    def __init__(self, max_bytes: int = 100) -> None:
        super().__init__(BarInbound(max_bytes), BarOutbound())


def given_back(pieces: Iterable[bytes], *, taken: int) -> bytes:
    """Feed the pieces, of the last one's frames take so many, and give back."""
    stage = BarFramer().inbound
    results: list[Any] = []
    for piece in pieces:
        results = list(stage.process_sync(piece))
    given = stage.unread(results[taken:])
    assert given is not None
    assert [] == stage.unread(())
    assert [b"X"] == list(stage.process_sync(b"x|"))
    return b"".join(given)


def test_mark_ends_a_frame_and_what_is_between_two_marks_is_ignored() -> None:
    check_framer(BarFramer, wire=b"||ab|||c|", frames=[b"AB", b"C"], outbound="none", random_cuts=50)
    check_framer(
        BarFramer, wire=b"ab||cd", frames=[b"AB"], errors=IncompleteFrameError, leftover=b"cd", outbound="none"
    )


@pytest.mark.parametrize(
    ("wire", "error"),
    [
        (b"ab|c!|d|", CorruptFrameError),
        (b"ab|c!d", CorruptFrameError),
        (b"ab|cdef!|", FrameTooLongError),
        (b"ab||cdef|", FrameTooLongError),
        (b"ab|cdef", FrameTooLongError),
    ],
)
def test_frames_before_an_error_come_first_and_it_stays_an_error(wire: bytes, error: type[Exception]) -> None:
    check_framer(lambda: BarFramer(3), wire=wire, frames=[b"AB"], errors=error, outbound="none", random_cuts=50)


def test_too_long_error_offers_no_skipping() -> None:
    _, error, _, _ = outcome(BarFramer(3), [b"abcd"])
    assert error is not None
    assert error.endswith("Raise max_bytes if it is a right one")


def test_unread_gives_back_every_mark_behind_the_last_frame() -> None:
    """Behind a change of protocol they may mean something else; those of earlier reads count too."""
    assert b"|||" == given_back([b"|", b"||"], taken=0)
    assert b"|||a||b|" == given_back([b"||", b"|a||b|"], taken=0)
    assert b"|b||" == given_back([b"||", b"|a||b||"], taken=1)
    assert b"|" == given_back([b"||", b"|a||b||"], taken=2)
    assert b"|||c" == given_back([b"a||", b"|", b"|c"], taken=0)
    assert b"||cd|" == given_back([b"a||", b"|c", b"d|"], taken=0)
    assert b"" == given_back([b"a|||", b"d|"], taken=1)


def test_unread_before_an_error_gives_back_marks_too() -> None:
    for taken, rest in ((0, b"||a|b|!|"), (1, b"b|!|")):
        stage = BarFramer().inbound
        list(stage.process_sync(b"||"))
        frames = iter(stage.process_sync(b"a|b|!|"))
        assert [b"A"][:taken] == [next(frames) for _ in range(taken)]
        assert [rest] == stage.unread(())


def test_unread_after_an_error_cannot() -> None:
    stage = BarFramer().inbound
    with pytest.raises(CorruptFrameError):
        list(stage.process_sync(b"!|"))
    assert stage.unread(()) is None


def test_nothing_but_marks_holds_nothing() -> None:
    framer = BarFramer()
    assert peak_bytes(framer, (b"|" for _ in range(20_000))) < 10_000
    assert 0 == framer.inbound.holds
    assert [b"|" * 20_000] == framer.inbound.unread(())


def test_what_a_format_must_define() -> None:
    class Nothing(MarkedInbound):
        framer = "Nothing"

        def _begin(self) -> None:
            if hasattr(self, "_size"):
                super()._begin()

    stage = Nothing(1)
    for undefined in (
        lambda: stage._payloads([], b""),
        lambda: stage._grow(b""),
        lambda: stage._refuse(b"", finished=True),
        lambda: MarkedInbound._begin(stage),
    ):
        with pytest.raises(NotImplementedError):
            undefined()
