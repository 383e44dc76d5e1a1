"""What the stages made of a function refuse when they are built."""

from __future__ import annotations

import inspect


def check_callable(stage: str, name: str, function: object) -> None:
    """Refuse what cannot be called at once.

    Raises:
        TypeError: the message shows what was given instead.
    """
    if not callable(function):
        raise TypeError(f"{stage}: {name} must be a function, not {function!r}")


def check_functions(stage: str, **functions: object) -> None:
    """Refuse what cannot be called at once, and `async def`, whose coroutine would pass for a result.

    Raises:
        TypeError: the message shows the right call.
    """
    for name, function in functions.items():
        check_callable(stage, name, function)
        if is_async(function):
            raise TypeError(
                f"{stage}: {name} is an async function, but {stage} never waits. Make a stage of it with "
                f"inbound(...) or outbound(...), or subclass Inbound or Outbound"
            )


def is_async(function: object) -> bool:
    """Whether it is an `async def`, or an object whose `__call__` is one."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004
