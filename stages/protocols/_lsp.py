"""`LSP`: JSON-RPC 2.0 as the Language Server Protocol (3.17, "Base Protocol") has it, one message an item.

https://www.jsonrpc.org/specification and https://microsoft.github.io/language-server-protocol. The framer is a stage of
its own, so that this one serves other JSON-RPC peers, too, whose messages are lines (the Model Context Protocol).

No library: `lsp`, the one on PyPI that does no I/O, speaks by turns. What a server pushes is an error to it, and one
that `except Exception` does not catch; a client cannot ask before it was answered. A framer helps with neither.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, Final, Literal, NoReturn

from pipeline import Duplex, Inbound, Outbound, Reply, Result

from .._arguments import check_choice
from .._bytes import BytesLike, as_bytes
from .._json_bytes import json_bytes
from ._rpc_messages import RPCError, RPCMessage, RPCNotification, RPCRequest, RPCResponse

__all__ = ["LSP"]

_NO_JSON: Final = -32700
_NO_MESSAGE: Final = -32600
_VERSION: Final = "2.0"


class LSP(Duplex[BytesLike, RPCMessage, RPCMessage, bytes]):
    """Messages of JSON-RPC 2.0, as language servers speak it: frames in, messages out, and the reverse.

    in:  b'{"jsonrpc":"2.0","id":1,"result":null}'        out:  RPCResponse(id=1, result=None)

    An item is one whole message: put the framer on the wire's side, `ContentLengthFramer() | LSP()`. Client and server
    are the same. To many tasks that ask over one connection, each with its own reply, and to what the peer asks and
    tells by itself, `open_calls(pipeline, key=LSP.reply_key, request_key=LSP.request_key)` gives what is theirs.

    Args:
        invalid: what happens to a frame that is no message, when the peer was told so by an error (-32700, -32600).
            "error": it is raised. "answer": it is counted in `refused`, and the next one is read.

    Raises:
        ValueError: a frame is no JSON, or no message, or several at once (a batch). A response that is wrong is not
            answered. Or what is sent has no right place in a message, or cannot be JSON; nothing was written.
        TypeError: what is sent is no message, or has something in it that JSON has not; nothing was written.
    """

    def __init__(self, *, invalid: Literal["error", "answer"] = "error") -> None:
        check_choice("LSP", "invalid", invalid, ("error", "answer"))
        self._reader = LSPInbound(raises=invalid == "error")
        super().__init__(self._reader, LSPOutbound())

    @property
    def refused(self) -> int:
        """How many frames were refused with `invalid="answer"`."""
        return self._reader.refused

    @staticmethod
    def reply_key(message: RPCMessage) -> int | str | None:
        """Return to which request a message is the reply; None: it is none, for `key=` of `open_calls`."""
        return message.id if isinstance(message, RPCResponse | RPCError) else None

    @staticmethod
    def request_key(message: RPCMessage) -> int | str | None:
        """Return by what the reply to a message is known, for `request_key=` of `open_calls`."""
        return message.id if isinstance(message, RPCRequest) else None


class LSPInbound(Inbound[BytesLike, RPCMessage]):
    """The inbound half of `LSP`."""

    name = "LSP.inbound"
    holds = 0
    peer_errors = (ValueError,)

    def __init__(self, *, raises: bool) -> None:
        self._raises = raises
        self.refused = 0

    def process_sync(self, frame: BytesLike, /) -> Result[RPCMessage]:
        """Make a message of a frame.

        Raises:
            ValueError: behind the error that tells the peer.
        """
        data = as_bytes("LSP", frame)
        try:
            value = _DECODER.decode(data.decode())
        except (ValueError, RecursionError) as error:
            return self._refuse(None, _NO_JSON, f"this is no JSON: {_reason(error)}", data)
        try:
            return [_message(value)]
        except _NoMessageError as error:
            if error.is_reply:  # to answer it could go on for ever
                return self._refuse(None, None, str(error), data)
            return self._refuse(_id_of(value), _NO_MESSAGE, str(error), data)

    def unread(self, outputs: Iterable[Any], /) -> Iterable[Any] | None:
        """Nothing is held; a message that was not taken cannot be turned back into the same bytes."""
        return None if list(outputs) else ()

    def _refuse(self, to: Any, code: int | None, problem: str, data: bytes) -> Result[RPCMessage]:
        if code is not None:
            yield Reply(_encoded(RPCError(to, code, problem)))
        if self._raises:
            dots = "..." if len(data) > 100 else ""
            remedy = _NO_FRAMER if data[:8].lower() == b"content-" else ""
            raise ValueError(f"LSP: {problem}: {data[:100]!r}{dots}{remedy}")
        self.refused += 1


class LSPOutbound(Outbound[RPCMessage, bytes]):
    """The outbound half of `LSP`."""

    name = "LSP.outbound"
    holds = 0
    shareable = True
    keeps_outbound_state = False

    def process_one(self, message: RPCMessage, /) -> bytes:
        """Make a frame of a message."""
        return _encoded(message)


# ---- in


_NO_FRAMER: Final = ". Such headers are a framer's matter: ContentLengthFramer() | LSP()"


class _NoMessageError(Exception):
    """What was received is no message."""

    def __init__(self, problem: str, *, is_reply: bool = False) -> None:
        super().__init__(problem)
        self.is_reply = is_reply


def _message(value: Any) -> RPCMessage:
    if not isinstance(value, dict):
        batch = ", and batches are no part of the protocol" if isinstance(value, list) else ""
        raise _NoMessageError(f"a message is an object{batch}")
    is_reply = "method" not in value and "id" in value
    if value.get("jsonrpc") != _VERSION:
        raise _NoMessageError(f'"jsonrpc" must be "{_VERSION}"', is_reply=is_reply)
    return _reply(value) if is_reply else _request(value)


def _request(value: dict[str, Any]) -> RPCMessage:
    method, params = value.get("method"), value.get("params")
    if not isinstance(method, str):
        raise _NoMessageError('"method" must be a string')
    if not isinstance(params, dict | list | None):
        raise _NoMessageError('"params" must be an object or an array')
    if "id" not in value:
        return RPCNotification(method, params)
    return RPCRequest(method, params, _checked_id(_id_of(value)))


def _reply(value: dict[str, Any]) -> RPCMessage:
    to, error = _id_of(value), value.get("error")
    if error is None:
        return RPCResponse(_checked_id(to, is_reply=True), value.get("result"))  # null is often left out
    if value["id"] is not None:  # an error may be to nobody knows what
        _checked_id(to, is_reply=True)
    if not (isinstance(error, dict) and _is_number(error.get("code")) and isinstance(error.get("message"), str)):
        raise _NoMessageError('"error" must have a "code", a whole number, and a "message", a string', is_reply=True)
    return RPCError(to, error["code"], error["message"], error.get("data"))


def _checked_id(found: int | str | None, *, is_reply: bool = False) -> int | str:
    if found is None:
        raise _NoMessageError('"id" must be a string or a whole number', is_reply=is_reply)
    return found


def _id_of(value: Any) -> int | str | None:
    """The id, or None: there is none that may be one."""
    found = value.get("id") if isinstance(value, dict) else None
    return found if isinstance(found, str) or _is_number(found) else None


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _reason(error: Exception) -> str:
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is none")


_DECODER: Final = json.JSONDecoder(parse_constant=_refuse_constant)

# ---- out


def _encoded(message: RPCMessage) -> bytes:
    body = _body(message)
    try:
        return json_bytes({"jsonrpc": _VERSION, **body})
    except RecursionError:
        raise ValueError("LSP: the message is nested too deeply") from None
    except (TypeError, ValueError) as error:
        raise type(error)(f"LSP: {error}") from error


_BODIES: Final[dict[type, Callable[[Any], dict[str, Any]]]] = {
    RPCRequest: lambda message: {"id": message.id, "method": message.method, **_given("params", message.params)},
    RPCNotification: lambda message: {"method": message.method, **_given("params", message.params)},
    RPCResponse: lambda message: {"id": message.id, "result": message.result},
    RPCError: lambda message: {
        "id": message.id,
        "error": {"code": message.code, "message": message.message, **_given("data", message.data)},
    },
}


def _body(message: Any) -> dict[str, Any]:
    make = _BODIES.get(type(message))
    if make is None:
        raise TypeError(
            f"LSP sends messages, not {type(message).__name__}: RPCRequest('shutdown'), RPCNotification('exit'), "
            f"request.response(result) or request.error(code, message)"
        )
    body = make(message)
    try:
        _message({"jsonrpc": _VERSION, **body})
    except _NoMessageError as error:
        raise ValueError(f"LSP: {error} (in {type(message).__name__})") from None
    return body


def _given(name: str, value: Any) -> dict[str, Any]:
    return {} if value is None else {name: value}
