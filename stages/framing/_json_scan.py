"""Where a JSON object or array ends: at the speed of C where it is whole, in linear time where it comes in pieces.

RFC 8259: the only brackets and quotes which count are those outside strings, and in a string a backslash takes
the next byte along. All of them are ASCII, and no byte of a longer UTF-8 character is.

How it is fast: `re` goes through whole values, several levels deep. Every quantifier in its patterns is
possessive (`*+`), so a match that fails gives nothing back and tries nothing twice. How it is linear: where a
value is unfinished or deeper, `Scanner` goes from bracket to bracket, keeps its place, and looks at each byte of
a piece a few times at most, however many pieces there are.
"""

from __future__ import annotations

import functools
import re
from typing import Final, cast

from pipeline import CorruptFrameError, FrameTooLongError

__all__ = ["CLOSERS", "SPACE", "Scanner", "behind", "value_pattern"]

CLOSERS: Final = {ord("{"): ord("}"), ord("["): ord("]")}
"""What closes what opens a value."""
_FAST_LEVELS = 4
"""How deep the patterns go; each level doubles them."""

_SPACE = rb"[ \t\n\r]*+"
_PLAIN = rb'[^"{}\[\]]*+'
# All but quote and backslash; as three ranges it becomes a table, which is five times as fast as `[^"\\]`.
_TEXT = rb"(?:[\x00-!#-\[\]-\xff]*+(?:\\.[\x00-!#-\[\]-\xff]*+)*+)"

SPACE = re.compile(_SPACE)
_text = re.compile(_TEXT, re.DOTALL)


def _content(levels: int) -> bytes:
    """A pattern for what may stand in brackets, with values in it nested `levels` deep."""
    parts = b'"' + _TEXT + b'"' + (b"|" + _value(levels) if levels else b"")
    return _PLAIN + b"(?:(?:" + parts + b")" + _PLAIN + b")*+"


def _value(levels: int) -> bytes:
    content = _content(levels - 1)
    return rb"\{" + content + rb"\}|\[" + content + rb"\]"


@functools.cache  # compiling takes 20 ms, so it waits for the first framer
def _spaced_value(levels: int) -> re.Pattern[bytes]:
    return re.compile(_SPACE + b"(" + _value(levels) + b")", re.DOTALL)


@functools.cache
def _contents(levels: int) -> re.Pattern[bytes]:
    return re.compile(_content(levels), re.DOTALL)


def value_pattern(max_depth: int) -> re.Pattern[bytes]:
    """A pattern for white space and, as its group 1, a value; of many levels it knows the first few only."""
    return _spaced_value(min(_FAST_LEVELS, max_depth))


def behind(pattern: re.Pattern[bytes], data: bytes, at: int) -> int:
    """Where the match of a pattern ends that matches nothing, too."""
    return cast("re.Match[bytes]", pattern.match(data, at)).end()


class Scanner:
    """Finds the end of one value, which may come in pieces; keeps its place between them."""

    def __init__(self, max_depth: int) -> None:
        self._max_depth = max_depth
        self._size = 0  # bytes of the value so far
        self.closers = bytearray()  # the brackets that are missing, outermost first
        self.in_string = False
        self._escaped = False  # the last byte was the backslash of an escape

    @property
    def least(self) -> int:
        """The bytes that the value has at least: those that were there, and what must follow."""
        return self._size + len(self.closers) + self.in_string + self._escaped

    def begin(self, opener: int) -> None:
        """Begin a value behind its bracket."""
        self._size, self.in_string, self._escaped = 1, False, False
        self.closers[:] = (CLOSERS[opener],)

    def clear(self) -> None:
        """Be outside of any value."""
        self.closers.clear()

    def go_on(self, data: bytes, at: int) -> int | None:
        """Go on with `data` from `at` and return where the value ends; None: not in `data`.

        Raises:
            FrameError: wrong brackets; `least` then counts the bytes before the wrong one.
        """
        before = self._size - at
        while (at := self._next_bracket(data, at)) < len(data):
            self._size = before + at
            self._pass(data[at])
            at += 1
            if not self.closers:
                self._size += 1
                return at
        self._size = before + at
        return None

    def _next_bracket(self, data: bytes, at: int) -> int:
        """Where the next bracket is that must be looked at; the end of `data` if it is not there."""
        if self.in_string:
            at = self._through_string(data, at)
        if at < len(data):
            # Values that fit into the depth that is left are passed as a whole.
            levels = min(_FAST_LEVELS - 1, self._max_depth - len(self.closers))
            at = behind(_contents(levels), data, at)
        if data.startswith(b'"', at):
            # A whole string would have been passed, so this one goes on behind `data`.
            self.in_string = True
            at = self._through_string(data, at + 1)
        return at

    def _through_string(self, data: bytes, at: int) -> int:
        """Where the string ends that `at` is in, behind its quote; the end of `data` if it goes on."""
        if self._escaped and at < len(data):
            self._escaped = False
            at += 1
        end = behind(_text, data, at)
        if data.startswith(b'"', end):
            self.in_string = False
            return end + 1
        self._escaped = self._escaped or end < len(data)  # only a backslash, the last byte, can be there
        return len(data)

    def _pass(self, bracket: int) -> None:
        closer = CLOSERS.get(bracket)
        if closer is not None:
            if len(self.closers) == self._max_depth:
                raise FrameTooLongError(
                    f"JSONFramer: a value nested {self._max_depth + 1} deep is over the limit, max_depth="
                    f"{self._max_depth}. Raise max_depth if it is a right one",
                    limit=self._max_depth,
                    size=self._max_depth + 1,
                )
            self.closers.append(closer)
        elif self.closers[-1] != bracket:
            raise CorruptFrameError(
                f"JSONFramer: '{bracket:c}' {self._size} bytes into a value, where only '{self.closers[-1]:c}' may "
                f"close, {len(self.closers)} deep"
            )
        else:
            self.closers.pop()
