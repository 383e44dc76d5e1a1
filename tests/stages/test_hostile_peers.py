"""What no stage may let a peer do, where one test for all stages says more than one for each: see docs/security.md."""

from __future__ import annotations

import ast
import gzip
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from pipeline import NEED_INPUT, Engine, FrameTooLongError
from pipeline.testing import Harness, check_linear
from stages import (
    HTTP1,
    HTTP2,
    IRC,
    LSP,
    SOCKS,
    TLS,
    ContentLengthFramer,
    DBus,
    DelimiterFramer,
    FastCGI,
    JSONCodec,
    JSONFramer,
    LengthFramer,
    LineFramer,
    MessagePackCodec,
    NetstringFramer,
    ProtobufCodec,
    SMTPClient,
    StructCodec,
    TextCodec,
    VarintFramer,
    WebSocket,
    ZlibCodec,
)
from tests.code_blocks import ROOT
from tests.memory import peak_memory
from tests.stages.tls_parts import server_context

SOURCES = sorted((ROOT / "stages").rglob("*.py"))
FILE = pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
MIB = 1 << 20


def peak_bytes(feed: Callable[[bytes], Iterable[Any]], pieces: Iterable[bytes]) -> int:
    """How much memory it takes at most, what came out not counted."""
    with peak_memory() as peak:
        for piece in pieces:
            deque(feed(piece), maxlen=0)
    return peak.bytes


# ---- in the source


@FILE
def test_no_assert_is_left_to_a_peer(path: Path) -> None:
    """An `assert` is gone under `python -O`, and says nothing to a user: what is checked is checked with `if`."""
    tree = ast.parse(path.read_text("utf-8"))
    assert [] == [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert)]


@FILE
def test_no_function_calls_itself(path: Path) -> None:
    """A peer that nests a thousand deep must not decide how deep the stack is."""
    if path.name == "_catalogue.py":
        return  # walks the bases of our own classes
    tree = ast.parse(path.read_text("utf-8"))
    methods = {member for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for member in node.body}
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    assert [] == [each.name for each in functions if f"{'self.' * (each in methods)}{each.name}" in calls_of(each)]


def calls_of(function: ast.FunctionDef) -> set[str]:
    return {ast.unparse(node.func) for node in ast.walk(function) if isinstance(node, ast.Call)}


# ---- what a peer announces


ANNOUNCED = {
    "LengthFramer": (lambda: LengthFramer(max_bytes=1 << 30), b"\x3f\xff\xff\xf0"),
    "VarintFramer": (lambda: VarintFramer(max_bytes=1 << 30), b"\xff\xff\xff\xff\x03"),
    "NetstringFramer": (lambda: NetstringFramer(max_bytes=1 << 30), b"1073741824:"),
    "ContentLengthFramer": (lambda: ContentLengthFramer(max_bytes=1 << 30), b"Content-Length: 1073741824\r\n\r\n"),
    "MessagePackCodec": (lambda: MessagePackCodec(max_bytes=1 << 30), b"\xc6\x3f\xff\xff\xf0"),
    "MessagePackCodec, items": (lambda: MessagePackCodec(max_bytes=1 << 30), b"\xdd\x0f\xff\xff\xf0"),
}


@pytest.mark.parametrize(("make", "header"), ANNOUNCED.values(), ids=ANNOUNCED)
def test_what_a_header_announces_is_not_allocated(make: Callable[[], Any], header: bytes) -> None:
    """Of the GiB that the peer announces, and may send, there is as much as it has sent."""
    feed = make().inbound.process_sync
    assert peak_bytes(feed, [header, *[b"x" * 1024] * 64]) < 512 * 1024


# ---- what a limit outlives


LIMITED = {
    "LineFramer": (lambda: LineFramer(8), b"12345678\n", b"123456789\n"),
    "DelimiterFramer": (lambda: DelimiterFramer(b"||", max_bytes=8), b"12345678||", b"123456789||"),
    "LengthFramer": (lambda: LengthFramer(1, max_bytes=9), b"\x0812345678", b"\x09123456789"),
    "VarintFramer": (lambda: VarintFramer(8), b"\x0812345678", b"\x09123456789"),
    "NetstringFramer": (lambda: NetstringFramer(8), b"8:12345678,", b"9:123456789,"),
    "JSONFramer": (lambda: JSONFramer(8), b"[123456]", b"[1234567]"),
    "ContentLengthFramer": (
        lambda: ContentLengthFramer(8),
        b"Content-Length: 8\r\n\r\n12345678",
        b"Content-Length: 9\r\n\r\n123456789",
    ),
    "MessagePackCodec": (lambda: MessagePackCodec(max_bytes=8), b"\xa71234567", b"\xa812345678"),
}


@pytest.mark.parametrize(("make", "good", "long"), LIMITED.values(), ids=LIMITED)
def test_a_limit_outlives_frames_and_what_was_given_back(make: Callable[[], Any], good: bytes, long: bytes) -> None:
    """Nothing that begins anew, a frame, a read, a change of the chain, begins without its limit."""
    inbound = make().inbound
    for cut in range(len(good)):
        assert 2 == len([*inbound.process_sync(good + good[:cut]), *inbound.process_sync(good[cut:])])
        deque(inbound.process_sync(good[:cut]), maxlen=0)
        inbound.unread(())
    with pytest.raises(FrameTooLongError):
        for at in range(len(long)):
            deque(inbound.process_sync(long[at : at + 1]), maxlen=0)


def test_the_ratio_of_a_compressed_stream_outlives_its_members() -> None:
    """Many small gzip members, each below what is free, are no way around `max_ratio`."""
    member, harness = gzip.compress(bytes(100_000)), Harness(ZlibCodec())
    assert bytes(100_000) == b"".join(harness.receive(member))
    with pytest.raises(FrameTooLongError):
        harness.receive(member)


# ---- many small ones


FLOODS = {
    "LineFramer": (LineFramer, b"\n"),
    "DelimiterFramer": (lambda: DelimiterFramer(b"\0"), b"\0"),
    "LengthFramer": (lambda: LengthFramer(1), b"\0"),
    "VarintFramer": (VarintFramer, b"\0"),
    "NetstringFramer": (NetstringFramer, b"0:,"),
    "JSONFramer": (JSONFramer, b"{}"),
    "MessagePackCodec": (MessagePackCodec, b"\xc0"),
}


@pytest.mark.parametrize(("make", "frame"), FLOODS.values(), ids=FLOODS)
def test_a_flood_of_empty_frames_takes_the_memory_of_one_read(make: Callable[[], Any], frame: bytes) -> None:
    """A read full of them, and as much again: nothing is left over between two reads."""
    read = frame * (8192 // len(frame))
    once = peak_bytes(make().inbound.process_sync, [read])
    assert once < MIB
    assert peak_bytes(make().inbound.process_sync, [read] * 4) < 2 * once + 65536


# ---- logs


GARBAGE: dict[str, tuple[Callable[[], Any], bytes]] = {
    "JSONCodec": (JSONCodec, b"{"),
    "MessagePackCodec": (MessagePackCodec, b"\xc1"),
    "ProtobufCodec": (lambda: ProtobufCodec(Timestamp), b"\xff"),
    "StructCodec": (lambda: StructCodec(">I"), b"abc"),
    "TextCodec": (TextCodec, b"\xff"),
    "ZlibCodec": (ZlibCodec, b"abc"),
    "TLS": (lambda: TLS(server_context(), server_side=True), b"GET / HTTP/1.1\r\n"),
    "DBus": (DBus, b"REJECTED\r\n"),
    "FastCGI": (FastCGI, b"GET / HTTP/1.1\r\n"),
    "HTTP1": (lambda: HTTP1("server"), b"nonsense\r\n\r\n"),
    "HTTP2": (lambda: HTTP2("server"), b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"),
    "IRC": (IRC, b":"),
    "LSP": (LSP, b"[]"),
    "SMTPClient": (SMTPClient, b"SSH-2.0\r\n"),
    "SOCKS": (lambda: SOCKS("server"), b"GET / HTTP/1.1\r\n"),
    "WebSocket": (lambda: WebSocket("server"), b"\x16\x03\x01"),
}


@pytest.mark.parametrize(("make", "data"), GARBAGE.values(), ids=GARBAGE)
def test_what_is_wrong_with_a_peers_bytes_is_laid_to_the_peer(make: Callable[[], Any], data: bytes) -> None:
    """So a server logs it in one line, and nobody can fill a disk with tracebacks."""
    engine = Engine(make())
    engine.start()
    assert NEED_INPUT is engine.next_item()
    assert None is engine.at_fault()
    engine.feed(data)
    with pytest.raises(Exception) as caught:
        while engine.next_item() is NEED_INPUT:
            engine.to_write()
    at_fault = engine.at_fault()
    assert at_fault is not None
    assert at_fault.name in str(caught.value.__notes__)


# ---- hashes


def test_text_has_another_hash_in_each_process() -> None:
    """Python sees to it, so a peer cannot choose the names of an object so that they collide."""
    hashes = {
        subprocess.run(
            [sys.executable, "-E", "-c", "print(hash('a name'))"], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(3)
    }
    assert len(hashes) > 1


def colliding(count: int) -> bytes:
    """A MessagePack map whose keys are numbers that begin their search at the same place of any dict."""
    keys = b"".join(b"\xcf" + (number << 40).to_bytes(8, "big") + b"\xc0" for number in range(1, count + 1))
    return b"\xdf" + count.to_bytes(4, "big") + keys


def test_numbers_that_collide_are_linear() -> None:
    """The hash of a number is no secret; but numbers of 64 bits part soon."""
    check_linear(lambda: MessagePackCodec(max_bytes=1 << 30), lambda n: [colliding(n)], n=8192)


def test_names_that_are_there_many_times_are_one_name() -> None:
    text = b"{" + b",".join(b'"a":%d' % number for number in range(1000)) + b"}\n"
    assert [{"a": 999}] == Harness(LineFramer() | JSONCodec()).receive(text)
