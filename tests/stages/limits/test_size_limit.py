"""SizeLimit: items up to a size and no larger."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from pipeline import LimitError, Pipeline
from pipeline.testing import Harness, check_limit, check_tap
from stages import LineFramer, SizeLimit, recover
from tests.pipeline.wires import tcp_pair

TEXT_AND_BYTES = [b"bytes", bytearray(b"mutable"), "text", "é", b"", ""]


def test_up_to_the_limit_it_changes_nothing() -> None:
    check_tap(lambda: SizeLimit(100), TEXT_AND_BYTES)


@pytest.mark.parametrize("unit", [b"x", bytearray(b"x"), "x"], ids=["bytes", "bytearray", "str"])
def test_exactly_the_limit_passes_and_one_more_fails(unit: Any) -> None:
    check_limit(SizeLimit, lambda n: [unit * n], payload=lambda n: unit * n, errors=LimitError)


def test_text_counts_as_it_is_written() -> None:
    assert ["😀"] == Harness(SizeLimit(4)).receive("😀")
    with pytest.raises(LimitError) as info:
        Harness(SizeLimit(3)).receive("😀")
    assert (3, 4) == (info.value.limit, info.value.size)


def test_each_item_counts_for_itself() -> None:
    assert 50 == len(Harness(SizeLimit(3)).receive(*[b"abc"] * 50))


def test_the_error_has_both_numbers_and_says_what_to_do() -> None:
    harness = Harness(SizeLimit(3))
    remedy = r"Raise bytes, or drop such items: recover\(SizeLimit\(3\), lambda item, error: \(\)\)"
    with pytest.raises(
        LimitError, match=rf"SizeLimit: an item of 4 bytes was to be sent, over the limit, bytes=3\. {remedy}"
    ):
        harness.send(b"abcd")
    assert [b"abc"] == harness.send(b"abc"), "outbound goes on"
    with pytest.raises(LimitError, match=r"an item of 5 bytes came from the peer"):
        harness.receive(b"a", b"abcde")
    assert [b"a"] == harness.received


def test_the_remedy_works() -> None:
    harness = Harness(recover(SizeLimit(3), lambda item, error: ()))
    assert [b"a", b"b"] == harness.receive(b"a", b"abcd", b"b")


@pytest.mark.parametrize(("direction", "free"), [("inbound", "send"), ("outbound", "receive")])
def test_the_other_direction_passes_unseen(direction: Any, free: str) -> None:
    harness = Harness(SizeLimit(1, direction=direction))
    assert ["ab"] == getattr(harness, free)("ab")
    limited = harness.receive if free == "send" else harness.send
    with pytest.raises(LimitError):
        limited("ab")


def test_what_has_no_size_is_refused() -> None:
    with pytest.raises(TypeError, match="SizeLimit counts bytes or text, and cannot tell how large a dict is"):
        Harness(SizeLimit(1)).receive({})


def test_one_object_serves_many_pipelines() -> None:
    stage = SizeLimit(1)
    assert ["a"] == Harness(stage).receive("a")
    assert ["b"] == Harness(stage).receive("b")


@pytest.mark.real_time
async def test_on_a_socket() -> None:
    with trio.fail_after(60):
        one, two = await tcp_pair()
        async with Pipeline(one, LineFramer() | SizeLimit(3)) as pipeline, two:
            await two.send_all(b"abc\nabcd\n")
            assert b"abc" == await pipeline.receive()
            with pytest.raises(LimitError):
                await pipeline.receive()
            with pytest.raises(LimitError):
                await pipeline.send(b"too large")
            await pipeline.send(b"bye")
            assert b"bye\n" == await two.receive_some()


@pytest.mark.parametrize(("size", "kind"), [(0, ValueError), (1.5, TypeError)])
def test_what_is_no_limit_is_refused(size: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=r"SizeLimit\(bytes=.*\): must be a whole number, 1 or more, as in SizeLimit"):
        SizeLimit(size)


def test_what_is_no_direction_is_refused() -> None:
    with pytest.raises(ValueError, match="one of 'both', 'inbound', 'outbound'"):
        SizeLimit(1, direction="in")  # type: ignore[arg-type]


def test_repr_shows_it_as_it_is_written() -> None:
    assert "SizeLimit(5)" == repr(SizeLimit(5))
