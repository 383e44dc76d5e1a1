"""F5, of `check_framer`: outbound that writes what inbound would read as something else is told, with the payload."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pipeline import Duplex, FrameError, inbound, outbound
from pipeline.testing import check_framer
from tests.pipeline.testing.framers import LinesIn, LinesOut, failure, lines


def test_f5_writes_what_reads_as_two() -> None:
    """Line injection: the payload is named."""

    class Trusting(LinesOut):
        def process_sync(self, item: bytes, /) -> list[bytes]:
            return [item, b"\n"]

    message = failure(lines(outbound=Trusting))

    assert message.startswith("F5: outbound wrote what inbound reads as something else")
    assert r"payload: b'a\n'" in message


def test_f5_writes_nothing_for_an_empty_payload() -> None:
    """The peer would wait for a frame that never comes."""

    class Silent(LinesOut):
        def process_sync(self, item: bytes, /) -> list[bytes]:
            return super().process_sync(item) if item else []

    message = failure(lines(outbound=Silent))

    assert message.startswith("F5: outbound wrote what inbound reads as something else")
    assert "payload: b''" in message


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


def test_a_bare_inbound_half_passes() -> None:
    """There is nothing to send then."""
    check_framer(LinesIn, wire=b"a\n", frames=[b"a"])


def test_frames_that_are_no_bytes_go_out_and_come_back() -> None:
    """Pieces of the wire are no payloads then."""

    def chain() -> Any:
        return lines()() | Duplex(inbound(lambda line: [line.decode()]), outbound(lambda text: [text.encode()]))

    check_framer(chain, wire=b"a\n\n", frames=["a", ""], outbound="bytes")
