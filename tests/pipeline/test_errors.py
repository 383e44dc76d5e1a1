"""The error tree."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from pipeline import (
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
    _errors,
)


@pytest.mark.parametrize(
    ("error", "bases"),
    [
        (StageReturnError, (PipelineError, TypeError)),
        (StageInUseError, (PipelineError,)),
        (SurgeryError, (PipelineError,)),
        (HalfCloseError, (PipelineError,)),
        (StageTimeoutError, (PipelineError, TimeoutError)),
        (LimitError, (PipelineError,)),
        (FrameError, (PipelineError,)),
        (FrameTooLongError, (FrameError,)),
        (IncompleteFrameError, (FrameError,)),
        (CorruptFrameError, (FrameError,)),
    ],
)
def test_each_error_has_the_bases_that_the_docstring_draws(
    error: type[Exception], bases: tuple[type[Exception], ...]
) -> None:
    """Each error is what the docstring draws, and what else Python has for it."""
    assert bases == error.__bases__
    assert f" {error.__name__} " in (_errors.__doc__ or "").replace("\n", " ")


def test_all_errors_are_listed() -> None:
    """What the module hands out is all that it defines."""
    defined = {name for name, value in vars(_errors).items() if isinstance(value, type) and value is not Any}

    assert set(_errors.__all__) == defined
    assert PipelineError.__bases__ == (Exception,)


def test_frame_errors_carry_their_numbers_and_bytes() -> None:
    """So that a caller need not read the message."""
    too_long = FrameTooLongError("too long", limit=5, size=7)
    incomplete = IncompleteFrameError("incomplete", leftover=b"ab")

    assert (5, 7, "too long") == (too_long.limit, too_long.size, str(too_long))
    assert (b"ab", "incomplete") == (incomplete.leftover, str(incomplete))


@pytest.mark.parametrize(
    "error",
    [
        FrameTooLongError("m", limit=5, size=7),
        IncompleteFrameError("m", leftover=b"ab"),
        LimitError("m", limit=5, size=6),
        StageTimeoutError("m"),
    ],
)
def test_errors_go_from_process_to_process(error: Exception) -> None:
    """A pool of workers hands on what they raised, whole."""
    copy = pickle.loads(pickle.dumps(error))

    assert type(error) is type(copy)
    assert str(error) == str(copy)
    assert vars(error) == vars(copy)
