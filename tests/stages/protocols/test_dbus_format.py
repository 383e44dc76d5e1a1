"""What is looked at in a message of D-Bus before jeepney parses it."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from jeepney import DBusAddress, Endianness, HeaderFields, Message, new_signal

from pipeline import CorruptFrameError
from pipeline.testing import Harness
from stages import DBus
from stages.protocols._dbus_format import check_body, check_header, message_size, types_of

THERE = DBusAddress("/there", bus_name="org.example", interface="org.example.There")


def said(signature: str, *values: Any, endianness: Endianness = Endianness.little) -> bytes:
    """A signal, as jeepney writes it."""
    message: Message = new_signal(THERE, "Said", signature, values)
    message.header.serial, message.header.endianness = 1, endianness
    return bytes(message.serialise())


@pytest.mark.parametrize("endianness", [Endianness.little, Endianness.big])
@pytest.mark.parametrize(
    ("signature", "values"),
    [
        ("ybnqiuxtd", (1, True, -2, 2, -3, 3, -4, 4, 0.5)),
        ("sog", ("text", "/a/b", "a{sv}")),
        ("asaya(yt)", (["one", ""], b"bytes", [(1, 2), (3, 4)])),
        ("a{sv}v", ({"a": ("i", 1), "b": ("as", ["x"])}, ("v", ("s", "deep")))),
        ("(y(st))", ((1, ("x", 2)),)),
        ("au", ([],)),
    ],
)
def test_what_is_right_passes(signature: str, values: tuple[Any, ...], endianness: Endianness) -> None:
    message = said(signature, *values, endianness=endianness)
    assert len(message) == message_size(message[:16])
    start = check_header(message)
    check_body(message, start, signature)
    (parsed,) = Harness(DBus(authenticate=False)).receive(message)
    assert values == parsed.body


def body(signature: str, data: bytes) -> bytes:
    """A signal with a body that nobody checked."""
    message = new_signal(THERE, "Said")
    message.header.serial = 1
    message.header.fields[HeaderFields.signature] = signature
    message.header.body_length = len(data)
    header: bytes = message.header.serialise()
    return header + bytes(-len(header) % 8) + data


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"x" * 16, "a message begins with b'l' or b'B', for its byte order, not with b'x'"),
        (b"l\x04\x00\x02" + bytes(12), "protocol version 2; there is only 1"),
        (b"l\x00\x00\x01" + bytes(12), "0 is not a valid MessageType"),
        (body("a()", struct.pack("<I4x8x", 8)), r"the signature 'a\(\)' has a struct of nothing"),
        (body("v", b"\x03a()\x00" + bytes(20)), r"the signature 'a\(\)' has a struct of nothing"),
        (body("s", b"\xff\xff\x00\x00x"), "a value ends 65535 bytes behind the end"),
        (body("s", b"\x01\x00\x00\x00xy"), "a string does not end in NUL"),
        (body("s", b"\x03\x00\x00\x00x\x00y\x00"), "a string has a NUL in it"),
        (body("s", b"\x02\x00\x00\x00\xff\xfe\x00"), "can't decode byte 0xff"),
        (body("y", b"12"), "the body has 2 bytes, its signature 'y' takes 1"),
        (body("u", b"12"), "a value ends 2 bytes behind the end"),
        (body("au", b"\x05\x00\x00\x0012345678"), "the last element of an array does not end where the array does"),
        (body("ay", b"\x01\x00\x00\x08"), "an array of 134217729 bytes is over the limit of D-Bus, 67108864"),
        (body("v", b"\x02yy\x00\x00\x00"), "a variant has one value, not 2"),
        (body("v", b"\x01v\x00" * 70 + b"\x01y\x00\x00"), "values are nested deeper than 64"),
        (body("a" * 70 + "y", bytes(4)), "is nested deeper than 64"),
        (body("z", b""), "the signature 'z' is none: 'z' at 0"),
        (body("(y", b""), r"the signature '\(y' is none: nothing ends the '\(' in it"),
        (body("{yy}", b""), "has a dict entry outside of an array"),
        (body("(y}", b""), r"the signature '\(y}' is none: '}' at 2"),
        (
            body("aay", b"\x05\x00\x00\x00\x04\x00\x00\x00abcd"),
            "the last element of an array does not end",
        ),
        (body("a{vy}", bytes(4)), "has a dict entry that is none"),
        (body("a{yyy}", bytes(4)), "has a dict entry that is none"),
        (body("yy", b"1"), "a value ends 1 bytes behind the end"),
        (body("g", b""), "a value ends 1 bytes behind the end"),
    ],
)
def test_what_jeepney_would_fall_over_is_corrupt(data: bytes, says: str) -> None:
    with pytest.raises(CorruptFrameError, match=f"DBus: .*{says}"):
        Harness(DBus(authenticate=False)).receive(data)


def test_a_signature_has_a_longest_length() -> None:
    """In a message a byte says how long it is, so only one that was made by hand can be longer."""
    with pytest.raises(ValueError, match="a signature of 256 characters; 255 are the most"):
        types_of("y" * 256)
