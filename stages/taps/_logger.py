"""A line in the log for each item: `Logger`."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, ClassVar

from pipeline import Inbound, Outbound, Passthrough, Result, Stage

__all__ = ["Logger"]


class Logger(Passthrough):
    r"""Log each item that passes, one line each, in both directions; the items go on as they are.

    in:  b"hello"        out:  b"hello"

        → in   b'hello'
        ← out  'You sent: hello'
        → in   b'xxxxxxxxxxxxxxxxxxxxxxxxx'… (70000 bytes)

    While the logger is off for `level`, it costs nothing but the question. Whatever a peer sends, it
    stays within its line: what is not printable is shown as an escape.

    Args:
        logger_or_name: where to log: a `logging.Logger`, or the name of one.
        level: of the lines, as `logging.DEBUG`.
        format: of the lines, as for `str.format`: with `{arrow}`, `{direction}`, `{type}` and `{item}`.
        max_chars: how many characters of an item are shown; behind them comes its full length.

    Raises:
        ValueError: at once: the format does not work, or max_chars is below 1.
        TypeError: at once: no logger and no name, or a level that is no int.
    """

    def __init__(
        self,
        logger_or_name: logging.Logger | str = "stages.traffic",
        level: int = logging.DEBUG,
        format: str = "{arrow} {item}",  # noqa: A002 - the word users know it by
        max_chars: int = 200,
    ) -> None:
        if isinstance(logger_or_name, str):
            logger_or_name = logging.getLogger(logger_or_name)
        if not isinstance(logger_or_name, logging.Logger):
            raise TypeError(f"Logger({logger_or_name!r}): must be a logging.Logger or a name: Logger('app.wire')")
        if not isinstance(level, int):
            raise TypeError(f"Logger(level={level!r}): must be a number, as in Logger(level=logging.{level})")
        if max_chars < 1:
            raise ValueError(f"Logger(max_chars={max_chars}): must be 1 or more; to show no items, leave out {{item}}")
        line = _Line(format, max_chars)
        super().__init__(LoggerInbound(logger_or_name, level, line), LoggerOutbound(logger_or_name, level, line))


class _Line:
    """How an item looks in the log."""

    def __init__(self, template: str, max_chars: int) -> None:
        self._template, self._max_chars = template, max_chars
        try:
            self("inbound", "→ in ", None)
        except (LookupError, ValueError, AttributeError) as error:
            raise ValueError(
                f"Logger(format={template!r}): {error!r}. It may have {{arrow}}, {{direction}}, {{type}} and {{item}}, "
                f"as in Logger(format='{{arrow}} {{type}} {{item}}')"
            ) from None

    def __call__(self, direction: str, arrow: str, item: object) -> str:
        return self._template.format(
            arrow=arrow, direction=direction, type=type(item).__name__, item=_shown(item, self._max_chars)
        )


def _shown(item: object, max_chars: int) -> str:
    """The item on one line: cut before it is shown where it can be, with its full length behind it."""
    if isinstance(item, str | bytes | bytearray | memoryview):
        size = item.nbytes if isinstance(item, memoryview) else len(item)
        cut: object = item
        if size > max_chars:
            cut = item.tobytes()[:max_chars] if isinstance(item, memoryview) else item[:max_chars]
        elif isinstance(item, memoryview):
            cut = item.tobytes()
        unit = "characters" if isinstance(item, str) else "bytes"
        return f"{_printable(repr(cut))}… ({size} {unit})" if size > max_chars else _printable(repr(cut))
    try:
        text = repr(item)
    except Exception as error:
        text = f"<{type(item).__name__}, whose repr raised {type(error).__name__}>"
    if len(text) <= max_chars:
        return _printable(text)
    return f"{_printable(text[:max_chars])}… ({len(text)} characters)"


def _printable(text: str) -> str:
    """The text with everything escaped that could end the line, move the cursor or turn the direction of writing."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


class _LoggerHalf(Stage[Any, Any]):
    shareable = True
    keeps_outbound_state = False
    holds = 0
    is_tap = True
    direction: ClassVar[str]
    arrow: ClassVar[str]

    def __init__(self, logger: logging.Logger, level: int, line: _Line) -> None:
        self._logger, self._level, self._line = logger, level, line

    def process_sync(self, item: Any, /) -> Result[Any]:
        if self._logger.isEnabledFor(self._level):
            self._logger.log(self._level, "%s", self._line(self.direction, self.arrow, item))
        return [item]

    def unread(self, outputs: Iterable[Any], /) -> Iterable[Any]:
        return list(outputs)


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
