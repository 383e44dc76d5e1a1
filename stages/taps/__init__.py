"""Taps and interception: stages made of a function, which watch, change or drop what passes."""

from __future__ import annotations

from ._channel_tap import ChannelTap
from ._filter import Filter
from ._hex_dump import HexDump
from ._intercept import Intercept
from ._logger import Logger
from ._map import Map
from ._meter import Meter, MeterSnapshot, Traffic
from ._pcap_tap import PcapTap
from ._recorder import Recorder
from ._recover import recover
from ._replay import Replayed, replay
from ._tap import Tap

__all__ = [
    "ChannelTap",
    "Filter",
    "HexDump",
    "Intercept",
    "Logger",
    "Map",
    "Meter",
    "MeterSnapshot",
    "PcapTap",
    "Recorder",
    "Replayed",
    "Tap",
    "Traffic",
    "recover",
    "replay",
]
