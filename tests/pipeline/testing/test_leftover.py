"""What is left over in a chain is told by `finish()`: which item, where it waits and why."""

from __future__ import annotations

import pytest

from pipeline import inbound
from pipeline.testing import Harness
from tests.pipeline.testing.small_stages import HandshakeIn, Paused


def test_finish_fails_if_a_send_is_held_back() -> None:
    """Items and their stage are named."""
    harness = Harness(HandshakeIn())
    harness.send("a", "b")

    with pytest.raises(AssertionError) as info:
        harness.finish()

    assert "outbound: 'a' waits before" in str(info.value)
    assert "which is not ready (`HandshakeIn.ready` is False)" in str(info.value)
    assert "outbound: 'b' waits for the item sent before it" in str(info.value)


def test_finish_fails_if_a_stage_wants_no_input() -> None:
    """Items before a pausing stage, and untaken results behind it, are left over."""
    harness = Harness(inbound(lambda item: [item, item]) | Paused())
    assert [1] == harness.receive(1)

    with pytest.raises(AssertionError) as info:
        harness.finish()

    assert "inbound: 1 waits before Paused, which wants no input (`Paused.wants_input` is False)" in str(info.value)
    assert "the end of the stream" in str(info.value)


def test_finish_names_results_that_nobody_took() -> None:
    """A stage that gave more than the next one wants."""
    harness = Harness(inbound(lambda item: [item] * 3) | Paused())
    harness.receive(1)

    with pytest.raises(AssertionError, match=r"results of <lambda>.process\(\) that were not taken"):
        harness.finish()
