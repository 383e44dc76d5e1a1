"""How to test a stage: alone, in a plain pytest file, without a socket and without an event loop.

    python -m pytest examples/test_a_stage.py

(`python examples/test_a_stage.py` does the same.) First the stages, as they could stand in your own package;
then their tests. A framer, codec or tap of your own also has a check for all inputs and all ways of cutting
them: `check_framer`, `check_codec` and `check_tap` of `pipeline.testing`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

import pytest

from pipeline import Duplex, Inbound, IncompleteFrameError, Reply, Result, StageTimeoutError
from pipeline.testing import Harness
from stages import LineFramer, TextCodec


class Paragraphs(Inbound[str, list[str]]):
    """Gather lines up to an empty one.

    in:  "a"  "b"  ""        out:  ["a", "b"]
    """

    def __init__(self) -> None:
        self._lines: list[str] = []

    def process_sync(self, item: str, /) -> Result[list[str]]:
        if item:
            self._lines.append(item)
            return ()  # nothing yet
        return self._take()

    async def finish(self) -> Result[list[str]]:
        """End of the stream: what is there is the last paragraph."""
        return self._take()

    def _take(self) -> list[list[str]]:
        lines, self._lines = self._lines, []
        return [lines] if lines else []


class AnswerPings(Inbound[str, str]):
    """Answer "ping" itself; fail a peer that says nothing for `seconds`.

    in:  "ping"  "text"        out:  Reply("pong")  "text"
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.deadline: float | None = None

    async def start(self) -> Result[str]:
        self.deadline = self.now() + self._seconds
        return ()

    def process_sync(self, item: str, /) -> Result[str]:
        self.deadline = self.now() + self._seconds
        return [Reply("pong")] if item == "ping" else [item]

    async def on_timer(self, now: float, /) -> Result[str]:
        raise StageTimeoutError(f"the peer said nothing for {self._seconds} seconds")


# ---- one stage


def test_an_empty_line_ends_a_paragraph() -> None:
    harness = Harness(Paragraphs())
    assert harness.receive("a", "b") == []
    assert harness.receive("") == [["a", "b"]]


def test_the_end_of_the_stream_ends_a_paragraph() -> None:
    """`finish` ends the input, and fails if the chain still holds an item that nobody got."""
    harness = Harness(Paragraphs())
    harness.receive("a")
    assert harness.finish() == [["a"]]


@pytest.mark.parametrize(("line", "results"), [("ping", [Reply("pong")]), ("hello", ["hello"])])
def test_a_ping_is_answered_with_a_pong(line: str, results: Iterable[object]) -> None:
    """A reply is an ordinary value among the results, so a test can compare it without any harness."""
    assert AnswerPings(seconds=30).process_sync(line) == results


def test_a_reply_goes_back_to_the_wire() -> None:
    harness = Harness(AnswerPings(seconds=30))
    assert harness.receive("ping", "hello") == ["hello"]
    assert harness.replies == ["pong"]


def test_a_silent_peer_is_given_up() -> None:
    """The clock is the test's own: nobody waits for 30 seconds."""
    harness = Harness(AnswerPings(seconds=30))
    harness.advance(29)
    harness.receive("ping")
    harness.advance(29)
    with pytest.raises(StageTimeoutError, match="nothing for 30 seconds"):
        harness.advance(1)


# ---- a whole chain, in the very same way


def make_chain() -> Duplex[bytes, list[str], str, bytes]:
    return LineFramer() | TextCodec() | AnswerPings(seconds=30) | Paragraphs()


def test_where_the_network_cuts_the_bytes_makes_no_difference() -> None:
    wire = "ping\r\nfür\nelise\n\n".encode()
    for cut in range(len(wire)):
        harness = Harness(make_chain())
        assert harness.receive(wire[:cut], wire[cut:]) == [["für", "elise"]]
        assert harness.replies == [b"pong\n"]


def test_a_line_without_an_end_is_an_error_that_carries_it() -> None:
    harness = Harness(make_chain())
    harness.receive(b"one\ntw")
    with pytest.raises(IncompleteFrameError) as info:
        harness.finish()
    assert info.value.leftover == b"tw"


def test_what_the_client_sends() -> None:
    assert Harness(make_chain()).send("hello") == [b"hello\n"]


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-v"]))
