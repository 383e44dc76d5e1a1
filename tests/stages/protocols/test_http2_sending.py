"""What `HTTP2` sends on streams, window by window."""

from __future__ import annotations

import random
from typing import Any

import h2.events
import h2.exceptions
import pytest
from h2.settings import SettingCodes

from stages import SendData, SendHeaders
from stages.protocols._http2_sending import Sending
from tests.stages.protocols.http2_peer import DATA, END_STREAM, GET, OK, RST_STREAM, Peer, bodies, frame


class Pair:
    """A server that sends on `streams` streams, and the client that reads it."""

    def __init__(self, streams: int = 1, window: int = 65535, *, uploads: bool = False, answers: bool = True) -> None:
        self.client = Peer(settings={SettingCodes.INITIAL_WINDOW_SIZE: window})
        self.server = Peer(client=False)
        self.frames = 0
        self.sending = Sending(self.server, h2.exceptions, self.count)
        for number in range(streams):
            self.client.send_headers(2 * number + 1, GET, end_stream=not uploads)
        self.server.receive_data(self.client.data_to_send())
        for number in range(streams if answers else 0):
            self.sending.headers(SendHeaders(2 * number + 1, OK))
        self.read()

    def count(self) -> None:
        self.frames += 1

    def read(self) -> list[Any]:
        """What the client gets; its settings are acknowledged, and it gives no credit."""
        return self.client.receive_data(self.server.data_to_send())

    def open(self, size: int, stream_id: int | None = None) -> list[int]:
        """Let the client give credit; return of which streams nothing waits any more."""
        self.client.increment_flow_control_window(size, stream_id)
        self.server.receive_data(self.client.data_to_send())
        return list(self.sending.flush())


def sizes(events: list[Any]) -> dict[int, int]:
    return {stream_id: len(body) for stream_id, body in bodies(events).items()}


def test_what_fits_goes_out_at_once() -> None:
    pair = Pair()
    pair.sending.data(SendData(1, b"x" * 16384))
    pair.sending.data(SendData(1, b"", end_stream=True))
    assert not pair.sending.waits
    events = pair.read()
    assert {1: 16384} == sizes(events)
    assert isinstance(events[-1], h2.events.StreamEnded)
    assert 2 == pair.frames


def test_nothing_is_not_written() -> None:
    pair = Pair()
    pair.sending.data(SendData(1, b""))
    assert [] == pair.read()


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_the_rest_goes_out_as_the_windows_open(kind: Any) -> None:
    """Of the stream and of the whole: the smaller one counts."""
    pair, body = Pair(), random.Random(1).randbytes(100_000)
    pair.sending.data(SendData(1, kind(body), end_stream=True))
    assert pair.sending.waits
    assert pair.sending.has_rest(1)
    assert 100_000 - 65535 == pair.sending.waiting_bytes
    events = pair.read()
    assert [] == pair.open(100_000, 1)
    assert {} == bodies(pair.read())
    assert [] == pair.open(10)
    events += pair.read()
    assert {1: 65545} == sizes(events)
    assert [1] == pair.open(100_000)
    events += pair.read()
    assert {1: body} == bodies(events)
    assert isinstance(events[-1], h2.events.StreamEnded)
    assert 0 == pair.sending.waiting_bytes


def test_numbers_are_sent_as_bytes() -> None:
    pair = Pair()
    pair.sending.data(SendData(1, memoryview(bytearray(80_000)).cast("I")))
    assert 80_000 - 65535 == pair.sending.waiting_bytes
    pair = Pair()
    pair.sending.data(SendData(1, memoryview(bytearray(800)).cast("I")))
    assert {1: 800} == sizes(pair.read())


def test_an_update_of_the_whole_frees_every_stream_that_waits() -> None:
    pair = Pair(streams=10, window=1 << 20)
    for number in range(10):
        pair.sending.data(SendData(2 * number + 1, b"x" * 20_000, end_stream=True))
    events = pair.read()
    assert 65535 == sum(sizes(events).values())
    freed = pair.open(1 << 20)
    assert {2 * number + 1 for number in range(3, 10)} == set(freed)
    events += pair.read()
    assert dict.fromkeys(range(1, 20, 2), 20_000) == sizes(events)


def test_streams_take_turns_frame_by_frame() -> None:
    pair = Pair(streams=3, window=1 << 20)
    for stream_id in (1, 3, 5):
        pair.sending.data(SendData(stream_id, b"x" * 200_000))
    pair.read()
    order = []
    for _ in range(6):
        assert [] == pair.open(16384)
        order += list(sizes(pair.read()))
    assert [1, 3, 5, 1, 3, 5] == order


def test_a_turn_is_short_though_frames_may_be_large() -> None:
    pair = Pair(streams=2, window=1 << 20)
    pair.client.update_settings({SettingCodes.MAX_FRAME_SIZE: 1 << 20})
    pair.server.receive_data(pair.client.data_to_send())
    pair.read()
    for stream_id in (1, 3):
        pair.sending.data(SendData(stream_id, b"x" * 300_000))
    pair.read()
    pair.open(3 * 65536)
    assert {1: 65536 * 2, 3: 65536} == sizes(pair.read())


def test_a_stream_whose_window_is_closed_holds_up_no_other() -> None:
    pair = Pair(streams=2)
    pair.client.increment_flow_control_window(1 << 20)
    pair.server.receive_data(pair.client.data_to_send())
    pair.sending.data(SendData(1, b"x" * 100_000))
    pair.sending.data(SendData(3, b"y" * 100_000))
    assert {1: 65535, 3: 65535} == sizes(pair.read())
    assert [3] == pair.open(100_000, 3)
    assert {3: 100_000 - 65535} == sizes(pair.read())
    assert pair.sending.has_rest(1)


def test_trailers_wait_behind_the_data() -> None:
    pair = Pair()
    pair.sending.data(SendData(1, b"x" * 70_000))
    pair.sending.data(SendData(1, b"y" * 10))
    pair.sending.headers(SendHeaders(1, [("sum", "1")], end_stream=True))
    pair.client.increment_flow_control_window(100_000, 1)
    assert [1] == pair.open(100_000)
    events = pair.read()
    assert b"x" * 70_000 + b"y" * 10 == bodies(events)[1]
    kinds = [type(event) for event in events]
    assert [h2.events.TrailersReceived, h2.events.StreamEnded] == kinds[-2:]


def test_data_behind_the_end_is_refused_though_the_end_still_waits() -> None:
    pair = Pair()
    pair.sending.data(SendData(1, b"x" * 70_000, end_stream=True))
    with pytest.raises(h2.exceptions.StreamClosedError, match="stream 1 is over"):
        pair.sending.data(SendData(1, b"y"))


def test_a_stream_that_was_never_opened_is_named() -> None:
    with pytest.raises(h2.exceptions.StreamClosedError, match="HTTP2: stream 7 is over, was given up, or was never"):
        Pair().sending.data(SendData(7, b"y"))


def test_data_before_the_head_is_refused() -> None:
    pair = Pair(answers=False)
    with pytest.raises(h2.exceptions.ProtocolError, match=r"data before the head of stream 1: SendHeaders\(1, \["):
        pair.sending.data(SendData(1, b"y"))


def test_data_behind_the_end_is_refused_however_much_it_is() -> None:
    pair = Pair()
    pair.sending.data(SendData(1, b"", end_stream=True))
    with pytest.raises(h2.exceptions.StreamClosedError, match="stream 1 is over"):
        pair.sending.data(SendData(1, b"y" * 70_000))


def test_what_waits_is_forgotten_with_its_stream() -> None:
    pair = Pair(streams=2)
    pair.sending.data(SendData(1, b"x" * 70_000))
    pair.sending.data(SendData(3, b"x"))
    pair.sending.drop(1)
    pair.sending.drop(1)
    assert pair.sending.waits
    assert [3] == pair.open(1)
    assert not pair.sending.waits


@pytest.mark.parametrize("uploads", [True, False])
def test_a_stream_is_reset_behind_its_end_where_that_waits(*, uploads: bool) -> None:
    """Unless the peer has ended it meanwhile."""
    pair = Pair(streams=2, uploads=uploads)
    assert not pair.sending.reset_behind_end(1)
    pair.sending.data(SendData(1, b"x" * 65535))
    pair.sending.data(SendData(3, b"x" * 10))
    assert not pair.sending.reset_behind_end(3)
    pair.sending.data(SendData(3, b"", end_stream=True))
    assert pair.sending.reset_behind_end(3)
    pair.read()
    assert [3] == pair.open(100)
    end, reset = frame(DATA, b"", END_STREAM, 3), frame(RST_STREAM, bytes(4), 0, 3)
    assert pair.server.data_to_send().endswith(end + reset if uploads else end)


@pytest.mark.parametrize(("data", "says"), [("text", r"must be bytes, not str: text.encode\(\)"), (3, "not int$")])
def test_what_is_no_bytes_is_refused(data: Any, says: str) -> None:
    with pytest.raises(TypeError, match=says):
        Pair().sending.data(SendData(1, data))


def test_a_window_may_be_less_than_nothing() -> None:
    """As the settings make it when they change; an end without data needs none."""
    pair = Pair()
    pair.sending.data(SendData(1, b"x" * 65535))
    pair.client.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 10})
    pair.server.receive_data(pair.client.data_to_send())
    pair.sending.data(SendData(1, b"", end_stream=True))
    assert not pair.sending.waits
    assert pair.server.data_to_send().endswith(frame(DATA, b"", END_STREAM, 1))
