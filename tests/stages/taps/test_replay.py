"""replay: a recorded session brought back."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import END, FrameTooLongError, Inbound, IncompleteFrameError, Reply, Result, inbound, outbound
from pipeline.testing import Harness, pipeline_pair
from stages import JSONCodec, LineFramer, Map, Recorder, TextCodec, replay
from stages.taps._recording import read_recording
from tests.measuring import EVERY_CUT


class Pings(Inbound[bytes, bytes]):
    """Answers b"ping" by itself."""

    def process_sync(self, line: bytes, /) -> Result[bytes]:
        return [Reply(b"pong")] if line == b"ping" else [line]


class Reminder(Inbound[bytes, Any]):
    """Tells the client of every full second without input."""

    deadline: float | None = None

    async def start(self) -> Result[Any]:
        self.deadline = self.now() + 1
        return ()

    def process_sync(self, item: bytes, /) -> Result[Any]:
        self.deadline = self.now() + 1
        return [item]

    async def on_timer(self, now: float, /) -> Result[Any]:
        self.deadline = now + 1
        return ["silence"]


def record(path: Path, *pieces: bytes, **parameters: Any) -> None:
    """A session in which only the wire speaks."""
    with Harness(Recorder(path, **parameters)) as harness:
        harness.receive(*pieces)
        harness.finish()


def test_the_same_bytes_give_the_same_items(tmp_path: Path) -> None:
    record(tmp_path / "x", b'{"a": 1}\n[2', b", 3]\n", b"null\n")
    assert [{"a": 1}, [2, 3], None] == replay(tmp_path / "x", LineFramer() | JSONCodec()).received


async def test_a_live_session_comes_back_with_both_of_its_directions(tmp_path: Path) -> None:
    def chain() -> Any:
        return LineFramer() | Pings() | TextCodec()

    live = []
    async with pipeline_pair(Recorder(tmp_path / "x") | chain(), LineFramer(), trickle=3) as (left, right):

        async def ask() -> None:
            for line in (b"gr\xc3\xbc\xc3\x9fe", b"ping", b"bye"):
                await right.send(line)
                await trio.sleep(1)
            await right.send_eof()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            async for text in left:
                live.append(text)
                await left.send(text.upper())
            await left.send_eof()

    assert ["grüße", "bye"] == live
    again = replay(tmp_path / "x", chain(), answer=lambda text: [text.upper()])
    assert live == again.received
    assert again.sent == again.recorded == ["GRÜSSE\n".encode(), b"pong\n", b"BYE\n"]


def test_without_a_client_only_what_the_stages_reply_is_sent(tmp_path: Path) -> None:
    with Harness(Recorder(tmp_path / "x") | LineFramer() | Pings()) as harness:
        harness.receive(b"ping\nhi\n")
        harness.send(b"HI")
        harness.send_eof()
    again = replay(tmp_path / "x", LineFramer() | Pings())
    assert ([b"hi"], [b"pong\n"], [b"pong\n", b"HI\n"]) == (again.received, again.sent, again.recorded)


def test_cut_at_any_byte_it_replays_up_to_there(tmp_path: Path) -> None:
    pieces = [b"one\ntw", b"o\n", b"", b"three\n"]
    record(tmp_path / "whole", *pieces)
    data = (tmp_path / "whole").read_bytes()
    for size in range(len(data) + 1):
        (tmp_path / "cut").write_bytes(data[:size])
        whole = max(data[:size].count(b"\n") - 1, 0)  # the first line is the beginning
        expected = b"".join(pieces[:whole]).split(b"\n")[:-1]
        assert expected == replay(tmp_path / "cut", LineFramer()).received


def test_an_end_inside_a_frame_is_one_again(tmp_path: Path) -> None:
    """But what was only cut off is none: nobody knows how it would have gone on."""
    record(tmp_path / "ended", b"one\ntw")
    with pytest.raises(IncompleteFrameError) as info:
        replay(tmp_path / "ended", LineFramer())
    assert b"tw" == info.value.leftover

    with Harness(Recorder(tmp_path / "broken off")) as harness:
        harness.receive(b"one\ntw")
    assert [b"one"] == replay(tmp_path / "broken off", LineFramer()).received


@pytest.mark.parametrize("max_bytes", [1, 100, 300, 600])
def test_a_recording_in_two_files(tmp_path: Path, max_bytes: int) -> None:
    pieces = [b"%d\n" % count for count in range(6)]
    record(tmp_path / "x", *pieces, max_bytes=max_bytes)
    assert (tmp_path / "x.1").exists()
    first = next(read_recording(str(tmp_path / "x"))).number
    if first:
        with pytest.raises(ValueError, match=rf"the first {first} lines of the session are gone: .*partial=True"):
            replay(tmp_path / "x", LineFramer())
    again = replay(tmp_path / "x", LineFramer(), partial=True)
    assert b"".join(pieces[max(first - 1, 0) :]).split() == again.received


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=50)), max_size=20), st.sampled_from([100, 500, 1 << 30]))
@settings(max_examples=200 if EVERY_CUT else 50)
def test_whatever_passes_comes_back_whole_from_any_rotation(session: list[tuple[bool, bytes]], max_bytes: int) -> None:
    """Where the beginning is gone, the rest."""
    with TemporaryDirectory() as directory:
        path = Path(directory, "x")
        with Harness(Recorder(path, max_bytes=max_bytes)) as harness:
            for outwards, data in session:
                (harness.send if outwards else harness.receive)(data)
        again = replay(path, Map(inbound=bytes), partial=True)
        received = [data for outwards, data in session if not outwards]
        recorded = [data for outwards, data in session if outwards]
        assert received[len(received) - len(again.received) :] == again.received
        assert recorded[len(recorded) - len(again.recorded) :] == again.recorded
        if not Path(directory, "x.1").exists():
            assert (received, recorded) == (again.received, again.recorded)


def test_timers_run_as_they_did(tmp_path: Path) -> None:
    """Up to the close, and nobody waits for them."""
    with Harness(Recorder(tmp_path / "x") | Reminder()) as harness:
        harness.receive(b"a")
        harness.advance(2.5)
        harness.receive(b"b")
        harness.advance(0.25)
        harness.receive(b"c")
        harness.advance(1.25)
        live = harness.received
    assert [b"a", "silence", "silence", b"b", b"c", "silence"] == live
    assert live == replay(tmp_path / "x", Reminder()).received


def test_an_answer_waits_until_the_stages_are_ready(tmp_path: Path) -> None:
    class Greeting(Inbound[bytes, bytes]):
        ready = False

        def process_sync(self, item: bytes, /) -> Result[bytes]:
            self.ready = item == b"go"
            return [item]

    record(tmp_path / "x", b"a", b"b", b"go")
    again = replay(tmp_path / "x", Greeting(), answer=lambda item: [item, item + b"!"])
    assert [b"a", b"a!", b"b", b"b!", b"go", b"go!"] == again.sent


def test_behind_a_stages_end_nothing_is_received(tmp_path: Path) -> None:
    class Bye(Inbound[bytes, bytes]):
        def process_sync(self, item: bytes, /) -> Result[bytes]:
            return [END] if item == b"bye" else [item]

    record(tmp_path / "x", b"a", b"bye", b"b")
    assert [b"a"] == replay(tmp_path / "x", Bye()).received


def test_an_error_is_raised_as_itself_and_says_where_in_the_recording(tmp_path: Path) -> None:
    record(tmp_path / "x", b"one\n", b"two\n", b"longer\n")
    with pytest.raises(FrameTooLongError) as info:
        replay(tmp_path / "x", LineFramer(max_bytes=4))
    place = "in the replay of number 3 of the recording (inbound, 7 bytes); items received before it: 2"
    assert place == info.value.__notes__[-1]


def test_an_error_of_the_client_is_raised(tmp_path: Path) -> None:
    def answer(item: bytes) -> list[bytes]:
        raise LookupError("in the client")

    record(tmp_path / "x", b"one\n")
    with pytest.raises(LookupError, match="in the client"):
        replay(tmp_path / "x", LineFramer(), answer=answer)


def test_the_stages_are_closed_also_after_an_error(tmp_path: Path) -> None:
    class Closed(Inbound[bytes, bytes]):
        closed = 0

        def process_sync(self, item: bytes, /) -> Result[bytes]:
            return [item[5]]  # type: ignore[list-item]

        def close(self) -> None:
            self.closed += 1

    record(tmp_path / "x", b"one")
    stage = Closed()
    with pytest.raises(IndexError):
        replay(tmp_path / "x", stage)
    assert 1 == stage.closed


async def wait_a_moment(item: bytes) -> list[bytes]:
    await trio.lowlevel.checkpoint()
    return [item]


@pytest.mark.parametrize("direction", [inbound, outbound])
async def test_a_stage_that_waits_is_refused(tmp_path: Path, direction: Any) -> None:
    record(tmp_path / "x", b"one\n")
    with pytest.raises(RuntimeError, match=r"wait_a_moment waits, and replay\(\) has no event loop to wait with"):
        replay(tmp_path / "x", direction(wait_a_moment), answer=lambda item: [item])


def test_a_recording_that_is_not_there_cannot_be_replayed(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        replay(tmp_path / "x", LineFramer())
