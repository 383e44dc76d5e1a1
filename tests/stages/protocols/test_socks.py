"""SOCKS: how one is made, and both roles against each other."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as some

from pipeline import Pipeline, StageTimeoutError, SurgeryError, open_attended, pump
from pipeline.testing import Harness, check_linear, pipeline_pair
from stages import SOCKS, LineFramer, Meter, Rechunk, SOCKSError, SOCKSReply, SOCKSRequest
from tests.stages.protocols.socks_wire import ASK_4A, ASK_5, GRANTED_5, LOGIN, client, server

# ---- both ends


async def accept(pipeline: Pipeline[Any, Any], reply: SOCKSReply = SOCKSReply.GRANTED) -> None:
    assert isinstance(await pipeline.receive(), SOCKSRequest)
    await pipeline.send(reply)


async def gathered(pipeline: Pipeline[Any, Any], size: int) -> bytes:
    """So many bytes, in however many items."""
    received = b""
    with trio.fail_after(1000):
        while len(received) < size:
            received += await pipeline.receive()
    return received


@pytest.mark.parametrize("options", [{}, LOGIN, {"version": 4}], ids=["5", "password", "4a"])
@pytest.mark.parametrize("trickle", [None, 1])
async def test_both_roles_understand_each_other(options: dict[str, Any], trickle: int | None) -> None:
    wants = options if "username" in options else {}
    ours, theirs = trio.testing.memory_stream_pair()
    async with (
        trio.open_nursery() as nursery,
        Pipeline[Any, Any](theirs, Rechunk(trickle or 99) | server(**wants)) as right,
    ):
        nursery.start_soon(accept, right)
        async with Pipeline[Any, Any](ours, client(**options)) as left:
            await left.send(b"hello")
            assert b"hello" == await gathered(right, 5)
            await right.send(b"you, too")
            assert b"you, too" == await gathered(left, 8)
            await left.send_eof()
            with pytest.raises(trio.EndOfChannel):
                await right.receive()


async def test_a_refusal_reaches_the_client_and_closes_both_ends() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery, Pipeline[Any, Any](theirs, server()) as right:
        nursery.start_soon(accept, right, SOCKSReply.CONNECTION_REFUSED)
        with pytest.raises(
            SOCKSError, match=r"example.org:80: connection refused by destination host \(code 5\)"
        ) as info:
            async with Pipeline[Any, Any](ours, client()):
                raise AssertionError("entered")
        assert 5 == info.value.code
        with pytest.raises(trio.ClosedResourceError):
            await ours.send_all(b"x")
        with pytest.raises(trio.EndOfChannel):
            await right.receive()


async def test_a_wrong_password_fails_both_ends() -> None:
    errors = list[str]()

    async def enter(stream: trio.abc.Stream, stage: SOCKS[Any, Any]) -> None:
        with pytest.raises(SOCKSError) as info:
            async with Pipeline[Any, Any](stream, stage) as pipeline:
                await pipeline.receive()
        errors.append(str(info.value))

    async with trio.open_nursery() as nursery:
        for end, stage in zip(
            trio.testing.memory_stream_pair(), (client(**LOGIN), server(username="Ada", password="other")), strict=True
        ):
            nursery.start_soon(enter, end, stage)
    assert sorted(errors) == [
        "SOCKS: the handshake with the client failed: Wrong username or password",
        "SOCKS: the handshake with the proxy failed: Username/password auth failed with code 0x01",
    ]


async def test_a_proxy_that_leaves_is_an_error_at_the_client() -> None:
    peer, ours = trio.testing.memory_stream_pair()
    await peer.send_eof()
    with pytest.raises(SOCKSError, match="the proxy ended the connection during the handshake"):
        async with Pipeline[Any, Any](ours, client()):
            raise AssertionError("entered")


async def test_a_proxy_that_is_silent_is_an_error_at_the_client() -> None:
    _peer, ours = trio.testing.memory_stream_pair()
    says = "the proxy has not done its part of the handshake after 30 seconds"
    with trio.fail_after(100), pytest.raises(StageTimeoutError, match=says):
        async with Pipeline[Any, Any](ours, client()):
            raise AssertionError("entered")
    with pytest.raises(trio.ClosedResourceError):
        await ours.send_all(b"x")


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:stop] for start, stop in itertools.pairwise(edges)]


@settings(max_examples=30, deadline=None)
@given(some.sampled_from([{}, LOGIN, {"version": 4}]), some.lists(some.integers(0, 40), max_size=6))
def test_both_roles_understand_each_other_however_it_is_cut(options: dict[str, Any], cuts: list[int]) -> None:
    asking, asked = Harness(client(**options)), Harness(server(**(options if "username" in options else {})))
    asking.send(b"hello")
    told = heard = 0
    for _ in range(5):
        said = b"".join(asking.sent)
        asked.receive(*pieces(said[told:], cuts))
        told = len(said)
        if asked.received and b"welcome" not in asked.sent:
            asked.send(SOCKSReply.GRANTED, b"welcome")
        said = b"".join(asked.sent)
        asking.receive(*pieces(said[heard:], cuts))
        heard = len(said)
    assert b"hello" == b"".join(asked.received[1:])
    assert b"welcome" == b"".join(asking.received)
    assert asked.received[0].host == "example.org"


async def test_the_end_of_a_client_that_only_asked_comes_behind_the_answer() -> None:
    for reply, early in ((SOCKSReply.GRANTED, [b"all I say"]), (SOCKSReply.FAILURE, [])):
        peer, ours = trio.testing.memory_stream_pair()
        async with Pipeline[Any, Any](ours, server()) as pipeline:
            await peer.send_all(ASK_4A + b"all I say")
            await peer.send_eof()
            await accept(pipeline, reply)
            assert early == [item async for item in pipeline]


async def test_one_task_may_receive_while_another_one_answers() -> None:
    async with pipeline_pair(Meter(), server()) as (peer, pipeline), open_attended(pipeline) as attended:
        await peer.send(ASK_4A + b"early")
        assert isinstance(await attended.receive(), SOCKSRequest)
        await trio.sleep(1)
        await attended.send(SOCKSReply.GRANTED)
        assert b"early" == await attended.receive()
        await peer.send(b"later")
        assert b"later" == await attended.receive()


def test_work_behind_a_handshake_is_linear() -> None:
    behind = [b"\5\0", GRANTED_5]
    check_linear(lambda: SOCKS("client", host="a", port=80), lambda n: [*behind, *[b"x"] * n], n=2000)


# ---- changing the chain

GREETING = b"220 hello\r\n250 more\r\n"


@pytest.mark.parametrize("at", range(len(GREETING)))
async def test_a_client_can_be_taken_out_with_exactly_what_follows(at: int) -> None:
    wire = b"\5\0" + GRANTED_5 + GREETING
    cut = len(wire) - len(GREETING) + at
    peer, ours = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        await peer.send_all(wire[:cut])
        async with Pipeline[Any, Any](ours, client()) as pipeline:
            nursery.start_soon(peer.send_all, wire[cut:])
            await pipeline.replace(SOCKS, LineFramer())
            assert [b"220 hello", b"250 more"] == [await pipeline.receive() for _ in range(2)]
            await pipeline.send(b"QUIT")
            assert (b"\5\1\0" + ASK_5 + b"QUIT\n").endswith(await peer.receive_some())


@pytest.mark.parametrize("early", [b"", b"ear", b"early\n"])
async def test_a_server_can_be_taken_out_behind_the_answer_with_exactly_what_follows(early: bytes) -> None:
    peer, ours = trio.testing.memory_stream_pair()
    async with Pipeline[Any, Any](ours, server()) as pipeline:
        await peer.send_all(ASK_4A + early)
        await accept(pipeline)
        await pipeline.remove(SOCKS)
        await peer.send_all(b"early\nlate"[len(early) :])
        assert b"early\nlate" == await gathered(pipeline, 10)


async def test_inside_the_handshake_nothing_can_be_given_back() -> None:
    peer, ours = trio.testing.memory_stream_pair()
    async with Pipeline[Any, Any](ours, server()) as pipeline:
        await peer.send_all(ASK_4A)
        await pipeline.receive()
        with pytest.raises(SurgeryError, match=r"its unread\(\) returned None"):
            await pipeline.remove(SOCKS)
        await pipeline.send(SOCKSReply.GRANTED)
        await peer.send_all(b"x")
        assert b"x" == await pipeline.receive()


async def test_before_anybody_said_anything_a_server_can_be_replaced() -> None:
    peer, ours = trio.testing.memory_stream_pair()
    async with Pipeline[Any, Any](ours, server()) as pipeline:
        await pipeline.replace(SOCKS, LineFramer())
        await peer.send_all(b"line\n")
        assert b"line" == await pipeline.receive()


async def test_a_client_goes_into_a_running_chain() -> None:
    """A proxy behind a proxy: the second handshake goes through the first one."""
    peer, ours = trio.testing.memory_stream_pair()
    async with Pipeline[Any, Any](peer, server()) as proxy, trio.open_nursery() as nursery:
        nursery.start_soon(accept, proxy)
        async with Pipeline[Any, Any](ours, client()) as pipeline:
            await proxy.replace(SOCKS, server(versions=[4]))
            nursery.start_soon(accept, proxy)
            await pipeline.insert(SOCKS("client", host="10.0.0.1", port=22, version=4), at="client")
            await pipeline.send(b"through both")
            assert b"through both" == await proxy.receive()


# ---- arguments

anything: Any = SOCKS


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: anything("peer"), r"SOCKS\(role='peer'\): must be one of 'client', 'server'"),
        (lambda: anything("client"), r"host=None\): must be a name or an address, in ASCII: SOCKS\('client', host='ex"),
        (lambda: SOCKS("client", host="a\0b", port=80), "must be a name or an address"),
        (lambda: SOCKS("client", host="a" * 256, port=80), "must be a name or an address"),
        (lambda: SOCKS("client", host="ä.example", port=80), "must be a name or an address, in ASCII"),
        (lambda: SOCKS("client", host="a", port=0), r"port=0\): must be 1 to 65535"),
        (lambda: anything("client", host="a"), r"port=None\): must be 1 to 65535"),
        (lambda: client(version=6), "version=6"),
        (lambda: client(version=4, **LOGIN), "there is no password"),
        (lambda: client(version=4, username="a\0b"), "has no NUL in it"),
        (lambda: client(username="Ada"), "username and password go together, each of 1 to 255 bytes"),
        (lambda: client(username="ä" * 128, password="x"), "each of 1 to 255 bytes"),
        (lambda: client(handshake_seconds=0), "handshake_seconds=0"),
        (lambda: client(handshake_seconds="5"), "handshake_seconds='5'"),
        (lambda: anything("server", host="a"), r"a client says that: SOCKS\('server'\)"),
        (lambda: server(version=4), r"version=4\): a client says that: SOCKS\('server'\), or with versions=\[5\]"),
        (lambda: client(versions=[4]), r"versions=\[4\]\): a server says that; a client, version=4 or 5"),
        (lambda: server(versions=[]), r"versions=\[\]\): must be some of \[4, 5\]: "),
        (lambda: server(versions=[4, 5], **LOGIN), r"must be some of \[5\], and with SOCKS 4 there are no passwords"),
        (lambda: server(password="x"), "go together"),
    ],
)
def test_wrong_arguments_are_refused(make: Callable[[], Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        make()


def test_none_is_no_limit() -> None:
    Harness(stage := server(handshake_seconds=None))
    assert stage.inbound.deadline is None


def test_a_password_is_not_shown() -> None:
    assert "SOCKS('server', username='Ada', password='***')" == repr(server(**LOGIN))


async def test_a_proxy_is_a_server_a_client_and_pump() -> None:
    """Bytes both ways, half-closes included."""
    (peer, ours), (theirs, target) = trio.testing.memory_stream_pair(), trio.testing.memory_stream_pair()
    async with (
        Pipeline[Any, Any](ours, server()) as proxy,
        Pipeline[Any, Any](theirs, Meter()) as upstream,
        trio.open_nursery() as nursery,
    ):
        await peer.send_all(ASK_4A)
        await accept(proxy)
        nursery.start_soon(pump, proxy, upstream)
        await peer.send_all(b"question")
        assert b"question" == await target.receive_some()
        await target.send_all(b"answer")
        await target.send_eof()
        await peer.send_eof()
        assert b"" == await target.receive_some()
        assert b"\0\x5a" + bytes(6) + b"answer" == b"".join([data async for data in peer])


def test_work_is_linear() -> None:
    check_linear(granted, lambda n: [b"x"] * n, n=2000)


def granted() -> SOCKS[Any, Any]:
    stage = server()
    list(stage.inbound.process_sync(ASK_4A))
    stage.outbound.process_sync(SOCKSReply.GRANTED)
    return stage
