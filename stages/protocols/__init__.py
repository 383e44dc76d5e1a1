"""Protocols: most by libraries that do no I/O themselves (sans-I/O), each with its extra."""

from __future__ import annotations

from ._dbus import DBus
from ._fastcgi import FastCGI
from ._fastcgi_items import FastCGIData, FastCGIEnd, FastCGIHeaders, FastCGIItem, FastCGILog
from ._generator import FromGenerator
from ._http1 import HTTP1
from ._http2 import HTTP2
from ._http2_items import HTTP2Item, SendCredit, SendData, SendGoAway, SendHeaders, SendPing, SendReset
from ._irc import IRC
from ._irc_message import IRCMessage
from ._lsp import LSP
from ._rpc_messages import RPCError, RPCMessage, RPCNotification, RPCRequest, RPCResponse
from ._smtp import SMTPClient
from ._smtp_command import SMTPCommand
from ._socks import SOCKS, SOCKSError, SOCKSReply, SOCKSRequest
from ._websocket import WebSocket
from .sansio import SansIO

__all__ = [
    "HTTP1",
    "HTTP2",
    "IRC",
    "LSP",
    "SOCKS",
    "DBus",
    "FastCGI",
    "FastCGIData",
    "FastCGIEnd",
    "FastCGIHeaders",
    "FastCGIItem",
    "FastCGILog",
    "FromGenerator",
    "HTTP2Item",
    "IRCMessage",
    "RPCError",
    "RPCMessage",
    "RPCNotification",
    "RPCRequest",
    "RPCResponse",
    "SMTPClient",
    "SMTPCommand",
    "SOCKSError",
    "SOCKSReply",
    "SOCKSRequest",
    "SansIO",
    "SendCredit",
    "SendData",
    "SendGoAway",
    "SendHeaders",
    "SendPing",
    "SendReset",
    "WebSocket",
]
