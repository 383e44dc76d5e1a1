"""The fast path of one direction: what one read becomes, taken as one loop instead of by an `advance` for each item.

Rules for this file: it does what `put` and `Flow.advance` would do, in the same order and as lazily, and nothing else;
at the first thing out of the ordinary it leaves what there is where `advance` looks for it. A driver takes it so:

    if flow.steady:  # asked once
        while flow.rests():  # asked before each read
            yield from flow.take_in(read())  # an error is for `fail_ready`, a wait in the `loop` for `take_over`
    # and from here on by `advance`, which finds whatever the loop left
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import length_hint
from typing import Any, Final, NoReturn

from ._call import Waiting, cut, fail
from ._flow import Flow
from ._fused import Fused
from ._row import behind
from ._slot import Slot
from ._stage import END, Reply, results_of
from ._written import FULL

_NONE_READY: Final[Iterator[Any]] = iter(())


class FastFlow(Flow):
    """A flow whose stages run as one where they can: to be asked while nobody else is at work in it.

    Attributes:
        ready_from: how many results there were when `ready` was called: as many items at the most.
        loop: what `ready` gave last, if a stage in it may wait.
    """

    __slots__ = ("_fed", "_looping", "_moody", "_ready_source", "_single", "loop", "ready_from")

    _looping: Fused

    def __init__(
        self, slots: tuple[Slot, ...], describe: Callable[[Slot], str], *, show_items: bool, max_reply_bytes: int
    ) -> None:
        super().__init__(slots, describe, show_items=show_items, max_reply_bytes=max_reply_bytes)
        self._ready_source: Iterator[Any] = _NONE_READY
        self.ready_from = 0
        self.loop: Any = None

    def _seat(self, slots: tuple[Slot, ...]) -> None:
        super()._seat(slots)
        self._moody = tuple([slot for slot in slots if slot.moody])
        # Those at which items go one by one; only behind them stages can run as one.
        self._single = slots[: 1 + max((slot.index for slot in self._moody), default=0)]
        self._fed = len(self._single)

    # ---- whether it is open

    @property
    def steady(self) -> bool:
        """Whether items go through whenever they come in while it is quiet, to the end, and nothing else ever waits."""
        fed = all(slot.sync is not None for slot in self._single)
        return bool(self.slots) and fed and all(slot.steady_when_quiet for slot in self.slots)

    def is_quiet(self) -> bool:
        """Whether every stage wants input, and none has to be polled."""
        for slot in self._moody:  # noqa: SIM110 - asked for at each read, and a generator would be half of it
            if not slot.stage.wants_input or (slot.polls and slot.stage.has_more):
                return False
        return True

    def rests(self) -> bool:
        """Whether nothing is left of what `take_in` gave, nothing else came in, and it is quiet, as it was."""
        if self.stirred:
            return False
        for slot in self._single:
            if slot.results is not None and length_hint(slot.results, 1):
                return False
        if self._top >= self._fed:
            self._lower_top()
            if self._top >= self._fed:
                return False
        return not self._moody or self.is_quiet()

    def _lower_top(self) -> None:
        """Take note that nothing is left to do at the furthest stages."""
        while self._top and self.slots[self._top].idle:
            self._top -= 1

    # ---- taking it

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

    def _ready_at(self, slot: Slot, result: Any = None) -> Iterator[Any]:
        fused = slot.fused
        if fused is None:
            following = self.slots[slot.index + 1 :]
            slot.fused = fused = Fused(slot, following) if all(each.steady for each in following) else False
        # Only of a list it is known how much of it was taken.
        source: Any = slot.results
        count = length_hint(source, 0)
        if not count or not fused or (fused.may_wait and not fused.prompt):
            return _NONE_READY
        self._ready_source, self.ready_from = source, count
        if fused.passes and (fused.only_items or _only_items(result)):
            return source  # type: ignore[no-any-return]
        for each in fused.slots:
            each.listed = 0  # nobody notes what they give in the loop, so none of it can be turned back (see _unread)
        items: Iterator[Any] = fused.items(source, self._leave)
        if fused.may_wait:
            self.loop, self._looping = items, fused
        return items

    def take_in(self, item: Any) -> Iterator[Any]:
        """Do what `put` and the next `advance` do, where the flow is steady and idle.

        Returns:
            What is `ready` then; perhaps nothing although there is more: then `advance` goes on.
        """
        self._ready_source, self.ready_from, self.loop = _NONE_READY, 0, None
        if self._moody and not self.is_quiet():  # any more, since it was read
            self.put(item)
            return _NONE_READY
        slot = self.slots[0]
        while True:
            slot.mine, self._top = False, slot.index
            try:
                sync = slot.sync  # called by a name of its own, an attribute that is no method is found faster
                result = sync(item)
                if type(result) is list:
                    slot.results, slot.listed = iter(result), len(result)
                else:
                    slot.results = results_of(slot.stage, "process_sync", result)
                    slot.listed = len(result) if isinstance(result, list | tuple) else 0
            except BaseException as error:
                cut(slot, ("process", item), error)
            slot.op, slot.args, slot.fresh = "process", (item,), slot.polls
            if slot.index + 1 == self._fed:
                return self._ready_at(slot, result)
            if slot.listed != 1 or type(result) is not list or type(result[0]) is Reply or result[0] is END:
                self.stirred = bool(result)
                return _NONE_READY
            slot.results, item, slot = None, result[0], self.slots[slot.index + 1]

    # ---- what comes of it

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


def _only_items(result: Any) -> bool:
    """Whether all of it is there already, and neither a reply nor an end."""
    if type(result) is not list:
        return False
    for item in result:  # noqa: SIM110 - done at each read, and a generator would be half of it
        if type(item) is Reply or item is END:
            return False
    return True
