"""What the stages made of a function refuse when they are built."""

from __future__ import annotations

import inspect


def check_functions(stage: str, **functions: object) -> None:
    """Refuse what cannot be called at once, and `async def`, whose coroutine would pass for a result.

    Raises:
        TypeError: the message shows the right call.
    """
    for name, function in functions.items():
        if not callable(function):
            raise TypeError(f"{stage}: {name} must be a function, not {function!r}")
        if inspect.iscoroutinefunction(function):
            raise TypeError(
                f"{stage}: {name} is an async function, but {stage} never waits. Make a stage of it with "
                f"inbound(...) or outbound(...), or subclass Inbound or Outbound"
            )
