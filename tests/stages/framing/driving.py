"""Framers driven by hand: without the engine in between, ten thousand cuts take a second."""

from __future__ import annotations

import itertools
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pipeline import FrameError
from tests.measuring import EVERY_CUT
from tests.memory import peak_memory

RANDOM_CUTS = 10_000 if EVERY_CUT else 2_500
MIB = 1 << 20


def finished(framer: Any) -> list[bytes]:
    """What `inbound.finish()` gives; it never waits."""
    try:
        framer.inbound.finish().send(None)
    except StopIteration as stop:
        return list(stop.value)
    raise AssertionError("it waits")


def outcome(framer: Any, pieces: Iterable[bytes]) -> tuple[list[bytes], str | None, bytes | None, int]:
    """Frames, error, leftover and skipped: all that must not depend on the cut."""
    frames: list[bytes] = []
    try:
        for piece in pieces:
            frames.extend(framer.inbound.process_sync(piece))
        frames += finished(framer)
    except FrameError as error:
        return frames, f"{type(error).__name__}: {error}", getattr(error, "leftover", None), framer.skipped
    return frames, None, None, framer.skipped


def error_of(framer: Any, *pieces: bytes) -> str:
    """The error that comes of them, before any frame."""
    frames, error, _, _ = outcome(framer, pieces)
    assert [] == frames
    assert error is not None
    return error


def random_pieces(rng: random.Random, wire: bytes) -> list[bytes]:
    """The wire in 1 to 12 pieces, some of them empty."""
    places = sorted(rng.randint(0, len(wire)) for _ in range(rng.randint(0, 11)))
    return pieces_at(wire, places)


def pieces_at(wire: bytes, places: Iterable[int]) -> list[bytes]:
    edges = [0, *places, len(wire)]
    return [wire[start:stop] for start, stop in itertools.pairwise(edges)]


def byte_by_byte(wire: bytes) -> list[bytes]:
    return pieces_at(wire, range(1, len(wire)))


def feed(framer: Any, pieces: Iterable[bytes]) -> None:
    for piece in pieces:
        deque(framer.inbound.process_sync(piece), maxlen=0)


def cpu_ratio(make: Callable[[], Any], pieces: Callable[[int], Iterator[bytes]], size: int, what: str) -> float:
    """How many times the CPU time of a quarter of the size the whole size takes, printed; measured twice if need be."""

    def seconds(total: int) -> float:
        framer, start = make(), time.process_time()
        feed(framer, pieces(total))
        return time.process_time() - start

    def ratio() -> float:
        small, large = min(seconds(size // 4) for _ in range(2)), seconds(size)
        print(f"{what}: {size // 4 / MIB:g} MiB {small:.3f} s, {size / MIB:g} MiB {large:.3f} s, {large / small:.2f} x")
        return large / small

    return first if (first := ratio()) < 6 else min(first, ratio())


def peak_bytes(framer: Any, pieces: Iterable[bytes]) -> int:
    """How much memory feeding the pieces takes at most."""
    with peak_memory() as peak:
        feed(framer, pieces)
    return peak.bytes


def check_dropping_takes_no_memory(framer: Any, pieces: Iterable[bytes]) -> None:
    """Of many MiB that are over the limit of 64 KiB no more is kept than the limit and the piece at hand."""
    peak = peak_bytes(framer, pieces)
    print(f"peak: dropping {peak / 1024:.0f} KiB")
    assert peak < 4 * 65536


def check_keeping_takes_little_memory(framer: Any, pieces: Iterable[bytes]) -> None:
    """A frame of 8 MiB takes a small multiple of its size."""
    peak = peak_bytes(framer, pieces)
    print(f"peak: keeping 8 MiB {peak / MIB:.1f} MiB")
    assert peak < 4 * 8 * MIB
