"""Rules of `check_channel` on a `send()` that waits since nobody receives."""

from __future__ import annotations

from typing import Any

import trio

from tests.pipeline.testing.channels import Method, rule_broken_by


async def test_a_waiting_send_that_cannot_be_cancelled_is_told() -> None:
    """It runs on as if nothing was."""

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


async def test_a_sender_that_is_not_woken_by_closing_is_told() -> None:
    """It would wait for ever; the check does not."""

    def waits_on(end: Any) -> Method:
        async def send(item: Any) -> None:
            was_open = end.statistics().open_send_channels
            try:
                await end.send(item)
            except trio.ClosedResourceError:
                if was_open:
                    await trio.sleep_forever()
                raise

        return send

    assert "closing_wakes_the_sender" == await rule_broken_by("send", "send", waits_on)


async def test_a_sender_that_is_not_woken_when_nobody_is_left_to_receive_is_told() -> None:
    """One that finds nobody there from the start is another rule's matter."""

    def waits_on(end: Any) -> Method:
        async def send(item: Any) -> None:
            was_there = end.statistics().open_receive_channels
            try:
                await end.send(item)
            except trio.BrokenResourceError:
                if was_there:
                    await trio.sleep_forever()
                raise

        return send

    assert "losing_the_receiver_wakes_the_sender" == await rule_broken_by("send", "send", waits_on)
