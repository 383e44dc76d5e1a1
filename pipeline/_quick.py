"""The short way out: one item through stages that never wait and hold nothing, as one write.

Rules for this file: it only ever does what `Engine.send` and `work_out` would do, in the same order,
and it gives up at the first thing out of the ordinary, leaving the rest to them.
"""

from __future__ import annotations

from typing import Any

from ._core import Engine
from ._stage import END, Reply


class QuickSend:
    """Takes items through a chain whose outbound stages are all plain.

    Args:
        engine: whose outbound direction it is.
    """

    def __init__(self, engine: Engine[Any, Any]) -> None:
        self._engine = engine
        slots = engine.outbound_slots
        self._slots = [(slot, slot.sync) for slot in slots] if all(slot.plain for slot in slots) else None

    def send(self, item: Any) -> bytes | None:
        """What `item` becomes on the wire, if that is one `bytes`; nothing is under way then.

        Returns:
            None: the engine has the item, as after `Engine.send`, perhaps some stages further on.

        Raises:
            Exception: as `Engine.work_out` does; it is as if nothing had been sent.
        """
        engine = self._engine
        if self._slots is None or not engine.outbound_idle or type(item) is Reply or item is END:
            engine.send(item)
            return None
        for slot, process in self._slots:
            try:
                result = process(item)
            except BaseException as error:
                slot.flow.fail(slot, item, error)
            if type(result) is not list or len(result) != 1 or type(result[0]) is Reply or result[0] is END:
                engine.resume_send(slot, item, result)
                return None
            item = result[0]
        if type(item) is bytes and item:
            return item
        engine.resume_send(None, item, [item])
        return None
