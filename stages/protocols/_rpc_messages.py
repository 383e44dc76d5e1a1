"""The messages of JSON-RPC 2.0, as items: `RPCRequest`, `RPCNotification`, `RPCResponse`, `RPCError`.

https://www.jsonrpc.org/specification, sections 4 and 5.

Rules for this file: no JSON and no bytes; what may be in a message is checked by the stage that writes it.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any, Final

__all__ = ["RPCError", "RPCMessage", "RPCNotification", "RPCRequest", "RPCResponse"]

_next_id: Final = itertools.count(1).__next__


class RPCMessage:
    """One message of JSON-RPC: a request, a notification, a response or an error; `match` tells which."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class RPCRequest(RPCMessage):
    """Asks for something; a response or an error with the same id is due.

    in:  RPCRequest("textDocument/hover", {...})        out:  {"jsonrpc":"2.0","id":1,"method":"textDocument/hover", …

    Args:
        method: what is asked for.
        params: a dict or a list, or None: none.
        id: by what the reply is known; a number that this process has not used unless given.
    """

    method: str
    params: Any = None
    id: int | str = field(default_factory=_next_id)

    def response(self, result: Any = None) -> RPCResponse:
        """Return the response to it."""
        return RPCResponse(self.id, result)

    def error(self, code: int, message: str, data: Any = None) -> RPCError:
        """Return the error that refuses it; -32601 stands for a method that one does not know."""
        return RPCError(self.id, code, message, data)


@dataclass(frozen=True, slots=True)
class RPCNotification(RPCMessage):
    """Tells something; nothing comes back.

    Args:
        method: what is told.
        params: a dict or a list, or None: none.
    """

    method: str
    params: Any = None


@dataclass(frozen=True, slots=True)
class RPCResponse(RPCMessage):
    """What a request asked for.

    Args:
        id: the request's.
        result: any JSON.
    """

    id: int | str
    result: Any = None


@dataclass(frozen=True, slots=True)
class RPCError(RPCMessage):
    """Why a request was refused, an item like others and no exception.

    Args:
        id: the request's; None: nobody could tell.
        code: -32700 no JSON, -32600 no message, -32601 no such method, -32602 wrong params, -32603 a fault inside;
            others are the protocol's own.
        message: one sentence.
        data: more of it, any JSON; None: none.
    """

    id: int | str | None
    code: int
    message: str
    data: Any = None
