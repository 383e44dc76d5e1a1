"""What `Harness` and `AsyncHarness` share: a chain with both of its ends in a test's hands.

Rules for this file: no event loop. Every method that drives the chain is a *script*: a generator which
yields the `Waiting`s it meets and returns what came out. The harnesses differ only in what they do with a
`Waiting`: one refuses it, the other awaits it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from typing import Any, Final, TypeAlias

from .._chain import Duplex, Inbound, Outbound, Passthrough
from .._core import Engine
from .._errors import PipelineError
from .._flow import NEED_INPUT, Waiting
from .._stage import END
from ._leftover import left_over

AnyChain: TypeAlias = "Duplex[Any, Any, Any, Any] | Inbound[Any, Any] | Outbound[Any, Any] | Passthrough"
"""Whatever can be tested: one half, a duplex, or stages joined with `|`."""

Script: TypeAlias = Generator[Waiting, None, list[Any]]

INBOUND: Final = "inbound"
OUTBOUND: Final = "outbound"


class Bench:
    """A chain, running, with everything that came out of it so far.

    Attributes:
        received: every client item so far, also when a call raised midway.
        sent: every wire item so far, replies among them.
        replies: what came out at the other end than the call went in at: wire items that `receive()`,
            `advance()`, `finish()` or the start caused, and client items that `send()` caused.
        now: the test's clock, in seconds; `advance()` moves it.
        engine: what runs the chain.
    """

    def __init__(self, chain: AnyChain) -> None:
        self.received: list[Any] = []
        self.sent: list[Any] = []
        self.replies: list[Any] = []
        self.now = 0.0
        self.engine: Engine[Any, Any] = Engine(chain, clock=lambda: self.now)
        self.engine.on_news = self._note_news
        self._unsent: deque[Any] = deque()  # sent while the item before is held back; END: send_eof()
        self._eof = False
        self._news = False
        self._awaited: set[str] = set()  # directions in which some task waits with a stage
        self.engine.start()

    @property
    def inbound_ended(self) -> bool:
        """Whether the client has seen the end of the stream."""
        return self.engine.inbound_ended

    @property
    def outbound_ended(self) -> bool:
        """Whether the wire has seen the end: after `send_eof()`, or by a stage's `END`."""
        return self.engine.outbound_ended

    def close(self) -> None:
        """Close every stage, as the end of a pipeline does; a second call does nothing."""
        self.engine.close()

    # ---- the calls, as scripts

    def _start(self) -> Script:
        yield from self._drive(self.received, self.sent)
        return self.sent[:]

    def _receive(self, wire_items: tuple[Any, ...]) -> Script:
        self._check_inbound()
        out: list[Any] = []
        if not wire_items:
            out += yield from self._drive(self.received, self.sent)
        for item in wire_items:
            if not self.inbound_ended:  # behind a stage's END nothing is read any more
                self.engine.feed(item)
            out += yield from self._drive(self.received, self.sent)
        return out

    def _send(self, client_items: tuple[Any, ...]) -> Script:
        out: list[Any] = []
        for item in client_items:
            self._queue(item)
            try:
                out += yield from self._drive(self.sent, self.received)
            except Exception:
                raise
            except BaseException as cancelled:
                self.engine.abort_send(cancelled)  # whoever sees Cancelled owns the item
                raise
        return out

    def _send_eof(self) -> Script:
        self._queue(END)
        return (yield from self._drive(self.sent, self.received))

    def _advance(self, seconds: float) -> Script:
        if seconds < 0:
            raise ValueError(f"advance({seconds}): the clock goes forward only")
        self._check_timers()
        until = self.now + seconds
        before = len(self.received)
        while (deadline := self.engine.deadline) is not None and deadline <= until:
            self.now = max(self.now, deadline)
            self.engine.tick(self.now)
            yield from self._drive(self.received, self.sent)
        self.now = until
        return self.received[before:]

    def _check_timers(self) -> None:
        """Refuse a deadline that nobody acts on, which a running pipeline does not look for."""
        for slot in (slot for seat in self.engine.seats for slot in seat.slots):
            if not slot.timed and slot.stage.deadline is not None:
                raise TypeError(f"{slot.name} has a deadline, and nothing to call then: define `async def on_timer`")

    def _finish(self) -> Script:
        self._check_inbound()
        if not (self._eof or self.inbound_ended):
            self.engine.feed_eof()
        self._eof = True
        out = yield from self._drive(self.received, self.sent)
        rest = left_over(self.engine, self._unsent)
        if rest:
            raise AssertionError("finish(): left over in the chain:\n" + "\n".join(f"  {line}" for line in rest))
        return out

    # ---- driving

    def _check_inbound(self) -> None:
        error = self.engine.inbound_error
        if error is not None:
            raise PipelineError(f"inbound is broken: {error!r}") from error
        if self._eof and not self.inbound_ended:
            raise PipelineError("nothing can be received after finish(): the wire has ended")

    def _queue(self, item: Any) -> None:
        """Let an item, or END, go out; behind those that are held back, if there are any."""
        if self._unsent or self.engine.sending:
            self._unsent.append(item)
        else:
            self._hand_in(item)

    def _hand_in(self, item: Any) -> None:
        if item is END:
            self.engine.send_eof()
        else:
            self.engine.send(item)

    def _drive(self, near: list[Any], far: list[Any]) -> Script:
        """Run both directions until nothing moves; what comes out at the far end is a reply."""
        start, far_start = len(near), len(far)
        try:
            yield from self._settle()
        finally:
            self.replies += far[far_start:]
        return near[start:]

    def _settle(self) -> Generator[Waiting, None, None]:
        """Run until a whole round moved nothing; raise the first error only then, so that all comes out.

        There are two rounds at least: outbound may have let inbound go on without a sign of it.
        """
        errors: list[Exception] = []
        rounds = 0
        moved = True
        while moved or rounds < 2:
            self._news = False
            moved = yield from self._run_inbound(errors)
            moved = (yield from self._run_outbound(errors)) or moved or self._news
            rounds += 1
        if errors:
            for other in errors[1:]:
                errors[0].add_note(f"and then {other!r}")
            raise errors[0]

    def _run_inbound(self, errors: list[Exception]) -> Generator[Waiting, None, bool]:
        """Take client items, up to one with replies, which go out before the next one; tell whether there were any."""
        moved = False
        while self.engine.inbound_error is None and INBOUND not in self._awaited:
            try:
                item = self.engine.next_item()
            except Exception as error:
                errors.append(error)
                return True
            if isinstance(item, Waiting):
                yield from self._wait(INBOUND, item)
            elif item is NEED_INPUT or item is END:
                break
            else:
                self.received.append(item)
                moved = True
                if self.engine.owes_replies:
                    break
        return moved

    def _run_outbound(self, errors: list[Exception]) -> Generator[Waiting, None, bool]:
        """Take all wire items that there are; tell whether there were any."""
        moved = False
        while self.engine.outbound_error is None and OUTBOUND not in self._awaited:
            try:
                more = self._hand_in_next()
                items = self.engine.to_write()
            except Exception as error:
                errors.append(error)
                return True
            if isinstance(items, Waiting):
                yield from self._wait(OUTBOUND, items)
                continue
            self.sent += items
            if not items and not more:
                break
            moved = True
        return moved

    def _hand_in_next(self) -> bool:
        """Let the next of the items that were held back go out, if it may."""
        may = bool(self._unsent) and not self.engine.sending
        if may:
            self._hand_in(self._unsent.popleft())
        return may

    def _wait(self, direction: str, waiting: Waiting) -> Generator[Waiting, None, None]:
        """Hand out a `Waiting`; meanwhile no other task may run into the same one."""
        self._awaited.add(direction)
        try:
            yield waiting
        finally:
            self._awaited.discard(direction)

    def _note_news(self) -> None:
        self._news = True
