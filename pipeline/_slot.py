"""A stage at its place in a running chain, and everything that waits there."""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ._chain import Place
from ._stage import Stage, sync_process

if TYPE_CHECKING:
    from ._flow import Flow, Waiting


class Slot:
    """One stage in one direction of a running chain.

    Args:
        stage: the half that runs here.
        place: where in the chain it stands.
    """

    flow: Flow
    index: int
    """Where in the flow it stands, 0 first."""

    def __init__(self, stage: Stage[Any, Any], place: Place) -> None:
        self.stage, self.place = stage, place
        self.sync: Any = sync_process(stage)
        self.polls = _overrides(stage, "poll")
        self.timed = _overrides(stage, "on_timer")
        self.starts = _overrides(stage, "start")
        self.finishes = _overrides(stage, "finish")
        # What waits here: an inbox of (item, whether it belongs to the present send, reply bytes), results, a call.
        self.inbox: deque[tuple[Any, bool, int]] = deque()
        self.results: Iterator[Any] | None = None
        self.op: str = "process"
        self.args: tuple[Any, ...] = ()  # the call that the results are of
        self.running: Waiting | None = None
        self.failure: Exception | None = None
        self.due = False  # its deadline passed
        self.fresh = self.polls  # something happened since poll() gave nothing
        self.mine = False  # what is in work here belongs to the present send
        # How it stands to the rest of the chain; the engine fills this in.
        self.gates: tuple[Stage[Any, Any], ...] = ()  # halves whose `ready` decides whether items pass
        self.partner: Slot | None = None  # the other half, if it is to be polled when this one ran
        self.back = 0  # where in the other flow a reply from here goes in
        self.tracked = False  # having processed an item changes it, so a send must know
        self.touched = False  # it did so for the present send
        self.started = False

    @property
    def plain(self) -> bool:
        """Whether an item can be fed at any time without further ado."""
        return bool(self.sync) and not (self.polls or self.timed or self.gates or self.partner or self.tracked)

    @property
    def open(self) -> bool:
        """Whether an item may be fed now."""
        return bool(self.stage.wants_input) and all(half.ready for half in self.gates)

    @property
    def busy(self) -> bool:
        """Whether there is something to do here apart from untaken results."""
        return bool(self.inbox or self.due or self.fresh or self.running or self.failure)

    @property
    def name(self) -> str:
        """How errors call it: with the duplex it is a half of."""
        if self.place.piece is self.stage or self.stage.name.startswith(self.place.name):
            return self.stage.name
        return f"{self.place.name}.{self.stage.name}"

    def drop_results(self) -> None:
        """Close what is not taken; a lazy result's clean-up code runs now."""
        results, self.results = self.results, None
        close = getattr(results, "close", None)
        if close is not None:
            close()

    def drop(self) -> None:
        """Forget everything that waits here."""
        self.inbox.clear()
        self.due = self.fresh = False
        if self.running is not None:
            self.running.abandon()
        self.drop_results()

    def drop_mine(self) -> bool:
        """Forget what belongs to the present send; tell whether the stage has gone ahead with it."""
        self.inbox = deque(entry for entry in self.inbox if not entry[1])
        if self.mine:
            self.drop_results()
        touched, self.touched, self.mine = self.touched, False, False
        return touched

    @property
    def holds_mine(self) -> bool:
        """Whether a part of the present send's item is here."""
        # The last of a list's results was taken, although nobody looked for one more.
        results = self.results is not None and operator.length_hint(self.results, 1) > 0
        return (self.mine and (results or self.running is not None)) or any(mine for _, mine, _ in self.inbox)

    def holds_input(self) -> bool:
        """Whether the stage has taken input that nothing has come of; asked while nothing else is in work."""
        taken = self.stage.unread(())
        held = [] if taken is None else [item for item in taken if not _is_empty(item)]
        for item in held:  # what it gave back it gets again, and is where it was
            self.inbox.append((item, False, 0))
        return bool(held)


def _is_empty(item: object) -> bool:
    return isinstance(item, bytes | bytearray | memoryview | str) and not len(item)


def _overrides(stage: Stage[Any, Any], method: str) -> bool:
    """Whether the stage has a method of its own; a shareable one takes no part in a pipeline's life."""
    return not stage.shareable and getattr(type(stage), method) is not getattr(Stage, method)
