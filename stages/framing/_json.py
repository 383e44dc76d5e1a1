"""JSON objects and arrays one after another: `JSONFramer`.

RFC 8259. The framer finds where a value ends (`_json_scan.py`), by its brackets and strings, not whether it is
right: what stands between them is left to a codec.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pipeline import CorruptFrameError, FrameError, Result

from .._bytes import BytesLike, as_bytes
from ._base import Framer, InboundFramer, OutboundFramer, check_size
from ._json_scan import CLOSERS, SPACE, Scanner, behind, value_pattern

__all__ = ["JSONFramer"]

_DEFAULT_BYTES = 1048576
_DEFAULT_DEPTH = 64
_MOST_SPACE = 65536
"""White space between two values that is kept, to be given back; beyond, it is dropped as it comes."""


class JSONFramer(Framer):
    r"""Cut a byte stream into JSON objects and arrays, one after another.

    in:  b'{"a": 1}[2'  b',3]\n{}'        out:  b'{"a": 1}'  b"[2,3]"  b"{}"

    There may be white space between them. A frame is the bytes of the value itself, and outbound adds nothing.
    Whether they are JSON is for a codec to say: the framer looks at brackets and strings.

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


class JSONInbound(InboundFramer):
    """The inbound half of `JSONFramer`."""

    name = "JSONFramer.inbound"
    framer = "JSONFramer"
    unit = "value"
    can_skip = False

    def __init__(self, max_bytes: int, max_depth: int) -> None:
        super().__init__(max_bytes=max_bytes)
        self._match = value_pattern(max_depth).match
        self._scan = Scanner(max_depth)
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
        if SPACE.fullmatch(data) is None:
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
        start = behind(SPACE, data, at)
        if start == len(data):
            return None
        if data[start] not in CLOSERS:
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
    unit = "value"

    def __init__(self, max_bytes: int, max_depth: int) -> None:
        self._max_bytes, self._max_depth = max_bytes, max_depth
        self._match = value_pattern(max_depth).fullmatch

    def process_sync(self, payload: BytesLike, /) -> Result[bytes]:
        """Pass one object or array on as it is.

        Raises:
            FrameTooLongError: it is over the limit, or nested too deeply; nothing is written.
            CorruptFrameError: it is less or more than one object or array; nothing is written.
        """
        if type(payload) is not bytes:
            payload = as_bytes("JSONFramer", payload)
        if len(payload) > self._max_bytes:
            self._refuse_long(len(payload))
        found = self._match(payload)
        if found is None or found.start(1):
            self._check(payload)
        return [payload]

    def _check(self, payload: bytes) -> None:
        """Refuse what is not one value; the pattern did not say so."""
        if not payload or payload[0] not in CLOSERS:
            raise CorruptFrameError(
                f"JSONFramer: the payload begins with {payload[:20]!r}, not with an object or an array, and nothing "
                f"else says where it ends. Put it in an array, or send one value a line: LineFramer()"
            )
        scan = Scanner(self._max_depth)
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
