"""`check_codec`: what does not come back is told."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from typing import Any

import pytest

from pipeline import Duplex, Inbound, Outbound, inbound, outbound
from pipeline.testing import check_codec


def codec(decode: Callable[[Any], Any], encode: Callable[[Any], Any]) -> Callable[[], Duplex[Any, Any, Any, Any]]:
    """A factory of codecs which give one item for one."""

    def read(item: Any) -> list[Any]:
        return [decode(item)]

    def write(item: Any) -> list[Any]:
        return [encode(item)]

    return lambda: Duplex(inbound(read), outbound(write))


def same(item: Any) -> Any:
    return item


numbers = codec(decode=int, encode=lambda item: b"%d" % item)


class Decode(Inbound[bytes, str]):
    def __init__(self) -> None:
        self.decoder = codecs.getincrementaldecoder("utf-8")()

    def process_sync(self, item: bytes, /) -> list[str]:
        text = self.decoder.decode(item)
        return [text] if text else []


class Encode(Outbound[str, bytes]):
    def process_sync(self, item: str, /) -> list[bytes]:
        return [item.encode()]


def text() -> Duplex[bytes, str, str, bytes]:
    return Duplex(Decode(), Encode())


def test_a_good_codec_passes() -> None:
    """Item by item, and all in one go."""
    check_codec(numbers, [1, 22, -3], wire=[b"1", b"22", b"-3"])


def test_a_good_stream_codec_passes() -> None:
    """Cut inside a character too; pieces come back joined."""
    check_codec(text, ["blå", "bær"], wire=["blåbær".encode()], cut=True, join=True)
    check_codec(text, ["blåbær " * 10], cut=True, join=True, random_cuts=20)


def test_nothing_to_send_passes() -> None:
    """Also joined."""
    check_codec(text, [], cut=True, join=True)


def test_an_item_that_comes_back_as_another() -> None:
    """Both, and what was written between."""
    with pytest.raises(AssertionError, match="codec: what was sent does not come back") as info:
        check_codec(codec(decode=same, encode=str.lower), ["a", "B"])

    assert "items: ['B']\n  wrote: ['b']\n  came back: ['b']" in str(info.value)


def test_an_item_that_comes_back_with_another_type() -> None:
    """1, 1.0 and True are equal to Python, and not the same."""
    with pytest.raises(AssertionError, match=r"items: \[True\]"):
        check_codec(codec(decode=same, encode=int), [1, True])


def test_an_item_that_cannot_be_read_back() -> None:
    """The error is shown and chained."""
    with pytest.raises(AssertionError, match=r"came back: .*ValueError") as info:
        check_codec(codec(decode=int, encode=same), ["x"])

    assert isinstance(info.value.__cause__, ValueError)


def test_an_item_that_is_refused() -> None:
    """What the codec raised is shown and chained."""
    with pytest.raises(AssertionError, match="codec: outbound refused an item") as info:
        check_codec(numbers, ["x"])

    assert isinstance(info.value.__cause__, TypeError)


def test_another_wire_than_expected() -> None:
    """Item by item, or as joined bytes with `cut`."""
    with pytest.raises(AssertionError, match="outbound writes something else than expected"):
        check_codec(numbers, [1, 2], wire=[b"12"])
    with pytest.raises(AssertionError, match="outbound writes something else than expected"):
        check_codec(text, ["ab"], wire=[b"a"], cut=True, join=True)


def test_a_codec_that_decodes_each_read_for_itself() -> None:
    """The shortest cut goes through a character."""

    class PerRead(Decode):
        def process_sync(self, item: bytes, /) -> list[str]:
            return [item.decode(errors="replace")]

    with pytest.raises(AssertionError) as info:
        check_codec(lambda: Duplex(PerRead(), Encode()), ["aå"], cut=True, join=True)

    assert str(info.value).startswith("F1: what comes back depends on how the bytes are cut")
    assert r"cut: b'a\xc3' | b'\xa5'" in str(info.value)


def test_what_is_joined_by_cuts_is_told_without_join() -> None:
    """A client side that is no stream must come back item by item."""
    with pytest.raises(AssertionError, match="F1"):
        check_codec(text, ["ab"], cut=True)


def test_a_stage_instead_of_a_factory_is_refused() -> None:
    stage: Any = inbound(lambda item: [item])
    with pytest.raises(TypeError, match=r"each try needs a fresh stage, .* makes one: lambda: inbound\("):
        check_codec(stage, [b"a"])
