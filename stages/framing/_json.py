"""JSON objects and arrays one after another: `JSONFramer`.

RFC 8259: the only brackets and quotes which count are those outside strings, and in a string a backslash takes
the next byte along. All of them are ASCII, and no byte of a longer UTF-8 character is. What stands between
them is left to a codec: the framer finds where a value ends, not whether it is right.

How it is fast: `re` goes through whole values, several levels deep, at the speed of C. Every quantifier in its
patterns is possessive (`*+`), so a match that fails gives nothing back and tries nothing twice. How it is
linear: where a value is unfinished or deeper, `_Scanner` goes from bracket to bracket, keeps its place, and
looks at each byte of a piece a few times at most, however many pieces there are.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import Any, Final, cast

from pipeline import CorruptFrameError, FrameError, FrameTooLongError, Result

from .._bytes import BytesLike, as_bytes
from ._base import Framer, InboundFramer, OutboundFramer, check_size

__all__ = ["JSONFramer"]

_DEFAULT_BYTES = 1048576
_DEFAULT_DEPTH = 64

_QUOTE = ord('"')
_CLOSERS: Final = {ord("{"): ord("}"), ord("["): ord("]")}
_FAST_LEVELS = 4
"""How deep the patterns go; each level doubles them."""
_MOST_SPACE = 65536
"""White space between two values that is kept, to be given back; beyond, it is dropped as it comes."""

_SPACE = rb"[ \t\n\r]*+"
_PLAIN = rb'[^"{}\[\]]*+'
# All but quote and backslash; as three ranges it becomes a table, which is five times as fast as `[^"\\]`.
_TEXT = rb"(?:[\x00-!#-\[\]-\xff]*+(?:\\.[\x00-!#-\[\]-\xff]*+)*+)"

_space = re.compile(_SPACE)
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


def _behind(pattern: re.Pattern[bytes], data: bytes, at: int) -> int:
    """Where the match of a pattern ends that matches nothing, too."""
    return cast("re.Match[bytes]", pattern.match(data, at)).end()


class JSONFramer(Framer):
    r"""Cut a byte stream into JSON objects and arrays, which follow each other with or without white space.

    in:  b'{"a": 1}[2'  b',3]\n{}'        out:  b'{"a": 1}'  b"[2,3]"  b"{}"

    A frame is the bytes of the value itself; outbound adds nothing. Whether they are JSON is for a codec to
    say: the framer looks at brackets and strings.

    Args:
        max_bytes: the longest value in bytes; white space around it does not count.
        max_depth: how deep objects and arrays may be nested; `[[]]` is 2 deep.

    Raises:
        FrameTooLongError: as soon as a value is certain to be over `max_bytes`, or is nested deeper than
            `max_depth` (`limit` and `size` are levels then); inbound stays failed. Outbound refuses such a
            payload, and goes on.
        CorruptFrameError: brackets that do not match, or anything but objects, arrays and white space at
            top level; inbound stays failed. Outbound: the payload is not exactly one object or array, so the
            peer would see something else than was sent; goes on.
        IncompleteFrameError: the stream ended inside a value; `leftover` has it.
    """

    def __init__(self, max_bytes: int = _DEFAULT_BYTES, *, max_depth: int = _DEFAULT_DEPTH) -> None:
        check_size("JSONFramer", "max_bytes", max_bytes, default=_DEFAULT_BYTES)
        _check_depth(max_depth)
        super().__init__(JSONInbound(max_bytes, max_depth), JSONOutbound(max_bytes, max_depth))


def _check_depth(depth: object) -> None:
    if isinstance(depth, int) and not isinstance(depth, bool) and depth >= 1:
        return
    kind = ValueError if isinstance(depth, int) else TypeError
    raise kind(
        f"JSONFramer(max_depth={depth!r}): must be a whole number of levels, 1 or more. Leave it out for the default: "
        f"JSONFramer(max_depth={_DEFAULT_DEPTH})"
    )


class _Scanner:
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
        self.closers[:] = (_CLOSERS[opener],)

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
            at = _behind(_contents(levels), data, at)
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
        end = _behind(_text, data, at)
        if data.startswith(b'"', end):
            self.in_string = False
            return end + 1
        self._escaped = self._escaped or end < len(data)  # only a backslash, the last byte, can be there
        return len(data)

    def _pass(self, bracket: int) -> None:
        closer = _CLOSERS.get(bracket)
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


class JSONInbound(InboundFramer):
    """The inbound half of `JSONFramer`."""

    name = "JSONFramer.inbound"
    framer = "JSONFramer"
    unit = "value"
    can_skip = False

    def __init__(self, max_bytes: int, max_depth: int) -> None:
        super().__init__(max_bytes=max_bytes)
        self._match = _spaced_value(min(_FAST_LEVELS, max_depth)).match
        self._scan = _Scanner(max_depth)
        self._start = 0  # of the unfinished value, behind the white space in `_tail`
        self._end = 0  # of the same, once it is known
        self._space_lost = False  # white space before `_tail` is not there any more

    @property
    def holds(self) -> int:
        """Bytes of an unfinished value, or not cut yet; white space between values is nothing unfinished."""
        return super().holds if self._walking or self._scan.closers else 0

    async def finish(self) -> Result[bytes]:
        """End of the stream: an unfinished value is an error, white space is not."""
        del self._tail[: self._start if self._scan.closers else None]
        return await super().finish()

    def unread(self, outputs: Iterable[Any], /) -> Iterable[bytes] | None:
        """Give back the bytes after the last value taken, and be empty.

        Returns:
            At most one piece of bytes; None after an error, and where more than 64 KiB of white space came
            since the last value.
        """
        return None if self._space_lost else super().unread(outputs)

    def _may_complete(self, data: bytes) -> bool:
        if not self._scan.closers:
            return self._is_more_than_space(data)
        try:
            end = self._end_in(data, 0)
        except FrameError:
            return True  # it is raised again, behind the frames before it
        if end is not None:
            self._end = len(self._tail) + end
        return end is not None

    def _is_more_than_space(self, data: bytes) -> bool:
        if _space.fullmatch(data) is None:
            return True
        if len(self._tail) + len(data) > _MOST_SPACE:
            self._tail.clear()
            self._space_lost = True
        return False

    def _cut(self, data: bytes) -> Result[bytes]:
        at, self._end = self._end, 0
        if self._space_lost:
            return self._carefully(data)
        frames = [data[self._start : at]] if at else []
        match = self._match
        try:
            while True:
                while (found := match(data, at)) is not None:
                    frames.append(found[1])
                    at = found.end()
                # Here is a value deeper than the pattern goes, an unfinished one, or something wrong.
                deeper = self._next(data, at)
                if deeper is None:
                    break
                frames.append(deeper[0])
                at = deeper[1]
        except FrameError:
            return self._carefully(data)
        if max(map(len, frames), default=0) > self._max_bytes:
            return self._carefully(data)
        return self._gives(frames, data, at)

    def _next(self, data: bytes, at: int) -> tuple[bytes, int] | None:
        self._scan.clear()
        start = _behind(_space, data, at)
        if start == len(data):
            return None
        if data[start] not in _CLOSERS:
            raise CorruptFrameError(
                f"JSONFramer: {data[start : start + 1]!r} where an object or an array must begin. Other values do not "
                f"say where they end: send one a line and take LineFramer(), or put them in an array"
            )
        self._start = start - at
        self._scan.begin(data[start])
        end = self._end_in(data, start + 1)
        if end is None:
            return None
        self._space_lost = False  # it was before a frame that is given now
        return data[start:end], end

    def _end_in(self, data: bytes, at: int) -> int | None:
        """Where the value that is being scanned ends; None: not in `data`."""
        wrong: FrameError | None = None
        end = None
        try:
            end = self._scan.go_on(data, at)
        except FrameError as error:
            wrong = error
        # What is certain first, counts: too long before what is wrong behind.
        if self._scan.least > self._max_bytes:
            self._too_long(self._max_bytes + 1)
        if wrong is not None:
            raise wrong
        return end

    def _what_is_missing(self, leftover: bytes) -> str:
        where = ", inside a string" if self._scan.in_string else ""
        closers = bytes(self._scan.closers[:-21:-1]).decode()
        return f"{super()._what_is_missing(leftover)}{where}, before its {closers!r}"


class JSONOutbound(OutboundFramer):
    """The outbound half of `JSONFramer`: refuses what inbound would not read as that one value (F5)."""

    name = "JSONFramer.outbound"
    framer = "JSONFramer"

    def __init__(self, max_bytes: int, max_depth: int) -> None:
        self._max_bytes, self._max_depth = max_bytes, max_depth
        self._match = _spaced_value(min(_FAST_LEVELS, max_depth)).fullmatch

    def process_sync(self, payload: BytesLike, /) -> Result[bytes]:
        """Pass one object or array on as it is.

        Raises:
            FrameTooLongError: it is over the limit, or nested too deeply; nothing is written.
            CorruptFrameError: it is less or more than one object or array; nothing is written.
        """
        if type(payload) is not bytes:
            payload = as_bytes("JSONFramer", payload)
        if len(payload) > self._max_bytes:
            raise FrameTooLongError(
                f"JSONFramer: a value of {len(payload)} bytes is over the limit, max_bytes={self._max_bytes}; "
                f"nothing was written. Raise max_bytes, here and at the peer",
                limit=self._max_bytes,
                size=len(payload),
            )
        found = self._match(payload)
        if found is None or found.start(1):
            self._check(payload)
        return [payload]

    def _check(self, payload: bytes) -> None:
        """Refuse what is not one value; the pattern did not say so."""
        if not payload or payload[0] not in _CLOSERS:
            raise CorruptFrameError(
                f"JSONFramer: the payload begins with {payload[:20]!r}, not with an object or an array, and nothing "
                f"else says where it ends. Put it in an array, or send one value a line: LineFramer()"
            )
        scan = _Scanner(self._max_depth)
        scan.begin(payload[0])
        end = scan.go_on(payload, 1)
        if end is None:
            raise CorruptFrameError(
                f"JSONFramer: the payload's {len(payload)} bytes are the beginning of a value only, so the peer would "
                f"take the next one for a part of it: {payload[:20]!r}..."
            )
        if end < len(payload):
            raise CorruptFrameError(
                f"JSONFramer: the payload's value ends after {end} of {len(payload)} bytes, and the peer would take "
                f"the rest for another: {payload[end : end + 20]!r}. Send one value an item, without white space "
                f"around it"
            )
