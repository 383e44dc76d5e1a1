"""Composable transform stages between a trio stream and your code.

              inbound ─►
 trio stream │ LineFramer │ JSONCodec │ Logger │ your code
              ◄─ outbound

The names that need trio are loaded on first use, so that stages and `Engine` work without it.
"""

from __future__ import annotations

from ._chain import Codec, Duplex, Inbound, Outbound, Passthrough
from ._core import Engine
from ._errors import (
    CorruptFrameError,
    FrameError,
    FrameTooLongError,
    HalfCloseError,
    IncompleteFrameError,
    PipelineError,
    StageInUseError,
    StageReturnError,
    StageTimeoutError,
    SurgeryError,
)
from ._flow import NEED_INPUT, NeedInput, Waiting
from ._function import inbound, outbound
from ._stage import END, End, Reply, Result, Stage
