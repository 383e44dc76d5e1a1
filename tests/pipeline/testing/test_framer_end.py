"""F4, of `check_framer`: an end of the stream inside a frame is not passed over in silence."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from pipeline import Inbound
from pipeline.testing import check_framer
from tests.pipeline.testing.framers import LinesIn, failure


class Silent(LinesIn):
    """Forgets that the stream may end inside a line."""

    async def finish(self) -> tuple[()]:
        return ()


def test_f4_a_forgotten_finish() -> None:
    """With the shortest piece that was lost, and both remedies."""
    message = failure(Silent, outbound="none")

    assert message.startswith("F4: the stream ended inside a frame, and finish() neither raised nor gave what was left")
    assert "raise IncompleteFrameError(message, leftover=...)" in message
    assert "check_framer(..., drops_rest=True)" in message
    assert message.endswith("  wire: b'a'")


def test_an_end_that_is_an_error_passes() -> None:
    check_framer(LinesIn, wire=b"a\nbc\n", frames=[b"a", b"bc"], outbound="none")


def test_a_long_wire_is_tried_where_it_begins() -> None:
    with pytest.raises(AssertionError, match="F4: the stream ended inside a frame"):
        check_framer(Silent, wire=b"abcd\n" * 41, frames=[b"abcd"] * 41, outbound="none")


def test_what_is_dropped_on_purpose_passes() -> None:
    check_framer(Silent, wire=b"a\nbc\n", frames=[b"a", b"bc"], outbound="none", drops_rest=True)


def test_what_comes_out_at_the_end_is_not_lost() -> None:
    class Emits(LinesIn):
        async def finish(self) -> Any:
            rest, self.rest = self.rest, b""
            return [rest] if rest else []

    check_framer(Emits, wire=b"a\nbc\n", frames=[b"a", b"bc"], outbound="none")


@pytest.mark.parametrize("wire", [b"", b"a", b"abc"])
def test_frames_of_one_byte_are_never_unfinished(wire: bytes) -> None:
    class Bytewise(Inbound[Any, bytes]):
        def process_sync(self, item: Any, /) -> Iterable[bytes]:
            return [bytes([byte]) for byte in item]

    check_framer(Bytewise, wire=wire, frames=[bytes([byte]) for byte in wire], outbound="none", unread=False)


def test_what_stands_behind_the_last_frame_is_no_frame() -> None:
    """Such as the bytes that fill a block: nothing of the wire makes a frame of them."""

    class Padded(Inbound[Any, bytes]):
        def process_sync(self, item: Any, /) -> Iterable[bytes]:
            return [bytes([byte]) for byte in bytes(item) if byte]

    check_framer(Padded, wire=b"ab\0\0", frames=[b"a", b"b"], outbound="none", unread=False)
