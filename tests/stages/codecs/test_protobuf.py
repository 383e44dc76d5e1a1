"""ProtobufCodec: Protocol Buffers messages."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from google.protobuf.wrappers_pb2 import StringValue
from hypothesis import given
from hypothesis import strategies as st

from pipeline.testing import Harness, check_codec
from stages import LengthFramer, ProtobufCodec, VarintFramer, recover


def order_type() -> type[Any]:
    """What protoc would make of: message Order { required int32 id = 1; optional string name = 2; }."""
    file = descriptor_pb2.FileDescriptorProto(name="order.proto", package="shop", syntax="proto2")
    message = file.message_type.add(name="Order")
    field = descriptor_pb2.FieldDescriptorProto
    message.field.add(name="id", number=1, type=field.TYPE_INT32, label=field.LABEL_REQUIRED)
    message.field.add(name="name", number=2, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    made: type[Any] = message_factory.GetMessageClass(pool.FindMessageTypeByName("shop.Order"))
    return made


Order = order_type()


@given(number=st.integers(-(2**31), 2**31 - 1), name=st.text())
def test_messages_come_back(number: int, name: str) -> None:
    order = Order(id=number, name=name)
    harness = Harness(ProtobufCodec(Order))
    assert [order] == harness.receive(*harness.send(order))


def test_it_is_what_protobuf_writes() -> None:
    check_codec(lambda: ProtobufCodec(Order), [Order(id=7, name="tea")], wire=[b"\x08\x07\x12\x03tea"])
    check_codec(lambda: ProtobufCodec(Timestamp), [Timestamp(), Timestamp(seconds=5)], wire=[b"", b"\x08\x05"])


@pytest.mark.parametrize("framer", [VarintFramer, LengthFramer])
def test_behind_a_framer_the_cut_makes_no_difference(framer: Any) -> None:
    nested = Struct()
    nested.update({"a": [1, {"b": None}]})
    check_codec(lambda: framer() | ProtobufCodec(Struct), [nested, Struct()], cut=True, random_cuts=50)


def test_fields_that_are_not_known_go_out_as_they_came() -> None:
    harness = Harness(ProtobufCodec(Timestamp))
    wire = b"\x08\x05\xfa\x01\x03new"
    assert [wire] == harness.send(*harness.receive(wire))


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_of_every_kind_are_parsed(kind: Any) -> None:
    assert [Order(id=7)] == ProtobufCodec(Order).inbound.process_sync(kind(b"\x08\x07"))


def test_what_is_no_bytes_is_refused() -> None:
    with pytest.raises(TypeError, match="ProtobufCodec takes bytes, not str"):
        ProtobufCodec(Order).inbound.process_sync("a")  # type: ignore[arg-type]


def test_what_is_no_such_message_names_stage_and_type_and_asks_for_the_framer() -> None:
    with pytest.raises(ValueError, match=r"ProtobufCodec\(Order\): Error parsing message.*: b'\\x12\\x05te' \(an item"):
        ProtobufCodec(Order).inbound.process_sync(b"\x12\x05te")
    with pytest.raises(ValueError, match=r"\.\.\. \(an item is one whole message: .* VarintFramer\(\) \| ProtobufCod"):
        ProtobufCodec(Order).inbound.process_sync(b"\xff" * 41)


def test_hostile_nesting_is_a_bad_item_like_any_other() -> None:
    """Each level is a Struct with one field, of which the value is a Struct."""
    data = b""
    for _ in range(300):
        value = b"\x2a" + varint(len(data)) + data
        entry = b"\x0a\x00\x12" + varint(len(value)) + value
        data = b"\x0a" + varint(len(entry)) + entry
    with pytest.raises(ValueError, match=r"ProtobufCodec\(Struct\): Error parsing message"):
        ProtobufCodec(Struct).inbound.process_sync(data)


def varint(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + varint(number >> 7)


def test_a_message_without_a_required_field_is_refused_both_ways() -> None:
    codec = ProtobufCodec(Order)
    with pytest.raises(ValueError, match=r"^ProtobufCodec\(Order\): required fields are missing: id$"):
        codec.inbound.process_sync(b"\x12\x03tea")
    with pytest.raises(ValueError, match=r"^ProtobufCodec\(Order\): required fields are missing: id$"):
        codec.outbound.process_sync(Order(name="tea"))


def test_recover_skips_a_bad_message() -> None:
    harness = Harness(recover(ProtobufCodec(Order), lambda item, error: ()))
    assert [Order(id=1), Order(id=2)] == harness.receive(b"\x08\x01", b"\xff", b"", b"\x08\x02")


@pytest.mark.parametrize("item", [StringValue(value="tea"), b"\x08\x07", {"id": 7}, Order], ids=lambda i: str(type(i)))
def test_something_else_is_not_sent(item: Any) -> None:
    with pytest.raises(TypeError, match=r"ProtobufCodec\(Order\) serialises Order, not \w+: the peer would read it as"):
        ProtobufCodec(Order).outbound.process_sync(item)


# ---- the object


def test_it_has_no_state() -> None:
    codec = ProtobufCodec(Order)
    assert codec.inbound.shareable
    assert codec.outbound.shareable
    assert codec.outbound.keeps_outbound_state is False
    assert 0 == codec.inbound.holds == codec.outbound.holds
    Harness(codec)
    Harness(codec)


def test_nothing_is_held_so_nothing_is_given_back() -> None:
    inbound = ProtobufCodec(Order).inbound
    assert () == inbound.unread(())
    assert inbound.unread(inbound.process_sync(b"\x08\x07")) is None


@pytest.mark.parametrize(
    ("message_type", "shown"),
    [(dict, "dict"), (Message, "Message"), (Order(id=1), "id: 1"), (None, "None"), ("Order", "'Order'")],
)
def test_what_is_no_message_class_is_refused_at_once(message_type: Any, shown: str) -> None:
    with pytest.raises(TypeError, match=rf"ProtobufCodec\({shown}.*\): must be a message class, as protoc makes one"):
        ProtobufCodec(message_type)


def test_without_protobuf_it_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google.protobuf.message", None)
    with pytest.raises(ImportError, match=r"ProtobufCodec needs protobuf: pip install 'penstock\[protobuf\]'"):
        ProtobufCodec(Order)


def test_repr_shows_it_as_it_is_written() -> None:
    assert "ProtobufCodec(Order)" == repr(ProtobufCodec(Order))
