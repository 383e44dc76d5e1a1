"""Everything that waits in one direction of a running chain, and how it comes to be there or is forgotten.

Rules for this file: nothing moves here. What is let in waits at its place until `Flow` takes it on;
what is behind an end, or belongs to a send that was cut short, is forgotten, and replies are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ._call import described
from ._items import size_of
from ._row import Row, behind, rest, row_of
from ._slot import Slot
from ._stage import END, Reply, Stage


class Stock:
    """What waits at the stages of one direction, between them and behind the last one.

    Args:
        slots: the stages, first to last.
        describe: tells an error's note which slot of which chain it is.
        show_items: whether errors may show items.
        max_reply_bytes: how much of what the other flow turned round may wait here.
    """

    # fmt: off
    __slots__ = (
        "_broken", "_dead", "_delayed", "_last", "_top", "arrived", "describe", "dropped_replies", "ended", "failed",
        "failed_mine", "hold_mine", "lost_mine", "max_reply_bytes", "mine", "never_wait", "on_news", "other", "owed",
        "show_items", "slots", "stirred",
    )
    # fmt: on

    other: Stock

    def __init__(
        self, slots: tuple[Slot, ...], describe: Callable[[Slot], str], *, show_items: bool, max_reply_bytes: int
    ) -> None:
        self.slots: tuple[Slot, ...] = ()
        self.describe, self.show_items, self.max_reply_bytes = describe, show_items, max_reply_bytes
        self.arrived: Row[tuple[Any, bool, int]] = ()  # what went in behind the last stage
        self.ended = False
        self.mine = False  # whether the item that came out last belongs to the present send
        self.owed = 0  # bytes of replies that wait in here, or came out and are not written yet
        self.never_wait = False  # stop before a call that may wait
        self.stirred = False  # something may have come in since advance() came to nothing
        self.hold_mine = False  # the present send stays where it is: its own task takes it further
        self.failed: tuple[Stage[Any, Any], BaseException] | None = None  # what failed last, and whose error it was
        self.failed_mine = False  # whether what failed last belongs to the present send
        self.lost_mine = False  # whether END cut off a part of the present send
        self.dropped_replies = 0
        self.on_news: Callable[[], None] = _nothing
        self._delayed: Row[tuple[Any, int, int]] = ()  # replies that would get into the middle of a list
        self._broken = False
        self._dead = 0  # so many slots at the beginning have ended
        self._top = 0  # no slot behind this one has anything to do
        self._seat(slots)

    # ---- in

    def put(self, item: Any, *, at: int = 0, mine: bool = False, counted: int = 0) -> None:
        """Let an item, or END, go in before the slot `at`; `counted` bytes of it bound the replies.

        Behind the end nothing is taken any more.
        """
        if not self.takes(at):
            return
        self.stirred = True
        self.owed += counted
        if at > self._last:
            self.arrived = behind(self.arrived, (item, mine, counted))
        else:
            slot = self.slots[at]
            slot.inbox = behind(slot.inbox, (item, mine, counted))
            self.touch(at)

    def put_reply(self, item: Any, at: int) -> None:
        """Let what the other flow turned round go in; dropped and counted if this flow has ended there."""
        if not self.takes(at):
            self.dropped_replies += item is not END
            return
        counted = 0 if item is END else max(1, size_of(item))
        if self._delayed or self.splits_a_list(at):
            self._delayed = behind(self._delayed, (item, at, counted))
            self.owed += counted
            self.stirred = True
        else:
            self.put(item, at=at, counted=counted)
        self.on_news()

    def takes(self, at: int = 0) -> bool:
        """Whether what goes in before the slot `at` has any effect."""
        return not (self.ended or self._broken or at < self._dead)

    def touch(self, index: int) -> None:
        """See to it that `advance` comes by this slot: it has something to do."""
        self._top = max(self._top, index)
        self.stirred = True

    @property
    def full(self) -> bool:
        """Whether so many replies wait here that the other flow must not cause more."""
        return self.owed >= self.max_reply_bytes

    @property
    def idle(self) -> bool:
        """Whether nothing waits anywhere, and the flow goes on."""
        return not (self.stirred or self.arrived or self._delayed or self._dead or self.ended or self._broken) and all(
            slot.idle for slot in self.slots
        )

    def splits_a_list(self, at: int) -> bool:
        return any(slot.mid_list for slot in self.slots[self._dead : at])

    def let_delayed_in(self, *, all_of_them: bool) -> None:
        while self._delayed and (all_of_them or not self.splits_a_list(self._delayed[0][1])):
            item, at, counted = self._delayed[0]
            self._delayed = rest(self._delayed)
            self.owed -= counted
            if self.takes(at):
                self.put(item, at=at, counted=counted)
            else:
                self.dropped_replies += item is not END

    # ---- other slots

    def _seat(self, slots: tuple[Slot, ...]) -> None:
        self.slots, self._last = slots, len(slots) - 1
        for index, slot in enumerate(slots):
            slot.wire(index, slots[index + 1] if index < self._last else None)

    def reseat(self, slots: tuple[Slot, ...]) -> None:
        """Go on with other slots; what waits at those that are gone goes on from where they were."""
        old, alive = self.slots, self.slots[self._dead :]
        self.let_delayed_in(all_of_them=True)
        moves = list(self._moves(old, slots))
        self._dead = next((index for index, slot in enumerate(slots) if slot in alive), len(slots)) if self._dead else 0
        self._seat(slots)
        for at, (item, mine, counted) in moves:
            self.owed -= counted
            self.dropped_replies += bool(counted) and not self.takes(at)
            self.put(item, at=at, mine=mine, counted=counted)
        self._top = max(self._last, 0)
        self.stirred = True

    def _moves(self, old: tuple[Slot, ...], new: tuple[Slot, ...]) -> Iterator[tuple[int, tuple[Any, bool, int]]]:
        """What waits at slots that are gone, what is furthest down first, with the places where it goes in."""
        for index in reversed(range(len(old))):
            slot = old[index]
            if slot in new:
                continue
            before = next((kept for kept in reversed(old[:index]) if kept in new), None)
            behind = next((kept for kept in old[index:] if kept in new), None)
            end = len(new) if behind is None else new.index(behind)
            start = 0 if before is None else new.index(before) + 1
            for out in slot.take_results():
                if type(out) is Reply:
                    self.other.put_reply(out.item, slot.back)
                else:
                    yield end, (out, slot.mine, 0)
            # Only what has not come to the first of several stages that went can go through what came for them.
            is_first = index == 0 or old[index - 1] is before
            yield from ((start if is_first else end, entry) for entry in slot.inbox)
            slot.inbox = ()

    # ---- ending

    def end_behind(self, slot: Slot) -> None:
        """This direction ends after `slot`: the next stage gets to finish, or the flow is at its end."""
        self.kill(slot.index + 1)
        self.let_delayed_in(all_of_them=True)  # they were there before the end
        self.put(END, at=slot.index + 1)

    def kill(self, count: int) -> None:
        """The first `count` stages take part no more."""
        slots, self._dead = self.slots[self._dead : count], max(self._dead, count)
        failed: list[BaseException] = []
        for slot in slots:
            self.lost_mine = self.lost_mine or slot.holds_mine
            replies = [counted for _, _, counted in slot.inbox if counted]
            self.dropped_replies += len(replies)
            self.owed -= sum(replies)
            what = slot.running.call if slot.running else (slot.op, *slot.args)
            try:
                slot.drop()
            except Exception as error:
                failed.append(described(error, slot, what))
        if failed:
            self.failed_mine = False
            raise failed[0]

    def drop_arrived(self) -> None:
        """Nothing goes out behind the end."""
        self.lost_mine = self.lost_mine or any(mine for _, mine, _ in self.arrived)
        replies = [counted for *_, counted in (*self.arrived, *self._delayed) if counted]
        self.dropped_replies += len(replies)
        self.owed -= sum(replies)
        self.arrived = self._delayed = ()

    def break_off(self, error: BaseException) -> None:
        """Nothing goes through any more because of `error`; replies that wait are dropped and counted."""
        self._broken = True
        try:
            self.kill(len(self.slots))
        except Exception as second:
            error.add_note(f"and then {second!r}")
        self.drop_arrived()
        self.owed = 0

    # ---- the present send

    def drop_mine(self, error: BaseException) -> Slot | None:
        """Forget what belongs to the present send, cut short by `error`; return a stage that has gone ahead with it."""
        ahead = self.ahead
        for slot in self.slots:
            try:
                slot.drop_mine()
            except Exception as second:
                error.add_note(f"and then {second!r}")
        self.arrived = row_of(entry for entry in self.arrived if not entry[1])
        self.lost_mine = False
        return ahead

    @property
    def ahead(self) -> Slot | None:
        """A stage that the present send has changed."""
        return next((slot for slot in self.slots if slot.tracked and slot.touched), None)

    def settle_mine(self) -> None:
        """The present send is out: what its item changed in the stages stays."""
        self.lost_mine = False
        for slot in self.slots:
            slot.touched = slot.mine = False

    @property
    def holds_mine(self) -> bool:
        """Whether a part of the present send's item is still in here."""
        return any(slot.holds_mine for slot in self.slots) or any(mine for _, mine, _ in self.arrived)


def _nothing() -> None:
    """Nobody wants to know."""
