"""The short way out: one item through stages that never wait and hold nothing, as one write.

Rules for this file: it only ever does what `Engine.send` and `work_out` would do, in the same order,
and it gives up at the first thing out of the ordinary, leaving the rest to them.
"""

from __future__ import annotations

from typing import Any, NoReturn

from ._core import Engine
from ._fused import Direct, Left


class QuickSend:
    """Takes items through a chain whose outbound stages are all plain.

    Args:
        engine: whose outbound direction it is.

    Attributes:
        out: the call that does it, while `engine.outbound_idle`. What it returns is what the item becomes on the wire,
            if that is one `bytes` and not empty; nothing is under way then. All else is for `settle`, what it raises
            for `fail`.
    """

    def __init__(self, engine: Engine[Any, Any]) -> None:
        self._engine = engine
        self._direct = Direct(engine.outbound_slots)
        self.out = self._direct.out

    @classmethod
    def through(cls, engine: Engine[Any, Any]) -> QuickSend | None:
        """The short way, if there is one."""
        return cls(engine) if all(slot.plain for slot in engine.outbound_slots) else None

    def settle(self, out: Any) -> None:
        """Let the engine have the item, as after `Engine.send`, but as far on as it is.

        Raises:
            Exception: as `Engine.send` does, or `Engine.work_out`.
        """
        if type(out) is not Left:
            self._engine.resume_send(None, out, [out])
        elif out.at < 0:
            self._engine.send(out.result)
        else:
            self._engine.resume_send(self._direct.slots[out.at], out.item, out.result)

    def fail(self, item: Any, error: BaseException) -> NoReturn:
        """Raise what `out` raised for `item` as `Engine.work_out` would have; it is as if nothing had been sent."""
        at, item = self._direct.where(error) or (0, item)
        slot = self._direct.slots[at]
        slot.flow.fail(slot, item, error)
