"""What each framer and codec costs next to the same work by hand: a table in Markdown.

    python tests/benchmarks/cost.py            print it, a minute or two
    python tests/benchmarks/cost.py --write    put it into docs/cost.md

Nothing here asserts a time. Both run alone, without pipeline and transport: their own work is what is compared.
"""

from __future__ import annotations

import gc
import gzip
import importlib
import json
import struct
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

sys.path.insert(0, str(Path(__file__).parents[2]))

import stages
from tests.benchmarks import codecs_by_hand, framing_by_hand
from tests.benchmarks.page import run

ROUNDS = 9
READ = 65536
FRAME = 64
FRAMES = 16384

Feed = Callable[[bytes], Iterable[Any]]


@dataclass(frozen=True)
class Case:
    """One format: a stage, the loop by hand, and what they are fed.

    Attributes:
        stage: the name of the class in `stages`.
        arguments: what it is made with.
        by_hand: makes an object with `feed(data)`.
        frames: the wire, frame by frame; each becomes one item, of 64 bytes where the format lets one choose.
        streams: whether it takes a byte stream; if not, an item is one frame, and it is never fed a part of one.
        variant: told from another case of the same stage by this.
        wire: the whole wire, where it is not simply the frames in a row.
    """

    stage: str
    by_hand: Callable[[], Any]
    frames: Callable[[int], list[bytes]]
    arguments: tuple[Any, ...] = ()
    streams: bool = True
    variant: str = ""
    wire: Callable[[Sequence[bytes]], bytes] = field(default=b"".join)

    @property
    def exists(self) -> bool:
        """Whether there is such a stage, and what it needs is installed."""
        return self.stage in stages.__all__

    @property
    def label(self) -> str:
        """How the table calls it."""
        return f"{self.stage}({self.variant})" if self.variant else self.stage

    def feed_stage(self) -> Feed:
        """The inbound half of a fresh stage."""
        feed: Feed = getattr(stages, self.stage)(*self.arguments).inbound.process_sync
        return feed

    def feed_by_hand(self) -> Feed:
        """A fresh loop by hand."""
        feed: Feed = self.by_hand().feed
        return feed

    def reads(self, frames: int) -> list[bytes]:
        """What comes in at once: 64 KiB of a byte stream, else one item."""
        if not self.streams:
            return self.frames(frames)
        return pieces(self.wire(self.frames(frames)), READ)

    def single_bytes(self, frames: int) -> list[bytes]:
        """A byte stream, byte by byte."""
        return pieces(self.wire(self.frames(frames)), 1)


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


# ---- the wires


def payload(number: int, size: int = FRAME) -> bytes:
    """Text of so many bytes, another one each time."""
    return (b"%d " % number + b"abcdefghijklmnopqrstuvwxyz" * 3)[:size]


def each(make: Callable[[bytes], bytes]) -> Callable[[int], list[bytes]]:
    return lambda count: [make(payload(number)) for number in range(count)]


def message(number: int) -> dict[str, Any]:
    return {"id": 100000 + number, "name": "some name", "tags": ["one", "two"], "ok": True}


def json_text(number: int) -> bytes:
    """An object of 63 bytes."""
    return json.dumps(message(number), separators=(",", ":")).encode()


def jsons(count: int) -> list[bytes]:
    return [json_text(number) for number in range(count)]


def slip(data: bytes) -> bytes:
    """With one byte of 64 that is escaped."""
    return data[:-1] + b"\xdb\xdc\xc0"


def cobs(data: bytes) -> bytes:
    """With one byte of 64 that is zero."""
    return bytes([33]) + data[:32] + bytes([len(data) - 32]) + data[33:] + b"\0"


class Message(msgspec.Struct):
    """What `json_text` is."""

    id: int
    name: str
    tags: list[str]
    ok: bool


RECORD = ">IHhq8s40s"


def record(number: int) -> bytes:
    return struct.pack(RECORD, number, number % 1000, -1, number * number, b"a name", payload(number, 40))


def string_value() -> Any:
    """A message type that comes with protobuf, or None without that extra."""
    try:
        return importlib.import_module("google.protobuf.wrappers_pb2").StringValue
    except ImportError:
        return None


CASES = [
    Case("LineFramer", framing_by_hand.Lines, each(lambda data: data + b"\n")),
    Case("LineFramer", framing_by_hand.Lines, each(lambda data: data + b"\r\n"), variant="CRLF"),
    Case("DelimiterFramer", framing_by_hand.Delimited, each(lambda data: data + b"\0"), arguments=(b"\0",)),
    Case("FixedFramer", framing_by_hand.Fixed, each(bytes), arguments=(FRAME,)),
    Case("LengthFramer", framing_by_hand.Lengths, each(lambda data: struct.pack(">I", len(data)) + data)),
    Case("VarintFramer", framing_by_hand.Varints, each(lambda data: bytes([len(data)]) + data)),
    Case("NetstringFramer", framing_by_hand.Netstrings, each(lambda data: b"%d:%b," % (len(data), data))),
    Case("JSONFramer", framing_by_hand.JSONTexts, jsons),
    Case(
        "ContentLengthFramer",
        framing_by_hand.ContentLengths,
        each(lambda data: b"Content-Length: %d\r\n\r\n%b" % (len(data), data)),
    ),
    Case("SLIPFramer", framing_by_hand.SLIP, each(slip)),
    Case("COBSFramer", framing_by_hand.COBS, each(cobs)),
    Case("Rechunk", framing_by_hand.Chunks, each(bytes), arguments=(FRAME,)),
    Case("TextCodec", codecs_by_hand.Text, each(bytes), streams=False),
    Case("JSONCodec", codecs_by_hand.JSON, jsons, streams=False),
    Case(
        "JSONCodec",
        lambda: codecs_by_hand.TypedJSON(Message),
        jsons,
        arguments=(Message,),
        streams=False,
        variant="Message",
    ),
    Case(
        "MessagePackCodec",
        codecs_by_hand.MessagePack,
        lambda count: [msgspec.msgpack.encode(message(number)) for number in range(count)],
    ),
    Case(
        "StructCodec",
        lambda: codecs_by_hand.Records(RECORD),
        lambda count: [record(number) for number in range(count)],
        arguments=(RECORD,),
        streams=False,
    ),
    Case("ZlibCodec", codecs_by_hand.Gzip, each(bytes), wire=lambda frames: gzip.compress(b"".join(frames), 6)),
]

if StringValue := string_value():
    CASES.append(
        Case(
            "ProtobufCodec",
            lambda: codecs_by_hand.Protobuf(StringValue),
            lambda count: [
                StringValue(value=payload(number, 62).decode()).SerializeToString() for number in range(count)
            ],
            arguments=(StringValue,),
            streams=False,
        )
    )


# ---- measuring


def nanoseconds(make: Callable[[], Feed], reads: list[bytes]) -> int:
    """One round of CPU time, everything taken as it comes."""
    feed = make()
    start = time.process_time_ns()
    for data in reads:
        deque(feed(data), maxlen=0)
    return time.process_time_ns() - start


def best(case: Case, reads: list[bytes], rounds: int) -> tuple[int, int]:
    """The best of so many rounds, stage and loop in turn, so that both have the same luck."""
    gc.collect()
    gc.disable()
    try:
        times = [(nanoseconds(case.feed_stage, reads), nanoseconds(case.feed_by_hand, reads)) for _ in range(rounds)]
    finally:
        gc.enable()
    return min(stage for stage, _ in times), min(hand for _, hand in times)


def row(case: Case, *, frames: int = FRAMES, rounds: int = ROUNDS) -> str:
    """A line of the table."""
    stage, hand = best(case, case.reads(frames), rounds)
    cells = [f"`{case.label}`", f"{stage / frames:.0f}", f"{stage / hand:.2f}", "", ""]
    if case.streams:
        single = case.single_bytes(max(1, frames // 16))
        stage, hand = best(case, single, rounds)
        cells[3:] = [f"{stage / len(single):.0f}", f"{stage / hand:.2f}"]
    return f"| {' | '.join(cells)} |"


HEAD = """\
| | ns per frame | ÷ by hand | ns per byte, one at a time | ÷ by hand |
|---|---:|---:|---:|---:|"""


def table(frames: int, rounds: int) -> Iterator[str]:
    """Its lines, as they are measured."""
    yield from HEAD.split("\n")
    for case in CASES:
        if case.exists:
            yield row(case, frames=frames, rounds=rounds)


def main(arguments: list[str] | None = None, *, frames: int = FRAMES, rounds: int = ROUNDS) -> None:
    """Measure, and print or write."""
    about = "What each framer and codec costs next to the same work by hand."
    run(about, "| | ns per frame |", lambda: "\n".join(table(frames, rounds)), arguments)


if __name__ == "__main__":
    main()
