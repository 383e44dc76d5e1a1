"""What `open_streams` is told of `FastCGI`: each request as a channel."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import fcgiproto
import pytest
import trio

from pipeline import Pipeline, open_streams
from pipeline.testing import Harness, pipeline_pair
from stages import FastCGI, FastCGIData, FastCGIEnd, FastCGIHeaders, Map
from tests.stages.protocols.fastcgi_peer import (
    AUTHORIZER,
    FILTER,
    begin,
    ended,
    params,
    record,
    records,
    request,
    stdin,
    told,
)

HEAD = b"Status: 200 OK\r\nContent-Type: text/plain\r\n\r\n"
ALL = (1, 2, 3)


def headers(request_id: int) -> FastCGIHeaders:
    return FastCGIHeaders(request_id, [("Content-Type", "text/plain")])


def written(harness: Harness, *items: Any) -> list[tuple[Any, ...]]:
    """The records that items become."""
    return records(b"".join(harness.send(*items)))


async def serve_one(pipeline: Pipeline[Any, Any], handler: Any, **options: Any) -> None:
    async with open_streams(pipeline, **options) as streams, trio.open_nursery() as nursery:
        async for stream in streams:
            nursery.start_soon(handler, stream)


async def read_records(peer: Pipeline[bytes, bytes], request_ids: Iterable[int]) -> list[tuple[Any, ...]]:
    """Until these requests are over."""
    data, left = b"", set(request_ids)
    while left:
        data += await peer.receive()
        left -= {each[1] for each in records(data) if each[0] == "EndRequest"}
    return records(data)


async def test_open_streams_shows_each_request_as_a_channel() -> None:
    """With the events of its body, and without that of its end; requests go on side by side."""

    async def handler(stream: Any) -> None:
        async with stream:
            events = told([event async for event in stream])
            await stream.send(headers(stream.key))
            await stream.send(FastCGIData(stream.key, repr(events).encode()))

    async with pipeline_pair(Map(inbound=bytes), FastCGI()) as (peer, pipeline), trio.open_nursery() as nursery:
        nursery.start_soon(serve_one, pipeline, handler)
        await peer.send(begin(1) + params(1) + request(2, b"two") + stdin(b"one"))
        got = await read_records(peer, [2])
        said = b"[('Begin', 2, {}), ('Data', 2, b'two')]"
        assert [("Stdout", 2, HEAD), ("Stdout", 2, said), *ended(2)] == got
        await peer.send(stdin(b"") + request(2))
        got = await read_records(peer, [1, 2])
        assert ("Stdout", 1, b"[('Begin', 1, {}), ('Data', 1, b'one')]") in got
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("role", [AUTHORIZER, FILTER])
async def test_open_streams_knows_where_other_roles_end(role: int) -> None:
    got: list[Any] = []

    async def handler(stream: Any) -> None:
        got.extend(told([event async for event in stream]))
        await stream.aclose()

    more = stdin(b"x", b"") + record(8, 1, b"file") + record(8, 1) if role == FILTER else b""
    chain = FastCGI(roles=ALL)
    async with pipeline_pair(Map(inbound=bytes), chain) as (peer, pipeline), trio.open_nursery() as nursery:
        nursery.start_soon(serve_one, pipeline, handler)
        await peer.send(begin(role=role) + params() + more)
        assert ended() == await read_records(peer, [1])
        nursery.cancel_scope.cancel()
    bodies = [("Data", 1, b"x"), ("Data", 1, b""), ("SecondaryData", 1, b"file")]
    assert [("Begin", 1, {}), *(bodies if role == FILTER else [])] == got


async def test_an_abort_fails_its_stream_only() -> None:
    errors: list[Any] = []
    begun, aborted = trio.Event(), trio.Event()

    async def handler(stream: Any) -> None:
        try:
            async for _ in stream:
                if stream.key == 1:
                    begun.set()  # a request that is over before anybody takes it is not shown
        except trio.BrokenResourceError as error:
            errors.append(error.__cause__)
            aborted.set()
        await stream.aclose()

    async with pipeline_pair(Map(inbound=bytes), FastCGI()) as (peer, pipeline), trio.open_nursery() as nursery:
        nursery.start_soon(serve_one, pipeline, handler)
        await peer.send(begin(1) + params(1) + request(2))
        await begun.wait()
        await peer.send(record(2, 1))
        assert [*ended(1), *ended(2)] == sorted(await read_records(peer, [1, 2]), key=lambda each: each[1])
        await aborted.wait()
        (error,) = errors
        assert isinstance(error, ConnectionAbortedError)
        assert "FastCGI: the web server has aborted request 1" == str(error)
        await peer.send(request(1))
        assert ended(1) == await read_records(peer, [1])
        nursery.cancel_scope.cancel()


async def test_a_request_that_is_given_up_does_not_look_whole() -> None:
    """With nothing of the response sent, it ends with a status; else the connection ends without the end of it."""

    async def handler(stream: Any) -> None:
        if (await stream.receive()).params:
            await stream.send(headers(stream.key))
        stream.reset()
        stream.reset()

    async with pipeline_pair(Map(inbound=bytes), FastCGI()) as (peer, pipeline), trio.open_nursery() as nursery:
        nursery.start_soon(serve_one, pipeline, handler)
        await peer.send(begin() + params())
        assert ended(1, 1) == await read_records(peer, [1])
        await peer.send(begin() + params(A="1"))
        assert [("Stdout", 1, HEAD)] == records(b"".join([data async for data in peer]))
        nursery.cancel_scope.cancel()


def test_sending_for_a_request_that_is_over_is_known_as_that() -> None:
    """The web server may have aborted it, and nobody was told yet; what is wrong in itself is something else."""
    gone = FastCGI().stream_rules.gone
    assert gone is not None
    harness = Harness(FastCGI())
    harness.receive(request(1) + request(2) + record(2, 1))
    for item, over in ((headers(1), True), (FastCGIEnd(2), None), (FastCGIEnd(2), True)):
        if over:
            with pytest.raises(fcgiproto.ProtocolError, match="is over") as info:
                harness.send(item)
            assert gone(info.value)
        else:
            harness.send(item)
    assert not gone(fcgiproto.ProtocolError("something else"))


def test_what_waits_is_counted() -> None:
    size = FastCGI().stream_rules.size
    assert size is not None
    events = Harness(FastCGI()).receive(request(1, b"12345", A="123"))
    abort = fcgiproto.RequestAbortEvent(1)
    assert [4, 5, 0, 0] == [size(event) for event in (*events, abort)]
