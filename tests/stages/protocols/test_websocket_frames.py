"""Messages that are compressed: what is agreed on, and limits when they are decompressed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    TextMessage,
)
from wsproto.utilities import RemoteProtocolError

from pipeline.testing import Harness, check_limit
from stages import WebSocket
from tests.stages.protocols.websocket_wire import (
    ACCEPTED,
    ASKED,
    DEFLATE,
    END_OF_HEAD,
    accept,
    accepting,
    asking,
    client,
    close,
    compressed,
    frame,
    server,
    wire_error,
)

FINAL = bytes.fromhex("f348cdc9c9070000")
"""A whole stream of compressed bytes, and an empty block behind it: "Hello"."""

# ---- limits


def opened(message: Callable[[int], bytes], size: int, head: bytes = ASKED) -> bytes:
    return head + END_OF_HEAD + message(size) + close(1000, masked=True)


def deflated(size: int) -> bytes:
    return frame(2, compressed(b"x" * size), rsv=4)


def deflated_in_many(size: int) -> bytes:
    data = compressed(b"x" * size)
    pieces = [data[at : at + 1] for at in range(len(data))]
    first, *rest = pieces
    frames = [frame(2, first, fin=False, rsv=4), frame(9), *[frame(0, each, fin=False) for each in rest]]
    return b"".join([*frames, frame(0)])


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


def test_a_bomb_takes_no_memory() -> None:
    """64 MiB in 64 KiB."""
    harness = server(ASKED + DEFLATE % b"", deflate=True)
    wire = frame(2, compressed(bytes(1 << 26)), rsv=4)
    assert len(wire) < 70000
    error = wire_error(harness, wire)
    assert "at least 1048577 bytes is over the limit, max_bytes=1048576" in str(error)
    assert [] == harness.received


# ---- agreement


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
    for final in (FINAL, FINAL[:-1]):
        assert [TextMessage(data="Hello")] * 2 == harness.receive(frame(1, final, rsv=4) * 2)


def test_what_follows_the_end_of_a_compressed_stream_takes_no_memory() -> None:
    """Its size is not known when its header is, and nothing comes of it that could be counted."""
    harness = server(ASKED + DEFLATE % b"", deflate=True)
    announced = b"\xc1\xff" + (1 << 40).to_bytes(8, "big") + bytes(4)
    error = wire_error(harness, announced + FINAL + b"x")
    assert "there is more behind the end of what was compressed" in str(error)


@pytest.mark.parametrize(
    ("wire", "code", "reason"),
    [
        (frame(1, b"\xff\xff\xff", rsv=4), 1007, "invalid block type"),
        (frame(1, b"\x04", rsv=4), 1007, "invalid code lengths"),
        (frame(9, rsv=4), 1002, "frame 0x9 is marked as compressed"),
        (frame(1, compressed(b"x"), fin=False, rsv=4) + frame(0, rsv=4), 1002, "frame 0x0 is marked as compressed"),
        (frame(1, FINAL + b"x", rsv=4), 1007, "there is more behind the end of what was compressed"),
        (frame(1, FINAL, fin=False, rsv=4) + frame(0, b"\0"), 1007, "there is more behind the end"),
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


def test_a_servers_answer_that_is_none_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="a parameter without its value"):
        client(DEFLATE % b"; server_max_window_bits", deflate=True)


def test_a_server_must_not_compress_unasked() -> None:
    with pytest.raises(RemoteProtocolError, match="the server compresses, and was not asked to"):
        client(DEFLATE % b"")


def test_what_is_held_of_a_message_counts() -> None:
    stage = WebSocket("server")
    harness = Harness(stage | accept)
    harness.receive(ASKED + END_OF_HEAD)
    assert 0 == stage.inbound.holds
    harness.receive(frame(2, b"abcd", fin=False))
    assert 4 == stage.inbound.holds
    harness.receive(frame(0, b"efgh")[:-1])
    assert stage.inbound.holds > 4
    harness.receive(frame(0, b"efgh")[-1:])
    assert 0 == stage.inbound.holds


def test_a_message_over_the_limit_is_known_by_its_header() -> None:
    harness = server(max_bytes=10)
    harness.receive(frame(2, b"x" * 10))
    assert [BytesMessage(data=b"x" * 10)] == harness.received
    error = wire_error(harness, frame(2, b"x" * 11)[:6])
    assert "at least 11 bytes is over the limit, max_bytes=10" in str(error)
