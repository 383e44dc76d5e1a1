"""What all limits share: a half that lets items pass as they are, and what their constructors refuse."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Literal, TypeAlias

from pipeline import Stage

Direction: TypeAlias = Literal["both", "inbound", "outbound"]


class Half(Stage[Any, Any]):
    """One direction of a limit. A send that is cut short may have counted here, which breaks nothing."""

    keeps_outbound_state = False
    holds = 0
    only_items = True
    never_expands = True

    def unread(self, outputs: Iterable[Any], /) -> Iterable[Any]:
        """Give back the items that were not taken; nothing is held."""
        return list(outputs)


def check_count(stage: str, parameter: str, value: object, *, right: str) -> None:
    """Refuse what is no whole number of 1 or more; `right` is a right call."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return
    kind = ValueError if isinstance(value, int) else TypeError
    raise kind(f"{stage}({parameter}={value!r}): must be a whole number, 1 or more, as in {right}")


def check_amount(stage: str, parameter: str, value: object, *, right: str, least: float = 0) -> None:
    """Refuse what is no finite number above 0, or below `least`; `right` is a right call."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and math.isfinite(value) and value > 0 and value >= least:  # type: ignore[arg-type, operator]
        return
    kind = ValueError if number else TypeError
    lowest = f"{least:g} or more" if least else "above 0"
    raise kind(f"{stage}({parameter}={value!r}): must be a number, {lowest}, as in {right}")


def check_direction(stage: str, value: object, *choices: str) -> None:
    """Refuse a direction that is none of the choices; the message lists them."""
    if value not in choices:
        raise ValueError(f"{stage}: {value!r} is no direction here, but one of {', '.join(map(repr, choices))} is")


def bytes_of(stage: str, item: object) -> int:
    """How many bytes an item has; text counts as UTF-8.

    Raises:
        TypeError: nobody can tell; the message says where it can be told.
    """
    if isinstance(item, bytes | bytearray):
        return len(item)
    if isinstance(item, memoryview):
        return item.nbytes
    if isinstance(item, str):
        return len(item) if item.isascii() else len(item.encode("utf-8", "surrogatepass"))
    raise TypeError(
        f"{stage} counts bytes or text, and cannot tell how large a {type(item).__name__} is: "
        f"put it on the wire's side of the codec, as in LineFramer() | {stage}(...) | JSONCodec()"
    )
