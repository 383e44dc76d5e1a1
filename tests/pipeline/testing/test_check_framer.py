"""`check_framer` passes what keeps the rules, and names the rule that is broken, with the shortest cut."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any

import pytest

from pipeline import Duplex, FrameError, FrameTooLongError, Inbound, IncompleteFrameError, Outbound, inbound, outbound
from pipeline.testing import check_framer


class LinesIn(Inbound[Any, bytes]):
    """A small framer that keeps the rules: LF ends a line, 5 bytes at most."""

    name = "LinesIn"

    def __init__(self) -> None:
        self.rest = b""
        self.failure: FrameError | None = None

    def process_sync(self, item: Any, /) -> Iterable[bytes]:
        self.check()
        self.rest += bytes(item)
        return self.lines()

    def check(self) -> None:
        if self.failure is not None:
            raise self.failure

    def lines(self) -> Iterator[bytes]:
        while True:
            line, end, rest = self.rest.partition(b"\n")
            if len(line) > 5:
                self.failure = FrameTooLongError("too long", limit=5, size=len(line))
                raise self.failure
            if not end:
                return
            self.rest = rest
            yield line

    async def finish(self) -> tuple[()]:
        self.check()
        if self.rest:
            raise IncompleteFrameError("inside a line", leftover=self.rest)
        return ()

    def unread(self, outputs: Iterable[Any], /) -> list[bytes]:
        given, self.rest = b"".join(line + b"\n" for line in outputs) + self.rest, b""
        return [given]


class ListedLinesIn(LinesIn):
    """The same, with a list as its result."""

    def process_sync(self, item: Any, /) -> Iterable[bytes]:
        self.check()
        self.rest += bytes(item)
        *lines, self.rest = self.rest.split(b"\n")
        return lines


class LinesOut(Outbound[bytes, bytes]):
    """Adds LF, refuses what has one."""

    def process_sync(self, item: bytes, /) -> list[bytes]:
        if b"\n" in item or len(item) > 5:
            raise FrameError("no line")
        return [item, b"\n"]


def lines(
    inbound: Callable[[], Inbound[Any, bytes]] = LinesIn, outbound: Callable[[], Outbound[bytes, bytes]] = LinesOut
) -> Callable[[], Duplex[Any, bytes, bytes, bytes]]:
    return lambda: Duplex(inbound(), outbound())


def decode(line: bytes) -> list[str]:
    return [line.decode()]


def encode(text: str) -> list[bytes]:
    return [text.encode()]


def failure(factory: Callable[[], Any], wire: bytes = b"a\nbc\n", **options: Any) -> str:
    """The message of the failed check."""
    with pytest.raises(AssertionError) as info:
        check_framer(factory, wire=wire, **{"frames": [b"a", b"bc"], **options})
    return str(info.value)


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


def test_a_bare_inbound_half_passes() -> None:
    """There is nothing to send then."""
    check_framer(LinesIn, wire=b"a\n", frames=[b"a"])


def test_a_chain_that_begins_with_a_framer_passes() -> None:
    """Frames may be anything then; unread() is the framer's own matter."""
    check_framer(lambda: lines()() | inbound(decode), wire=b"a\n", frames=["a"], outbound="none")


def test_an_outbound_half_is_no_framer() -> None:
    """The message says what is missing."""
    with pytest.raises(TypeError, match="no inbound half"):
        check_framer(LinesOut, wire=b"", frames=[])


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


def test_f5_writes_what_reads_as_two() -> None:
    """Line injection: the payload is named."""

    class Trusting(LinesOut):
        def process_sync(self, item: bytes, /) -> list[bytes]:
            return [item, b"\n"]

    message = failure(lines(outbound=Trusting))

    assert message.startswith("F5: outbound wrote what inbound reads as something else")
    assert r"payload: b'a\n'" in message


def test_f5_refuses_what_inbound_gave() -> None:
    """What came in must be allowed out."""

    class Picky(LinesOut):
        def process_sync(self, item: bytes, /) -> list[bytes]:
            if len(item) > 1:
                raise FrameError("too long for me")
            return super().process_sync(item)

    message = failure(lines(outbound=Picky))

    assert message.startswith("F5: outbound refuses what inbound gave")
    check_framer(lines(outbound=Picky), wire=b"a\nbc\n", frames=[b"a", b"bc"], outbound="none")


def test_f5_refuses_when_a_part_is_written() -> None:
    """A refusal must come before anything went out; a send is undone up to 64 KiB, no further."""

    class Late(LinesOut):
        def process_sync(self, item: bytes, /) -> Iterable[bytes]:  # type: ignore[override]
            if b"\n" in item:
                yield bytes(70_000)
            yield from super().process_sync(item)

    assert failure(lines(outbound=Late)).startswith("F5: a refused payload left bytes behind")


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


def test_f5_other_bytes_than_came() -> None:
    """With outbound="bytes" the very bytes of the wire must go out again."""

    class CRLF(LinesIn):
        def process_sync(self, item: Any, /) -> Iterable[bytes]:
            return (line.removesuffix(b"\r") for line in super().process_sync(item))

    class NoCR(LinesOut):
        def process_sync(self, item: bytes, /) -> list[bytes]:
            if item.endswith(b"\r"):
                raise FrameError("CR")
            return super().process_sync(item)

    check_framer(lines(CRLF, NoCR), wire=b"a\r\n", frames=[b"a"], unread=False)
    message = failure(lines(CRLF, NoCR), b"a\r\n", frames=[b"a"], outbound="bytes", unread=False)

    assert message.startswith("F5: what was framed is not written back as the same bytes")


def test_a_framer_that_waits_is_refused() -> None:
    """Framers never wait; what drives them by hand says so."""

    class Waits(LinesIn):
        async def finish(self) -> tuple[()]:
            if self.failure is not None:
                await Yield()
            return await super().finish()

    class Yield:
        def __await__(self) -> Generator[None, None, None]:
            yield

    with pytest.raises(RuntimeError, match="the stage waits"):
        check_framer(Waits, wire=b"sixsix\n", frames=[], errors=FrameTooLongError)


def test_a_framer_that_emits_what_is_left_passes() -> None:
    """Its last frame came with the end: there is nothing to give back behind it."""

    class Emits(LinesIn):
        async def finish(self) -> Any:
            self.check()
            return [self.rest] if self.rest else []

    check_framer(lines(Emits), wire=b"a\nbc", frames=[b"a", b"bc"])


def test_a_framer_that_fails_at_once_passes() -> None:
    """An error before the first frame leaves nothing to give back."""

    class Eager(LinesIn):
        def process_sync(self, item: Any, /) -> Iterable[bytes]:
            return list(super().process_sync(item))

    check_framer(lines(Eager), wire=b"sixsix\n", frames=[], errors=FrameTooLongError)


def test_frames_that_are_no_bytes_go_out_and_come_back() -> None:
    """Pieces of the wire are no payloads then."""

    def chain() -> Any:
        return lines()() | Duplex(inbound(decode), outbound(encode))

    check_framer(chain, wire=b"a\n\n", frames=["a", ""], outbound="bytes")


def test_a_stage_instead_of_a_factory_is_refused() -> None:
    stage: Any = inbound(lambda item: [item])
    with pytest.raises(TypeError, match=r"each try needs a fresh stage, .* makes one: lambda: inbound\("):
        check_framer(stage, wire=b"a\n", frames=[b"a"])
