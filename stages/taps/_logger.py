"""A line in the log for each item: `Logger`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, ClassVar

from pipeline import Inbound, Outbound, Passthrough

from ._check import check_functions
from ._half import Half

__all__ = ["Logger"]


class Logger(Passthrough):
    r"""Log each item that passes, one line each, in both directions; the items go on as they are.

    in:  b"hello"        out:  b"hello"

        → in  b'hello'
        ← out 'You sent: hello'
        → in  b'xxxxxxxxxxxxxxxxxxxxxxxxx'… (70000 bytes)

    While the logger is off for `level`, it costs nothing but the question. Whatever a peer sends, it
    stays within its line: what is not printable is shown as an escape.

    Where items may hold secrets, `redact` makes of each what is shown instead; the traffic stays as it is:

        Logger("app.orders", redact=lambda order: order | {"card": "..."})

    Args:
        logger_or_name: where to log: a `logging.Logger`, or the name of one.
        level: of the lines, as `logging.DEBUG`.
        format: of the lines, as for `str.format`: with `{arrow}`, `{direction}`, `{type}` and `{item}`.
        max_chars: how many characters of an item are shown; behind them comes its full length.
        redact: called with each item that is logged, and never while the level is off; returns what to
            show instead, or the item, which it must not alter. Where it raises, the line shows the
            type of the item and that of the error, nothing else of them. `{type}` stays the item's.

    Raises:
        ValueError: at once: the format does not work, or max_chars is below 1.
        TypeError: at once: no logger and no name, a level that is no int, or redact is no plain function.
    """

    def __init__(
        self,
        logger_or_name: logging.Logger | str = "stages.traffic",
        level: int = logging.DEBUG,
        format: str = "{arrow} {item}",  # noqa: A002 - the word users know it by
        max_chars: int = 200,
        *,
        redact: Callable[[Any], object] | None = None,
    ) -> None:
        if isinstance(logger_or_name, str):
            logger_or_name = logging.getLogger(logger_or_name)
        if not isinstance(logger_or_name, logging.Logger):
            raise TypeError(f"Logger({logger_or_name!r}): must be a logging.Logger or a name: Logger('app.wire')")
        if not isinstance(level, int):
            raise TypeError(f"Logger(level={level!r}): must be a number, as in Logger(level=logging.{level})")
        if max_chars < 1:
            raise ValueError(f"Logger(max_chars={max_chars}): must be 1 or more; to show no items, leave out {{item}}")
        if redact is not None:
            check_functions("Logger", redact=redact)
        line = _Line(format, max_chars, redact)
        super().__init__(LoggerInbound(logger_or_name, level, line), LoggerOutbound(logger_or_name, level, line))


class _Line:
    """How an item looks in the log."""

    def __init__(self, template: str, max_chars: int, redact: Callable[[Any], object] | None) -> None:
        self._template, self._max_chars, self._redact = template, max_chars, redact
        try:
            self._filled("inbound", "→ in ", None, "")
        except (LookupError, ValueError, AttributeError) as error:
            raise ValueError(
                f"Logger(format={template!r}): {error!r}. It may have {{arrow}}, {{direction}}, {{type}} and {{item}}, "
                f"as in Logger(format='{{arrow}} {{type}} {{item}}')"
            ) from None

    def __call__(self, direction: str, arrow: str, item: object) -> str:
        text = _shown(item, self._max_chars) if self._redact is None else self._redacted(self._redact, item)
        return self._filled(direction, arrow, item, text)

    def _redacted(self, redact: Callable[[Any], object], item: object) -> str:
        try:
            instead = redact(item)
        except Exception as error:
            # The error's text, and its traceback, might have the secret in them.
            return f"<{type(item).__name__}, not shown: redact raised {type(error).__name__}>"
        return _shown(instead, self._max_chars)

    def _filled(self, direction: str, arrow: str, item: object, text: str) -> str:
        return self._template.format(arrow=arrow, direction=direction, type=type(item).__name__, item=text)


def _shown(item: object, max_chars: int) -> str:
    """The item on one line: cut before it is shown where it can be, with its full length behind it."""
    try:
        text, size, unit = _beginning(item, max_chars)
    except Exception as error:
        return f"<{type(item).__name__}, whose repr raised {type(error).__name__}>"
    return f"{_printable(text)}… ({size} {unit})" if size > max_chars else _printable(text)


def _beginning(item: object, max_chars: int) -> tuple[str, int, str]:
    """How the item, or its beginning, looks; how long it is; and what that is counted in."""
    if isinstance(item, memoryview):
        item = bytes(item)
    if isinstance(item, str | bytes | bytearray):
        # Whole where it fits: it may be of a class with a repr of its own, such as an enum's.
        cut = item if len(item) <= max_chars else item[:max_chars]
        return repr(cut), len(item), "characters" if isinstance(item, str) else "bytes"
    text = repr(item)
    return text[:max_chars], len(text), "characters"


def _printable(text: str) -> str:
    """The text with everything escaped that could end the line, move the cursor or turn the direction of writing."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


class _LoggerHalf(Half):
    shareable = True
    direction: ClassVar[str]
    arrow: ClassVar[str]

    def __init__(self, logger: logging.Logger, level: int, line: _Line) -> None:
        self._logger, self._level, self._line = logger, level, line

    def process_one(self, item: Any, /) -> Any:
        if self._logger.isEnabledFor(self._level):
            self._logger.log(self._level, "%s", self._line(self.direction, self.arrow, item))
        return item


class LoggerInbound(_LoggerHalf, Inbound[Any, Any]):
    """Inbound half of `Logger`."""

    name = "Logger.inbound"
    direction = "inbound"
    arrow = "→ in "


class LoggerOutbound(_LoggerHalf, Outbound[Any, Any]):
    """Outbound half of `Logger`."""

    name = "Logger.outbound"
    direction = "outbound"
    arrow = "← out"
