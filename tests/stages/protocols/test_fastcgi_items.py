"""What is sent with FastCGI: values, which name their request, and what they are on the wire."""

from __future__ import annotations

from typing import Any

import pytest

from stages import FastCGIData, FastCGIEnd, FastCGIHeaders, FastCGIItem, FastCGILog
from stages.protocols._fastcgi_items import data_of, head_of


@pytest.mark.parametrize(
    "item",
    [
        FastCGIHeaders(3, [("Content-Type", "text/plain")], 404),
        FastCGIData(3, b"data"),
        FastCGILog(3, b"text"),
        FastCGIEnd(3),
    ],
)
def test_an_item_is_a_value_that_names_its_request(item: FastCGIItem) -> None:
    assert isinstance(item, FastCGIItem)
    assert 3 == item.request_id
    assert item == type(item)(*(getattr(item, name) for name in type(item).__match_args__))  # type: ignore[attr-defined]
    assert not hasattr(item, "__dict__")


def test_a_response_is_200_and_its_end_0_unless_said_otherwise() -> None:
    assert 200 == FastCGIHeaders(1).status
    assert 0 == FastCGIEnd(1).app_status


@pytest.mark.parametrize(
    ("item", "head"),
    [
        (FastCGIHeaders(1), b"Status: 200 OK\r\n\r\n"),
        (FastCGIHeaders(1, status=404), b"Status: 404 Not Found\r\n\r\n"),
        (FastCGIHeaders(1, [(b"X-\xff", "\xe9")], 799), b"Status: 799\r\nX-\xff: \xe9\r\n\r\n"),
        (FastCGIHeaders(1, (("A", ""), ("B", "2"))), b"Status: 200 OK\r\nA: \r\nB: 2\r\n\r\n"),
        (FastCGIHeaders(1, iter([("A", "1")])), b"Status: 200 OK\r\nA: 1\r\n\r\n"),
    ],
)
def test_headers_are_those_of_cgi(item: FastCGIHeaders, head: bytes) -> None:
    assert head == head_of(item)


@pytest.mark.parametrize("status", [0, -5, 99, 1000, "200", None])
def test_a_status_is_a_number_of_three_digits(status: Any) -> None:
    with pytest.raises(ValueError, match=r"FastCGIHeaders\(status=.*\): must be a whole number of three digits"):
        head_of(FastCGIHeaders(1, status=status))


@pytest.mark.parametrize("item", [("X", "a\r\nSet-Cookie: b"), ("X", "\r"), ("X\n", "a"), (b"X", b"a\0")])
def test_headers_that_would_be_two_are_refused(item: Any) -> None:
    """With the one that is wrong."""
    with pytest.raises(ValueError, match=r"FastCGIHeaders: a header with a line break or a zero byte: b'X"):
        head_of(FastCGIHeaders(1, [("A", "1"), item]))


@pytest.mark.parametrize("wrong", [{"Content-Type": "text/plain"}, [("Content-Length", 3)], None])
def test_headers_that_are_no_pairs_are_refused_with_a_right_call(wrong: Any) -> None:
    with pytest.raises(
        TypeError, match=r"FastCGIHeaders\(headers=...\): must be pairs of text or bytes, \[\('Content-T"
    ):
        head_of(FastCGIHeaders(1, wrong))


@pytest.mark.parametrize("data", [b"data", bytearray(b"data"), memoryview(b"data")])
def test_data_is_any_kind_of_bytes(data: Any) -> None:
    for kind in (FastCGIData, FastCGILog):
        assert b"data" == data_of(kind(1, data))
        assert bytes is type(data_of(kind(1, data)))


@pytest.mark.parametrize("kind", [FastCGIData, FastCGILog])
def test_data_that_is_text_is_refused_with_a_right_call(kind: Any) -> None:
    with pytest.raises(TypeError, match=rf"^{kind.__name__}\(data=...\): must be bytes, not str: text.encode\(\)"):
        data_of(kind(1, "text"))
    with pytest.raises(TypeError, match=f"{kind.__name__} takes bytes, not int"):
        data_of(kind(1, 5))
