"""The test kit: drive stages without a network, and check them against the library's rules.

One stage or chain, by hand:

- `Harness`: feed it, see what comes out; no event loop, no socket, a clock that the test moves.
- `AsyncHarness`: the same for stages that really wait, on any event loop.

A rule for all inputs, by a check that raises `AssertionError` with the rule and the shortest input:

- `check_framer`, `check_codec`, `check_tap`, `check_limit`, `check_linear`.
- `check_cancellation`: cancels at every checkpoint. `check_channel`: trio's channel contract.

Two ends:

- `pipeline_pair`: two pipelines joined in memory, with `Cut`, `Stall` and `Reset` to order.

The names that need trio are loaded on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ._async_harness import AsyncHarness
from ._check_codec import check_codec
from ._check_framer import check_framer
from ._check_limit import check_limit
from ._check_linear import check_linear
from ._check_tap import check_tap
from ._harness import Harness

if TYPE_CHECKING:
    from ._check_cancellation import check_cancellation
    from ._check_channel import check_channel
    from ._faults import Cut, Reset, Stall
    from ._pair import pipeline_pair

__all__ = [
    "AsyncHarness",
    "Cut",
    "Harness",
    "Reset",
    "Stall",
    "check_cancellation",
    "check_channel",
    "check_codec",
    "check_framer",
    "check_limit",
    "check_linear",
    "check_tap",
    "pipeline_pair",
]

_NEED_TRIO = {
    "Cut": "_faults",
    "Reset": "_faults",
    "Stall": "_faults",
    "check_cancellation": "_check_cancellation",
    "check_channel": "_check_channel",
    "pipeline_pair": "_pair",
}
"""Where the names are that need trio: a harness works, and is imported, without it (DESIGN C5)."""


def __getattr__(name: str) -> Any:
    """Load a name that needs trio on first use."""
    if name not in _NEED_TRIO:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_NEED_TRIO[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
