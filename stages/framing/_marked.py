"""What SLIP and COBS share: frames that end in a mark, a byte which stuffing keeps out of them.

Several marks in a row are one: an idle line sends them, and a sender may begin each frame with one, so that noise
before it becomes a frame of its own. What is between them is no frame then, and is ignored.

A format is a subclass of `MarkedInbound` which says

    _payloads(blocks, data)   what the finished frames, without their marks, mean; None: one is corrupt;
                              `data` is what they were cut from
    _begin(), _grow(more)     how the unfinished frame goes on; True: it is certain that something is wrong with it
    _refuse(block, finished)  what is wrong first in a frame
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from pipeline import Result

from ._base import InboundFramer, all_fit


class MarkedInbound(InboundFramer):
    """The inbound half of a framer with marks; `max_bytes` counts the payload."""

    can_skip = False
    mark: ClassVar[bytes]

    def __init__(self, max_bytes: int) -> None:
        super().__init__(max_bytes=max_bytes)
        # For unread(): marks behind the last frame that are before `_source`, and before `_tail`. Only their number
        # is kept, or a peer which sends nothing else would fill the memory.
        self._before_source = 0
        self._before_tail = 0
        self._begin()

    def _may_complete(self, data: bytes) -> bool:
        return self.mark in data or self._grow(data)

    def _cut(self, data: bytes) -> Result[bytes]:
        blocks = data.split(self.mark)
        tail = blocks.pop()
        at, most = len(data) - len(tail), self._max_bytes
        payloads = self._payloads(list(filter(None, blocks)), data)
        self._before_source = self._before_tail
        self._begin()
        if payloads is None or self._grow(tail):
            return self._carefully(data)
        # A frame is longer than its payload, so frames within the limit need no second look.
        if not all_fit(payloads, data, at, self.mark, most) and max(map(len, payloads), default=0) > most:
            return self._carefully(data)
        self._before_tail = _empty_at_the_end(blocks) if payloads else self._before_tail + len(blocks)
        return self._gives(payloads, data, at)

    def _next(self, data: bytes, at: int) -> tuple[bytes, int] | None:
        while data.startswith(self.mark, at):
            at += 1
        end = data.find(self.mark, at)
        block = data[at:] if end < 0 else data[at:end]
        self._refuse(block, finished=end >= 0)
        payloads = self._payloads([block], block) if end >= 0 else None
        return (payloads[0], end + 1) if payloads else None

    def unread(self, outputs: Iterable[Any], /) -> Iterable[bytes] | None:
        """Give back the bytes after the last frame taken, marks between frames too, and be empty."""
        outputs = list(outputs)
        if outputs:
            marks = self._before_source if len(outputs) == self._given else 0
        elif self._walking:
            marks = 0 if self._at else self._before_source
        else:
            marks = self._before_tail
        rest = super().unread(outputs)
        if rest is None:
            return None
        self._before_source = self._before_tail = 0
        given = b"".join([self.mark * marks, *rest])
        return [given] if given else []

    # ---- what a format says

    def _payloads(self, blocks: list[bytes], data: bytes) -> list[bytes] | None:
        raise NotImplementedError

    def _begin(self) -> None:
        raise NotImplementedError

    def _grow(self, more: bytes) -> bool:
        raise NotImplementedError

    def _refuse(self, block: bytes, *, finished: bool) -> None:
        raise NotImplementedError


def _empty_at_the_end(blocks: list[bytes]) -> int:
    count = 0
    while not blocks[-1 - count]:
        count += 1
    return count
