"""How a pipeline is closed: in good order if it may be, within a time, and always."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Final

import trio

from ._driver import Driver
from ._flow import NEED_INPUT
from ._stage import END
from ._writing import through

LOGGER: Final = logging.getLogger("pipeline.close")


async def close(driver: Driver, *, graceful: bool, seconds: float) -> None:
    """Close stages and transport, whatever happens.

    Args:
        driver: what is closed; every task in it gets `trio.ClosedResourceError`.
        graceful: whether the stages may finish; not after an error, as nothing truncated may look complete.
        seconds: how long it may take to write what is to be written and let the peer read it.

    Raises:
        Exception: the first error, with the others as notes; everything is closed.

    Cancellation: everything is closed at once.
    """
    driver.stop()
    errors: list[Exception] = []
    deadline = trio.current_time() + seconds
    whole = driver.engine.outbound_error is None
    try:
        with trio.CancelScope(deadline=deadline) as scope:
            await _until_all_left(driver)
            whole = driver.engine.outbound_error is None
            try:
                await _write_the_rest(driver, graceful=graceful)
            except Exception as error:
                errors.append(error)
        if scope.cancelled_caught and whole:
            errors.append(_unfinished(driver, seconds))
    finally:  # also when cancelled: then the transport is closed without waiting
        whole = graceful and not errors and driver.engine.outbound_error is None
        await _close_all(driver, deadline, errors, graceful=whole)
    if errors:
        add_notes(errors[0], errors[1:])
        raise errors[0]


def add_notes(error: BaseException, others: Sequence[Exception]) -> None:
    """Tell with an error what else went wrong, behind it."""
    for other in others:
        error.add_note(f"and then, closing the pipeline: {other!r}")


async def _until_all_left(driver: Driver) -> None:
    """Wait for the other tasks in the pipeline, which were told that it is closed."""
    while driver.driving or driver.writing or driver.news.turn_taken:
        await driver.news.changed()


async def _write_the_rest(driver: Driver, *, graceful: bool) -> None:
    engine = driver.engine
    if driver.wire.writer is not None and engine.outbound_error is None:
        if graceful:
            engine.end_outbound()
        try:
            await driver.run_out()
            while graceful and not engine.outbound_ended and (deadline := engine.gate_deadline) is not None:
                await trio.sleep_until(deadline)  # what limits the rate still has an item above it
                engine.tick_gates()
                await driver.run_out()
            while graceful and engine.waits_for_peer and driver.wire.reader is not None:
                await _read_on(driver)
                await driver.run_out()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            if engine.to_write_bytes or driver.torn_bytes or not engine.outbound_ended:
                raise  # else only the half-close failed: the connection is gone, and all was written
    if driver.unraised is not None:
        raise driver.unraised


async def _read_on(driver: Driver) -> None:
    """Read what may let the rest out; what else comes is for nobody."""
    engine, reader = driver.engine, driver.wire.reader
    assert reader is not None
    data = await reader.read()
    if data is END:
        driver.eof_read = True
        engine.feed_eof()
    else:
        engine.feed(data)
    try:
        item: Any = None
        while item is not NEED_INPUT and item is not END:
            item = await through(engine.next_item)
    except Exception as error:  # there is no receive any more to raise it; what it made the stages say is written
        LOGGER.debug("while %r was being closed: %r", engine.chain, error)


def _unfinished(driver: Driver, seconds: float) -> trio.BrokenResourceError:
    left = driver.engine.to_write_bytes or driver.torn_bytes
    what = f"with {left} bytes unwritten, since the peer does not read" if left else "before the stages had finished"
    error = trio.BrokenResourceError(
        f"closed after {seconds} seconds {what}. Give the pipeline more time: close_seconds={seconds * 4:g}"
    )
    if left:
        driver.engine.break_outbound(error)  # so that `serve_tcp` can tell it is this peer's
    return error


async def _close_all(driver: Driver, deadline: float, errors: list[Exception], *, graceful: bool) -> None:
    """Close the transport, then, when nobody runs them any more, the stages."""
    began = trio.current_time()
    try:
        try:
            with trio.CancelScope(deadline=deadline) as scope:
                await driver.wire.aclose(graceful=graceful, linger=driver.writes > 0 and not driver.eof_read)
            if scope.cancelled_caught and graceful:
                _warn(driver, trio.current_time() - began)
        except Exception as error:
            errors.append(error)
        finally:  # a task that was cancelled just now still has to leave its stage
            with trio.CancelScope(deadline=deadline, shield=True):
                await _until_all_left(driver)
    finally:
        try:
            driver.engine.close()
        except Exception as error:
            errors.append(error)


def _warn(driver: Driver, seconds: float) -> None:
    """All was written, so that this is no error; but somebody wonders why closing takes so long."""
    LOGGER.warning(
        "closing %r took %.3g seconds, its close_seconds: the peer did not close its end. If that end is in this task "
        "too, give each end a task of its own; to wait less, lower close_seconds",
        driver.engine.chain,
        seconds,
    )
