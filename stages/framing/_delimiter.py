"""Frames that end in one of some delimiters: `DelimiterFramer`.

Where a frame ends came from Netty's DelimiterBasedFrameDecoder: the shortest frame wins. As a delimiter may
contain another one, two rules more:

- At one place the longest delimiter wins, so of CR and CRLF the CR is not cut from its LF.
- What is here may be the beginning of a longer delimiter which would win. Then the frame waits for the next bytes,
  or the outcome would depend on how the stream was cut; the end of the stream decides what still waits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from operator import add
from typing import NoReturn

from pipeline import CorruptFrameError, Result

from .._bytes import BytesLike, as_bytes
from ._base import AtEOF, Framer, InboundFramer, OutboundFramer, Oversize, all_fit, check_size

__all__ = ["DelimiterFramer"]

_DEFAULT_BYTES = 65536


class DelimiterFramer(Framer):
    r"""Cut a byte stream at delimiters, and write frames with a delimiter behind each.

    in:  b"A"  b"B\0CD"  b"E\0"        DelimiterFramer(b"\0")        out:  b"AB"  b"CDE"

    Args:
        delimiters: one or more, of any length. A frame ends at the first place where one is, and of
            several at that place the longest counts. Outbound adds the first one given.
        max_bytes: the longest frame in bytes, without its delimiter.
        keep_delimiter: frames come with their delimiters, and outbound takes frames with exactly one.
        at_eof: an unfinished last frame is an "error", or "emit" it as a frame, or "drop" it.
        oversize: a frame over the limit is an "error", or "skip" it (counted in `skipped`).

    Raises:
        FrameTooLongError: as soon as a frame is certain to be over `max_bytes`; inbound stays failed.
            Outbound refuses such a frame, and goes on.
        CorruptFrameError: outbound: with what is written before and behind it, the peer would cut this
            frame elsewhere; nothing was written, and outbound goes on.
        IncompleteFrameError: the stream ended inside a frame; `leftover` has it.
    """

    def __init__(
        self,
        *delimiters: bytes,
        max_bytes: int = _DEFAULT_BYTES,
        keep_delimiter: bool = False,
        at_eof: AtEOF = "error",
        oversize: Oversize = "error",
    ) -> None:
        check_size("DelimiterFramer", "max_bytes", max_bytes, default=_DEFAULT_BYTES)
        marks = _Delimiters(delimiters)
        super().__init__(
            DelimiterInbound(marks, max_bytes, keep_delimiter=keep_delimiter, at_eof=at_eof, oversize=oversize),
            DelimiterOutbound(marks, max_bytes, keep_delimiter=keep_delimiter),
        )


class _Delimiters:
    """The delimiters, checked, and what can be known of them before any data is there."""

    def __init__(self, given: tuple[BytesLike, ...]) -> None:
        _check(given)
        self.first = bytes(given[0])
        # Where one is tried before another at a place, it is because it is longer.
        self.all = sorted(map(bytes, given), key=len, reverse=True)
        self.longest = len(self.all[0])
        # Of fixed strings only, so it never goes back: per byte, at most one look at each of them.
        self.pattern = re.compile(b"(%b)" % b"|".join(map(re.escape, self.all)))
        # Some delimiter can be complete while a longer one, begun there or before, is not: it has to wait.
        self.nested = any(short in long[:-1] for long in self.all for short in self.all)
        apart = not any(_overlap(left, right) for left in self.all for right in self.all)
        self.only = self.first if len(given) == 1 else None
        self.only_if_apart = self.only if apart else None
        self.replaceable: tuple[bytes, ...] = self._replaceable() if apart and not self.only else ()

    def _replaceable(self) -> tuple[bytes, ...]:
        """Delimiters which can be replaced, in this order, by the last of them, so that one is left to split at.

        Empty if that could make a delimiter where none was: one which contains the last is found too late.
        """
        *others, last = self.all
        containing = [mark for mark in others if last in mark]
        if len(last) > 1 or len(containing) > 1:
            return ()
        return (*containing, *(mark for mark in others if mark not in containing), last)

    def search(self, data: bytes, at: int = 0) -> tuple[int, int]:
        """Where the first delimiter at or behind `at` begins and ends; 0 for its end if there is none."""
        if self.only:
            start = data.find(self.only, at)
            return start, start + len(self.only) if start >= 0 else 0
        match = self.pattern.search(data, at)
        return match.span() if match else (-1, 0)

    def begun(self, data: bytes, at: int) -> int:
        """Where, behind `at`, a delimiter begins that ends behind `data`; the end of `data` if none does."""
        for place in range(max(at, len(data) - self.longest + 1), len(data)):
            rest = data[place:]
            if any(mark.startswith(rest) and len(mark) > len(rest) for mark in self.all):
                return place
        return len(data)

    def may_go_on(self, mark: bytes) -> list[tuple[bytes, bytes]]:
        """The longer delimiters which contain `mark`: what they have before it, and behind it."""
        return [
            (long[:place], long[place + len(mark) :])
            for long in self.all
            for place in range(len(long) - len(mark))
            if long.startswith(mark, place)
        ]


def _check(given: tuple[BytesLike, ...]) -> None:
    shown = f"DelimiterFramer({', '.join(map(repr, given))})"
    if not given:
        raise ValueError("DelimiterFramer(): give it the bytes that end a frame, as in DelimiterFramer(b'\\0')")
    for mark in given:
        if not isinstance(mark, bytes | bytearray | memoryview):
            raise TypeError(f"{shown}: a delimiter is bytes, as in DelimiterFramer(b'\\0'), not {type(mark).__name__}")
    if b"" in given:
        raise ValueError(f"{shown}: a delimiter must have a byte at least, as in DelimiterFramer(b'\\0')")
    if len(set(map(bytes, given))) < len(given):
        raise ValueError(f"{shown}: the same delimiter twice; give each once, the one to be written first")


def _overlap(left: bytes, right: bytes) -> bool:
    """Whether the one can end inside the other, neither containing the other."""
    return any(left.endswith(right[:size]) for size in range(1, min(len(left), len(right))))


class DelimiterInbound(InboundFramer):
    """The inbound half of `DelimiterFramer`."""

    name = "DelimiterFramer.inbound"
    framer = "DelimiterFramer"

    def __init__(
        self, marks: _Delimiters, max_bytes: int, *, keep_delimiter: bool, at_eof: AtEOF, oversize: Oversize
    ) -> None:
        super().__init__(max_bytes=max_bytes, at_eof=at_eof, oversize=oversize)
        self._marks, self._keep = marks, keep_delimiter
        self._ended = False  # the end of the stream has decided what no delimiter goes on

    def _may_complete(self, data: bytes) -> bool:
        if self._skipping or len(self._tail) + len(data) > self._max_bytes:
            return True
        marks, before = self._marks, self._marks.longest - 1
        edge = bytes(self._tail[-before:]) if before else b""
        if marks.nested:
            # One that still has to wait makes nothing complete; whether it has, the last bytes tell.
            return self._find(edge + data, 0)[1] > 0
        return any(mark in data or mark in edge + data[:before] for mark in marks.all)

    def _cut(self, data: bytes) -> Result[bytes]:
        if self._skipping:
            return self._carefully(data)
        marks = self._marks
        if marks.only:
            frames = data.split(marks.only)
            at = len(data) - len(frames.pop())
            ends = [marks.only] * len(frames) if self._keep else []
        elif marks.replaceable and not self._keep:
            frames, at = self._replaced(data)
            ends = []
        else:
            frames, ends, at = self._parted(data)
        if not all_fit(frames, data, at, marks.only_if_apart, self._max_bytes):
            return self._carefully(data)
        return self._gives(list(map(add, frames, ends)) if self._keep else frames, data, at)

    def _replaced(self, data: bytes) -> tuple[list[bytes], int]:
        """All frames, and where the unfinished one begins; this is several times as fast as a pattern."""
        certain = self._marks.begun(data, 0) if self._marks.nested else len(data)
        *others, last = self._marks.replaceable
        data = data[:certain]
        for mark in others:
            data = data.replace(mark, last)
        frames = data.split(last)
        return frames, certain - len(frames.pop())

    def _parted(self, data: bytes) -> tuple[list[bytes], list[bytes], int]:
        """All frames, what each ended in, and where the unfinished one begins."""
        parts = self._marks.pattern.split(data)
        at = len(data) - len(parts[-1])
        if not self._marks.nested:
            return parts[:-1:2], parts[1::2], at
        # The last few once more: they may have to wait.
        while len(parts) > 1 and at - len(parts[-2]) > len(data) - self._marks.longest:
            at -= len(parts[-2]) + len(parts[-3])
            del parts[-2:]
        frames, ends = parts[:-1:2], parts[1::2]
        while (found := self._find(data, at))[1]:
            frames.append(data[at : found[0]])
            ends.append(data[found[0] : found[1]])
            at = found[1]
        return frames, ends, at

    def _next(self, data: bytes, at: int) -> tuple[bytes | None, int] | None:
        stop, behind = self._find(data, at)
        found = behind > 0
        if stop - at > self._max_bytes and not self._skipping and (found or not self._ended):
            self._too_long(self._max_bytes + 1)
            return None, at
        if not found:
            return (None, stop) if self._skipping and stop > at else None
        if self._skipping:
            self._skipping = False
            return None, behind
        return data[at : behind if self._keep else stop], behind

    def _find(self, data: bytes, at: int) -> tuple[int, int]:
        """Where the first delimiter is; if that is not certain, how far there is none, and 0."""
        marks = self._marks
        start, behind = marks.search(data, at)
        if behind and (not marks.nested or self._ended or start <= len(data) - marks.longest):
            return start, behind
        stop = len(data) if self._ended else marks.begun(data, at)
        return (start, behind) if behind and start < stop else (stop, 0)

    def _end_of_stream(self) -> Result[bytes]:
        if not self._marks.nested:
            return super()._end_of_stream()
        return self._cut_what_waited()

    def _cut_what_waited(self) -> Iterator[bytes]:
        self._ended = True
        yield from self._carefully(bytes(self._tail))
        yield from super()._end_of_stream()  # type: ignore[misc]  # it never replies

    def _last(self, leftover: bytes) -> Result[bytes]:
        if len(leftover) <= self._max_bytes:
            return [leftover]
        # The beginning of a delimiter behind a frame of exactly the limit is data now.
        self._too_long(self._max_bytes + 1)
        return ()

    def _what_is_missing(self, leftover: bytes) -> str:
        return f"{super()._what_is_missing(leftover)}, before its delimiter. To take it as a frame: at_eof='emit'"


class DelimiterOutbound(OutboundFramer):
    """The outbound half of `DelimiterFramer`: refuses a frame that inbound would not read as that one frame (F5)."""

    name = "DelimiterFramer.outbound"
    framer = "DelimiterFramer"

    def __init__(self, marks: _Delimiters, max_bytes: int, *, keep_delimiter: bool) -> None:
        self._marks, self._max_bytes, self._keep = marks, max_bytes, keep_delimiter
        written = marks.all if keep_delimiter else [marks.first]
        self._may_go_on = {mark: marks.may_go_on(mark) for mark in written}
        self.keeps_outbound_state = any(self._may_go_on.values())
        self._forbidden: list[bytes] = []  # how the next frame may not begin, or a delimiter before it would go on

    def process_sync(self, frame: BytesLike, /) -> Result[bytes]:
        """Add the delimiter to a frame; with `keep_delimiter`, see to it that it is there.

        Raises:
            CorruptFrameError: the peer would cut the frame elsewhere; nothing is written.
            FrameTooLongError: the frame is over the limit; nothing is written.
        """
        if type(frame) is not bytes:
            frame = as_bytes("DelimiterFramer", frame)
        written = frame if self._keep else frame + self._marks.first
        stop, behind = self._marks.search(written)
        if not behind or behind < len(written) or (stop < len(frame) and not self._keep):
            self._refuse_cut(frame, stop, written[stop:behind])
        if stop > self._max_bytes:
            self._refuse_long(stop)
        if self.keeps_outbound_state:
            self._check_before(written)
            self._forbidden += [
                rest for before, rest in self._may_go_on[written[stop:]] if written.endswith(before, 0, stop)
            ]
        return [written]

    def _refuse_cut(self, frame: bytes, stop: int, mark: bytes) -> NoReturn:
        if not mark:
            raise CorruptFrameError(
                f"DelimiterFramer(keep_delimiter=True): the frame ends in {frame[-20:]!r}, in no delimiter, so the "
                f"peer would take the next frame for a part of it. Add one, or leave keep_delimiter out"
            )
        raise CorruptFrameError(
            f"DelimiterFramer: byte {stop} of the frame begins what the peer would take for its delimiter {mark!r}: "
            f"{frame[max(0, stop - 20) : stop + 20]!r}. Send one frame an item"
        )

    def _check_before(self, written: bytes) -> None:
        """Refuse a frame of which the beginning makes a longer delimiter of one that was written before it."""
        for rest in self._forbidden:
            if written.startswith(rest):
                raise CorruptFrameError(
                    f"DelimiterFramer: the frame begins with {rest!r}, which the peer would take for the rest of a "
                    f"longer delimiter that began in the frame before: {written[:20]!r}. Give first a delimiter "
                    f"that is not inside another one"
                )
        self._forbidden = [rest[len(written) :] for rest in self._forbidden if rest.startswith(written)]
