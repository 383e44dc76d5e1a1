"""Rules of `check_channel` on a `send()` that waits since nobody receives."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from tests.pipeline.testing.channels import Method, rule_broken_by, waits_for_ever


async def test_a_waiting_send_that_returns_when_it_is_cancelled_is_told() -> None:
    """Whoever called it would take the item for sent."""

    def returns(end: Any) -> Method:
        async def send(item: Any) -> None:
            waits = end.statistics().current_buffer_used == 10
            try:
                await end.send(item)
            except trio.Cancelled:
                if not waits:
                    raise

        return send

    assert "waiting_send_can_be_cancelled" == await rule_broken_by("send", "send", returns)


async def test_a_send_that_never_waits_is_told() -> None:
    """Here it fails where there is no room."""

    def swallows(end: Any) -> Method:
        async def send(item: Any) -> None:
            await trio.lowlevel.checkpoint_if_cancelled()
            try:
                end.send_nowait(item)
            except trio.WouldBlock:
                raise ValueError("full") from None
            await trio.lowlevel.cancel_shielded_checkpoint()

        return send

    assert "waiting_send_can_be_cancelled" == await rule_broken_by("send", "send", swallows)


@pytest.mark.parametrize(
    ("rule", "error", "closed"),
    [
        ("closing_wakes_the_sender", trio.ClosedResourceError, "send"),
        ("losing_the_receiver_wakes_the_sender", trio.BrokenResourceError, "receive"),
    ],
)
async def test_a_sender_that_is_not_woken_is_told(rule: str, error: type[Exception], closed: str) -> None:
    """It would wait for ever; the check does not."""
    assert rule == await rule_broken_by("send", "send", waits_for_ever("send", error, closed))
