"""The short way out: one item through stages that never wait, as one write.

Rules for this file: it only ever does what `Engine.send` and `work_out` would do, in the same order,
and it gives up at the first thing out of the ordinary, leaving the rest to them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, NoReturn, Protocol

from ._core import WRITE_BYTES, Engine
from ._slot import Slot
from ._written import (
    ALL,
    CHECK_FIRST,
    MANY,
    MERGED,
    NONE_CAME,
    NOT_NOW,
    ONE,
    PAUSE,
    SHUT,
    YIELD_AFTER,
    Shape,
    Written,
    functions_of,
)


class News(Protocol):
    """How often something else happened: see `Newsroom.changes`."""

    changes: int


class State(Protocol):
    """What a lane is open or shut by.

    Attributes:
        lane: the `changes` of the news since when a send may go the short way, or SHUT.
        reading: whether somebody waits for the transport; then nothing may wait to be merged.
    """

    lane: int
    reading: bool


class Left(NamedTuple):
    """Where the short way leaves the rest to the flow.

    Attributes:
        at: which of the stages; -1: before the first.
        item: with which item.
        result: what it gave; before the first stage, what is no item.
    """

    at: int
    item: Any
    result: Any


class QuickSend:
    """Takes items through a chain whose outbound stages never wait and have no timers.

    Args:
        engine: whose outbound direction it is.
        hurry: to be called when a stage may have moved a deadline.

    Attributes:
        out: the call that does it, while `engine.outbound_idle`. What it returns is what the item becomes on the wire,
            if that is one `bytes` and not empty, or NONE_CAME; nothing is under way then. All else is for `settle`,
            what it raises for `fail`.
        keeps_state: whether a stage goes ahead with what is sent, so that a send that is cut short breaks outbound.
    """

    __slots__ = ("_engine", "_gates", "_hurry", "_many", "_needs", "_slots", "_waking", "_ways", "keeps_state", "out")

    def __init__(self, engine: Engine[Any, Any], hurry: Callable[[], None] = lambda: None) -> None:
        self._engine, self._slots = engine, engine.outbound_slots
        self._hurry = hurry if engine.timed else None
        self._gates = tuple([half for slot in self._slots for half in slot.gates])
        self._needs = (Left, *functions_of(self._slots), *self._gates)
        self._ways: dict[Shape, Written] = {}
        self._many: Written | None = None  # made when many are sent at once
        self._waking = tuple([slot for slot in self._slots if slot.wakes])
        self.out: Callable[[Any], Any] = self._then_wake(self._way(ONE).run(*self._needs))
        self.keeps_state = any(slot.tracked for slot in self._slots)

    def _way(self, shape: Shape) -> Written:
        """The stages as a function of such a shape."""
        way = self._ways[shape] = Written(self._slots, shape, gates=len(self._gates))
        return way

    @classmethod
    def through(cls, engine: Engine[Any, Any], hurry: Callable[[], None] = lambda: None) -> QuickSend | None:
        """The short way, if there is one."""
        return cls(engine, hurry) if all(slot.sync and not slot.timed for slot in engine.outbound_slots) else None

    def _then_wake(self, out_of: Callable[[Any], Any]) -> Callable[[Any], Any]:
        if not self._waking and self._hurry is None:
            return out_of

        def out_and_wake(item: Any) -> Any:
            out = out_of(item)
            if out is not NOT_NOW:
                self.wake()
            return out

        return out_and_wake

    def wake(self) -> None:
        """Where the other half of a stage has something to give by itself now, tell who waits for input."""
        for slot in self._waking:
            slot.wake()
        if self._hurry is not None:
            self._hurry()

    def lane(self, state: State, news: News, *, merge: bool) -> Callable[[Any], Any]:
        """What sends an item the short way while nothing else happens; a closure, as each item goes through here.

        Returns of the closure:
            ALL: with `merge`, the item waits in the buffer, and that is all. NOT_NOW: the lane is shut, and nothing was
            done. Else what `out` gives. What it raises is for `fail`.
        """
        out_of, buffer = self.out, self._engine.buffer
        if merge:
            bind = self._way(MERGED).run
            return self._then_wake(bind(state, news, buffer, buffer.loose, WRITE_BYTES, *self._needs))

        def take(item: Any) -> Any:
            return out_of(item) if state.lane == news.changes else NOT_NOW

        return take

    def fill(self, items: Iterator[Any]) -> Any:
        """Put what items become into the buffer, as far as the short way leads, while `engine.outbound_idle`.

        Returns:
            ALL, PAUSE, or what the last item that was taken became: for `settle`.

        Raises:
            Exception: as `fail` does, or what `items` raise; what the items before became is in the buffer.
        """
        many, buffer = self._many, self._engine.buffer
        if many is None:
            self._many = many = self._way(MANY)
        run, loose, before = many.run, buffer.loose, len(buffer.loose)
        try:
            return run(items, loose.append, WRITE_BYTES - buffer.size, *self._needs)
        except BaseException as error:
            found = many.where(error)
            if found is not None:
                self._fail_at(*found, error)
            raise
        finally:
            buffer.size += sum(map(len, loose[before:] if before else loose))
            if self._waking or self._hurry is not None:
                self.wake()

    def settle(self, out: Any) -> None:
        """Let the engine have the item, as after `Engine.send`, but as far on as it is.

        Raises:
            Exception: as `Engine.send` does, or `Engine.work_out`.
        """
        if type(out) is not Left:
            self._went_through(self._slots)
            self._engine.resume_send(None, out, [out])
        elif out.at < 0:
            self._engine.send(out.result)
        else:
            self._went_through(self._slots[: out.at])
            self._engine.resume_send(self._slots[out.at], out.item, out.result)

    def fail(self, item: Any, error: BaseException) -> NoReturn:
        """Raise what `out` raised for `item` as `Engine.work_out` would have.

        It is as if nothing had been sent, unless a stage that keeps state was through.
        """
        places = [place for way in self._ways.values() if (place := way.where(error)) is not None]
        self._fail_at(*(*places, (0, item))[0], error)

    def _fail_at(self, at: int, item: Any, error: BaseException) -> NoReturn:
        try:
            if at < len(self._slots):
                self._slots[at].flow.fail(self._slots[at], item, error)
            raise error
        finally:
            self._cut_behind(at, error)

    def cut_short(self, error: BaseException) -> None:
        """Nothing was written of what `out` returned: it has no effect, or outbound is broken."""
        self._cut_behind(len(self._slots), error)

    def _cut_behind(self, at: int, error: BaseException) -> None:
        if any(slot.tracked for slot in self._slots[:at]):
            self._went_through(self._slots[:at])
            self._engine.sending = True
            self._engine.abort_send(error)

    def _went_through(self, slots: Sequence[Slot]) -> None:
        """What is sent has changed those of the stages that keep state."""
        for slot in slots:
            slot.touched = slot.tracked


__all__ = ["ALL", "CHECK_FIRST", "NONE_CAME", "NOT_NOW", "PAUSE", "SHUT", "YIELD_AFTER", "Left", "QuickSend"]
