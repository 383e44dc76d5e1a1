"""A stage at its place in a running chain, and everything that waits there."""

from __future__ import annotations

import dis
import functools
from collections.abc import Iterator, Sequence
from inspect import CO_COROUTINE
from operator import length_hint
from types import CodeType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any, Final

from ._chain import Inbound, Place
from ._results import Results, close_results
from ._row import Row, behind, row_of
from ._stage import Stage, declares, is_generator, one_process, sync_process

if TYPE_CHECKING:
    from ._call import Waiting
    from ._flow import Flow


class Slot:
    """One stage in one direction of a running chain.

    Args:
        stage: the half that runs here.
        place: where in the chain it stands.
    """

    # fmt: off
    __slots__ = (
        "args", "aside", "back", "code", "counts", "due", "failure", "finishes", "flow", "fresh", "fused", "gates",
        "generates", "has_sequel", "inbox", "index", "listed", "may_wait", "mine", "moody", "next", "one", "op",
        "place", "plain", "plain_between_timers", "plain_but_waits", "poll", "polls", "prompt", "results", "running",
        "stage", "started", "starts", "sync", "timed", "timer_waits", "touched", "tracked", "wakes", "watches",
    )
    # fmt: on

    flow: Flow
    index: int
    """Where in the flow it stands, 0 first."""

    def __init__(self, stage: Stage[Any, Any], place: Place) -> None:
        self.stage, self.place = stage, place
        self.next: Slot | None = None
        self.sync: Any = sync_process(stage)
        self.one: Any = one_process(stage)
        self.code = None if self.sync else coroutine_code(stage.process)
        self.may_wait = not (self.sync or (self.code is not None and has_no_await(self.code)))
        self.watches = bool(stage.is_tap) and stage.watch is not None
        self.polls = isinstance(stage, Inbound) and _overrides(stage, "poll")
        self.poll: Any = stage.poll if self.polls else None
        self.timed = _overrides(stage, "on_timer")
        self.starts = starts(stage)
        self.finishes = _overrides(stage, "finish")
        # What waits here: an inbox of (item, whether it belongs to the present send, reply bytes), results, a call.
        self.inbox: Row[tuple[Any, bool, int]] = ()
        self.results: Iterator[Any] | None = None
        self.op: str = "process"
        self.args: tuple[Any, ...] = ()  # the call that the results are of
        self.listed = 0  # how many there were, if they came as a list
        self.aside: tuple[Iterator[Any], str, tuple[Any, ...], bool] | None = None  # results that a timer overtakes
        self.timer_waits = False  # among the results are some of a timer
        self.running: Waiting | None = None
        self.failure: Exception | None = None
        self.due: float | None = None  # the time at which its deadline was seen to be over
        self.fresh = False  # poll() is to be called
        self.mine = False  # what is in work here belongs to the present send
        # How it stands to the rest of the chain; the wiring fills this in.
        self.gates: tuple[Stage[Any, Any], ...] = ()  # halves whose `ready` decides whether items pass
        self.wakes: tuple[Stage[Any, Any], ...] = ()  # halves that are to be polled when this one ran
        self.back = 0  # where in the other flow a reply from here goes in
        self.tracked = False  # having processed an item changes it, so a send must know
        self.generates = False  # ... but not before its first result is taken
        self.touched = False  # it did so for the present send
        self.started = False
        self.plain = False  # an item can be fed at any time without further ado
        self.fused: Any = None  # the stages behind it as one loop, or False: they cannot be; None: nobody asked
        self.plain_between_timers = False
        self.plain_but_waits = False
        self.prompt = not self.may_wait  # it did not wait when it was last called
        self.has_sequel = False  # something is to be done when its results are used up

    def wire(self, index: int, following: Slot | None) -> None:
        """Take the place in the flow."""
        self.index, self.next = index, following
        self.generates = self.tracked and is_generator(self.stage)
        self.has_sequel = bool(self.wakes) or self.generates
        self.moody = self.polls or declares(self.stage, "wants_input")
        self.fused = None
        alone = not (self.polls or self.gates or self.wakes or self.tracked)
        plain = bool(self.sync) and alone
        self.plain, self.plain_between_timers = plain and not self.timed, plain and self.timed
        self.plain_but_waits = self.sync is None and alone and not self.timed and type(self) is Slot

    @property
    def idle(self) -> bool:
        """Whether nothing waits here."""
        if self.results is not None and self.listed and not length_hint(self.results, 1):
            self.results = None  # of the list all was taken, though nobody looked for more
        return self.results is None and not self.busy

    @property
    def steady(self) -> bool:
        """Whether it never pauses, and takes an item at any time, so that it can be one of several that run as one."""
        return self.plain_if_prompt and not self.moody

    @property
    def steady_when_quiet(self) -> bool:
        """Whether that can be said of it, too, as often as it is quiet."""
        return self.plain_if_prompt or (
            self.polls and bool(self.sync) and not (self.timed or self.gates or self.tracked)
        )

    @property
    def plain_if_prompt(self) -> bool:
        """Whether it is plain, or would be if it never waited."""
        return self.plain or (self.plain_but_waits and self.code is not None)

    @property
    def open(self) -> bool:
        """Whether an item may be fed now."""
        return bool(self.stage.wants_input) and all(half.ready for half in self.gates)

    @property
    def plain_now(self) -> bool:
        """Whether an item can be fed without further ado since no timer has anything to do here."""
        return self.plain_between_timers and self.due is None and self.running is None and self.aside is None

    @property
    def busy(self) -> bool:
        """Whether there is something to do here apart from untaken results."""
        return bool(self.inbox or self.due is not None or self.to_be_polled or self.running or self.failure)

    @property
    def to_be_polled(self) -> bool:
        """Whether something happened since the stage was polled, and there may be more."""
        return self.fresh and bool(self.stage.has_more)

    @property
    def awaits_deadline(self) -> bool:
        """Whether the stage's deadline counts: it lives, its timer is not due, and all that the timer gave is taken."""
        if self.running is not None:
            at_work = self.running.call[0] == "on_timer"
        else:
            at_work = self.results is not None and (self.op == "on_timer" or self.timer_waits)
        return self.due is None and not at_work and self.flow.takes(self.index)

    @property
    def mid_list(self) -> bool:
        """Whether some of the items that the stage returned in one list are out and others are not."""
        return self.results is not None and 0 < length_hint(self.results, 0) < self.listed

    @property
    def name(self) -> str:
        """How errors call it: with the duplex it is a half of."""
        if self.place.piece is self.stage or self.stage.name.startswith(self.place.name):
            return self.stage.name
        return f"{self.place.name}.{self.stage.name}"

    # ---- results

    def refresh(self) -> None:
        """Poll() is to be called, since something happened."""
        self.fresh = True

    def wake(self) -> None:
        """This half ran: where the other one has something to give by itself, whoever waits for input is to look."""
        for half in self.wakes:
            if half.has_more or not half.wants_input:
                self.flow.other.on_news()

    def go_ahead(self) -> None:
        """Having processed the item in work changed the stage."""
        self.touched = self.touched or self.mine

    def put_aside(self) -> None:
        """Let a timer overtake the results that wait here."""
        assert self.results is not None
        self.aside, self.results = (self.results, self.op, self.args, self.mine), None

    def take_back(self) -> None:
        """Go on with the results that were put aside; what the timer still has comes behind them."""
        assert self.aside is not None
        rest = self.results
        (self.results, self.op, self.args, self.mine), self.aside = self.aside, None
        if rest is not None:
            self.results, self.timer_waits = Results(self.results, rest), True

    def push_back(self, out: object) -> None:
        """Undo having taken a result."""
        assert self.results is not None
        if not isinstance(self.results, Results):
            self.results = Results(self.results)
        self.results.push(out)

    def take_results(self) -> list[Any]:
        """The results that wait here; they wait here no more."""
        if self.aside is not None:
            self.take_back()
        results, self.results = self.results, None
        return [] if results is None else list(results)

    # ---- forgetting

    def drop_results(self) -> None:
        """Close what is not taken; a lazy result's clean-up code runs now."""
        if self.aside is not None:
            self.take_back()
        results, self.results = self.results, None
        close_results(results)

    def drop(self) -> None:
        """Forget everything that waits here."""
        try:
            self.drop_work()
        finally:
            self.inbox, self.due, self.fresh, self.failure = (), None, False, None

    def drop_work(self) -> None:
        """Forget what the stage was called for and what it gave."""
        try:
            if self.running is not None:
                self.running.abandon()
        finally:
            self.drop_results()

    def drop_mine(self) -> None:
        """Forget what belongs to the present send."""
        self.touched = False
        try:
            if self.aside is not None and self.aside[3]:
                self.drop_results()
            elif self.mine:
                self.failure = None
                self.drop_work()
        finally:
            self.mine = False
            self.inbox = row_of(entry for entry in self.inbox if not entry[1])

    @property
    def holds_mine(self) -> bool:
        """Whether a part of the present send's item is here."""
        # The last of a list's results was taken, although nobody looked for one more.
        results = self.results is not None and length_hint(self.results, 1) > 0
        return (
            (self.mine and (results or self.running is not None))
            or any(mine for _, mine, _ in self.inbox)
            or (self.aside is not None and self.aside[3])
        )

    def holds_input(self) -> bool:
        """Whether the stage has taken input that nothing has come of; asked while nothing else is in work."""
        if self.stage.end_is_told and self.stage.holds:
            return True  # whether or not it can give it back
        held = self.unread(()) or []
        for item in held:  # what it gave back it gets again, and is where it was
            self.inbox = behind(self.inbox, (item, False, 0))
        return bool(held)

    def unread(self, outputs: Sequence[Any]) -> list[Any] | None:
        """What the stage gives back; one that holds nothing may say so with something empty, too."""
        holds = self.stage.holds
        taken = self.stage.unread(outputs)
        back = None if taken is None else list(taken)
        return [item for item in back if not is_empty(item)] if back and not (outputs or holds) else back


def is_empty(item: object) -> bool:
    """Whether it is bytes or text of no length: nothing that could be fed again."""
    return isinstance(item, bytes | bytearray | memoryview | str) and not len(item)


def starts(stage: Stage[Any, Any]) -> bool:
    """Whether the stage has a `start()` to be run."""
    return _overrides(stage, "start")


def coroutine_code(method: object) -> CodeType | None:
    """The code of an `async def`; None: it is something else, if only something around one."""
    function = method.__func__ if type(method) is MethodType else method
    code = function.__code__ if type(function) is FunctionType else None
    return code if code is not None and code.co_flags & CO_COROUTINE else None


@functools.cache
def has_no_await(code: CodeType) -> bool:
    """Whether a coroutine with this code can never wait: nothing is awaited in it."""
    return not any(step.opname in _SUSPENDS for step in dis.get_instructions(code))


_SUSPENDS: Final = frozenset(("YIELD_VALUE", "YIELD_FROM", "SEND"))


def _overrides(stage: Stage[Any, Any], method: str) -> bool:
    """Whether the stage has a method of its own; a shareable one takes no part in a pipeline's life."""
    return not stage.shareable and getattr(type(stage), method) is not getattr(Stage, method)
