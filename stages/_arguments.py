"""What stages say about arguments that cannot be right."""

from __future__ import annotations


def check_size(
    stage: str, parameter: str, value: object, *, default: int | None = None, least: int = 1, unit: str = "bytes"
) -> None:
    """Refuse a size that is no whole number or below `least`; the message shows a right call."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= least:
        return
    kind = ValueError if isinstance(value, int) else TypeError
    remedy = "" if default is None else f". Leave it out for the default: {stage}({parameter}={default})"
    raise kind(f"{stage}({parameter}={value!r}): must be a whole number of {unit}, {least} or more{remedy}")


def check_seconds(stage: str, parameter: str, value: object) -> None:
    """Refuse a time that is none; None is no limit."""
    right = isinstance(value, int | float) and not isinstance(value, bool) and value > 0
    if not (value is None or right):
        raise ValueError(f"{stage}({parameter}={value!r}): must be more than 0, or None for no limit")


def check_choice(stage: str, parameter: str, value: object, choices: tuple[object, ...]) -> None:
    """Refuse a value that is none of the choices; the message lists them."""
    if value not in choices:
        raise ValueError(f"{stage}({parameter}={value!r}): must be one of {', '.join(map(repr, choices))}")
