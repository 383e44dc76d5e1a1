"""DBus: canned bytes in, messages out; what a bus may do to it; and a bus that nobody here wrote."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing
from jeepney import (
    DBusAddress,
    Endianness,
    Message,
    MessageType,
    message_bus,
    new_error,
    new_method_call,
    new_method_return,
    new_signal,
)
from jeepney.auth import AuthenticationError

from pipeline import (
    CorruptFrameError,
    FrameTooLongError,
    IncompleteFrameError,
    Pipeline,
    StageTimeoutError,
    open_calls,
)
from pipeline.testing import Harness, check_limit, check_linear
from stages import DBus
from tests.measuring import EVERY_CUT
from tests.stages.framing.driving import pieces_at, random_pieces

HELLO = b"\0AUTH EXTERNAL %b\r\n" % str(os.geteuid()).encode().hex().encode()
OK = b"OK 1234deadbeef\r\n"
THERE = DBusAddress("/there", bus_name="org.example", interface="org.example.There")


def numbered(message: Message, serial: int = 1) -> Message:
    message.header.serial = serial
    return message


def text(message: Message) -> tuple[Any, ...]:
    """What of a message can be compared."""
    return message.header.message_type, message.header.serial, message.header.fields, message.body


CALL = numbered(new_method_call(THERE, "Do", "sa{sv}", ("x", {"a": ("i", 1), "b": ("a(yt)", [(1, 2), (3, 4)])})), 7)
MESSAGES = [
    CALL,
    numbered(new_method_return(CALL, "as", (["one", "two"],)), 8),
    numbered(new_error(CALL, "org.example.Error.No", "s", ("no",)), 9),
    numbered(new_signal(THERE, "Said", "dbayoqv", (1.5, True, b"bytes", "/a/b", 9, ("v", ("s", "deep")))), 10),
    numbered(new_signal(THERE, "Nothing"), 11),
]
WIRE = b"".join(message.serialise() for message in MESSAGES)


def messages_of(pieces: Sequence[bytes], **options: Any) -> list[tuple[Any, ...]]:
    harness = Harness(DBus(**options))
    harness.receive(*pieces)
    harness.finish()
    return [text(message) for message in harness.received]


def entered(**options: Any) -> Harness:
    """A client that the bus has accepted."""
    harness = Harness(DBus(**options))
    harness.receive(OK)
    harness.sent.clear()
    return harness


# ---- authentication


def test_the_client_says_who_it_is_and_begins() -> None:
    """Jeepney leaves BEGIN to its user; a send before waits until it is out."""
    dbus = DBus()
    harness = Harness(dbus)
    assert [] == harness.receive()
    assert [HELLO] == harness.replies
    assert not dbus.ready
    harness.receive(OK[:5], OK[5:])
    assert [HELLO, b"BEGIN\r\n"] == harness.replies
    assert dbus.ready


async def test_entering_waits_for_the_bus() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def bus() -> None:
            assert HELLO == await theirs.receive_some()
            await trio.sleep(5)
            await theirs.send_all(OK)
            assert b"BEGIN\r\n" == await theirs.receive_some()
            await theirs.send_all(WIRE)
            await theirs.send_eof()

        start = trio.current_time()
        async with Pipeline(ours, DBus()) as pipeline:
            assert 5 == trio.current_time() - start
            assert list(map(text, MESSAGES)) == [text(message) async for message in pipeline]


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        (b"REJECTED EXTERNAL\r\n", AuthenticationError, "Authentication failed. Bus sent: .*REJECTED EXTERNAL"),
        (OK + b"l", AuthenticationError, "Unexpected data received. Bus sent: bytearray"),
        (b"x" * 8193, FrameTooLongError, "a line of 8193 bytes in the authentication is over the limit, 8192"),
        (b"x" * 8191 + b"\r\n", FrameTooLongError, "a line of 8193 bytes"),
    ],
)
async def test_a_bus_that_does_not_accept_us(answer: bytes, error: type[Exception], says: str) -> None:
    """Entering raises, and the transport is closed."""
    ours, theirs = trio.testing.memory_stream_pair()
    await theirs.send_all(answer)
    with pytest.raises(error, match=says):
        await Pipeline(ours, DBus()).__aenter__()
    assert HELLO == await theirs.receive_some()
    assert b"" == await theirs.receive_some()


async def test_a_bus_that_leaves_or_keeps_silent() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    await theirs.send_all(b"OK")
    await theirs.send_eof()
    with pytest.raises(AuthenticationError, match=r"ended the connection before it accepted us\. Bus sent: b'OK'"):
        await Pipeline(ours, DBus()).__aenter__()
    for dbus, seconds in ((DBus(), 30), (DBus(handshake_seconds=2), 2)):
        ours, theirs = trio.testing.memory_stream_pair()
        began = trio.current_time()
        says = f"DBus: the bus has not accepted us after {seconds} seconds"
        with trio.fail_after(100), pytest.raises(StageTimeoutError, match=says):
            await Pipeline(ours, dbus).__aenter__()
        assert seconds == trio.current_time() - began
        assert HELLO == await theirs.receive_some()
        assert b"" == await theirs.receive_some()


def test_it_may_take_for_ever_and_behind_it_nothing_is_due() -> None:
    harness = Harness(DBus(handshake_seconds=None))
    harness.advance(10_000)
    harness.receive(OK)
    harness = Harness(DBus())
    harness.advance(29)
    harness.receive(OK)
    harness.advance(10_000)
    assert list(map(text, MESSAGES)) == list(map(text, harness.receive(WIRE)))


# ---- messages


def test_every_cut_gives_the_same_messages() -> None:
    """Of what the bus says, from its first byte; in two pieces, in single bytes, and cut at random."""
    whole = OK + WIRE
    expected = [text(message) for message in MESSAGES]
    for at in range(len(OK), len(whole), 1 if EVERY_CUT else 5):
        first = whole[:at]
        # The bus says nothing beyond its answer before it hears BEGIN.
        assert expected == messages_of([OK, first[len(OK) :], whole[at:]])
    for at in range(len(OK)):
        assert expected == messages_of([OK[:at], OK[at:], WIRE])
    assert expected == messages_of([OK, *pieces_at(WIRE, range(1, len(WIRE)))])
    rng = random.Random(1)
    for _ in range(40 if EVERY_CUT else 10):
        assert expected == messages_of([OK, *random_pieces(rng, WIRE)])


def test_both_byte_orders() -> None:
    message = new_signal(THERE, "Said", "sai", ("x", [1, 2]))
    message.header.serial, message.header.endianness = 3, Endianness.big
    (got,) = messages_of([message.serialise()], authenticate=False)
    assert ("x", [1, 2]) == got[3]


def test_what_is_sent_is_numbered() -> None:
    """From 1 on, unless it has a number; after the largest it begins again."""
    harness = entered()
    first, second = message_bus.Hello(), message_bus.ListNames()
    harness.send(first, numbered(message_bus.GetId(), 77), second)
    assert [1, 77, 2] == [message[1] for message in messages_of(harness.sent, authenticate=False)]
    dbus = DBus()
    dbus._serial = 0xFFFFFFFF
    assert 1 == dbus.number(message_bus.Hello())


def test_what_is_no_message_is_not_sent() -> None:
    harness = entered(max_bytes=200)
    with pytest.raises(TypeError, match=r"DBus sends messages of jeepney, not str: jeepney.new_method_call\("):
        harness.send("Hello")
    with pytest.raises(FrameTooLongError, match=r"of \d+ bytes is over the limit, max_bytes=200\. Nothing was"):
        harness.send(new_method_call(THERE, "Do", "s", ("x" * 200,)))
    assert [] == harness.sent


@pytest.mark.parametrize(
    ("signature", "values", "says"),
    [
        ("s", ("ada\0eve",), "a string has a NUL in it"),
        ("a()", ([()],), r"the signature 'a\(\)' has a struct of nothing"),
        ("y", (300,), "ubyte format requires 0 <= number <= 255"),
        ("s", (5,), "Expected str, not 5"),
        (None, ("text",), "there is a body, and no signature that says what it is"),
    ],
)
def test_what_a_bus_would_hang_up_for_is_not_sent(signature: str | None, values: tuple[Any, ...], says: str) -> None:
    """One user's text is not to cost the connection."""
    harness = Harness(DBus(authenticate=False))
    with pytest.raises(ValueError, match=f"DBus: the message is none, and nothing was written: {says}"):
        harness.send(new_method_call(THERE, "Say", signature, values))
    assert harness.send(new_method_call(THERE, "Say", "s", ("hello",)))


def test_messages_of_unknown_types_are_passed_over() -> None:
    unknown = bytearray(MESSAGES[4].serialise())
    unknown[1] = 9
    dbus = DBus(authenticate=False)
    harness = Harness(dbus)
    harness.receive(bytes(unknown) + WIRE)
    assert len(MESSAGES) == len(harness.received)
    assert 1 == dbus.skipped


def test_a_message_of_the_limit_passes_and_a_longer_one_does_not() -> None:
    def message(size: int) -> bytes:
        short = numbered(new_signal(THERE, "Said", "ay", (b"",))).serialise()
        return bytes(numbered(new_signal(THERE, "Said", "ay", (b"x" * (size - len(short)),))).serialise())

    assert 300 == len(message(300))
    factory = partial(DBus, authenticate=False)
    check_limit(lambda limit: factory(max_bytes=limit), message, certain=lambda _: 16, limits=(200, 300))
    with pytest.raises(FrameTooLongError, match=r"of 301 bytes is over the limit, max_bytes=300\. Raise") as long:
        messages_of([message(301)[:16]], max_bytes=300, authenticate=False)
    assert (300, 301) == (long.value.limit, long.value.size)


@pytest.mark.unmeasured
def test_the_cost_grows_with_what_came() -> None:
    def message(size: int) -> bytes:
        return bytes(numbered(new_signal(THERE, "Said", "ay", (b"x" * size,))).serialise())

    check_linear(lambda: DBus(authenticate=False), lambda n: [bytes([byte]) for byte in message(n)], n=2000)
    check_linear(lambda: DBus(authenticate=False), lambda n: [WIRE * n], n=30)
    nested = numbered(new_signal(THERE, "Said", "av", ([("y", 1)] * 1000,))).serialise()
    check_linear(lambda: DBus(authenticate=False), lambda n: [nested] * n, n=4)


def test_the_end_inside_a_message() -> None:
    with pytest.raises(IncompleteFrameError, match="DBus: the stream ended 20 bytes into a message") as caught:
        messages_of([WIRE[:20]], authenticate=False)
    assert WIRE[:20] == caught.value.leftover
    with pytest.raises(IncompleteFrameError):
        messages_of([WIRE[:7]], authenticate=False)


def test_what_was_not_parsed_is_given_back() -> None:
    harness = Harness(dbus := DBus(authenticate=False))
    harness.receive(WIRE + b"l\x04")
    assert 2 == dbus.holds
    assert [b"l\x04"] == list(dbus.inbound.unread([]) or ())
    assert [] == list(dbus.inbound.unread([]) or ())


# ---- what is no message


def test_what_is_no_message_breaks_inbound_behind_what_came_before() -> None:
    harness = Harness(DBus(authenticate=False))
    with pytest.raises(CorruptFrameError, match=r"a message begins with b'l' or b'B', .*, not with b'x'"):
        harness.receive(WIRE + b"x" * 16)
    assert len(MESSAGES) == len(harness.received)
    harness = Harness(DBus(authenticate=False))
    with pytest.raises(CorruptFrameError, match="DBus: a message of 16 bytes is none: 0 is not a valid MessageType"):
        harness.receive(WIRE + b"l\x00\x00\x01" + bytes(12))
    assert len(MESSAGES) == len(harness.received)


@pytest.mark.unmeasured
def test_noise_is_messages_or_corrupt() -> None:
    """Whatever bytes of right messages are changed, nothing else comes of it, and nothing hangs."""
    rng = random.Random(2)
    outcomes = set()
    for _ in range(1500):
        data = bytearray(rng.choice(MESSAGES).serialise())
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(len(data))] = rng.choice([0, 1, 40, 41, 97, 118, rng.randrange(256)])
        try:
            messages_of([bytes(data)], authenticate=False)
            outcomes.add("right")
        except (CorruptFrameError, FrameTooLongError, IncompleteFrameError) as error:
            outcomes.add(type(error).__name__)
    assert {"right", "CorruptFrameError", "FrameTooLongError", "IncompleteFrameError"} == outcomes


# ---- calls


async def test_each_reply_reaches_its_caller() -> None:
    """Out of order, and with a call of the peer's own which has the same number."""
    ours, theirs = trio.testing.memory_stream_pair()
    dbus = DBus(authenticate=False)
    async with (
        Pipeline(ours, dbus) as pipeline,
        Pipeline(theirs, DBus(authenticate=False)) as peer,
        open_calls(pipeline, key=DBus.reply_key, request_key=dbus.number) as calls,
        trio.open_nursery() as nursery,
    ):

        @nursery.start_soon
        async def answer() -> None:
            first, second = await peer.receive(), await peer.receive()
            await peer.send(numbered(new_method_call(THERE, "Ping"), first.header.serial))
            for request in (second, first):
                await peer.send(new_method_return(request, "s", (request.body[0].upper(),)))

        got: dict[str, str] = {}

        async def ask(word: str) -> None:
            got[word] = (await calls.call(new_method_call(THERE, "Upper", "s", (word,)))).body[0]

        async with trio.open_nursery() as callers:
            callers.start_soon(ask, "a")
            callers.start_soon(ask, "b")
        assert {"a": "A", "b": "B"} == got
        event = await calls.events.receive()
        assert MessageType.method_call is event.header.message_type


def test_without_jeepney_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "jeepney.auth", None)
    with pytest.raises(ImportError, match=r"DBus needs jeepney: pip install 'penstock\[jeepney\]'"):
        DBus()


@pytest.mark.parametrize("max_bytes", [0, 15, "many"])
def test_a_wrong_size_is_refused(max_bytes: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=r"DBus\(max_bytes="):
        DBus(max_bytes=max_bytes)


def test_a_time_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"DBus\(handshake_seconds=0\): must be more than 0, or None"):
        DBus(handshake_seconds=0)
