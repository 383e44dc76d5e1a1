"""Whose doing it was that a served connection ended: the peer's, which is one line of the log, or one's own.

Rules for this file: only what is known to have come over this very connection is laid to its peer. All else keeps its
traceback, as it may be a mistake in the program.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any, Final

import trio

from ._errors import IncompleteFrameError
from ._pipeline import Pipeline

LOGGER: Final = logging.getLogger("pipeline.serve")
BREAKS: Final = (trio.BrokenResourceError, IncompleteFrameError)
"""What is raised where the peer broke off."""
_SHOWN: Final = 500
"""So many characters of an error stand in its line of the log, as the peer may have written most of them."""


class PeersDoingError(Exception):
    """The peer broke off, or sent what is wrong: everyday life of a server; the cause is what was raised."""


def report(peer: str, error: Exception) -> None:
    """Tell the log what a connection ended with."""
    if not isinstance(error, PeersDoingError):
        LOGGER.error("the connection from %s failed and was closed", peer, exc_info=error)
        return
    LOGGER.warning("the connection from %s %s", peer, _one_line(str(error)))
    if error.__cause__ is not None:
        LOGGER.debug("the connection from %s ended here:", peer, exc_info=error.__cause__)


def lay_to_peer(pipeline: Pipeline[Any, Any], error: Exception) -> None:
    """Tell whether an error is nothing but this pipeline's own connection broken off, or what came over it.

    Raises:
        PeersDoingError: it is.
    """
    engine = pipeline._engine
    stage, wrong = engine.at_fault(), engine.inbound_error
    theirs = [each for each in (wrong, engine.outbound_error) if isinstance(each, BREAKS) or (stage and each is wrong)]
    leaves = list(_leaves(error))
    if not all(any(_is_of(leaf, each) for each in (*theirs, *engine.given_up)) for leaf in leaves):
        return
    if not theirs:
        raise PeersDoingError(f"was closed: {leaves[0]}") from error
    if stage is None or isinstance(wrong, BREAKS):
        raise PeersDoingError(f"broke off: {leaves[0]}") from error
    what = f"{type(wrong).__name__} in {stage.name}: {wrong}"
    raise PeersDoingError(f"was closed for what came over it: {what}") from error


def _is_of(error: BaseException, cause: BaseException | None) -> bool:
    """Whether it is this one, or what a pipeline raises of it later, or to each of many tasks."""
    return error is cause or (isinstance(error, BREAKS) and error.__cause__ is cause)


def _one_line(text: str) -> str:
    """A peer is not to write lines of its own into the log, nor long ones."""
    shown = "".join(each if each.isprintable() else repr(each)[1:-1] for each in text[:_SHOWN])
    return f"{shown}..." if len(text) > _SHOWN else shown


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """What is in the groups that nurseries make."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
