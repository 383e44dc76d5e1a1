"""HTTP/1.1 by h11: canned bytes in, events out; and its two roles against each other."""

from __future__ import annotations

import itertools
import random
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Literal

import h11
import pytest
import trio
import trio.testing

from pipeline import END, Engine, Pipeline, PipelineError, Reply
from pipeline.testing import Harness, check_limit, check_linear, pipeline_pair
from stages import HTTP1, LineFramer
from tests.stages.framing.driving import random_pieces

HEAD = b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n"
UPGRADE = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: lines\r\n\r\n"
EXPECTS = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
END_OF_MESSAGE = h11.EndOfMessage()


def request(method: str = "GET", target: str = "/", **headers: str) -> h11.Request:
    given = [("Host", "a"), *((name.replace("_", "-"), value) for name, value in headers.items())]
    return h11.Request(method=method, target=target, headers=given)


def response(status: int = 200, body: bytes = b"", **headers: str) -> list[h11.Event]:
    given = [("Content-Length", str(len(body))), *headers.items()]
    head = h11.Response(status_code=status, headers=given)
    return [head, *([h11.Data(data=body)] if body else []), END_OF_MESSAGE]


def told(events: Iterable[Any]) -> list[Any]:
    """What was said, however the bodies were cut."""
    said: list[Any] = []
    for event in events:
        match event:
            case h11.Request():
                said.append((event.method, event.target))
            case h11.Response() | h11.InformationalResponse():
                said.append((event.status_code, event.reason))
            case h11.Data():
                data = bytes(event.data)
                said = [*said[:-1], said[-1] + data] if said and isinstance(said[-1], bytes) else [*said, data]
            case _:
                said.append(type(event).__name__)
    return said


def server(**options: Any) -> Harness:
    return Harness(HTTP1("server", **options))


# ---- messages

CANNED: list[tuple[Literal["client", "server"], bytes, list[Any]]] = [
    ("server", HEAD % 1, [(b"GET", b"/1"), "EndOfMessage"]),
    (
        "server",
        b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        [(b"POST", b"/p"), b"hello", "EndOfMessage"],
    ),
    (
        "server",
        (
            b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: t\r\n\r\n"
        ),
        [(b"POST", b"/c"), b"abcde", "EndOfMessage"],
    ),
    ("client", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", [(200, b"OK"), b"hi", "EndOfMessage"]),
    ("client", b"HTTP/1.0 200 OK\r\n\r\nuntil the end", [(200, b"OK"), b"until the end", "EndOfMessage"]),
    (
        "client",
        b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
        [(103, b"Early Hints"), (204, b"No Content"), "EndOfMessage"],
    ),
]


def outcome(role: Literal["client", "server"], pieces: Iterable[bytes]) -> list[Any]:
    with Harness(HTTP1(role)) as harness:
        if role == "client":
            harness.send(request(), END_OF_MESSAGE)
        harness.receive(*pieces)
        if role == "client":
            harness.finish()
        return told(harness.received)


@pytest.mark.parametrize(("role", "wire", "events"), CANNED)
def test_canned_bytes_become_events_wherever_they_are_cut(
    role: Literal["client", "server"], wire: bytes, events: list[Any]
) -> None:
    assert events == outcome(role, [wire])
    assert events == outcome(role, [wire[at : at + 1] for at in range(len(wire))])
    for at in range(1, len(wire)):
        assert events == outcome(role, [wire[:at], b"", wire[at:]])


def test_events_become_bytes() -> None:
    harness = server()
    harness.receive(HEAD % 1)
    out = harness.send(*response(200, b"hi"))
    assert b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi" == b"".join(out)


@pytest.mark.parametrize(("status", "reason"), [(404, b"Not Found"), (299, b"Unknown")])
def test_a_reason_that_is_missing_is_filled_in(status: int, reason: bytes) -> None:
    """To `h2load --h1`, for one, a response without it is a failed one."""
    harness = server()
    harness.receive(HEAD % 1)
    assert harness.send(*response(status))[0].startswith(b"HTTP/1.1 %d %s\r\n" % (status, reason))


def test_a_reason_that_was_given_is_kept() -> None:
    harness = server()
    harness.receive(HEAD % 1)
    head = h11.Response(status_code=200, headers=[("Content-Length", "0")], reason=b"Well done")
    assert harness.send(head)[0].startswith(b"HTTP/1.1 200 Well done\r\n")


@pytest.mark.parametrize("reason", [b"OK\r\nX-Evil: 1", b"OK\n", b"\0"])
@pytest.mark.parametrize("kind", [h11.Response, h11.InformationalResponse])
def test_a_reason_cannot_begin_a_header(kind: type[h11.Response], reason: bytes) -> None:
    """h11 refuses such headers, and writes such reasons."""
    harness = server()
    harness.receive(HEAD % 1)
    event = kind(status_code=200 if kind is h11.Response else 103, headers=[], reason=reason)
    with pytest.raises(ValueError, match=r"HTTP1: the reason b'.*' has a line break or another control character"):
        harness.send(event)
    assert harness.send(*response())[0].startswith(b"HTTP/1.1 200 OK\r\n")


def test_an_early_answer_ends_no_request() -> None:
    """The rest of the request comes nevertheless, and then the next one."""
    harness = server()
    harness.receive(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n")
    harness.send(*response(413))
    assert [b"abc", "EndOfMessage", (b"GET", b"/2"), "EndOfMessage"] == told(harness.receive(b"abc", HEAD % 2))


# ---- one connection, many messages


def test_the_next_request_comes_out_when_the_cycle_is_over() -> None:
    stage = HTTP1("server")
    harness = Harness(stage)
    assert [(b"GET", b"/1"), "EndOfMessage"] == told(harness.receive(HEAD % 1 + HEAD % 2, HEAD % 3))
    assert not stage.inbound.wants_input
    harness.send(*response())
    assert [(b"GET", b"/2"), "EndOfMessage"] == told(harness.received[2:])
    harness.send(*response())
    harness.send(*response())
    assert [(b"GET", b"/3"), "EndOfMessage"] == told(harness.received[4:])
    assert stage.inbound.wants_input
    harness.finish()


def test_h11_is_not_fed_while_it_pauses() -> None:
    """It would store all of it: a client that sends requests and reads no answer could fill the memory."""
    stage = HTTP1("server")
    harness = Harness(stage)
    harness.receive(HEAD % 1, HEAD % 2 + b"x" * 1000, b"x" * 1000000)
    assert len(HEAD % 2) + 1000 == stage.holds == stage.inbound.holds


async def test_a_receive_that_waits_is_woken_by_the_answer_of_another_task() -> None:
    async with pipeline_pair(HTTP1("client"), HTTP1("server")) as (left, right):
        async with trio.open_nursery() as nursery:

            async def answer() -> None:
                await trio.sleep(1)
                await right.send_many(response())

            await left.send_many([request(), END_OF_MESSAGE])
            assert [(b"GET", b"/"), "EndOfMessage"] == told([await right.receive(), await right.receive()])
            nursery.start_soon(answer)
            nursery.start_soon(left.send_many, [request(target="/2"), END_OF_MESSAGE])
            assert (b"GET", b"/2") == told([await right.receive()])[0]
        assert ["Response", "EndOfMessage"] == [type(await left.receive()).__name__ for _ in range(2)]


async def test_a_client_sends_the_next_request_when_the_response_is_there() -> None:
    engine = Engine(HTTP1("client"), byte_wire=True)
    engine.start()
    for event in (request(), END_OF_MESSAGE):
        engine.send(event)
        engine.next_item()
        sent = engine.to_write()
    engine.send(request(target="/2"))
    engine.next_item()
    assert [] == engine.to_write()
    engine.feed(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert [(204, b"No Content"), "EndOfMessage"] == told([engine.next_item(), engine.next_item()])
    sent = engine.to_write()
    assert isinstance(sent, list)
    assert sent[0].startswith(b"GET /2 ")
    engine.close()


async def test_a_client_that_leaves_without_the_response_does_not_wait_for_it() -> None:
    peer, ours = trio.testing.memory_stream_pair()
    async with Pipeline[Any, Any](ours, HTTP1("client")) as pipeline:
        await pipeline.send_many([request(), END_OF_MESSAGE])
        before = trio.current_time()
        await pipeline.send_eof()
    assert trio.current_time() - before < 1
    assert (await peer.receive_some()).startswith(b"GET / ")


def test_connection_close_ends_both_directions() -> None:
    harness = server()
    harness.receive(HEAD % 1 + HEAD % 2)
    harness.send(*response(200, b"", connection="close"))
    assert harness.outbound_ended
    assert harness.inbound_ended
    assert [(b"GET", b"/1"), "EndOfMessage"] == told(harness.received)


def test_a_request_with_connection_close_is_the_last() -> None:
    """And what comes behind it is no error: nobody reads it."""
    harness = server()
    assert 2 == len(harness.receive(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n\r\n"))
    assert harness.inbound_ended
    assert not harness.outbound_ended
    assert b"connection: close" in harness.send(*response())[0].lower()
    assert harness.outbound_ended


def test_nothing_is_parsed_behind_the_last_request() -> None:
    stage = HTTP1("server")
    last = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    assert [(b"GET", b"/"), "EndOfMessage", "End"] == told(stage.inbound.process_sync(last + b"GARBAGE\r\n\r\n"))


def test_http_1_0_without_a_length_ends_where_the_wire_does() -> None:
    harness = server()
    harness.receive(b"GET / HTTP/1.0\r\n\r\n")
    head = h11.Response(status_code=200, headers=[])
    out = harness.send(head, h11.Data(data=b"all"), END_OF_MESSAGE)
    assert b"".join(out).endswith(b"\r\nConnection: close\r\n\r\nall")
    assert harness.outbound_ended


def test_a_client_may_end_its_direction_and_get_its_answer() -> None:
    harness = server()
    harness.receive(HEAD % 1)
    harness.finish()
    assert b"200 OK" in harness.send(*response())[0]


async def test_a_sent_connection_closed_is_the_end() -> None:
    assert [END] == list(await HTTP1("client").outbound.process(h11.ConnectionClosed()))


# ---- 100-continue


def test_the_body_is_asked_for_when_somebody_wants_it() -> None:
    stage = HTTP1("server")
    results = iter(stage.inbound.process_sync(EXPECTS))
    assert isinstance(next(results), h11.Request)
    assert b"" == stage.data_to_send()
    assert [Reply(b"HTTP/1.1 100 Continue\r\n\r\n")] == list(results)
    assert [b"body", "EndOfMessage"] == told(stage.inbound.process_sync(b"body"))


def test_a_request_that_is_refused_is_not_asked_for_its_body() -> None:
    stage = HTTP1("server")
    results = iter(stage.inbound.process_sync(EXPECTS))
    next(results)
    assert b"".join(map(stage.send_event, response(413))).startswith(b"HTTP/1.1 413 ")
    assert [] == list(results)


def test_a_body_that_comes_unasked_is_not_asked_for() -> None:
    harness = server()
    assert [(b"POST", b"/"), b"body", "EndOfMessage"] == told(harness.receive(EXPECTS + b"body"))
    assert [] == harness.replies


def test_after_a_response_that_failed_nobody_is_asked_to_continue() -> None:
    stage = HTTP1("server")
    results = iter(stage.inbound.process_sync(EXPECTS))
    next(results)
    with pytest.raises(h11.LocalProtocolError):
        stage.send_event(END_OF_MESSAGE)
    assert [] == list(results)


def test_an_own_100_is_the_only_one() -> None:
    stage = HTTP1("server")
    results = iter(stage.inbound.process_sync(EXPECTS))
    next(results)
    assert b"HTTP/1.1 100 Continue\r\n\r\n" == stage.send_event(h11.InformationalResponse(status_code=100, headers=[]))
    assert [] == list(results)


# ---- upgrades


@pytest.mark.parametrize("at", range(1, len(UPGRADE) + 12))
async def test_an_upgrade_is_exact_wherever_the_bytes_are_cut(at: int) -> None:
    """What follows the request goes to the next stage, byte for byte (U1)."""
    wire = UPGRADE + b"line\nline 2\n"
    peer, ours = trio.testing.memory_stream_pair()
    async with Pipeline[Any, Any](ours, HTTP1("server")) as pipeline, trio.open_nursery() as nursery:
        await peer.send_all(wire[:at])
        nursery.start_soon(later, peer, wire[at:])
        assert [(b"GET", b"/"), "EndOfMessage"] == told([await pipeline.receive(), await pipeline.receive()])
        await pipeline.send(h11.InformationalResponse(status_code=101, headers=[("Upgrade", "lines")]))
        await pipeline.replace(HTTP1, LineFramer())
        assert [b"line", b"line 2"] == [await pipeline.receive(), await pipeline.receive()]
        await pipeline.send(b"answer")
        written = await peer.receive_some()
        assert written.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
        assert written.endswith(b"\r\n\r\nanswer\n")


async def later(peer: trio.abc.SendStream, data: bytes) -> None:
    await trio.sleep(1)
    await peer.send_all(data or b" ")


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (request(connection="Upgrade", upgrade="lines"), b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: lines\r\n\r\n"),
        (request("CONNECT", "b:80"), b"HTTP/1.1 200 OK\r\n\r\n"),
    ],
)
async def test_a_client_gives_on_what_follows_the_switch(asked: h11.Request, answer: bytes) -> None:
    peer, ours = trio.testing.memory_stream_pair()
    async with Pipeline[Any, Any](ours, HTTP1("client")) as pipeline:
        await pipeline.send_many([asked, END_OF_MESSAGE])
        await peer.send_all(answer + b"line\nli")
        await pipeline.receive()
        await pipeline.replace(HTTP1, LineFramer())
        await peer.send_all(b"ne 2\n")
        assert [b"line", b"line 2"] == [await pipeline.receive(), await pipeline.receive()]


def test_after_a_switch_nothing_is_read() -> None:
    stage = HTTP1("client")
    harness = Harness(stage)
    harness.send(request("CONNECT", "b:80"), END_OF_MESSAGE)
    assert not stage.inbound.ready
    harness.receive(b"HTTP/1.1 200 OK\r\n\r\n" + b"tunnel")
    assert stage.inbound.ready
    assert not stage.inbound.wants_input
    assert [b"tunnel"] == stage.inbound.unread(())
    assert not stage.inbound.wants_input


def test_an_upgrade_that_is_refused_leaves_the_connection_as_it_is() -> None:
    harness = server()
    harness.receive(UPGRADE + HEAD % 2)
    harness.send(*response(426))
    assert [(b"GET", b"/2"), "EndOfMessage"] == told(harness.received[2:])


def test_what_was_given_back_can_be_fed_again() -> None:
    stage = HTTP1("server")
    list(stage.inbound.process_sync(HEAD % 1 + HEAD % 2))
    assert [HEAD % 2] == stage.inbound.unread(())
    assert stage.inbound.wants_input
    assert [] == list(stage.inbound.process_sync(HEAD % 2))
    assert not stage.inbound.wants_input
    assert [HEAD % 2] == stage.inbound.unread(())


# ---- what is wrong


UNASKED = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
SMUGGLED = (
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"0\r\n\r\nGET /admin HTTP/1.1\r\nHost: a\r\nX: "
)
"""One request to who goes by the length, and one and a half to h11, which goes by the chunks."""


@pytest.mark.parametrize(
    ("wire", "status"),
    [
        (b"GARBAGE\r\n\r\n", b"400 Bad Request"),
        (b"\x16\x03\x01", b"400 Bad Request"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400 Bad Request"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 20000, b"431 Request Header Fields Too Large"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", b"501 Not Implemented"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", b"400 Bad Request"),
        (SMUGGLED, b"400 Bad Request"),
    ],
)
def test_a_client_is_told_what_is_wrong_before_the_error_is_raised(wire: bytes, status: bytes) -> None:
    step = max(1, len(wire) // 100)
    for pieces in ([wire], [wire[at : at + step] for at in range(0, len(wire), step)]):
        harness = server()
        with pytest.raises(h11.RemoteProtocolError):
            harness.receive(*pieces)
        expected = b"HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: 0\r\n\r\n" % status
        assert expected == b"".join(harness.replies)
        assert harness.outbound_ended


def test_a_request_with_two_ends_is_not_shown() -> None:
    """A proxy that goes by the other one has let the second request pass as a body."""
    harness = server()
    with pytest.raises(h11.RemoteProtocolError, match="a request with Content-Length and Transfer-Encoding"):
        harness.receive(SMUGGLED)
    assert [] == harness.received


async def test_the_answer_goes_out_over_a_pipeline_before_the_error() -> None:
    peer, ours = trio.testing.memory_stream_pair()
    await peer.send_all(b"GARBAGE\r\n\r\n")
    with pytest.raises(h11.RemoteProtocolError):
        async with Pipeline[Any, Any](ours, HTTP1("server")) as pipeline:
            await pipeline.receive()
    assert (await peer.receive_some()).startswith(b"HTTP/1.1 400 Bad Request\r\n")


def test_an_answer_that_was_begun_is_not_followed_by_another() -> None:
    harness = server()
    harness.receive(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    harness.send(response()[0])
    with pytest.raises(h11.RemoteProtocolError):
        harness.receive(b"xyz\r\n")
    assert [] == harness.replies


def test_a_client_answers_no_error() -> None:
    harness = Harness(HTTP1("client"))
    harness.send(request(), END_OF_MESSAGE)
    with pytest.raises(h11.RemoteProtocolError, match="illegal status line"):
        harness.receive(b"GARBAGE\r\n\r\n")
    assert [] == harness.replies


@pytest.mark.parametrize("wire", [b"GARBAGE\r\n\r\n", UNASKED])
def test_behind_a_wrong_response_no_request_can_be_sent(wire: bytes) -> None:
    """One that came before anything was asked, such as 408, is shown."""
    harness = Harness(HTTP1("client"))
    with suppress(h11.RemoteProtocolError):
        harness.receive(wire)
    with pytest.raises(h11.LocalProtocolError, match="without being asked, or wrongly; ask on another connection"):
        harness.send(request())


@pytest.mark.parametrize("at", [0, 5, len(UNASKED) - 1])
async def test_what_comes_behind_a_response_is_never_taken_for_the_next_one(at: int) -> None:
    """Not by who sends the next request at once, and not by who receives on."""
    for receives_on in (False, True):
        left, right = trio.testing.memory_stream_pair()
        async with right, Pipeline[Any, Any](left, HTTP1("client")) as asking:
            await asking.send_many([request(), END_OF_MESSAGE])
            await right.send_all(UNASKED + UNASKED[: at + 1])
            assert [200, "EndOfMessage"] == [(await asking.receive()).status_code, told([await asking.receive()])[0]]
            with pytest.raises(h11.RemoteProtocolError, match=f"{at + 1} bytes came behind the response, which nobody"):
                await (asking.receive() if receives_on else asking.send(request()))


def test_what_came_behind_a_response_can_be_given_back() -> None:
    stage = HTTP1("client")
    list(stage.outbound.process_sync(request()))
    list(stage.outbound.process_sync(END_OF_MESSAGE))
    assert ["Response", "EndOfMessage"] == [type(each).__name__ for each in stage.inbound.process_sync(UNASKED + b"x")]
    assert not stage.inbound.ready
    assert [b"x"] == stage.inbound.unread(())
    assert stage.inbound.ready


async def test_a_client_that_waits_to_send_learns_that_the_response_is_wrong() -> None:
    peer, ours = trio.testing.memory_stream_pair()
    async with Pipeline[Any, Any](ours, HTTP1("client")) as pipeline:
        await pipeline.send_many([request(), END_OF_MESSAGE])
        await peer.send_all(b"GARBAGE\r\n\r\n")
        with pytest.raises((h11.RemoteProtocolError, trio.BrokenResourceError)):
            await pipeline.send(request())


@pytest.mark.parametrize("wire", [HEAD[:-1], b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhell"])
def test_an_end_inside_a_message_is_an_error(wire: bytes) -> None:
    harness = server()
    harness.receive(wire)
    with pytest.raises(h11.RemoteProtocolError):
        harness.finish()
    assert harness.replies[-1].startswith(b"HTTP/1.1 400 ")


def test_a_server_that_closes_without_a_response_is_named() -> None:
    harness = Harness(HTTP1("client"))
    harness.send(request(), END_OF_MESSAGE)
    with pytest.raises(h11.RemoteProtocolError, match="the server ended the connection without a response"):
        harness.finish()


def test_a_request_that_waits_is_not_written_to_a_server_that_has_ended() -> None:
    """The end of the stream is the end of the response, too; the connection is free and over in one step."""
    harness = Harness(HTTP1("client"))
    harness.send(request(), END_OF_MESSAGE)
    harness.receive(b"HTTP/1.1 200 OK\r\n\r\nto the end")
    assert [] == harness.send(request(target="/2"))
    with pytest.raises(PipelineError, match="outbound has ended before the item that was sent was through"):
        harness.finish()
    assert [(200, b"OK"), b"to the end", "EndOfMessage"] == told(harness.received)
    assert b"/2" not in b"".join(harness.sent)


def test_a_server_that_closes_between_messages_ends_the_stream() -> None:
    harness = Harness(HTTP1("client"))
    harness.send(request(), END_OF_MESSAGE)
    harness.receive(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert [] == harness.finish()
    assert harness.inbound_ended


def test_what_is_no_event_is_refused_and_nothing_else_happens() -> None:
    harness = server()
    harness.receive(HEAD % 1)
    with pytest.raises(TypeError, match=r"HTTP1 sends events of h11, not dict: h11.Request\(...\) or"):
        harness.send({"status": 200})
    assert harness.send(*response())[0].startswith(b"HTTP/1.1 200 OK")


def test_an_event_at_the_wrong_time_is_an_error() -> None:
    with pytest.raises(h11.LocalProtocolError):
        server().send(h11.Data(data=b"x"))


def test_a_response_must_not_end_before_its_end() -> None:
    harness = server()
    harness.receive(HEAD % 1)
    harness.send(response()[0])
    with pytest.raises(h11.LocalProtocolError, match=r"ended inside a response; send h11.EndOfMessage\(\)"):
        harness.send_eof()


def test_other_bytes_than_bytes_are_taken_likewise() -> None:
    assert [(b"GET", b"/1"), "EndOfMessage"] == told(server().receive(bytearray(HEAD % 1)))


def test_a_limit_of_the_head_does_not_depend_on_the_cut() -> None:
    def head(size: int) -> bytes:
        return b"GET / HTTP/1.1\r\nHost: " + b"a" * (size - 26) + b"\r\n\r\n"

    assert 60 == len(head(60))
    check_limit(
        lambda n: HTTP1("server", max_header_bytes=n),
        head,
        certain=lambda n: n,
        limits=(60,),
        random_cuts=50,
        errors=h11.RemoteProtocolError,
    )
    with pytest.raises(h11.RemoteProtocolError, match=r"a head of 61 bytes is over the limit, max_header_bytes=60\."):
        server(max_header_bytes=60).receive(head(61))
    with pytest.raises(h11.RemoteProtocolError, match=r"a head of at least 61 bytes is over the limit, max_header_byt"):
        server(max_header_bytes=60).receive(head(70)[:60])


def test_the_limit_is_not_that_of_bodies() -> None:
    harness = server(max_header_bytes=60)
    harness.receive(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n" + b"x" * 5000)
    assert "EndOfMessage" == told(harness.received)[-1]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HTTP1("peer"), r"HTTP1\(role='peer'\): must be one of 'client', 'server'"),  # type: ignore[arg-type]
        (lambda: HTTP1("client", max_header_bytes=0), r"HTTP1\(max_header_bytes=0\): must be a whole number"),
    ],
)
def test_wrong_arguments_are_refused(make: Callable[[], HTTP1], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_without_h11_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h11", None)
    with pytest.raises(ImportError, match=r"HTTP1 needs h11: pip install 'penstock\[h11\]'"):
        HTTP1("client")


# ---- much of it

CHUNKS = b"1\r\nx\r\n" * 200


@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_a_body_of_many_events_in_one_read_comes_whole_and_then_the_end(kind: type[bytes | bytearray]) -> None:
    """More than are made at once; the last request ends the direction, as where there are few."""
    head = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    *events, end = HTTP1("server").inbound.process_sync(kind(head + CHUNKS + b"0\r\n\r\n"))
    assert [(b"POST", b"/"), b"x" * 200, "EndOfMessage"] == told(events)
    assert END is end


def test_what_is_wrong_behind_many_events_is_told_after_them() -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    harness = server()
    with pytest.raises(h11.RemoteProtocolError):
        harness.receive(head + CHUNKS + b"no chunk\r\n")
    assert [(b"POST", b"/"), b"x" * 200] == told(harness.received)
    assert b"".join(harness.sent).startswith(b"HTTP/1.1 400 ")


def test_work_is_linear() -> None:
    check_linear(lambda: HTTP1("server", max_header_bytes=1 << 30), lambda n: [b"x"] * n, n=4096)
    body = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    check_linear(lambda: HTTP1("server"), lambda n: [body, b"1\r\nx\r\n" * n], n=1000)


def answers(events: list[Any], bodies: Iterable[bytes]) -> list[h11.Event]:
    """One response for each request that is whole."""
    out: list[h11.Event] = []
    for event in events:
        if isinstance(event, h11.EndOfMessage):
            out += response(200, next(iter(bodies)))
    return out


@pytest.mark.parametrize("seed", range(10))
def test_the_two_roles_understand_each_other_however_the_bytes_are_cut(seed: int) -> None:
    rng = random.Random(seed)
    client, serving = Harness(HTTP1("client")), server()
    for number in range(25):
        sizes = [rng.choice([0, 1, 100, 5000]) for _ in range(2)]
        asked, answered = (bytes(rng.randbytes(size)) for size in sizes)
        method = rng.choice(["GET", "POST", "PUT"])
        chunked = {"Transfer_Encoding": "chunked"} if rng.random() < 0.5 else {"Content_Length": str(len(asked))}
        body = [h11.Data(data=asked)] if asked else []
        serving.received.clear()
        client.received.clear()
        wire = client.send(request(method, f"/{number}", **chunked), *body, END_OF_MESSAGE)
        serving.receive(*random_pieces(rng, b"".join(wire)))
        expected = [(method.encode(), b"/%d" % number), *([asked] if asked else []), "EndOfMessage"]
        assert expected == told(serving.received)
        head = h11.Response(status_code=200, headers=[])
        back = serving.send(head, *([h11.Data(data=answered)] if answered else []), END_OF_MESSAGE)
        client.receive(*random_pieces(rng, b"".join(back)))
        assert [(200, b"OK"), *([answered] if answered else []), "EndOfMessage"] == told(client.received)
    client.finish()
    serving.finish()


@pytest.mark.parametrize("seed", range(5))
def test_pipelined_requests_are_answered_in_order_however_they_are_cut(seed: int) -> None:
    rng = random.Random(seed)
    wire = b"".join(HEAD % number for number in range(50))
    engine = Engine(HTTP1("server"), byte_wire=True)
    engine.start()
    pieces = random_pieces(rng, wire)
    out = b""
    asked: list[Any] = []
    for _ in itertools.repeat(None, 1000):
        item = engine.next_item()
        if isinstance(item, h11.Request):
            asked.append(item.target)
        elif isinstance(item, h11.EndOfMessage):
            for event in response(200, b"to " + asked[-1]):
                engine.send(event)
                written = engine.to_write()
                assert isinstance(written, list)
                out += b"".join(written)
        elif pieces:
            engine.feed(pieces.pop(0))
    engine.close()
    assert [b"/%d" % number for number in range(50)] == asked
    assert [b"to /%d" % n for n in range(50)] == [each.split(b"HTTP/")[0] for each in out.split(b"\r\n\r\n")[1:]]
