"""Composable transform stages between a trio stream and your code.

              inbound ─►
 trio stream │ LineFramer │ JSONCodec │ Logger │ your code
              ◄─ outbound

The names that need trio are loaded on first use, so that stages and `Engine` work without it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ._chain import Codec, Duplex, Inbound, Outbound, Passthrough
from ._core import Engine
from ._errors import (
    CorruptFrameError,
    FrameError,
    FrameTooLongError,
    HalfCloseError,
    IncompleteFrameError,
    LimitError,
    PipelineError,
    StageInUseError,
    StageReturnError,
    StageTimeoutError,
    SurgeryError,
)
from ._flow import NEED_INPUT, NeedInput, Waiting
from ._function import inbound, outbound
from ._stage import END, End, Reply, Result, Stage
from ._streamrules import StreamRules

if TYPE_CHECKING:
    from ._asking import pipeline_stats
    from ._attended import Attended, open_attended
    from ._calls import Calls, open_calls
    from ._datagrams import Datagrams
    from ._pipeline import Pipeline
    from ._pump import pump
    from ._serve import open_tcp_pipeline, serve_tcp
    from ._stats import PipelineStats, StageStats
    from ._streams import Streams, open_streams
    from ._substream import Substream

__all__ = [
    "END",
    "NEED_INPUT",
    "Attended",
    "Calls",
    "Codec",
    "CorruptFrameError",
    "Datagrams",
    "Duplex",
    "End",
    "Engine",
    "FrameError",
    "FrameTooLongError",
    "HalfCloseError",
    "Inbound",
    "IncompleteFrameError",
    "LimitError",
    "NeedInput",
    "Outbound",
    "Passthrough",
    "Pipeline",
    "PipelineError",
    "PipelineStats",
    "Reply",
    "Result",
    "Stage",
    "StageInUseError",
    "StageReturnError",
    "StageStats",
    "StageTimeoutError",
    "StreamRules",
    "Streams",
    "Substream",
    "SurgeryError",
    "Waiting",
    "inbound",
    "open_attended",
    "open_calls",
    "open_streams",
    "open_tcp_pipeline",
    "outbound",
    "pipeline_stats",
    "pump",
    "serve_tcp",
]

_NEEDS_TRIO = {
    "Attended": "_attended",
    "Calls": "_calls",
    "Datagrams": "_datagrams",
    "Pipeline": "_pipeline",
    "PipelineStats": "_stats",
    "StageStats": "_stats",
    "Streams": "_streams",
    "Substream": "_substream",
    "open_attended": "_attended",
    "open_calls": "_calls",
    "open_streams": "_streams",
    "open_tcp_pipeline": "_serve",
    "pipeline_stats": "_asking",
    "pump": "_pump",
    "serve_tcp": "_serve",
}


def __getattr__(name: str) -> Any:
    """Load a name that needs trio on first use."""
    if name not in _NEEDS_TRIO:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_NEEDS_TRIO[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
