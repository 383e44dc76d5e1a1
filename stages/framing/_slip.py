"""Serial Line IP, RFC 1055: `SLIPFramer`.

END (C0) ends a frame. Inside, END is written as ESC ESC_END (DB DC), and ESC as ESC ESC_ESC (DB DD). The RFC leaves
open what to do with an ESC before any other byte; here it is an error, since what the peer meant is unknown.
"""

from __future__ import annotations

from pipeline import CorruptFrameError, FrameError, Result

from .._bytes import BytesLike, as_bytes
from ._base import Framer, OutboundFramer, check_size
from ._marked import MarkedInbound

__all__ = ["SLIPFramer"]

_DEFAULT_BYTES = 65536
_END = b"\xc0"
_ESC = b"\xdb"
_ESCAPED_END = b"\xdb\xdc"
_ESCAPED_ESC = b"\xdb\xdd"


class SLIPFramer(Framer):
    r"""Cut a byte stream into SLIP frames, and write SLIP frames.

    in:  b"\xc0A\xdb"  b"\xdcB\xc0\xc0C\xc0"        out:  b"A\xc0B"  b"C"

    Empty frames between two ENDs are ignored. Outbound writes an END before each frame too, as RFC 1055
    recommends: what noise has left on the line then ends there.

    Args:
        max_bytes: the longest payload in bytes, unescaped.

    Raises:
        FrameTooLongError: as soon as a payload is certain to be over `max_bytes`; inbound stays failed.
            Outbound refuses such a payload, and goes on.
        CorruptFrameError: an ESC before a byte that it does not escape, or before END; inbound stays failed.
        FrameError: outbound: the payload is empty, which no peer would see; nothing was written, and
            outbound goes on.
        IncompleteFrameError: the stream ended inside a frame; `leftover` has it, as it came.
    """

    def __init__(self, max_bytes: int = _DEFAULT_BYTES) -> None:
        check_size("SLIPFramer", "max_bytes", max_bytes, default=_DEFAULT_BYTES)
        super().__init__(SLIPInbound(max_bytes), SLIPOutbound(max_bytes))


class SLIPInbound(MarkedInbound):
    """The inbound half of `SLIPFramer`."""

    name = "SLIPFramer.inbound"
    framer = "SLIPFramer"
    mark = _END

    def _payloads(self, blocks: list[bytes], data: bytes) -> list[bytes] | None:
        if _ESC not in data:
            return blocks
        payloads = [_unescaped(block) if _ESC in block else block for block in blocks]
        return None if b"" in payloads else payloads

    def _begin(self) -> None:
        self._size = 0  # bytes of the unfinished payload
        self._open = False  # whether it ends in an ESC that waits for its second byte

    def _grow(self, more: bytes) -> bool:
        if self._open:
            more = _ESC + more
        escapes = more.count(_ESC)
        self._open = more.endswith(_ESC)
        self._size += len(more) - escapes
        escaped = more.count(_ESCAPED_END) + more.count(_ESCAPED_ESC)
        return escapes - self._open != escaped or self._size > self._max_bytes

    def _refuse(self, block: bytes, *, finished: bool) -> None:
        at = size = 0
        while at < len(block):
            escape = block.find(_ESC, at)
            stop = len(block) if escape < 0 else escape
            size += stop - at
            if escape >= 0 and size <= self._max_bytes:
                self._refuse_escape(block[escape : escape + 2], finished=finished)
                size += escape + 2 <= len(block)
                stop += 2
            if size > self._max_bytes:
                self._too_long(self._max_bytes + 1)
            at = stop

    def _refuse_escape(self, escape: bytes, *, finished: bool) -> None:
        if escape in (_ESCAPED_END, _ESCAPED_ESC) or (len(escape) == 1 and not finished):
            return
        raise CorruptFrameError(
            f"SLIPFramer: ESC before {escape[1:] or _END!r}, which it does not escape: only b'\\xdb\\xdc' and "
            f"b'\\xdb\\xdd' are right in RFC 1055. See to it that the peer speaks SLIP, and that the line is clean"
        )


def _unescaped(block: bytes) -> bytes:
    """What a frame with an ESC in it stands for; empty, which no right one does, if one escapes nothing."""
    # No escape is inside another one, so each has its place however they are replaced.
    payload = block.replace(_ESCAPED_END, _END).replace(_ESCAPED_ESC, _ESC)
    return payload if len(block) - len(payload) == block.count(_ESC) else b""


class SLIPOutbound(OutboundFramer):
    """The outbound half of `SLIPFramer`."""

    name = "SLIPFramer.outbound"
    framer = "SLIPFramer"

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes

    def process_sync(self, payload: BytesLike, /) -> Result[bytes]:
        """Escape a payload and put it between two ENDs.

        Raises:
            FrameTooLongError: it is over the limit; nothing is written.
            FrameError: it is empty; nothing is written.
        """
        if type(payload) is not bytes:
            payload = as_bytes("SLIPFramer", payload)
        if len(payload) > self._max_bytes:
            self._refuse_long(len(payload))
        if not payload:
            raise FrameError(
                "SLIPFramer: an empty payload cannot be sent, as SLIP ignores empty frames; nothing was written. "
                "Leave it out, or take a COBSFramer, which has them"
            )
        escaped = payload.replace(_ESC, _ESCAPED_ESC).replace(_END, _ESCAPED_END)
        return [b"".join((_END, escaped, _END))]
