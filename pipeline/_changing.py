"""Changing the chain of a running pipeline: who waits for whom, and until when it can be taken back.

    the turn to send ► nobody drives inbound ► what was sent is written ► unread ► the new stages
    ► their start() ► what was unread is fed to them ► their handshake

Rules for this file: up to `start()` an error or a cancellation leaves everything as it was. Behind it the
peer may have seen something of the new stages, so both directions break (U5).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import trio

from ._call import call, raise_failure
from ._driver import Driver
from ._errors import PipelineError, SurgeryError
from ._flow import NEED_INPUT
from ._slot import Slot
from ._stage import END, Reply
from ._surgery import Cut, Leftover, Surgery
from ._writing import through


async def change(driver: Driver, plan: Callable[[], Cut], *, leftover: Leftover | None, finish: bool) -> list[Any]:
    """Make one change; a tap at once, whatever the others in the pipeline do, all else in its turn.

    Args:
        driver: of a pipeline that was entered.
        plan: finds the place in the chain, which another change may alter while this one waits.
        leftover: what becomes of what was received and not delivered; None: what the new stages want.
        finish: whether what goes may finish.

    Returns:
        With leftover="return" what was received and not delivered, as it would have come to the place.
    """
    cut = plan()
    if leftover is None and cut.only_taps and cut.at_once and not driver.changing:
        splice = Surgery(cut, [])
        splice.fit()
        driver.chain_changed()
        splice.commit(forward=True)
        return []
    await driver.news.take_turn(driver.on_deadline)
    driver.changing = True
    try:
        driver.news.check_open()
        await _stop_inbound(driver)
        with driver.drives_inbound():
            surgery, given = await _operate(driver, plan(), leftover, finish=finish)
        await _complete(driver, surgery)
    finally:
        driver.changing = False
        driver.news.pass_turn()
    return given


async def _stop_inbound(driver: Driver) -> None:
    """Wait until whoever drives inbound has left; the item in work there is finished first."""
    driver.interrupt()
    while driver.driving or driver.writing:
        await driver.news.wait()


async def _operate(driver: Driver, cut: Cut, leftover: Leftover | None, *, finish: bool) -> tuple[Surgery, list[Any]]:
    """Do all that can be taken back, and what makes it final; the turn and the role are held."""
    _check_unbroken(driver, cut)
    mode = leftover or ("forbid" if cut.is_trust_boundary else "forward")
    with driver.has_wire():
        await driver.run_out()
    surgery = Surgery(cut, driver.parked)
    try:
        if not (cut.only_taps and leftover is None):
            surgery.take_back(mode)
        given = await _collect(driver, surgery) if mode == "return" else []
        if finish:
            await _finish(driver, surgery)
        await _start(driver, surgery)
    except BaseException as error:
        surgery.undo()
        driver.chain_changed()
        if isinstance(error, Exception) and not isinstance(error, SurgeryError | trio.ClosedResourceError):
            driver.engine.break_inbound(error)  # a stage failed, and what it was at is lost
        raise
    finally:
        driver.count_parked()
    surgery.commit(forward=mode == "forward")
    return surgery, given


async def _start(driver: Driver, surgery: Surgery) -> None:
    surgery.fit()
    driver.chain_changed()
    try:
        for slot in surgery.new_slots:
            if slot.starts:
                slot.flow.never_wait = False
                await driver.news.until_closed(through, partial(slot.flow.start, slot))
    except Exception as error:
        driver.news.check_open()
        raise SurgeryError(f"a new stage did not start: {error!r}. The chain is as it was") from error


async def _collect(driver: Driver, surgery: Surgery) -> list[Any]:
    """All that was received: what was given back, and what the stages below the place still have."""
    catch = surgery.catch()
    while True:
        item = await driver.look()
        if item is NEED_INPUT or item is END:
            return catch.items
        driver.park(item)  # an answer of an outbound stage, from above the place


async def _finish(driver: Driver, surgery: Surgery) -> None:
    """Let what goes finish: outbound out of the wire, inbound into what stands above it."""
    try:
        for slot in surgery.old_slots:
            if not slot.flow.takes(slot.index):
                continue  # it finished, when its direction ended
            await driver.news.until_closed(_finish_stage, slot)
            with driver.has_wire():
                await driver.run_out()
    except BaseException as error:
        _break_both(driver, error, "while a stage that was to go finished")
        raise


async def _finish_stage(slot: Slot) -> None:
    """Let one stage take what the one before it finished with, and finish."""
    entries = list(slot.inbox)
    slot.inbox = ()
    calls: list[tuple[Any, ...]] = [("process", item) for item, _, _ in entries]
    slot.flow.owed -= sum(counted for *_, counted in entries)
    for this in [*calls, *([("finish",)] if slot.finishes else [])]:
        running = call(slot, *this)
        if running is not None:
            await running
            raise_failure(slot)
        for out in slot.take_results():
            if type(out) is Reply:
                slot.flow.other.put_reply(out.item, slot.back)
            elif out is not END:
                slot.flow.put(out, at=slot.index + 1)


async def _complete(driver: Driver, surgery: Surgery) -> None:
    """Let the new stages shake hands; the peer may see something of them now."""
    try:
        for slot in surgery.new_slots:
            slot.flow.lead(slot)
        if surgery.ready:
            await driver.flush_now()
        else:
            await driver.settle(surgery)
    except BaseException as error:
        _break_both(driver, error, "before the new stages were ready")
        raise


def _break_both(driver: Driver, error: BaseException, when: str) -> None:
    cause = error if isinstance(error, Exception) else PipelineError(f"a change of the chain was cancelled {when}")
    driver.engine.break_inbound(cause)
    driver.engine.break_outbound(cause)


def _check_unbroken(driver: Driver, cut: Cut) -> None:
    """Refuse what could never work."""
    engine = driver.engine
    if engine.inbound_error is not None and cut.touches("inbound"):
        raise trio.BrokenResourceError(f"inbound is broken: {engine.inbound_error!r}") from engine.inbound_error
    if engine.outbound_error is not None and driver.wire.writer is not None and cut.touches("outbound"):
        raise trio.BrokenResourceError(f"outbound is broken: {engine.outbound_error!r}") from engine.outbound_error
