"""Samples with the ready-made stages that must type-check; see `composes.py`."""

from __future__ import annotations

import ssl
import sys
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any, TypeAlias, assert_type

import fcgiproto
import h2.events
import h11
import jeepney
import trio
import wsproto.events
from smtpproto.protocol import SMTPResponse

from pipeline import Duplex, Inbound, Outbound, Pipeline, Reply, inbound
from stages import (
    HTTP1,
    HTTP2,
    IRC,
    LSP,
    SOCKS,
    TLS,
    ChannelTap,
    COBSFramer,
    ContentLengthFramer,
    CountLimit,
    DBus,
    DelimiterFramer,
    FastCGI,
    FastCGIItem,
    Filter,
    FixedFramer,
    FrameTimeout,
    FromGenerator,
    Heartbeat,
    HexDump,
    HTTP2Item,
    IdleTimeout,
    Intercept,
    IRCMessage,
    JSONCodec,
    JSONDecoder,
    JSONEncoder,
    JSONFramer,
    LengthFramer,
    LineFramer,
    Logger,
    Map,
    MessagePackCodec,
    Meter,
    NetstringFramer,
    PcapTap,
    Peek,
    ProtobufCodec,
    RateLimit,
    Rechunk,
    Recorder,
    Replayed,
    RPCError,
    RPCMessage,
    RPCRequest,
    RPCResponse,
    SizeLimit,
    SLIPFramer,
    SMTPClient,
    SMTPCommand,
    SOCKSReply,
    SOCKSRequest,
    StructCodec,
    Tap,
    TextCodec,
    Traffic,
    VarintFramer,
    WebSocket,
    ZlibCodec,
    recover,
    replay,
)

BytesLike: TypeAlias = bytes | bytearray | memoryview


@dataclass
class Order:
    id: int


async def chains_from_the_readme(stream: trio.abc.Stream) -> None:
    lines = Pipeline(stream, LineFramer() | TextCodec() | Logger("chat"))
    assert_type(lines, Pipeline[str, str])
    objects = Pipeline(stream, LineFramer(max_bytes=1000) | JSONCodec() | Tap(print))
    assert_type(objects, Pipeline[Any, Any])
    orders = Pipeline(stream, LengthFramer(width=2) | Tap(print) | JSONCodec(Order))
    assert_type(orders, Pipeline[Order, Order])
    assert_type(await orders.receive(), Order)
    await orders.send(Order(1))


def pieces_of_all_kinds_of_bytes(chunks: Inbound[bytes, bytearray | memoryview]) -> None:
    assert_type(chunks | LineFramer() | TextCodec(), Duplex[bytes, str, str, bytes])


def framers_give_bytes() -> None:
    assert_type(VarintFramer() | Tap(print), Duplex[BytesLike, bytes, BytesLike, bytes])
    assert_type(NetstringFramer(max_bytes=1000) | TextCodec(), Duplex[BytesLike, str, str, bytes])
    assert_type(ContentLengthFramer(max_header_bytes=100) | JSONCodec(), Duplex[BytesLike, Any, Any, bytes])
    assert_type(JSONFramer(max_depth=10) | JSONCodec(Order), Duplex[BytesLike, Order, Order, bytes])


def framers_take_all_kinds_of_bytes_and_give_bytes() -> None:
    assert_type(DelimiterFramer(b"\0", max_bytes=10) | TextCodec(), Duplex[BytesLike, str, str, bytes])
    assert_type(SLIPFramer() | Tap(print), Duplex[BytesLike, bytes, BytesLike, bytes])
    assert_type(COBSFramer(1000) | JSONCodec(Order), Duplex[BytesLike, Order, Order, bytes])
    assert_type(Peek(4) | Tap(print), Inbound[BytesLike, bytes])
    assert_type(Rechunk(1000) | FixedFramer(188, at_eof="drop"), Duplex[BytesLike, bytes, BytesLike, bytes])


def numbers() -> Generator[int | list[Order], bytes, None]:
    while True:
        yield [Order((yield 1)[0])]


def generators() -> None:
    assert_type(FromGenerator(numbers), FromGenerator[Any])
    assert_type(FromGenerator[Order](numbers(), push=True) | Map(inbound=number_of), Inbound[BytesLike, int])


def proxies() -> None:
    through = SOCKS("client", host="example.org", port=80, version=4)
    assert_type(through | HTTP1("client"), Duplex[BytesLike, h11.Event, h11.Event, bytes])
    proxy = SOCKS("server", versions=[5], username="Ada", password="secret")
    assert_type(proxy, SOCKS[bytes | SOCKSRequest, BytesLike | SOCKSReply])


def number_of(order: Order) -> int:
    return order.id


def halves() -> None:
    assert_type(JSONDecoder(Order) | Map(inbound=number_of), Inbound[BytesLike | str, int])
    assert_type(LineFramer() | JSONEncoder(Order), Duplex[BytesLike, bytes, Order, bytes])


def records(chunks: Inbound[bytes, bytearray]) -> None:
    chain = LengthFramer() | StructCodec(">HI")
    assert_type(chain, Duplex[BytesLike, tuple[Any, ...], Sequence[Any], bytes])
    assert_type(chunks | StructCodec(">H"), Duplex[bytes, tuple[Any, ...], Sequence[Any], bytes])


def values_without_a_framer() -> None:
    assert_type(MessagePackCodec(), MessagePackCodec[Any])
    assert_type(ZlibCodec() | MessagePackCodec(Order), Duplex[BytesLike, Order, Order, bytes])


def messages() -> None:
    assert_type(VarintFramer() | ProtobufCodec(Order), Duplex[BytesLike, Order, Order, bytes])


def compressed() -> None:
    assert_type(ZlibCodec("zlib") | LineFramer() | TextCodec(), Duplex[BytesLike, str, str, bytes])


def map_has_the_directions_of_its_functions() -> None:
    assert_type(Map(inbound=number_of), Inbound[Order, int])
    assert_type(Map(outbound=str.encode), Outbound[str, bytes])
    assert_type(Map(inbound=bytes.decode, outbound=str.encode), Duplex[bytes, str, str, bytes])


def taps_and_filters_are_transparent() -> None:
    assert_type(TextCodec() | Filter(inbound=bool) | Tap(print) | Logger(), Duplex[BytesLike, str, str, bytes])
    assert_type(LengthFramer() | Logger("wire", redact=bytes.upper), Duplex[BytesLike, bytes, BytesLike, bytes])
    meter = Meter()
    assert_type(meter | TextCodec(), Duplex[BytesLike, str, str, bytes])
    assert_type(meter.snapshot().inbound, Traffic)
    assert_type(Recorder("x") | LineFramer(), Duplex[BytesLike, bytes, BytesLike, bytes])
    assert_type(PcapTap("x", server_side=True) | LineFramer(), Duplex[BytesLike, bytes, BytesLike, bytes])
    copies, _ = trio.open_memory_channel[tuple[str, str]](10)
    assert_type(TextCodec() | ChannelTap(copies), Duplex[BytesLike, str, str, bytes])
    assert_type(ChannelTap(copies).dropped, int)
    assert_type(HexDump(sys.stdout, redact=bytes.upper) | LineFramer(), Duplex[BytesLike, bytes, BytesLike, bytes])


def tls_is_bytes_both_ways() -> None:
    tls = TLS(ssl.create_default_context(), "server.example")
    assert_type(tls | LineFramer() | TextCodec(), Duplex[BytesLike, str, str, bytes])
    assert_type(tls.ssl_object, ssl.SSLObject)
    assert_type(tls.alpn_protocol, str | None)


def guard(direction: str, line: bytes) -> list[bytes]:
    return [line]


async def guard_later(direction: str, line: bytes) -> list[bytes | Reply[bytes]]:
    return [Reply(line)]


def intercept_takes_plain_and_async_functions() -> None:
    assert_type(LineFramer() | Intercept(guard), Duplex[BytesLike, bytes, BytesLike, bytes])
    assert_type(
        Intercept(guard_later, finish=lambda direction: [direction]) | TextCodec(), Duplex[BytesLike, str, str, bytes]
    )


@inbound
def number(text: str) -> list[int]:
    return [int(text)]


def skip(text: str, error: Exception) -> list[int]:
    return []


def recover_keeps_the_stages_type() -> None:
    assert_type(recover(number, skip), Inbound[str, int])


def replay_gives_what_the_client_gets() -> None:
    orders = replay("x", LineFramer() | JSONCodec(Order), answer=lambda order: [Order(order.id)])
    assert_type(orders, Replayed[Order])
    assert_type(orders.received, list[Order])
    assert_type(replay("x", number).received, list[int])
    assert_type(replay("x", Tap(print)), Replayed[Any])


def limits_are_transparent(stream: trio.abc.Stream) -> None:
    limits = RateLimit(bytes_per_s=65536) | IdleTimeout(60) | CountLimit(1000, direction="inbound")
    assert_type(limits | LineFramer(), Duplex[BytesLike, bytes, BytesLike, bytes])
    chain = LineFramer() | FrameTimeout(10) | SizeLimit(1000) | TextCodec() | Heartbeat(20, lambda: "ping")
    assert_type(chain, Duplex[BytesLike, str, str, bytes])
    assert_type(Pipeline(stream, limits | chain), Pipeline[str, str])


def protocols_give_the_events_of_their_libraries() -> None:
    assert_type(HTTP1("server") | Logger(), Duplex[BytesLike, h11.Event, h11.Event, bytes])
    assert_type(HTTP2("client") | Logger(), Duplex[BytesLike, h2.events.Event, HTTP2Item, bytes])
    assert_type(FastCGI() | Logger(), Duplex[BytesLike, fcgiproto.RequestEvent, FastCGIItem, bytes])
    request = wsproto.events.Request(host="example.org", target="/")
    chain = WebSocket("client", request) | Logger()
    assert_type(chain, Duplex[BytesLike, wsproto.events.Event, wsproto.events.Event, bytes])
    assert_type(WebSocket.is_asked_for(h11.Request(method="GET", target="/", headers=[("Host", "a")])), bool)


def smtp_takes_commands_and_mails(stream: trio.abc.Stream) -> None:
    chain = SMTPClient() | Logger()
    assert_type(chain, Duplex[BytesLike, SMTPResponse, SMTPCommand | EmailMessage, bytes])
    assert_type(Pipeline(stream, chain), Pipeline[SMTPResponse, SMTPCommand | EmailMessage])
    assert_type(SMTPCommand.mail("me@here.example"), SMTPCommand)


def lsp_is_messages_both_ways(stream: trio.abc.Stream) -> None:
    chain = ContentLengthFramer() | LSP(invalid="answer")
    assert_type(Pipeline(stream, chain), Pipeline[RPCMessage, RPCMessage])
    assert_type(LSP.reply_key(RPCResponse(1)), int | str | None)
    assert_type(RPCRequest("shutdown").error(-32601, "no"), RPCError)


def dbus_is_messages_both_ways(stream: trio.abc.Stream) -> None:
    assert_type(Pipeline(stream, DBus() | Logger()), Pipeline[jeepney.Message, jeepney.Message])


def irc_is_messages_both_ways(stream: trio.abc.Stream) -> None:
    chain = LineFramer(ending="crlf") | IRC(encoding="cp1252")
    assert_type(Pipeline(stream, chain), Pipeline[IRCMessage, IRCMessage])
    assert_type(IRCMessage("JOIN", "#chat").params, tuple[str, ...])
    assert_type(IRCMessage("JOIN", "#chat").nick, str | None)
