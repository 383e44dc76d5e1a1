"""Generators of each kind that `FromGenerator` takes, for its tests."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Generator, Iterator
from typing import Any, TypeAlias

import ohneio

Asking: TypeAlias = Generator[Any, Any, Any]


def protocol(function: Callable[[], Asking]) -> Callable[[], Any]:
    """`@ohneio.protocol`, which has no types."""
    made: Callable[[], Any] = ohneio.protocol(function)
    return made


def cuts_of(wire: bytes) -> Iterator[list[bytes]]:
    """Up to 6 bytes every way to cut them; beyond, at each two places, and byte by byte."""
    inner = range(1, len(wire))
    counts = range(len(wire)) if len(wire) <= 6 else (2, len(inner))
    for places in itertools.chain.from_iterable(itertools.combinations(inner, count) for count in counts):
        edges = [0, *places, len(wire)]
        yield [wire[start:stop] for start, stop in itertools.pairwise(edges)]


def frames() -> Asking:
    """Two bytes of length, then so many."""
    while True:
        (size,) = struct.unpack(">H", (yield 2))
        yield [(yield size)]


def frame() -> Asking:
    """One of them."""
    (size,) = struct.unpack(">H", (yield 2))
    return (yield size)


def lines() -> Asking:
    """Pushed what came."""
    items, rest = list[bytes](), b""
    while data := (yield items):
        *items, rest = (rest + data).split(b"\n")
    return [], rest


def wait_for(mark: bytes) -> Asking:
    while (found := (yield from ohneio.peek()).find(mark)) < 0:
        yield from ohneio.wait()
    return found


@protocol
def ohneio_frame() -> Asking:
    (size,) = struct.unpack(">H", (yield from ohneio.read(2)))
    return (yield from ohneio.read(size)) if size else b""


@protocol
def shaking() -> Asking:
    """A handshake: greets, asks who is there, and returns it."""
    yield from ohneio.write(b"who?\n")
    name = yield from ohneio.read((yield from wait_for(b"\n")))
    yield from ohneio.read(1)
    yield from ohneio.write(b"hello " + name + b"\n")
    return name.decode()
