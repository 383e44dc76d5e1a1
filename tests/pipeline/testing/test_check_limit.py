"""`check_limit`: limits that are off, late or a matter of luck are told."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from pipeline import Duplex, FrameTooLongError, Inbound, Outbound, PipelineError, inbound
from pipeline.testing import check_limit


class LimitedIn(Inbound[bytes, bytes]):
    """LF ends a line of at most `most` bytes."""

    def __init__(self, most: int) -> None:
        self.most, self.rest = most, b""

    def process_sync(self, item: bytes, /) -> Iterable[bytes]:
        self.rest += item
        *lines, self.rest = self.rest.split(b"\n")
        self.check([*lines, self.rest])
        return lines

    def check(self, lines: list[bytes]) -> None:
        for line in lines:
            if len(line) > self.most:
                raise FrameTooLongError("too long", limit=self.most, size=len(line))


class LimitedOut(Outbound[bytes, bytes]):
    def __init__(self, most: int) -> None:
        self.most = most

    def process_sync(self, item: bytes, /) -> Iterable[bytes]:
        if len(item) > self.most:
            raise FrameTooLongError("too long", limit=self.most, size=len(item))
        return [item + b"\n"]


def line(size: int) -> bytes:
    return b"x" * size + b"\n"


def payload(size: int) -> bytes:
    return b"x" * size


def failure(make: Any, *args: Any, **options: Any) -> str:
    with pytest.raises(AssertionError) as info:
        check_limit(make, *args, **options)
    return str(info.value)


def test_a_good_limit_passes() -> None:
    """Both directions, with the byte that proves it."""
    check_limit(
        lambda n: Duplex(LimitedIn(n), LimitedOut(n)),
        line,
        payload=payload,
        certain=lambda n: n + 1,
        limits=(1, 2, 12),
        random_cuts=20,
    )


def test_a_limit_outbound_alone_passes() -> None:
    """Without a wire nothing is received."""
    check_limit(LimitedOut, payload=payload)


def test_a_limit_in_items_passes() -> None:
    """A list of items is not cut, and the error may be any."""

    class Count(Inbound[Any, Any]):
        def __init__(self, left: int) -> None:
            self.left = left

        def process_sync(self, item: Any, /) -> list[Any]:
            self.left -= 1
            if self.left < 0:
                raise PipelineError("too many")
            return [item]

    check_limit(Count, lambda n: [None] * n, errors=PipelineError)
    assert "one more than the limit does not raise" in failure(
        lambda n: Count(n + 1), lambda n: [None] * n, errors=PipelineError
    )


def test_one_less_passes_only() -> None:
    """Exactly the limit must pass."""
    message = failure(lambda n: LimitedIn(n - 1), line)

    assert message.startswith("S10: exactly the limit does not pass")
    assert r"cut: b'x\n'" in message


def test_one_more_passes() -> None:
    """And the limit that the stage has is not the one it was given."""
    message = failure(lambda n: LimitedIn(n + 1), line)

    assert message.startswith("S10: one more than the limit does not raise FrameTooLongError")
    assert "limit: 1\n  size: 2" in message


def test_a_limit_that_depends_on_the_cut() -> None:
    """Only what is left is looked at: a long line in one read passes. The cut shows it."""

    class Lucky(LimitedIn):
        def check(self, lines: list[bytes]) -> None:
            super().check(lines[-1:])

    assert r"cut: b'xx\n'" in failure(Lucky, line)


def test_a_limit_that_needs_a_cut_to_be_wrong() -> None:
    """What is left counts one more: exactly the limit passes whole, and fails before its end."""

    class Greedy(LimitedIn):
        def check(self, lines: list[bytes]) -> None:
            *whole, rest = lines
            super().check([*whole, rest + b"?" if rest else b""])

    assert r"cut: b'x' | b'\n'" in failure(Greedy, line)


@pytest.mark.parametrize(("limit", "size"), [(0, 5), (1, 1)])
def test_an_error_with_wrong_numbers(limit: int, size: int) -> None:
    """The limit as it was given, and a size over it."""

    class Liar(LimitedIn):
        def check(self, lines: list[bytes]) -> None:
            if any(len(line) > self.most for line in lines):
                raise FrameTooLongError("too long", limit=limit, size=size)

    assert f"the error tells a limit of {limit} and a size of {size}" in failure(Liar, line, limits=[1])


def test_a_limit_that_comes_late() -> None:
    """Waiting for the end of a line is what a limit is to prevent."""

    class Late(LimitedIn):
        def check(self, lines: list[bytes]) -> None:
            super().check(lines[:-1])

    assert failure(Late, line, certain=lambda n: n + 1).startswith(
        "F2: after 2 bytes the limit is certainly broken, and no error was raised"
    )


def test_an_outbound_limit_that_is_off() -> None:
    """Either way."""
    assert failure(lambda n: LimitedOut(n + 1), payload=payload).startswith("F5: outbound, one more than the limit")
    assert failure(lambda n: LimitedOut(n - 1), payload=payload).startswith("F5: outbound, exactly the limit")


def test_an_outbound_limit_that_leaves_bytes() -> None:
    """A refused payload must not be half written; a send is undone up to 64 KiB, no further."""

    class Late(LimitedOut):
        def process_sync(self, item: bytes, /) -> Iterable[bytes]:
            yield bytes(70_000)
            yield from super().process_sync(item)

    assert failure(Late, payload=payload).startswith("F5: outbound, a refused payload left bytes behind")


def test_a_stage_instead_of_a_factory_is_refused() -> None:
    stage: Any = inbound(lambda item: [item])
    with pytest.raises(TypeError, match=r"each try needs a fresh stage, .* makes one: lambda n: LineFramer"):
        check_limit(stage, lambda n: b"x" * n)
