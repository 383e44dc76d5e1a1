"""What is sent with `HTTP2`: plain values."""

from __future__ import annotations

from typing import Any

import h2.errors
import pytest

from stages import HTTP2Item, SendCredit, SendData, SendGoAway, SendHeaders, SendPing, SendReset
from stages.protocols._http2_items import error_code


def test_items_are_compared_by_value() -> None:
    assert SendData(1, b"x", end_stream=True) == SendData(1, b"x", end_stream=True)
    assert SendData(1, b"x") != SendData(1, b"x", end_stream=True)


def test_what_is_left_out_is_what_is_mostly_meant() -> None:
    assert h2.errors.ErrorCodes.CANCEL == SendReset(1).error_code
    assert h2.errors.ErrorCodes.NO_ERROR == SendGoAway().error_code
    assert 8 == len(SendPing().data)


def test_all_have_one_type() -> None:
    items = [SendHeaders(1, []), SendData(1, b""), SendReset(1), SendPing(), SendGoAway(), SendCredit(1, 1)]
    assert all(isinstance(item, HTTP2Item) for item in items)


def test_why_is_a_number_that_can_be_written() -> None:
    assert [0, 8, 0xFFFFFFFF] == [error_code(item) for item in (SendGoAway(), SendReset(1), SendReset(1, 0xFFFFFFFF))]
    wrong: list[Any] = [-1, 1 << 32, None, "CANCEL"]
    for code in wrong:
        with pytest.raises(ValueError, match=r"SendReset\(error_code=.*\): must be one of h2.errors.ErrorCodes"):
            error_code(SendReset(1, code))
