"""The error tree: everything the library raises about bytes, stages and chains.

    PipelineError
    ├── StageReturnError      (TypeError)     a stage returned something that is no iterable of items
    ├── StageInUseError                       a stage object was given to a second pipeline
    ├── SurgeryError                          a running chain could not be changed; it goes on as before
    ├── HalfCloseError                        the transport cannot half-close; it is still open
    ├── StageTimeoutError     (TimeoutError)  a stage's deadline passed
    ├── LimitError                            an item is over a limit of the application; `.limit` and `.size`
    └── FrameError                            the bytes do not make a frame, or a frame cannot be written
        ├── FrameTooLongError                 `.limit` and `.size`
        ├── IncompleteFrameError              `.leftover`: the bytes of the unfinished frame
        └── CorruptFrameError

At the client's edge a pipeline raises trio's own errors as well: `trio.ClosedResourceError`,
`trio.BrokenResourceError`, `trio.BusyResourceError` and `trio.EndOfChannel`.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "CorruptFrameError",
    "FrameError",
    "FrameTooLongError",
    "HalfCloseError",
    "IncompleteFrameError",
    "LimitError",
    "PipelineError",
    "StageInUseError",
    "StageReturnError",
    "StageTimeoutError",
    "SurgeryError",
]


class PipelineError(Exception):
    """The base of every error this library defines."""

    def __reduce__(self) -> Any:
        """Let copies be made, also in another process, although an error may carry more than its message."""
        return _copied, (type(self), self.args, vars(self))


def _copied(error: type[PipelineError], args: tuple[Any, ...], attributes: dict[str, Any]) -> PipelineError:
    copy = error.__new__(error, *args)
    vars(copy).update(attributes)
    return copy


class StageReturnError(PipelineError, TypeError):
    """A stage returned something other than an iterable of items; the message shows the right form."""


class StageInUseError(PipelineError):
    """A stage object was given to a second pipeline; the message shows a chain factory."""


class SurgeryError(PipelineError):
    """A running chain could not be changed as asked; the pipeline goes on as before."""


class HalfCloseError(PipelineError):
    """The transport cannot end one direction alone; it is still open, what `finish()` gave is written."""


class StageTimeoutError(PipelineError, TimeoutError):
    """A deadline of a stage passed; raised by the stage whose deadline it was."""


class LimitError(PipelineError):
    """An item is too large, or one too many; what it is made of is all right, so `recover` can go on behind it.

    Attributes:
        limit: the limit, in the unit of the stage's parameter.
        size: what was over it, in the same unit.
    """

    def __init__(self, message: str, *, limit: int, size: int) -> None:
        super().__init__(message)
        self.limit = limit
        self.size = size


class FrameError(PipelineError):
    """The bytes do not make a frame, or an item cannot be written as one."""


class FrameTooLongError(FrameError):
    """A frame is over its limit.

    Attributes:
        limit: the limit in the units of the framer's parameter (`max_bytes`: bytes).
        size: the size known when it became certain, in the same units; the whole frame may be longer.
    """

    def __init__(self, message: str, *, limit: int, size: int) -> None:
        super().__init__(message)
        self.limit = limit
        self.size = size


class IncompleteFrameError(FrameError):
    """The stream ended inside a frame.

    Attributes:
        leftover: the bytes received of the unfinished frame, exactly as they came.
    """

    def __init__(self, message: str, *, leftover: bytes) -> None:
        super().__init__(message)
        self.leftover = leftover


class CorruptFrameError(FrameError):
    """The bytes can be no frame of this format; where the next one would begin is unknown."""
