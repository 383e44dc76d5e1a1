"""Whose item is written next, when many streams share one connection.

Rules for this file: it waits for nothing and knows no event loop. Streams take turns, an item each; one that may not
send now is set aside until something has changed, and keeps its place among those set aside, so that the first items
of new streams go out in the order in which they came. What answers for the connection goes ahead of all streams.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

S = TypeVar("S", bound=Hashable)
T = TypeVar("T")


class Turns(Generic[S, T]):
    """Things to be sent, by stream."""

    def __init__(self) -> None:
        self._queues: dict[S, deque[T]] = {}  # never an empty one
        self._ready: OrderedDict[S, None] = OrderedDict()  # those with a queue that were not refused yet
        self._aside: OrderedDict[S, None] = OrderedDict()  # those that were
        self._first: deque[T] = deque()
        self._look_again = False

    @property
    def ready(self) -> bool:
        """Whether anything waits that was not set aside."""
        return bool(self._first or self._ready)

    def add_first(self, thing: T) -> None:
        """Send a thing ahead of what all streams have to send."""
        self._first.append(thing)

    def add(self, stream: S, thing: T) -> None:
        """Send a thing when it is the stream's turn, behind what the stream has to send already."""
        queue = self._queues.get(stream)
        if queue is None:
            self._queues[stream] = deque((thing,))
            self._ready[stream] = None
        else:
            queue.append(thing)

    def withdraw(self, stream: S, thing: T) -> bool:
        """Do not send it; False: it is being sent, or was."""
        queue = self._queues.get(stream, ())
        if thing not in queue:
            return False
        assert isinstance(queue, deque)
        queue.remove(thing)
        if not queue:
            self.drop(stream)
        return True

    def drop(self, stream: S) -> list[T]:
        """Take out what a stream has to send."""
        self._ready.pop(stream, None)
        self._aside.pop(stream, None)
        return list(self._queues.pop(stream, ()))

    def look_again(self) -> bool:
        """Those that were set aside may be able to send now; whether there are any."""
        self._look_again = True
        return bool(self._aside)

    def next(self, may_send: Callable[[S, T], bool]) -> T | None:
        """Take out what is to be sent next; None: nothing can be."""
        if self._first:
            return self._first.popleft()
        if self._look_again:
            self._take_back()
        while self._ready:
            stream, _ = self._ready.popitem(last=False)
            queue = self._queues[stream]
            if not may_send(stream, queue[0]):
                self._aside[stream] = None
                continue
            thing = queue.popleft()
            if queue:
                self._ready[stream] = None
            else:
                del self._queues[stream]
            return thing
        return None

    def _take_back(self) -> None:
        for stream in reversed(self._aside):
            self._ready[stream] = None
            self._ready.move_to_end(stream, last=False)
        self._aside.clear()
        self._look_again = False
