"""One stream of the many that share a connection: its public face, and how far it is.

Rules for this file: it knows nothing of other streams. Whatever concerns the connection is done by the group, in
`_streams`, which also writes down here what became of the stream.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Hashable
from types import TracebackType
from typing import Any, Final, Generic

import trio
from typing_extensions import TypeVar

from ._beside import Inbox, afresh
from ._errors import HalfCloseError

Received = TypeVar("Received", covariant=True, default=Any)
Sent = TypeVar("Sent", contravariant=True, default=Any)

CLOSED: Final = "this stream was closed, or the block of open_streams() was left: use it before that"


class Group(ABC):
    """What a stream needs of the group that it belongs to."""

    @abstractmethod
    def name(self, stream: Any) -> Hashable:
        """Make the key of a stream that was opened without one."""

    @abstractmethod
    async def send(self, stream: Any, item: Any, *, ends: bool) -> None:
        """Let the group's task send an item."""

    @abstractmethod
    def ends_stream(self, item: Any) -> bool:
        """Whether an item that is sent is the last one of its stream."""

    @abstractmethod
    def eof_item(self, stream: Any) -> tuple[Any] | None:
        """What ends a stream's direction, if the protocol has that."""

    @abstractmethod
    def took(self, stream: Any, item: Any, cost: int) -> None:
        """An item was received."""

    @abstractmethod
    def give_up(self, stream: Any, reason: Any) -> None:
        """The stream is not used any more."""


class State(Generic[Received]):
    """How far a stream is.

    Attributes:
        inbox: what was received and nobody took, each with what it counts, in bytes.
        waiting: what all of it counts.
        by_peer: whether the peer opened it.
        begun: whether the peer may know of it.
        ended: the peer's direction is over.
        sending_ended: the last item of ours was given to be sent.
        sent_all: that was sent, or is being.
        failure: why it is over, if it is not in good order.
        closed: it is not used any more.
    """

    def __init__(self, *, by_peer: bool) -> None:
        self.inbox: Inbox[tuple[Received, int]] = Inbox(sys.maxsize, left=CLOSED)
        self.waiting = 0
        self.by_peer = self.begun = by_peer
        self.ended = self.sending_ended = self.sent_all = self.closed = False
        self.failure: Exception | None = None

    @property
    def over(self) -> bool:
        """Whether nothing more will be received or sent."""
        return self.closed or self.failure is not None or (self.ended and self.sent_all)

    def end(self, error: Exception | None = None) -> None:
        """Nothing more is received, for this reason; None: the peer has ended its direction."""
        if not self.ended:
            self.ended = True
            self.inbox.end(error)


class Substream(trio.abc.ReceiveChannel[Received], trio.abc.SendChannel[Sent]):
    """One stream of `open_streams`, as a trio channel; use it with `async with`.

    One task may receive while others send.
    """

    def __init__(self, group: Group, key: Hashable, *, by_peer: bool) -> None:
        self._key, self._group = key, group
        self._state: State[Received] = State(by_peer=by_peer)

    def __repr__(self) -> str:
        return "<Substream, no key yet>" if self._key is None else f"<Substream {self._key!r}>"

    @property
    def key(self) -> Any:
        """Which one of the connection's streams it is; the items that are sent must carry it.

        A stream opened without one gets it when this is first asked for: ask where its first item is made, and keys
        rise in the order in which streams begin on the wire, as HTTP/2 demands.
        """
        if self._key is None:
            self._key = self._group.name(self)
        return self._key

    @property
    def place(self) -> Hashable:
        """Where the group keeps it: by its key, once it has one."""
        return self if self._key is None else self._key

    async def receive(self) -> Received:
        """Return the stream's next item.

        Raises:
            trio.EndOfChannel: the peer has ended its direction, and every item was received.
            trio.ClosedResourceError: the stream was closed, or the block left.
            trio.BrokenResourceError: the peer has reset the stream, or the connection failed, or ended before the
                stream did; its cause tells.
            LimitError: too much waited here that nobody received; the peer was told, by a reset.

        Cancellation: nothing is lost.
        """
        item, cost = await self._state.inbox.receive()
        self._group.took(self, item, cost)
        return item

    async def send(self, value: Sent) -> None:
        """Send an item of this stream, when it is its turn and may be; returns when it is written.

        Raises:
            trio.ClosedResourceError: this direction has ended, the stream was closed, or the block left.
            trio.BrokenResourceError: the peer has reset the stream, or the connection failed; its cause tells.
            Exception: what sending raised, as the pipeline's `send()`, to this caller only.

        Cancellation: an item that still waits for its turn is withdrawn; one that is being written goes out whole.
        """
        self._check_can_send()
        await self._group.send(self, value, ends=self._group.ends_stream(value))

    async def send_eof(self) -> None:
        """End this direction of the stream; receiving goes on. A second call does nothing.

        Raises:
            HalfCloseError: the protocol has no end of one direction (`StreamRules.eof`); the stream is open.
            Exception: as `send` does.

        Cancellation: as for `send`.
        """
        if self._state.sending_ended and not self._state.closed:
            await trio.lowlevel.checkpoint()
            return
        self._check_can_send()
        eof = self._group.eof_item(self)
        if eof is None:
            raise HalfCloseError("this protocol has no end of one direction of a stream: its StreamRules have no eof")
        await self._group.send(self, eof[0], ends=True)

    def reset(self, reason: Any = None) -> None:
        """Give the stream up, both ways: what waits to be sent or received is dropped, and the peer is told.

        It waits for nothing: what tells the peer goes out next, if the protocol has that. A second call does nothing.

        Args:
            reason: for the rules to make the item of that tells the peer, such as an error code.
        """
        self._group.give_up(self, reason)

    async def aclose(self) -> None:
        """Close the stream: end this direction, and give up the peer's if that is not over.

        A block `async with stream` that ends with an error resets it instead.

        Raises:
            trio.BrokenResourceError: the end could not be sent; the stream is closed nevertheless.

        Cancellation: the stream is reset.
        """
        try:
            if self._can_end():
                await self.send_eof()
            else:
                await trio.lowlevel.checkpoint()
        finally:
            self.reset()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it; reset it after an error."""
        if exc_value is None:
            await self.aclose()
        else:
            self.reset()
            await trio.lowlevel.cancel_shielded_checkpoint()

    def _can_end(self) -> bool:
        state = self._state
        return state.begun and not (state.over or state.sending_ended) and self._group.eof_item(self) is not None

    def _check_can_send(self) -> None:
        state = self._state
        if state.closed:
            raise trio.ClosedResourceError(CLOSED)
        if state.failure is not None:
            raise afresh(state.failure, "nothing can be sent on this stream any more")
        if state.sending_ended:
            raise trio.ClosedResourceError("this direction of the stream has ended: nothing can be sent after its end")
