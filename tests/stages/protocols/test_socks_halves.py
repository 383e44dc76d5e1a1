"""The halves of SOCKS: the handshake of each role, its time, and the bytes behind it."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline import END, Reply, StageTimeoutError
from pipeline.testing import Harness, pipeline_pair
from stages import SOCKS, Meter, SOCKSError, SOCKSReply, SOCKSRequest
from tests.stages.protocols.socks_wire import ASK_4A, ASK_5, GRANTED_5, LOGIN, REQUEST, client, cuts_of, server

# ---- the client


@pytest.mark.parametrize(
    ("options", "wire", "said"),
    [
        ({}, b"\5\0" + GRANTED_5, [b"\5\1\0", ASK_5]),
        (LOGIN, b"\5\2\1\0" + GRANTED_5, [b"\5\1\2", b"\1\3Ada\6secret", ASK_5]),
        ({"version": 4}, b"\0\x5a" + bytes(6), [ASK_4A]),
        ({"version": 4, "username": "me"}, b"\0\x5a" + bytes(6), [ASK_4A.replace(b"\xff", b"\xffme")]),
    ],
    ids=["5", "5, password", "4a", "4a, user"],
)
def test_a_client_shakes_hands_and_then_bytes_pass(options: dict[str, Any], wire: bytes, said: list[bytes]) -> None:
    for pieces in cuts_of(wire + b"hello"):
        harness = Harness(client(**options))
        received = harness.receive(*pieces)
        assert b"hello" == b"".join(received)
        assert b"".join(said) == b"".join(harness.replies)
        assert [b"to you"] == harness.send(b"to you")
        assert [b"x", b"y"] == harness.receive(bytearray(b"x"), memoryview(b"y"))
        assert [] == harness.finish()


def test_each_step_is_one_write() -> None:
    harness = Harness(client())
    harness.receive(b"\5\0")
    harness.receive(GRANTED_5)
    assert [b"\5\1\0", ASK_5] == harness.replies


def test_a_send_waits_for_the_handshake() -> None:
    harness = Harness(client())
    assert [] == harness.send(b"early")
    harness.receive(b"\5\0", GRANTED_5)
    assert b"early" == harness.sent[-1]


def test_a_client_by_itself_does_not_send_early() -> None:
    stage = client()
    with pytest.raises(SOCKSError, match="nothing can be sent before the handshake is over"):
        stage.outbound.process_sync(b"x")


# ---- the server


@pytest.mark.parametrize("wire", [b"\5\1\0" + ASK_5, ASK_4A])
def test_a_server_gives_the_question_and_bytes_pass_behind_the_answer(wire: bytes) -> None:
    for pieces in cuts_of(wire + b"early"):
        harness = Harness(server())
        received = harness.receive(*pieces)
        assert [REQUEST.host, REQUEST.port] == [received[0].host, received[0].port]
        assert received[1:] == []
        (answer,) = harness.send(SOCKSReply.GRANTED)
        assert answer in (GRANTED_5, b"\0\x5a" + bytes(6))
        assert b"early" == b"".join(harness.received[1:])
        assert [b"later"] == harness.receive(b"later")
        assert [b"out", b"in"] == harness.send(b"out", bytearray(b"in"))
        assert [] == harness.finish()


def test_nothing_is_read_between_the_question_and_the_answer() -> None:
    harness = Harness(stage := server())
    harness.receive(ASK_4A)
    assert not stage.inbound.wants_input
    assert stage.inbound.ready
    assert [] == harness.receive(b"waits")
    harness.send(SOCKSReply.GRANTED)
    assert b"waits" == harness.received[-1]


def test_a_refusal_ends_both_directions() -> None:
    stage = server()
    assert [REQUEST] == [
        item for item in stage.inbound.process_sync(b"\5\1\0" + ASK_5) if isinstance(item, SOCKSRequest)
    ]
    refusal = b"\5\4\0\1" + bytes(6)
    assert [refusal, END] == stage.outbound.process_sync(SOCKSReply.HOST_UNREACHABLE)
    assert [END] == stage.inbound.poll()
    assert [] == stage.inbound.poll()


async def test_who_does_not_answer_refuses() -> None:
    async with pipeline_pair(Meter(), server()) as (peer, pipeline):
        await peer.send(b"\5\1\0" + ASK_5)
        assert REQUEST == await pipeline.receive()
        await pipeline.send_eof()
        assert b"\5\0\5\1\0\1" + bytes(6) == b"".join([item async for item in peer])


def test_what_is_no_answer_is_refused_and_nothing_written() -> None:
    harness = Harness(server())
    with pytest.raises(SOCKSError, match="the client has not asked yet: receive the SOCKSRequest first"):
        harness.send(SOCKSReply.GRANTED)
    harness = Harness(server())
    harness.receive(ASK_4A)
    for item in (b"hello", "yes"):
        with pytest.raises(TypeError, match=r"the answer first, and not \w+: SOCKSReply.GRANTED, or why not"):
            harness.send(item)
    harness.send(SOCKSReply.GRANTED)
    with pytest.raises(SOCKSError, match=r"SOCKSReply\.GRANTED was said already; from here on bytes pass"):
        harness.send(SOCKSReply.GRANTED)
    with pytest.raises(TypeError, match="SOCKS takes bytes, not str"):
        harness.send("text")


def test_a_client_that_is_not_understood_is_told_before_the_error() -> None:
    harness = Harness(stage := server())
    with pytest.raises(SOCKSError, match="Socks command 0x02 is not supported"):
        harness.receive(b"\5\1\0\5\2\0\1" + bytes(6))
    assert b"\5\0\5\7\0\1" + bytes(6) == b"".join(harness.replies)
    with pytest.raises(SOCKSError):
        stage.inbound.process_sync(b"x")
    with pytest.raises(SOCKSError):
        stage.outbound.process_sync(SOCKSReply.GRANTED)


def test_a_peer_that_leaves_before_it_said_anything_is_no_error() -> None:
    assert [] == Harness(server()).finish()


async def test_a_handshake_that_is_cut_is_an_error() -> None:
    for make in (client, server):
        harness = Harness(make())
        harness.receive(b"\5")
        with pytest.raises(SOCKSError, match="ended the connection during the handshake"):
            harness.finish()


# ---- time


def test_the_peers_part_has_its_time() -> None:
    for make, peer in ((client, "proxy"), (server, "client")):
        harness = Harness(stage := make(handshake_seconds=5))
        harness.receive(b"\5")
        harness.advance(4.9)
        with pytest.raises(
            StageTimeoutError, match=f"the {peer} has not done its part of the handshake after 5 seconds"
        ):
            harness.advance(0.2)
        assert stage.inbound.deadline is None
        with pytest.raises(StageTimeoutError):
            stage.inbound.process_sync(b"\0")


def test_the_answer_has_all_the_time_and_so_have_bytes() -> None:
    harness = Harness(server())
    harness.receive(ASK_4A)
    harness.advance(1000)
    harness.send(SOCKSReply.GRANTED)
    harness.advance(1000)
    assert [b"x"] == harness.receive(b"x")


def test_without_a_limit_it_waits() -> None:
    harness = Harness(server(handshake_seconds=None))
    harness.receive(b"\5")
    harness.advance(1000)
    assert [REQUEST] == harness.receive(b"\1\0" + ASK_5)


# ---- alone


def test_an_empty_piece_is_nothing() -> None:
    """Some of what is cut for the stage is; the end is told in another way."""
    stage = server()
    assert () == stage.inbound.process_sync(b"")
    assert [REQUEST] == [
        item for item in stage.inbound.process_sync(b"\5\1\0" + ASK_5) if isinstance(item, SOCKSRequest)
    ]


def test_bytes_that_were_not_taken_are_given_back() -> None:
    stage = client()
    results = stage.inbound.process_sync(b"\5\0" + GRANTED_5 + b"more")
    assert [Reply(b"\5\1\0" + ASK_5), b"more"] == results
    assert [b"more"] == stage.inbound.unread([b"more"])
    assert 0 == stage.inbound.holds
    assert [] == stage.inbound.unread(())


def test_inside_the_handshake_nothing_is_given_back() -> None:
    stage = server()
    assert [] == stage.inbound.unread(())
    assert () == tuple(stage.inbound.process_sync(b"\5"))
    assert stage.inbound.unread(()) is None


def test_errors_of_both_roles_are_under_the_same_name() -> None:
    for stage in SOCKS("server"), SOCKS("client", host="a", port=1):
        assert ("SOCKS.inbound", "SOCKS.outbound") == (stage.inbound.name, stage.outbound.name)
