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
from collections.abc import Callable, Iterator
from operator import length_hint
from typing import Any, Final, NoReturn

from ._call import Waiting, begin_process, call, cut, fail, raise_failure, returned
from ._errors import PipelineError
from ._fused import Fused
from ._row import behind, rest
from ._slot import Slot
from ._stage import END, Reply, results_of
from ._stock import Stock
from ._written import FULL

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
_NONE_READY: Final[Iterator[Any]] = iter(())


class Flow(Stock):
    """The stages of one direction in the order of the flow, and the items on their way through them."""

    __slots__ = ("_looping", "_moody", "_ready_source", "_single", "loop", "ready_from")

    _looping: Fused

    def __init__(
        self, slots: tuple[Slot, ...], describe: Callable[[Slot], str], *, show_items: bool, max_reply_bytes: int
    ) -> None:
        super().__init__(slots, describe, show_items=show_items, max_reply_bytes=max_reply_bytes)
        self._ready_source: Iterator[Any] = _NONE_READY
        self.ready_from = 0  # how many results there were when `ready` was called: as many items at the most
        self.loop: Any = None  # what `ready` gave last, if a stage in it may wait

    def _seat(self, slots: tuple[Slot, ...]) -> None:
        for slot in slots:
            slot.flow = self
        super()._seat(slots)
        self._moody = tuple([slot for slot in slots if slot.moody])
        # Those at which items go one by one; only behind them stages can run as one.
        self._single = slots[: 1 + max((slot.index for slot in self._moody), default=0)]

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

    # ---- through, quickly

    def ready(self) -> Iterator[Any]:
        """What is out already but for stages that do not wait: to be taken instead of calling `advance`.

        It is good until anything else is done here, and may end before there is nothing more: then `advance` goes
        on. When it raises, `fail_ready` is to be called. When `loop` is one and it `waits`, `take_over` is.
        """
        self._lower_top()
        slot = self.slots[self._top] if self.slots else None
        self._ready_source, self.ready_from, self.loop = _NONE_READY, 0, None
        if slot is None or slot.results is None or self.arrived or self.ended or self._delayed:
            return _NONE_READY
        return self._ready_at(slot)

    def _ready_at(self, slot: Slot) -> Iterator[Any]:
        assert slot.results is not None
        if slot.fused is None:
            following = self.slots[slot.index + 1 :]
            slot.fused = Fused(slot, following) if all(each.steady for each in following) else False
        # Only of a list it is known how much of it was taken.
        fused, count = slot.fused, length_hint(slot.results, 0)
        if not (fused and count and (not fused.may_wait or fused.prompt)):
            return _NONE_READY
        self._ready_source, self.ready_from = slot.results, count
        for each in fused.slots:
            each.listed = 0  # nobody notes what they give in the loop, so none of it can be turned back (see _unread)
        items: Iterator[Any] = fused.items(slot.results, self._leave)
        if fused.may_wait:
            self.loop, self._looping = items, fused
        return items

    @property
    def steady(self) -> bool:
        """Whether items go through whenever they come in while it is quiet, to the end, and nothing else ever waits."""
        fed = all(slot.sync is not None for slot in self._single)
        return bool(self.slots) and fed and all(slot.steady_when_quiet for slot in self.slots)

    @property
    def quiet(self) -> bool:
        """Whether every stage wants input, and none has to be polled."""
        for slot in self._moody:  # noqa: SIM110 - asked for at each read, and a generator would be half of it
            if not slot.stage.wants_input or (slot.polls and slot.stage.has_more):
                return False
        return True

    @property
    def idle(self) -> bool:
        """Whether nothing waits anywhere, and the flow goes on."""
        return not (self.stirred or self.arrived or self._delayed or self._dead or self.ended or self._broken) and all(
            slot.idle for slot in self.slots
        )

    def rests(self) -> bool:
        """Whether nothing is left of what `take_in` gave, nothing else came in, and it is quiet, as it was."""
        if self.stirred:
            return False
        for slot in self._single:
            if slot.results is not None and length_hint(slot.results, 1):
                return False
        if self._top >= len(self._single):
            self._lower_top()
            if self._top >= len(self._single):
                return False
        return not self._moody or self.quiet

    def _lower_top(self) -> None:
        """Take note that nothing is left to do at the furthest stages."""
        while self._top and self.slots[self._top].idle:
            self._top -= 1

    def take_in(self, item: Any) -> Iterator[Any]:
        """Do what `put` and the next `advance` do, where the flow is steady and idle.

        Returns:
            What is `ready` then; perhaps nothing although there is more: then `advance` goes on.
        """
        self._ready_source, self.ready_from, self.loop = _NONE_READY, 0, None
        if self._moody and not self.quiet:  # any more, since it was read
            self.put(item)
            return _NONE_READY
        for slot in self._single[:-1]:
            result = self._process_at(slot, item)
            if slot.listed != 1 or type(result) is not list or type(result[0]) is Reply or result[0] is END:
                self.stirred = bool(result)
                return _NONE_READY
            slot.results, item = None, result[0]
        last = self._single[-1]
        self._process_at(last, item)
        return self._ready_at(last)

    def _process_at(self, slot: Slot, item: Any) -> Any:
        """Let a steady stage process an item; its results wait there, and are returned."""
        slot.mine, self._top = False, slot.index
        try:
            result = slot.sync(item)
            if type(result) is list:
                slot.results, slot.listed = iter(result), len(result)
            else:
                slot.results = results_of(slot.stage, "process_sync", result)
                slot.listed = len(result) if isinstance(result, list | tuple) else 0
        except BaseException as error:
            cut(slot, ("process", item), error)
        slot.op, slot.args, slot.fresh = "process", (item,), slot.polls
        return result

    def ready_taken(self) -> int:
        """How many results what was taken of `ready` came from; very many, if it came to much."""
        return self.ready_from - length_hint(self._ready_source, 0)

    def _leave(self, at: int, item: Any, result: Any) -> None:
        """The loop over `ready` met something out of the ordinary."""
        self.stirred = True
        if at == FULL:
            self.ready_from = FULL
            return
        source = self.slots[self._top]
        if at < 0:
            source.push_back(result)
            return
        slot = source.fused.slots[at]
        try:
            slot.results = results_of(slot.stage, "process" if slot.sync is None else "process_sync", result)
        except BaseException as error:
            cut(slot, ("process", item), error)
        slot.op, slot.args, slot.mine = "process", (item,), False
        slot.listed = len(result) if isinstance(result, list | tuple) else 0
        self._top = slot.index

    def take_over(self, yielded: Any) -> Waiting:
        """A stage in the `loop` waits, and it gave `yielded` for that: go on as if `advance` had called the stage."""
        loop, self.loop = self.loop, None
        slot, item = self._looping.where_it_waits(loop)
        slot.prompt, slot.mine = False, False
        waiting = slot.running = Waiting(slot, ("process", item), loop.gi_yieldfrom, yielded, loop)
        self.touch(slot.index)
        return waiting

    def fail_ready(self, error: BaseException) -> NoReturn:
        """Raise what `ready` raised as `advance` would have: it is the error of one of the stages."""
        self.stirred = True
        source = self.slots[self._top]
        found = source.fused.where(error) if source.fused else None
        if found is None:
            if isinstance(error, Exception):
                source.results = None
                fail(source, (source.op, *source.args), error)
            raise error
        at, item = found
        if at == len(source.fused.slots):
            self.arrived = behind(self.arrived, (item, False, 0))  # it was through
            raise error
        cut(source.fused.slots[at], ("process", item), error)

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
