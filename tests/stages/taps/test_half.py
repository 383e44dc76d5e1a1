"""What the taps share: each says that it watches and changes nothing, so that it may come and go in a running chain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from pipeline import Passthrough
from stages import ChannelTap, HexDump, Logger, Meter, PcapTap, Recorder, Tap
from stages.taps._half import Half

SHAREABLE: dict[str, Passthrough] = {
    "ChannelTap": ChannelTap(trio.open_memory_channel[Any](1)[0]),
    "Logger": Logger(),
    "Tap": Tap(print),
}


def declares_a_tap(half: Any) -> None:
    assert half.is_tap
    assert 0 == half.holds
    assert half.keeps_outbound_state is False
    assert [b"1"] == half.unread(iter([b"1"]))


def test_a_half_holds_nothing_and_gives_back_what_was_not_taken() -> None:
    declares_a_tap(Half())


@pytest.mark.parametrize("tap", SHAREABLE.values(), ids=SHAREABLE)
def test_taps_that_only_pass_on_what_they_see_are_shareable(tap: Passthrough) -> None:
    for half in (tap.inbound, tap.outbound):
        declares_a_tap(half)
        assert half
        assert half.shareable


@pytest.mark.parametrize("make", [HexDump, Meter, PcapTap, Recorder])
def test_taps_that_keep_what_they_saw_are_of_one_pipeline(make: Any, tmp_path: Path) -> None:
    tap = make(tmp_path / "x") if make in (PcapTap, Recorder) else make()
    for half in (tap.inbound, tap.outbound):
        declares_a_tap(half)
        assert not half.shareable
