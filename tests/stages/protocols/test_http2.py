"""HTTP/2 by h2: canned bytes in, events out; windows, floods, GOAWAY; and its two roles against each other."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterable
from typing import Any

import h2.errors
import h2.events
import h2.exceptions
import h11
import pytest
import trio
import trio.testing
from h2.errors import ErrorCodes
from h2.settings import SettingCodes

from pipeline import END, Engine, Pipeline, open_streams
from pipeline.testing import Harness, check_limit, check_linear, pipeline_pair
from stages import (
    HTTP1,
    HTTP2,
    HTTP2Item,
    SendCredit,
    SendData,
    SendGoAway,
    SendHeaders,
    SendPing,
    SendReset,
)
from tests.measuring import EVERY_CUT
from tests.stages.framing.driving import random_pieces
from tests.stages.protocols.http2_peer import (
    CONTINUATION,
    DATA,
    ENDED,
    GET,
    GOAWAY,
    GOT,
    HEADERS,
    OK,
    PING,
    POST,
    PREFACE,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    Peer,
    Serving,
    bodies,
    client_bytes,
    frame,
    frames_of,
    names,
    told,
    window_update,
)


def refused(error: Exception, written: bytes, code: ErrorCodes) -> None:
    """The error was told to the peer, last of all."""
    peer_events = [frame for frame in frames_of(written) if frame[3] == GOAWAY]
    assert [code] == [int.from_bytes(each[13:17], "big") for each in peer_events]
    assert isinstance(error, h2.exceptions.ProtocolError)
    assert code == error.error_code


# ---- messages


def session() -> bytes:
    """What a client may send: with bodies, padding, trailers, a reset, a ping and priorities."""
    peer = Peer()
    wire = peer.get(1)
    peer.send_headers(3, [*POST, ("content-length", "5")])
    peer.send_data(3, b"he")
    peer.send_data(3, b"llo", pad_length=10)
    peer.send_headers(3, [("sum", "1")], end_stream=True)
    peer.ping(b"12345678")
    peer.send_headers(5, POST, priority_weight=20)
    peer.send_data(5, b"x")
    peer.reset_stream(5, ErrorCodes.CANCEL)
    peer.prioritize(7, weight=3)
    return wire + peer.data_to_send() + frame(99, b"nobody knows") + peer.get(7)


SESSION = session()


def outcome(pieces: Iterable[bytes]) -> tuple[list[Any], bytes]:
    with Harness(HTTP2("server")) as harness:
        harness.receive(*pieces)
        harness.finish()
        return told(harness.received), b"".join(harness.replies)


def test_canned_bytes_become_events() -> None:
    with Harness(HTTP2("server")) as harness:
        events = harness.receive(SESSION)
        assert [
            *[GOT, ENDED],
            *[GOT, "DataReceived", "DataReceived", "TrailersReceived", ENDED],
            *[GOT, "DataReceived", "StreamReset"],
            *[GOT, ENDED],
        ] == names(events)
        assert {3: b"hello", 5: b"x"} == bodies(events)
        assert (b":path", b"/") in events[0].headers


def test_where_the_bytes_are_cut_makes_no_difference() -> None:
    whole = outcome([SESSION])
    assert whole == outcome([SESSION[at : at + 1] for at in range(len(SESSION))])
    for at in range(1, len(SESSION), 1 if EVERY_CUT else 3):
        assert whole == outcome([SESSION[:at], b"", SESSION[at:]])


def test_what_concerns_no_stream_is_dealt_with_and_not_shown() -> None:
    serving = Serving()
    serving.peer.ping(b"12345678")
    serving.peer.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 100})
    serving.peer.prioritize(1, weight=3)
    assert [] == serving.receive(serving.peer.data_to_send() + frame(99))
    assert ["SettingsAcknowledged", "PingAckReceived", "SettingsAcknowledged"] == names(serving.turn())


def test_the_preface_says_what_is_allowed() -> None:
    stage = HTTP2("server", max_streams=7, window_bytes=100_000, max_header_bytes=5000)
    peer = Peer()
    peer.receive_data(b"".join(Harness(stage).replies))
    settings = peer.remote_settings
    assert (7, 100_000, 5000) == (
        settings.max_concurrent_streams,
        settings.initial_window_size,
        settings.max_header_list_size,
    )
    assert 16 * 100_000 == peer.outbound_flow_control_window
    client = b"".join(Harness(HTTP2("client")).replies)
    assert client.startswith(PREFACE)
    serving = Peer(client=False)
    serving.receive_data(client)
    assert not serving.remote_settings.enable_push


def test_a_response_is_written() -> None:
    serving = Serving()
    serving.ask(1)
    trailers = SendHeaders(1, [("sum", "1")], end_stream=True)
    serving.harness.send(SendHeaders(1, [(":status", "103")]), SendHeaders(1, OK), SendData(1, b"hello"), trailers)
    wanted = ["InformationalResponseReceived", "ResponseReceived", "DataReceived", "TrailersReceived", ENDED]
    events = serving.turn()
    assert wanted == [name for name in names(events) if not name.startswith("Settings")]


def test_a_request_is_written_and_answered() -> None:
    stage = HTTP2("client")
    client, peer = Harness(stage), Peer(client=False)
    assert [1, 3] == [stage.new_stream_id(), stage.new_stream_id()]
    client.send(SendHeaders(1, POST), SendData(1, b"hello", end_stream=True), SendHeaders(9, GET, end_stream=True))
    assert 11 == stage.new_stream_id()
    events = peer.receive_data(b"".join(client.sent))
    assert {1: b"hello"} == bodies(events)
    peer.send_headers(9, OK, end_stream=True)
    peer.send_headers(1, OK)
    peer.send_data(1, b"world", end_stream=True)
    answer = client.receive(peer.data_to_send())
    assert ["ResponseReceived", ENDED, "ResponseReceived", "DataReceived", ENDED] == names(answer)
    client.finish()


def test_a_ping_is_asked_and_answered() -> None:
    serving = Serving()
    serving.harness.send(SendPing(b"12345678"))
    assert "PingReceived" in names(serving.turn())
    (event,) = serving.harness.received
    assert b"12345678" == event.ping_data


# ---- what is sent


def test_the_end_waits_for_what_waits_for_a_window() -> None:
    """Else what a handler sent last would be cut off."""
    serving = Serving(Peer(settings={SettingCodes.INITIAL_WINDOW_SIZE: 10}))
    serving.ask(1)
    serving.harness.send(SendHeaders(1, OK), SendData(1, b"x" * 20, end_stream=True))
    serving.harness.send_eof()
    assert "ConnectionTerminated" not in names(serving.turn())
    serving.receive(window_update(10, 1))
    written = frames_of(serving.written())
    assert [DATA, GOAWAY] == [each[3] for each in written]
    assert serving.harness.outbound_ended


def test_trailers_that_are_none_are_refused_at_once_and_the_data_goes_on() -> None:
    serving = Serving(Peer(settings={SettingCodes.INITIAL_WINDOW_SIZE: 10}))
    serving.ask(1)
    list(serving.stage.outbound.process_sync(SendHeaders(1, OK)))
    list(serving.stage.outbound.process_sync(SendData(1, b"x" * 20)))
    with pytest.raises(h2.exceptions.ProtocolError, match="the head of stream 1 was sent, so these are trailers"):
        serving.stage.outbound.process_sync(SendHeaders(1, [("sum", "1")]))
    list(serving.stage.outbound.process_sync(SendHeaders(1, [("sum", "1")], end_stream=True)))
    serving.receive(window_update(10, 1))
    assert [DATA, HEADERS] == [each[3] for each in frames_of(serving.written())][-2:]
    with pytest.raises(h2.exceptions.StreamClosedError, match="stream 1 is over"):
        serving.stage.outbound.process_sync(SendHeaders(1, [("sum", "1")]))


def test_credit_can_be_given_by_hand() -> None:
    serving = Serving()
    serving.peer.send_headers(1, POST)
    serving.receive(serving.peer.data_to_send())
    serving.written()
    serving.harness.send(SendCredit(1, 1000), SendCredit(3, 1000))
    assert [window_update(1000, 1)] == serving.harness.sent


def test_a_stream_can_be_given_up() -> None:
    serving = Serving()
    serving.peer.send_headers(1, POST)
    serving.receive(serving.peer.data_to_send())
    serving.harness.send(SendReset(1, ErrorCodes.REFUSED_STREAM), SendReset(1), SendReset(99))
    event = serving.turn()[-1]
    assert (1, ErrorCodes.REFUSED_STREAM) == (event.stream_id, event.error_code)
    assert 1 == len([each for each in serving.harness.sent if each[3] == RST_STREAM]) or not serving.harness.sent


def test_a_stream_that_h2_broke_off_can_be_given_up() -> None:
    """The peer would wait for ever."""
    serving = Serving()
    serving.ask(1)
    with pytest.raises(h2.exceptions.ProtocolError):
        serving.harness.send(SendHeaders(1, [("no", "status")]))
    serving.harness.send(SendReset(1, ErrorCodes.INTERNAL_ERROR))
    assert RST_STREAM == serving.harness.sent[-1][3]


@pytest.mark.parametrize("item", [SendHeaders(1, OK), SendData(1, b"x"), SendHeaders(2, OK)])
def test_a_server_opens_no_streams(item: HTTP2Item) -> None:
    serving = Serving()
    with pytest.raises(h2.exceptions.StreamClosedError, match=r"stream \d is over, was given up, or was never opened"):
        serving.harness.send(item)
    serving.ask(1)
    serving.harness.send(SendHeaders(1, OK, end_stream=True))


@pytest.mark.parametrize(
    ("item", "kind", "message"),
    [
        (SendData(1, b"x", end_stream=True), h2.exceptions.ProtocolError, r"data before the head of stream 1: SendH"),
        (SendReset(1, -1), ValueError, r"SendReset\(error_code=-1\): must be one of h2.errors.ErrorCodes, or"),
        (SendReset(1, "CANCEL"), ValueError, r"SendReset\(error_code='CANCEL'\): must be one of"),  # type: ignore[arg-type]
        (SendGoAway(1 << 32), ValueError, r"SendGoAway\(error_code=4294967296\): must be one of"),
    ],
)
def test_what_would_break_the_connection_is_refused_before_h2_has_it(
    item: HTTP2Item, kind: type[Exception], message: str
) -> None:
    serving = Serving()
    serving.ask(1)
    with pytest.raises(kind, match=message):
        serving.harness.send(item)
    serving.harness.send(SendHeaders(1, OK), SendData(1, b"x", end_stream=True), SendPing())
    assert PING == serving.harness.sent[-1][3]


def test_what_is_no_item_is_refused_and_nothing_else_happens() -> None:
    serving = Serving()
    serving.ask(1)
    item: Any = b"data"
    with pytest.raises(TypeError, match=r"HTTP2 sends SendHeaders, .*, not bytes: SendHeaders\(stream_id, \["):
        serving.harness.send(item)
    serving.harness.send(SendHeaders(1, OK, end_stream=True))


# ---- ends


def test_a_peer_that_has_left_is_not_told_of_the_end() -> None:
    serving = Serving()
    serving.harness.finish()
    serving.written()
    serving.harness.send_eof()
    assert b"" == serving.written()


def test_the_end_of_outbound_says_goaway() -> None:
    serving = Serving()
    serving.harness.send_eof()
    assert "ConnectionTerminated" in names(serving.turn())
    assert serving.harness.outbound_ended


def test_a_connection_may_end_between_messages() -> None:
    serving = Serving()
    serving.ask(1)
    assert [] == serving.harness.finish()
    serving.harness.send(SendHeaders(1, OK, end_stream=True))


def test_a_server_that_winds_down_is_not_told_that_the_peer_ended() -> None:
    """As `serve_tcp` does with `grace_seconds`: the client did nothing wrong."""
    engine = Engine(HTTP2("server"), byte_wire=True)
    peer = Peer()
    peer.send_headers(1, POST)
    engine.start()
    engine.feed(peer.data_to_send())
    assert isinstance(engine.next_item(), h2.events.RequestReceived)
    engine.end_input()
    assert engine.next_item() is END
    engine.send(SendHeaders(1, OK, end_stream=True))
    written = engine.to_write()
    assert isinstance(written, list)
    assert HEADERS == frames_of(b"".join(written))[-1][3]
    engine.close()


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        (b"\0\0", r"HTTP2: the peer ended the connection inside a frame"),
        (
            frame(GOAWAY, bytes(4) + (2).to_bytes(4, "big")),
            r"inside messages on streams \[1\]; it had said GOAWAY, error 2",
        ),
    ],
)
def test_a_connection_must_not_end_inside_a_message(rest: bytes, message: str) -> None:
    serving = Serving()
    if len(rest) > 2:
        serving.peer.send_headers(1, POST)
    serving.receive(serving.peer.data_to_send() + rest)
    assert (len(rest) if len(rest) == 2 else 0) == serving.stage.inbound.holds
    with pytest.raises(h2.exceptions.ProtocolError, match=message) as caught:
        serving.harness.finish()
    refused(caught.value, serving.written(), ErrorCodes.PROTOCOL_ERROR)


def test_credit_is_given_though_the_rest_of_a_read_is_given_back() -> None:
    stage = HTTP2("server")
    peer = Peer()
    list(stage.inbound.process_sync(peer.get(1)))
    for number in (3, 5):
        peer.send_headers(number, POST)
        peer.send_data(number, b"x" * 16000)
        peer.send_data(number, b"x" * 16000)
    results: Any = iter(stage.inbound.process_sync(peer.data_to_send()))
    while not isinstance(next(results), h2.events.DataReceived):
        pass
    results.close()
    (rest,) = stage.inbound.unread(()) or ()
    assert 48_000 + 100 > len(rest) > 48_000
    assert ["DataReceived", GOT, "DataReceived", "DataReceived"] == names(
        item for item in stage.inbound.process_sync(rest) if not hasattr(item, "item")
    )


# ---- what is wrong

BLOCK = bytes.fromhex("828684418aa0e41d139d09b8f01e07")  # RFC 7541, C.4.1 and more: a GET
WRONG: list[tuple[str, bytes, ErrorCodes, str]] = [
    ("no HTTP/2", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", ErrorCodes.PROTOCOL_ERROR, "Invalid HTTP/2 preamble"),
    ("no settings", PREFACE + frame(PING, bytes(8)), ErrorCodes.PROTOCOL_ERROR, "does not speak HTTP/2"),
    (
        "a long frame",
        client_bytes(frame(DATA, bytes(16385), 0, 1)),
        ErrorCodes.FRAME_SIZE_ERROR,
        "16385 .* 16384",
    ),
    ("a short ping", client_bytes(frame(PING, bytes(7))), ErrorCodes.FRAME_SIZE_ERROR, "missing or invalid"),
    ("bad padding", client_bytes(frame(DATA, b"\xff", 8, 1)), ErrorCodes.PROTOCOL_ERROR, "padding"),
    ("bad HPACK", client_bytes(frame(HEADERS, b"\xff" * 9, 4, 1)), ErrorCodes.PROTOCOL_ERROR, "header block"),
    ("no stream", client_bytes(frame(DATA, b"x", 0, 1)), ErrorCodes.PROTOCOL_ERROR, "."),
    (
        "a stream not opened",
        client_bytes(frame(HEADERS, BLOCK, 5, 1), frame(DATA, b"x", 0, 3)),
        ErrorCodes.PROTOCOL_ERROR,
        "HTTP2: the peer sent what is wrong on stream 3, which is over or not open",
    ),
    ("even stream", client_bytes(frame(HEADERS, BLOCK, 5, 2)), ErrorCodes.PROTOCOL_ERROR, "."),
    ("an update of 0", client_bytes(window_update(0)), ErrorCodes.PROTOCOL_ERROR, "."),
    ("a large update", client_bytes(window_update(2**31 - 1)), ErrorCodes.FLOW_CONTROL_ERROR, "."),
    (
        "bad settings",
        client_bytes(frame(SETTINGS, bytes.fromhex("000400000000000500000001"))),
        ErrorCodes.PROTOCOL_ERROR,
        ".",
    ),
]


@pytest.mark.parametrize(("what", "wire", "code", "message"), WRONG, ids=[each[0] for each in WRONG])
def test_a_client_is_told_what_is_wrong_before_the_error_is_raised(
    what: str, wire: bytes, code: ErrorCodes, message: str
) -> None:
    step = max(1, len(wire) // 100)
    for pieces in ([wire], [wire[at : at + step] for at in range(0, len(wire), step)]):
        harness = Harness(HTTP2("server"))
        with pytest.raises(h2.exceptions.ProtocolError, match=message) as caught:
            harness.receive(*pieces)
        refused(caught.value, b"".join(harness.replies), code)
        assert harness.outbound_ended


def test_good_frames_before_a_wrong_one_are_shown_however_they_were_read() -> None:
    """H2 alone would lose them."""
    harness = Harness(HTTP2("server"))
    with pytest.raises(h2.exceptions.ProtocolError):
        harness.receive(SESSION + frame(PING, b"short"))
    assert 12 == len(harness.received)


async def test_the_goaway_goes_out_over_a_pipeline_before_the_error() -> None:
    peer, ours = trio.testing.memory_stream_pair()
    await peer.send_all(client_bytes(frame(PING, b"short")))
    with pytest.raises(h2.exceptions.ProtocolError):
        async with Pipeline[Any, Any](ours, HTTP2("server")) as pipeline:
            await pipeline.receive()
    assert GOAWAY == frames_of(bytes(await peer.receive_some()))[-1][3]


def test_a_server_that_speaks_http_1_is_named() -> None:
    client = Harness(HTTP2("client"))
    with pytest.raises(h2.exceptions.ProtocolError, match=r"it began with b'HTTP/1\.1 400 Bad Req"):
        client.receive(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@pytest.mark.unmeasured
@pytest.mark.parametrize("seed", range(3))
def test_whatever_comes_is_read_or_refused(seed: int) -> None:
    """Right bytes with some changed, frames of no sense, and frames in the wrong order."""
    rng = random.Random(seed)
    for _ in range(100):
        wire = bytearray(SESSION)
        for _ in range(rng.choice([1, 1, 2, 5])):
            wire[rng.randrange(len(PREFACE), len(wire))] = rng.randrange(256)
        random_frames = [
            frame(
                rng.randrange(11), rng.randbytes(rng.choice([0, 4, 8])), rng.choice([0, 1, 4, 5]), rng.choice([0, 1, 3])
            )
            for _ in range(6)
        ]
        shuffled = frames_of(SESSION)
        rng.shuffle(shuffled)
        for data in (bytes(wire), client_bytes(*random_frames), client_bytes(*shuffled)):
            read_or_refuse(random_pieces(rng, data))


def read_or_refuse(pieces: list[bytes]) -> None:
    harness = Harness(HTTP2("server"))
    try:
        harness.receive(*pieces)
    except h2.exceptions.ProtocolError:
        assert harness.outbound_ended
        assert GOAWAY == frames_of(b"".join(harness.replies))[-1][3]


def test_an_error_inside_h2_is_an_error_of_the_protocol(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = HTTP2("server")
    harness = Harness(stage)

    def fail(data: bytes) -> None:
        raise KeyError(data)

    monkeypatch.setattr(stage, "_read", fail)
    with pytest.raises(h2.exceptions.ProtocolError, match="what the peer sent cannot be read: KeyError"):
        harness.receive(client_bytes())
    assert GOAWAY == frames_of(b"".join(harness.replies))[-1][3]


# ---- floods


def flood(limit: dict[str, int], wire: bytes, message: str) -> None:
    size = max(7, len(wire) // 2000)
    for pieces in ([wire], [wire[at : at + size] for at in range(0, len(wire), size)]):
        harness = Harness(HTTP2("server", **limit))
        with pytest.raises(h2.exceptions.DenialOfServiceError, match=message) as caught:
            harness.receive(*pieces)
        refused(caught.value, b"".join(harness.replies), ErrorCodes.ENHANCE_YOUR_CALM)


def resets(count: int) -> list[bytes]:
    peer, out = Peer(), []
    for number in range(count):
        peer.send_headers(2 * number + 1, GET, end_stream=True)
        peer.reset_stream(2 * number + 1, ErrorCodes.CANCEL)
        out.append(peer.data_to_send())
    return out


def test_rapid_reset_is_refused() -> None:
    """CVE-2023-44487."""
    flood({"max_resets": 5}, b"".join(resets(6)), r"6 reset streams within .* over the limit, max_resets=5\.")


def test_resets_that_the_peer_makes_us_send_are_counted() -> None:
    """CVE-2025-8671: an update too large for a stream makes the server reset it."""
    peer, wire = Peer(), b""
    for number in range(4):
        stream_id = 2 * number + 1
        wire += peer.get(stream_id) + window_update(2**31 - 1, stream_id)
    flood({"max_resets": 3}, wire, r"4 reset streams within 30 seconds are over the limit, max_resets=3\.")


@pytest.mark.parametrize(
    ("what", "one"),
    [
        ("PING", frame(PING, bytes(8))),
        ("SETTINGS", frame(SETTINGS)),
        ("PRIORITY", frame(PRIORITY, bytes(5), 0, 3)),
        ("unknown", frame(99)),
        ("empty DATA", frame(DATA, b"", 0, 1)),
    ],
)
def test_a_flood_of_frames_that_say_nothing_is_refused(what: str, one: bytes) -> None:
    peer = Peer()
    peer.send_headers(1, POST)
    count = 10 - (what == "SETTINGS")  # one more of those is what each client begins with
    wire = peer.data_to_send() + one * (count + 1)
    flood({"max_control_frames": 10}, wire, f"11 {what} frames within 30 seconds are over the limit, max_control_fr")


def test_a_flood_is_one_in_little_time() -> None:
    harness = Harness(HTTP2("server", max_control_frames=10))
    harness.receive(client_bytes())
    for _ in range(5):
        harness.advance(30)
        harness.receive(frame(PING, bytes(8)) * 10)
    assert 50 == sum(each[3] == PING for each in frames_of(b"".join(harness.sent)))


def test_updates_of_windows_that_free_nothing_are_refused() -> None:
    wire = client_bytes(*[window_update(1)] * 111)
    flood({"max_control_frames": 10}, wire, "11 WINDOW_UPDATE frames within 30 seconds")


def test_a_flood_of_continuations_is_refused() -> None:
    """CVE-2024-27316."""
    head = client_bytes(frame(HEADERS, b"", 0, 1))
    flood({}, head + frame(CONTINUATION, b"", 0, 1) * 33, "33 CONTINUATION frames .* over the limit, 32")
    flood({}, head + frame(CONTINUATION, bytes(16384), 0, 1) * 5, "81920 bytes or more .*, max_header_bytes=65536")


def test_a_bomb_of_headers_is_refused() -> None:
    """CVE-2016-6581: few bytes, each an indexed field of much."""
    peer = Peer()
    wire = peer.get(1, [*GET, ("x", "y" * 4000)]) + peer.get(3, [*GET, *[("x", "y" * 4000)] * 20])
    pattern = r"headers of \d+ bytes unpacks to more than the limit, max_header_bytes=65536\."
    flood({}, wire, pattern)


def test_exactly_so_many_resets_and_pings_pass() -> None:
    check_limit(
        lambda n: HTTP2("server", max_control_frames=n),
        lambda n: client_bytes(*[frame(PING, bytes(8))] * n),
        certain=lambda n: len(client_bytes()) + 17 * (n + 1),
        limits=(1,),
        random_cuts=5,
        errors=h2.exceptions.DenialOfServiceError,
    )
    check_limit(
        lambda n: HTTP2("server", max_resets=n),
        lambda n: b"".join(resets(n)),
        limits=(1,),
        random_cuts=5,
        errors=h2.exceptions.DenialOfServiceError,
    )


def test_work_is_linear() -> None:
    check_linear(lambda: HTTP2("server"), byte_by_byte, n=2048)
    check_linear(lambda: HTTP2("server", max_control_frames=1 << 30), pings, n=500)


def byte_by_byte(n: int) -> list[bytes]:
    """One frame, cut into bytes."""
    wire = client_bytes(frame(99, bytes(n)))
    return [wire[at : at + 1] for at in range(len(wire))]


def pings(n: int) -> list[bytes]:
    return [client_bytes(frame(PING, bytes(8)) * n)]


# ---- from HTTP/1.1


UPGRADE = (
    b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    b"HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
)
SWITCHING = h11.InformationalResponse(status_code=101, headers=[("Connection", "Upgrade"), ("Upgrade", "h2c")])


def after_upgrade() -> bytes:
    """What a client sends behind its request in HTTP/1.1."""
    return Peer().get(3)


@pytest.mark.parametrize("at", [*range(100, len(UPGRADE) + 60), 10_000])
async def test_the_upgrade_from_http_1_is_exact_wherever_the_bytes_are_cut(at: int) -> None:
    wire = UPGRADE + after_upgrade()
    peer, ours = trio.testing.memory_stream_pair()
    async with Pipeline[Any, Any](ours, HTTP1("server")) as pipeline, trio.open_nursery() as nursery:
        await peer.send_all(wire[:at])
        nursery.start_soon(later, peer, wire[at:])
        request, _ = await pipeline.receive(), await pipeline.receive()
        http2 = HTTP2("server", upgrade=request)
        await pipeline.send(SWITCHING)
        await pipeline.replace(HTTP1, http2)
        events = [await pipeline.receive() for _ in range(4)]
        assert [GOT, ENDED] * 2 == names(events)
        assert [1, 3] == [event.stream_id for event in events if type(event) is h2.events.RequestReceived]
        assert (b":path", b"/x") in events[0].headers
        await pipeline.send_many([SendHeaders(1, OK), SendData(1, b"one", end_stream=True)])
        out = bytes(await peer.receive_some())
        head, _, rest = out.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 Switching Protocols")
        assert SETTINGS == frames_of(rest)[0][3]


async def later(peer: trio.abc.SendStream, data: bytes) -> None:
    await trio.sleep(1)
    if data:
        await peer.send_all(data)


async def test_both_ends_can_upgrade() -> None:
    async with pipeline_pair(HTTP1("client"), HTTP1("server")) as (left, right):
        client: Any = left
        server: Any = right
        http2 = HTTP2("client", upgrade=True)
        headers = [("Host", "a"), *http2.upgrade_headers]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(upgrade_and_answer, server)
            await client.send_many([h11.Request(method="GET", target="/", headers=headers), h11.EndOfMessage()])
            answer = await client.receive()
            assert 101 == answer.status_code
            await client.replace(HTTP1, http2)
            assert 3 == http2.new_stream_id()
            await client.send(SendHeaders(3, GET, end_stream=True))
            got = [await client.receive() for _ in range(6)]
            assert {1: b"answer 1", 3: b"answer 3"} == bodies(got)


async def upgrade_and_answer(server: Any) -> None:
    request, _ = await server.receive(), await server.receive()
    http2 = HTTP2("server", upgrade=request)
    await server.send(SWITCHING)
    await server.replace(HTTP1, http2)
    for _ in range(2):
        request, _ = await server.receive(), await server.receive()
        stream_id = request.stream_id
        await server.send_many([SendHeaders(stream_id, OK), SendData(stream_id, b"answer %d" % stream_id, True)])


def test_an_upgrade_without_settings_is_refused_before_anything_is_written() -> None:
    request = h11.Request(method="GET", target="/", headers=[("Host", "a")])
    with pytest.raises(ValueError, match="a request that asks for h2c has one HTTP2-Settings header, not 0"):
        HTTP2("server", upgrade=request)


# ---- how it is made


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HTTP2("peer"), r"HTTP2\(role='peer'\): must be one of 'client', 'server'"),  # type: ignore[arg-type]
        (
            lambda: HTTP2("client", window_bytes=100),
            r"HTTP2\(window_bytes=100\): must be a whole number of bytes, 65",
        ),
        (
            lambda: HTTP2("client", window_bytes=1 << 31),
            r"HTTP2\(window_bytes=2147483648\): no window is larger than 21474",
        ),
        (
            lambda: HTTP2("server", upgrade=True),
            r"HTTP2\('server', upgrade=True\): a client gives True, a server the h11",
        ),
        (lambda: HTTP2("client", upgrade={}), r"HTTP2\('client', upgrade={}\): a client gives True, a server the h11"),
        (lambda: HTTP2("server", max_header_bytes=0), r"HTTP2\(max_header_bytes=0\): must be a whole number of bytes"),
        (lambda: HTTP2("server", max_streams=0), r"HTTP2\(max_streams=0\): must be a whole number of streams, 1"),
        (lambda: HTTP2("server", max_resets=0), r"HTTP2\(max_resets=0\): must be a whole number of streams"),
        (lambda: HTTP2("server", max_control_frames=0), r"\(max_control_frames=0\): must be a whole number of frames"),
    ],
)
def test_wrong_arguments_are_refused(make: Callable[[], HTTP2], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_an_upgrade_that_is_not_wanted_is_none() -> None:
    assert [] == HTTP2("client", upgrade=False).upgrade_headers


def test_without_h2_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h2.connection", None)
    with pytest.raises(ImportError, match=r"HTTP2 needs h2: pip install 'penstock\[h2\]'"):
        HTTP2("client")


# ---- both roles


async def echo(server: Pipeline[Any, Any]) -> None:
    """Give each body back when it is whole."""
    got: dict[int, list[bytes]] = {}
    async for event in server:
        match event:
            case h2.events.DataReceived():
                got.setdefault(event.stream_id, []).append(event.data)
            case h2.events.StreamEnded():
                body = b"".join(got.pop(event.stream_id, []))
                await server.send_many([SendHeaders(event.stream_id, OK), SendData(event.stream_id, body, True)])


@pytest.mark.parametrize("seed", range(5))
def test_the_two_roles_understand_each_other_however_the_bytes_are_cut(seed: int) -> None:
    rng = random.Random(seed)
    client, server = Harness(HTTP2("client")), Harness(HTTP2("server"))
    asked = {2 * number + 1: rng.randbytes(rng.choice([0, 1, 100, 20_000, 70_000])) for number in range(20)}
    waiting: dict[int, bytearray] = {}
    for stream_id, body in asked.items():
        client.send(SendHeaders(stream_id, POST), SendData(stream_id, body, end_stream=True))
    done: dict[int, bytearray] = {}
    for _ in range(1000):
        moved = move(rng, client, server)
        for event in server.received:
            if type(event) is h2.events.DataReceived:
                waiting.setdefault(event.stream_id, bytearray()).extend(event.data)
            elif type(event) is h2.events.StreamEnded:
                body = bytes(waiting.pop(event.stream_id, b""))
                server.send(SendHeaders(event.stream_id, OK), SendData(event.stream_id, body, end_stream=True))
        server.received.clear()
        moved |= move(rng, server, client)
        if not moved:
            break
    for event in client.received:
        if type(event) is h2.events.DataReceived:
            done.setdefault(event.stream_id, bytearray()).extend(event.data)
    assert {stream_id: body for stream_id, body in asked.items() if body} == done
    assert 20 == names(client.received).count(ENDED)


def move(rng: random.Random, here: Harness, there: Harness) -> bool:
    """Bring what one end wrote to the other one, cut at random."""
    data = b"".join(here.sent)
    here.sent.clear()
    if data:
        there.receive(*random_pieces(rng, data))
    return bool(data)


@pytest.mark.parametrize("sizes", [[1_000_000], [100_000] * 10])
async def test_megabytes_go_both_ways_through_default_windows(sizes: list[int]) -> None:
    rng = random.Random(0)
    asked = {2 * number + 1: rng.randbytes(size) for number, size in enumerate(sizes)}
    answered: dict[int, bytearray] = {stream_id: bytearray() for stream_id in asked}
    async with pipeline_pair(HTTP2("client"), HTTP2("server")) as (client, server):

        async def send() -> None:
            for stream_id, body in asked.items():
                await client.send(SendHeaders(stream_id, POST))
                for at in range(0, len(body), 50_000):
                    await client.send(SendData(stream_id, body[at : at + 50_000]))
                await client.send(SendData(stream_id, b"", end_stream=True))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(echo, server)
            nursery.start_soon(send)
            ended = 0
            while ended < len(sizes):
                event = await client.receive()
                if isinstance(event, h2.events.DataReceived):
                    answered[event.stream_id] += event.data
                ended += isinstance(event, h2.events.StreamEnded)
            nursery.cancel_scope.cancel()
    assert asked == answered


# ---- with `open_streams`; its rules are tested in `test_http2_streams.py`


async def test_each_stream_is_a_channel() -> None:
    async def answer(stream: Any) -> None:
        async with stream:
            await stream.send(SendHeaders(stream.key, OK))
            async for event in stream:
                if isinstance(event, h2.events.DataReceived):
                    await stream.send(SendData(stream.key, event.data))

    async def serve(server: Pipeline[Any, Any]) -> None:
        async with open_streams(server) as streams, trio.open_nursery() as nursery:
            async for stream in streams:
                nursery.start_soon(answer, stream)

    async def ask(streams: Any, body: bytes) -> None:
        async with streams.open() as stream:
            await stream.send(SendHeaders(stream.key, POST))
            await stream.send(SendData(stream.key, body, end_stream=True))
            assert {stream.key: body} == bodies([event async for event in stream])

    async with pipeline_pair(HTTP2("client"), HTTP2("server")) as (client, server), trio.open_nursery() as nursery:
        nursery.start_soon(serve, server)
        async with open_streams(client) as streams, trio.open_nursery() as asking:
            for number in range(1, 4):
                asking.start_soon(ask, streams, b"%d" % number * 100_000)
        nursery.cancel_scope.cancel()
