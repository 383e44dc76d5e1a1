"""The benchmark of framers and codecs measures the right thing: all of them, against loops that do the same work."""

from __future__ import annotations

import gzip
import inspect
import random
import re
from itertools import pairwise
from typing import Any

import pytest

import stages
from pipeline import FrameTooLongError
from stages._catalogue import catalogue
from tests.benchmarks.codecs_by_hand import Gzip
from tests.benchmarks.cost import CASES, Case, Feed, main
from tests.benchmarks.framing_by_hand import JSONTexts, RefusedError
from tests.benchmarks.page import PAGE, labels

HALVES = {"JSONDecoder", "JSONEncoder", "Peek"}  # measured in JSONCodec; Peek takes a few bytes once
FOUND = [case for case in CASES if case.exists]
EACH = pytest.mark.parametrize("case", FOUND, ids=lambda case: case.label)
LIMITED = [case for case in FOUND if "max_bytes" in inspect.signature(case.by_hand).parameters]


def items(feed: Feed, pieces: list[bytes]) -> list[Any]:
    return [item for piece in pieces for item in feed(piece)]


def same(case: Case, pieces: list[bytes]) -> bool:
    expected, got = items(case.feed_stage(), pieces), items(case.feed_by_hand(), pieces)
    # What ZlibCodec gives at once is its own affair.
    return b"".join(expected) == b"".join(got) if case.stage == "ZlibCodec" else expected == got


def test_every_framer_and_codec_is_measured() -> None:
    """A new one needs a case in `cost.py`, and a loop by hand that does the same."""
    named = {entry.name for entry in catalogue() if entry.family in {"framing", "codecs"} and entry.kinds}
    assert named - HALVES == {case.stage for case in FOUND}


@EACH
def test_the_loop_by_hand_gives_what_the_stage_gives(case: Case) -> None:
    reads = case.reads(200)
    assert items(case.feed_stage(), reads)
    assert same(case, reads)


@EACH
def test_however_a_stream_is_cut(case: Case) -> None:
    if not case.streams:
        return
    rng = random.Random(0)
    assert same(case, case.single_bytes(50))
    wire = b"".join(case.reads(50))
    for _ in range(50):
        places = sorted(rng.sample(range(1, len(wire)), k=20))
        assert same(case, [wire[start:end] for start, end in pairwise([0, *places, len(wire)])])


@pytest.mark.parametrize("case", LIMITED, ids=lambda case: case.label)
def test_the_loop_by_hand_keeps_the_limit_too(case: Case) -> None:
    """Else it would be compared with more than it does."""
    by_hand: Any = case.by_hand
    stage: Any = getattr(stages, case.stage)
    wire = case.wire(case.frames(2))
    for pieces in ([wire], [wire[place : place + 1] for place in range(len(wire))]):
        with pytest.raises(RefusedError):
            items(by_hand(max_bytes=30).feed, pieces)
        with pytest.raises(FrameTooLongError):
            items(stage(*case.arguments, max_bytes=30).inbound.process_sync, pieces)


def test_the_loop_by_hand_refuses_a_bomb_too() -> None:
    bomb = gzip.compress(bytes(1 << 23))
    with pytest.raises(RefusedError):
        items(Gzip().feed, [bomb])
    with pytest.raises(FrameTooLongError):
        items(stages.ZlibCodec().inbound.process_sync, [bomb])


def test_strings_of_json_by_hand() -> None:
    """Brackets, quotes and backslashes in them, cut anywhere."""
    texts = [rb'{"a\"}":"\\","b":["]",{}]}', rb'["\\\"",""]', b"[[[]]]"]
    wire = b" \n".join(texts)
    for pieces in ([wire], *([wire[:at], wire[at:]] for at in range(len(wire))), [bytes([byte]) for byte in wire]):
        assert texts == items(JSONTexts().feed, pieces)
    for wrong in (b"1", b"[}", b"[] x", b'"a"', b"[" * 65):
        with pytest.raises(RefusedError):
            items(JSONTexts().feed, [wrong])


@EACH
def test_a_frame_has_about_64_bytes(case: Case) -> None:
    (frame,) = case.frames(1)
    assert 40 <= len(frame) <= 90


def test_it_prints_a_line_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    main([], frames=4, rounds=1)
    printed = capsys.readouterr().out
    assert [case.label for case in FOUND] == re.findall(r"^\| `(.*?)` \|", printed, re.MULTILINE)
    assert re.search(r"\n\d{4}-\d\d-\d\d, \w+ 3\.\d+", printed)


def test_the_page_has_a_line_for_each() -> None:
    """`python tests/benchmarks/cost.py --write` measures anew; nobody compares the numbers."""
    assert [f"`{case.label}`" for case in FOUND] == labels(PAGE, "| | ns per frame |")
