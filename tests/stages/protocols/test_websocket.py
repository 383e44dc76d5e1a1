"""WebSocket: how it is made, and its two roles against each other."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import h11
import pytest
import trio
import trio.testing
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    Event,
    Ping,
    Pong,
    Request,
    TextMessage,
)
from wsproto.extensions import PerMessageDeflate
from wsproto.utilities import RemoteProtocolError

from pipeline.testing import Harness, check_limit, check_linear
from stages import WebSocket
from tests.stages.framing.driving import random_pieces
from tests.stages.protocols.websocket_wire import (
    ASKED,
    CLOSE,
    END_OF_HEAD,
    Peer,
    accept,
    accepting,
    asking,
    close,
    frame,
    joined,
)


def test_what_asks_for_a_websocket() -> None:
    for headers, asks in [([("Upgrade", "WebSocket")], True), ([("Upgrade", "h2c")], False), ([], False)]:
        request = h11.Request(method="GET", target="/", headers=[("Host", "a"), *headers])
        assert asks == WebSocket.is_asked_for(request)


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


def test_the_connection_is_there_behind_the_handshake() -> None:
    stage = asking()
    harness, server = Harness(stage), Harness(accepting())
    server.receive(harness.replies.pop())
    assert stage.connection is None
    harness.receive(*server.replies)
    assert stage.connection is not None


def test_without_wsproto_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("stages.protocols._websocket_")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("stages.protocols._websocket_halves")
    monkeypatch.setitem(sys.modules, "wsproto", None)
    with pytest.raises(ImportError, match=r"WebSocket needs wsproto: pip install 'penstock\[wsproto\]'"):
        WebSocket("server")


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


# ---- its limit, and its cost


def opened(message: Callable[[int], bytes], size: int, head: bytes = ASKED) -> bytes:
    return head + END_OF_HEAD + message(size) + close(1000, masked=True)


def in_one(size: int) -> bytes:
    return frame(2, b"x" * size)


def in_many(size: int) -> bytes:
    return b"".join(
        [frame(2, b"", fin=False), *[frame(0, b"x", fin=False)] * (size - 1), frame(9, b"12345"), frame(0, b"x")]
    )


@pytest.mark.parametrize(("message", "limit"), [(in_one, 130), (in_many, 3)])
def test_exactly_the_limit_passes_and_one_byte_more_fails(message: Callable[[int], bytes], limit: int) -> None:
    wire = partial(opened, message)
    check_limit(
        lambda n: WebSocket("server", max_bytes=n) | accept,
        wire,
        limits=(limit,),
        random_cuts=2,
        errors=RemoteProtocolError,
    )


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
