"""What all framers share, shown with a format of its own: frames of two bytes, `!!` is corrupt, `??` too long."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from pipeline import CorruptFrameError, FrameTooLongError, IncompleteFrameError, Result
from stages.framing._base import (
    AtEOF,
    Framer,
    InboundFramer,
    OutboundFramer,
    Oversize,
    all_fit,
    check_choice,
    check_size,
)

from .driving import finished


class PairInbound(InboundFramer):
    framer = "PairFramer"
    unit = "pair"

    def _may_complete(self, data: bytes) -> bool:
        return bool(data)

    def _cut(self, data: bytes) -> Result[bytes]:
        if self._skipping or b"?" in data or b"!" in data:
            return self._carefully(data)
        at = len(data) // 2 * 2
        return self._gives([data[place : place + 2] for place in range(0, at, 2)], data, at)

    def _next(self, data: bytes, at: int) -> tuple[bytes | None, int] | None:
        pair = data[at : at + 2]
        if len(pair) < 2:
            return None
        if pair == b"!!":
            raise CorruptFrameError("PairFramer: !!")
        if pair == b"??" and not self._skipping:
            self._too_long(3)
            return None, at
        if self._skipping:
            self._skipping = pair != b".."
            return None, at + 2
        return pair, at + 2


class PairOutbound(OutboundFramer):
    framer = "PairFramer"


class PairFramer(Framer):
    """Cuts pairs; what is over the limit is dropped up to `..`."""

    def __init__(self, *, at_eof: AtEOF = "error", oversize: Oversize = "error") -> None:
        super().__init__(PairInbound(max_bytes=2, at_eof=at_eof, oversize=oversize), PairOutbound())


class CountedInbound(InboundFramer):
    """The first byte says how many follow."""

    framer = "CountedFramer"

    def _next(self, data: bytes, at: int) -> tuple[bytes | None, int] | None:
        if self._skipping:
            return self._drop(data, at)
        if at == len(data):
            return None
        size = data[at]
        if size > self._max_bytes:
            self._too_long(size)
            self._to_drop = size
            return None, at + 1
        end = at + 1 + size
        return (data[at + 1 : end], end) if end <= len(data) else None


def test_unfinished_frame_waits_for_its_rest() -> None:
    framer = PairFramer()
    assert [] == list(framer.inbound.process_sync(b"a"))
    assert [] == list(framer.inbound.process_sync(b""))
    assert [b"ab", b"cd"] == list(framer.inbound.process_sync(b"bcde"))
    assert [b"ef"] == list(framer.inbound.process_sync(b"f"))


def test_what_a_format_must_define() -> None:
    class Nothing(InboundFramer):
        framer = "Nothing"

    with pytest.raises(NotImplementedError):
        list(Nothing(max_bytes=1).process_sync(b"a"))


def test_what_a_format_may_leave_out() -> None:
    """Without a fast path it is right, if slower."""

    class Threes(InboundFramer):
        framer = "Threes"

        def _next(self, data: bytes, at: int) -> tuple[bytes | None, int] | None:
            return (data[at : at + 3], at + 3) if len(data) >= at + 3 else None

    stage = Threes(max_bytes=3)
    assert [b"abc"] == list(stage.process_sync(b"abcd"))
    assert [b"def"] == list(stage.process_sync(b"efg"))
    assert [b"g"] == stage.unread(())


def test_what_it_was_made_with_is_shown_by_the_framer() -> None:
    """Not by its halves, which are made of it, and know their place by their names."""
    framer = PairFramer(oversize="skip")
    assert "PairFramer(oversize='skip')" == repr(framer)
    assert ["PairInbound", "PairOutbound"] == [repr(framer.inbound), repr(framer.outbound)]


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_frames_are_bytes_whatever_the_transport_gives(kind: Any) -> None:
    (frame,) = PairFramer().inbound.process_sync(kind(b"ab"))
    assert bytes is type(frame)


def test_text_is_refused_with_the_way_to_get_bytes() -> None:
    with pytest.raises(TypeError, match=r"PairFramer takes bytes, not str: put a TextCodec\(\)"):
        PairFramer().inbound.process_sync("ab")  # type: ignore[arg-type]


def test_frames_before_an_error_come_first_and_it_stays_an_error() -> None:
    framer = PairFramer()
    results = iter(framer.inbound.process_sync(b"ab!!cd"))
    assert b"ab" == next(results)
    with pytest.raises(CorruptFrameError):
        next(results)

    with pytest.raises(CorruptFrameError):
        framer.inbound.process_sync(b"cd")
    with pytest.raises(CorruptFrameError):
        finished(framer)
    assert framer.inbound.unread(()) is None


def test_too_long_error_has_both_numbers_and_both_remedies() -> None:
    with pytest.raises(FrameTooLongError) as info:
        list(PairFramer().inbound.process_sync(b"??"))

    assert (2, 3) == (info.value.limit, info.value.size)
    assert (
        "PairFramer: a pair of at least 3 bytes is over the limit, max_bytes=2. Raise max_bytes if it is a right one, "
        "or drop such pairs: oversize='skip'" == str(info.value)
    )


def test_skipped_frames_are_counted_and_logged_once_each(caplog: pytest.LogCaptureFixture) -> None:
    framer = PairFramer(oversize="skip")
    with caplog.at_level(logging.WARNING, "stages.framing"):
        assert [b"ab"] == list(framer.inbound.process_sync(b"ab??"))
        assert [] == list(framer.inbound.process_sync(b"ijkl"))
        assert [b"cd"] == list(framer.inbound.process_sync(b"..cd??"))

    assert 2 == framer.skipped
    assert [
        "PairFramer: a pair of at least 3 bytes is over the limit, max_bytes=2; dropped, number 1 of this stream",
        "PairFramer: a pair of at least 3 bytes is over the limit, max_bytes=2; dropped, number 2 of this stream",
    ] == caplog.messages


def test_end_between_frames_is_clean() -> None:
    framer = PairFramer()
    list(framer.inbound.process_sync(b"ab"))
    assert [] == finished(framer)


def test_end_inside_a_frame_is_an_error_with_its_bytes() -> None:
    framer = PairFramer()
    list(framer.inbound.process_sync(b"abc"))
    with pytest.raises(IncompleteFrameError, match="PairFramer: the stream ended 1 bytes into a pair") as info:
        finished(framer)
    assert b"c" == info.value.leftover


def test_end_inside_a_frame_can_be_taken_or_dropped() -> None:
    for at_eof, last in (("emit", [b"c"]), ("drop", [])):
        framer = PairFramer(at_eof=at_eof)  # type: ignore[arg-type]
        list(framer.inbound.process_sync(b"abc"))
        assert last == finished(framer)


def test_end_inside_a_dropped_frame_is_an_error_without_bytes() -> None:
    """Its bytes are gone, and how many of them are still there would depend on the cut."""
    framer = PairFramer(oversize="skip")
    list(framer.inbound.process_sync(b"??abc"))
    with pytest.raises(IncompleteFrameError, match="inside a pair over the limit, which was being dropped") as info:
        finished(framer)
    assert b"" == info.value.leftover


def test_a_frame_whose_length_is_known_is_dropped_byte_by_byte_to_its_end() -> None:
    wire = b"\1a\5vwxyz\2bc"
    for step in (1, 2, len(wire)):
        inbound = CountedInbound(max_bytes=3, oversize="skip")
        pieces = [wire[at : at + step] for at in range(0, len(wire), step)]
        assert [b"a", b"bc"] == [frame for piece in pieces for frame in inbound.process_sync(piece)]
        assert 1 == inbound.skipped


def test_end_inside_a_dropped_frame_says_how_much_of_it_was_to_come() -> None:
    framer = Framer(CountedInbound(max_bytes=3, oversize="skip"), PairOutbound())
    assert [] == list(framer.inbound.process_sync(b"\5ab"))
    with pytest.raises(IncompleteFrameError, match="which was being dropped; 3 more bytes were to come"):
        finished(framer)


def test_end_inside_a_dropped_frame_emits_nothing() -> None:
    framer = PairFramer(oversize="skip", at_eof="emit")
    list(framer.inbound.process_sync(b"??abc"))
    assert [] == finished(framer)


def test_unread_gives_back_what_a_lazy_result_has_not_produced() -> None:
    framer = PairFramer()
    results = iter(framer.inbound.process_sync(b"abcdef!!g"))
    next(results)
    assert [b"cdef!!g"] == framer.inbound.unread(())
    assert [] == framer.inbound.unread(())
    assert [b"xy"] == list(framer.inbound.process_sync(b"xy"))


def test_unread_gives_back_the_frames_of_a_list_that_were_not_taken() -> None:
    framer = PairFramer()
    frames = list(framer.inbound.process_sync(b"abcdefg"))
    assert [b"efg"] == framer.inbound.unread(frames[2:])
    assert [] == framer.inbound.unread(())


def test_unread_gives_back_an_unfinished_frame() -> None:
    framer = PairFramer()
    list(framer.inbound.process_sync(b"abc"))
    assert [b"c"] == framer.inbound.unread(())


def test_unread_refuses_where_the_beginning_is_gone() -> None:
    """A frame that is being dropped cannot be given back whole."""
    framer = PairFramer(oversize="skip")
    list(framer.inbound.process_sync(b"??abc"))
    assert framer.inbound.unread(()) is None


def test_wrong_choices_are_listed() -> None:
    with pytest.raises(ValueError, match=r"PairFramer\(at_eof='keep'\): must be one of 'error', 'emit', 'drop'"):
        PairFramer(at_eof="keep")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"PairFramer\(oversize=None\): must be one of 'error', 'skip'"):
        PairFramer(oversize=None)  # type: ignore[arg-type]
    check_choice("X", "y", 1, (1, 2))


@pytest.mark.parametrize(
    ("value", "error"), [(0, ValueError), (-1, ValueError), (None, TypeError), (1.5, TypeError), (True, ValueError)]
)
def test_a_limit_that_is_none_shows_the_remedy(value: object, error: type[Exception]) -> None:
    expected = r"X\(max_bytes=.*\): must be a whole number of bytes, 1 or more. Leave it out for the default: "
    with pytest.raises(error, match=expected + r"X\(max_bytes=10\)"):
        check_size("X", "max_bytes", value, default=10)


def test_a_size_may_have_no_default() -> None:
    check_size("X", "size", 0, least=0)
    with pytest.raises(ValueError, match=r"X\(size=0\): must be a whole number of bytes, 1 or more$"):
        check_size("X", "size", 0)


def test_outbound_framers_keep_no_state() -> None:
    """So a send that was cancelled before a byte went out has no effect."""
    assert PairFramer().outbound.keeps_outbound_state is False


# ---- holds


def test_it_holds_the_bytes_of_an_unfinished_frame() -> None:
    stage = PairFramer().inbound
    assert 0 == stage.holds
    list(stage.process_sync(b"abc"))
    assert 1 == stage.holds
    list(stage.process_sync(b"d"))
    assert 0 == stage.holds
    assert 0 == PairFramer().outbound.holds


def test_it_holds_something_inside_a_frame_that_is_being_dropped() -> None:
    stage = PairFramer(oversize="skip").inbound
    list(stage.process_sync(b"??"))
    assert 1 == stage.holds
    list(stage.process_sync(b".."))
    assert 0 == stage.holds


def test_it_holds_what_it_has_not_cut_yet() -> None:
    stage = PairFramer(oversize="skip").inbound
    frames = iter(stage.process_sync(b"ab??..cde"))
    assert 9 == stage.holds
    assert b"ab" == next(frames)
    assert 7 == stage.holds
    assert [b"cd"] == list(frames)
    assert 1 == stage.holds


# ---- many frames against the limit


@pytest.mark.parametrize("mark", [b"|", b"<>", None])
@pytest.mark.parametrize("most", [1, 2, 3, 5, 10, 40, 100])
@pytest.mark.parametrize("rest", [b"", b"x", b"x" * 3, b"x" * 12])
def test_whether_all_fit_does_not_depend_on_how_it_is_found_out(mark: bytes | None, most: int, rest: bytes) -> None:
    for frames in ([], [b"abc"] * 9, [b""] * 30, [b"a", b"abcdefghijk", b"b"], [b"abcdefghij"] * 2):
        ends = mark or b";"
        data = b"".join(frame + ends for frame in frames) + rest
        fit = all(len(frame) <= most for frame in [*frames, rest])
        assert fit == all_fit(frames, data, len(data) - len(rest), mark, most)


def test_a_payload_over_the_limit_is_refused_with_both_numbers() -> None:
    class Outbound(OutboundFramer):
        framer = "Boxes"
        unit = "box"
        _max_bytes = 4

    with pytest.raises(FrameTooLongError, match=r"Boxes: a box of 5 bytes .* max_bytes=4; nothing was written") as info:
        Outbound()._refuse_long(5)
    assert (4, 5) == (info.value.limit, info.value.size)
