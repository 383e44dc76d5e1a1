"""ZlibCodec: compressed byte streams."""

from __future__ import annotations

import gzip
import itertools
import random
import re
import shutil
import subprocess
import zlib
from collections.abc import Coroutine, Iterable, Iterator
from typing import Any, Literal, get_args

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from pipeline import CorruptFrameError, FrameError, FrameTooLongError, IncompleteFrameError, Pipeline, SurgeryError
from pipeline.testing import Harness, check_codec, check_framer, check_limit, check_linear
from stages import LineFramer, TextCodec, ZlibCodec
from tests.measuring import EVERY_CUT
from tests.memory import peak_memory

Format = Literal["gzip", "zlib", "deflate"]
FORMATS = get_args(Format)
WBITS = {"gzip": 31, "zlib": 15, "deflate": -15}
MIB = 1048576
FREE = 102400


def compressed(data: bytes, format: str = "gzip", level: int = 9) -> bytes:  # noqa: A002 - as the stage calls it
    return zlib.compress(data, level, WBITS[format])


def decompressed(wire: bytes, format: str = "gzip") -> bytes:  # noqa: A002
    return zlib.decompress(wire, WBITS[format])


def outcome(codec: ZlibCodec, pieces: Iterable[bytes]) -> tuple[bytes, str | None, int | None]:
    """All that came out, and what was raised; without the engine in between, for many short pieces."""
    got: list[Any] = []
    try:
        for piece in pieces:
            got.extend(codec.inbound.process_sync(piece))  # extends it one by one, so up to an error
        run_now(codec.inbound.finish())
    except FrameError as error:
        # zlib reads ahead by a byte where it can, so its own errors may be found one byte later.
        shown = re.sub("near byte [0-9]+", "near byte", str(error))
        return b"".join(got), f"{type(error).__name__}: {shown}", getattr(error, "limit", None)
    return b"".join(got), None, None


def run_now(call: Coroutine[Any, Any, Any]) -> None:
    with pytest.raises(StopIteration):
        call.send(None)


def inflated(codec: ZlibCodec, wire: bytes) -> bytes:
    return b"".join(item for item in codec.inbound.process_sync(wire) if isinstance(item, bytes))


def deflated(codec: ZlibCodec, item: bytes) -> bytes:
    return b"".join(data for data in codec.outbound.process_sync(item) if isinstance(data, bytes))


def pieces_of(wire: bytes, places: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted(min(place, len(wire)) for place in places), len(wire)]
    return [wire[start:stop] for start, stop in itertools.pairwise(edges)]


def random_wire(rng: random.Random, format: str) -> bytes:  # noqa: A002
    """Blocks of all kinds, flushed in all ways, ended or cut, now and then wrong."""
    encoder = zlib.compressobj(rng.choice([0, 1, 9]), zlib.DEFLATED, WBITS[format], 1, rng.choice([0, 2, 4]))
    wire = b""
    for _ in range(rng.randint(1, 4)):
        size = rng.choice([0, 1, 5, 300, 3000])
        unit = rng.choice([b"\0", b"ab", rng.randbytes(50), rng.randbytes(size + 1), b"\0\0\xff\xff"])
        wire += encoder.compress((unit * size)[:size])
        wire += encoder.flush(mode) if (mode := rng.choice([0, 1, 2, 3, 5])) else b""
    wire += encoder.flush()
    damage = rng.randint(0, 7)
    if damage == 1:
        place = rng.randrange(len(wire))
        wire = wire[:place] + bytes([wire[place] ^ 1 << rng.randrange(8)]) + wire[place + 1 :]
    elif damage == 2:
        wire = wire[: rng.randint(0, len(wire))]
    elif damage == 3:
        wire += rng.choice([b"\0", b"\0\0x", b"more", wire])
    return wire


# ---- what goes out comes back


@pytest.mark.parametrize("format", FORMATS)
def test_bytes_come_back_however_they_are_cut(format: Format) -> None:  # noqa: A002
    check_codec(lambda: ZlibCodec(format), [b"hello ", b"world", b"x" * 500], cut=True, join=True, random_cuts=5)


@given(items=st.lists(st.binary(min_size=1), max_size=5), format=st.sampled_from(FORMATS))
def test_what_it_writes_is_what_zlib_reads(items: list[bytes], format: Format) -> None:  # noqa: A002
    harness = Harness(ZlibCodec(format))
    harness.send(*items)
    harness.send_eof()
    wire = b"".join(harness.sent)
    assert (decompressed(wire, format) if items else wire) == b"".join(items)


@pytest.mark.parametrize("format", FORMATS)
def test_the_peer_can_read_each_item_at_once(format: Format) -> None:  # noqa: A002
    sender, receiver = Harness(ZlibCodec(format)), Harness(ZlibCodec(format))
    for item in (b"one", b"two", b"x" * 1000):
        assert [item] == receiver.receive(*sender.send(item))
    assert [] == receiver.receive(*sender.send_eof())
    assert [] == receiver.finish()


def test_later_items_refer_to_earlier_ones() -> None:
    """So what was compressed once must have gone out, and the stage says it keeps state."""
    codec = ZlibCodec()
    item = random.Random(1).randbytes(1000)
    first = deflated(codec, item)
    assert len(deflated(codec, item)) < len(first) / 10
    assert codec.outbound.keeps_outbound_state is True


def test_lines_of_text_behind_it() -> None:
    check_codec(
        lambda: ZlibCodec() | LineFramer() | TextCodec(),
        ["", "é", "line " * 5],
        cut=True,
        random_cuts=5,
    )


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_of_every_kind(kind: Any) -> None:
    codec = ZlibCodec()
    (wire,) = codec.outbound.process_sync(kind(b"abc"))
    assert [b"abc"] == list(codec.inbound.process_sync(kind(wire)))


@pytest.mark.parametrize("half", ["inbound", "outbound"])
def test_what_is_no_bytes_is_refused(half: str) -> None:
    with pytest.raises(TypeError, match="ZlibCodec takes bytes, not str: put a TextCodec"):
        getattr(ZlibCodec(), half).process_sync("a")


def test_nothing_sent_nothing_written_and_no_input_is_a_clean_end() -> None:
    harness = Harness(ZlibCodec())
    assert [] == harness.send(b"")
    assert [] == harness.send_eof()
    assert [] == harness.receive(b"")
    assert [] == harness.finish()


# ---- others' streams


@pytest.mark.skipif(shutil.which("gzip") is None, reason="there is no gzip tool here")
def test_the_gzip_tool_reads_it_and_writes_for_it() -> None:
    data = b"".join(b"line %d\n" % number for number in range(5000))
    harness = Harness(ZlibCodec())
    harness.send(data[:1000], data[1000:])
    harness.send_eof()
    sent = b"".join(harness.sent)
    assert data == subprocess.run(["gzip", "-dc"], input=sent, capture_output=True, check=True).stdout
    theirs = subprocess.run(["gzip", "-c"], input=data, capture_output=True, check=True).stdout
    assert (data, None, None) == outcome(ZlibCodec(), [theirs])


def test_a_gzip_header_with_everything_in_it() -> None:
    """File name, comment, extra field and header checksum (RFC 1952 section 2.3)."""
    body = zlib.compress(b"data", wbits=-15)
    head = b"\x1f\x8b\x08\x1e\0\0\0\0\0\xff\x03\0abc" + b"name\0" + b"a comment\0"
    head += (zlib.crc32(head) & 0xFFFF).to_bytes(2, "little")
    wire = head + body + zlib.crc32(b"data").to_bytes(4, "little") + (4).to_bytes(4, "little")
    assert b"data" == gzip.decompress(wire)
    for pieces in ([wire], pieces_of(wire, range(len(wire)))):
        assert (b"data", None, None) == outcome(ZlibCodec(), pieces)


def test_gzip_members_follow_one_another() -> None:
    wire = gzip.compress(b"one", mtime=0) + gzip.compress(b"", mtime=0) + gzip.compress(b"two", mtime=0)
    for pieces in ([wire], pieces_of(wire, range(len(wire)))):
        assert (b"onetwo", None, None) == outcome(ZlibCodec(), pieces)


def test_zeros_behind_a_gzip_member_are_padding() -> None:
    wire = gzip.compress(b"one", mtime=0) + b"\0" * 20000 + gzip.compress(b"two", mtime=0) + b"\0"
    for pieces in ([wire], pieces_of(wire, range(len(wire)))):
        assert (b"onetwo", None, None) == outcome(ZlibCodec(), pieces)


# ---- the cut does not matter


def test_ten_thousand_random_cuts() -> None:
    """Not to the bytes that come out, nor to what is raised, nor to how much comes before it."""
    rng = random.Random(3)
    for number in range(1000 if EVERY_CUT else 250):
        format: Format = FORMATS[number % 3]  # noqa: A001
        wire = random_wire(rng, format)
        limits: dict[str, Any] = {
            "max_ratio": rng.choice([1, 1.5, 100]),
            "max_bytes": rng.choice([1, 10, 299, 300, 301, 1000, MIB]),
        }
        whole = outcome(ZlibCodec(format, **limits), [wire])
        for _ in range(10):
            pieces = pieces_of(wire, (rng.randint(0, len(wire)) for _ in range(rng.randint(0, 11))))
            assert whole == outcome(ZlibCodec(format, **limits), pieces), (format, limits, pieces)


@pytest.mark.parametrize("size", [FREE - 1, FREE, 65536, 200_000])
@pytest.mark.parametrize("max_ratio", [1, 2.5, 100, 1033])
def test_byte_by_byte_near_the_ratio(size: int, max_ratio: float) -> None:
    wire = compressed(b"\0" * size)
    whole = outcome(ZlibCodec(max_ratio=max_ratio), [wire])
    assert whole == outcome(ZlibCodec(max_ratio=max_ratio), pieces_of(wire, range(len(wire))))
    assert (size > FREE and max_ratio < 200) == (whole[1] is not None)


@pytest.mark.parametrize("level", [0, 9])
@pytest.mark.parametrize("data", [b"ab" * 500, random.Random(2).randbytes(1000)], ids=["ab", "random"])
def test_any_one_wrong_bit_is_the_same_error_however_it_is_cut(data: bytes, level: int) -> None:
    """What was decompressed before it comes out first, as far as one byte at a time would give it."""
    wire = compressed(data, "zlib", level)
    errors = 0
    for place in range(0, len(wire), len(wire) // 20 + 1):
        wrong = wire[:place] + bytes([wire[place] ^ 16]) + wire[place + 1 :]
        whole = outcome(ZlibCodec("zlib"), [wrong])
        assert whole == outcome(ZlibCodec("zlib"), pieces_of(wrong, range(len(wrong))))
        errors += whole[1] is not None
    assert errors >= 10


# ---- limits


@pytest.mark.parametrize(("format", "unit"), [("gzip", b"0123456789abcdef"), ("zlib", b"x"), ("deflate", b"ab")])
def test_exactly_max_bytes_pass_and_one_more_fails(format: Format, unit: bytes) -> None:  # noqa: A002
    check_limit(
        lambda n: ZlibCodec(format, max_bytes=n),
        lambda n: compressed((unit * n)[:n], format),
        payload=lambda n: b"x" * n,
        limits=(1, 5, 30),
        random_cuts=5,
    )


@pytest.mark.parametrize("format", FORMATS)
def test_exactly_max_ratio_passes_and_one_more_byte_fails(format: Format) -> None:  # noqa: A002
    """Counted at each byte of the input: 100 KiB, and `max_ratio` times what has been received."""
    wire = compressed(b"\0" * MIB, format)
    got, error, limit = outcome(ZlibCodec(format), [wire])
    taken = (len(got) - FREE) // 100
    assert limit == len(got) == FREE + 100 * taken
    assert error is not None
    assert f"{taken} bytes became at least {limit + 1}, over the limit of {limit}, max_ratio=100 times" in error
    assert "and 102400 bytes. Raise max_ratio if the peer is right" in error


def test_short_items_may_be_as_regular_as_they_like() -> None:
    item = b"x" * FREE
    assert (item, None, None) == outcome(ZlibCodec(), [compressed(item)])


@pytest.mark.parametrize(("format", "max_ratio"), [("gzip", 100), ("zlib", 7.3), ("deflate", 1033)])
@pytest.mark.parametrize("sizes", [[MIB], [FREE + 1], [1] * 50 + [300_000] * 3], ids=["one", "little", "many"])
def test_a_peer_with_the_same_limits_reads_what_it_writes(format: Format, max_ratio: float, sizes: list[int]) -> None:  # noqa: A002
    """However regular it is; and so does any other decoder."""
    codec = ZlibCodec(format, max_ratio=max_ratio)
    items = [b"\0" * size for size in sizes]
    wire = b"".join(deflated(codec, item) for item in items)
    for pieces in ([wire], pieces_of(wire, range(0, len(wire), 97))):
        got, error, _ = outcome(ZlibCodec(format, max_ratio=max_ratio), pieces)
        assert sum(sizes) == len(got)
        assert error is not None
        assert error.startswith("IncompleteFrameError")
    decoder = zlib.decompressobj(WBITS[format])
    assert sum(sizes) == len(decoder.decompress(wire))
    assert len(wire) <= sum(sizes) / max_ratio + 2000


def test_1033_allows_all_that_deflate_can_do() -> None:
    assert (b"\0" * 3 * MIB, None, None) == outcome(ZlibCodec(max_ratio=1033), [compressed(b"\0" * 3 * MIB)])


def test_a_connection_lasts_beyond_max_bytes_where_the_peer_flushes() -> None:
    """Each item counts for itself; and the codec's own outbound flushes."""
    sender, receiver = Harness(ZlibCodec(max_bytes=100)), Harness(ZlibCodec(max_bytes=100))
    items = [random.Random(number).randbytes(100) for number in range(50)]
    for item in items:
        for data in sender.send(item):
            receiver.receive(*pieces_of(data, range(len(data))))
    assert b"".join(items) == b"".join(receiver.received)


def test_many_short_flushed_items_in_one_read_count_each_for_itself() -> None:
    """Where it makes no difference they are decompressed together."""
    sender = ZlibCodec()
    wire = b"".join(deflated(sender, b"line %d\n" % number) for number in range(2000))
    whole = outcome(ZlibCodec(max_bytes=10), [wire])
    assert whole == outcome(ZlibCodec(max_bytes=10), pieces_of(wire, range(len(wire))))
    assert 10 * (len(b"line \n") + 1) + 90 * 8 + 900 * 9 + 1000 * 10 == len(whole[0])
    assert outcome(ZlibCodec(max_bytes=9), [wire])[0].endswith(b"line 999\nline 1000")
    assert 9 > len(list(ZlibCodec().inbound.process_sync(wire)))


def test_each_gzip_member_counts_for_itself() -> None:
    wire = compressed(b"x" * 100) * 3
    assert (b"x" * 300, None, None) == outcome(ZlibCodec(max_bytes=100), [wire])


def test_max_bytes_tells_both_numbers() -> None:
    got, error, limit = outcome(ZlibCodec(max_bytes=10), [compressed(b"x" * 100)])
    assert (b"x" * 10, 10) == (got, limit)
    assert error is not None
    assert "ZlibCodec('gzip'): at least 11 bytes between two flushes, over the limit, max_bytes=10. Raise it" in error


def test_outbound_refuses_an_item_over_max_bytes_and_goes_on() -> None:
    codec = ZlibCodec("zlib", max_bytes=5)
    with pytest.raises(FrameTooLongError, match=r"an item of 6 bytes is over the limit, max_bytes=5; nothing was wri"):
        codec.outbound.process_sync(b"abcdef")
    assert b"abcde" == inflated(codec, deflated(codec, b"abcde"))


def test_what_comes_out_comes_as_it_is_asked_for() -> None:
    """A read that would become 64 MiB has become 64 KiB when the first piece is taken."""
    wire = compressed(b"\0" * 64 * MIB)
    codec = ZlibCodec(max_ratio=1033)
    with peak_memory() as peak:
        results: Any = codec.inbound.process_sync(wire)
        first = next(results)
    assert 65536 == len(first)
    assert peak.bytes < 4 * 65536 + 2 * len(wire)


# ---- errors


@pytest.mark.parametrize(
    ("format", "wire", "message"),
    [
        ("gzip", zlib.compress(b"a"), r"incorrect header check, near byte 1 of the input. Is it in another format\?"),
        ("zlib", gzip.compress(b"a", mtime=0), r"There are 'gzip', 'zlib', 'deflate'"),
        ("deflate", b"\xff", r"ZlibCodec\('deflate'\): invalid block type, near byte 0"),
        ("zlib", b"\x78\xbb\0\0\0\1abc", r"Error 2 while"),
    ],
)
def test_what_is_not_of_the_format_says_which_there_are(format: Format, wire: bytes, message: str) -> None:  # noqa: A002
    with pytest.raises(CorruptFrameError, match=message):
        Harness(ZlibCodec(format)).receive(wire)


@pytest.mark.parametrize(("format", "trailer"), [("gzip", 8), ("zlib", 4)])
def test_a_wrong_checksum_is_corrupt(format: Format, trailer: int) -> None:  # noqa: A002
    wire = bytearray(compressed(b"abc", format))
    wire[-trailer] ^= 1
    harness = Harness(ZlibCodec(format))
    with pytest.raises(CorruptFrameError, match=r"incorrect data check, near byte \d+ of the input(?!\. Is)"):
        harness.receive(wire)
    assert b"abc" == b"".join(harness.received)


@pytest.mark.parametrize("format", ["zlib", "deflate"])
def test_bytes_behind_the_end_are_corrupt(format: Format) -> None:  # noqa: A002
    wire = compressed(b"abc", format)
    for pieces in ([wire + b"\0"], [wire, b"\0"]):
        harness = Harness(ZlibCodec(format))
        with pytest.raises(CorruptFrameError, match=f"ended, and there is more input from byte {len(wire)} on. If the"):
            harness.receive(*pieces)
        assert [b"abc"] == harness.received


def test_bytes_behind_a_gzip_member_are_a_member_or_corrupt() -> None:
    wire = gzip.compress(b"abc", mtime=0)
    got, error, _ = outcome(ZlibCodec(), [wire + b"\0\0GET /"])
    assert b"abc" == got
    assert error is not None
    assert "incorrect header check" in error


@pytest.mark.parametrize("format", FORMATS)
def test_an_end_anywhere_inside_is_an_error(format: Format) -> None:  # noqa: A002
    wire = compressed(b"some text, some text", format)
    for size in range(1, len(wire)):
        harness = Harness(ZlibCodec(format))
        harness.receive(wire[:size])
        with pytest.raises(IncompleteFrameError, match=rf"inside a compressed stream, {size} bytes in and \d+") as info:
            harness.finish()
        assert b"" == info.value.leftover
    assert (b"some text, some text", None, None) == outcome(ZlibCodec(format), [wire])


def test_an_end_inside_the_second_member_is_an_error() -> None:
    got, error, _ = outcome(ZlibCodec(), [gzip.compress(b"abc", mtime=0) + b"\x1f"])
    assert b"abc" == got
    assert error is not None
    assert error.startswith("IncompleteFrameError: ZlibCodec('gzip'): the input ended inside a compressed stream, ")


def test_after_an_error_every_call_raises() -> None:
    wire = compressed(b"one\ntwo\n")
    check_framer(
        lambda: ZlibCodec() | LineFramer(),
        wire=wire + b"x",
        frames=[b"one", b"two"],
        errors=IncompleteFrameError,
        leftover=b"",
        outbound="none",
    )
    inbound = ZlibCodec("zlib").inbound
    with pytest.raises(CorruptFrameError):
        list(inbound.process_sync(b"xx"))
    with pytest.raises(CorruptFrameError, match="near byte"):
        inbound.process_sync(wire)
    with pytest.raises(CorruptFrameError, match="near byte"):
        Harness(inbound).finish()
    assert inbound.unread(()) is None


# ---- giving back, for a change of protocol


@pytest.mark.parametrize("format", FORMATS)
def test_what_is_behind_the_end_can_be_given_back(format: Format) -> None:  # noqa: A002
    wire = compressed(b"last words", format)
    inbound = ZlibCodec(format).inbound
    results: Any = inbound.process_sync(wire + b"plain")
    assert b"last words" == next(results)
    assert 5 == inbound.holds
    results.close()
    assert [b"plain"] == inbound.unread(())
    assert [] == inbound.unread(())


def test_what_is_behind_a_flush_can_be_given_back() -> None:
    """A peer may stop compressing without ending the stream; at a flush, whole bytes have been used."""
    wire = deflated(ZlibCodec(), b"words")
    inbound = ZlibCodec().inbound
    results: Any = inbound.process_sync(wire + b"plain")
    assert b"words" == next(results)
    results.close()
    assert [b"plain"] == inbound.unread(())


def test_before_the_first_byte_there_is_nothing_to_give_back() -> None:
    inbound = ZlibCodec().inbound
    assert 0 == inbound.holds
    assert [] == inbound.unread(())


def test_inside_compressed_data_nothing_can_be_given_back() -> None:
    inbound = ZlibCodec().inbound
    wire = compressed(b"a" * 100)
    list(inbound.process_sync(wire[:12]))
    assert inbound.holds is None
    assert inbound.unread(()) is None
    assert inbound.unread([b"a"]) is None


def test_results_that_were_closed_half_way_come_out_later() -> None:
    """Where a change was refused, the pipeline goes on as before."""
    data = random.Random(5).randbytes(200_000)
    wire = compressed(data)
    inbound = ZlibCodec().inbound
    results: Any = inbound.process_sync(wire[:150_000])
    got = next(results)
    results.close()
    assert inbound.unread(()) is None
    rest: Any = inbound.process_sync(wire[150_000:])
    assert data == got + b"".join(rest)


async def test_a_peer_that_stops_compressing_goes_on_in_plain_bytes() -> None:
    near, far = trio.testing.memory_stream_pair()
    async with Pipeline(near, ZlibCodec("zlib")) as pipeline:
        await far.send_all(compressed(b"last words", "zlib") + b"plain")
        assert b"last words" == await pipeline.receive()
        await pipeline.remove(ZlibCodec)
        assert b"plain" == await pipeline.receive()
        await far.aclose()


async def test_inside_compressed_data_a_change_is_refused_and_nothing_is_lost() -> None:
    data = random.Random(6).randbytes(200_000)
    near, far = trio.testing.memory_stream_pair()
    async with Pipeline(near, ZlibCodec()) as pipeline:
        await far.send_all(compressed(data))
        got = await pipeline.receive()
        with pytest.raises(SurgeryError, match=r"its unread\(\) returned None. The chain is as it was"):
            await pipeline.remove(ZlibCodec)
        while len(got) < len(data):
            got += await pipeline.receive()
        await far.aclose()
    assert data == got


# ---- building


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"format": "br"}, ValueError, r"ZlibCodec\(format='br'\): must be one of 'gzip', 'zlib', 'deflate'"),
        ({"max_bytes": 0}, ValueError, r"ZlibCodec\(max_bytes=0\): must be a whole number .*max_bytes=1073741824\)"),
        ({"max_ratio": 0.5}, ValueError, r"ZlibCodec\(max_ratio=0.5\): must be a number, 1 or more.*max_ratio=1033 al"),
        ({"max_ratio": float("inf")}, ValueError, "must be a number, 1 or more"),
        ({"max_ratio": float("nan")}, ValueError, "must be a number, 1 or more"),
        ({"max_ratio": None}, TypeError, r"Leave it out for the default: ZlibCodec\(max_ratio=100\)"),
        ({"max_ratio": True}, TypeError, "must be a number"),
    ],
    ids=str,
)
def test_wrong_arguments_show_the_remedy(arguments: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        ZlibCodec(**arguments)


def test_repr_shows_it_as_it_is_written() -> None:
    assert "ZlibCodec('zlib', max_bytes=10)" == repr(ZlibCodec("zlib", max_bytes=10))


# ---- hostile and heavy


@pytest.mark.parametrize(
    "unit",
    [gzip.compress(b"", mtime=0), b"\0" * 20],
    ids=["empty members", "padding"],
)
def test_members_and_padding_without_content_are_linear(unit: bytes) -> None:
    check_linear(ZlibCodec, lambda n: [gzip.compress(b"", mtime=0) + unit * n], n=1024)


@pytest.mark.parametrize(
    "unit",
    [b"\0\0\0\xff\xff", sum(2 << 10 * number for number in range(4)).to_bytes(5, "little")],
    ids=["flushes", "empty blocks"],
)
def test_blocks_without_content_are_linear(unit: bytes) -> None:
    check_linear(lambda: ZlibCodec("deflate"), lambda n: [unit * n], n=2048)


def test_byte_by_byte_is_linear() -> None:
    wire = compressed(random.Random(4).randbytes(32768))
    check_linear(ZlibCodec, lambda n: [wire[place : place + 1] for place in range(n)], n=2048)


def test_one_large_read_is_linear() -> None:
    data = random.Random(4).randbytes(8 * MIB)
    check_linear(ZlibCodec, lambda n: [compressed(data[:n], level=0)], n=2 * MIB)


def test_at_the_ratio_all_the_time_is_linear() -> None:
    """Going byte by byte costs each byte the same."""
    wire = compressed(b"\0" * 16 * MIB)
    check_linear(lambda: ZlibCodec(max_ratio=1029.5), lambda n: [wire[:n]], n=2048)


def bombs() -> Iterator[tuple[Format, bytes]]:
    for format in FORMATS:  # noqa: A001
        yield format, compressed(b"\0" * 256 * MIB, format)


@pytest.mark.full
def test_a_bomb_takes_no_memory_and_stops_early() -> None:
    for format, wire in bombs():  # noqa: A001
        for limits, most in (({}, 32 * MIB), ({"max_ratio": 1033, "max_bytes": 10 * MIB}, 10 * MIB)):
            got = 0
            results: Any = ZlibCodec(format, **limits).inbound.process_sync(wire)
            with peak_memory() as peak, pytest.raises(FrameTooLongError) as info:
                for out in results:
                    got += len(out)
            print(f"{format}, {limits}: {len(wire)} bytes gave {got}, peak {peak.bytes / 1024:.0f} KiB: {info.value}")
            assert got <= most
            assert peak.bytes < 2 * len(wire)


@pytest.mark.full
def test_64_mib_through_both_halves_take_little_memory() -> None:
    codec, item = ZlibCodec(max_ratio=1033), b"some text %d " * 5000
    with peak_memory() as peak:
        for _ in range(64 * MIB // len(item)):
            assert item == inflated(codec, deflated(codec, item))
    print(f"peak {peak.bytes / 1024:.0f} KiB")
    assert peak.bytes < MIB
