"""What all taps share: a half that watches, and lets items pass as they are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, TypeAlias

from pipeline import Stage

Direction: TypeAlias = Literal["inbound", "outbound"]


class Half(Stage[Any, Any]):
    """One direction of a tap. A send that is cut short may have been seen here, which breaks nothing."""

    keeps_outbound_state = False
    holds = 0
    is_tap = True
    only_items = True
    never_expands = True

    def unread(self, outputs: Iterable[Any], /) -> Iterable[Any]:
        """Give everything back; it is seen again when it passes again."""
        return list(outputs)
