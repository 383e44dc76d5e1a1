"""What `HTTP2` makes of what it reads: windows and credit, resets, streams too many, GOAWAY."""

from __future__ import annotations

import random
from typing import Any

import h2.events
import h2.exceptions
import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes

from pipeline.testing import Harness
from stages import HTTP2, SendData, SendGoAway, SendHeaders, SendPing, SendReset
from tests.stages.protocols.http2_peer import (
    ACK,
    ENDED,
    GET,
    GOAWAY,
    GOT,
    HEADERS,
    OK,
    PING,
    POST,
    RST_STREAM,
    SETTINGS,
    Peer,
    Serving,
    bodies,
    frame,
    frames_of,
    names,
    window_update,
)

# ---- windows


def test_a_body_goes_out_as_the_windows_open_and_the_next_item_waits() -> None:
    serving = Serving()
    serving.ask(1)
    body = random.Random(0).randbytes(300_000)
    serving.harness.send(SendHeaders(1, OK), SendData(1, body[:200_000]))
    assert not serving.stage.inbound.ready
    serving.harness.send(SendData(1, body[200_000:], end_stream=True), SendPing())
    events = serving.turn()
    assert "PingReceived" not in names(events)
    while not isinstance(events[-1], h2.events.StreamEnded):
        for event in events:
            if isinstance(event, h2.events.DataReceived) and event.flow_controlled_length:
                serving.peer.acknowledge_received_data(event.flow_controlled_length, 1)
        done = events
        events = serving.turn() + serving.turn()
        assert events, done
        if "PingReceived" in names(events):
            break
    assert serving.stage.inbound.ready


@pytest.mark.parametrize("size", [10, 65536])
def test_larger_windows_by_settings_free_what_waits(size: int) -> None:
    """The client learns what its settings became when they are acknowledged, in the same write."""
    serving = Serving(Peer(settings={SettingCodes.INITIAL_WINDOW_SIZE: 100}))
    serving.ask(1)
    serving.harness.send(SendHeaders(1, OK), SendData(1, b"x" * 5000, end_stream=True))
    assert {1: b"x" * 100} == bodies(serving.turn())
    serving.peer.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 100 + size})
    serving.receive(serving.peer.data_to_send())
    assert {1: b"x" * min(size, 4900)} == bodies(serving.turn())
    assert serving.stage.inbound.ready is (size > 4900)


def test_what_is_remembered_of_headers_is_bounded_whatever_the_peer_allows() -> None:
    serving = Serving()
    serving.peer.update_settings({SettingCodes.HEADER_TABLE_SIZE: 1 << 30})
    serving.receive(serving.peer.data_to_send())
    for number in range(300):
        stream_id = 2 * number + 1
        serving.ask(stream_id)
        serving.harness.send(SendHeaders(stream_id, [*OK, (f"x-{number}", "y" * 100)], end_stream=True))
        events = serving.turn()
        (head,) = [event.headers for event in events if isinstance(event, h2.events.ResponseReceived)]
        assert (f"x-{number}".encode(), b"y" * 100) in head
    assert serving.stage.connection.encoder.header_table.maxsize == 4096


# ---- credit


def test_credit_is_given_when_data_was_taken() -> None:
    """One stage's results are taken one by one, and what is behind a piece of a body is asked for when it was used."""
    stage = HTTP2("server")
    peer = Peer()
    list(stage.start())
    stage.data_to_send()
    peer.send_headers(1, POST)
    for _ in range(3):
        peer.send_data(1, b"x" * 16384)
    results = iter(stage.inbound.process_sync(peer.data_to_send()))
    out: list[Any] = list(results)
    assert [GOT, "DataReceived", "DataReceived", "Reply", "DataReceived"] == names(each for each in out[1:])
    assert window_update(2 * 16384, 1) == out[-2].item


def test_the_window_of_all_opens_though_a_stream_is_not_read() -> None:
    serving = Serving()
    for number in range(1, 41, 2):
        serving.peer.send_headers(number, POST)
    serving.receive(serving.peer.data_to_send())
    results: list[Any] = []
    for number in range(1, 41, 2):
        for size in (16384, 16384, 16384, 16383):
            serving.peer.send_data(number, b"x" * size)
        results += serving.stage.inbound.process_sync(serving.peer.data_to_send())
        serving.peer.receive_data(b"".join(each.item for each in results if hasattr(each, "item")))
        results.clear()
    assert serving.peer.outbound_flow_control_window > 65535


def test_data_of_nothing_is_not_shown() -> None:
    """It comes with the end, where that comes by itself; or it is padding."""
    serving = Serving()
    serving.peer.send_headers(1, POST)
    serving.peer.send_data(1, b"", pad_length=9)
    serving.peer.send_data(1, b"", end_stream=True)
    assert [GOT, ENDED] == names(serving.receive(serving.peer.data_to_send()))


def test_padding_counts_as_data() -> None:
    serving = Serving()
    serving.turn()
    serving.peer.send_headers(1, POST)
    for _ in range(129):
        serving.peer.send_data(1, b"", pad_length=253)
    serving.peer.send_data(1, b"x")
    serving.receive(serving.peer.data_to_send())
    assert [window_update(32767, 1)] == frames_of(serving.written())


def test_who_looks_after_streams_gives_credit_and_is_told_of_settings() -> None:
    """That is `open_streams`: a stream's consumer may take what came much later."""
    serving = Serving()
    serving.turn()
    attach = serving.stage.stream_rules.attach
    assert attach is not None
    attach()
    serving.peer.send_headers(1, POST)
    for _ in range(3):
        serving.peer.send_data(1, b"x" * 16384)
    serving.receive(serving.peer.data_to_send())
    assert b"" == serving.written()
    serving.peer.update_settings({SettingCodes.MAX_FRAME_SIZE: 20000})
    assert ["RemoteSettingsChanged"] == names(serving.receive(serving.peer.data_to_send()))


# ---- resets


def test_a_reset_ends_a_stream_and_what_waits_of_it() -> None:
    serving = Serving(Peer(settings={SettingCodes.INITIAL_WINDOW_SIZE: 10}))
    serving.ask(1, 3)
    serving.harness.send(SendHeaders(1, OK), SendData(1, b"x" * 100))
    serving.peer.reset_stream(1, ErrorCodes.CANCEL)
    (event,) = serving.receive(serving.peer.data_to_send())
    assert (1, ErrorCodes.CANCEL) == (event.stream_id, event.error_code)
    assert serving.stage.inbound.ready
    with pytest.raises(h2.exceptions.StreamClosedError, match="stream 1 is over"):
        serving.harness.send(SendData(1, b"y"))
    with pytest.raises(h2.exceptions.StreamClosedError, match="stream 1 is over"):
        serving.harness.send(SendHeaders(1, [("a", "b")], end_stream=True))
    serving.harness.send(SendReset(1), SendHeaders(3, OK, end_stream=True))
    assert [HEADERS] == [each[3] for each in frames_of(b"".join(serving.harness.sent))][-1:]


def test_data_of_a_stream_that_was_given_up_is_not_shown() -> None:
    serving = Serving()
    serving.peer.send_headers(1, POST)
    serving.receive(serving.peer.data_to_send())
    serving.harness.send(SendReset(1))
    serving.peer.send_data(1, b"late", end_stream=True)
    assert [] == serving.receive(serving.peer.data_to_send())


def test_a_stream_that_the_peer_makes_h2_break_off_counts() -> None:
    serving = Serving(max_resets=1)
    serving.ask(1, 3)
    (event,) = serving.receive(window_update(2**31 - 1, 1))
    assert (1, False) == (event.stream_id, event.remote_reset)
    with pytest.raises(h2.exceptions.DenialOfServiceError, match="2 reset streams within 30 seconds"):
        serving.receive(window_update(2**31 - 1, 3))


def test_a_stream_too_many_is_refused_and_the_others_go_on() -> None:
    """A client may open it before it knows how many it may."""
    serving = Serving(max_streams=2, max_resets=1)
    serving.peer.remote_settings.max_concurrent_streams = 10
    serving.peer.remote_settings.acknowledge()
    assert [GOT, ENDED, GOT, ENDED] == names(serving.ask(1, 3, 5))
    (event,) = [event for event in serving.turn() if isinstance(event, h2.events.StreamReset)]
    assert (5, ErrorCodes.REFUSED_STREAM) == (event.stream_id, event.error_code)
    serving.harness.send(SendHeaders(3, OK, end_stream=True))
    assert [GOT, ENDED] == names(serving.ask(7))
    with pytest.raises(h2.exceptions.DenialOfServiceError, match="2 reset streams within 30 seconds"):
        serving.ask(9)


# ---- GOAWAY


def test_open_streams_go_on_after_the_peers_goaway() -> None:
    """As nginx says it behind its thousandth request, before the response."""
    client, peer = Harness(HTTP2("client")), Peer(client=False)
    client.receive(peer.data_to_send())
    client.send(SendHeaders(1, POST), SendHeaders(3, GET, end_stream=True))
    goaway = frame(GOAWAY, (1).to_bytes(4, "big") + bytes(4))
    peer.receive_data(b"".join(client.sent))
    peer.send_headers(1, OK)
    peer.send_data(1, b"world", end_stream=True)
    answer = client.receive(frame(PING, bytes(8)) + goaway + peer.data_to_send())
    assert ["ConnectionTerminated", "StreamReset", "ResponseReceived", "DataReceived", ENDED] == names(answer)
    assert (3, ErrorCodes.REFUSED_STREAM) == (answer[1].stream_id, answer[1].error_code)
    assert frame(PING, bytes(8), ACK) in client.replies[-1]
    client.send(SendData(1, b"still", end_stream=True))
    with pytest.raises(h2.exceptions.TooManyStreamsError, match="wants no more streams on this connection"):
        client.send(SendHeaders(5, GET, end_stream=True))
    client.finish()


def test_open_streams_go_on_after_our_goaway_and_others_are_refused() -> None:
    serving = Serving()
    serving.peer.send_headers(1, POST)
    serving.receive(serving.peer.data_to_send())
    serving.harness.send(SendGoAway())
    serving.peer.send_data(1, b"x", end_stream=True)
    assert ["DataReceived", ENDED] == names(serving.ask(3))
    serving.harness.send(SendHeaders(1, OK, end_stream=True))
    kinds = [each[3] for each in frames_of(serving.written())]
    assert sorted([GOAWAY, RST_STREAM, HEADERS]) == sorted(kind for kind in kinds if kind != SETTINGS)
    serving.harness.send_eof()
    assert b"" == serving.written()
