"""Lines: `LineFramer`.

The rule for what a line is came from Netty's LineBasedFrameDecoder ("any") and RFC 5321 section 2.3.8 ("crlf"):
a peer that takes a lone CR or LF for an ending while we do not, or the other way, can be made to see a
message that we never saw.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from pipeline import CorruptFrameError, Result

from .._bytes import BytesLike, as_bytes
from ._base import AtEOF, Framer, InboundFramer, OutboundFramer, Oversize, all_fit, check_choice, check_size

__all__ = ["LineFramer"]

Ending: TypeAlias = Literal["any", "lf", "crlf"]
_DEFAULT_BYTES = 65536
LF, CR = b"\n\r"  # as numbers: they are found in bytes eight times as fast as bytes are


class LineFramer(Framer):
    r"""Cut a byte stream into lines, and write lines.

    in:  b"AB"  b"C\nDE"  b"F\r\n"        out:  b"ABC"  b"DEF"

    Args:
        max_bytes: the longest line in bytes, without its ending.
        ending: "any": LF or CRLF; "lf": LF, CR is data; "crlf": CRLF, a lone CR or LF is an error.
            Outbound writes CRLF for "crlf", else LF.
        keep_ends: lines come with their endings, and outbound takes lines with exactly one.
        at_eof: an unfinished last line is an "error", or "emit" it as a line, or "drop" it.
        oversize: a line over the limit is an "error", or "skip" it (counted in `skipped`).

    Raises:
        FrameTooLongError: as soon as a line is certain to be over `max_bytes`; inbound stays failed.
            Outbound refuses such a line, and goes on.
        CorruptFrameError: with "crlf" a lone CR or LF came; inbound stays failed. Outbound: the line
            contains an ending, so the peer would see more lines than were sent; goes on.
        IncompleteFrameError: the stream ended inside a line; `leftover` has it.
    """

    def __init__(
        self,
        max_bytes: int = _DEFAULT_BYTES,
        *,
        ending: Ending = "any",
        keep_ends: bool = False,
        at_eof: AtEOF = "error",
        oversize: Oversize = "error",
    ) -> None:
        check_size("LineFramer", "max_bytes", max_bytes, default=_DEFAULT_BYTES)
        check_choice("LineFramer", "ending", ending, ("any", "lf", "crlf"))
        bare = _LFLineOutbound if ending == "lf" else _BareLineOutbound
        outbound = LineOutbound if keep_ends else bare
        super().__init__(
            LineInbound(max_bytes, ending=ending, keep_ends=keep_ends, at_eof=at_eof, oversize=oversize),
            outbound(max_bytes, ending=ending, keep_ends=keep_ends),
        )


class LineInbound(InboundFramer):
    """The inbound half of `LineFramer`."""

    name = "LineFramer.inbound"
    framer = "LineFramer"
    unit = "line"

    def __init__(self, max_bytes: int, *, ending: Ending, keep_ends: bool, at_eof: AtEOF, oversize: Oversize) -> None:
        super().__init__(max_bytes=max_bytes, at_eof=at_eof, oversize=oversize)
        self._ending, self._keep_ends = ending, keep_ends
        self._mark = b"\r\n" if ending == "crlf" else b"\n"
        self._splits_at_lf = ending != "crlf" and not keep_ends  # where there is no CR

    def _may_complete(self, data: bytes) -> bool:
        if LF in data or len(self._tail) + len(data) > self._max_bytes:
            return True
        # With "crlf" a CR is half of an ending, or an error as soon as the next byte is there.
        return self._ending == "crlf" and (CR in data or self._tail.endswith(b"\r"))

    def _cut(self, data: bytes) -> Result[bytes]:
        if self._skipping:
            return self._carefully(data)
        if self._splits_at_lf and len(data) <= self._max_bytes and CR not in data:  # nothing can be wrong with it
            lines = data.split(b"\n")
            tail = lines.pop()
            return self._gives(lines, data, len(data) - len(tail))
        at = data.rfind(b"\n") + 1
        found = self._lines_of(data[:at])
        if (
            found is None
            or not all_fit(found, data, at, b"\n", self._max_bytes)
            or (self._ending == "crlf" and CR in data[at:-1])
        ):
            return self._carefully(data)
        return self._gives(found, data, at)

    def _lines_of(self, data: bytes) -> list[bytes] | None:
        """The lines of `data`, which ends in LF or is empty; None: with "crlf", something is wrong with it."""
        if CR not in data:
            if self._ending == "crlf" and data:
                return None
            return data.splitlines(keepends=True) if self._keep_ends else data.split(b"\n")[:-1]
        if self._ending != "lf":
            # It splits at each CRLF, LF and lone CR. So many pieces as LF: no lone CR. As CR, too: all are CRLF.
            pieces, endings = data.splitlines(keepends=self._keep_ends), data.count(b"\n")
            strict = self._ending == "any" or data.count(b"\r") == endings
            if len(pieces) == endings and strict:
                return pieces
            if self._ending == "crlf":
                return None
        lines = data.split(b"\n")[:-1]
        if self._keep_ends:
            return [line + b"\n" for line in lines]
        return lines if self._ending == "lf" else [line.removesuffix(b"\r") for line in lines]

    def _next(self, data: bytes, at: int) -> tuple[bytes | None, int] | None:
        end = data.find(self._mark, at)
        stop = len(data) if end < 0 else end
        if (self._ending == "any" and not self._skipping) or (self._ending == "crlf" and end < 0):
            # A CR before the ending, or where the ending may yet come, is none of the line's bytes.
            stop -= data.endswith(b"\r", at, stop)
        if self._ending == "crlf":
            # What is wrong first, counts: behind the limit the line is too long, however it goes on.
            self._refuse_lone(data, at, stop if self._skipping else min(stop, at + self._max_bytes + 1))
        if stop - at > self._max_bytes and not self._skipping:
            self._too_long(self._max_bytes + 1)
            return None, at
        if end < 0:
            return (None, stop) if self._skipping and stop > at else None
        behind = end + len(self._mark)
        if self._skipping:
            self._skipping = False
            return None, behind
        return data[at : behind if self._keep_ends else stop], behind

    def _refuse_lone(self, data: bytes, start: int, stop: int) -> None:
        found = [place for place in (data.find(b"\r", start, stop), data.find(b"\n", start, stop)) if place >= 0]
        if found:
            lone, place = data[min(found)], min(found)
            line = "a line that was being dropped" if self._skipping else repr(data[max(start, place - 20) : place])
            raise CorruptFrameError(
                f"LineFramer(ending='crlf'): a lone {'CR' if lone == 13 else 'LF'} after {line}; only CRLF ends a "
                f"line here. If the peer is right to send it, take ending='any'"
            )

    def _last(self, leftover: bytes) -> Result[bytes]:
        if self._ending == "crlf":
            self._refuse_lone(leftover, 0, len(leftover))
        if len(leftover) <= self._max_bytes:
            return [leftover]
        # A CR behind a line of exactly the limit is data now: no LF follows.
        self._too_long(len(leftover))
        return ()

    def _what_is_missing(self, leftover: bytes) -> str:
        return f"{super()._what_is_missing(leftover)}, before its ending. To take it as a line: at_eof='emit'"


class LineOutbound(OutboundFramer):
    """The outbound half of `LineFramer`: refuses a line that inbound would not read as that one line (F5)."""

    name = "LineFramer.outbound"
    framer = "LineFramer"
    unit = "line"

    def __init__(self, max_bytes: int, *, ending: Ending, keep_ends: bool) -> None:
        self._max_bytes, self._ending, self._keep_ends = max_bytes, ending, keep_ends
        self._mark = b"\r\n" if ending == "crlf" else b"\n"

    def process_one(self, line: BytesLike, /) -> bytes:
        """Add the ending to a line; with `keep_ends`, see to it that it is there.

        Raises:
            CorruptFrameError: the line contains an ending, or has none with `keep_ends`; nothing is written.
            FrameTooLongError: the line is over the limit; nothing is written.
        """
        if type(line) is not bytes:
            line = as_bytes("LineFramer", line)
        payload = self._without_ending(line) if self._keep_ends else line
        if LF in payload or (CR in payload and self._ending != "lf"):
            self._refuse_ending(payload)
        if len(payload) > self._max_bytes:
            self._refuse_long(len(payload))
        return line if self._keep_ends else line + self._mark

    def _without_ending(self, line: bytes) -> bytes:
        if not line.endswith(self._mark):
            raise CorruptFrameError(
                f"LineFramer(keep_ends=True): the line ends in {line[-20:]!r}, not in {self._mark!r}, so the peer "
                f"would take the next line for a part of it. Add the ending, or leave keep_ends out"
            )
        line = line[: -len(self._mark)]
        return line[:-1] if self._ending == "any" and line.endswith(b"\r") else line

    def _refuse_ending(self, line: bytes) -> None:
        places = [line.find(b"\n")]
        if self._ending == "crlf":
            places.append(line.find(b"\r"))
        elif self._ending == "any" and not self._keep_ends and line.endswith(b"\r"):
            places.append(len(line) - 1)  # with the LF behind it, the peer would take it for a part of the ending
        found = [place for place in places if place >= 0]
        if found:
            raise CorruptFrameError(
                f"LineFramer(ending={self._ending!r}): byte {min(found)} of the line is "
                f"{line[min(found) : min(found) + 1]!r}, which the peer would take for (a part of) an ending: "
                f"{line[max(0, min(found) - 20) : min(found) + 20]!r}. Send one line an item, without its ending"
            )


class _BareLineOutbound(LineOutbound):
    """The same for lines without their ending, mostly with nothing to look at twice."""

    name = LineOutbound.name

    def process_one(self, line: BytesLike, /) -> bytes:
        if type(line) is bytes and LF not in line and CR not in line and len(line) <= self._max_bytes:
            return line + self._mark
        return super().process_one(line)


class _LFLineOutbound(_BareLineOutbound):
    """The same where a CR is nothing special."""

    name = LineOutbound.name

    def process_one(self, line: BytesLike, /) -> bytes:
        if type(line) is bytes and LF not in line and len(line) <= self._max_bytes:
            return line + self._mark
        return LineOutbound.process_one(self, line)
