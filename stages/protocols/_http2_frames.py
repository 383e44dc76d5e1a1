"""What `HTTP2` lets in: it cuts the wire's bytes into frames, and refuses what is too long or too often.

Rules for this file: it knows the nine bytes in front of each frame (RFC 9113, section 4.1) and nothing of streams;
h2 reads what is inside. h2 alone would keep 16 MiB of a frame that it then refuses, a mebibyte of header blocks, and
would lose the events of good frames that were read with a bad one. The floods are those of CVE-2019-9511 to 9518,
CVE-2023-44487 (rapid reset) and CVE-2024-27316 (CONTINUATION); the rates are nghttp2's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MAX_FRAME_BYTES: Final = 16384
"""What every peer may send, and all that ours lets it."""
MAX_CONTINUATIONS: Final = 32
SECONDS: Final = 30.0
"""In how much time a peer may send so many of a kind."""

_HEAD: Final = 9
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PUSH_PROMISE, _GOAWAY, _WINDOW_UPDATE, _CONTINUATION = 0, 1, 3, 4, 5, 7, 8, 9
_BLOCKS: Final = (_HEADERS, _PUSH_PROMISE, _CONTINUATION)
_END_STREAM, _END_HEADERS, _PADDED = 0x1, 0x4, 0x8
_NAMES: Final = {2: "PRIORITY", 4: "SETTINGS", 5: "PUSH_PROMISE", 6: "PING", 7: "GOAWAY", 8: "WINDOW_UPDATE"}
_UPDATES_PER_FRAME: Final = 4
"""So many WINDOW_UPDATEs for one frame of ours are no flood: one for its stream and one for all, twice."""


class Frames:
    """The wire's bytes, frame by frame.

    Args:
        errors: the module `h2.exceptions`.
        server: whether the peer is a client, which sends a preface first.
        now: the pipeline's clock.
        max_header_bytes: of one block of headers, as it is on the wire.
        max_resets: how many streams the peer may reset within 30 seconds.
        max_control_frames: how many frames of a kind that says nothing about a request, within 30 seconds.
    """

    def __init__(
        self,
        errors: Any,
        *,
        server: bool,
        now: Callable[[], float],
        max_header_bytes: int,
        max_resets: int,
        max_control_frames: int,
    ) -> None:
        self._errors, self._now = errors, now
        self._max_header_bytes = max_header_bytes
        self._max_resets, self._max_control_frames = max_resets, max_control_frames
        self._data: bytes | bytearray = b""
        self._start = 0
        self._preface_left = len(PREFACE) if server else 0
        self._began = False  # the first frame, which has to be SETTINGS, was seen
        self.block_bytes = 0
        """Of the block of headers that was read last, as it was on the wire."""
        self._block_is_open = False
        self._continuations = 0
        self._updates_due = 100
        self._counts: dict[str, tuple[float, int]] = {}
        self.is_goaway = self.is_data = False
        """What kind of frame was given last."""

    @property
    def held(self) -> int:
        """Bytes of frames that were not given yet, and of a block of headers that is not whole."""
        return len(self._data) - self._start + (self.block_bytes if self._block_is_open else 0)

    def feed(self, data: bytes) -> None:
        """Take what was read."""
        if self._start == len(self._data):
            self._data = data  # mostly there are whole frames only, which need not be copied
        else:
            # One array for all the pieces of a frame: to join them anew each time would be quadratic.
            rest = self._data if type(self._data) is bytearray else bytearray(self._data)
            del rest[: self._start]
            rest += data
            self._data = rest
        self._start = 0

    def take_rest(self) -> bytes:
        """Take out all that was not given."""
        rest = bytes(self._data[self._start :])
        self._data, self._start = b"", 0
        return rest

    def next_frame(self) -> bytes | bytearray | None:
        """Give the next whole frame, or what there is of the preface; None: there is none.

        Raises:
            h2.exceptions.ProtocolError: a limit is passed, or what begins here is no HTTP/2.
        """
        data, start = self._data, self._start
        left = len(data) - start
        if left < _HEAD or self._preface_left:
            return self._preface() if self._preface_left and left else None
        kind, flags = data[start + 3], data[start + 4]
        length = (data[start] << 16) + (data[start + 1] << 8) + data[start + 2]
        if not self._began and kind != _SETTINGS:
            raise self._errors.ProtocolError(
                f"HTTP2: the peer does not speak HTTP/2, it began with {bytes(data[start : start + 24])!r}"
            )
        if length > MAX_FRAME_BYTES:
            raise self._errors.FrameTooLargeError(
                f"HTTP2: a frame of {length} bytes is over the limit, {MAX_FRAME_BYTES} (SETTINGS_MAX_FRAME_SIZE)"
            )
        if kind in _BLOCKS:
            self._check_block(length if kind != _CONTINUATION else self.block_bytes + length)
        size = _HEAD + length
        if left < size:
            return None
        if kind == _HEADERS:  # the others may be floods
            self.block_bytes, self._continuations = length, 0
            self._block_is_open = not flags & _END_HEADERS
            self.is_goaway = self.is_data = False
            self._updates_due += _UPDATES_PER_FRAME
        else:
            self._note(kind, flags, length)
        self._start = start + size
        return data if left == size and not start else data[start : start + size]

    def allow_updates(self) -> None:
        """Take note that a frame was sent which the peer answers with WINDOW_UPDATEs."""
        self._updates_due += _UPDATES_PER_FRAME

    def count_reset(self) -> None:
        """Count a stream that ended before its time, whichever side said so.

        Raises:
            h2.exceptions.DenialOfServiceError: there were too many.
        """
        self._count("reset streams", "max_resets", self._max_resets)

    # ---- inside

    def _preface(self) -> bytes | bytearray:
        piece = self._data[self._start : self._start + self._preface_left]
        self._start += len(piece)
        self._preface_left -= len(piece)
        return piece

    def _check_block(self, size: int) -> None:
        if size > self._max_header_bytes:
            raise self._errors.DenialOfServiceError(
                f"HTTP2: a block of headers of {size} bytes or more is over the limit, "
                f"max_header_bytes={self._max_header_bytes}. Raise max_header_bytes if it is a right one"
            )

    def _note(self, kind: int, flags: int, length: int) -> None:
        """A whole frame goes through: count it, where it is of a kind that floods are made of."""
        self._began = True
        self.is_goaway, self.is_data = kind == _GOAWAY, kind == _DATA
        if kind == _DATA:
            if length < 257 and self._is_empty(flags, length):
                self._count("empty DATA frames", "max_control_frames", self._max_control_frames)
        elif kind == _CONTINUATION:
            self._note_continuation(flags, length)
        elif kind == _RST_STREAM:
            self.count_reset()
        elif kind == _WINDOW_UPDATE and self._updates_due:
            self._updates_due -= 1
        else:
            name = f"{_NAMES.get(kind, 'unknown')} frames"
            self._count(name, "max_control_frames", self._max_control_frames)

    def _is_empty(self, flags: int, length: int) -> bool:
        if flags & _END_STREAM:
            return False
        return not length or bool(flags & _PADDED and length == 1 + self._data[self._start + _HEAD])

    def _note_continuation(self, flags: int, length: int) -> None:
        self.block_bytes += length
        self._block_is_open = not flags & _END_HEADERS
        self._continuations += 1
        if self._continuations > MAX_CONTINUATIONS:
            raise self._errors.DenialOfServiceError(
                f"HTTP2: {self._continuations} CONTINUATION frames for one block of headers are over the limit, "
                f"{MAX_CONTINUATIONS}"
            )

    def _count(self, what: str, parameter: str, limit: int) -> None:
        now = self._now()
        since, count = self._counts.get(what, (now, 0))
        if now - since >= SECONDS:
            since, count = now, 0
        count += 1
        self._counts[what] = since, count
        if count > limit:
            raise self._errors.DenialOfServiceError(
                f"HTTP2: {count} {what} within {SECONDS:g} seconds are over the limit, {parameter}={limit}. Raise "
                f"{parameter} if the peer means well"
            )
