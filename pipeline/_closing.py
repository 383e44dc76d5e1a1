"""How a pipeline is closed: in good order if it may be, within a time, and always."""

from __future__ import annotations

from contextlib import suppress

import trio

from ._driver import Driver
from ._stage import END


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
    driver.news.close()
    errors: list[Exception] = []
    deadline = trio.current_time() + seconds
    try:
        with trio.CancelScope(deadline=deadline) as scope:
            try:
                await _write_the_rest(driver, graceful=graceful)
            except Exception as error:
                errors.append(error)
            await _let_the_peer_read(driver)
        if scope.cancelled_caught and driver.engine.outbound_error is None and driver.engine.to_write_bytes:
            errors.append(_unwritten(driver, seconds))
    finally:  # also when cancelled: then the transport is closed without waiting
        _close_stages(driver, errors)
        await _close_transport(driver, deadline, errors)
    for other in errors[1:]:
        errors[0].add_note(f"and then, closing the pipeline: {other!r}")
    if errors:
        raise errors[0]


async def _write_the_rest(driver: Driver, *, graceful: bool) -> None:
    while driver.driving or driver.writing or driver.news.turn_taken:
        await driver.news.changed()
    if driver.wire.writer is not None and driver.engine.outbound_error is None:
        if graceful:
            driver.engine.end_outbound()
        await driver.run_out()
    if driver.unraised is not None:
        raise driver.unraised


async def _let_the_peer_read(driver: Driver) -> None:
    """Half-close and discard input: a socket closed with unread input would destroy what was just written."""
    wire = driver.wire
    if not wire.resets or not driver.writes or driver.eof_read or wire.reader is None or wire.writer is None:
        return
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        await wire.writer.send_eof()
        while await wire.reader.read() is not END:
            pass


def _unwritten(driver: Driver, seconds: float) -> trio.BrokenResourceError:
    return trio.BrokenResourceError(
        f"closed after {seconds} seconds with {driver.engine.to_write_bytes} bytes unwritten, since the peer does not "
        f"read. Give the pipeline more time: close_seconds={seconds * 4:g}"
    )


def _close_stages(driver: Driver, errors: list[Exception]) -> None:
    try:
        driver.engine.close()
    except Exception as error:
        errors.append(error)


async def _close_transport(driver: Driver, deadline: float, errors: list[Exception]) -> None:
    try:
        with trio.CancelScope(deadline=deadline):
            await driver.wire.aclose()
    except Exception as error:
        errors.append(error)
