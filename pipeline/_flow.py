"""One direction of a chain, running: how items get from stage to stage.

Rules for this file: it knows one direction only (`other` is where replies go), no bytes and no
event loop. The loop is `Flow.advance`; it keeps these promises:

1. Depth first: of all places where something waits, the one furthest down the flow goes on first,
   so a stage sees the next item only when all results of the one before went on (P2).
2. Lazy: results are pulled one by one, and only when somebody asks for the next item (S1).
3. An item is in exactly one place: in an inbox, inside a call, among untaken results, or out.
   A call that was cancelled puts its item back (S5).
4. What a stage returned in one list stays together: a reply of a stage further down, which another
   task let in meanwhile, waits until the list is through, unless a gate holds it up.
"""

from __future__ import annotations

import enum
from typing import Any, Final, NoReturn

from ._call import Waiting, begin_process, call, cut, fail, raise_failure, returned
from ._errors import PipelineError
from ._row import behind, rest
from ._slot import Slot
from ._stage import END, Reply, results_of
from ._stock import Stock

__all__ = ["BLOCKED", "NEED_INPUT", "WOULD_WAIT", "Flow", "Mark", "NeedInput", "Waiting"]


class NeedInput(enum.Enum):
    """The type of `NEED_INPUT`, so that type checkers can tell it from every item."""

    NEED_INPUT = "NEED_INPUT"

    def __repr__(self) -> str:
        return "NEED_INPUT"


class Mark(enum.Enum):
    """What a flow says instead of an item, to its driver only."""

    BLOCKED = enum.auto()
    WOULD_WAIT = enum.auto()
    NOTHING = enum.auto()


NEED_INPUT: Final = NeedInput.NEED_INPUT
"""Nothing more comes out until something goes in."""
BLOCKED: Final = Mark.BLOCKED
"""Something waits, but a stage in its way is not ready or wants no input, or the place for replies is full."""
WOULD_WAIT: Final = Mark.WOULD_WAIT
"""The next call is one that may wait, and `never_wait` is set."""
_NOTHING: Final = Mark.NOTHING


class Flow(Stock):
    """The stages of one direction in the order of the flow, and the items on their way through them."""

    __slots__ = ()

    def _seat(self, slots: tuple[Slot, ...]) -> None:
        for slot in slots:
            slot.flow = self
        super()._seat(slots)

    # ---- through

    def advance(self) -> Any:
        """Run until an item is out: return it, or END, NEED_INPUT, BLOCKED, or a `Waiting` to await.

        Raises:
            Exception: what a stage raised, with a note. What came before it is out already.
        """
        while True:
            if self.arrived:
                return self._take_arrived()
            if self.ended:
                self.stirred = False
                return END
            slot = self.slots[self._top] if self.slots else None
            if slot is None or slot.results is None or (self.hold_mine and slot.mine):
                status = self._begin_work()
                if status is not None:
                    return status
                continue
            try:
                out = next(slot.results, _NOTHING)
            except BaseException as error:
                slot.results = None
                fail(slot, (slot.op, *slot.args), error)
            if out is _NOTHING:
                slot.results = None
                if slot.op != "process" or slot.has_sequel:
                    self._use_up(slot)
                continue
            out = self._carry(slot, out)
            if out is not _NOTHING:
                return out

    def _carry(self, slot: Slot, out: Any) -> Any:
        """Take one result as far as it goes: out of the flow, or to where it becomes none or many."""
        mine = slot.mine
        while True:
            if type(out) is Reply or out is END:
                return self._turn(slot, out)
            following = slot.next
            if following is None:
                self.mine = mine
                return out
            slot = following
            # Where something waits already, it is behind what waits there that this one goes on.
            if (
                not (slot.plain or slot.plain_now or (slot.plain_but_waits and not (self.never_wait and slot.may_wait)))
                or slot.results is not None
                or slot.inbox
                or not slot.stage.wants_input
            ):
                slot.inbox = behind(slot.inbox, (out, mine, 0))
                self._top = max(self._top, slot.index)
                return _NOTHING
            slot.mine = mine
            try:
                if slot.one is not None:
                    out, slot.listed = slot.one(out), 1
                    continue
                result = slot.sync(out) if slot.sync is not None else begin_process(slot, out)
                if type(result) is list and len(result) == 1:
                    out, slot.listed = result[0], 1
                    continue
                if type(result) is Waiting:
                    return result
                slot.results = results_of(slot.stage, "process" if slot.sync is None else "process_sync", result)
            except BaseException as error:
                cut(slot, ("process", out), error)
            slot.op, slot.args, slot.timer_waits = "process", (out,), False
            slot.listed = len(result) if isinstance(result, list | tuple) else 0
            self._top = max(self._top, slot.index)
            return _NOTHING

    def _turn(self, slot: Slot, out: Any) -> Any:
        """A stage's result is no item: END of this direction, or a reply for the other one."""
        if out is END:
            self._drop_results(slot)
            self.end_behind(slot)
            return _NOTHING
        self.other.put_reply(out.item, slot.back)
        return BLOCKED if self.other.full else _NOTHING

    def _take_arrived(self) -> Any:
        item, self.mine, counted = self.arrived[0]
        self.arrived = rest(self.arrived)
        self.owed -= counted
        if item is END:
            self.ended = True
            self.kill(len(self.slots))
            self.drop_arrived()
        return item

    def _use_up(self, slot: Slot) -> None:
        """All results of a call went on, and that has consequences."""
        if slot.op == "finish":
            self.end_behind(slot)
        elif slot.op == "on_timer":
            _check_deadline(slot)
        elif slot.generates:
            slot.go_ahead()
        if slot.op in ("start", "on_timer"):
            slot.op, slot.args, slot.listed = "process", (), 0  # what comes back from now on is of no such call
        if slot.wakes:
            slot.wake()

    # ---- starting

    def start(self, slot: Slot) -> Any:
        """Run the stage's `start()`, unless it was; its results wait at the slot."""
        raise_failure(slot)
        if slot.started or slot.running is not None:
            return slot.running
        return WOULD_WAIT if self.never_wait else call(slot, "start")

    def lead(self, slot: Slot) -> None:
        """Let the replies at the beginning of the slot's results go at once, as far as there is room."""
        while slot.results is not None and not self.other.full:
            try:
                out = next(slot.results, _NOTHING)
            except BaseException as error:
                slot.results = None
                fail(slot, (slot.op, *slot.args), error)
            if out is _NOTHING:
                slot.results = None
                self._use_up(slot)
            elif type(out) is Reply:
                self._turn(slot, out)
            else:
                slot.push_back(out)
                return

    # ---- work at the stages

    def _begin_work(self, *, blocked: bool = False) -> Any:
        """Find the furthest stage with something to do and do it; None if there may be results now.

        Behind a stage that lets nothing through (`blocked`: behind all) only timers run.
        """
        self.stirred = False
        if self._delayed and not blocked:
            self.let_delayed_in(all_of_them=False)
            if self.arrived:
                return None
        for slot in reversed(self.slots):
            if self.hold_mine and slot.holds_mine:
                return self._blocked_at(slot)
            if slot.results is not None:
                if not blocked:
                    self._top = slot.index
                    return None
                self._let_timer_overtake(slot)
            if slot.busy:
                status = self._begin(slot, timer_only=blocked)
                if status is not BLOCKED:
                    self._top = self._last if blocked else slot.index
                    return status
                blocked = True
        return self._blocked_at(None) if blocked else NEED_INPUT

    def only_timers(self) -> Any:
        """Let timers run whose time has come, and nothing else; BLOCKED, or why they cannot."""
        status = None
        while status is None:
            status = self._begin_work(blocked=True)
        return status

    def _blocked_at(self, slot: Slot | None) -> Any:
        """Nothing can go on, or not beyond `slot`: where a gate is in the way, replies need wait no longer."""
        held_by_gate = slot is None or (slot.results is None and slot.running is None and not slot.open)
        if not (self._delayed and held_by_gate):
            return BLOCKED
        self.let_delayed_in(all_of_them=True)
        return None

    def _begin(self, slot: Slot, *, timer_only: bool) -> Any:
        """Let one stage do what is to do there; BLOCKED if it may not."""
        raise_failure(slot)
        if slot.running is not None:
            return slot.running
        if slot.due is not None:
            now, slot.due = slot.due, None
            # Input that came since may have moved it: a slow client is no idle peer.
            late = slot.stage.deadline is not None and slot.stage.deadline <= now
            if late and self.never_wait:
                slot.due = now
                return WOULD_WAIT
            if not late and slot.aside is not None:
                slot.take_back()
            return call(slot, "on_timer", now) if late else None
        if timer_only:
            return BLOCKED
        if slot.to_be_polled:
            slot.fresh = False
            return call(slot, "poll")
        return self._feed(slot)

    def _feed(self, slot: Slot) -> Any:
        item = slot.inbox[0][0]
        if not slot.open and (slot.stage.end_waits or item is not END):
            return BLOCKED
        item, slot.mine, counted = slot.inbox[0]
        if self.never_wait and (slot.may_wait if item is not END else slot.finishes):
            return WOULD_WAIT
        slot.inbox = rest(slot.inbox)
        self.owed -= counted
        if item is not END:
            return call(slot, "process", item)
        self.kill(slot.index)
        if slot.finishes:
            return call(slot, "finish")
        self.end_behind(slot)
        return None

    def _let_timer_overtake(self, slot: Slot) -> None:
        """What waits here cannot go on; the replies of a timer wait for nobody."""
        if slot.op == "on_timer":
            self.lead(slot)
        if slot.due is not None:
            slot.put_aside()

    def end_overtaking(self, slot: Slot) -> None:
        """A timer ran before results that wait here: its replies go at once, its items behind those."""
        self.lead(slot)
        if slot.results is not None:
            _check_deadline(slot)
        slot.take_back()

    def _drop_results(self, slot: Slot) -> None:
        """What a stage gave behind its END is no part of anything."""
        try:
            slot.drop_results()
        except Exception as error:
            slot.mine = False  # the end is lost, whatever becomes of the present send
            fail(slot, (slot.op, *slot.args), error)

    # ---- calls that were made elsewhere

    def accept(self, slot: Slot, result: Any, *this: Any) -> None:
        """Take the result of a call that was made elsewhere."""
        try:
            returned(slot, result, this)
        except Exception as error:
            fail(slot, this, error)

    def fail(self, slot: Slot, item: Any, error: BaseException) -> NoReturn:
        """A `process` that was called elsewhere raised; its item is the caller's."""
        if not isinstance(error, Exception):
            raise error
        fail(slot, ("process", item), error)


def _check_deadline(slot: Slot) -> None:
    """A timer that leaves its deadline in the past would be called for ever."""
    deadline, (now,) = slot.stage.deadline, slot.args
    if deadline is not None and deadline <= now:
        error = PipelineError(
            f"{slot.name}.on_timer() left the deadline in the past ({deadline} at {now}): "
            f"set self.deadline to a later time, or to None"
        )
        slot.results = None
        fail(slot, ("on_timer",), error)
