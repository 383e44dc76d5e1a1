"""Giving back: what was received and not delivered goes towards the wire again, stage by stage.

Rules for this file: all or nothing. If one stage cannot give back exactly what it took, those that did get
it again, and it is as if nobody had asked. Nothing is guessed: a stage is only asked about results of its
last call, whole ones, unless it keeps no state and so turns back one item like any other.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ._errors import SurgeryError
from ._flow import Flow
from ._row import before, row_of
from ._slot import Slot, is_empty
from ._stage import END, Stage

Entry = tuple[Any, bool, int]


def unread(flow: Flow, at: int, delivered: list[Any], *, byte_wire: bool = False) -> list[Any]:
    """Take back everything from the slot `at` to the client.

    Args:
        flow: the inbound one; nothing of it is running.
        at: the first slot that is to give back; the number of slots for none.
        delivered: what came out and was not received; empty when it was given back.
        byte_wire: whether the wire end is a byte stream, of which something empty is no part.

    Returns:
        What the slot `at` can be fed again, or another one in its place: nothing is held, nor waits, from there on.

    Raises:
        SurgeryError: a stage cannot give back what it took; everything is as it was.
    """
    given, whole = [*delivered, *_take(flow, len(flow.slots))], True
    asked: Slot | None = None
    for slot in reversed(flow.slots[at:]):
        try:
            back = _give_back(slot, given, whole=whole)
        except SurgeryError:
            _put_again(flow, asked, given, delivered)
            raise
        if byte_wire and _takes_a_byte_stream(slot):
            back = [item for item in back if not is_empty(item)]
        whole = not back or (whole and is_stateless(slot.stage))
        given = [*back, *_take(flow, slot.index)]
        asked = slot
    delivered.clear()
    return given


def has_undelivered(flow: Flow, delivered: Iterable[Any], *, at: int = 0) -> bool:
    """Whether anything was received that is not delivered and waits, not counting what the slots before `at` hold."""
    if any(True for _ in delivered) or any(map(_was_received, flow.arrived)):
        return True
    for slot in flow.slots:
        if has_results(slot) or any(map(_was_received, slot.inbox)):
            return True
    return any((slot.stage.holds or 0) > 0 for slot in flow.slots[:at])


def has_results(slot: Slot) -> bool:
    """Whether results wait here that are no replies; what looks as if there were more may be at its end."""
    if slot.results is not None:
        slot.flow.lead(slot)
    return slot.results is not None


def is_stateless(stage: Stage[Any, Any]) -> bool:
    """Whether what it gave has left no trace in it."""
    return bool(stage.is_tap or stage.shareable)


def _takes_a_byte_stream(slot: Slot) -> bool:
    """Whether what comes to the stage is the wire's byte stream, if only decrypted."""
    below = (other.stage for other in slot.flow.slots[: slot.index])
    return all(stage.is_tap or stage.is_trust_boundary for stage in below)


def _give_back(slot: Slot, given: list[Any], *, whole: bool) -> list[Any]:
    """What the stage consumed for the results `given`, which come back to it, for untaken ones, and for none so far."""
    if slot.running is not None or slot.failure is not None:
        raise _refusal(slot, "it is in the middle of a call")
    if slot.aside is not None:
        slot.take_back()
    if slot.results is not None and slot.op not in ("process", "poll"):
        if has_results(slot):
            raise _refusal(slot, f"what its {slot.op}() gave waits to be received")
        if not given and not slot.flow.takes(slot.index):
            return []  # it has finished
    # Of the results of a list those that are left can be named; of lazy ones there are none yet.
    rest = list(slot.results) if slot.results is not None and slot.listed else []
    if slot.listed and slot.results is not None:
        slot.results = iter(rest) if rest else None
    back = _asked(slot, [*given, *rest], whole=whole)
    slot.drop_results()
    return back


def _asked(slot: Slot, outputs: list[Any], *, whole: bool) -> list[Any]:
    stage = slot.stage
    if type(stage).unread is Stage.unread:
        return outputs if stage.is_tap else _nothing_from(slot, outputs)
    listed = slot.listed if slot.op in ("process", "poll") else 0
    if outputs and not is_stateless(stage) and (not whole or len(outputs) > listed):
        raise _refusal(slot, "what came of its input was used in part, or is not of its last input alone")
    try:
        back = slot.unread(outputs)
    except Exception as error:
        raise _refusal(slot, f"its unread() raised {error!r}") from error
    if back is None:
        raise _refusal(slot, "its unread() returned None")
    return back


def _nothing_from(slot: Slot, outputs: list[Any]) -> list[Any]:
    """A stage without `unread` passes if there is nothing to give back; a tap gives back what it gave."""
    if slot.results is not None and not slot.listed:
        slot.flow.lead(slot)
    if outputs or slot.results is not None:
        raise _refusal(slot, "it has no unread(), and what came of its input waits to be received")
    if not (slot.stage.shareable or slot.stage.holds == 0):
        raise _refusal(slot, "it has no unread(), and does not say that it holds nothing (`holds = 0`)")
    return []


def _refusal(slot: Slot, why: str) -> SurgeryError:
    return SurgeryError(f"{slot.flow.describe(slot)} cannot give back what it took: {why}. The chain is as it was")


def _put_again(flow: Flow, asked: Slot | None, given: list[Any], delivered: list[Any]) -> None:
    """Undo: the stage that was asked last, and could, is fed again what it gave back."""
    if asked is None:
        again = [(item, False, 0) for item in given[len(delivered) :]]
        flow.arrived = before(flow.arrived, *again)
        return
    delivered.clear()
    asked.inbox = before(asked.inbox, *((item, False, 0) for item in given))
    flow.touch(asked.index)


def _take(flow: Flow, at: int) -> list[Any]:
    """What was received and waits before the slot `at`, or behind all; replies of outbound stages, and END, stay."""
    behind_all = at == len(flow.slots)
    entries = flow.arrived if behind_all else flow.slots[at].inbox
    stays = row_of(entry for entry in entries if not _was_received(entry))
    if behind_all:
        flow.arrived = stays
    else:
        flow.slots[at].inbox = stays
    return [entry[0] for entry in entries if _was_received(entry)]


def _was_received(entry: Entry) -> bool:
    item, _, counted = entry
    return not counted and item is not END
