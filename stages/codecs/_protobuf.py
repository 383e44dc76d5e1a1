"""Protocol Buffers messages of one type: `ProtobufCodec`.

One item is one message (https://protobuf.dev/programming-guides/encoding/): the bytes do not say where it ends, and
cut anywhere they may well be another message. So a framer is needed; the one of protobuf's own is `VarintFramer`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from typing_extensions import TypeVar

from pipeline import Duplex, Inbound, Outbound

from .._bytes import BytesLike, as_bytes
from .._extras import Extra

__all__ = ["ProtobufCodec"]

M = TypeVar("M")
Read = TypeVar("Read", covariant=True)
Written = TypeVar("Written", contravariant=True)


class ProtobufCodec(Duplex[BytesLike, M, M, bytes]):
    r"""Parse Protocol Buffers messages of one type inbound, serialise outbound: one item, one message.

    in:  b"\x08\x07"        ProtobufCodec(Order)        out:  Order(id=7)

    Needs the extra `penstock[protobuf]`. Put a framer on the wire's side, as in
    `VarintFramer() | ProtobufCodec(Order)`. Where several types are sent, wrap them in one with a `oneof`.

    Args:
        message_type: a message class, as protoc makes one.

    Raises:
        ValueError: an item is no such message, or one without a required field. Nothing is kept, so `recover`
            can go on with the next item. Outbound: a required field is missing; nothing is written.
        TypeError: outbound, something else than such a message; nothing is written. At once: no message class.
        ImportError: protobuf is not there.
    """

    def __init__(self, message_type: type[M]) -> None:
        _check_type(message_type)
        super().__init__(ProtobufInbound(message_type), ProtobufOutbound(message_type))


def _check_type(message_type: Any) -> None:
    with Extra("ProtobufCodec", "protobuf"):
        from google.protobuf.message import Message  # noqa: PLC0415 - an extra
    if (
        isinstance(message_type, type)
        and issubclass(message_type, Message)
        and getattr(message_type, "DESCRIPTOR", None)
    ):
        return
    shown = message_type.__name__ if isinstance(message_type, type) else " ".join(repr(message_type).split())
    raise TypeError(
        f"ProtobufCodec({shown}): must be a message class, as protoc makes one: "
        f"from orders_pb2 import Order; ProtobufCodec(Order)"
    )


class ProtobufInbound(Inbound[BytesLike, Read]):
    """The inbound half of `ProtobufCodec`; holds nothing."""

    name = "ProtobufCodec.inbound"
    peer_errors = (ValueError,)
    shareable = True
    only_items = True
    never_expands = True
    holds = 0

    def __init__(self, message_type: type[Read]) -> None:
        self._name = message_type.__name__
        self._parse: Callable[[bytes], Any] = message_type.FromString  # type: ignore[attr-defined]

    def process_one(self, data: BytesLike, /) -> Any:
        """Parse one message.

        Raises:
            ValueError: this is none, or not a whole one; the next item is parsed all the same.
        """
        if type(data) is not bytes:
            data = as_bytes("ProtobufCodec", data)
        try:
            message = self._parse(data)
        except Exception as error:
            dots = "..." if len(data) > 40 else ""
            raise ValueError(
                f"ProtobufCodec({self._name}): {error}: {data[:40]!r}{dots} (an item is one whole message: is there a "
                f"framer before it, as in VarintFramer() | ProtobufCodec({self._name})?)"
            ) from error
        if not message.IsInitialized():
            raise ValueError(_missing(self._name, message))
        return message

    def unread(self, outputs: Iterable[Any], /) -> Iterable[Any] | None:
        """Nothing is held; a message that was not taken need not serialise to the same bytes."""
        return None if list(outputs) else ()


class ProtobufOutbound(Outbound[Written, bytes]):
    """The outbound half of `ProtobufCodec`; holds nothing."""

    name = "ProtobufCodec.outbound"
    shareable = True
    holds = 0
    keeps_outbound_state = False

    def __init__(self, message_type: type[Written]) -> None:
        self._type: type[Any] = message_type

    def process_one(self, item: Written, /) -> bytes:
        """Serialise one message.

        Raises:
            TypeError: it is of another type; nothing is written.
            ValueError: a required field is missing; nothing is written.
        """
        message: Any = item
        name = self._type.__name__
        if not isinstance(message, self._type):
            raise TypeError(
                f"ProtobufCodec({name}) serialises {name}, not {type(message).__name__}: the peer would read it as a "
                f"{name} all the same, with other fields"
            )
        if not message.IsInitialized():
            raise ValueError(_missing(name, message))
        data: bytes = message.SerializeToString()
        return data


def _missing(name: str, message: Any) -> str:
    return f"ProtobufCodec({name}): required fields are missing: {', '.join(message.FindInitializationErrors())}"
