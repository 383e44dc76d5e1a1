"""MessagePackCodec: values that say where they end."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import CorruptFrameError, FrameError, FrameTooLongError, IncompleteFrameError, Pipeline
from pipeline.testing import Harness, check_codec, check_framer, check_limit, check_linear
from stages import LineFramer, MessagePackCodec, recover
from tests.measuring import EVERY_CUT
from tests.memory import peak_memory

encode = msgspec.msgpack.encode

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.sampled_from(["x" * 31, "x" * 32, "x" * 255, "x" * 256, b"y" * 255, b"y" * 256, -32, -33, 127, 128]),
    lambda inner: st.lists(inner, max_size=17) | st.dictionaries(st.text(), inner, max_size=17),
    max_leaves=20,
)


class Order(msgspec.Struct):
    id: int
    name: str = ""


def outcome(codec: MessagePackCodec[Any], pieces: Iterable[bytes]) -> tuple[list[Any], str | None, bytes | None]:
    """Values, error, leftover; without the engine in between, for many short pieces."""
    values: list[Any] = []
    try:
        for piece in pieces:
            values.extend(codec.inbound.process_sync(piece))
        values.extend(finished(codec))
    except (FrameError, ValueError) as error:
        return values, f"{type(error).__name__}: {error}", getattr(error, "leftover", None)
    return values, None, None


def finished(codec: MessagePackCodec[Any]) -> list[Any]:
    with pytest.raises(StopIteration) as stop:
        codec.inbound.finish().send(None)
    return list(stop.value.value)


def one_by_one(wire: bytes) -> list[bytes]:
    return [wire[place : place + 1] for place in range(len(wire))]


def random_pieces(rng: random.Random, wire: bytes) -> list[bytes]:
    places = sorted(rng.randint(0, len(wire)) for _ in range(rng.randint(0, 11)))
    return [wire[start:stop] for start, stop in zip([0, *places], [*places, len(wire)], strict=True)]


# ---- values


@settings(max_examples=60)
@given(values=st.lists(VALUES, max_size=4))
def test_values_come_back_without_a_framer(values: list[Any]) -> None:
    wire = b"".join(map(encode, values))
    assert (values, None, None) == outcome(MessagePackCodec(), [wire])
    assert (values, None, None) == outcome(MessagePackCodec(), one_by_one(wire))
    assert wire == b"".join(Harness(MessagePackCodec()).send(*values))


def test_the_cut_makes_no_difference() -> None:
    check_codec(
        MessagePackCodec,
        [{"id": 1, "tags": ["a", None]}, -1, "é" * 40, b"", [[], {}], datetime(2026, 1, 1, tzinfo=UTC)],
        cut=True,
        random_cuts=50,
    )


# Of every kind of first byte (specification, "Overview"), with the shortest header and with longer ones.
WIRES = [
    bytes.fromhex(wire)
    for wire in (
        "00 7f 80 81a1610f 90 91c0 a0 a161 c0 c2 c3 e0 ff",
        "c400 c40161 c5000161 c60000000161 d90161 da000161 db0000000161",
        "c70105aa c8000105aa c90000000105aa d405aa d505aaaa d605aaaaaaaa d705aaaaaaaaaaaaaaaa",
        "d805" + "aa" * 16,
        "ca3f800000 cb3ff0000000000000 cc80 cd0100 ce00010000 cf0000000100000000 d0df d1ff7f d2ffff7fff",
        "d3ffffffff7fffffff dc0001c0 dd00000001c0 de0001a161c0 df00000001a161c0 dc0000 df00000000",
    )
]


@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire[:4].hex())
def test_every_kind_of_value_ends_where_the_specification_says(wire: bytes) -> None:
    values, error, _ = outcome(MessagePackCodec(), one_by_one(wire))
    assert error is None
    assert outcome(MessagePackCodec(list[Any]), [b"\xdc" + len(values).to_bytes(2, "big") + wire])[0] == [values]
    check_framer(MessagePackCodec, wire=wire, frames=values, outbound="none", random_cuts=10)


def test_it_is_a_framer_like_any_other() -> None:
    wire = encode({"id": 1}) + encode("two") + encode([3, [4]]) + b"\x92\x01"
    check_framer(
        MessagePackCodec,
        wire=wire,
        frames=[{"id": 1}, "two", [3, [4]]],
        errors=IncompleteFrameError,
        leftover=b"\x92\x01",
        random_cuts=50,
    )
    check_framer(MessagePackCodec, wire=b"\x01\x92\x02\xc1\x03", frames=[1], errors=CorruptFrameError)


def test_ten_thousand_random_cuts() -> None:
    """Also of wires with wrong bytes in them, and with limits: the same values, error and leftover."""
    rng = random.Random(5)
    atoms: list[Any] = [None, 1, -500, 1e9, "x" * 40, b"y" * 300, {"k": [1, {"deep": "z"}]}, list(range(20))]
    for number in range(1000 if EVERY_CUT else 250):
        wire = bytearray(b"".join(encode(rng.choice(atoms)) for _ in range(rng.randint(1, 5))))
        if number % 2:
            wire[rng.randrange(len(wire))] = rng.randrange(256)
        max_bytes = rng.choice([5, 30, 300, 1000])
        whole = outcome(MessagePackCodec(max_bytes=max_bytes), [bytes(wire)])
        for _ in range(10):
            pieces = random_pieces(rng, bytes(wire))
            assert whole == outcome(MessagePackCodec(max_bytes=max_bytes), pieces), (max_bytes, pieces)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_of_every_kind(kind: Any) -> None:
    assert [[b"a"]] == list(MessagePackCodec().inbound.process_sync(kind(b"\x91\xc4\x01a")))


def test_what_is_no_bytes_is_refused() -> None:
    with pytest.raises(TypeError, match="MessagePackCodec takes bytes, not str"):
        MessagePackCodec().inbound.process_sync("a")  # type: ignore[arg-type]


# ---- limits


def map_of_bytes(size: int) -> bytes:
    pairs, odd = divmod(size - 5, 2)
    return b"\xdf" + pairs.to_bytes(4, "big") + b"\xc0" * (2 * pairs - 1) + (b"\xcc\x01" if odd else b"\xc0")


@pytest.mark.parametrize(
    ("wire", "certain", "least"),
    [
        (lambda n: b"\xd9" + bytes([n - 2]) + b"x" * (n - 2), 2, 2),
        (lambda n: b"\xdb" + (n - 5).to_bytes(4, "big") + b"x" * (n - 5), 5, 5),
        (lambda n: b"\xdd" + (n - 5).to_bytes(4, "big") + b"\xc0" * (n - 5), 5, 5),
        (map_of_bytes, None, 7),
        (lambda n: b"\x91" * (n - 1) + b"\xc0", None, 1),
    ],
    ids=["str8", "str32", "array32", "map32", "nested"],
)
def test_exactly_the_limit_passes_and_one_more_byte_fails(wire: Any, certain: int | None, least: int) -> None:
    """From the header alone, where it says so."""
    check_limit(
        lambda n: MessagePackCodec(max_bytes=n),
        wire,
        payload=lambda n: b"x" * (n - 2),
        certain=None if certain is None else lambda _: certain,
        limits=(least + 2, 20),
        random_cuts=5,
    )


@pytest.mark.parametrize(
    ("wire", "size"),
    [
        (b"\xdd\xff\xff\xff\xff", 2**32 + 4),
        (b"\xdf\xff\xff\xff\xff", 2 * (2**32 - 1) + 5),
        (b"\xdb\xff\xff\xff\xff", 2**32 + 4),
        (b"\x92\xdb\xff\xff\xff\xff", 2**32 + 6),
    ],
    ids=repr,
)
def test_what_a_header_announces_is_refused_and_never_allocated(wire: bytes, size: int) -> None:
    over = f"of at least {size} bytes is over the limit, max_by"
    with peak_memory() as peak, pytest.raises(FrameTooLongError, match=over) as info:
        list(MessagePackCodec().inbound.process_sync(wire))
    assert peak.bytes < 100_000
    assert (1048576, size) == (info.value.limit, info.value.size)


def test_values_before_a_long_one_are_delivered_first() -> None:
    harness = Harness(MessagePackCodec(max_bytes=4))
    with pytest.raises(FrameTooLongError, match=r"a value of at least 6 bytes is over the limit, max_bytes=4\. Raise"):
        harness.receive(b"\x01\xa5hello")
    assert [1] == harness.received


def test_outbound_refuses_what_is_over_the_limit_and_goes_on() -> None:
    codec: MessagePackCodec[Any] = MessagePackCodec(max_bytes=4)
    with pytest.raises(FrameTooLongError, match="a value of 6 bytes is over the limit, max_bytes=4; nothing was wr"):
        codec.outbound.process_sync("hello")
    assert [b"\xa3yes"] == codec.outbound.process_sync("yes")


# ---- errors


def test_a_byte_that_is_never_used_is_corrupt_for_ever() -> None:
    inbound = MessagePackCodec().inbound
    with pytest.raises(CorruptFrameError, match="the byte 0xc1, which MessagePack never uses"):
        list(inbound.process_sync(b"\xc1"))
    with pytest.raises(CorruptFrameError):
        inbound.process_sync(b"\x01")
    assert inbound.unread(()) is None


def test_end_inside_a_value_is_an_error_with_its_bytes() -> None:
    harness = Harness(MessagePackCodec())
    assert [1] == harness.receive(b"\x01\x92\xa1")
    with pytest.raises(IncompleteFrameError, match="MessagePackCodec: the stream ended 2 bytes into a value") as info:
        harness.finish()
    assert b"\x92\xa1" == info.value.leftover


BAD = b"\xa1\xff"  # a string that is no UTF-8


def test_a_value_that_is_no_right_one_is_an_error_of_its_own() -> None:
    with pytest.raises(ValueError, match=r"MessagePackCodec: .*utf.*: b'\\xa1\\xff'$") as info:
        list(MessagePackCodec().inbound.process_sync(BAD))
    assert not isinstance(info.value, FrameError)
    with pytest.raises(ValueError, match=r"MessagePackCodec: Expected `int`, got `str` - at `\$.id`: b'.*'\.\.\.$"):
        list(MessagePackCodec(Order).inbound.process_sync(encode({"id": "x", "name": "y" * 50})))


def test_recover_goes_on_behind_it() -> None:
    harness = Harness(recover(MessagePackCodec(), lambda item, error: ["bad"]))
    assert [1, "bad"] == harness.receive(b"\x01" + BAD)
    assert [2, "bad", 3] == harness.receive(b"\x02", BAD, b"\x03")
    assert [4, "bad", "bad", 5] == harness.receive(b"\x04" + BAD + BAD + b"\x05")
    assert [] == harness.finish()


def test_values_behind_one_that_is_no_right_one_are_not_lost() -> None:
    """Whoever asks for more results gets them; whoever does not, with the next input, or at the end."""
    codec: MessagePackCodec[Any] = MessagePackCodec()
    values: Any = codec.inbound.process_sync(b"\x01" + BAD + b"\x02" + BAD + b"\x03\x92")
    assert 1 == next(values)
    with pytest.raises(ValueError, match="utf"):
        next(values)
    assert 2 == next(values)
    with pytest.raises(ValueError, match="utf"):
        next(values)
    assert 2 == codec.inbound.holds
    assert [3, [4, 5]] == list(codec.inbound.process_sync(b"\x04\x05"))
    with pytest.raises(ValueError, match="utf"):
        list(codec.inbound.process_sync(BAD + b"\x06"))
    assert [6] == finished(codec)


def test_an_unfinished_value_behind_it_is_seen_at_the_end() -> None:
    codec: MessagePackCodec[Any] = MessagePackCodec()
    with pytest.raises(ValueError, match="utf"):
        list(codec.inbound.process_sync(BAD + b"\x92\x01"))
    with pytest.raises(IncompleteFrameError) as info:
        finished(codec)
    assert b"\x92\x01" == info.value.leftover


def test_hostile_nesting_is_a_value_like_any_other() -> None:
    """The end of it is found without recursion, and what is behind it comes."""
    values: Any = MessagePackCodec().inbound.process_sync(b"\x91" * 100_000 + b"\xc0\x07")
    with pytest.raises(ValueError, match=r"MessagePackCodec: the value is nested too deeply: b'\\x91.*'\.\.\.$"):
        next(values)
    assert 7 == next(values)


# ---- giving back


def test_unread_gives_back_the_original_bytes() -> None:
    pieces = [b"\x91\x01", b"\xa2ab", b"\x05", b"\x92"]
    wire = b"".join(pieces)
    for taken in range(4):
        inbound = MessagePackCodec().inbound
        values: Any = inbound.process_sync(wire)
        for _ in range(taken):
            next(values)
        rest = wire[len(b"".join(pieces[:taken])) :]
        assert len(rest) == inbound.holds
        assert [rest] == inbound.unread(())
        assert 0 == inbound.holds
        assert [9] == list(inbound.process_sync(b"\x09"))


async def test_what_follows_a_switching_value_in_the_same_segment_goes_through_the_new_chain() -> None:
    near, far = trio.testing.memory_stream_pair()
    async with Pipeline(near, MessagePackCodec()) as pipeline:
        await far.send_all(b"\x01\xa6switchline one\nline two\n")
        assert [1, "switch"] == [await pipeline.receive(), await pipeline.receive()]
        await pipeline.replace(MessagePackCodec, LineFramer())
        assert [b"line one", b"line two"] == [await pipeline.receive(), await pipeline.receive()]
        await far.aclose()


def test_unread_gives_back_an_unfinished_value_and_one_that_was_not_taken() -> None:
    inbound = MessagePackCodec().inbound
    assert [] == inbound.unread(())
    assert [] == list(inbound.process_sync(b"\x92"))
    assert () == inbound.process_sync(b"\xa5he")
    assert [b"\x92\xa5he"] == inbound.unread(())
    outputs = inbound.process_sync(b"\xa1a")
    assert ["a"] == outputs
    assert [b"\xa1a"] == inbound.unread(outputs)


# ---- outbound


def test_what_msgspec_cannot_encode_is_refused_with_the_remedies() -> None:
    outbound = MessagePackCodec().outbound
    with pytest.raises(TypeError, match=r"MessagePackCodec: Encoding objects of type object is .*Map\(outbound=...\)"):
        outbound.process_sync(object())
    with pytest.raises(ValueError, match=r"MessagePackCodec: .*"):
        outbound.process_sync(2**64)
    value: list[Any] = []
    value.append(value)
    with pytest.raises(ValueError, match="MessagePackCodec: the value is nested too deeply, or contains itself"):
        outbound.process_sync(value)
    assert [b"\x01"] == outbound.process_sync(1)


def test_outbound_has_no_state() -> None:
    outbound = MessagePackCodec().outbound
    assert outbound.keeps_outbound_state is False
    assert outbound.shareable
    assert 0 == outbound.holds


# ---- typed, and building


def test_a_type_gives_objects_of_it() -> None:
    check_codec(lambda: MessagePackCodec(Order), [Order(1, "a"), Order(2)], cut=True, random_cuts=20)


def test_without_msgspec_it_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "msgspec", None)
    with pytest.raises(ImportError, match=r"MessagePackCodec needs msgspec: pip install 'penstock\[msgspec\]'"):
        MessagePackCodec()


def test_wrong_limits_show_the_remedy() -> None:
    with pytest.raises(ValueError, match=r"MessagePackCodec\(max_bytes=0\): .*MessagePackCodec\(max_bytes=1048576\)"):
        MessagePackCodec(max_bytes=0)


def test_repr_shows_it_as_it_is_written() -> None:
    assert "MessagePackCodec(Order, max_bytes=9)" == repr(MessagePackCodec(Order, max_bytes=9))


# ---- hostile and heavy


@pytest.mark.parametrize(
    "make",
    [
        lambda n: b"\xc6" + n.to_bytes(4, "big") + b"x" * n,
        lambda n: b"\xdd" + n.to_bytes(4, "big") + b"\xc0" * n,
        lambda n: b"\x91" * n + b"\xc0",
        lambda n: b"\x01" * n,
    ],
    ids=["bytes", "array", "nested", "values"],
)
@pytest.mark.parametrize("cut", [True, False])
def test_byte_by_byte_and_at_once_is_linear(make: Any, cut: bool) -> None:
    def pieces(n: int) -> list[bytes]:
        # The last byte is left away where it would be decoded: that nesting is too deep is an error.
        wire: bytes = make(n)[: -1 if make(1).startswith(b"\x91") else None]
        return one_by_one(wire) if cut else [wire]

    check_linear(lambda: MessagePackCodec(max_bytes=1 << 30), pieces, n=4096)
