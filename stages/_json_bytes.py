"""JSON as stages write it, by the standard library: UTF-8, as short as can be (RFC 8259)."""

from __future__ import annotations

import json
from typing import Any, Final

_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def json_bytes(value: Any) -> bytes:
    """Encode a value.

    Raises:
        TypeError: JSON has no such type.
        ValueError: it is no JSON value (NaN, an infinity), or contains itself.
        RecursionError: it is nested too deeply.
    """
    # A lone surrogate is no UTF-8, but may stand in JSON as an escape, and this is how it is written.
    return _ENCODER.encode(value).encode("utf-8", "backslashreplace")
