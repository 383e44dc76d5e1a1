"""The web server's side of FastCGI, written and read by hand: nothing here is the stage's own."""

from __future__ import annotations

import struct
from typing import Any

from fcgiproto.records import decode_record, encode_name_value_pairs

RESPONDER, AUTHORIZER, FILTER = 1, 2, 3


def record(kind: int, request_id: int, content: bytes = b"", padding: int = 0) -> bytes:
    return struct.pack(">BBHHBx", 1, kind, request_id, len(content), padding) + content + b"\0" * padding


def begin(request_id: int = 1, *, role: int = RESPONDER, keep: bool = True) -> bytes:
    return record(1, request_id, struct.pack(">HB5x", role, keep))


def params(request_id: int = 1, **pairs: str) -> bytes:
    """All parameters of a request, with their end."""
    content: bytes = encode_name_value_pairs(list(pairs.items()))
    return (record(4, request_id, content, padding=-len(content) % 8) if content else b"") + record(4, request_id)


def stdin(*data: bytes, request_id: int = 1) -> bytes:
    return b"".join([record(5, request_id, piece) for piece in data])


def request(request_id: int = 1, body: bytes = b"", *, keep: bool = True, role: int = RESPONDER, **pairs: str) -> bytes:
    """A whole one."""
    head = begin(request_id, role=role, keep=keep) + params(request_id, **pairs)
    return head + stdin(*([body] if body else []), b"", request_id=request_id)


def records(data: bytes) -> list[tuple[Any, ...]]:
    """What was written, as fcgiproto reads it: (kind, request, ...)."""
    buffer, found = bytearray(data), []
    while buffer:
        if buffer[1] == 11:  # fcgiproto cannot read what it writes there
            found.append(("UnknownType", 0, buffer[8]))
            del buffer[:16]
            continue
        each = decode_record(buffer)
        assert each is not None, "no whole record"
        kind = type(each).__name__.removeprefix("FCGI")
        rest = [name for base in type(each).__mro__ for name in getattr(base, "__slots__", ()) if name != "request_id"]
        found.append((kind, each.request_id, *(getattr(each, name) for name in reversed(rest))))
    return found


def told(events: list[Any]) -> list[tuple[Any, ...]]:
    """What was said: (kind, request, what it carries)."""
    said = []
    for event in events:
        kind = type(event).__name__.removeprefix("Request").removesuffix("Event")
        carried = dict(event.params) if kind == "Begin" else getattr(event, "data", None)
        said.append((kind, event.request_id, carried))
    return said


def ended(request_id: int = 1, app_status: int = 0, protocol_status: int = 0) -> list[tuple[Any, ...]]:
    """The records of the end of a response, as `records` gives them."""
    end = ("EndRequest", request_id, protocol_status, app_status)
    return [end] if protocol_status else [("Stdout", request_id, b""), end]
