"""What all framers share: the unfinished frame, limits, skipping, the end of the stream, giving back.

Rules for this file: it knows no format. A format is a subclass of `InboundFramer` which says

    _next(data, at)      where the frame that begins at `at` ends, or None: not in `data`    (must)
    _may_complete(data)  whether `data`, behind the unfinished frame, is worth a `_next`     (to be linear)
    _cut(data)           all frames of `data` as a list, where nothing is wrong with them    (to be fast)

and `_cut` falls back on `_carefully`, which goes from frame to frame, lazily. So whatever is out of the
ordinary (a frame too long, a corrupt one) happens when the frames before it were taken, and not before.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NoReturn, Self, TypeAlias, cast

from pipeline import Duplex, FrameError, FrameTooLongError, Inbound, IncompleteFrameError, Outbound, Result

from .._arguments import check_choice, check_size
from .._bytes import BytesLike, as_bytes

__all__ = ["AtEOF", "Framer", "InboundFramer", "OutboundFramer", "Oversize", "check_choice", "check_size"]

AtEOF: TypeAlias = Literal["error", "emit", "drop"]
Oversize: TypeAlias = Literal["error", "skip"]

_log = logging.getLogger("stages.framing")


def all_fit(frames: list[bytes], data: bytes, at: int, mark: bytes | None, most: int) -> bool:
    """Whether all frames cut from `data`, and the unfinished one at `at`, are within the limit; False when in doubt.

    `mark` is what each ended in, if it was always the same and cannot overlap itself: that is quicker.
    """
    size = len(data)
    if size <= most:
        return True
    if mark is None or size > 16 * most:
        return max(map(len, frames), default=0) <= most and size - at <= most
    # From limit to limit: far fewer steps than frames.
    at = 0
    while size - at > most:
        end = data.rfind(mark, at, at + most + len(mark))
        if end < 0:
            return False
        at = end + len(mark)
    return True


class _Half:
    """Does not keep what it was made with, as other stages do for their `repr`: its framer shows it."""

    name: str

    if not TYPE_CHECKING:  # the checkers are to see the subclass's own __init__ only

        def __new__(cls, *_: Any, **__: Any) -> Self:
            return object.__new__(cls)

    def __repr__(self) -> str:
        return self.name


class InboundFramer(_Half, Inbound[BytesLike, bytes]):
    """The inbound half of a framer: pieces of a byte stream in, frames out.

    in:  b"AB"  b"C|D"  b"E|"        out:  b"ABC"  b"DE"

    Args:
        max_bytes: the longest frame accepted, in bytes as the format counts them.
        at_eof: what to do with an unfinished frame when the stream ends.
        oversize: whether a frame over the limit is an error or is dropped.

    Attributes:
        skipped: frames dropped because they were over the limit.
    """

    framer: ClassVar[str]
    """How messages call the stage."""
    unit: ClassVar[str] = "frame"
    """How messages call a frame."""
    only_items = True
    never_expands = True
    can_skip: ClassVar[bool] = True
    """Whether it has the parameter `oversize`."""
    _to_drop = 0
    """Bytes still to come of a frame that is being dropped, where the format says so in front."""

    def __init__(self, *, max_bytes: int, at_eof: AtEOF = "error", oversize: Oversize = "error") -> None:
        check_choice(self.framer, "at_eof", at_eof, ("error", "emit", "drop"))
        check_choice(self.framer, "oversize", oversize, ("error", "skip"))
        self.skipped = 0
        self._max_bytes, self._at_eof, self._oversize = max_bytes, at_eof, oversize
        self._failure: FrameError | None = None
        self._skipping = False  # inside a frame that is being dropped; nothing of it is kept
        self._tail = bytearray()  # the unfinished frame
        # For unread(): the bytes that the last results were cut from, and how far `_walk` is or how many were given.
        self._source = b""
        self._at = 0
        self._walking = False
        self._given = 0

    def process_sync(self, data: BytesLike, /) -> Result[bytes]:
        """Cut the frames that end in `data`.

        Raises:
            FrameTooLongError: as soon as it is certain, after the frames before it; the stage stays failed.
            CorruptFrameError: the same.
        """
        if type(data) is not bytes:
            data = as_bytes(self.framer, data)
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        if self._tail:
            if not self._may_complete(data):
                self._tail += data
                return ()
            data = b"".join((self._tail, data))
            self._tail = bytearray()
        return self._cut(data)

    async def finish(self) -> Result[bytes]:
        """End of the stream: what is left of an unfinished frame is an error, the last frame, or dropped."""
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        return self._end_of_stream()

    def _end_of_stream(self) -> Result[bytes]:
        # Of a frame that is being dropped, what is still here depends on how the stream was cut.
        leftover, self._tail = b"" if self._skipping else bytes(self._tail), bytearray()
        if not leftover and not self._skipping:
            return ()
        if self._at_eof == "error":
            raise IncompleteFrameError(f"{self.framer}: {self._what_is_missing(leftover)}", leftover=leftover)
        return self._last(leftover) if self._at_eof == "emit" and not self._skipping else ()

    def unread(self, outputs: Iterable[Any], /) -> Iterable[bytes] | None:
        """Give back the bytes after the last frame taken, and be empty.

        Returns:
            At most one piece of bytes; None after an error, and inside a frame whose beginning was dropped.
        """
        untaken = len(list(outputs))
        if self._failure is not None or self._skipping:
            return None
        if untaken:
            self._at = 0
            for _ in range(self._given - untaken):
                # They were cut from these bytes before, so they are there.
                _, self._at = cast("tuple[bytes, int]", self._next(self._source, self._at))
        rest = self._source[self._at :] if untaken or self._walking else bytes(self._tail)
        self._tail, self._source, self._at, self._walking, self._given = bytearray(), b"", 0, False, 0
        return [rest] if rest else []

    @property
    def holds(self) -> int:
        """Bytes of an unfinished frame, or not cut yet; at least 1 inside a frame that is being dropped."""
        held = len(self._source) - self._at if self._walking else len(self._tail)
        return held or int(self._skipping)

    # ---- what a format says

    def _next(self, data: bytes, at: int) -> tuple[bytes | None, int] | None:
        """Cut one frame, or a part of one that is being dropped.

        Returns:
            The frame (None: nothing to deliver) and where the next one begins; None: `data` must go on first.

        Raises:
            FrameError: what begins at `at` can be no frame.
        """
        raise NotImplementedError

    def _may_complete(self, data: bytes) -> bool:
        """Whether the unfinished frame with `data` behind it is worth cutting; cheap, and True when in doubt."""
        return True

    def _cut(self, data: bytes) -> Result[bytes]:
        """Cut all frames of `data`, which begins with a frame, or inside one that is being dropped."""
        return self._carefully(data)

    def _last(self, leftover: bytes) -> Result[bytes]:
        """Make a frame of what is left at the end of the stream."""
        return [leftover]

    def _what_is_missing(self, leftover: bytes) -> str:
        """Say in what the stream ended."""
        if self._skipping:
            more = f"; {self._to_drop} more bytes were to come" if self._to_drop else ""
            return f"the stream ended inside a {self.unit} over the limit, which was being dropped{more}"
        return f"the stream ended {len(leftover)} bytes into a {self.unit}"

    # ---- what a format uses

    def _carefully(self, data: bytes) -> Iterator[bytes]:
        """Cut `data` frame by frame, only when asked for the next one."""
        # Not in the generator: one that is closed before its first frame never runs.
        self._source, self._at, self._walking = data, 0, True
        return self._walk()

    def _walk(self) -> Iterator[bytes]:
        try:
            while (found := self._next(self._source, self._at)) is not None:
                frame, self._at = found
                if frame is not None:
                    yield frame
        except FrameError as error:
            self._failure, self._source, self._walking = error, b"", False
            raise
        self._tail = bytearray(self._source[self._at :])
        self._source, self._walking = b"", False

    def _drop(self, data: bytes, at: int) -> tuple[None, int] | None:
        """Go past what is there of the `_to_drop` bytes that are dropped: return this from `_next`."""
        part = min(len(data) - at, self._to_drop)
        self._to_drop -= part
        self._skipping = self._to_drop > 0
        return (None, at + part) if part else None

    def _gives(self, frames: list[bytes], source: bytes, at: int) -> list[bytes]:
        """The frames of `source`, in which the unfinished one begins at `at`: return this from `_cut`."""
        self._source, self._given = source, len(frames)
        if at < len(source):
            self._tail = bytearray(source[at:])
        return frames

    def _too_long(self, size: int) -> None:
        """A frame is over the limit: raise, or count it and begin to drop it.

        Args:
            size: the bytes it is certain to have; must not depend on how the stream was cut.
        """
        what = f"{self.framer}: a {self.unit} of at least {size} bytes is over the limit, max_bytes={self._max_bytes}"
        if self._oversize == "error":
            or_skip = f", or drop such {self.unit}s: oversize='skip'" if self.can_skip else ""
            raise FrameTooLongError(
                f"{what}. Raise max_bytes if it is a right one{or_skip}",
                limit=self._max_bytes,
                size=size,
            )
        self.skipped += 1
        self._skipping = True
        _log.warning("%s; dropped, number %d of this stream", what, self.skipped)


class OutboundFramer(_Half, Outbound[BytesLike, bytes]):
    """The outbound half of a framer: payloads in, frames as they go on the wire out; holds nothing."""

    keeps_outbound_state = False
    holds = 0
    only_items = True
    framer: ClassVar[str]
    unit: ClassVar[str] = "frame"
    """How messages call what is written."""
    _max_bytes: int

    def _refuse_long(self, size: int) -> NoReturn:
        """What would be written is over the limit."""
        raise FrameTooLongError(
            f"{self.framer}: a {self.unit} of {size} bytes is over the limit, max_bytes={self._max_bytes}; "
            f"nothing was written. Raise max_bytes, here and at the peer",
            limit=self._max_bytes,
            size=size,
        )


class Framer(Duplex[BytesLike, bytes, BytesLike, bytes]):
    """Cuts a byte stream into frames inbound, makes frames of payloads outbound."""

    def __init__(self, inbound: InboundFramer, outbound: OutboundFramer) -> None:
        super().__init__(inbound, outbound)
        self._framer = inbound

    @property
    def skipped(self) -> int:
        """Frames dropped so far because they were over the limit (`oversize="skip"`)."""
        return self._framer.skipped
