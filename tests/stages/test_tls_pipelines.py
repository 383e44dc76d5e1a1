"""`TLS` in running pipelines: the same over it and over `trio.SSLStream`, mid-stream, and cancelled anywhere."""

from __future__ import annotations

import itertools
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Literal

import pytest
import trio
from trio.testing import memory_stream_pair

from pipeline import IncompleteFrameError, Pipeline, SurgeryError, serve_tcp
from pipeline.testing import Cut, pipeline_pair
from pipeline.testing._pair import at_once, enter_both
from stages import TLS, LengthFramer, LineFramer, TLSError
from tests.pipeline.parts import cancelled_at, tcp_pair

from .tls_parts import (
    NAME,
    VERSIONS,
    certificate,
    client,
    client_context,
    expired,
    server,
    server_context,
    stranger,
)

pytestmark = pytest.mark.unmeasured  # test_tls.py covers the stage's own lines
Kind = Literal["TLS", "SSLStream"]
PAIRS = list(itertools.product(["TLS", "SSLStream"], repeat=2))
EACH_PAIR = pytest.mark.parametrize(("near", "far"), PAIRS, ids=["-".join(pair) for pair in PAIRS])
EACH_VERSION = pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)


def over(
    kind: Kind, stream: trio.abc.Stream, chain: Any, context: ssl.SSLContext, **options: Any
) -> Pipeline[Any, Any]:
    """A chain on a stream, with TLS as a stage or as trio's stream."""
    if kind == "TLS":
        return Pipeline(stream, TLS(context, **options) | chain)
    return Pipeline(trio.SSLStream(stream, context, **options), chain)


def both(
    near: Kind, far: Kind, streams: Any, ours: ssl.SSLContext, theirs: ssl.SSLContext, chain: Any = LineFramer
) -> Any:
    """A client and a server, not entered."""
    return (
        over(near, streams[0], chain(), ours, server_hostname=NAME),
        over(far, streams[1], chain(), theirs, server_side=True),
    )


@asynccontextmanager
async def connected(*ends: Pipeline[Any, Any]) -> AsyncIterator[None]:
    """Both ends entered at once, and closed at once; what hangs fails."""
    with trio.fail_after(60):
        await enter_both(*ends)
        try:
            yield
        except BaseException as error:
            for end in ends:
                await end.__aexit__(type(error), error, None)
            raise
        await at_once(*(end.aclose for end in ends))


# ---- the same over `TLS` and `trio.SSLStream`, at either end


@EACH_VERSION
@EACH_PAIR
async def test_items_go_both_ways(near: Kind, far: Kind, version: ssl.TLSVersion) -> None:
    ours, theirs = both(near, far, memory_stream_pair(), client_context(version), server_context(version))
    async with connected(ours, theirs):
        for size in (0, 1, 100, 16384, 16385, 65536):
            await ours.send(b"a" * size)
            assert b"a" * size == await theirs.receive()
            await theirs.send(b"b" * size)
            assert b"b" * size == await ours.receive()


@pytest.mark.real_time
@EACH_VERSION
@EACH_PAIR
async def test_closing_in_good_order_is_a_clean_end(near: Kind, far: Kind, version: ssl.TLSVersion) -> None:
    got: list[bytes] = []

    async def serve(pipeline: Pipeline[Any, Any]) -> None:
        async with pipeline:
            async for item in pipeline:
                got.append(item)

    with trio.fail_after(60):
        async with tcp_pair() as streams, trio.open_nursery() as nursery:
            ours, theirs = both(near, far, streams, client_context(version), server_context(version))
            nursery.start_soon(serve, theirs)
            async with ours:
                await ours.send(b"last")
    assert [b"last"] == got


@EACH_PAIR
@pytest.mark.parametrize("after", [0, 1, 7])
async def test_a_cut_connection_is_no_clean_end(near: Kind, far: Kind, after: int) -> None:
    """Somebody on the way ends the connection: what came before is delivered, then it is an error."""
    streams = memory_stream_pair()
    ours, theirs = both(near, far, streams, client_context(), server_context())
    async with connected(ours, theirs):
        await theirs.send(b"1000")
        assert b"1000" == await ours.receive()
        await streams[1].send_all(b"\x17\x03\x03\x00\x40--------"[:after])
        await streams[1].send_eof()
        error: Any = IncompleteFrameError if near == "TLS" else trio.BrokenResourceError
        with pytest.raises(
            error, match=r"TLS: the server ended the connection without a close notify|TLS failed: .*EOF"
        ):
            await ours.receive()
        await trio.aclose_forcefully(theirs)
        await trio.aclose_forcefully(ours)


@EACH_VERSION
@EACH_PAIR
@pytest.mark.parametrize(
    ("ours", "theirs", "says", "alert"),
    [
        ({}, {"cert": certificate("other.example")}, "Hostname mismatch", "bad certificate"),
        ({}, {"cert": expired()}, "certificate has expired", "certificate expired"),
        ({"trusts": stranger()}, {}, "unable to get local issuer", "unknown ca"),
    ],
    ids=["wrong name", "expired", "untrusted"],
)
async def test_a_bad_certificate_is_an_error_at_both_ends(
    near: Kind, far: Kind, version: ssl.TLSVersion, ours: dict[str, Any], theirs: dict[str, Any], says: str, alert: str
) -> None:
    """What the server learns depends on the client: a trio stream leaves without a word."""
    streams = memory_stream_pair()
    ends = both(near, far, streams, client_context(version, **ours), server_context(version, **theirs))
    errors: list[Any] = [None, None]

    async def enter(number: int) -> None:
        try:
            async with ends[number]:
                await ends[number].receive()
        except Exception as error:
            errors[number] = error

    with trio.fail_after(60):
        await at_once(partial(enter, 0), partial(enter, 1))
    assert isinstance(errors[0], TLSError if near == "TLS" else trio.BrokenResourceError)
    assert says in str(errors[0])
    assert isinstance(errors[0].__cause__, ssl.SSLCertVerificationError)
    if near == "TLS":
        assert isinstance(errors[1], TLSError if far == "TLS" else trio.BrokenResourceError)
        assert alert in str(errors[1]).lower()
    else:
        assert isinstance(errors[1], IncompleteFrameError if far == "TLS" else trio.BrokenResourceError)


@EACH_PAIR
async def test_client_certificate_and_alpn(near: Kind, far: Kind) -> None:
    contexts = client_context(cert=certificate("client.example")), server_context(asks_client=True)
    for context in contexts:
        context.set_alpn_protocols(["lines"])
    ours, theirs = both(near, far, memory_stream_pair(), *contexts)
    async with connected(ours, theirs):
        await ours.send(b"x")
        assert b"x" == await theirs.receive()
        asked = [
            end.transport if kind == "SSLStream" else end.chain.parts[0].ssl_object
            for end, kind in zip((ours, theirs), (near, far), strict=True)
        ]
        assert ["lines", "lines"] == [each.selected_alpn_protocol() for each in asked]
        assert (("DNS", "client.example"),) == asked[1].getpeercert()["subjectAltName"]


async def all_both_ways(ours: Pipeline[Any, Any], theirs: Pipeline[Any, Any], size: int) -> None:
    """So many bytes each way at the same time, neither end waiting for the other."""
    data = random.Random(5).randbytes(size)

    async def send(end: Pipeline[Any, Any]) -> None:
        for place in range(0, size, 100_000):
            await end.send(data[place : place + 100_000])

    async def receive(end: Pipeline[Any, Any]) -> None:
        got = bytearray()
        while len(got) < size:
            got += await end.receive()
        assert data == got

    async with trio.open_nursery() as nursery:
        for end in (ours, theirs):
            nursery.start_soon(send, end)
            nursery.start_soon(receive, end)


@pytest.mark.real_time
@EACH_PAIR
async def test_ten_megabytes_both_ways_at_once_over_tcp(near: Kind, far: Kind) -> None:
    async with tcp_pair() as streams:
        ours, theirs = both(
            near, far, streams, client_context(), server_context(), partial(LengthFramer, max_bytes=200_000)
        )
        async with connected(ours, theirs):
            await all_both_ways(ours, theirs, 10_000_000)


@EACH_PAIR
async def test_tls_inside_tls(near: Kind, far: Kind) -> None:
    """The outer one is what is tried; the inner one is a stage."""
    streams = memory_stream_pair()
    ours = over(near, streams[0], client() | LineFramer(), client_context(), server_hostname=NAME)
    theirs = over(far, streams[1], server() | LineFramer(), server_context(), server_side=True)
    async with connected(ours, theirs):
        await ours.send(b"secret")
        assert b"secret" == await theirs.receive()
        await theirs.send(b"x" * 50000)
        assert b"x" * 50000 == await ours.receive()


# ---- what only the stage can


@EACH_VERSION
async def test_one_direction_ends_and_the_other_goes_on(version: ssl.TLSVersion) -> None:
    async with pipeline_pair(client(version) | LineFramer(), server(version) | LineFramer()) as (ours, theirs):
        await ours.send(b"question")
        await ours.send_eof()
        assert [b"question"] == [item async for item in theirs]
        await theirs.send(b"x" * 60000)
        await theirs.send_eof()
        assert [b"x" * 60000] == [item async for item in ours]


@pytest.mark.parametrize(
    "options",
    [
        {"lockstep": True},
        {"trickle": 1},
        {"trickle": 5, "lockstep": True},
        {"merge_writes": True},
        {"max_reply_bytes": 1, "trickle": 100},
    ],
    ids=str,
)
async def test_it_does_not_matter_how_the_line_delivers(options: dict[str, Any]) -> None:
    """Without tickets: on a line that is read in lockstep a server must not say something that nobody reads."""
    without = server_context()
    without.num_tickets = 0
    theirs_chain = TLS(without, server_side=True) | LineFramer()
    async with pipeline_pair(client() | LineFramer(), theirs_chain, **options) as (ours, theirs):

        async def echo() -> None:
            async for item in theirs:
                await theirs.send(item)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(echo)
            for size in (1, 300, 300 if options.get("trickle", 100) < 100 else 20000):
                await ours.send(b"x" * size)
                assert b"x" * size == await ours.receive()
            nursery.cancel_scope.cancel()


async def test_a_cut_inside_the_handshake_is_an_error_of_entering() -> None:
    with pytest.raises(IncompleteFrameError, match="the server ended the connection during the handshake"):
        async with pipeline_pair(client(), server(), to_left=Cut(after=300)):
            raise AssertionError


async def test_as_a_stream_for_code_that_wants_one() -> None:
    async with pipeline_pair(client(), server()) as (ours, theirs):
        stream = ours.as_stream()
        await stream.send_all(b"hello")
        assert b"hello" == await theirs.receive()
        await theirs.send(b"world")
        assert b"wor" == await stream.receive_some(3)


@pytest.mark.real_time
async def test_a_server_that_goes_down_is_a_clean_end_for_its_handler() -> None:
    """Nobody cut the connection: the handler may say goodbye, and the client gets that and a close notify."""
    ended = []

    async def handle(pipeline: Pipeline[Any, Any]) -> None:
        async for line in pipeline:
            await pipeline.send(line)
        ended.append(True)
        await pipeline.send(b"goodbye")

    def make_chain() -> Any:
        return server() | LineFramer()

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            serve = partial(serve_tcp, host="127.0.0.1", grace_seconds=60)
            (listener,) = await nursery.start(serve, handle, 0, make_chain)
            stream = await trio.open_tcp_stream("127.0.0.1", listener.socket.getsockname()[1])
            async with Pipeline(stream, client() | LineFramer()) as ours:
                await ours.send(b"x")
                assert b"x" == await ours.receive()
                nursery.cancel_scope.cancel()
                with trio.CancelScope(shield=True):
                    assert [b"goodbye"] == [item async for item in ours]
    assert [True] == ended


async def test_channels_are_a_transport() -> None:
    """A transport of items: each flight, and each sent item, is one."""
    sent, received = zip(*(trio.open_memory_channel[bytes](10) for _ in range(2)), strict=True)
    ours = Pipeline((received[0], sent[1]), client())
    theirs = Pipeline((received[1], sent[0]), server())
    async with connected(ours, theirs):
        await ours.send(b"x" * 40000)
        got = b""
        while len(got) < 40000:
            got += await theirs.receive()
        assert b"x" * 40000 == got


# ---- in mid-stream


@pytest.mark.parametrize("protocol", ["lines", "frames"])
async def test_what_comes_next_is_chosen_by_alpn(protocol: str) -> None:
    """Also when the peer's first item came with the end of the handshake: it was not delivered, so it goes through."""
    contexts = client_context(), server_context()
    contexts[0].set_alpn_protocols([protocol])
    contexts[1].set_alpn_protocols(["lines", "frames"])
    framers = {"lines": LineFramer, "frames": LengthFramer}
    near, far = memory_stream_pair()

    async def serve() -> None:
        tls = TLS(contexts[1], server_side=True)
        async with Pipeline(far, tls) as pipeline:
            framer = framers[tls.alpn_protocol or ""]()
            await pipeline.insert(framer, at="client")
            await pipeline.send(b"welcome")
            async for item in pipeline:
                await pipeline.send(item.upper())

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            tls = TLS(contexts[0], NAME)
            pipeline = Pipeline(near, tls)
            await pipeline.__aenter__()
            await trio.testing.wait_all_tasks_blocked()
            await pipeline.insert(framers[tls.alpn_protocol or ""](), at="client")
            assert b"welcome" == await pipeline.receive()
            await pipeline.send(b"hello")
            assert b"HELLO" == await pipeline.receive()
            await pipeline.send_eof()
            with pytest.raises(trio.EndOfChannel):
                await pipeline.receive()
            await pipeline.aclose()


@EACH_VERSION
async def test_a_line_protocol_upgrades(version: ssl.TLSVersion) -> None:
    async with pipeline_pair(LineFramer(), LineFramer()) as (ours, theirs):

        async def serve() -> None:
            assert b"STARTTLS" == await theirs.receive()
            await theirs.send(b"220 go ahead")
            await theirs.insert(server(version), at="wire")
            async for line in theirs:
                await theirs.send(line.upper())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            await ours.send(b"STARTTLS")
            assert b"220 go ahead" == await ours.receive()
            await ours.insert(client(version), before=LineFramer)
            assert "TLS(" in repr(ours.chain)
            for _ in range(3):
                await ours.send(b"secret")
                assert b"SECRET" == await ours.receive()
            await ours.send_eof()


async def test_plaintext_behind_starttls_is_refused_and_all_goes_on_as_before() -> None:
    near, far = memory_stream_pair()
    async with Pipeline(near, LineFramer()) as pipeline:
        await far.send_all(b"STARTTLS\nMAIL FROM:<mallory@evil.example>\n")
        assert b"STARTTLS" == await pipeline.receive()
        with pytest.raises(
            SurgeryError, match="lets nothing of that into the new chain: a peer that sends before it may"
        ):
            await pipeline.insert(server(), at="wire")
        assert "LineFramer()" == repr(pipeline.chain)
        assert b"MAIL FROM:<mallory@evil.example>" == await pipeline.receive()


async def test_half_a_line_behind_starttls_is_refused_too() -> None:
    near, far = memory_stream_pair()
    async with Pipeline(near, LineFramer()) as pipeline:
        await far.send_all(b"STARTTLS\nMAIL")
        assert b"STARTTLS" == await pipeline.receive()
        with pytest.raises(SurgeryError, match="leftover='forbid'"):
            await pipeline.insert(server(), at="wire")


async def test_a_client_hello_that_came_with_the_command_may_be_let_in() -> None:
    """For protocols in which the client need not wait: leftover="forward"."""
    near, far = memory_stream_pair()
    ours = client()
    [hello] = await ours.inbound.start()
    async with Pipeline(near, LineFramer()) as pipeline:
        await far.send_all(b"STARTTLS\n" + hello.item)
        assert b"STARTTLS" == await pipeline.receive()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(pipeline.insert, server(), at="wire", leftover="forward"))
            answer = [reply.item for reply in ours.inbound.process_sync(await far.receive_some())]
            await far.send_all(b"".join(answer))
        await far.send_all(next(iter(ours.outbound.process_sync(b"secret\n"))))
        assert b"secret" == await pipeline.receive()


async def test_a_failed_handshake_breaks_both_directions() -> None:
    async with pipeline_pair(LineFramer(), LineFramer()) as (ours, theirs):
        errors: list[Exception] = []

        async def serve() -> None:
            try:
                await theirs.insert(server(), at="wire")
            except TLSError as error:
                errors.append(error)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            with pytest.raises(TLSError, match="Hostname mismatch"):
                await ours.insert(TLS(client_context(), "other.example"), at="wire")
        assert "TLS: the client broke off during the handshake with the alert 'bad certificate'" == str(errors[0])
        for end in (ours, theirs):
            with pytest.raises(trio.BrokenResourceError):
                await end.send(b"in plaintext?")
            with pytest.raises(trio.BrokenResourceError):
                await end.receive()


# ---- cancelled


async def each_step(act: Callable[[int], Awaitable[bool]]) -> int:
    """Do it over and over, cancelled one wait later each time, until it ends before; how often that was."""
    for step in itertools.count(1):
        with trio.fail_after(60):
            if not await act(step):
                return step - 1
    raise AssertionError


@asynccontextmanager
async def wired(kind: str) -> AsyncIterator[Any]:
    """Two ends of a connection, in memory or on a real socket, which counts what a cancelled write has written."""
    if kind == "memory":
        yield memory_stream_pair()
        return
    async with tcp_pair() as streams:
        yield streams


EACH_WIRE = pytest.mark.parametrize("kind", ["memory", pytest.param("tcp", marks=pytest.mark.real_time)])


async def is_closed(stream: Any) -> bool:
    with suppress(trio.BrokenResourceError):
        try:
            await stream.send_all(b"x")
        except trio.ClosedResourceError:
            return True
    return False


async def until_over(pipeline: Pipeline[Any, Any]) -> None:
    """What a peer does: it enters and reads to the end, and fails if it must."""
    with suppress(TLSError, IncompleteFrameError, trio.BrokenResourceError):
        async with pipeline:
            async for _ in pipeline:
                pass


@EACH_WIRE
@pytest.mark.parametrize("side", ["client", "server"])
@EACH_VERSION
async def test_entering_cancelled_anywhere_closes_the_transport(side: str, version: ssl.TLSVersion, kind: str) -> None:
    async def enter(step: int) -> bool:
        stages = client(version), server(version)
        ours, theirs = stages if side == "client" else stages[::-1]
        async with wired(kind) as (near, far), trio.open_nursery() as nursery:
            pipeline = Pipeline(near, ours)
            nursery.start_soon(until_over, Pipeline(far, theirs))
            cancelled = await cancelled_at(step, pipeline.__aenter__)
            assert cancelled == await is_closed(near)
            await trio.aclose_forcefully(pipeline)
        return cancelled

    assert await each_step(enter) > 1


@EACH_WIRE
@pytest.mark.parametrize("side", ["client", "server"])
async def test_an_upgrade_cancelled_anywhere_is_not_half_made(side: str, kind: str) -> None:
    """Before the first byte of the handshake it is as if nobody had asked; later both directions are broken."""
    seen = set()

    async def upgrade(step: int) -> bool:
        ours, theirs = (client(), server()) if side == "client" else (server(), client())

        async def peer(far: Any) -> None:
            with suppress(TLSError, IncompleteFrameError, trio.BrokenResourceError, trio.EndOfChannel):
                async with Pipeline(far, LineFramer()) as pipeline:
                    await pipeline.insert(theirs, at="wire")
                    await pipeline.receive()

        async with wired(kind) as (near, far), trio.open_nursery() as nursery:
            async with Pipeline(near, LineFramer()) as pipeline:
                nursery.start_soon(peer, far)
                cancelled = await cancelled_at(step, partial(pipeline.insert, ours, at="wire"))
                if not cancelled:
                    seen.add("made")
                elif "TLS" in repr(pipeline.chain):
                    seen.add("broken")
                    for use in (partial(pipeline.send, b"in plaintext?"), pipeline.receive):
                        with pytest.raises(trio.BrokenResourceError):
                            await use()
                else:
                    seen.add("as before")
                    nursery.cancel_scope.cancel()
            assert await is_closed(near)
        return cancelled

    await each_step(upgrade)
    assert {"made", "broken"} <= seen


@EACH_WIRE
@EACH_VERSION
async def test_closing_cancelled_anywhere_closes_the_transport(version: ssl.TLSVersion, kind: str) -> None:
    async def close(step: int) -> bool:
        async with wired(kind) as (near, far), trio.open_nursery() as nursery:
            pipeline = Pipeline(near, client(version))
            nursery.start_soon(until_over, Pipeline(far, server(version)))
            await pipeline.__aenter__()
            cancelled = await cancelled_at(step, pipeline.aclose)
            assert await is_closed(near)
        return cancelled

    assert await each_step(close) > 1


async def test_receiving_cancelled_anywhere_loses_nothing() -> None:
    async def receive(step: int) -> bool:
        async with pipeline_pair(client() | LineFramer(), server() | LineFramer(), trickle=100) as (ours, theirs):
            await theirs.send_many([b"one", b"two" * 20, b"three"])
            got: list[bytes] = []

            async def three() -> None:
                while len(got) < 3:
                    got.append(await ours.receive())

            cancelled = await cancelled_at(step, three)
            await three()
            assert [b"one", b"two" * 20, b"three"] == got
        return cancelled

    assert await each_step(receive) > 5


@pytest.mark.real_time
async def test_a_send_cut_short_goes_out_whole_or_breaks_outbound() -> None:
    """Half a record is never followed by another one."""
    async with tcp_pair() as streams, trio.open_nursery() as nursery:
        pipeline, peer = Pipeline(streams[0], client()), Pipeline(streams[1], server())
        await enter_both(pipeline, peer)
        with trio.move_on_after(0.1) as scope:
            await pipeline.send(b"x" * 30_000_000)
        assert scope.cancelled_caught
        with pytest.raises(
            trio.BrokenResourceError, match=r"TLS.outbound had gone ahead of the wire|handed to the wire"
        ):
            await pipeline.send(b"y")
        await trio.aclose_forcefully(pipeline)
        with pytest.raises((IncompleteFrameError, trio.BrokenResourceError)):
            while True:
                assert b"y" not in await peer.receive()
        await trio.aclose_forcefully(peer)
        nursery.cancel_scope.cancel()


async def test_a_handshake_with_a_peer_that_is_silent_can_be_given_up() -> None:
    near, _ = memory_stream_pair()
    with trio.move_on_after(5) as scope:
        async with Pipeline(near, server()):
            raise AssertionError
    assert scope.cancelled_caught
    assert await is_closed(near)
