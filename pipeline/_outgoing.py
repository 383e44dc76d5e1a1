"""The outbound half of an engine: the present send, what came of it, and what is to be written.

Rules for this file: no event loop and no I/O. It keeps apart what belongs to the present send and what
does not, so that a send which is cut short has no effect, or breaks outbound loudly (P10).
"""

from __future__ import annotations

from typing import Any, Final, Generic

from typing_extensions import TypeVar

from ._buffer import Of, WriteBuffer
from ._call import Waiting
from ._errors import PipelineError
from ._flow import BLOCKED, NEED_INPUT, Flow, Mark
from ._items import show_item
from ._slot import Slot
from ._stage import END, End, Reply

ClientOut = TypeVar("ClientOut", contravariant=True, default=Any)

WRITE_BYTES: Final = 65536
"""At so many bytes what is to be written goes out, so that memory stays bounded."""


class Outgoing(Generic[ClientOut]):
    """What of an engine takes items from the client to the wire; see `Engine`.

    Args:
        chain: whose outbound direction it is, for errors.
        flow: its stages.
        byte_wire: whether only bytes may come out.

    Attributes:
        buffer: what came out and is to be written.
    """

    def __init__(self, chain: Any, flow: Flow, *, byte_wire: bool) -> None:
        self.chain = chain
        self.outbound_error: BaseException | None = None
        self.sending = False
        self._send_error: BaseException | None = None
        self.eof_sent = False
        self.closed = False
        self._outbound = flow
        self._begun = False  # whether every stage's start() is over
        self._byte_wire = byte_wire
        self.buffer = WriteBuffer(byte_wire=byte_wire)
        self._held_back = False

    # ---- state

    @property
    def owes_replies(self) -> bool:
        """Whether something waits to be written that no `send()` is about."""
        owed = self.outbound_error is None and self.buffer.reply_size > 0
        return owed or self._outbound.stirred or self._held_back

    @property
    def send_is_held_back(self) -> bool:
        """Whether the present send waits above a stage that is not ready, or for the client to take replies."""
        return self._outbound.other.full or any(slot.inbox and not slot.open for slot in self._outbound.slots)

    @property
    def is_stuck(self) -> bool:
        """Whether the present send waits at a gate, and nothing has happened since that was found out."""
        to_do = self._outbound.stirred or any(slot.due is not None for slot in self._outbound.slots)
        return self.sending and self.send_is_held_back and not to_do

    @property
    def outbound_slots(self) -> tuple[Slot, ...]:
        """The outbound stages in the order of the flow."""
        return self._outbound.slots

    @property
    def outbound_idle(self) -> bool:
        """Whether an item sent now would be alone on its way to the buffer, with nothing that holds it back."""
        return self._begun and not (
            self.sending
            or self.owes_replies
            or self.eof_sent
            or not self._outbound.takes()
            or self._outbound.other.full
            or self.outbound_error is not None
        )

    @property
    def replies_full(self) -> bool:
        """Whether so many replies wait to be written that inbound has stopped."""
        return self._outbound.full

    @property
    def outbound_ended(self) -> bool:
        """Whether nothing more will come out at the wire: time to half-close it."""
        return self._outbound.ended

    @property
    def to_write_bytes(self) -> int:
        """How much there is to be written; 0 only if there is nothing."""
        return self.buffer.size

    @property
    def send_is_out(self) -> bool:
        """Whether the present send's item has left the stages, if only into the buffer."""
        return not self._outbound.holds_mine

    @property
    def send_is_torn(self) -> bool:
        """Whether a part of the present send was written."""
        return self.sending and self.buffer.handed

    # ---- for everybody

    def send(self, item: ClientOut, /) -> None:
        """Take one item from the client; `to_write()` takes it through the stages.

        Raises:
            PipelineError: outbound has ended or broken, the engine is closed, or the item before is not out yet.
        """
        refuse_marks(item, "sent", "send_eof()")
        self._check_outbound(ended=not self._outbound.takes())
        if self.sending:
            raise PipelineError("the item sent before is still under way: call to_write() until it gives []")
        self.sending, self._send_error = True, None
        self._outbound.put(item, mine=True)

    def send_eof(self) -> None:
        """End outbound: the stages' `finish()` run in `to_write()`; then `outbound_ended` is True.

        Raises:
            PipelineError: outbound has ended or broken, or the engine is closed.
        """
        self._check_outbound(ended=self._outbound.ended)
        self.end_outbound()

    @property
    def takes_sends(self) -> bool:
        """Whether outbound goes on: False as soon as its end is on the way."""
        return not self.eof_sent and self._outbound.takes()

    def to_write(self) -> list[Any] | Waiting:
        """Run outbound, and give what is to be written: at most about 64 KiB at a time.

        Returns:
            Items for the wire, on a byte wire one joined `bytes`; `[]` when there is nothing more for now
            (`sending` tells whether an item waits for a stage to become ready); a `Waiting` to await.

        Raises:
            Exception: what a stage raised, with a note. If nothing of the item was given out and no stage
                has gone ahead, the send had no effect; else outbound is broken.
            PipelineError: a stage ended outbound before the item that was sent is through.
        """
        status = self.work_out()
        if status is END and (error := self.take_send_error()) is not None:
            raise error
        if isinstance(status, Waiting):
            return status  # to be awaited at once; what is in the buffer is of the same step
        data = self.peek()
        self.wrote(len(data))
        return [bytes(data)] if self._byte_wire and data else list(data)

    # ---- in smaller steps, for a driver that must know what is whose

    def work_out(self, *, never_wait: bool = False, replies_only: bool = False) -> Any:
        """Run outbound until there is a write's worth, or as far as it goes.

        Args:
            never_wait: stop before a call that may wait.
            replies_only: leave the present send where it is.

        Returns:
            None: there is enough; call again when it was written. Else why it stopped: NEED_INPUT,
            BLOCKED, END, WOULD_WAIT or a `Waiting`.
        """
        self._outbound.hold_mine = replies_only
        while self.buffer.size < WRITE_BYTES:
            if self.outbound_error is not None or not self._begun:
                return BLOCKED
            self._outbound.never_wait = never_wait
            try:
                item = self._advance_outbound()
                self._held_back = item is BLOCKED
                if item is NEED_INPUT or isinstance(item, Mark | End | Waiting):
                    return item
                self._add(item)
            except Exception as error:
                if self._outbound.failed_mine:
                    self.abort_send(error)
                else:
                    self.break_outbound(error)
                raise
        return None

    def peek(self) -> Any:
        """What is to be written: bytes (or a view of some) on a byte wire, else a list of items."""
        return self.buffer.peek()

    def wrote(self, count: int) -> None:
        """Take note that the first `count` bytes (items, where the wire is no byte stream) were handed over."""
        replies = self.buffer.take(count)
        if self.outbound_error is None:
            self._outbound.owed -= replies
        if self.sending and not self.buffer and not self._outbound.holds_mine:
            self.finish_send()

    def add_unsent(self, data: bytes) -> None:
        """What is left of a write that was begun; the next one begins with it."""
        self.buffer.add(data, Of.EARLIER_SEND)

    def resume_send(self, slot: Slot | None, item: Any, result: Any) -> None:
        """Take a send over at the stage which turned `item` into `result`, or, with None, at the wire end."""
        self.sending = True
        if slot is None:
            self._outbound.put(item, at=len(self._outbound.slots), mine=True)
            return
        slot.mine = True
        try:
            self._outbound.accept(slot, result, "process", item)
        except Exception as error:
            self.abort_send(error)
            raise

    def finish_send(self) -> None:
        """The present send is complete: from now on what is buffered of it goes out, come what may."""
        self.sending = False
        self._outbound.settle_mine()
        self.buffer.settle_send()

    def abort_send(self, error: BaseException) -> None:
        """Undo the present send, or, where that cannot be, break outbound.

        Args:
            error: what cut it short.
        """
        self._send_error = None
        if not self.sending:
            return
        self.sending = False
        ahead = self._outbound.drop_mine(error)
        self._drop_send(ahead)
        if self.buffer.handed or ahead is not None:
            what = f"{ahead.name} had gone ahead of the wire" if ahead else "a part of the item was handed to the wire"
            broken = PipelineError(f"a send was cut short by {error!r} after {what}")
            broken.__cause__ = error
            self.break_outbound(broken)

    def take_send_error(self) -> BaseException | None:
        """Why the present send came to nothing, if that happened while somebody else ran outbound, or by an END."""
        error, self._send_error = self._send_error, None
        return error

    def break_outbound(self, error: BaseException, *, torn: bool = False) -> None:
        """Nothing can be sent any more.

        Args:
            error: the cause.
            torn: what is buffered is not to be written either, as the wire is in the middle of something.
        """
        self.outbound_error = self.outbound_error or error
        if torn or self.buffer.handed:
            self.buffer.clear()
        elif self.sending:
            self._drop_send(self._outbound.ahead)
        if self.sending:
            self._send_error = self.outbound_error
        self.sending = self._held_back = False
        self._outbound.break_off(self.outbound_error)
        self._outbound.stirred = False  # nothing is to be done there any more

    def end_outbound(self) -> None:
        """End outbound, unless that was done."""
        if not self.eof_sent and not self._outbound.ended:
            self.eof_sent = True
            self._outbound.put(END)

    # ---- inside

    def _advance_outbound(self) -> Any:
        """Run outbound up to the next item, unless the client must take replies first."""
        flow = self._outbound
        # Were both directions full, neither could wait for the other: then outbound goes on.
        if flow.other.full and not flow.full:
            return flow.only_timers()
        item = flow.advance()
        if item is END and self.sending and flow.lost_mine:
            self._lose_send()
        return item

    def _lose_send(self) -> None:
        """A stage ended outbound below what was sent, so that it can never go out; its sender is to be told."""
        error = PipelineError("outbound has ended before the item that was sent was through: a stage gave END")
        torn = self.buffer.handed
        self._outbound.settle_mine()
        self.buffer.drop_send()
        self.sending, self._send_error = False, error
        if torn:
            self.break_outbound(error)

    def _drop_send(self, ahead: Slot | None) -> None:
        """Forget the present send's bytes; replies that went through a stage ahead of the wire mean nothing then."""
        self._outbound.dropped_replies += self.buffer.drop_send(and_rest=ahead is not None)

    def _check_open(self) -> None:
        if self.closed:
            raise PipelineError("the engine is closed; a chain runs once: make a new one for each connection")

    def _check_outbound(self, *, ended: bool) -> None:
        self._check_open()
        if self.outbound_error is not None:
            raise PipelineError(f"outbound is broken: {self.outbound_error}") from self.outbound_error
        if self.eof_sent or ended:
            raise PipelineError("outbound has ended: nothing can be sent after send_eof() or END")

    def _add(self, item: Any) -> None:
        """Put what came out at the wire end into the buffer."""
        mine = self._outbound.mine
        if self._byte_wire:
            if not isinstance(item, bytes | bytearray | memoryview):
                self._outbound.failed_mine = mine
                raise TypeError(_not_bytes(item, self.chain))
            item = bytes(item)
            if not item:
                return
        size = self.buffer.add(item, Of.PRESENT_SEND if mine else Of.REPLY)
        self._outbound.owed += 0 if mine else size


def refuse_marks(item: object, verb: str, instead: str) -> None:
    """Refuse what is no item; these are a stage's or an engine's ways to say something."""
    if item is END:
        raise TypeError(f"END is no item and cannot be {verb}: call {instead}")
    if item is NEED_INPUT:
        raise TypeError(f"NEED_INPUT is no item and cannot be {verb}: it is what next_item() says")
    if type(item) is Reply:
        raise TypeError(f"{item!r} cannot be {verb}: a Reply is a stage's result. For its item: {item.item!r}")


def _not_bytes(item: object, chain: object) -> str:
    how = "TextCodec(), or item.encode()" if isinstance(item, str) else "a codec such as JSONCodec()"
    return (
        f"the chain {chain!r} gave the wire {type(item).__name__} {show_item(item)}, but the transport is a "
        f"byte stream and takes bytes: put an encoder into the chain ({how})"
    )
