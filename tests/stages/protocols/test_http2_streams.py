"""`HTTP2` with `open_streams`: each stream a channel, none in the way of another."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import h2.events
import h2.exceptions
import pytest
import trio
from h2.errors import ErrorCodes
from h2.settings import SettingCodes

from pipeline import open_streams, open_tcp_pipeline, serve_tcp
from pipeline.testing import Harness, pipeline_pair
from stages import HTTP2, SendCredit, SendData, SendHeaders, SendReset
from tests.memory import peak_memory
from tests.stages.protocols.http2_peer import (
    DATA,
    END_STREAM,
    GET,
    GOAWAY,
    OK,
    POST,
    RST_STREAM,
    Peer,
    frame,
    names,
    window_update,
)


class Attached:
    """Our server as `open_streams` uses it, and a client of bare h2 that has opened streams."""

    def __init__(self, streams: int = 1, *, window: int = 65535, head: Any = POST) -> None:
        self.stage = HTTP2("server")
        self.rules = self.stage.stream_rules
        assert self.rules.attach is not None
        self.rules.attach()
        self.harness, self.peer = Harness(self.stage), Peer(settings={SettingCodes.INITIAL_WINDOW_SIZE: window})
        for number in range(streams):
            self.peer.send_headers(2 * number + 1, head)
        self.events = self.receive()
        self.written()

    def receive(self) -> list[Any]:
        return self.harness.receive(self.peer.data_to_send())

    def written(self) -> bytes:
        out = b"".join(self.harness.sent)
        self.harness.sent.clear()
        return out

    def may_send(self, stream_id: int) -> bool:
        assert self.rules.may_send is not None
        return self.rules.may_send(stream_id, SendData(stream_id, b"x"))

    def taken(self, event: Any) -> Any:
        assert self.rules.taken is not None
        return self.rules.taken(event)


# ---- the rules


def test_events_belong_to_streams_or_to_none() -> None:
    rules = HTTP2("server").stream_rules
    data = h2.events.DataReceived(stream_id=3, data=b"x")
    assert 3 == rules.key(data)
    assert rules.key(h2.events.ConnectionTerminated()) is None
    assert rules.key(h2.events.WindowUpdated(stream_id=0, delta=1)) is None
    assert rules.opens is not None
    assert not rules.opens(data)
    assert rules.opens(h2.events.RequestReceived(stream_id=3, headers=[]))


def test_sending_on_a_stream_that_is_over_is_known_as_that() -> None:
    gone = HTTP2("server").stream_rules.gone
    assert gone is not None
    assert gone(h2.exceptions.StreamClosedError(1))
    assert not gone(h2.exceptions.ProtocolError())


def test_items_count_what_they_hold() -> None:
    rules = HTTP2("server").stream_rules
    assert 100 + 5 == rules.cost(h2.events.DataReceived(stream_id=3, data=b"hello"))
    assert 100 + 1 + 2 + 32 == rules.cost(h2.events.RequestReceived(stream_id=3, headers=[(b"a", b"bc")]))
    assert 100 == rules.cost(h2.events.StreamEnded(stream_id=3))


def test_credit_is_given_for_what_a_consumer_took_and_not_for_what_came() -> None:
    attached = Attached()
    for _ in range(2):
        attached.peer.send_data(1, b"x" * 16384)
    events = attached.receive()
    assert ["DataReceived"] * 2 == names(events)
    assert b"" == attached.written()
    assert attached.taken(attached.events[0]) is None
    assert attached.taken(events[0]) is None
    credit = attached.taken(events[1])
    assert SendCredit(1, 32768) == credit
    attached.harness.send(credit)
    assert window_update(32768, 1) == attached.written()


async def test_a_request_that_nobody_answers_is_reset() -> None:
    """Its handler has left it; data without a head would break the connection, with all other streams."""

    async def serve(server: Any) -> None:
        async with open_streams(server) as streams:
            async for stream in streams:
                async with stream:
                    if dict((await stream.receive()).headers)[b":path"] == b"/answer":
                        await stream.send(SendHeaders(stream.key, [(":status", "200")]))

    async with pipeline_pair(HTTP2("client"), HTTP2("server")) as (client, server), trio.open_nursery() as nursery:
        nursery.start_soon(serve, server)
        async with open_streams(client) as streams:
            for path in ("/none", "/answer"):
                async with streams.open() as stream:
                    head = [(":method", "GET"), (":scheme", "https"), (":authority", "a"), (":path", path)]
                    await stream.send(SendHeaders(stream.key, head, end_stream=True))
                    if path == "/none":
                        with pytest.raises(trio.BrokenResourceError, match="INTERNAL_ERROR"):
                            await stream.receive()
                    else:
                        assert ["ResponseReceived"] == names([event async for event in stream])
        nursery.cancel_scope.cancel()


def test_credit_for_padding_alone_is_given_at_once() -> None:
    """Nobody takes what is not shown."""
    attached = Attached()
    for _ in range(129):
        attached.peer.send_data(1, b"", pad_length=255)
    assert [] == attached.receive()
    assert window_update(128 * 256, 1) == attached.written()


def test_after_the_block_credit_is_given_by_the_stage_again() -> None:
    attached = Attached()
    assert attached.rules.detach is not None
    attached.rules.detach()
    for _ in range(2):
        attached.peer.send_data(1, b"x" * 16384)
    attached.receive()
    assert window_update(32768, 1) == attached.written()


def test_a_stream_of_which_something_waits_may_not_send_and_others_may() -> None:
    attached = Attached(2, window=10)
    for stream_id in (1, 3):
        attached.harness.send(SendHeaders(stream_id, OK))
    attached.harness.send(SendData(1, b"x" * 30))
    assert attached.stage.inbound.ready
    assert [False, True] == [attached.may_send(1), attached.may_send(3)]
    attached.peer.increment_flow_control_window(10, 1)
    assert [] == attached.receive()
    attached.peer.increment_flow_control_window(10, 1)
    (event,) = attached.receive()
    assert isinstance(event, h2.events.WindowUpdated)
    assert attached.rules.hides is not None
    assert attached.rules.hides(event)
    assert attached.may_send(1)


def test_one_event_tells_of_all_streams_that_may_send_again() -> None:
    attached = Attached(3, window=10)
    for stream_id in (1, 3, 5):
        attached.harness.send(SendHeaders(stream_id, OK), SendData(stream_id, b"x" * 30))
    attached.peer.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 30})
    assert ["RemoteSettingsChanged"] == names(attached.receive())
    assert all(map(attached.may_send, (1, 3, 5)))


def test_new_settings_are_told_since_more_streams_may_be_open() -> None:
    stage = HTTP2("client")
    rules = stage.stream_rules
    assert rules.attach is not None
    assert rules.may_send is not None
    assert rules.new_key is not None
    rules.attach()
    client = Harness(stage)
    peer = Peer(client=False, settings={SettingCodes.MAX_CONCURRENT_STREAMS: 1})
    assert ["RemoteSettingsChanged"] == names(client.receive(peer.data_to_send()))
    assert 1 == rules.new_key()
    head = SendHeaders(1, GET, end_stream=True)
    assert rules.may_send(1, head)
    client.send(head)
    assert not rules.may_send(3, SendHeaders(3, GET))
    assert rules.may_send(1, SendData(1, b"x"))
    client.receive(frame(GOAWAY, bytes(8)))
    assert rules.may_send(3, SendHeaders(3, GET))  # so that it is sent, and its sender told
    assert HTTP2("server").stream_rules.new_key is None


def test_the_peers_reset_is_an_error_with_its_code() -> None:
    attached = Attached()
    attached.peer.reset_stream(1, ErrorCodes.CANCEL)
    (event,) = attached.receive()
    assert attached.rules.error is not None
    assert attached.rules.error(attached.events[0]) is None
    error: Any = attached.rules.error(event)
    assert "HTTP2: stream 1 is over: the peer reset it, CANCEL (8)" == str(error)
    assert (1, ErrorCodes.CANCEL) == (error.stream_id, error.error_code)
    event = h2.events.StreamReset(stream_id=3, error_code=99, remote_reset=False)
    assert "HTTP2: stream 3 is over: it was reset, as the peer kept to no rules, error (99)" == str(
        attached.rules.error(event)
    )


def test_a_reset_says_why() -> None:
    rules = HTTP2("server").stream_rules
    assert rules.reset is not None
    assert SendReset(1, ErrorCodes.CANCEL) == rules.reset(1, None)
    assert SendReset(1, ErrorCodes.REFUSED_STREAM) == rules.reset(1, ErrorCodes.REFUSED_STREAM)


def test_an_answer_that_waits_goes_out_before_its_stream_is_given_up() -> None:
    """As when a server has answered, and does not want the rest of the upload."""
    attached = Attached(2, window=10)
    assert attached.rules.reset is not None
    for stream_id in (1, 3):
        attached.harness.send(SendHeaders(stream_id, OK), SendData(stream_id, b"x" * 20, end_stream=stream_id == 1))
    attached.written()
    assert attached.rules.reset(1, None) is None
    assert SendReset(3, ErrorCodes.CANCEL) == attached.rules.reset(3, None)
    attached.peer.increment_flow_control_window(10, 1)
    attached.receive()
    end, reset = frame(DATA, b"x" * 10, END_STREAM, 1), frame(RST_STREAM, bytes(4), 0, 1)
    assert end + reset == attached.written()
    assert SendReset(1, ErrorCodes.CANCEL) == attached.rules.reset(1, None)


# ---- both ends


@asynccontextmanager
async def both_ends(answer: Any, **options: Any) -> AsyncIterator[Any]:
    """A client's streams; each that it opens is answered by `answer(stream)`."""
    async with pipeline_pair(HTTP2("client", **options), HTTP2("server", **options)) as (left, right):

        async def serve() -> None:
            async with open_streams(right) as streams, trio.open_nursery() as nursery:
                async for stream in streams:
                    nursery.start_soon(answer, stream)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            async with open_streams(left) as streams:
                yield streams
            nursery.cancel_scope.cancel()


async def whole(stream: Any) -> bytes:
    body = bytearray()
    async for event in stream:
        if isinstance(event, h2.events.DataReceived):
            body += event.data
    return bytes(body)


async def echo(stream: Any) -> None:
    async with stream:
        body = await whole(stream)
        await stream.send(SendHeaders(stream.key, OK))
        await stream.send(SendData(stream.key, body, end_stream=True))


def pieces(stream_id: int, body: bytes) -> Iterator[SendData]:
    for at in range(0, len(body), 50_000):
        yield SendData(stream_id, body[at : at + 50_000])


async def ask(streams: Any, body: bytes) -> bytes:
    async with streams.open() as stream:
        await stream.send(SendHeaders(stream.key, POST))
        for piece in pieces(stream.key, body):
            await stream.send(piece)
        await stream.send_eof()
        return await whole(stream)


async def test_many_streams_at_once() -> None:
    rng = random.Random(0)
    bodies = [rng.randbytes(1000 * number) for number in range(40)]
    answers: list[bytes] = []

    async def one(streams: Any, body: bytes) -> None:
        answers.append(await ask(streams, body))

    async with both_ends(echo) as streams, trio.open_nursery() as nursery:
        for body in bodies:
            nursery.start_soon(one, streams, body)
    assert sorted(bodies) == sorted(answers)


async def test_a_client_waits_until_it_may_open_one_more_stream() -> None:
    answers: list[bytes] = []

    async def one(streams: Any) -> None:
        answers.append(await ask(streams, b"x"))

    async with both_ends(echo, max_streams=3) as streams:
        await ask(streams, b"first")  # from then on it knows how many it may
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(one, streams)
    assert [b"x"] * 20 == answers


async def test_a_reset_reaches_the_other_end() -> None:
    async def refuse(stream: Any) -> None:
        stream.reset(ErrorCodes.REFUSED_STREAM)

    async with both_ends(refuse) as streams, streams.open() as stream:
        await stream.send(SendHeaders(stream.key, POST))
        with pytest.raises(trio.BrokenResourceError, match="given this stream up") as caught:
            await stream.receive()
        error: Any = caught.value.__cause__
        assert isinstance(error, h2.exceptions.StreamClosedError)
        assert ErrorCodes.REFUSED_STREAM == error.error_code


async def stand_still_or_echo(stream: Any) -> None:
    """What a server does with a stream whose path is /unread, /closed or another."""
    path = dict((await stream.receive()).headers)[b":path"]
    if path == b"/unread":
        await trio.sleep_forever()
    elif path == b"/closed":
        await stream.send(SendHeaders(stream.key, OK))
        await send_much(stream)
    else:
        await echo(stream)


async def send_much(stream: Any) -> None:
    for _ in range(200):
        await stream.send(SendData(stream.key, bytes(50_000)))


async def begin(streams: Any, path: str) -> Any:
    stream = streams.open()
    await stream.send(SendHeaders(stream.key, [*POST[:3], (":path", path)]))
    return stream


@pytest.mark.unmeasured
async def test_two_streams_that_stand_still_hold_up_none_of_the_others() -> None:
    """One whose body nobody reads, at the server; one whose window stays closed, since the client does not read."""
    bodies = [bytes([number]) * (80_000 if number < 8 else 8000) for number in range(98)]
    answers: list[bytes] = []

    async def one(streams: Any, body: bytes) -> None:
        answers.append(await ask(streams, body))

    with peak_memory() as peak:
        async with both_ends(stand_still_or_echo) as streams, trio.open_nursery() as standing:
            standing.start_soon(send_much, await begin(streams, "/unread"))
            await begin(streams, "/closed")
            async with trio.open_nursery() as nursery:
                for body in bodies:
                    nursery.start_soon(one, streams, body)
            standing.cancel_scope.cancel()
    assert sorted(bodies) == sorted(answers)
    # Not the ten megabytes of each that stands still; all answers together are less than two.
    assert peak.bytes < 8_000_000


@pytest.mark.full
async def test_forty_megabytes_go_both_ways_through_default_windows() -> None:
    body = random.Random(0).randbytes(40_000_000)
    async with both_ends(echo) as streams:
        assert body == await ask(streams, body)


async def test_what_waits_for_a_window_is_not_cut_off_by_the_end() -> None:
    async with pipeline_pair(HTTP2("client"), HTTP2("server")) as (client, server), trio.open_nursery() as nursery:
        nursery.start_soon(partial(answer_once, server, ends=True))
        assert 500_000 == await size_of_answer(client)


@pytest.mark.real_time
async def test_what_waits_for_a_window_is_not_cut_off_by_the_end_of_a_handler() -> None:
    async with trio.open_nursery() as nursery:
        serve: Any = partial(serve_tcp, host="127.0.0.1")
        (listener,) = await nursery.start(serve, answer_once, 0, partial(HTTP2, "server"))
        async with await open_tcp_pipeline("127.0.0.1", listener.socket.getsockname()[1], HTTP2("client")) as client:
            assert 500_000 == await size_of_answer(client)
        nursery.cancel_scope.cancel()


async def answer_once(server: Any, *, ends: bool = False) -> None:
    async with server:
        async with open_streams(server) as streams, await streams.receive() as stream:
            await whole(stream)
            await stream.send(SendHeaders(stream.key, OK))
            await stream.send(SendData(stream.key, bytes(500_000), end_stream=True))
        if ends:
            await server.send_eof()


async def size_of_answer(client: Any) -> int:
    await client.send(SendHeaders(1, GET, end_stream=True))
    return sum([len(event.data) async for event in client if isinstance(event, h2.events.DataReceived)])
