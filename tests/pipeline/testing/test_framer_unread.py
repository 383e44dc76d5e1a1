"""F7, of `check_framer`: what `unread()` does wrong is told, with the bytes it gave."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from pipeline import FrameTooLongError, Inbound
from pipeline.testing import check_framer
from tests.pipeline.testing.framers import LinesIn, ListedLinesIn, failure, lines


@pytest.mark.parametrize("half", [LinesIn, ListedLinesIn])
@pytest.mark.parametrize("times", [1, 3])
def test_a_framer_that_gives_back_what_follows_its_frames_passes(half: type[LinesIn], times: int) -> None:
    """Whether its results are lazy or listed, with an input that is cut everywhere and with a longer one."""
    check_framer(lines(half), wire=b"a\nbc\n" * times, frames=[b"a", b"bc"] * times, random_cuts=1, outbound="none")


def test_a_lazy_result_that_puts_back_what_it_did_not_give_passes() -> None:
    """It does so when it is closed, as a pipeline does before it asks."""

    class PutsBack(LinesIn):
        def lines(self) -> Iterator[bytes]:
            data, self.rest = self.rest, b""
            try:
                while b"\n" in data:
                    line, _, data = data.partition(b"\n")
                    yield line
            finally:
                self.rest = data

    check_framer(lines(PutsBack), wire=b"a\nbc\n", frames=[b"a", b"bc"])


def test_f7_no_unread() -> None:
    """The message names the way out."""

    class Plain(Inbound[bytes, bytes]):
        def process_sync(self, item: bytes, /) -> list[bytes]:
            return [bytes(piece) for piece in map(bytes, zip(item, strict=True))]

    message = failure(Plain, b"ab", frames=[b"a", b"b"])

    assert message.startswith("F7: the framer defines no unread()")
    check_framer(Plain, wire=b"ab", frames=[b"a", b"b"], unread=False)


def test_f7_a_framer_that_cannot_give_back_now_passes() -> None:
    """None says so, and nothing is lost by it."""

    class Cannot(LinesIn):
        def unread(self, outputs: Iterable[Any], /) -> None:  # type: ignore[override]
            return None

    check_framer(lines(Cannot), wire=b"a\nbc\n", frames=[b"a", b"bc"])


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        (lambda rest: b"", "too much or too little: the bytes before it make [b'a', b'bc']"),
        (lambda rest: b"x" + rest, "is not the end of what was fed"),
        (lambda rest: b"\n" * (rest == b"bc\n") + rest, "too much or too little: the bytes before it make [], then"),
    ],
)
def test_f7_gives_back_the_wrong_bytes(given: Callable[[bytes], bytes], wrong: str) -> None:
    """Nothing, invented bytes, one byte too many."""

    class Wrong(LinesIn):
        def unread(self, outputs: Iterable[Any], /) -> list[bytes]:
            out, self.rest = self.rest and given(self.rest), b""
            return [out]

    message = failure(lines(Wrong))

    assert message.startswith("F7")
    assert wrong in message


@pytest.mark.parametrize(
    ("times", "fed"), [(1, r"b'a' | b'\nbc\n'"), (3, r"b'a' | b'\n'")], ids=["cut once", "in bytes"]
)
def test_f7_gives_back_a_part_of_a_frame_that_came_in_pieces(times: int, fed: str) -> None:
    """A short input is cut once, a longer one comes byte by byte."""

    class Remembers(LinesIn):
        begun = b""

        def process_sync(self, item: Any, /) -> Iterable[bytes]:
            self.begun = self.rest
            return super().process_sync(item)

        def unread(self, outputs: Iterable[Any], /) -> list[bytes]:
            begun, self.begun = self.begun, b""
            return [begun, *super().unread(outputs)]

    message = failure(lines(Remembers), b"a\nbc\n" * times, frames=[b"a", b"bc"] * times)

    assert message.startswith("F7: what unread() gave is not the end of what was fed")
    assert f"fed: {fed}" in message


def test_f7_what_was_given_back_makes_other_frames() -> None:
    """A framer whose frames depend on those before it cannot give back its input just so."""

    class Numbered(LinesIn):
        number = 0

        def lines(self) -> Iterator[bytes]:
            for line in super().lines():
                self.number += 1
                yield b"%d %s" % (self.number, line)

    message = failure(lines(Numbered), frames=[b"1 a", b"2 bc"], outbound="none")

    assert message.startswith("F7: what unread() gave makes other frames than it would have: [b'1 bc']")


def test_f7_gives_back_twice() -> None:
    """After unread() the framer is empty, or the bytes would be there twice."""

    class Twice(LinesIn):
        def unread(self, outputs: Iterable[Any], /) -> list[bytes]:
            return [self.rest]

    assert "a second one gave b'" in failure(lines(Twice))


def test_f7_a_generator_that_takes_its_input_late() -> None:
    """A lazy result that was not begun when the chain changed must not have the input in it."""

    class Lazy(LinesIn):
        def process_sync(self, item: Any, /) -> Iterable[bytes]:
            self.check()
            self.rest += bytes(item)
            yield from self.lines()

    message = failure(lines(Lazy))

    assert message.startswith("F7: unread() gave back too much or too little")
    assert "unread: b''" in message


def test_a_framer_that_fails_at_once_passes() -> None:
    """An error before the first frame leaves nothing to give back."""

    class Eager(LinesIn):
        def process_sync(self, item: Any, /) -> Iterable[bytes]:
            return list(super().process_sync(item))

    check_framer(lines(Eager), wire=b"sixsix\n", frames=[], errors=FrameTooLongError)


def test_a_framer_that_emits_what_is_left_passes() -> None:
    """Its last frame came with the end: there is nothing to give back behind it."""

    class Emits(LinesIn):
        async def finish(self) -> Any:
            self.check()
            return [self.rest] if self.rest else []

    check_framer(lines(Emits), wire=b"a\nbc", frames=[b"a", b"bc"])
