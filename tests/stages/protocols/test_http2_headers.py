"""What is wrong with headers is known before h2 has them: nothing was written, and the connection goes on."""

from __future__ import annotations

import re
from typing import Any

import h2.events
import h2.exceptions
import h2.utilities
import hpack
import pytest
import trio

from pipeline import open_streams
from pipeline.testing import Harness, pipeline_pair
from stages import HTTP2, SendHeaders
from stages.protocols._http2_headers import Headers
from tests.stages.protocols.http2_peer import GET, OK, Peer

WRONG: list[Any] = [
    {":method": "GET", "te": "x"},
    "text",
    None,
    [*GET, ("n", 3)],
    [*GET, ("alone",)],
    GET[:2],
    [*GET, ("first", "1"), ("te", "x")],
    [*GET, ("a b", "y")],
    [*GET, ("Über", "y")],
    [*GET, ("a:b", "y")],
    [*GET, ("", "y")],
    [*GET, ("a", "b\r\nc: d")],
    [*GET, ("a", "b\0c")],
    [*GET, ("a", "\ud800")],
    [*GET, (":status", "200")],
]


def headers_of(headers: Any, *, client: bool = True, began: bool = False, end_stream: bool = True) -> list[Any]:
    return Headers(h2, client=client).of(SendHeaders(1, headers, end_stream), began=began)


def test_names_are_in_lower_case_and_secrets_are_marked() -> None:
    headers = headers_of([*GET, ("X-Name ", " text "), (b"Cookie", b"short")])
    assert [(b"x-name", b"text"), (b"cookie", b"short")] == headers[4:]
    assert not headers[-1].indexable


def test_what_was_looked_at_once_is_remembered_and_means_the_same() -> None:
    looked = Headers(h2, client=False)
    given = [(":status", "200"), ("X-Name", " text ")]
    first = looked.of(SendHeaders(1, given), began=False)
    assert first == looked.of(SendHeaders(1, given), began=False)
    assert first == looked.of(SendHeaders(1, tuple(given)), began=False)
    with pytest.raises(h2.exceptions.ProtocolError):
        looked.of(SendHeaders(1, [given[1], given[0]]), began=False)


def test_a_secret_stays_one_though_the_same_was_sent_as_none() -> None:
    looked = Headers(h2, client=False)
    looked.of(SendHeaders(1, [*OK, ("token", "secret")]), began=False)
    marked = looked.of(SendHeaders(1, [*OK, hpack.NeverIndexedHeaderTuple(b"token", b"secret")]), began=False)
    assert not marked[1].indexable


def test_headers_that_are_dropped_stay_dropped() -> None:
    looked = Headers(h2, client=False)
    for _ in range(2):
        assert [(b":status", b"200")] == looked.of(SendHeaders(1, [*OK, ("connection", "close")]), began=False)


def test_what_is_remembered_is_bounded() -> None:
    looked = Headers(h2, client=False)
    for number in range(1000):
        looked.of(SendHeaders(1, [*OK, ("long", "x" * 1000), ("n", str(number))]), began=False)
    assert len(looked._known) <= 200
    assert all(len(value) < 1000 for _, value in looked._known)


def test_names_that_were_right_are_right_with_other_values_but_where_values_count() -> None:
    """A request's head, in which two of them may contradict each other; and `te`, which has one right value."""
    server = Headers(h2, client=False)
    for number in range(300):
        for began, first in ((False, OK), (True, [])):
            given = [*first, ("n", str(number)), (f"m{number}", "x")]
            headers = server.of(SendHeaders(1, given, end_stream=True), began=began)
            assert [(name.encode(), value.encode()) for name, value in given] == headers
    assert 0 < len(server._right) <= 200
    many = [*OK, *[("n", "x")] * 60]
    assert len(many) == len(server.of(SendHeaders(1, many), began=False))
    assert (False, b":status", *[b"n"] * 60) not in server._right
    for _ in range(2):
        assert server.of(SendHeaders(1, [*OK, ("te", "trailers")]), began=False)
        with pytest.raises(h2.exceptions.ProtocolError, match="TE header"):
            server.of(SendHeaders(1, [*OK, ("te", "gzip")]), began=False)
    with pytest.raises(h2.exceptions.ProtocolError, match="pseudo-header in trailer"):
        server.of(SendHeaders(1, OK, end_stream=True), began=True)
    client = Headers(h2, client=True)
    for _ in range(2):
        assert client.of(SendHeaders(1, [*GET, ("host", "a")]), began=False)
        with pytest.raises(h2.exceptions.ProtocolError, match="mismatched :authority"):
            client.of(SendHeaders(1, [*GET, ("host", "b")]), began=False)


def test_a_pair_that_cannot_be_remembered_is_refused_like_others() -> None:
    pair: Any = ("a", ["b"])
    with pytest.raises(TypeError, match="must be pairs of text or bytes"):
        Headers(h2, client=False).of(SendHeaders(1, [*OK, pair]), began=False)


def test_what_a_server_sends() -> None:
    assert [(b":status", b"200")] == headers_of(OK, client=False)
    assert [(b":status", b"100")] == headers_of([(":status", "100")], client=False, end_stream=False)
    assert [(b"sum", b"1")] == headers_of([("sum", "1")], client=False, began=True)
    with pytest.raises(h2.exceptions.ProtocolError):
        headers_of(OK, client=False, began=True)
    with pytest.raises(h2.exceptions.ProtocolError, match="these are trailers"):
        headers_of([("sum", "1")], client=False, began=True, end_stream=False)


@pytest.mark.parametrize("status", ["", "99", "2000", "abc", "2OO", "101", "+20"])
def test_a_status_is_a_number_of_three_digits_and_not_that_of_an_upgrade(status: str) -> None:
    for _ in range(2):
        with pytest.raises(h2.exceptions.ProtocolError, match=f"HTTP2: b':status': b'{re.escape(status)}' cannot be a"):
            headers_of([(":status", status)], client=False)


@pytest.mark.parametrize("wrong", WRONG[:5])
def test_what_is_no_pairs_is_refused_with_a_right_call(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"SendHeaders\(headers=...\): must be pairs of text or bytes, \[\(':status'"):
        headers_of(wrong)


@pytest.mark.parametrize("wrong", WRONG[5:])
def test_wrong_headers_are_refused(wrong: Any) -> None:
    with pytest.raises((h2.exceptions.ProtocolError, ValueError)):
        headers_of(wrong)


@pytest.mark.parametrize("wrong", WRONG)
def test_after_wrong_headers_the_peer_understands_the_next_ones(wrong: Any) -> None:
    """Also by the tables of the compression, which both sides must have alike."""
    http2, peer = HTTP2("client"), Peer(client=False)
    harness = Harness(http2)
    peer.read(harness.sent)
    with pytest.raises((h2.exceptions.ProtocolError, ValueError, TypeError)):
        harness.send(SendHeaders(1, wrong))
    for stream_id in 1, 3:
        data = harness.send(SendHeaders(stream_id, [*GET, ("first", "1"), ("second", "2")], end_stream=True))
        request = next(each for each in peer.read(data) if isinstance(each, h2.events.RequestReceived))
        assert [(b"first", b"1"), (b"second", b"2")] == request.headers[4:]


async def test_a_stream_with_wrong_headers_fails_alone() -> None:
    """Its reset is not sent, as the peer knows nothing of it; and a server may send right ones behind the wrong."""

    async def serve(server: Any) -> None:
        async with open_streams(server) as streams:
            async for stream in streams:
                async with stream:
                    with pytest.raises(TypeError):
                        await stream.send(SendHeaders(stream.key, {":status": 200}))  # type: ignore[dict-item]
                    with pytest.raises(h2.exceptions.ProtocolError):
                        await stream.send(SendHeaders(stream.key, [(":status", "200"), ("a\n", "b\n\nc")]))
                    await stream.send(SendHeaders(stream.key, [(":status", "500")]))

    async with pipeline_pair(HTTP2("client"), HTTP2("server")) as (client, server), trio.open_nursery() as nursery:
        nursery.start_soon(serve, server)
        async with open_streams(client) as streams:
            for wrong in WRONG:
                with pytest.raises((h2.exceptions.ProtocolError, ValueError, TypeError)):
                    async with streams.open() as stream:
                        await stream.send(SendHeaders(stream.key, wrong))
            async with streams.open() as stream:
                await stream.send(SendHeaders(stream.key, GET, end_stream=True))
                assert [(b":status", b"500")] == (await stream.receive()).headers
        nursery.cancel_scope.cancel()
