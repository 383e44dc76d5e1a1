"""How a check fails: the rule first, then the shortest input that shows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from .._items import show_item

_MANY = 20
"""So many pieces or items of a list are shown."""


def fail(rule: str, what: str, /, *, cause: BaseException | None = None, **facts: object) -> NoReturn:
    r"""Raise what a failed check raises.

    F1: the outcome depends on where the bytes are cut
      stage: LineFramer()
      cut: b"on" | b"e\n"

    Args:
        rule: the rule's name in DESIGN.md or STAGES.md, or what is checked where no rule has a name.
        what: one line on how it is broken.
        cause: the error which shows it, if one does.
        facts: what the user needs to see it again; text is shown as it is.
    """
    lines = [f"  {name.replace('_', ' ')}: {shown(fact)}" for name, fact in facts.items()]
    raise AssertionError("\n".join([f"{rule}: {what}", *lines])) from cause


def shown(fact: object) -> str:
    """A fact of a failure, short enough to be read."""
    match fact:
        case str():
            return fact
        case list() | tuple():
            more = f", ... ({len(fact)} in all)" if len(fact) > _MANY else ""
            return f"[{', '.join(show_item(item) for item in fact[:_MANY])}{more}]"
        case BaseException():
            return f"{type(fact).__name__}: {fact}"
        case _:
            return show_item(fact)


def show_pieces(pieces: Sequence[Any]) -> str:
    r"""`b"on" | b"e\n"`: what the stage was fed, one call after the other."""
    more = f" | ... ({len(pieces)} pieces)" if len(pieces) > _MANY else ""
    return " | ".join(show_item(piece) for piece in pieces[:_MANY]) + more
