"""The short way out: one item through stages that never wait and hold nothing, as one write.

Rules for this file: it only ever does what `Engine.send` and `work_out` would do, in the same order,
and it gives up at the first thing out of the ordinary, leaving the rest to them.
"""

from __future__ import annotations

from typing import Any

from ._core import Engine
from ._fused import Direct
from ._stage import END, Reply


class QuickSend:
    """Takes items through a chain whose outbound stages are all plain.

    Args:
        engine: whose outbound direction it is.
    """

    def __init__(self, engine: Engine[Any, Any]) -> None:
        self._engine = engine
        slots = engine.outbound_slots
        self._direct = Direct(slots) if all(slot.plain for slot in slots) else None

    def send(self, item: Any, *, merge: bool = False) -> bytes | None:
        """What `item` becomes on the wire, if that is one `bytes`; nothing is under way then.

        Args:
            item: what is sent, while `engine.outbound_idle`.
            merge: what others became may wait to be written.

        Returns:
            None: the engine has the item, as after `Engine.send`, perhaps some stages further on.

        Raises:
            Exception: as `Engine.work_out` does; it is as if nothing had been sent.
        """
        engine, direct = self._engine, self._direct
        if direct is None or not (merge or not engine.to_write_bytes) or type(item) is Reply or item is END:
            engine.send(item)
            return None
        try:
            out = direct.out(item, self._leave)
        except Exception as error:
            at, item = direct.where(error) or (0, item)
            slot = direct.slots[at]
            slot.flow.fail(slot, item, error)
        if type(out) is bytes and out:
            return out
        if out is not _LEFT:
            engine.resume_send(None, out, [out])
        return None

    def _leave(self, at: int, item: Any, result: Any) -> object:
        self._engine.resume_send(self._engine.outbound_slots[at], item, result)
        return _LEFT


_LEFT = object()
