"""Consistent Overhead Byte Stuffing: `COBSFramer`.

Cheshire and Baker, "Consistent Overhead Byte Stuffing", IEEE/ACM Transactions on Networking 7 (2), 1999. A zero byte
ends a frame. A frame is a row of groups: a code byte n, then n - 1 bytes without a zero; each group stands for its
bytes and one zero, but for the last one, and for one with the code 255, which stand for their bytes only.
"""

from __future__ import annotations

from pipeline import CorruptFrameError, Result

from .._bytes import BytesLike, as_bytes
from ._base import Framer, OutboundFramer, check_size
from ._marked import MarkedInbound

__all__ = ["COBSFramer"]

_DEFAULT_BYTES = 65536
_FULL = 255
_RUN = 254
_CODES = [bytes((size + 1,)) for size in range(_RUN)]


class COBSFramer(Framer):
    r"""Cut a byte stream into COBS frames, and write COBS frames.

    in:  b"\x03AB"  b"\x02C\0\x01\0"        out:  b"AB\0C"  b""

    The overhead is one byte, one more for each 254 bytes, and the zero at the end. Zeros in a row, and
    before the first frame, are ignored.

    Args:
        max_bytes: the longest payload in bytes, decoded.

    Raises:
        FrameTooLongError: as soon as a code byte makes the payload longer than `max_bytes`; inbound
            stays failed. Outbound refuses such a payload, and goes on.
        CorruptFrameError: a zero came inside a group; inbound stays failed.
        IncompleteFrameError: the stream ended inside a frame; `leftover` has it, as it came.
    """

    def __init__(self, max_bytes: int = _DEFAULT_BYTES) -> None:
        check_size("COBSFramer", "max_bytes", max_bytes, default=_DEFAULT_BYTES)
        super().__init__(COBSInbound(max_bytes), COBSOutbound(max_bytes))


class COBSInbound(MarkedInbound):
    """The inbound half of `COBSFramer`."""

    name = "COBSFramer.inbound"
    framer = "COBSFramer"
    mark = b"\0"

    def _payloads(self, blocks: list[bytes], data: bytes) -> list[bytes] | None:
        payloads = []
        for block in blocks:
            # Most small ones are a single group.
            payload = block[1:] if block[0] == len(block) else _unstuffed(block)
            if payload is None:
                return None
            payloads.append(payload)
        return payloads

    def _begin(self) -> None:
        self._size = 0  # bytes of the unfinished payload, up to the end of its last group
        self._code = _FULL  # of its last group; before the first one no zero is meant
        self._left = 0  # bytes still to come of that group

    def _grow(self, more: bytes) -> bool:
        at, end = self._left, len(more)
        while at < end:
            before, self._code = self._code, more[at]
            self._size += self._code - 1 + (before != _FULL)
            if self._size > self._max_bytes:
                return True
            at += self._code
        self._left = at - end
        return False

    def _refuse(self, block: bytes, *, finished: bool) -> None:
        self._begin()
        if self._grow(block):
            self._too_long(self._size)
        if finished and self._left:
            raise CorruptFrameError(
                f"COBSFramer: a zero came {self._code - self._left} bytes into a group of {self._code}. See to it that "
                f"the peer speaks COBS, ending each frame in a zero, and that no byte was lost"
            )


def _unstuffed(block: bytes) -> bytes | None:
    """What a frame of several groups stands for; None: it does not end where a group ends."""
    size, code = len(block), block[0]
    at, parts = code, [block[1:code]]
    while at < size:
        if code != _FULL:
            parts.append(b"\0")
        code = block[at]
        parts.append(block[at + 1 : at + code])
        at += code
    return b"".join(parts) if at == size else None


class COBSOutbound(OutboundFramer):
    """The outbound half of `COBSFramer`."""

    name = "COBSFramer.outbound"
    framer = "COBSFramer"

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes

    def process_sync(self, payload: BytesLike, /) -> Result[bytes]:
        """Stuff a payload and end it with a zero.

        Raises:
            FrameTooLongError: it is over the limit; nothing is written.
        """
        if type(payload) is not bytes:
            payload = as_bytes("COBSFramer", payload)
        if len(payload) > self._max_bytes:
            self._refuse_long(len(payload))
        return [_stuffed(payload)]


def _stuffed(payload: bytes) -> bytes:
    runs = payload.split(b"\0")
    groups: list[bytes] = []
    for run in runs:
        if len(run) < _RUN:
            groups += (_CODES[len(run)], run)
            continue
        whole = len(run) // _RUN * _RUN
        for at in range(0, whole, _RUN):
            groups += (b"\xff", run[at : at + _RUN])
        groups += (_CODES[len(run) - whole], run[whole:])
    if runs[-1] and len(runs[-1]) % _RUN == 0:
        # The payload ends in a full group, so none has to follow.
        del groups[-2:]
    groups.append(b"\0")
    return b"".join(groups)
