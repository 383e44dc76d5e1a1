"""The short way out: one item through stages that never wait, as one write.

Rules for this file: it only ever does what `Engine.send` and `work_out` would do, in the same order,
and it gives up at the first thing out of the ordinary, leaving the rest to them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NoReturn

from ._core import WRITE_BYTES, Engine
from ._flow import Mark
from ._fused import NONE_CAME, Direct, Left
from ._slot import Slot

ALL: Final = Mark.NOTHING
"""Nothing is left of the items."""
PAUSE: Final = Mark.BLOCKED
"""There is enough to write, or it is time for a checkpoint."""
YIELD_AFTER: Final = 1000
"""So many items pass without a checkpoint: of what one read became (or as many KiB of them), or merged."""


class QuickSend:
    """Takes items through a chain whose outbound stages never wait and have no timers.

    Args:
        engine: whose outbound direction it is.
        hurry: to be called when a stage may have moved a deadline.

    Attributes:
        out: the call that does it, while `engine.outbound_idle`. What it returns is what the item becomes on the wire,
            if that is one `bytes` and not empty, or NONE_CAME; nothing is under way then. All else is for `settle`,
            what it raises for `fail`.
        of_many: the same, but `wake` is to be called behind the last of them.
        keeps_state: whether a stage goes ahead with what is sent, so that a send that is cut short breaks outbound.
    """

    __slots__ = ("_direct", "_engine", "_hurry", "_slots", "_waking", "keeps_state", "of_many", "out")

    def __init__(self, engine: Engine[Any, Any], hurry: Callable[[], None] = lambda: None) -> None:
        self._engine, self._slots = engine, engine.outbound_slots
        self._hurry = hurry if engine.timed else None
        self._direct = Direct(self._slots)
        self._waking = tuple([slot for slot in self._slots if slot.wakes])
        self.of_many = self._direct.out
        self.out: Callable[[Any], Any] = self._out_and_wake if self._waking or self._hurry else self.of_many
        self.keeps_state = any(slot.tracked for slot in self._slots)

    @classmethod
    def through(cls, engine: Engine[Any, Any], hurry: Callable[[], None] = lambda: None) -> QuickSend | None:
        """The short way, if there is one."""
        return cls(engine, hurry) if all(slot.sync and not slot.timed for slot in engine.outbound_slots) else None

    def _out_and_wake(self, item: Any) -> Any:
        out = self.of_many(item)
        self.wake()
        return out

    def wake(self) -> None:
        """Where the other half of a stage has something to give by itself now, tell who waits for input."""
        for slot in self._waking:
            slot.wake()
        if self._hurry is not None:
            self._hurry()

    def fill(self, items: Iterator[Any]) -> Any:
        """Put what items become into the buffer, as far as the short way leads, while `engine.outbound_idle`.

        Returns:
            ALL, PAUSE, or what the last item that was taken became: for `settle`.

        Raises:
            Exception: as `fail` does; what the items before became is in the buffer.
        """
        out_of, buffer = self.of_many, self._engine.buffer
        size, left, add = buffer.size, YIELD_AFTER, buffer.loose.append
        try:
            for item in items:
                try:
                    out = out_of(item)
                except BaseException as error:
                    self.fail(item, error)
                if type(out) is bytes and out:
                    add(out)
                    size += len(out)
                elif out is not NONE_CAME:
                    return out
                left -= 1
                if size >= WRITE_BYTES or not left:
                    return PAUSE
            return ALL
        finally:
            buffer.size = size
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
        at, item = self._direct.where(error) or (0, item)
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


__all__ = ["ALL", "NONE_CAME", "PAUSE", "YIELD_AFTER", "QuickSend"]
