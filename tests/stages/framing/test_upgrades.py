"""Upgrades in the middle of a segment: for every framer, behind every frame, at every byte and with every cut (U1).

The old chain gets exactly the bytes before the change, the new one exactly the bytes after: not one of them
is lost, doubled, or seen by both.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import trio
from trio.testing import memory_stream_pair

import stages
from pipeline import NEED_INPUT, Duplex, Engine, Pipeline
from pipeline._surgery import Cut, Surgery
from stages import (
    COBSFramer,
    ContentLengthFramer,
    DelimiterFramer,
    FixedFramer,
    JSONFramer,
    LengthFramer,
    LineFramer,
    Map,
    MessagePackCodec,
    NetstringFramer,
    Peek,
    Rechunk,
    SLIPFramer,
    Tap,
    TextCodec,
    VarintFramer,
)
from tests.stages.framing.driving import pieces_at

pytestmark = pytest.mark.unmeasured  # each stage's own lines are covered by its own tests


@dataclass(frozen=True)
class Conversation:
    """Frames, and what they are on the wire; behind them anything may come.

    Args:
        framer: makes a new one.
        frames: what it gives of each piece of the wire.
        wire: what each frame is on the wire.
        rest: what comes behind the last one: a frame, a beginning, and what would be an error.
    """

    framer: Callable[[], Duplex[Any, Any, Any, Any]]
    frames: list[Any]
    wire: list[bytes]
    rest: list[bytes] = field(default_factory=list)

    @property
    def name(self) -> str:
        return repr(self.framer())

    @property
    def sent(self) -> bytes:
        rest = self.rest or [self.wire[0], self.wire[1][:1], b"\xff\0 \n~"]
        return b"".join([*self.wire, *rest])

    def after(self, count: int) -> bytes:
        """What comes behind so many frames."""
        return self.sent[len(b"".join(self.wire[:count])) :]


CONVERSATIONS = [
    Conversation(
        COBSFramer, [b"ab", b"", b"c\0"], [b"\x03ab\0", b"\x01\0", b"\0\0\x02c\x01\0"], [b"\0\x02d\0\0", b"\x05e\0"]
    ),
    Conversation(
        ContentLengthFramer,
        [b"{}", b""],
        [b"Content-Length:2\r\n\r\n{}", b"Content-Length:0\r\n\r\n"],
        [b"C", b"?\r\n\r\n"],
    ),
    Conversation(lambda: DelimiterFramer(b"|"), [b"ab", b"", b"c"], [b"ab|", b"|", b"c|"]),
    Conversation(
        lambda: DelimiterFramer(b"--", b"-->", b"\0"), [b"ab", b"", b"c"], [b"ab--", b"\0", b"c-->"], [b"a\0", b"--"]
    ),
    Conversation(
        lambda: DelimiterFramer(b"||", b"\0", keep_delimiter=True, max_bytes=2, oversize="skip"),
        [b"ab||", b"\0", b"c\0"],
        [b"ab||", b"too long||\0", b"c\0"],
        [b"toolong\0", b"d||", b"|too long"],
    ),
    Conversation(lambda: FixedFramer(3), [b"abc", b"\0\0\0", b"def"], [b"abc", b"\0\0\0", b"def"]),
    Conversation(lambda: FixedFramer(1), [b"a", b"\0", b"c"], [b"a", b"\0", b"c"]),
    Conversation(
        JSONFramer, [b"{}", b'{"a]":["\\""]}', b"[1]"], [b"{}", b' {"a]":["\\""]}', b"\n[1]"], [b" [2]", b"{", b"]}x"]
    ),
    Conversation(lambda: LengthFramer(2), [b"ab", b"", b"c"], [b"\0\x02ab", b"\0\0", b"\0\x01c"]),
    Conversation(
        lambda: LengthFramer(1, max_bytes=4, oversize="skip"),
        [b"ab", b"", b"c"],
        [b"\x02ab", b"\x04defg\0", b"\x01c"],
        [b"\x05defgh", b"\x01i", b"\xffj"],
    ),
    Conversation(
        lambda: LengthFramer(2, byteorder="little", adjustment=-2, strip=0),
        [b"\x04\0ab", b"\x02\0", b"\x03\0c"],
        [b"\x04\0ab", b"\x02\0", b"\x03\0c"],
        [b"\x03\0d", b"\0\0"],
    ),
    Conversation(
        lambda: LengthFramer(1, offset=1, adjustment=1),
        [b"abC", b"C", b"cC"],
        [b"Q\x02abC", b"T\0C", b"Q\x01cC"],
    ),
    Conversation(LineFramer, [b"ab", b"", b"c\rd"], [b"ab\r\n", b"\n", b"c\rd\n"]),
    Conversation(lambda: LineFramer(ending="lf"), [b"ab\r", b"", b"c"], [b"ab\r\n", b"\n", b"c\n"]),
    Conversation(
        lambda: LineFramer(ending="crlf"),
        [b"ab", b"", b"c"],
        [b"ab\r\n", b"\r\n", b"c\r\n"],
        [b"d\r\n", b"\r", b"\rx\n"],
    ),
    Conversation(
        lambda: LineFramer(2, keep_ends=True, oversize="skip"),
        [b"ab\n", b"\r\n", b"c\n"],
        [b"ab\n", b"too long\n\r\n", b"c\n"],
        [b"too long\n", b"de\n", b"too long"],
    ),
    Conversation(
        MessagePackCodec, [1, "ab", [None]], [b"\x01", b"\xa2ab", b"\x91\xc0"], [b"\x02", b"\x92\x01", b"\xc1"]
    ),
    Conversation(NetstringFramer, [b"ab", b"", b"c"], [b"2:ab,", b"0:,", b"1:c,"], [b"1:d,", b"1", b"x,01:"]),
    Conversation(
        SLIPFramer,
        [b"ab", b"\xc0", b"c"],
        [b"\xc0ab\xc0", b"\xdb\xdc\xc0", b"\xc0\xc0c\xc0"],
        [b"\xc0\xc0d\xc0\xc0", b"\xdbx"],
    ),
    Conversation(VarintFramer, [b"ab", b"", b"c"], [b"\x02ab", b"\0", b"\x81\0c"], [b"\x01d", b"\x02", b"\xff" * 6]),
]

WITHOUT_FRAMES = {Peek, Rechunk}
"""The one shows bytes and uses up none, the other cuts where it is of no matter to anybody."""


def test_every_framer_of_the_catalogue_is_in_the_table() -> None:
    """Whatever gives back other items than it was fed is a framer: one that is missing here is untested."""
    found = {getattr(stages, name) for name in stages.__all__}
    framers = {each for each in found if inspect.isclass(each) and each.__module__.startswith("stages.framing.")}
    assert framers | {MessagePackCodec} == {type(each.framer()) for each in CONVERSATIONS} | WITHOUT_FRAMES


every_conversation = pytest.mark.parametrize("conversation", CONVERSATIONS, ids=lambda each: each.name)


@every_conversation
def test_the_conversations_are_what_they_are_said_to_be(conversation: Conversation) -> None:
    engine = running(conversation.framer())
    engine.feed(b"".join(conversation.wire))
    assert conversation.frames == list(iter(engine.next_item, NEED_INPUT))


# ---- what drives them


def running(chain: Any) -> Any:
    engine: Engine[Any, Any] = Engine(chain)
    engine.start()
    return engine


def change(cut: Cut) -> None:
    """What a pipeline does, without the waiting."""
    surgery = Surgery(cut, [])
    surgery.take_back("forward")
    surgery.fit()
    surgery.commit(forward=True)


def upgraded(chain: Any, pieces: list[bytes], count: int, plan: Callable[[Any], Cut]) -> tuple[list[Any], list[Any]]:
    """What comes out before the change, which is made as soon as so many items came, and what comes after it."""
    engine, before, after = running(chain), list[Any](), list[Any]()
    feeding = iter(pieces)
    for piece in feeding if count else ():
        engine.feed(piece)
        before += itertools.islice(iter(engine.next_item, NEED_INPUT), count - len(before))
        if len(before) == count:
            break
    change(plan(engine))
    after += iter(engine.next_item, NEED_INPUT)
    for piece in feeding:
        engine.feed(piece)
        after += iter(engine.next_item, NEED_INPUT)
    return before, after


def passing() -> Any:
    """Shows the bytes as they come."""
    return Map(inbound=bytes, outbound=bytes)


def masked(data: bytes) -> bytes:
    """Stands for encryption: no framer finds a frame of its own in it."""
    return data.translate(_MASK)


_MASK = bytes(byte ^ 0xA5 for byte in range(256))


def every_cut(wire: bytes) -> Iterator[list[bytes]]:
    """Byte by byte, whole, and cut at any one or two places; of a long wire at two that are not far apart."""
    yield pieces_at(wire, range(1, len(wire)))
    far = len(wire) if len(wire) <= 32 else 8
    for places in itertools.combinations_with_replacement(range(1, len(wire) + 1), 2):
        if places[1] - places[0] <= far:
            yield [piece for piece in pieces_at(wire, places) if piece]


def cuts_around(wire: bytes, place: int) -> Iterator[list[bytes]]:
    """Byte by byte, whole, at each byte, and at this place together with each byte."""
    yield pieces_at(wire, range(1, len(wire)))
    yield [wire]
    for other in range(1, len(wire)):
        yield pieces_at(wire, [other])
        yield [piece for piece in pieces_at(wire, sorted([other, place])) if piece]


# ---- every byte, every cut


@every_conversation
def test_the_old_chain_gets_the_bytes_before_and_the_new_one_the_bytes_after(conversation: Conversation) -> None:
    for count in range(len(conversation.frames) + 1):
        rest = conversation.after(count)
        for pieces in every_cut(conversation.sent):
            before, after = upgraded(conversation.framer(), pieces, count, lambda engine: Cut(engine, 0, 1, passing()))
            assert (conversation.frames[:count], rest) == (before, b"".join(after)), pieces


@pytest.mark.full
@every_conversation
def test_taps_below_and_above_see_what_the_old_and_the_new_chain_got(conversation: Conversation) -> None:
    """Taps give back as well; the one above sees no frame that was not taken, the one below each byte as it came."""
    for count in range(len(conversation.frames) + 1):
        frames, rest = conversation.frames[:count], conversation.after(count)
        for pieces in cuts_around(conversation.sent, len(conversation.sent) - len(rest)):
            below, above = Watch(), Watch()
            chain = below | conversation.framer() | Tap(print_nothing) | above
            before, after = upgraded(chain, pieces, count, lambda engine: Cut(engine, 1, 2, passing()))
            assert (frames, rest) == (before, b"".join(after)), pieces
            assert above.seen == [*before, *after], pieces
            assert b"".join(below.seen) == conversation.sent, pieces


@pytest.mark.full
@every_conversation
def test_codecs_above_go_on_with_what_the_new_stage_gives(conversation: Conversation) -> None:
    for count in range(len(conversation.frames) + 1):
        frames, rest = conversation.frames[:count], conversation.after(count)
        for pieces in cuts_around(conversation.sent, len(conversation.sent) - len(rest)):
            chain = conversation.framer() | Map(inbound=as_bytes) | TextCodec("latin-1") | Map(inbound=str.swapcase)
            before, after = upgraded(chain, pieces, count, lambda engine: Cut(engine, 0, 1, passing()))
            assert [as_bytes(frame).decode("latin-1").swapcase() for frame in frames] == before, pieces
            assert rest.decode("latin-1").swapcase() == "".join(after), pieces


@pytest.mark.full
@every_conversation
def test_all_of_the_chain_may_be_replaced_down_from_the_client(conversation: Conversation) -> None:
    """One after the other, each gives back to the one below it what it did not deliver."""
    for count in range(len(conversation.frames) + 1):
        rest = conversation.after(count)
        for pieces in cuts_around(conversation.sent, len(conversation.sent) - len(rest)):

            def plan(engine: Any) -> Cut:
                change(Cut(engine, 1, 3))
                return Cut(engine, 0, 1, passing())

            chain = conversation.framer() | Map(inbound=as_bytes) | TextCodec("latin-1")
            before, after = upgraded(chain, pieces, count, plan)
            assert (count, rest) == (len(before), b"".join(after)), pieces


@every_conversation
def test_what_goes_in_at_the_wire_gets_the_bytes_after_and_the_framer_stays(conversation: Conversation) -> None:
    """STARTTLS: behind a frame everything is encrypted. The same framer cuts what the new stage below it gives."""
    for count in range(len(conversation.frames) + 1):
        place = len(b"".join(conversation.wire[:count]))
        plain = b"".join(conversation.wire)
        wire = plain[:place] + masked(plain[place:])
        for pieces in cuts_around(wire, place) if place < len(wire) else ():
            before, after = upgraded(
                conversation.framer(), pieces, count, lambda engine: Cut(engine, 0, 0, Map(inbound=masked))
            )
            assert conversation.frames == before + after, pieces
            assert count == len(before), pieces


class Watch(Tap):
    """Remembers what came from the wire."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        super().__init__(lambda _, item: self.seen.append(item), strict=True)


def print_nothing(direction: str, item: object) -> None:
    pass


def as_bytes(frame: Any) -> bytes:
    """MessagePack's frames are values."""
    return frame if isinstance(frame, bytes) else repr(frame).encode()


# ---- in a running pipeline


@every_conversation
async def test_in_a_pipeline_too_while_the_peer_sends_on(conversation: Conversation) -> None:
    wire = conversation.sent
    for count in range(len(conversation.frames) + 1):
        place = len(wire) - len(conversation.after(count))
        for pieces in ([wire], pieces_at(wire, range(1, len(wire))), pieces_at(wire, [max(place - 1, 0), place + 1])):
            near, far = memory_stream_pair()
            async with Pipeline(near, conversation.framer()) as pipeline, trio.open_nursery() as nursery:
                nursery.start_soon(send_pieces, far, pieces)
                assert conversation.frames[:count] == [await pipeline.receive() for _ in range(count)]
                await pipeline.replace(type(conversation.framer()), passing())
                after = b""
                async for item in pipeline:
                    after += item
                assert conversation.after(count) == after, pieces
                await pipeline.send(b"raw")
                assert b"raw" == await far.receive_some()


@every_conversation
async def test_the_caller_may_take_the_rest_himself(conversation: Conversation) -> None:
    for count in range(len(conversation.frames) + 1):
        near, far = memory_stream_pair()
        async with Pipeline(near, conversation.framer()) as pipeline:
            await far.send_all(conversation.sent)
            assert conversation.frames[:count] == [await pipeline.receive() for _ in range(count)]
            rest = await pipeline.remove(type(conversation.framer()), leftover="return")
            assert b"".join(rest) == (conversation.after(count) if count else b""), "before a receive() nothing is read"
            await far.send_all(b"more")
            assert (b"more" if count else conversation.sent + b"more") == await pipeline.receive()


async def send_pieces(stream: trio.abc.HalfCloseableStream, pieces: list[bytes]) -> None:
    for piece in pieces:
        await stream.send_all(piece)
        await trio.lowlevel.checkpoint()
    await stream.send_eof()
