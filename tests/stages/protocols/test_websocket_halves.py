"""WebSocket's halves: canned bytes in, events out; what a peer may do to them."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    Pong,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from pipeline import Pipeline, Reply
from pipeline.testing import Harness
from stages import FrameTimeout, Heartbeat, WebSocket
from tests.stages.framing.driving import random_pieces
from tests.stages.protocols.websocket_wire import (
    ACCEPTED,
    ASKED,
    CLOSE,
    DEFLATE,
    END_OF_HEAD,
    FRAMES,
    GOING,
    REFUSED,
    accept,
    accepting,
    asking,
    client,
    close,
    compressed,
    cuts,
    frame,
    joined,
    server,
    wire_error,
)

# ---- canned


WHOLE: list[Any] = [
    TextMessage(data="a\u00e9\r\n"),
    BytesMessage(data=b"\0\1"),
    Pong(payload=b"pong"),
    BytesMessage(data=b"abcd"),
    TextMessage(data="\u20ac!"),
    TextMessage(data=""),
    GOING,
]


def test_canned_bytes_become_events_wherever_they_are_cut() -> None:
    """Also those that came before the request was accepted."""
    wire = ASKED + END_OF_HEAD + FRAMES
    pong = frame(10, b"ping", masked=False)
    for pieces in ([wire], [wire[at : at + 1] for at in range(len(wire))], *cuts(wire)):
        with Harness(accepting()) as harness:
            harness.receive(*pieces)
            assert WHOLE == harness.received
            assert [ACCEPTED + END_OF_HEAD, pong, close(1001, "going")] == harness.sent
            assert harness.inbound_ended
            assert harness.outbound_ended


def test_a_client_reads_the_same_wherever_it_is_cut() -> None:
    wire = frame(1, b"one", masked=False) + frame(2, b"tw", fin=False, masked=False) + frame(0, b"o", masked=False)
    expected: list[Any] = [TextMessage(data="one"), BytesMessage(data=b"two")]
    for pieces in ([wire], *cuts(wire)):
        assert expected == client().receive(*pieces)


def test_memoryviews_are_bytes_too() -> None:
    assert [TextMessage(data="x")] == server().receive(memoryview(frame(1, b"x")))


# ---- the handshake, of which more is in test_websocket_handshake


def test_a_request_is_refused_without_a_body() -> None:
    harness = Harness(WebSocket("server"))
    harness.receive(ASKED + END_OF_HEAD)
    (sent,) = harness.send(RejectConnection(status_code=404))
    assert sent.startswith(REFUSED % 404)
    assert sent.endswith(b"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
    assert harness.outbound_ended
    assert harness.inbound_ended


async def test_a_client_that_is_refused_cannot_send() -> None:
    peer, ours = trio.testing.memory_stream_pair()
    await peer.send_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
    async with Pipeline[Any, Any](ours, asking()) as pipeline:
        with pytest.raises(trio.ClosedResourceError):
            await pipeline.send(TextMessage(data="x"))
        assert ["RejectConnection", "RejectData"] == [type(event).__name__ async for event in pipeline]


# ---- messages


def test_pieces_of_messages_are_shown_as_they_come_if_asked_for() -> None:
    harness = server(whole_messages=False)
    events = harness.receive(frame(1, b"ab", fin=False), frame(0, b"c")[:6], frame(0, b"c")[6:])
    assert [("ab", False), ("c", True)] == [(event.data, event.message_finished) for event in events]


def test_pieces_of_messages_are_sent_as_they_are() -> None:
    harness = server()
    sent = harness.send(BytesMessage(data=b"a", message_finished=False), Ping(), BytesMessage(data=b"b"))
    expected = [frame(2, b"a", fin=False, masked=False), frame(9, masked=False), frame(0, b"b", masked=False)]
    assert expected == sent


def test_thousands_of_messages_of_one_read_are_made_as_they_are_asked_for() -> None:
    stage = WebSocket("server")
    list(stage.inbound.process_sync(ASKED + END_OF_HEAD))
    list(stage.outbound.process_sync(AcceptConnection()))
    results = iter(stage.inbound.process_sync(frame(1, b"x") * 1000))
    for _ in range(65):
        assert TextMessage(data="x") == next(results)
    assert (frame(1, b"x") * 935)[: stage.inbound.holds] == frame(1, b"x") * 935
    assert 935 == len(list(results))


def test_bytes_that_are_no_whole_message_are_held() -> None:
    stage = WebSocket("server")
    harness = Harness(stage | accept)
    assert 0 == stage.inbound.holds
    harness.receive(ASKED)
    assert len(ASKED) == stage.inbound.holds
    harness.receive(END_OF_HEAD)
    for piece, held in [(b"\x01", 1), (b"\x80\1\2\3\4", 1), (frame(0, b"abc", fin=False)[:7], 3), (b"bc\x80", 4)]:
        harness.receive(piece)
        assert held == stage.inbound.holds
    harness.receive(b"\x80\1\2\3\4")
    assert 0 == stage.inbound.holds


def test_a_slow_message_meets_its_timeout() -> None:
    harness = Harness(WebSocket("server") | accept | FrameTimeout(10))
    harness.receive(ASKED + END_OF_HEAD + frame(1, b"x", fin=False))
    with pytest.raises(TimeoutError):
        harness.advance(11)


# ---- closing


def test_a_close_is_answered_and_ends_both_directions() -> None:
    for harness, masked in ((server(), True), (client(), False)):
        assert [GOING] == harness.receive(close(1001, "going", masked=masked))
        assert [b"\x88"] == [reply[:1] for reply in harness.replies]
        assert harness.inbound_ended
        assert harness.outbound_ended


def test_a_close_without_a_code() -> None:
    harness = server()
    (event,) = harness.receive(frame(8))
    assert 1005 == event.code
    assert [frame(8, masked=False)] == harness.replies


def test_a_close_of_ours_ends_outbound_when_it_is_answered() -> None:
    harness = server()
    assert [close(4000, "why")] == harness.send(CloseConnection(code=4000, reason="why"))
    had_ended = harness.outbound_ended
    assert [TextMessage(data="late")] == harness.receive(frame(9), frame(1, b"late"))
    assert [] == harness.replies
    with pytest.raises(LocalProtocolError, match="cannot be sent in state"):
        harness.send(TextMessage(data="x"))
    assert [CLOSE] == harness.receive(close(1000, masked=True))
    assert (False, True) == (had_ended, harness.outbound_ended)
    assert harness.inbound_ended


def test_send_eof_closes_and_inbound_goes_on() -> None:
    harness = server()
    assert [close(1000)] == harness.send_eof()
    assert [TextMessage(data="late"), CLOSE] == harness.receive(frame(1, b"late") + close(1000, masked=True))
    assert [] == harness.replies
    harness.finish()


def test_a_ping_that_comes_too_early_or_too_late_is_none() -> None:
    """A Heartbeat need not know how the connection stands."""
    harness = Harness(WebSocket("server") | Heartbeat(20, Ping))
    harness.receive(ASKED + END_OF_HEAD)
    harness.advance(20)
    assert [] == harness.replies
    harness.send(AcceptConnection())
    harness.advance(20)
    assert [frame(9, masked=False)] == harness.replies
    harness.send(CLOSE)
    harness.advance(20)
    assert 1 == len(harness.replies)


def test_after_an_own_close_the_end_adds_none() -> None:
    harness = server()
    harness.send(CLOSE)
    assert [] == harness.send_eof()


def test_outbound_must_not_end_inside_a_message() -> None:
    harness = server()
    harness.send(TextMessage(data="a", message_finished=False))
    with pytest.raises(LocalProtocolError, match="outbound ended inside a message; send the last piece"):
        harness.send_eof()


@pytest.mark.parametrize("before", [[], [frame(1, b"part", fin=False)], [frame(1, b"whole")[:-1]]])
def test_an_end_without_a_close_is_an_error(before: list[bytes]) -> None:
    harness = server()
    harness.receive(*before)
    with pytest.raises(RemoteProtocolError, match="the peer ended the stream without a close frame") as info:
        harness.finish()
    assert isinstance(info.value.event_hint, CloseConnection)
    assert 1006 == info.value.event_hint.code
    assert [] == harness.replies
    assert harness.outbound_ended


async def test_leaving_the_pipeline_closes() -> None:
    async with joined() as (left, right, nursery):
        await left.send(TextMessage(data="x"))
        assert TextMessage(data="x") == await right.receive()
        nursery.start_soon(left.aclose)
        assert [CLOSE] == [event async for event in right]


async def test_after_a_close_nothing_can_be_sent() -> None:
    async with joined() as (left, right, _):
        await left.send(CLOSE)
        for pipeline in (right, left):
            assert [CLOSE] == [event async for event in pipeline]
            with pytest.raises(trio.ClosedResourceError):
                await pipeline.send(TextMessage(data="x"))


# ---- what is wrong


@pytest.mark.parametrize(
    ("wire", "code"),
    [
        (frame(3), 1002),
        (frame(1, b"x", masked=False), 1002),
        (frame(1, b"x", rsv=4), 1002),
        (frame(0, b"x"), 1002),
        (frame(1, b"x", fin=False) + frame(1, b"y"), 1002),
        (frame(9, b"x" * 126), 1002),
        (frame(9, fin=False), 1002),
        (frame(8, b"x"), 1002),
        (close(999, masked=True), 1002),
        (frame(1, b"\xff"), 1007),
        (frame(1, b"\xe2\x82"), 1007),
        (close(1000, masked=True)[:-2] + b"\xff\xff", 1002),
    ],
)
def test_the_peer_is_told_what_is_wrong_before_the_error_is_raised(wire: bytes, code: int) -> None:
    wire = frame(1, b"before") + wire
    for pieces in ([wire], [wire[at : at + 1] for at in range(len(wire))]):
        harness = server()
        error = wire_error(harness, *pieces)
        assert [TextMessage(data="before")] == harness.received
        assert isinstance(error.event_hint, CloseConnection)
        assert code == error.event_hint.code
        (told,) = harness.replies
        assert (0x88, code) == (told[0], int.from_bytes(told[2:4], "big"))


def test_after_an_own_close_an_error_is_raised_only() -> None:
    harness = server()
    harness.send(CLOSE)
    wire_error(harness, frame(3))
    assert [] == harness.replies


def test_a_stage_that_failed_stays_failed() -> None:
    stage = WebSocket("server")
    for data in (ASKED + END_OF_HEAD, frame(3)):
        with pytest.raises(RemoteProtocolError):
            list(stage.inbound.process_sync(data))
            list(stage.outbound.process_sync(AcceptConnection()))
            list(stage.inbound.process_sync(frame(3)))
    assert stage.connection is not None
    assert ConnectionState.LOCAL_CLOSING is stage.connection.state


ANY_BYTES: Any = b"x"
ANY_TEXT: Any = "x"
WRONG: list[tuple[Any, type[Exception], str]] = [
    (
        TextMessage(data=ANY_BYTES),
        TypeError,
        r"TextMessage\(data=\.\.\.\) must be text, not bytes: TextMessage\(data='",
    ),
    (BytesMessage(data=ANY_TEXT), TypeError, r"BytesMessage\(data=\.\.\.\) must be bytes, not str: TextMessage\("),
    (
        CloseConnection(code=999),
        LocalProtocolError,
        r"CloseConnection\(code=999\): must be one of wsproto's",
    ),
    (CloseConnection(code=2999), LocalProtocolError, r"code=2999\): must be one of"),
    (CloseConnection(code=5000), LocalProtocolError, r"code=5000\): must be one of"),
    (CloseConnection(code="x"), LocalProtocolError, r"code='x'\): must be one of"),  # type: ignore[arg-type]
    (CloseConnection(code=1000, reason=b"x"), TypeError, r"reason=b'x'\): must be text"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("event", "kind", "message"), WRONG)
def test_what_the_peer_would_take_for_something_else_is_refused(
    event: Any, kind: type[Exception], message: str
) -> None:
    """To wsproto a `TextMessage` of bytes is a `BytesMessage`, and it writes codes that it does not take."""
    harness = server()
    with pytest.raises(kind, match=message):
        harness.send(event)
    assert harness.send(CloseConnection(code=3000, reason="all is well"))


def test_what_is_no_event_is_refused_and_nothing_else_happens() -> None:
    for harness in (Harness(WebSocket("server")), server()):
        with pytest.raises(TypeError, match=r"WebSocket sends events of wsproto, not str: TextMessage\(data="):
            harness.send("hello")
    assert [frame(1, b"x", masked=False)] == harness.send(TextMessage(data="x"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: WebSocket("client"), r"a client needs wsproto's request"),  # type: ignore[call-overload]
        (lambda: WebSocket("server", Request("a", "/")), r"a server takes the h11.Request that HTTP1"),  # type: ignore[call-overload]
    ],
)
def test_each_role_has_its_kind_of_request(make: Callable[[], WebSocket], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        make()


# ---- limits


def test_a_message_that_is_too_long_is_known_by_its_header() -> None:
    harness = server(max_bytes=100)
    error = wire_error(harness, frame(1, b"x" * 60, fin=False), frame(0, b"x" * 41)[:6])
    message = "a message of at least 101 bytes is over the limit, max_bytes=100"
    assert f"WebSocket: {message}. Raise max_bytes if it is a right one" == str(error)
    assert [close(1009, message)] == harness.replies


def test_text_is_counted_in_bytes() -> None:
    assert 1 == len(server(max_bytes=4).receive(frame(1, "\u00e9\u00e9".encode())))
    assert 1009 == wire_error(server(max_bytes=3), frame(1, "\u00e9\u00e9".encode())).event_hint.code  # type: ignore[union-attr]


def test_the_limit_holds_for_each_message_and_in_pieces_too() -> None:
    harness = server(max_bytes=3, whole_messages=False)
    assert 10 == len(harness.receive(*[frame(1, b"abc")] * 10))
    wire_error(harness, frame(1, b"ab", fin=False) + frame(0, b"cd"))


def test_a_flood_of_empty_fragments_holds_nothing() -> None:
    stage = WebSocket("server")
    harness = Harness(stage | accept)
    harness.receive(ASKED + END_OF_HEAD + frame(1, b"", fin=False))
    harness.receive(*[frame(0, b"", fin=False) * 1000] * 10)
    assert 1 == stage.inbound.holds
    assert [TextMessage(data="")] == harness.receive(frame(0))


def test_a_flood_of_pings_is_answered_as_it_is_asked_for() -> None:
    stage = WebSocket("server")
    list(stage.inbound.process_sync(ASKED + END_OF_HEAD))
    list(stage.outbound.process_sync(AcceptConnection()))
    results = iter(stage.inbound.process_sync(frame(9) * 10000))
    assert Reply(frame(10, masked=False)) == next(results)
    assert 9999 * len(frame(9)) == stage.inbound.holds


# ---- whatever comes


def broken(rng: random.Random, wire: bytes) -> bytes:
    """The wire with something changed in it, added or missing."""
    at = rng.randrange(len(wire))
    more = rng.choice([b"\r\n", b"\n\n", b"\xff", b";", b",", b"=", b"\0", rng.randbytes(3), wire[at - 20 : at]])
    return wire[:at] + rng.choice([b"", more]) + wire[at + rng.randrange(6) :]


@pytest.mark.parametrize("size", [150, pytest.param(2000, marks=pytest.mark.full)])
def test_whatever_comes_is_an_event_or_the_peers_fault(size: int) -> None:
    """No other error than wsproto's own, and never one that says that it was ours."""
    rng = random.Random(0)
    head = ASKED + DEFLATE % b"; client_max_window_bits; server_max_window_bits=10"
    squeezed = frame(1, compressed(b"hello"), rsv=4) + frame(2, compressed(b"y" * 500), fin=False, rsv=4) + frame(0)
    answer = ACCEPTED + DEFLATE % b"; server_max_window_bits=10" + b"Sec-WebSocket-Protocol: x\r\n" + END_OF_HEAD
    faults = 0
    for _ in range(size):
        kind = rng.randrange(3)
        wire = (head + END_OF_HEAD + FRAMES, squeezed + FRAMES, answer)[kind]
        if kind == 1:
            harness = server(head, deflate=True)
        else:
            harness = Harness(asking(deflate=True) if kind else accepting(deflate=True, max_bytes=1000))
        try:
            harness.receive(*random_pieces(rng, broken(rng, wire)))
            if not harness.inbound_ended:
                harness.finish()
        except RemoteProtocolError:
            faults += 1
    assert size / 2 < faults < size
