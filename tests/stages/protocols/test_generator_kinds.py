"""Each kind of generator becomes one that asks."""

from __future__ import annotations

import ohneio
import pytest

from pipeline import StageReturnError
from pipeline.testing import Harness
from stages import FromGenerator
from stages.protocols._generator_kinds import steps_of
from tests.stages.protocols.generators import Asking, cuts_of, frames, lines, ohneio_frame, protocol, shaking, wait_for


@protocol
def upper() -> Asking:
    """Answers each line, and gives no result."""
    while True:
        line = yield from ohneio.read((yield from wait_for(b"\n")) + 1)
        yield from ohneio.write(line.upper())


def test_a_generator_that_is_pushed_gets_what_came() -> None:
    for pieces in cuts_of(b"one\ntwo\n"):
        harness = Harness(FromGenerator(lines, push=True))
        assert [b"one", b"two"] == harness.receive(*pieces)
        assert [] == harness.finish()


def test_a_generator_object_works_as_well() -> None:
    assert [b"abc"] == Harness(FromGenerator(frames())).receive(b"\0\3abc")
    assert ["Ada"] == Harness(FromGenerator(shaking())).receive(b"Ada\n")


def test_ohneio_speaks_and_gives_its_result() -> None:
    for pieces in cuts_of(b"Ada\nrest"):
        harness = Harness(FromGenerator(shaking))
        assert [b"who?\n"] == harness.replies
        assert ["Ada"] == harness.receive(*pieces)
        assert [b"who?\n", b"hello Ada\n"] == harness.replies


def test_ohneio_without_a_result_only_speaks() -> None:
    harness = Harness(FromGenerator(upper))
    assert [] == harness.receive(b"a\nb", b"\n")
    assert b"A\nB\n" == b"".join(harness.replies)
    assert [] == harness.finish()


def test_what_ohneio_wrote_before_an_error_goes_out() -> None:
    @protocol
    def refuses() -> Asking:
        yield from ohneio.read(1)
        output = yield ohneio._get_output
        output.write(b"no\n")
        raise ZeroDivisionError("nothing")

    harness = Harness(FromGenerator(refuses))
    with pytest.raises(ZeroDivisionError):
        harness.receive(b"x")
    assert [b"no\n"] == harness.replies


def test_a_pushed_generator_does_not_ask() -> None:
    with pytest.raises(StageReturnError, match="yielded 2, and one that is pushed what came cannot ask"):
        Harness(FromGenerator(frames, push=True))


def test_what_a_pushed_generator_returns_is_checked() -> None:
    def wrong() -> Asking:
        return (yield)

    harness = Harness(FromGenerator(wrong, push=True))
    with pytest.raises(StageReturnError, match=r"the generator returned bytes\. .*: return items, rest"):
        harness.receive(b"x")


def test_a_pushed_generator_may_return_nothing() -> None:
    def none() -> Asking:
        yield

    assert [] == Harness(FromGenerator(none, push=True)).receive(b"x")


def test_ohneio_may_wait_for_an_item_of_many_pieces() -> None:
    harness = Harness(FromGenerator(ohneio_frame))
    assert [b"x" * 200] == harness.receive(b"\0\xc8", *[b"x"] * 200)


def test_what_is_no_generator_or_was_begun_is_refused() -> None:
    with pytest.raises(TypeError, match="'the stage': must be a generator, or a function that makes one; it is None"):
        steps_of("the stage", lambda: None, push=False)  # type: ignore[arg-type, return-value]
    with pytest.raises(TypeError, match="must be a generator"):
        steps_of("the stage", [b"x"], push=False)  # type: ignore[arg-type]
    begun = frames()
    next(begun)
    with pytest.raises(ValueError, match="'the stage': the generator was begun already"):
        steps_of("the stage", begun, push=False)


def test_generators_of_each_kind_clean_up() -> None:
    closed = []

    def cleans() -> Asking:
        try:
            yield
        finally:
            closed.append("generator")

    @protocol
    def ohneio_cleans() -> Asking:
        try:
            yield from ohneio.read(1)
        finally:
            closed.append("ohneio")

    for stage in (FromGenerator(cleans), FromGenerator(cleans, push=True), FromGenerator(ohneio_cleans)):
        with Harness(stage):
            pass
    assert ["generator", "generator", "ohneio"] == closed
