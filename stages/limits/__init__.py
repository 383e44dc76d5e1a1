"""Limits: how fast, how much, how large, and how long a silence or a frame may last."""

from __future__ import annotations

from ._count_limit import CountLimit
from ._frame_timeout import FrameTimeout
from ._heartbeat import Heartbeat
from ._idle_timeout import IdleTimeout
from ._rate_limit import RateLimit
from ._size_limit import SizeLimit

__all__ = ["CountLimit", "FrameTimeout", "Heartbeat", "IdleTimeout", "RateLimit", "SizeLimit"]
