"""What each protocol says in one step goes out in one write: there are peers which hang up otherwise.

microsocks does, where a SOCKS greeting comes in two. A pipeline joins what one item became (DESIGN P12); here is that
no stage makes two steps of what is one: an answer to one read, all that is told by one `send_many()`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any

import h11
import pytest
import trio
import trio.testing
from jeepney import message_bus
from wsproto.events import AcceptConnection, Request, TextMessage

from pipeline import Pipeline, Reply
from stages import (
    HTTP1,
    HTTP2,
    IRC,
    LSP,
    SOCKS,
    ContentLengthFramer,
    DBus,
    FastCGI,
    FastCGIData,
    FastCGIEnd,
    FastCGIHeaders,
    FromGenerator,
    IRCMessage,
    LineFramer,
    RPCNotification,
    RPCRequest,
    SendData,
    SendHeaders,
    SMTPClient,
    SMTPCommand,
    SOCKSReply,
    WebSocket,
)
from stages._catalogue import catalogue
from tests.stages.protocols.fastcgi_peer import request
from tests.stages.protocols.http2_peer import OK, PREFACE, SETTINGS, Peer, frame
from tests.stages.protocols.socks_wire import ASK_4A, ASK_5, GRANTED_5
from tests.stages.protocols.websocket_wire import ASKED, END_OF_HEAD


class Wire(trio.abc.Stream):
    """What the peer says, each piece one read; and what is written to it, write by write."""

    def __init__(self) -> None:
        self.hear, self._heard = trio.open_memory_channel[bytes](math.inf)
        self.writes: list[bytes] = []

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return await self._heard.receive()

    async def send_all(self, data: Any) -> None:
        await trio.lowlevel.checkpoint()
        self.writes.append(bytes(data))

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


@dataclass
class Step:
    """What happens, and what becomes of it.

    Attributes:
        cause: what the peer says, or what is sent; b"": nothing but that the pipeline is entered.
        parts: what is written then, in this order, and by one write.
    """

    cause: bytes | list[Any]
    parts: list[bytes]


def mail() -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = "hello"
    message.set_content("It works.\n")
    return message


def greet() -> Generator[Any, Any, None]:
    yield Reply(b"hello\n")
    yield Reply(b"who are you?\n")
    yield b"\n"
    yield [Reply(b"welcome\n"), Reply(b"now what?\n"), "somebody"]
    yield 1


ASKS_HTTP = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
RESPONSE = [h11.Response(status_code=200, headers=[("Content-Length", "2")]), h11.Data(data=b"hi"), h11.EndOfMessage()]
LOGIN = {"username": "Ada", "password": "secret"}
SAID_HELLO = b"250-mx\r\n250 AUTH PLAIN\r\n"

STEPS: list[tuple[str, Callable[[], Any], list[Step]]] = [
    ("HTTP1", lambda: HTTP1("server"), [Step(ASKS_HTTP, []), Step(RESPONSE, [b"HTTP/1.1 200", b"\r\n\r\n", b"hi"])]),
    ("HTTP1", lambda: HTTP1("server"), [Step(b"NONSENSE\r\n\r\n", [b"HTTP/1.1 400", b"Content-Length: 0\r\n\r\n"])]),
    (
        "HTTP1",
        lambda: HTTP1("client"),
        [
            Step(
                [
                    h11.Request(method="PUT", target="/", headers=[("Host", "a"), ("Content-Length", "2")]),
                    *RESPONSE[1:],
                ],
                [b"PUT / HTTP/1.1", b"\r\n\r\nhi"],
            )
        ],
    ),
    ("HTTP2", lambda: HTTP2("client"), [Step(b"", [PREFACE, b"\x04\0\0\0\0\0"])]),
    (
        "HTTP2",
        lambda: HTTP2("server"),
        [
            Step(b"", [b"\x04\0\0\0\0\0"]),
            Step(Peer().get(1) + frame(6, bytes(8)) * 3, [frame(SETTINGS, b"", 1), *[frame(6, bytes(8), 1)] * 3]),
            Step([SendHeaders(1, OK), SendData(1, b"hello", end_stream=True)], [b"\x01\x04\0\0\0\x01", b"hello"]),
        ],
    ),
    (
        "WebSocket",
        lambda: WebSocket("client", Request(host="a", target="/")),
        [Step(b"", [b"GET / HTTP/1.1\r\n", b"Sec-WebSocket-Key: ", b"\r\n\r\n"])],
    ),
    (
        "WebSocket",
        lambda: WebSocket("server"),
        [
            Step(ASKED + END_OF_HEAD, []),
            Step([AcceptConnection()], [b"HTTP/1.1 101 ", b"\r\n\r\n"]),
            Step([TextMessage("one"), TextMessage("two")], [b"\x81\x03one", b"\x81\x03two"]),
        ],
    ),
    (
        "FastCGI",
        FastCGI,
        [
            Step(request(1) + request(2), []),
            Step([FastCGIHeaders(1), FastCGIData(1, b"hello"), FastCGIEnd(1)], [b"Status: 200", b"hello", b"\x01\x03"]),
            Step([FastCGIEnd(2)], [b"\x01\x06\0\x02", b"\x01\x03\0\x02"]),
        ],
    ),
    ("SOCKS", lambda: SOCKS("client", host="example.org", port=80), [Step(b"", [b"\5\1\0"]), Step(b"\5\0", [ASK_5])]),
    (
        "SOCKS",
        lambda: SOCKS("client", host="example.org", port=80, username="Ada", password="secret"),
        [
            Step(b"", [b"\5\1\2"]),
            Step(b"\5\2", [b"\1\3Ada\6secret"]),
            Step(b"\1\0", [ASK_5]),
            Step(GRANTED_5, []),
            Step([b"hello"], [b"hello"]),
        ],
    ),
    (
        "SOCKS",
        lambda: SOCKS("server"),
        [Step(ASK_4A, []), Step([SOCKSReply.GRANTED], [b"\0\x5a" + bytes(6)]), Step([b"a", b"b"], [b"ab"])],
    ),
    (
        "SMTPClient",
        SMTPClient,
        [
            Step(b"220 mx\r\n", []),
            Step([SMTPCommand.ehlo("me")], [b"EHLO me\r\n"]),
            Step(SAID_HELLO, []),
            Step([SMTPCommand.login("ada", "secret")], [b"AUTH PLAIN ", b"\r\n"]),
            Step(b"235 ok\r\n", []),
            *[
                step
                for command in (SMTPCommand.mail("a@b"), SMTPCommand.rcpt("c@d"))
                for step in (Step([command], [b":<"]), Step(b"250 ok\r\n", []))
            ],
            Step([SMTPCommand.data()], [b"DATA\r\n"]),
            Step(b"354 go on\r\n", []),
            Step([mail()], [b"Subject: hello\r\n", b"It works.\r\n", b".\r\n"]),
        ],
    ),
    (
        "LSP",
        lambda: ContentLengthFramer() | LSP(),
        [
            Step([RPCRequest("initialize", {}), RPCNotification("initialized")], [b"Content-Length: "] * 2),
            Step(b"Content-Length: 2\r\n\r\n{]", [b"Content-Length: ", b"-32700"]),
        ],
    ),
    (
        "IRC",
        lambda: LineFramer(ending="crlf") | IRC(),
        [
            Step(
                [IRCMessage("NICK", "a"), IRCMessage("USER", "a", "0", "*", "a")], [b"NICK a\r\n", b"USER a 0 * a\r\n"]
            ),
            Step(b"PING 1\r\nPING 2\r\n", [b"PONG 1\r\n", b"PONG 2\r\n"]),
        ],
    ),
    (
        "DBus",
        DBus,
        [
            Step(b"", [b"\0AUTH EXTERNAL ", b"\r\n"]),
            Step(b"OK 0123\r\n", [b"BEGIN\r\n"]),
            Step([message_bus.Hello(), message_bus.ListNames()], [b"Hello", b"ListNames"]),
        ],
    ),
    (
        "FromGenerator",
        lambda: FromGenerator(greet),
        [Step(b"", [b"hello\n", b"who are you?\n"]), Step(b"Ada\n", [b"welcome\n", b"now what?\n"])],
    ),
]


def test_each_protocol_is_here() -> None:
    protocols = {entry.name for entry in catalogue() if entry.family == "protocols" and entry.kinds}
    assert protocols - {"SansIO"} == {name for name, _, _ in STEPS}


@pytest.mark.parametrize(("name", "make_chain", "steps"), STEPS, ids=[name for name, _, _ in STEPS])
async def test_what_is_said_in_one_step_is_one_write(
    name: str, make_chain: Callable[[], Any], steps: list[Step]
) -> None:
    wire = Wire()
    pipeline = Pipeline[Any, Any](wire, make_chain(), close_seconds=0)

    async def receive() -> None:
        with suppress(Exception):  # where nonsense is what comes
            async for _ in pipeline:
                pass

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        for step in steps:
            if isinstance(step.cause, list):
                await pipeline.send_many(step.cause)
            elif step.cause:
                wire.hear.send_nowait(step.cause)
            await trio.testing.wait_all_tasks_blocked()
            assert len(wire.writes) == bool(step.parts), wire.writes
            written, at = b"".join(wire.writes), 0
            for part in step.parts:
                assert part in written[at:]
                at = written.index(part, at) + len(part)
            wire.writes.clear()
        nursery.cancel_scope.cancel()
