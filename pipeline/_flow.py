"""One direction of a chain, running: how items get from stage to stage.

Rules for this file: it knows one direction only (`other` is where replies go), no bytes and no
event loop. The loop is `Flow.advance`; it keeps these promises:

1. Depth first: of all places where something waits, the one furthest down the flow goes on first,
   so a stage sees the next item only when all results of the one before went on (P2).
2. Lazy: results are pulled one by one, and only when somebody asks for the next item (S1).
3. An item is in exactly one place: in an inbox, inside a call, among untaken results, or out.
   A call that was cancelled puts its item back (S5).
"""

from __future__ import annotations

import enum
import inspect
import itertools
from collections import deque
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Final, NoReturn, cast

from ._errors import PipelineError, StageReturnError
from ._items import show_item, size_of
from ._slot import Slot
from ._stage import END, Reply, Stage, results_of


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


class Waiting:
    """A stage waits: await this on the loop the stage waits with, then make the same call again.

    Await it at once, in the task that made the call and before anything else: the stage is in the
    middle of its own waiting, perhaps inside a cancel scope.

    Cancellation: the stage's call did not happen; it is made again with the same item.
    """

    def __init__(self, flow: Flow, slot: Slot, call: tuple[Any, ...], coroutine: Any) -> None:
        self._flow, self._slot, self._call = flow, slot, call
        self._coroutine, self._yielded = coroutine, None

    def begin(self) -> None:
        """Run the stage's call up to its first wait; most never wait, and then nobody needs to await this."""
        self._yielded = self._flow.step(self._slot, self._call, self._coroutine.send, None)

    @property
    def stage_name(self) -> str:
        """The name of the stage that waits."""
        return self._slot.name

    def __await__(self) -> Generator[Any, Any, None]:
        """Do what `await` would do with the stage's coroutine, from its first wait on."""
        step: Callable[[Any], Any]
        while True:
            try:
                step, value = self._coroutine.send, (yield self._yielded)
            except BaseException as error:
                step, value = self._coroutine.throw, error
            self._yielded = self._flow.step(self._slot, self._call, step, value)
            if self._slot.running is not self:
                return

    def abandon(self) -> None:
        """Give the stage's call up, as if it had been cancelled; for a driver without an event loop."""
        self._slot.running = None
        self._coroutine.close()
        self._flow.put_back(self._slot, self._call)


class Flow:
    """The stages of one direction in the order of the flow, and the items between them.

    Args:
        slots: the stages, first to last.
        describe: tells an error's note which slot of which chain it is.
        show_items: whether errors may show items.
        max_reply_bytes: how much of what the other flow turned round may wait here.
    """

    other: Flow

    def __init__(
        self, slots: list[Slot], describe: Callable[[Slot], str], *, show_items: bool, max_reply_bytes: int
    ) -> None:
        self.slots = slots
        self.arrived: deque[tuple[Any, bool, int]] = deque()  # what went in behind the last stage
        self.ended = False
        self.mine = False  # whether the item that came out last belongs to the present send
        self.reply_bytes = 0  # what of replies waits in here
        self.outside_bytes = 0  # what of replies came out and is not written yet; the driver counts it
        self.max_reply_bytes = max_reply_bytes
        self.never_wait = False  # stop before a call that may wait
        self.stirred = False  # something may have come in since advance() came to nothing
        self.hold_mine = False  # the present send stays where it is: its own task takes it further
        self.failed_mine = False  # whether what failed last belongs to the present send
        self.dropped_replies = 0
        self.on_news: Callable[[], None] = lambda: None
        self._broken = False
        self._dead = 0  # so many slots at the beginning have ended
        self._top = 0  # no slot behind this one has anything to do
        self._last = len(slots) - 1
        self._plain = [slot.plain for slot in slots]
        for slot in slots:
            slot.flow = self
        self._describe, self._show_items = describe, show_items

    # ---- in

    def put(self, item: Any, *, at: int = 0, mine: bool = False, counted: int = 0) -> None:
        """Let an item, or END, go in before the slot `at`; `counted` bytes of it bound the replies."""
        self.stirred = True
        self.reply_bytes += counted
        if at > self._last:
            self.arrived.append((item, mine, counted))
        else:
            self.slots[at].inbox.append((item, mine, counted))
            self.touch(at)

    def put_reply(self, item: Any, at: int) -> None:
        """Let what the other flow turned round go in; dropped and counted if this flow has ended there."""
        if self.ended or self._broken or at < self._dead:
            self.dropped_replies += item is not END
            return
        self.put(item, at=at, counted=0 if item is END else max(1, size_of(item)))
        self.on_news()

    def touch(self, index: int) -> None:
        """See to it that `advance` comes by this slot: it has something to do."""
        self._top = max(self._top, index)
        self.stirred = True

    @property
    def full(self) -> bool:
        """Whether so many replies wait here that the other flow must not cause more."""
        return self.reply_bytes + self.outside_bytes >= self.max_reply_bytes

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
                return END
            slot = self.slots[self._top] if self.slots else None
            if slot is None or slot.results is None or (self.hold_mine and slot.mine):
                status = self._begin_work()
                if status is not None:
                    return status
                continue
            out = self._pull(slot)
            if out is _NOTHING:
                slot.results = None
                if slot.op != "process" or slot.polls:
                    self._used_up(slot)
                continue
            out = self._carry(slot, out)
            if out is not _NOTHING:
                return out

    def _pull(self, slot: Slot) -> Any:
        """Take the next of the stage's results; _NOTHING when they are used up."""
        try:
            return next(slot.results, _NOTHING)  # type: ignore[arg-type]
        except BaseException as error:
            slot.results = None
            self._fail(slot, (slot.op, *slot.args), error)

    def _carry(self, slot: Slot, out: Any) -> Any:
        """Take one result as far as it goes: out of the flow, or to where it becomes none or many."""
        while True:
            if type(out) is Reply or out is END:
                return self._turn(slot, out)
            index = slot.index + 1
            if index > self._last:
                self.mine = slot.mine
                return out
            mine, slot = slot.mine, self.slots[index]
            self._top = index
            if not self._plain[index] or not slot.stage.wants_input:
                slot.inbox.append((out, mine, 0))
                return _NOTHING
            slot.mine = mine
            try:
                result = slot.sync(out)
                if type(result) is list and len(result) == 1:
                    out = result[0]
                    continue
                slot.results = results_of(slot.stage, "process_sync", result)
            except BaseException as error:
                self._cut(slot, ("process", out), error)
            slot.op, slot.args = "process", (out,)
            return _NOTHING

    def _turn(self, slot: Slot, out: Any) -> Any:
        """A stage's result is no item: END of this direction, or a reply for the other one."""
        if out is END:
            slot.drop_results()
            self._end_behind(slot)
            return _NOTHING
        self.other.put_reply(out.item, slot.back)
        return BLOCKED if self.other.full else _NOTHING

    def _take_arrived(self) -> Any:
        item, self.mine, counted = self.arrived.popleft()
        self.reply_bytes -= counted
        if item is END:
            self._kill(len(self.slots))
            self.ended = True
        return item

    def break_off(self) -> None:
        """Nothing goes through any more; replies that wait are dropped and counted."""
        self._broken = True
        self._kill(len(self.slots))
        self.dropped_replies += sum(1 for _, _, counted in self.arrived if counted)
        self.reply_bytes = self.outside_bytes = 0
        self.arrived.clear()

    # ---- starting

    def start(self, slot: Slot) -> Any:
        """Run the stage's `start()`, unless it was; its results wait at the slot."""
        if slot.failure is not None:
            self._raise_failure(slot)
        if slot.started or slot.running is not None:
            return slot.running
        return WOULD_WAIT if self.never_wait else self.call(slot, "start")

    def lead(self, slot: Slot) -> None:
        """Let the replies at the beginning of the slot's results go at once."""
        while slot.results is not None:
            out = self._pull(slot)
            if type(out) is not Reply:
                slot.results = None if out is _NOTHING else itertools.chain([out], slot.results)
                return
            self._turn(slot, out)

    # ---- work at the stages

    def _begin_work(self) -> Any:
        """Find the furthest stage with something to do and do it; None if there may be results now."""
        blocked = self.stirred = False
        for slot in reversed(self.slots):
            if self.hold_mine and slot.holds_mine:
                return BLOCKED
            if slot.results is not None:
                if not blocked or slot.op == "on_timer":
                    self._top = slot.index
                    return None
            elif slot.busy:
                status = self._begin(slot, timer_only=blocked)
                if status is not BLOCKED:
                    self._top = slot.index
                    return status
                blocked = True
        return BLOCKED if blocked else NEED_INPUT

    def _begin(self, slot: Slot, *, timer_only: bool) -> Any:
        """Let one stage do what is to do there; BLOCKED if it may not."""
        if slot.failure is not None:
            self._raise_failure(slot)
        if slot.running is not None:
            return slot.running
        if slot.due:
            slot.due = False
            now = slot.stage.now()
            # Input that came since may have moved it: a slow client is no idle peer.
            late = slot.stage.deadline is not None and slot.stage.deadline <= now
            if late and self.never_wait:
                slot.due = True
                return WOULD_WAIT
            return self.call(slot, "on_timer", now) if late else None
        if timer_only:
            return BLOCKED
        if slot.fresh:
            slot.fresh = False
            return self.call(slot, "poll")
        return self._feed(slot)

    def _raise_failure(self, slot: Slot) -> NoReturn:
        failure, slot.failure = slot.failure, None
        assert failure is not None
        raise failure

    def _feed(self, slot: Slot) -> Any:
        if not slot.open:
            return BLOCKED
        item, slot.mine, counted = slot.inbox[0]
        if self.never_wait and (slot.sync is None if item is not END else slot.finishes):
            return WOULD_WAIT
        slot.inbox.popleft()
        self.reply_bytes -= counted
        if item is not END:
            return self.call(slot, "process", item)
        self._kill(slot.index)
        if slot.finishes:
            return self.call(slot, "finish")
        self._returned(slot, (), "finish")
        return None

    def call(self, slot: Slot, op: str, *args: Any) -> Waiting | None:
        """Call a method of the stage; its results wait at the slot then, or once the `Waiting` was awaited."""
        call = (op, *args)
        try:
            if op == "poll" or (op == "process" and slot.sync is not None):
                method = slot.stage.poll if op == "poll" else slot.sync
                self._returned(slot, method(*args), op, *args)
                return None
            coroutine = as_coroutine(slot.stage, op, getattr(slot.stage, op)(*args))
        except BaseException as error:
            self._cut(slot, call, error)
        slot.running = Waiting(self, slot, call, coroutine)
        slot.running.begin()
        if slot.failure is not None:
            self._raise_failure(slot)
        return slot.running

    def accept(self, slot: Slot, result: Any, *call: Any) -> None:
        """Take the result of a call that was made elsewhere."""
        try:
            self._returned(slot, result, *call)
        except Exception as error:
            self._fail(slot, call, error)

    def fail(self, slot: Slot, item: Any, error: BaseException) -> NoReturn:
        """A `process` that was called elsewhere raised."""
        if not isinstance(error, Exception):
            raise error
        self._fail(slot, ("process", item), error)

    def step(self, slot: Slot, call: tuple[Any, ...], step: Callable[[Any], Any], value: Any) -> Any:
        """Run a stage's coroutine up to its next wait, and return what it yields there.

        At its end `slot.running` is None and its results or its error wait at the slot.

        Raises:
            BaseException: the call was cancelled; it is as if it had not been made.
        """
        try:
            return step(value)
        except StopIteration as stop:
            slot.running = None
            try:
                self._returned(slot, stop.value, *call)
            except Exception as error:
                slot.failure = cast("Exception", self._described(error, slot, call))
        except Exception as error:
            slot.running = None
            slot.failure = cast("Exception", self._described(error, slot, call))
        except BaseException:
            slot.running = None
            self.put_back(slot, call)
            raise
        return None

    def put_back(self, slot: Slot, call: tuple[Any, ...]) -> None:
        """A call was cancelled: what it was about waits again."""
        match call:
            case ("process", item):
                slot.inbox.appendleft((item, slot.mine, 0))
            case ("finish",):
                slot.inbox.appendleft((END, False, 0))
            case ("on_timer", _):
                slot.due = True
            case ("poll",):
                slot.fresh = True
        self.touch(slot.index)

    def _returned(self, slot: Slot, result: Any, op: str, *args: Any) -> None:
        """A stage's method gave its results."""
        method = "process_sync" if op == "process" and slot.sync is not None else op
        slot.results, slot.op, slot.args = results_of(slot.stage, method, result), op, args
        slot.touched = slot.touched or slot.mine
        slot.started = slot.started or op == "start"
        if op == "poll":
            first = next(slot.results, _NOTHING)
            slot.fresh = first is not _NOTHING
            slot.results = itertools.chain([first], slot.results) if slot.fresh else None
        else:
            slot.fresh = slot.polls
        if slot.partner is not None:
            slot.partner.fresh = True
            self.other.touch(slot.partner.index)
            self.other.on_news()
        self.touch(slot.index)

    def _used_up(self, slot: Slot) -> None:
        """All results of a call went on, and it was no plain process."""
        if slot.op == "finish":
            self._end_behind(slot)
        elif slot.op == "on_timer":
            deadline, (now,) = slot.stage.deadline, slot.args
            if deadline is not None and deadline <= now:
                error = PipelineError(
                    f"{slot.name}.on_timer() left the deadline in the past ({deadline} at {now}): "
                    f"set self.deadline to a later time, or to None"
                )
                self._fail(slot, ("on_timer",), error)

    def _end_behind(self, slot: Slot) -> None:
        """This direction ends after `slot`: the next stage gets to finish, or the flow is at its end."""
        self._kill(slot.index + 1)
        self.put(END, at=slot.index + 1)

    def _kill(self, count: int) -> None:
        """The first `count` stages take part no more."""
        for slot in self.slots[self._dead : count]:
            replies = [counted for _, _, counted in slot.inbox if counted]
            self.dropped_replies += len(replies)
            self.reply_bytes -= sum(replies)
            slot.drop()
        self._dead = max(self._dead, count)

    # ---- the present send

    def drop_mine(self) -> Slot | None:
        """Forget what belongs to the present send; return a stage that has gone ahead with it, if one has."""
        touched = [slot for slot in self.slots if slot.drop_mine() and slot.tracked]
        self.arrived = deque(entry for entry in self.arrived if not entry[1])
        return touched[0] if touched else None

    @property
    def holds_mine(self) -> bool:
        """Whether a part of the present send's item is still in here."""
        return any(slot.holds_mine for slot in self.slots) or any(mine for _, mine, _ in self.arrived)

    # ---- errors

    def _cut(self, slot: Slot, call: tuple[Any, ...], error: BaseException) -> NoReturn:
        """A call raised; if it was cancelled, what it was about waits again."""
        if not isinstance(error, Exception):
            self.put_back(slot, call)
            raise error
        self._fail(slot, call, error)

    def _fail(self, slot: Slot, call: tuple[Any, ...], error: BaseException) -> NoReturn:
        raise self._described(error, slot, call)

    def _described(self, error: BaseException, slot: Slot, call: tuple[Any, ...]) -> BaseException:
        """The error with a note on where it happened and with which item."""
        if isinstance(error, StopIteration):
            # It would end whatever loop it passes on its way, as if nothing had happened.
            cause, error = error, RuntimeError(f"{slot.name}.{call[0]}() raised StopIteration")
            error.__cause__ = cause
        note = f"in {self._describe(slot)}, {call[0]}()"
        if call[0] == "process" and len(call) == 2:
            note += f", item: {show_item(call[1], show_items=self._show_items)}"
        if note not in getattr(error, "__notes__", ()):
            error.add_note(note)
        self.failed_mine = slot.mine
        return error


def as_coroutine(stage: Stage[Any, Any], op: str, awaitable: Any) -> Any:
    """What an `async def` method returned, as something with send() and throw().

    Raises:
        StageReturnError: the method is not `async def`.
    """
    if inspect.iscoroutine(awaitable):
        return awaitable
    if inspect.isawaitable(awaitable):
        return _await(awaitable)
    results_of(stage, op, awaitable)
    hint = "; a stage that never waits defines process_sync" if op == "process" else ""
    raise StageReturnError(f"{stage.name}.{op}() is not async: write `async def {op}`{hint}")


async def _await(awaitable: Awaitable[Any]) -> Any:
    return await awaitable
