"""How a WebSocket connection begins: each role by itself, and over HTTP1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import h11
import pytest
import trio
import trio.testing
from wsproto.events import (
    AcceptConnection,
    Pong,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)
from wsproto.extensions import PerMessageDeflate
from wsproto.utilities import LocalProtocolError, RemoteProtocolError, generate_accept_token

from pipeline import Engine, Pipeline
from pipeline.testing import Harness, check_limit, pipeline_pair
from stages import HTTP1, WebSocket
from tests.stages.protocols.websocket_wire import (
    ACCEPTED,
    ASKED,
    DEFLATE,
    END_OF_HEAD,
    KEY,
    REFUSED,
    accepting,
    asking,
    client,
    cuts,
    frame,
    wire_error,
)

# ---- of a server


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


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (asked_by_http(Upgrade="h2c"), 400),
        (asked_by_http(Sec_WebSocket_Version="7"), 426),
        (asked_by_http(Content_Length="1"), 400),
        (h11.Request(method="PUT", target="/", headers=[("Host", "a")]), 400),
        (h11.Request(method="GET", target="/", headers=[], http_version="1.0"), 400),
    ],
)
def test_a_wrong_request_is_refused_when_the_stage_is_made(request_: h11.Request, status: int) -> None:
    """So that HTTP1 can still answer it."""
    with pytest.raises(RemoteProtocolError) as info:
        WebSocket("server", request_)
    assert isinstance(info.value.event_hint, RejectConnection)
    assert status == info.value.event_hint.status_code


# ---- of a client


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


def test_extensions_are_the_stages_own() -> None:
    with pytest.raises(ValueError, match=r"extensions are the stage's: WebSocket\('client', .*deflate=True"):
        WebSocket("client", Request("a", "/", extensions=[PerMessageDeflate()]))
