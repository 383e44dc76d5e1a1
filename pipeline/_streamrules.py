"""`StreamRules`: what `open_streams` must know of a protocol. A stage that knows itself has it as `stream_rules`."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, fields
from typing import Any, Final

from ._items import size_of

ITEM_BYTES: Final = 100
"""What each waiting item counts beside its size, so that a flood of empty ones has an end, too."""


@dataclass(frozen=True, kw_only=True)
class StreamRules:
    """What `open_streams` must know of a protocol: to which stream an item belongs, how streams begin and end.

    {"stream": 7, "data": "x"}     StreamRules(key=lambda item: item["stream"])     stream 7

    All are plain functions which wait for nothing. Only `key` must be there; each of the others adds something that
    the protocol has. A stage whose protocol has streams (`HTTP2`, `FastCGI`) carries its own rules: a duplex with an
    attribute `stream_rules` is found in the chain.

    Args:
        key: the stream of a received item, or None: it belongs to none, and comes out of `streams.events`.
        opens: whether a received item begins a stream: one that only the first item of a stream is. An open stream of
            the same key is over by it, with an error. Default: any item of an unknown key does, unless the stream
            was closed here before the peer had ended it.
        ends: whether a received item is the last one of its stream. Default: streams end with the connection only.
        error: the error that a received item stands for, because the peer gave its stream up; else None. The stream is
            over both ways. The error is raised instead of the item: itself if it is a `trio.BrokenResourceError`, else
            as the cause of one.
        hides: whether a received item is for nobody, since it only ends a stream or opens a window.
        size: bytes that a received item counts while nobody takes it. Default: those of what is text or bytes in it
            (in a tuple, a list, the values of a dict, an attribute `data`), and 256 for all else.
        taken: called with each received item of a stream when its consumer took it, or nobody will; what it returns, if
            not None, is sent: so credit is returned to the peer.
        may_send: whether an item of a stream may be sent now: its key, and the item. If not, other streams go on; it is
            asked again when anything was received, or a stream has ended.
        sends_end: whether an item that is sent is the last one of its stream.
        gone: whether an error that sending raised means that the stream is over, as when the peer's reset was read and
            not delivered yet. The sender gets it as the cause of a `trio.BrokenResourceError`.
        eof: the item that `send_eof()` sends, made of the key. Default: a stream cannot be ended one way.
        reset: the item that gives a stream up, made of the key and the reason that `reset()` was told; None: there is
            none to send. It is sent ahead of everything else.
        new_key: the key of the next stream that `open()` begins.
        attach: called when the block of `open_streams` begins: from now on credit is returned by `taken` only.
        detach: called when the block was left.

    Raises:
        TypeError: one of them is no function.
    """

    key: Callable[[Any], Hashable]
    opens: Callable[[Any], bool] | None = None
    ends: Callable[[Any], bool] | None = None
    error: Callable[[Any], Exception | None] | None = None
    hides: Callable[[Any], bool] | None = None
    size: Callable[[Any], int] | None = None
    taken: Callable[[Any], Any] | None = None
    may_send: Callable[[Any, Any], bool] | None = None
    sends_end: Callable[[Any], bool] | None = None
    gone: Callable[[Exception], bool] | None = None
    eof: Callable[[Any], Any] | None = None
    reset: Callable[[Any, Any], Any] | None = None
    new_key: Callable[[], Hashable] | None = None
    attach: Callable[[], object] | None = None
    detach: Callable[[], object] | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not callable(value) and (value is not None or field.name == "key"):
                raise TypeError(
                    f"StreamRules({field.name}={value!r}): must be a function, as in {field.name}=lambda item: ..."
                )

    def cost(self, item: Any) -> int:
        """What a received item counts while nobody takes it."""
        return ITEM_BYTES + (self.size(item) if self.size is not None else _size(item))


def _size(item: Any) -> int:
    if isinstance(item, dict):
        return _sum(item.values())
    if isinstance(item, tuple | list):
        return _sum(item)
    return size_of(getattr(item, "data", item))


def _sum(parts: Iterable[Any]) -> int:
    return sum(map(size_of, parts))
