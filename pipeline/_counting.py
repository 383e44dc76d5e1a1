"""Counting at the slots of a running chain, from the moment on when somebody asks for it.

Rules for this file: a chain that nobody asked about has no trace of it. What is counted is a slot whose class
was exchanged, and whose `sync` and `poll` were wrapped; no other file knows, but for `Engine`, which hands over
the slots that a change of the chain brings. What moves, raises or is cancelled is the same, counted or not.

A fast path keeps this true if

- it calls a stage through its slot's `sync` or `poll`, or sets `running`; `one` and `watch` in their place only where
  the slot says so (`one`, `watches`), and never the stage's method itself;
- it takes whatever it kept of them anew in `Driver.chain_changed`, which the first count calls as well;
- it treats as a list only what is one exactly (`type(result) is list`), and takes all else one by one through `iter`;
- a plain slot's list of one item goes on at once, or lies in `results` as that list's own iterator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import length_hint
from typing import Any, Final, cast

from ._call import Waiting
from ._results import close_results
from ._slot import Slot
from ._stage import END, Reply


@dataclass(slots=True)
class Counts:
    """What was counted at one slot."""

    clock: Callable[[], float]
    items_in: int = 0
    items_out: int = 0
    replies: int = 0
    moved: float | None = None
    """When something last began, ended or was taken there; None: not since it counts."""

    def note(self) -> None:
        """Something moves."""
        self.moved = self.clock()


_RUNNING: Final[Any] = vars(Slot)["running"]


class CountedSlot(Slot):
    """A slot that counts; none is made, a slot becomes one."""

    __slots__ = ()  # so that it looks like a slot in memory, which has a place for the counts

    counts: Counts

    def begin(self, clock: Callable[[], float]) -> None:
        """Count from now on."""
        self.counts = Counts(clock)
        self.one, self.watches, self.plain_but_waits = None, False, False  # only `sync` and `running` are counted
        if self.sync is not None:
            self.sync = _counted(self, self.sync, items=1)
        if self.poll is not None:
            self.poll = _counted(self, self.poll, items=0)
        if self.results is not None:
            self.results = Taken(self, self.results)
        if self.running is not None:
            self.running._coroutine = CountedCall(self, self.running._coroutine)

    @property
    def running(self) -> Waiting | None:
        """The call that waits."""
        waiting: Waiting | None = _RUNNING.__get__(self)
        return waiting

    @running.setter
    def running(self, waiting: Waiting | None) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        _RUNNING.__set__(self, waiting)
        self.counts.note()
        if waiting is not None:
            waiting._coroutine = CountedCall(self, waiting._coroutine)

    def gave(self, result: Any) -> Any:
        """What the stage returned, as something that counts what is taken of it."""
        self.counts.note()
        if self.plain and type(result) is list and len(result) == 1 and not _is_mark(result[0]):
            self.counts.items_out += 1  # a fast path takes it at once; `untaken_early` knows if it did not
            return result
        if isinstance(result, list | tuple):
            return _Listed(self, result)
        if isinstance(result, str | bytes | bytearray | memoryview | dict) or not isinstance(result, Iterable):
            return result  # to be refused as what it is
        return _Lazy(self, result)

    def took(self, out: object) -> None:
        """Count one result."""
        self.counts.note()
        if type(out) is Reply:
            self.counts.replies += 1
        elif out is not END:
            self.counts.items_out += 1

    @property
    def untaken_early(self) -> int:
        """How many results were counted, but nobody has taken them yet."""
        return 0 if isinstance(self.results, Taken) else length_hint(self.results, 0)

    def take_results(self) -> list[Any]:
        """The results that wait here; they are given back, or go on from elsewhere."""
        taken = super().take_results()
        self.counts.items_out -= sum(not _is_mark(out) for out in taken)
        self.counts.replies -= sum(type(out) is Reply for out in taken)
        return taken

    def drop_results(self) -> None:
        """Close what is not taken."""
        self.counts.items_out -= self.untaken_early
        super().drop_results()


class Counting:
    """Who counts in one engine.

    Args:
        clock: the engine's.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock, self.since = clock, clock()

    def count(self, slots: Sequence[Slot]) -> None:
        """Let those of the slots count that do not yet."""
        for slot in slots:
            if type(slot) is Slot:
                slot.__class__ = CountedSlot
                cast("CountedSlot", slot).begin(self.clock)


class Taken:
    """Results that are counted when they are taken."""

    def __init__(self, slot: CountedSlot, results: Iterator[Any]) -> None:
        self._slot, self._results = slot, results

    def __iter__(self) -> Taken:
        return self

    def __next__(self) -> Any:
        out = next(self._results)
        self._slot.took(out)
        return out

    def __length_hint__(self) -> Any:
        left = length_hint(self._results, -1)
        return NotImplemented if left < 0 else left

    def close(self) -> None:
        """Close what is not taken."""
        close_results(self._results)


class CountedCall:
    """A stage's coroutine, whose result is counted unless its call was given up meanwhile."""

    def __init__(self, slot: CountedSlot, coroutine: Any) -> None:
        self._slot, self._coroutine = slot, coroutine

    def send(self, value: Any) -> Any:
        """Go on, up to the next wait."""
        return self._step(self._coroutine.send, value)

    def throw(self, error: BaseException) -> Any:
        """Go on with an error, up to the next wait."""
        return self._step(self._coroutine.throw, error)

    def close(self) -> None:
        """Give it up."""
        self._coroutine.close()

    def _step(self, step: Callable[[Any], Any], value: Any) -> Any:
        try:
            return step(value)
        except StopIteration as stop:
            result = stop.value
        waiting = self._slot.running
        if waiting is not None and waiting._coroutine is self:
            self._slot.counts.items_in += waiting.call[0] == "process"
            result = self._slot.gave(result)
        raise StopIteration(result)


class _Listed(list[Any]):
    """A list of results that are counted when they are taken."""

    def __init__(self, slot: CountedSlot, results: Iterable[Any]) -> None:
        super().__init__(results)
        self._slot = slot

    def __iter__(self) -> Iterator[Any]:
        return Taken(self._slot, super().__iter__())


class _Lazy:
    """The same for results of which nobody knows how many there are."""

    def __init__(self, slot: CountedSlot, results: Iterable[Any]) -> None:
        self._slot, self._results = slot, results

    def __iter__(self) -> Iterator[Any]:
        return Taken(self._slot, iter(self._results))


def _counted(slot: CountedSlot, method: Callable[..., Any], *, items: int) -> Callable[..., Any]:
    """A method which counts what went in and what came of it."""

    def call(*item: Any) -> Any:
        result = method(*item)
        slot.counts.items_in += items
        return slot.gave(result)

    return call


def _is_mark(out: object) -> bool:
    return type(out) is Reply or out is END
