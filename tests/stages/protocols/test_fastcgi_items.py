"""What is sent with FastCGI: values, which name their request."""

from __future__ import annotations

import pytest

from stages import FastCGIData, FastCGIEnd, FastCGIHeaders, FastCGIItem, FastCGILog


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
