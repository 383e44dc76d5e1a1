"""What a framer made of its input: what counts as the same, how a failure shows it, and what cannot be checked."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from pipeline import Duplex, FrameTooLongError, Inbound, IncompleteFrameError
from pipeline.testing import check_framer
from pipeline.testing._outcome import Outcome, inbound_half, name_of, outcome_of, refuse_object, results, run_now
from tests.pipeline.testing.framers import LinesIn, LinesOut, lines


def unfinished(leftover: bytes) -> IncompleteFrameError:
    return IncompleteFrameError("inside a line", leftover=leftover)


def test_frames_that_came_before_an_error_are_part_of_the_outcome() -> None:
    outcome = outcome_of(LinesIn, [b"a\nb", b"c\nsixsix"])

    assert [b"a", b"bc"] == outcome.frames
    assert isinstance(outcome.error, FrameTooLongError)
    assert outcome.leftover is None


def test_the_end_of_the_stream_is_part_of_the_outcome() -> None:
    assert Outcome([b"a"], None) == outcome_of(LinesIn, [b"a\n"])
    assert b"b" == outcome_of(LinesIn, [b"a\nb"]).leftover


def test_two_outcomes_are_the_same_whatever_their_errors_say() -> None:
    assert Outcome([b"a"], ValueError("at byte 3")).same_as(Outcome([b"a"], ValueError("at byte 4")))
    assert Outcome([], unfinished(b"x")).same_as(Outcome([], unfinished(b"x")))


@pytest.mark.parametrize(
    "other",
    [
        Outcome([b"a", b""], unfinished(b"x")),
        Outcome([bytearray(b"a")], unfinished(b"x")),
        Outcome([b"a"], ValueError("inside a line")),
        Outcome([b"a"], None),
        Outcome([b"a"], unfinished(b"y")),
    ],
    ids=["frames", "type of a frame", "kind of error", "no error", "leftover"],
)
def test_two_outcomes_differ_in_what_a_user_sees(other: Outcome) -> None:
    assert not Outcome([b"a"], unfinished(b"x")).same_as(other)


def test_a_failure_shows_frames_then_error_then_leftover() -> None:
    assert "[b'a']" == str(Outcome([b"a"], None))
    assert "[], then ValueError: no" == str(Outcome([], ValueError("no")))
    assert "[b'a'], then IncompleteFrameError: inside a line, leftover b'x'" == str(Outcome([b"a"], unfinished(b"x")))
    assert len(str(Outcome([bytes(1000)], None))) == 500


def test_a_factory_is_shown_as_the_chain_it_makes() -> None:
    assert repr(lines()()) == name_of(lines())


def test_the_inbound_half_is_the_stage_itself_or_a_part_of_it() -> None:
    half = LinesIn()
    assert half is inbound_half(half)
    assert half is inbound_half(Duplex(half, LinesOut()))


def test_an_outbound_half_is_no_framer() -> None:
    """The message says what is missing."""
    with pytest.raises(TypeError, match="no inbound half"):
        check_framer(LinesOut, wire=b"", frames=[])


def test_a_stage_is_no_factory() -> None:
    """What is shown is the right call."""
    with pytest.raises(TypeError, match=r"give a function that makes one: lambda: LinesIn\(\)$"):
        refuse_object(LinesIn())
    refuse_object(LinesIn)


def test_a_stage_is_driven_by_hand_with_what_it_returns() -> None:
    stage = LinesIn()
    assert [b"a"] == list(results(stage, b"a\nb"))
    with pytest.raises(IncompleteFrameError):
        run_now(stage.finish())


class Yield:
    def __await__(self) -> Generator[None, None, None]:
        yield


class WaitsOnce(Inbound[Any, Any]):
    """Waits, and notes whether it may tidy up."""

    tidied = False

    async def process(self, item: Any, /) -> list[Any]:
        try:
            await Yield()
        finally:
            self.tidied = True
        return [item]


def test_a_stage_that_waits_cannot_be_driven_by_hand() -> None:
    """It is not left standing where it waits."""
    stage = WaitsOnce()
    with pytest.raises(RuntimeError, match="the stage waits; this check is for stages that never do"):
        results(stage, b"x")
    assert stage.tidied


def test_a_framer_that_waits_is_refused() -> None:
    """Framers never wait; what drives them by hand says so."""

    class Waits(LinesIn):
        async def finish(self) -> tuple[()]:
            if self.failure is not None:
                await Yield()
            return await super().finish()

    with pytest.raises(RuntimeError, match="the stage waits"):
        check_framer(Waits, wire=b"sixsix\n", frames=[], errors=FrameTooLongError)
