"""WebSocket by wsproto: canned bytes in, events out; and its two roles against each other."""

from __future__ import annotations

import random
import sys
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise
from typing import Any, TypeAlias

import h11
import pytest
import trio
import trio.testing
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Pong,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)
from wsproto.extensions import PerMessageDeflate
from wsproto.utilities import LocalProtocolError, RemoteProtocolError, generate_accept_token

from pipeline import Duplex, Engine, Pipeline, Reply, inbound
from pipeline.testing import Harness, check_limit, check_linear, pipeline_pair
from stages import HTTP1, FrameTimeout, Heartbeat, WebSocket
from tests.stages.framing.driving import random_pieces

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ASKED = (
    b"GET /chat HTTP/1.1\r\nHost: example.org\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
    b"Sec-WebSocket-Key: " + KEY + b"\r\nSec-WebSocket-Version: 13\r\n"
)
ACCEPTED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
)
END_OF_HEAD = b"\r\n"
REFUSED = b"HTTP/1.1 %d \r\n"
DEFLATE = b"Sec-WebSocket-Extensions: permessage-deflate%s\r\n"
CLOSE = CloseConnection(code=1000, reason="")
GOING = CloseConnection(code=1001, reason="going")


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, masked: bool = True, rsv: int = 0) -> bytes:
    """A frame as a client (masked) or a server sends it."""
    head = bytes([fin << 7 | rsv << 4 | opcode])
    size, mask = len(payload), 0x80 if masked else 0
    if size < 126:
        head += bytes([mask | size])
    elif size < 65536:
        head += bytes([mask | 126]) + size.to_bytes(2, "big")
    else:
        head += bytes([mask | 127]) + size.to_bytes(8, "big")
    if not masked:
        return head + payload
    return head + b"\1\2\3\4" + bytes(byte ^ (at % 4 + 1) for at, byte in enumerate(payload))


def close(code: int, reason: str = "", *, masked: bool = False) -> bytes:
    return frame(8, code.to_bytes(2, "big") + reason.encode(), masked=masked)


def asking(**options: Any) -> WebSocket:
    return WebSocket("client", Request(host="example.org", target="/chat"), **options)


@inbound
def accept(event: Event) -> list[Event | Reply[Event]]:
    """Every request is accepted."""
    return [Reply(AcceptConnection())] if isinstance(event, Request) else [event]


def accepting(**options: Any) -> Duplex[Any, Event, Event, bytes]:
    return WebSocket("server", **options) | accept


def server(head: bytes = ASKED, **options: Any) -> Harness:
    """A server whose handshake is over."""
    harness = Harness(accepting(**options))
    harness.receive(head + END_OF_HEAD)
    harness.received.clear()
    harness.replies.clear()
    harness.sent.clear()
    return harness


def client(head: bytes = b"", **options: Any) -> Harness:
    """A client whose handshake is over."""
    harness = Harness(asking(**options))
    key = harness.replies[0].partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0]
    answer = ACCEPTED.replace(b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", generate_accept_token(key))
    harness.receive(answer + head + END_OF_HEAD)
    assert isinstance(harness.received.pop(), AcceptConnection)
    harness.replies.clear()
    return harness


def wire_error(harness: Harness, *pieces: bytes) -> RemoteProtocolError:
    with pytest.raises(RemoteProtocolError) as info:
        harness.receive(*pieces)
    assert harness.outbound_ended
    return info.value


# ---- the handshake of a server


def test_a_server_shows_the_request_and_accepts_it() -> None:
    harness = Harness(WebSocket("server"))
    (asked,) = harness.receive(ASKED + b"Sec-WebSocket-Protocol: chat, news\r\nX: y\r\n" + END_OF_HEAD)
    assert isinstance(asked, Request)
    assert ("example.org", "/chat", ["chat", "news"]) == (asked.host, asked.target, asked.subprotocols)
    assert (b"x", b"y") in asked.extra_headers
    sent = harness.send(AcceptConnection(subprotocol="news", extra_headers=[(b"A", b"b")]))
    assert [ACCEPTED + b"Sec-WebSocket-Protocol: news\r\nA: b\r\n\r\n"] == sent
    assert [TextMessage(data="hello")] == harness.receive(frame(1, b"hello"))
    assert [frame(1, b"hi", masked=False)] == harness.send(TextMessage(data="hi"))


WHOLE: list[Any] = [
    TextMessage(data="a\u00e9\r\n"),
    BytesMessage(data=b"\0\1"),
    Pong(payload=b"pong"),
    BytesMessage(data=b"abcd"),
    TextMessage(data="\u20ac!"),
    TextMessage(data=""),
    GOING,
]
FRAMES = b"".join(
    [
        frame(1, "a\u00e9\r\n".encode()),
        frame(2, b"\0\1"),
        frame(10, b"pong"),
        frame(2, b"ab", fin=False),
        frame(9, b"ping"),
        frame(0, b"", fin=False),
        frame(0, b"cd"),
        frame(1, b"\xe2\x82", fin=False),
        frame(0, b"\xac!"),
        frame(1, b""),
        close(1001, "going", masked=True),
    ]
)


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


def cuts(wire: bytes) -> Iterable[list[bytes]]:
    return ([wire[:at], b"", wire[at:]] for at in range(1, len(wire)))


def test_a_client_reads_the_same_wherever_it_is_cut() -> None:
    wire = frame(1, b"one", masked=False) + frame(2, b"tw", fin=False, masked=False) + frame(0, b"o", masked=False)
    expected: list[Any] = [TextMessage(data="one"), BytesMessage(data=b"two")]
    for pieces in ([wire], *cuts(wire)):
        assert expected == client().receive(*pieces)


def test_memoryviews_are_bytes_too() -> None:
    assert [TextMessage(data="x")] == server().receive(memoryview(frame(1, b"x")))


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n", 400),
        (ASKED.replace(b"GET", b"POST"), 400),
        (ASKED.replace(b": 13", b": 8"), 426),
        (ASKED.replace(b"Sec-WebSocket-Version: 13\r\n", b""), 400),
        (ASKED.replace(b"keep-alive, Upgrade", b"keep-alive"), 400),
        (ASKED.replace(KEY, b"short"), 400),
        (ASKED.replace(KEY, b"not base64"), 400),
        (ASKED.replace(b"example.org", b"\xff"), 400),
        (ASKED + b"Sec-WebSocket-Protocol: \xff\r\n", 400),
        (ASKED + b"Content-Length: 5\r\n", 400),
        (ASKED + b"Transfer-Encoding: chunked\r\n", 400),
        (ASKED + b"X: " + b"x" * 20000 + b"\r\n", 431),
        (b"GARBAGE\r\n", 400),
        (b"\x16\x03\x01", 400),
    ],
)
def test_a_request_that_is_wrong_is_refused_before_the_error_is_raised(head: bytes, status: int) -> None:
    harness = Harness(WebSocket("server"))
    error = wire_error(harness, head + END_OF_HEAD)
    (refusal,) = harness.replies
    assert refusal.startswith(REFUSED % status)
    assert b"connection: close\r\n" in refusal.lower()
    assert isinstance(error.event_hint, RejectConnection)
    assert status == error.event_hint.status_code
    assert [] == harness.received
    with pytest.raises(Exception, match="inbound is broken"):
        harness.receive(b"x")


def test_a_limit_of_the_head_does_not_depend_on_the_cut() -> None:
    def head(size: int) -> bytes:
        return ASKED + b"X: " + b"x" * (size - len(ASKED) - 7) + b"\r\n\r\n"

    assert 300 == len(head(300))
    check_limit(
        lambda n: WebSocket("server", max_header_bytes=n),
        head,
        certain=lambda n: n,
        limits=(300,),
        random_cuts=5,
        errors=RemoteProtocolError,
    )
    error = wire_error(Harness(WebSocket("server", max_header_bytes=300)), head(301))
    assert "a head of 301 bytes is over the limit, max_header_bytes=300." in str(error)


def test_lines_may_end_without_a_return() -> None:
    """As everywhere in HTTP, and the first end of the head counts."""
    head = (ASKED + END_OF_HEAD).replace(b"\r\n", b"\n")
    assert [TextMessage(data="\n\r\n")] == Harness(accepting()).receive(head + frame(1, b"\n\r\n"))


def test_a_request_is_refused_with_a_body() -> None:
    harness = Harness(WebSocket("server"))
    harness.receive(ASKED + END_OF_HEAD)
    assert [] == harness.receive(b"early")
    headers = [(b"content-length", b"4"), (b"connection", b"close")]
    sent = harness.send(
        RejectConnection(status_code=403, headers=headers, has_body=True),
        RejectData(data=b"no", body_finished=False),
        RejectData(data=b"no"),
    )
    assert b"HTTP/1.1 403 \r\ncontent-length: 4\r\nconnection: close\r\n\r\nnono" == b"".join(sent)
    assert harness.outbound_ended
    assert harness.inbound_ended


def test_a_request_is_refused_without_a_body() -> None:
    harness = Harness(WebSocket("server"))
    harness.receive(ASKED + END_OF_HEAD)
    (sent,) = harness.send(RejectConnection(status_code=404))
    assert sent.startswith(REFUSED % 404)
    assert sent.endswith(b"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
    assert harness.outbound_ended
    assert harness.inbound_ended


def test_before_it_has_answered_a_server_says_nothing_else() -> None:
    harness = Harness(WebSocket("server"))
    with pytest.raises(LocalProtocolError, match="AcceptConnection cannot be sent before there is a Request"):
        harness.send(AcceptConnection())
    harness.receive(ASKED + END_OF_HEAD)
    for event, message in [
        (TextMessage(data="x"), r"TextMessage cannot be sent before AcceptConnection\(\)"),
        (AcceptConnection(extensions=[PerMessageDeflate()]), "extensions are the stage's: .*deflate=True"),
        (AcceptConnection(subprotocol="x"), "unexpected subprotocol x"),
    ]:
        with pytest.raises(LocalProtocolError, match=message):
            harness.send(event)
    assert [] == harness.send_eof()


def test_and_leaves_without_a_word() -> None:
    harness = Harness(WebSocket("server"))
    assert [] == harness.finish()
    harness = Harness(WebSocket("server"))
    harness.receive(ASKED + END_OF_HEAD)
    assert [] == harness.finish()


def test_an_end_inside_the_request_is_an_error() -> None:
    harness = Harness(WebSocket("server"))
    harness.receive(ASKED)
    with pytest.raises(RemoteProtocolError, match="the client ended the stream inside its request"):
        harness.finish()
    assert harness.replies[0].startswith(REFUSED % 400)


def test_who_does_not_wait_for_the_answer_does_not_fill_the_memory() -> None:
    harness = Harness(WebSocket("server"))
    harness.receive(ASKED + END_OF_HEAD + bytes(65536))
    error = wire_error(harness, b"\0")
    assert "the client sent 65537 bytes before its request was answered, more than 65536" in str(error)
    assert harness.replies[0].startswith(REFUSED % 400)


def test_who_is_being_refused_is_refused_once() -> None:
    harness = Harness(WebSocket("server"))
    harness.receive(ASKED + END_OF_HEAD)
    harness.send(RejectConnection(headers=[(b"content-length", b"9")], has_body=True))
    wire_error(harness, bytes(65537))
    assert [] == harness.replies


def test_what_was_wrong_in_what_came_early_is_told_and_raised_when_more_comes() -> None:
    harness = Harness(WebSocket("server"))
    harness.receive(ASKED + END_OF_HEAD + frame(1, b"x") + frame(1, b"\xff"))
    answer, told = harness.send(AcceptConnection())
    assert ACCEPTED + END_OF_HEAD == answer
    assert told[2:].startswith(b"\x03\xef'utf-8' codec")
    assert harness.outbound_ended
    assert TextMessage(data="x") == harness.received[1]
    with pytest.raises(RemoteProtocolError, match="codec can't decode"):
        harness.finish()


# ---- over HTTP1


@pytest.mark.parametrize("at", range(1, len(ASKED) + 12, 7))
async def test_an_upgrade_of_http1_is_exact_wherever_the_bytes_are_cut(at: int) -> None:
    """What follows the request goes to the new stage, byte for byte (U1), even if it came too early."""
    wire = ASKED + END_OF_HEAD + frame(1, b"one") + frame(1, b"two")
    peer, ours = trio.testing.memory_stream_pair()
    async with Pipeline[Any, Any](ours, HTTP1("server")) as pipeline, trio.open_nursery() as nursery:
        nursery.start_soon(in_pieces, peer, wire[:at], wire[at:])
        request, end = await pipeline.receive(), await pipeline.receive()
        assert isinstance(end, h11.EndOfMessage)
        assert WebSocket.is_asked_for(request)
        await pipeline.replace(HTTP1, WebSocket("server", request))
        asked = await pipeline.receive()
        assert isinstance(asked, Request)
        assert "/chat" == asked.target
        await pipeline.send(AcceptConnection())
        assert [TextMessage(data="one"), TextMessage(data="two")] == [await pipeline.receive() for _ in range(2)]
        assert ACCEPTED + END_OF_HEAD == await peer.receive_some()
        nursery.cancel_scope.cancel()


async def in_pieces(peer: trio.abc.SendStream, *pieces: bytes) -> None:
    for piece in pieces:
        await peer.send_all(piece)
        await trio.sleep(1)


async def test_a_client_asks_on_the_connection_of_http1() -> None:
    async with pipeline_pair(HTTP1("client"), HTTP1("server")) as (left, right), trio.open_nursery() as nursery:

        async def serve() -> None:
            await right.receive()
            await right.receive()
            await right.send_many([h11.Response(status_code=204, headers=[]), h11.EndOfMessage()])
            request = await right.receive()
            await right.receive()
            await right.replace(HTTP1, WebSocket("server", request))
            await right.receive()
            await right.send(AcceptConnection())
            await right.send(TextMessage(data="welcome"))

        nursery.start_soon(serve)
        await left.send_many([h11.Request(method="GET", target="/", headers=[("Host", "a")]), h11.EndOfMessage()])
        assert [204, "EndOfMessage"] == [(await left.receive()).status_code, type(await left.receive()).__name__]
        await left.replace(HTTP1, asking())
        assert isinstance(await left.receive(), AcceptConnection)
        assert TextMessage(data="welcome") == await left.receive()


def asked_by_http(**headers: str) -> h11.Request:
    given = {
        "Host": "a",
        "Upgrade": "WebSocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": KEY.decode(),
        "Sec-WebSocket-Version": "13",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    return h11.Request(method="GET", target="/", headers=list(given.items()))


def test_what_asks_for_a_websocket() -> None:
    assert WebSocket.is_asked_for(asked_by_http())
    assert not WebSocket.is_asked_for(asked_by_http(Upgrade="h2c"))
    assert not WebSocket.is_asked_for(h11.Request(method="GET", target="/", headers=[("Host", "a")]))


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (asked_by_http(Upgrade="h2c"), 400),
        (asked_by_http(Sec_WebSocket_Version="7"), 426),
        (asked_by_http(Content_Length="1"), 400),
        (h11.Request(method="PUT", target="/", headers=[("Host", "a")]), 400),
    ],
)
def test_a_wrong_request_is_refused_when_the_stage_is_made(request_: h11.Request, status: int) -> None:
    """So that HTTP1 can still answer it."""
    with pytest.raises(RemoteProtocolError) as info:
        WebSocket("server", request_)
    assert isinstance(info.value.event_hint, RejectConnection)
    assert status == info.value.event_hint.status_code


# ---- the handshake of a client


def test_a_client_asks_by_itself() -> None:
    request = Request(host="a:80", target="/x?y", subprotocols=["p"], extra_headers=[(b"Origin", b"o")])
    harness = Harness(WebSocket("client", request))
    (asked,) = harness.replies
    assert asked.startswith(b"GET /x?y HTTP/1.1\r\nHost: a:80\r\nUpgrade: websocket\r\n")
    assert b"\r\nSec-WebSocket-Protocol: p\r\nOrigin: o\r\n\r\n" in asked


def test_a_client_is_not_ready_before_it_is_accepted() -> None:
    engine = Engine(asking(), byte_wire=True)
    engine.start()
    engine.next_item()
    (asked,) = written(engine)
    was_ready = engine.ready
    engine.send(TextMessage(data="x"))
    engine.next_item()
    assert [] == written(engine)
    key = asked.partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0]
    answer = ACCEPTED.replace(b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", generate_accept_token(key)) + END_OF_HEAD
    engine.feed(b"HTTP/1.1 103 Early\r\nX: y\r\n\r\nHTTP/1.1 100 \r\n\r\n" + answer)
    assert isinstance(engine.next_item(), AcceptConnection)
    assert (False, True) == (was_ready, engine.ready)
    assert b"\x81\x81" == written(engine)[0][:2]
    engine.close()


def written(engine: Engine[Any, Any]) -> Sequence[bytes]:
    data = engine.to_write()
    assert isinstance(data, list)
    return data


@pytest.mark.parametrize(
    ("headers", "body", "ends"),
    [(b"Content-Length: 2\r\n", b"no", True), (b"", b"no", False), (b"Content-Length: 0\r\n", b"", True)],
)
def test_a_client_is_shown_the_refusal_wherever_it_is_cut(headers: bytes, body: bytes, ends: bool) -> None:
    wire = b"HTTP/1.1 403 Forbidden\r\n" + headers + b"\r\n" + body
    for pieces in ([wire], *cuts(wire)):
        harness = Harness(asking())
        harness.receive(*pieces)
        if not ends:
            harness.finish()
        first, *rest = harness.received
        assert isinstance(first, RejectConnection)
        assert 403 == first.status_code
        assert body == b"".join(each.data for each in rest)
        assert rest[-1].body_finished
        assert harness.inbound_ended
        assert harness.outbound_ended


async def test_a_client_that_is_refused_cannot_send() -> None:
    peer, ours = trio.testing.memory_stream_pair()
    await peer.send_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
    async with Pipeline[Any, Any](ours, asking()) as pipeline:
        with pytest.raises(trio.ClosedResourceError):
            await pipeline.send(TextMessage(data="x"))
        assert ["RejectConnection", "RejectData"] == [type(event).__name__ async for event in pipeline]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (ACCEPTED, "Bad accept token"),
        (ACCEPTED.replace(b"Connection: Upgrade\r\n", b""), "Missing header, 'Connection: Upgrade'"),
        (b"GARBAGE\r\n", "Bad HTTP message"),
        (b"\0", "this is no HTTP"),
        (b"HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\nx", "Bad HTTP message"),
        (ACCEPTED + b"X: " + b"x" * 20000, "a head of at least 20... bytes is over the limit, max_header_bytes=16384"),
    ],
)
def test_an_answer_that_is_wrong_is_an_error(answer: bytes, message: str) -> None:
    harness = Harness(asking())
    assert message.split(maxsplit=1)[0] in str(wire_error(harness, answer + END_OF_HEAD))
    assert 1 == len(harness.replies)


@pytest.mark.parametrize(
    ("extensions", "message"),
    [
        (b"", "the server compresses, and was not asked to"),
        (b"; client_max_window_bits=99", "Window size must be between 9 and 15"),
        (b"; server_max_window_bits", "a parameter without its value"),
        (b"; server_max_window_bits=x", "invalid literal"),
    ],
)
def test_an_extension_that_is_wrong_is_an_error(extensions: bytes, message: str) -> None:
    with pytest.raises(RemoteProtocolError, match=f"a header of the handshake is wrong: .*{message}"):
        client(DEFLATE % extensions, deflate=bool(extensions))


def test_a_server_that_leaves_instead_of_answering_is_named() -> None:
    with pytest.raises(RemoteProtocolError, match="the server ended the stream before it answered the request"):
        Harness(asking()).finish()


async def test_a_client_that_leaves_without_an_answer_does_not_wait_for_it() -> None:
    outbound = asking().outbound
    assert [] == list(await outbound.finish())
    with pytest.raises(LocalProtocolError, match="Pong cannot be sent before the server has answered"):
        await outbound.process(Pong())


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


Peer: TypeAlias = Pipeline[Event, Event]


@asynccontextmanager
async def joined() -> AsyncIterator[tuple[Peer, Peer, trio.Nursery]]:
    """A client and a server, in memory, whose handshake is over; and a nursery."""
    near, far = trio.testing.memory_stream_pair()
    serving = Pipeline[Event, Event](far, WebSocket("server"))

    async def answer() -> None:
        assert isinstance(await serving.receive(), Request)
        await serving.send(AcceptConnection())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        async with Pipeline[Event, Event](near, asking()) as asker:
            assert isinstance(await asker.receive(), AcceptConnection)
            yield asker, serving, nursery


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


def test_what_is_no_event_is_refused_and_nothing_else_happens() -> None:
    for harness in (Harness(WebSocket("server")), server()):
        with pytest.raises(TypeError, match=r"WebSocket sends events of wsproto, not str: TextMessage\(data="):
            harness.send("hello")
    assert [frame(1, b"x", masked=False)] == harness.send(TextMessage(data="x"))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: WebSocket("peer"), ValueError, r"WebSocket\(role='peer'\): must be one of 'client', 'server'"),  # type: ignore[call-overload]
        (lambda: WebSocket("client"), TypeError, r"a client needs wsproto's request: .*Request\(host="),  # type: ignore[call-overload]
        (lambda: WebSocket("server", Request("a", "/")), TypeError, r"a server takes the h11.Request that HTTP1"),  # type: ignore[call-overload]
        (lambda: WebSocket("server", max_bytes=0), ValueError, r"WebSocket\(max_bytes=0\): must be a whole number"),
        (lambda: WebSocket("server", max_header_bytes=0), ValueError, r"max_header_bytes=0\): must be a whole number"),
        (
            lambda: WebSocket("client", Request("a", "/", extensions=[PerMessageDeflate()])),
            ValueError,
            r"extensions are the stage's: .*deflate=True",
        ),
    ],
)
def test_wrong_arguments_are_refused(make: Callable[[], WebSocket], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_without_wsproto_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("stages.protocols._websocket_")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("stages.protocols._websocket_halves")
    monkeypatch.setitem(sys.modules, "wsproto", None)
    with pytest.raises(ImportError, match=r"WebSocket needs wsproto: pip install 'penstock\[wsproto\]'"):
        WebSocket("server")


# ---- limits


def opened(message: Callable[[int], bytes], size: int, head: bytes = ASKED) -> bytes:
    return head + END_OF_HEAD + message(size) + close(1000, masked=True)


def in_one(size: int) -> bytes:
    return frame(2, b"x" * size)


def in_many(size: int) -> bytes:
    return b"".join(
        [frame(2, b"", fin=False), *[frame(0, b"x", fin=False)] * (size - 1), frame(9, b"12345"), frame(0, b"x")]
    )


def compressed(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def deflated(size: int) -> bytes:
    return frame(2, compressed(b"x" * size), rsv=4)


def deflated_in_many(size: int) -> bytes:
    data = compressed(b"x" * size)
    pieces = [data[at : at + 1] for at in range(len(data))]
    first, *rest = pieces
    frames = [frame(2, first, fin=False, rsv=4), frame(9), *[frame(0, each, fin=False) for each in rest]]
    return b"".join([*frames, frame(0)])


@pytest.mark.parametrize(("message", "limit"), [(in_one, 130), (in_many, 3)])
def test_exactly_the_limit_passes_and_one_byte_more_fails(message: Callable[[int], bytes], limit: int) -> None:
    wire = partial(opened, message)
    check_limit(lambda n: accepting(max_bytes=n), wire, limits=(limit,), random_cuts=2, errors=RemoteProtocolError)


@pytest.mark.parametrize("message", [deflated, deflated_in_many])
def test_exactly_the_limit_passes_and_one_byte_more_fails_when_decompressed(message: Callable[[int], bytes]) -> None:
    wire = partial(opened, message, head=ASKED + DEFLATE % b"")
    check_limit(
        lambda n: accepting(max_bytes=n, deflate=True),
        wire,
        limits=(300,),
        random_cuts=2,
        errors=RemoteProtocolError,
    )


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
    harness.receive(*[frame(1, b"abc")] * 10)
    wire_error(harness, frame(1, b"ab", fin=False) + frame(0, b"cd"))


def test_a_bomb_takes_no_memory() -> None:
    """64 MiB in 64 KiB."""
    harness = server(ASKED + DEFLATE % b"", deflate=True)
    wire = frame(2, compressed(bytes(1 << 26)), rsv=4)
    assert len(wire) < 70000
    error = wire_error(harness, wire)
    assert "at least 1048577 bytes is over the limit, max_bytes=1048576" in str(error)
    assert [] == harness.received


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


@pytest.mark.parametrize(
    "wire", [frame(1, b"x" * 20000), frame(1, fin=False) + frame(0, b"x", fin=False) * 3000], ids=["one", "many"]
)
def test_work_is_linear(wire: bytes) -> None:
    head = ASKED + b"X: " + b"x" * 10000
    check_linear(lambda: WebSocket("server", max_header_bytes=1 << 30), lambda n: one_by_one(head[:n]), n=500)
    start = [ASKED + END_OF_HEAD]
    check_linear(accepting, lambda n: start + one_by_one(wire[:n]), n=500)
    check_linear(accepting, lambda n: [*start, wire[:n]], n=2500)


def one_by_one(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


# ---- compression


OFFERS: list[tuple[bytes, bytes | None]] = [
    (b"", b""),
    (b"; client_max_window_bits", b"; client_max_window_bits=15"),
    (
        b"; server_max_window_bits=9; server_no_context_takeover",
        b"; server_no_context_takeover; server_max_window_bits=9",
    ),
    (b"; client_no_context_takeover", b"; client_no_context_takeover"),
    (b"; server_max_window_bits=x", None),
    (b"; server_max_window_bits=8", None),
    (b"; server_max_window_bits=8, permessage-deflate", b""),
    (b", permessage-deflate; client_max_window_bits", b""),
]


@pytest.mark.parametrize(("offer", "answer"), OFFERS)
def test_a_server_agrees_to_compress(offer: bytes, answer: bytes | None) -> None:
    harness = Harness(WebSocket("server", deflate=True))
    harness.receive(ASKED + DEFLATE % offer + END_OF_HEAD)
    (head,) = harness.send(AcceptConnection())
    assert ACCEPTED + (b"" if answer is None else DEFLATE % answer) + END_OF_HEAD == head
    (sent,) = harness.send(TextMessage(data="x" * 1000))
    assert (answer is not None) == (len(sent) < 100)
    assert (answer is not None) == bool(sent[0] & 0x40)


@pytest.mark.parametrize("takeover", [b"", b"; client_no_context_takeover; server_no_context_takeover"])
def test_both_sides_compress(takeover: bytes) -> None:
    sides = {True: server(ASKED + DEFLATE % takeover, deflate=True), False: client(DEFLATE % takeover, deflate=True)}
    messages: list[Any] = [TextMessage(data="hello " * 100), BytesMessage(data=bytes(1000)), TextMessage(data="")]
    parts = [TextMessage(data="a" * 500, message_finished=False), Ping(), TextMessage(data="b" * 500)]
    for one, other in pairwise([True, False, True]):
        wire = b"".join(sides[one].send(*messages, *messages, *parts))
        assert len(wire) < 500
        assert [*messages, *messages, TextMessage(data="a" * 500 + "b" * 500)] == sides[other].receive(wire)


def test_nobody_compresses_unasked() -> None:
    assert b"Sec-WebSocket-Extensions" not in Harness(asking()).replies[0]
    harness = Harness(WebSocket("server"))
    harness.receive(ASKED + DEFLATE % b"" + END_OF_HEAD)
    assert [ACCEPTED + END_OF_HEAD] == harness.send(AcceptConnection())


def test_a_compressed_stream_may_end_with_a_message() -> None:
    """RFC 7692, 7.2.3.4: a final block; the next message begins another stream."""
    harness = server(ASKED + DEFLATE % b"", deflate=True)
    final = bytes.fromhex("f348cdc9c9070000")
    assert [TextMessage(data="Hello")] * 2 == harness.receive(frame(1, final, rsv=4) * 2)


@pytest.mark.parametrize(
    ("wire", "code", "reason"),
    [
        (frame(1, b"\xff\xff\xff", rsv=4), 1007, "invalid block type"),
        (frame(1, b"\x04", rsv=4), 1007, "invalid code lengths"),
        (frame(9, rsv=4), 1002, "frame 0x9 is marked as compressed"),
        (frame(1, compressed(b"x"), fin=False, rsv=4) + frame(0, rsv=4), 1002, "frame 0x0 is marked as compressed"),
    ],
)
def test_what_is_compressed_wrongly_is_told(wire: bytes, code: int, reason: str) -> None:
    harness = server(ASKED + DEFLATE % b"", deflate=True)
    error = wire_error(harness, wire)
    assert isinstance(error.event_hint, CloseConnection)
    assert code == error.event_hint.code
    assert (0x88, code) == (harness.replies[0][0], int.from_bytes(harness.replies[0][2:4], "big"))
    assert reason in harness.replies[0].decode("latin-1")
    assert reason in str(error)


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


# ---- both roles


@pytest.mark.parametrize("seed", range(6))
def test_the_two_roles_understand_each_other_however_the_bytes_are_cut(seed: int) -> None:
    rng = random.Random(seed)
    left, right = Harness(asking(deflate=seed % 2 == 0)), Harness(accepting(deflate=seed % 3 != 0))
    right.receive(*random_pieces(rng, left.replies.pop()))
    left.receive(*random_pieces(rng, right.replies.pop()))
    assert isinstance(left.received.pop(), AcceptConnection)
    for _ in range(60):
        sender, receiver = rng.choice([(left, right), (right, left)])
        messages: list[Any] = [some_message(rng) for _ in range(rng.randrange(4))]
        wire = b"".join(sender.send(*(piece for message in messages for piece in fragments(rng, message))))
        receiver.received.clear()
        receiver.receive(*random_pieces(rng, wire))
        assert messages == receiver.received
        sender.receive(*random_pieces(rng, b"".join(receiver.replies)))
        receiver.replies.clear()
    right.receive(*left.send_eof())
    left.receive(*right.replies)
    assert CLOSE == left.received[-1] == right.received[-1]
    left.finish()
    right.finish()


def some_message(rng: random.Random) -> Event:
    size = rng.choice([0, 1, 125, 126, 1000, 70000])
    if rng.random() < 0.5:
        return BytesMessage(data=rng.randbytes(size))
    return TextMessage(data="".join(rng.choices("ab\u00e9\u20ac\U0001f600\r\n", k=size)))


def fragments(rng: random.Random, message: Any) -> list[Event]:
    """The message in one piece or more, with pings between them."""
    pieces: list[Event] = []
    data = message.data
    while rng.random() < 0.5:
        at = rng.randrange(len(data) + 1)
        pieces += [type(message)(data=data[:at], message_finished=False), *([Ping(b"x")] if rng.random() < 0.5 else [])]
        data = data[at:]
    return [*pieces, type(message)(data=data)]


async def test_two_pipelines_that_ping_each_other_do_not_stand_still() -> None:
    """Each sends while it answers."""
    async with joined() as (left, right, _), trio.open_nursery() as nursery:

        async def flood(pipeline: Peer) -> None:
            for _ in range(300):
                await pipeline.send(Ping(b"x" * 100))

        async def count(pipeline: Peer) -> None:
            for _ in range(300):
                assert isinstance(await pipeline.receive(), Pong)
            with trio.move_on_after(1):  # the other one's pings are still to be answered
                await pipeline.receive()

        for pipeline in (left, right):
            nursery.start_soon(flood, pipeline)
            nursery.start_soon(count, pipeline)
