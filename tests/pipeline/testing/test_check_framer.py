"""`check_framer` passes what keeps the rules, and names the rule that is broken, with the shortest cut."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from pipeline import FrameError, FrameTooLongError, IncompleteFrameError, inbound
from pipeline.testing import check_framer
from tests.pipeline.testing.framers import LinesIn, ListedLinesIn, failure, lines


@pytest.mark.parametrize("half", [LinesIn, ListedLinesIn])
def test_a_good_framer_passes(half: type[LinesIn]) -> None:
    """Inputs that are cut in every way, and a longer one, lazy and listed results."""
    check_framer(lines(half), wire=b"a\n\nbc\n", frames=[b"a", b"", b"bc"], outbound="bytes")
    check_framer(lines(half), wire=b"a\n\nbc\n" * 3, frames=[b"a", b"", b"bc"] * 3, random_cuts=10)


@pytest.mark.unmeasured
@pytest.mark.parametrize("half", [LinesIn, ListedLinesIn])
def test_a_good_framer_passes_with_a_large_input(half: type[LinesIn]) -> None:
    check_framer(lines(half), wire=b"a\n\nbc\n" * 30, frames=[b"a", b"", b"bc"] * 30, random_cuts=50)


def test_an_unfinished_frame_passes_as_the_expected_error() -> None:
    """The frames before it, the error and the leftover."""
    check_framer(lines(), wire=b"a\nbc", frames=[b"a"], errors=IncompleteFrameError, leftover=b"bc")


def test_an_error_in_the_framing_passes_as_the_expected_error() -> None:
    """The frames before it are delivered, also from the same read."""
    check_framer(lines(), wire=b"a\nsixsix\n", frames=[b"a"], errors=FrameTooLongError)


def test_a_chain_that_begins_with_a_framer_passes() -> None:
    """Frames may be anything then; unread() is the framer's own matter."""
    check_framer(lambda: lines()() | inbound(lambda line: [line.decode()]), wire=b"a\n", frames=["a"], outbound="none")


def test_wrong_frames_are_told_apart_from_wrong_cuts() -> None:
    """What is wrong uncut is shown with both sides."""
    message = failure(lines(), frames=[b"a"], errors=FrameError, leftover=b"x")

    assert message.startswith("frames: already uncut")
    assert r"expected: [b'a'], then FrameError, leftover b'x'" in message
    assert "got: [b'a', b'bc']" in message


def test_a_wrong_leftover_is_shown() -> None:
    """The error is the right one, its bytes are not."""
    message = failure(lines(), b"a\nbc", frames=[b"a"], errors=IncompleteFrameError, leftover=b"c")

    assert "then IncompleteFrameError: inside a line, leftover b'bc'" in message


def test_f1_a_framer_that_takes_each_read_for_itself() -> None:
    """One cut inside a line shows it, and no more than one is told."""

    class PerRead(LinesIn):
        def process_sync(self, item: Any, /) -> Iterable[bytes]:
            return bytes(item).splitlines()

    message = failure(lines(PerRead))

    assert message.startswith("F1: the outcome depends on how the bytes are cut\n")
    assert r"cut: b'a' | b'\nbc\n'" in message
    assert "uncut: [b'a', b'bc']" in message


def test_f1_a_fault_that_needs_two_cuts() -> None:
    """The message has exactly those two, though random ways found it."""

    class Forgetful(LinesIn):
        """Loses what is left when it was fed one byte alone."""

        def process_sync(self, item: Any, /) -> Iterable[bytes]:
            if bytes(item) == b"q":
                return ()
            return super().process_sync(item)

    message = failure(lines(Forgetful), b"a\nbc\n" * 10 + b"q\n", frames=[b"a", b"bc"] * 10 + [b"q"])

    assert r"\nbc\n' | b'q' | b'\n'" in message.replace("b'a", "")


def test_a_framer_that_drops_what_is_unfinished_passes_where_that_is_said() -> None:
    """At any byte of the wire the stream may end in silence then."""

    class Drops(LinesIn):
        async def finish(self) -> tuple[()]:
            self.check()
            return ()

    check_framer(lines(Drops), wire=b"a\nbc", frames=[b"a"], drops_rest=True)
    assert "F4" in failure(lines(Drops), b"a\nbc", frames=[b"a"])


def test_f1_an_end_inside_a_frame() -> None:
    """Where the stream ends early, the cut must not matter either."""

    class Trusting(LinesIn):
        """Forgets its last bytes if they came alone."""

        def process_sync(self, item: Any, /) -> Iterable[bytes]:
            self.alone = len(item) == 1
            return super().process_sync(item)

        async def finish(self) -> tuple[()]:
            return () if self.alone else await super().finish()

    message = failure(lines(Trusting))

    assert message.startswith("F1")
    assert "IncompleteFrameError" in message


def test_f1_an_empty_piece_matters() -> None:
    """It is told as such: nothing else shows it."""

    class Ending(LinesIn):
        def process_sync(self, item: Any, /) -> Iterable[bytes]:
            return super().process_sync(item) if item else [b"empty"]

    assert "cut: b'' | b'a" in failure(lines(Ending))


@pytest.mark.parametrize("left", [b"b", b"a\nb", b"x"])
def test_f4_a_wrong_leftover(left: bytes) -> None:
    """Too little, too much, or other bytes."""

    class Careless(LinesIn):
        async def finish(self) -> tuple[()]:
            if self.rest:
                raise IncompleteFrameError("inside", leftover=left)
            return ()

    message = failure(lines(Careless))

    assert message.startswith("F4: the leftover is not exactly the bytes after the last frame")


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_f8_frames_that_are_no_bytes(kind: type) -> None:
    """What the transport gave shines through."""

    class Slices(LinesIn):
        def process_sync(self, item: Any, /) -> Iterable[Any]:
            frames = super().process_sync(item)
            return [kind(frame) for frame in frames] if isinstance(item, kind) else frames

    message = failure(lines(Slices))

    assert message.startswith("F8")
    assert f"pieces: {kind.__name__}(" in message


def test_f6_goes_on_after_an_error() -> None:
    """What follows the error would be taken for a frame."""

    class Reckless(LinesIn):
        def check(self) -> None:
            self.rest = self.rest if self.failure is None else b""

    message = failure(lines(Reckless), b"a\nsixsix\n", frames=[b"a"], errors=FrameTooLongError)

    assert message.startswith("F6: after an error, process(one byte) did not raise again")


def test_f6_finishes_well_after_an_error() -> None:
    """A failed framer has no good end."""

    class Optimistic(LinesIn):
        async def finish(self) -> tuple[()]:
            self.failure = None
            return ()

    message = failure(lines(Optimistic), b"a\nsixsix\n", frames=[b"a"], errors=FrameTooLongError)

    assert message.startswith("F6: after an error, finish() did not raise again")


def test_a_stage_instead_of_a_factory_is_refused() -> None:
    stage: Any = inbound(lambda item: [item])
    with pytest.raises(TypeError, match=r"each try needs a fresh stage, .* makes one: lambda: inbound\("):
        check_framer(stage, wire=b"a\n", frames=[b"a"])
