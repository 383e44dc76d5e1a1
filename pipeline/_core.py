"""The engine: a whole chain, running, with both directions, and nothing that reads or writes.

Rules for this file: no event loop and no I/O. A driver moves the bytes; this is one, for blocking sockets:

    engine.start()
    while (item := engine.next_item()) is not END:
        if item is NEED_INPUT:
            for data in engine.to_write(): sock.sendall(data)
            if data := sock.recv(65536): engine.feed(data)
            else: engine.feed_eof()
        else:
            engine.send(answer(item))
    engine.close()

`Pipeline` is the driver for trio; `Harness` one without any I/O. Where a stage waits, `next_item()` and
`to_write()` return a `Waiting`, to be awaited on the stage's event loop before the same call is made again.
"""

from __future__ import annotations

import enum
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Generic, Literal, cast

from typing_extensions import TypeVar

from ._chain import Duplex, Inbound, Outbound, Passthrough, Place, claim, places_of
from ._errors import PipelineError
from ._flow import BLOCKED, NEED_INPUT, Flow, Mark, NeedInput, Waiting
from ._items import show_item, size_of
from ._slot import Slot
from ._stage import END, End, Reply, declares

ClientIn = TypeVar("ClientIn", covariant=True, default=Any)
ClientOut = TypeVar("ClientOut", contravariant=True, default=Any)

WRITE_BYTES: Final = 65536
"""At so many bytes what is to be written goes out, so that memory stays bounded."""


class _Of(enum.Enum):
    """What a written item is part of."""

    REPLY = enum.auto()
    PRESENT_SEND = enum.auto()
    EARLIER_SEND = enum.auto()


class Engine(Generic[ClientIn, ClientOut]):
    """A chain attached to nothing yet: feed it what was read, and write what it gives.

    feed(b"...")  ─►  next_item() -> item
    to_write() -> [b"..."]  ◄─  send(item)

    Args:
        chain: a stage or a chain; its stages belong to this engine from now on.
        clock: what deadlines are measured on, in seconds.
        byte_wire: whether the wire end is a byte stream: then only bytes-like items may come out
            there, empty ones are left out, and `to_write()` joins them.
        max_reply_bytes: how much of replies may wait to be written before inbound stops.
        show_items: whether errors may show (a piece of) the item.

    Raises:
        TypeError: a piece of the chain is no stage, or one without a direction.
        StageInUseError: a stage belongs to another engine already.
    """

    def __init__(
        self,
        chain: Duplex[Any, ClientIn, ClientOut, Any] | Inbound[Any, ClientIn] | Outbound[ClientOut, Any] | Passthrough,
        *,
        clock: Callable[[], float] = time.monotonic,
        byte_wire: bool = False,
        max_reply_bytes: int = 65536,
        show_items: bool = True,
    ) -> None:
        if max_reply_bytes < 1:
            raise ValueError(f"max_reply_bytes is {max_reply_bytes}; a reply needs room: give 1 or more")
        self.chain = chain
        self.on_news: Callable[[], None] = lambda: None
        self.inbound_error: BaseException | None = None
        self.outbound_error: BaseException | None = None
        self.sending = False
        self.eof_sent = False
        self.closed = False
        self._clock, self._byte_wire = clock, byte_wire
        self._places = places_of(chain)
        inbound, outbound = _slots(self._places)
        self._show_items = show_items
        self._inbound = Flow(inbound, self._describe, show_items=show_items, max_reply_bytes=max_reply_bytes)
        self._outbound = Flow(outbound, self._describe, show_items=show_items, max_reply_bytes=max_reply_bytes)
        self._inbound.other, self._outbound.other = self._outbound, self._inbound
        self._inbound.on_news = self._outbound.on_news = self._tell_news
        self._slots = sorted(inbound + outbound, key=lambda slot: slot.place.number)
        self._timed = [slot for slot in self._slots if slot.timed]
        self._gates = [half for slot in outbound for half in slot.gates]
        self._starting: deque[Slot] | None = None
        self._buffer: deque[tuple[Any, _Of]] = deque()  # what came out at the wire end, and what it is of
        self._buffer_bytes = 0
        self._handed = False  # whether a part of the present send was written
        self._blocked = self._held_back = False
        for place in self._places:
            claim(place)
        for slot in self._slots:
            if not slot.stage.shareable:
                slot.stage._clock = clock

    # ---- state

    @property
    def ready(self) -> bool:
        """Whether every stage is; until then, what is sent may have to wait."""
        return all(half.ready for half in self._gates)

    @property
    def wants_input(self) -> bool:
        """Whether reading makes sense: False while a stage pauses, replies pile up, or inbound has ended."""
        return not (self._blocked or self._outbound.full or self._inbound.ended or self.inbound_error)

    @property
    def owes_replies(self) -> bool:
        """Whether something waits to be written that no `send()` is about."""
        return self._outbound.outside_bytes > 0 or self._outbound.stirred or self._held_back

    @property
    def send_is_held_back(self) -> bool:
        """Whether the present send waits above a stage that is not ready, or for the client to take replies."""
        return self._inbound.full or any(slot.inbox and not slot.open for slot in self._outbound.slots)

    @property
    def outbound_slots(self) -> list[Slot]:
        """The outbound stages in the order of the flow."""
        return self._outbound.slots

    @property
    def outbound_idle(self) -> bool:
        """Whether an item sent now would be alone on its way, with nothing that holds it back."""
        return not (
            self.sending
            or self._buffer
            or self.owes_replies
            or self._starting
            or self._starting is None
            or self.eof_sent
            or self._outbound.ended
            or self._inbound.full
            or self.outbound_error is not None
        )

    @property
    def replies_full(self) -> bool:
        """Whether so many replies wait to be written that inbound has stopped."""
        return self._outbound.full

    @property
    def inbound_ended(self) -> bool:
        """Whether `next_item()` has given END."""
        return self._inbound.ended

    @property
    def outbound_ended(self) -> bool:
        """Whether nothing more will come out at the wire: time to half-close it."""
        return self._outbound.ended

    @property
    def dropped_replies(self) -> int:
        """How many replies came too late, after their direction had ended or broken."""
        return self._inbound.dropped_replies + self._outbound.dropped_replies

    @property
    def timed(self) -> bool:
        """Whether any stage has timers at all."""
        return bool(self._timed)

    @property
    def deadline(self) -> float | None:
        """When to call `tick()` at the latest, or None."""
        times = [slot.stage.deadline for slot in self._timed if not slot.due]
        return min((time for time in times if time is not None), default=None)

    # ---- driving

    def start(self) -> None:
        """Begin: the stages' `start()` run, wire side first, in the next `next_item()`."""
        if self._starting is not None:
            raise PipelineError("start() was called already")
        self._starting = deque(slot for slot in self._slots if slot.starts)

    def feed(self, item: Any) -> None:
        """Take one item that was read from the wire."""
        _refuse_marks(item, "fed", "feed_eof()")
        self._inbound.put(item)

    def feed_eof(self) -> None:
        """Take note that the wire has ended cleanly."""
        self._inbound.put(END)

    def next_item(self) -> ClientIn | Literal[NeedInput.NEED_INPUT, End.END] | Waiting:
        """Run inbound until an item for the client is out.

        Returns:
            The item; NEED_INPUT when there is none without more input (see `wants_input`) or before
            replies were written; END at the end, for ever; a `Waiting` to await.

        Raises:
            Exception: what a stage raised, with a note. Inbound is broken then, outbound still works.
            PipelineError: inbound was broken before.
        """
        return cast("ClientIn", self.advance_inbound(never_wait=False))

    def advance_inbound(self, *, never_wait: bool) -> Any:
        """Do what `next_item` does, or give WOULD_WAIT before a call that may wait."""
        self._inbound.never_wait = self._outbound.never_wait = never_wait
        if self._starting is None or self._starting:
            status = self._run_starts()
            if status is not None:
                return status
        if self.inbound_error is not None:
            raise PipelineError(f"inbound is broken: {self.inbound_error!r}") from self.inbound_error
        if self._outbound.full:
            return NEED_INPUT
        try:
            item = self._inbound.advance()
        except Exception as error:
            self.inbound_error = error
            raise
        self._blocked = item is BLOCKED
        return NEED_INPUT if self._blocked else item

    def send(self, item: ClientOut, /) -> None:
        """Take one item from the client; `to_write()` takes it through the stages.

        Raises:
            PipelineError: outbound has ended or broken, or the item before is not out yet.
        """
        _refuse_marks(item, "sent", "send_eof()")
        self._check_outbound()
        if self.sending:
            raise PipelineError("the item sent before is still under way: call to_write() until it gives []")
        self.sending, self._handed = True, False
        self._outbound.put(item, mine=True)

    def send_eof(self) -> None:
        """End outbound: the stages' `finish()` run in `to_write()`; then `outbound_ended` is True.

        Raises:
            PipelineError: outbound has ended or broken.
        """
        self._check_outbound()
        self.end_outbound()

    def to_write(self) -> list[Any] | Waiting:
        """Run outbound, and give what is to be written: at most about 64 KiB at a time.

        Returns:
            Items for the wire, on a byte wire one joined `bytes`; `[]` when there is nothing more for now
            (`sending` tells whether an item waits for a stage to become ready); a `Waiting` to await.

        Raises:
            Exception: what a stage raised, with a note. If nothing of the item was given out and no stage
                has gone ahead, the send had no effect; else outbound is broken.
        """
        status = self.work_out()
        if isinstance(status, Waiting):
            return status  # to be awaited at once; what is in the buffer is of the same step
        data = self.peek()
        self.wrote(len(data))
        return [data] if self._byte_wire and data else list(data)

    def tick(self, now: float | None = None) -> None:
        """Let stages whose deadline is over act; what they give comes with the next call."""
        now = self._clock() if now is None else now
        for slot in self._timed:
            deadline = slot.stage.deadline
            if deadline is not None and deadline <= now and not slot.due:
                slot.due = True
                slot.flow.touch(slot.index)

    def close(self) -> None:
        """Close every stage, wire side first, whatever state it is in; a second call does nothing.

        Raises:
            Exception: the first error of a stage's `close()`, the others as notes; all were closed.
        """
        if self.closed:
            return
        self.closed = True
        errors: list[Exception] = []
        for slot in self._slots:
            for clean_up in (slot.drop, *(() if slot.stage.shareable else (slot.stage.close,))):
                try:
                    clean_up()
                except Exception as failed:
                    failed.add_note(f"in {self._describe(slot)}, close()")
                    errors.append(failed)
        if errors:
            for other in errors[1:]:
                errors[0].add_note(f"and then {other!r}")
            raise errors[0]

    def has_begun_input(self) -> bool:
        """Whether a stage holds a part of an item that the client has not seen."""
        return any(slot.busy or slot.holds_input() for slot in self._inbound.slots)

    # ---- outbound in smaller steps, for a driver that must know what is whose

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
        while self._buffer_bytes < WRITE_BYTES:
            if self.outbound_error is not None or self._inbound.full or self._starting:
                return BLOCKED
            self._outbound.never_wait = never_wait
            try:
                item = self._outbound.advance()
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

    @property
    def to_write_bytes(self) -> int:
        """How much there is to be written."""
        return self._buffer_bytes

    def peek(self) -> Any:
        """What is to be written: bytes on a byte wire, else a list of items."""
        items = [item for item, _ in self._buffer]
        return b"".join(items) if self._byte_wire else items

    def wrote(self, count: int) -> None:
        """Take note that the first `count` bytes (items, where the wire is no byte stream) were handed over."""
        while count > 0:
            item, of = self._buffer.popleft()
            taken = min(count, len(item)) if self._byte_wire else 1
            size = taken if self._byte_wire else size_of(item)
            if self._byte_wire and taken < len(item):
                self._buffer.appendleft((item[taken:], of))
            self._handed = self._handed or of is _Of.PRESENT_SEND
            self._buffer_bytes -= size
            self._outbound.outside_bytes -= size if of is _Of.REPLY else 0
            count -= taken
        if self.sending and not self._buffer_bytes and not self._outbound.holds_mine:
            self.finish_send()

    def add_unsent(self, data: bytes) -> None:
        """What is left of a write that was begun; the next one begins with it."""
        self._buffer.append((data, _Of.EARLIER_SEND))
        self._buffer_bytes += len(data)

    def resume_send(self, slot: Slot | None, item: Any, result: Any) -> None:
        """Take a send over at the stage which turned `item` into `result`, or, with None, at the wire end."""
        self.sending, self._handed = True, False
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
        self.sending = self._handed = False
        self._outbound.drop_mine()
        self._buffer = deque((item, _Of.EARLIER_SEND if of is _Of.PRESENT_SEND else of) for item, of in self._buffer)

    def abort_send(self, error: BaseException) -> None:
        """Undo the present send, or, where that cannot be, break outbound.

        Args:
            error: what cut it short.
        """
        if not self.sending:
            return
        self.sending = False
        ahead = self._outbound.drop_mine()
        self._buffer = deque(entry for entry in self._buffer if entry[1] is not _Of.PRESENT_SEND)
        self._buffer_bytes = sum(size_of(item) for item, _ in self._buffer)
        if self._handed or ahead is not None:
            what = f"{ahead.name} had gone ahead of the wire" if ahead else "a part of the item was handed to the wire"
            broken = PipelineError(f"a send was cut short by {error!r} after {what}")
            broken.__cause__ = error
            self.break_outbound(broken)

    @property
    def send_is_out(self) -> bool:
        """Whether the present send's item has left the stages, if only into the buffer."""
        return not self._outbound.holds_mine

    @property
    def send_is_torn(self) -> bool:
        """Whether a part of the present send was written."""
        return self.sending and self._handed

    def break_outbound(self, error: BaseException, *, torn: bool = False) -> None:
        """Nothing can be sent any more.

        Args:
            error: the cause.
            torn: what is buffered is not to be written either, as the wire is in the middle of something.
        """
        self.outbound_error = self.outbound_error or error
        if torn or self._handed:
            self._buffer.clear()
            self._buffer_bytes = 0
        self.sending = False
        self._outbound.break_off()

    def break_inbound(self, error: BaseException) -> None:
        """Nothing can be received any more."""
        self.inbound_error = self.inbound_error or error

    # ---- inside

    def _run_starts(self) -> Any:
        """Run the stages' `start()`, wire side first, then let the replies among the results go first."""
        if self._starting is None:
            raise PipelineError("call start() first")
        try:
            while self._starting:
                status = self._starting[0].flow.start(self._starting[0])
                if status is not None:
                    return status
                self._starting.popleft()
            for slot in self._slots:
                slot.flow.lead(slot)
        except Exception as error:
            self.inbound_error = self.inbound_error or error
            raise
        return None

    def end_outbound(self) -> None:
        """End outbound, unless that was done."""
        if not self.eof_sent and not self._outbound.ended:
            self.eof_sent = True
            self._outbound.put(END)

    def _tell_news(self) -> None:
        self.on_news()

    def _check_outbound(self) -> None:
        if self.outbound_error is not None:
            raise PipelineError(f"outbound is broken: {self.outbound_error}") from self.outbound_error
        if self.eof_sent or self._outbound.ended:
            raise PipelineError("outbound has ended: nothing can be sent after send_eof() or END")

    def _add(self, item: Any) -> None:
        """Put what came out at the wire end into the buffer."""
        if self._byte_wire:
            if not isinstance(item, bytes | bytearray | memoryview):
                self._outbound.failed_mine = self._outbound.mine
                raise TypeError(_not_bytes(item, self.chain))
            if not len(item):
                return
            item = bytes(item)
        size = size_of(item)
        self._outbound.outside_bytes += 0 if self._outbound.mine else size
        self._buffer.append((item, _Of.PRESENT_SEND if self._outbound.mine else _Of.REPLY))
        self._buffer_bytes += size

    def _describe(self, slot: Slot) -> str:
        direction = "inbound" if slot.flow is self._inbound else "outbound"
        where = f"stage {slot.place.number} of {len(self._places)}"
        return f"{direction} stage {slot.name} ({where} of {self.chain!r})"


class _Gate(Outbound[Any, Any]):
    """Stands for an inbound stage that may be not ready: what is sent must wait there too."""

    shareable = True
    keeps_outbound_state = False

    def process_sync(self, item: Any, /) -> list[Any]:
        return [item]


def _slots(places: list[Place]) -> tuple[list[Slot], list[Slot]]:
    """The stages of a chain in the order of each flow, knowing of each other."""
    inbound: list[Slot] = []
    outbound: list[Slot] = []
    for place in places:
        halves = [half for half in (place.inbound, place.outbound) if half is not None]
        gates = tuple(half for half in halves if declares(half, "ready"))
        if place.inbound is not None:
            inbound.append(Slot(place.inbound, place))
        if place.outbound is not None or gates:
            outbound.append(Slot(place.outbound or _Gate(), place))
            outbound[-1].gates = gates
            outbound[-1].tracked = bool(outbound[-1].stage.keeps_outbound_state)
            if place.inbound is not None and inbound[-1].polls:
                outbound[-1].partner = inbound[-1]
    outbound.reverse()
    for slots, others in ((inbound, outbound), (outbound, inbound)):
        for index, slot in enumerate(slots):
            slot.index = index
            # A reply goes in behind all stages of the other flow that are on the far side, or here.
            far = [other for other in others if _is_before(other, slot, wire_first=others is inbound)]
            slot.back = len(far)
    return inbound, outbound


def _is_before(other: Slot, slot: Slot, *, wire_first: bool) -> bool:
    """Whether, in its own flow, `other` comes before the place of `slot`, or is its other half."""
    number, here = other.place.number, slot.place.number
    return number <= here if wire_first else number >= here


def _refuse_marks(item: object, verb: str, instead: str) -> None:
    if item is END:
        raise TypeError(f"END is no item and cannot be {verb}: call {instead}")
    if type(item) is Reply:
        raise TypeError(f"{item!r} cannot be {verb}: a Reply is a stage's result. For its item: {item.item!r}")


def _not_bytes(item: object, chain: object) -> str:
    how = "TextCodec(), or item.encode()" if isinstance(item, str) else "a codec such as JSONCodec()"
    return (
        f"the chain {chain!r} gave the wire {type(item).__name__} {show_item(item)}, but the transport is a "
        f"byte stream and takes bytes: put an encoder into the chain ({how})"
    )
