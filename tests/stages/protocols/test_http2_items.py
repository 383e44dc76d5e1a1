"""What is sent with `HTTP2`: plain values."""

from __future__ import annotations

import h2.errors

from stages import HTTP2Item, SendCredit, SendData, SendGoAway, SendHeaders, SendPing, SendReset


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
