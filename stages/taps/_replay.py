"""A recorded session brought back, into a stage or a chain: `replay`."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeAlias, TypeVar, overload

from pipeline import END, NEED_INPUT, Duplex, Engine, Inbound, Outbound, Passthrough, Waiting

from ._recording import Record, read_recording

__all__ = ["Replayed", "replay"]

ClientIn = TypeVar("ClientIn")
ClientOut = TypeVar("ClientOut")

AnyChain: TypeAlias = "Duplex[Any, Any, Any, Any] | Inbound[Any, Any] | Outbound[Any, Any] | Passthrough"


@dataclass
class Replayed(Generic[ClientIn]):
    """What came of a replay.

    Attributes:
        received: the items that the client got.
        sent: what went to the wire now: the stages' replies, and what `answer` sent, one entry per item.
        recorded: what went to the wire then, one entry per item, to compare `sent` with.
    """

    received: list[ClientIn]
    sent: list[Any]
    recorded: list[bytes]


@overload
def replay(
    path: str | os.PathLike[str],
    stage: Duplex[Any, ClientIn, ClientOut, Any],
    *,
    answer: Callable[[ClientIn], Iterable[ClientOut]] | None = None,
    partial: bool = False,
) -> Replayed[ClientIn]: ...
@overload
def replay(
    path: str | os.PathLike[str],
    stage: Inbound[Any, ClientIn],
    *,
    answer: Callable[[ClientIn], Iterable[Any]] | None = None,
    partial: bool = False,
) -> Replayed[ClientIn]: ...
@overload
def replay(
    path: str | os.PathLike[str],
    stage: Outbound[Any, Any] | Passthrough,
    *,
    answer: Callable[[Any], Iterable[Any]] | None = None,
    partial: bool = False,
) -> Replayed[Any]: ...
def replay(
    path: str | os.PathLike[str],
    stage: AnyChain,
    *,
    answer: Callable[[Any], Iterable[Any]] | None = None,
    partial: bool = False,
) -> Replayed[Any]:
    r"""Let a session that `Recorder` wrote down come in once more: through this stage, or this chain.

    "session.jsonl"  ─►  replay(path, LineFramer())  ─►  Replayed(received=[b"one", b"two"], ...)

    What came from the wire is fed as it came, cut where it was cut, up to the end of the wire if that was
    recorded. The chain's clock goes as it went then, up to the close, so that its timers run, and nobody
    waits. No event loop is needed. A recording that is cut off somewhere is replayed up to there; a file
    that was set aside, `path` and `.1`, is replayed first.

    Args:
        path: the file, as it was given to `Recorder`.
        stage: an inbound or outbound stage, a duplex, or a chain; a fresh one, and without the `Recorder`.
        answer: the client: called with each item it gets, plain, returns the items that it sends then,
            `()` for none. Outbound ends where it did in the recording.
        partial: whether to go on with a recording whose beginning is gone, by `max_bytes`.

    Returns:
        What the client got, and what went to the wire now and then.

    Raises:
        FileNotFoundError: there is no such recording.
        ValueError: a line is no record; or the beginning is gone.
        RuntimeError: a stage waits, and there is no event loop to wait with.
        Exception: what a stage raised, or `answer`, with a note that says where in the recording.
    """
    player = _Player(stage, answer)
    try:
        for count, record in enumerate(read_recording(os.fspath(path))):
            if not count and record.number and not partial:
                raise ValueError(
                    f"{path}: the first {record.number} lines of the session are gone: it was longer than max_bytes "
                    f"twice. Record with a larger max_bytes, or replay the rest: replay(..., partial=True)"
                )
            player.play(record)
    finally:
        player.close()
    return player.result


_OUTBOUND_END: Final = object()


class _Player:
    """The chain, with the recording at its wire end and `answer` at the client's."""

    def __init__(self, stage: AnyChain, answer: Callable[[Any], Iterable[Any]] | None) -> None:
        self.result = Replayed[Any]([], [], [])
        self._answer = answer
        self._now: float | None = None
        self._unsent: deque[Any] = deque()  # what the client sent while a stage was not ready
        self._engine: Engine[Any, Any] = Engine(stage, clock=lambda: self._now or 0.0)

    def play(self, record: Record) -> None:
        """Let time go on to the record's, and happen what happened."""
        try:
            self._pass_time(record.time)
            self._happen(record)
            self._run()
        except Exception as error:
            error.add_note(f"in the replay of {record}; items received before it: {len(self.result.received)}")
            raise

    def close(self) -> None:
        self._engine.close()

    def _pass_time(self, until: float) -> None:
        """Run the timers that were due before, each at its own time."""
        if self._now is None:
            self._now = until
            self._engine.start()
            self._run()
        # At the very same time input comes first.
        while (deadline := self._engine.deadline) is not None and deadline < until:
            self._now = max(self._now, deadline)
            self._engine.tick(self._now)
            self._run()
        self._now = max(self._now, until)

    def _happen(self, record: Record) -> None:
        if record.direction == "inbound":
            if record.data is None:
                self._engine.feed_eof()
            else:
                self._engine.feed(record.data)
        elif record.data is not None:
            self.result.recorded.append(record.data)
        elif record.direction and self._answer is not None:
            self._unsent.append(_OUTBOUND_END)

    def _run(self) -> None:
        """Run both directions until a round moved nothing; twice at least, as each may let the other go on."""
        still = 0
        while still < 2:
            still = 0 if self._receive() + self._send() else still + 1

    def _receive(self) -> int:
        before = len(self.result.received)
        while (item := self._engine.next_item()) is not NEED_INPUT and item is not END:
            if isinstance(item, Waiting):
                raise _waits(item)
            self.result.received.append(item)
            if self._answer is not None:
                self._unsent += self._answer(item)
                self._send()
        return len(self.result.received) - before

    def _send(self) -> int:
        before = len(self.result.sent)
        moved = True
        while moved:
            handed = self._hand_in()
            items = self._engine.to_write()
            if isinstance(items, Waiting):
                raise _waits(items)
            self.result.sent += items
            moved = handed or bool(items)
        return len(self.result.sent) - before

    def _hand_in(self) -> bool:
        """Let the client send its next item, if the one before is out."""
        if not self._unsent or self._engine.sending:
            return False
        item = self._unsent.popleft()
        if item is _OUTBOUND_END:
            self._engine.send_eof()
        else:
            self._engine.send(item)
        return True


def _waits(waiting: Waiting) -> RuntimeError:
    return RuntimeError(
        f"{waiting.stage_name} waits, and replay() has no event loop to wait with: replay into the stages below it"
    )
