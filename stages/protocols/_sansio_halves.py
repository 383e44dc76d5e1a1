"""The halves of `SansIO`: when a library is fed and asked, and in what order that which it says goes out.

Rules for this file: what the library has to write after a call is one write, and goes out before the events of that
call, and before an error. Bytes are with the library as soon as they were processed, whenever events are asked for.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from operator import length_hint
from typing import TYPE_CHECKING, Any, Final

from typing_extensions import TypeVar

from pipeline import END, End, Inbound, Outbound, Reply, Result, StageReturnError

from .._bytes import BytesLike, as_bytes

if TYPE_CHECKING:
    from .sansio import SansIO

__all__ = ["INBOUND", "FedInbound", "LibraryOutbound", "results"]

ClientIn = TypeVar("ClientIn")
ClientOut = TypeVar("ClientOut")


class FedInbound(Inbound[BytesLike, ClientIn]):
    """The inbound half but for how it stands with the library: feeds it, and gives its events."""

    def __init__(self, protocol: SansIO[ClientIn, Any], *, sifts: bool = False) -> None:
        self.name = f"{protocol.name}.inbound"
        self._protocol: Any = protocol
        self._sifts = sifts  # whether events may be outdated by the time they are asked for
        self._failure: Exception | None = None
        self._events: Iterator[Any] = iter(())  # of the last call, not asked for yet

    @property
    def close_waits(self) -> bool:
        """Whether closing reads on while the stage is not ready."""
        waits: bool = self._protocol.close_waits
        return waits

    @property
    def peer_errors(self) -> tuple[type[Exception], ...]:
        """What the library raises for what the peer sent."""
        errors: tuple[type[Exception], ...] = self._protocol.peer_errors
        return errors

    @property
    def holds(self) -> int | None:
        """What the library says."""
        held: int | None = self._protocol.holds
        return held

    async def start(self) -> Result[ClientIn]:
        """Begin."""
        return self._made(self._protocol.start)

    def process_sync(self, data: BytesLike, /) -> Result[ClientIn]:
        """Feed the library, and give its events, lazily."""
        if type(data) is not bytes:
            data = as_bytes(self._protocol.name, data)
        if self._failure is not None:
            self._check()
        return self._made(self._protocol.receive_data, data) if data else ()

    async def finish(self) -> Result[ClientIn]:
        """End of the stream."""
        self._check()
        return self._made(self._protocol.receive_eof)

    def unread(self, outputs: Iterable[Any], /) -> Iterable[bytes] | None:
        """Give back what the library has not made events of; None after an error, and when there are events already."""
        if list(outputs) or self._failure is not None or length_hint(self._events):
            return None
        rest = self._protocol.leftover()
        return None if rest is None else [rest] if rest else []

    def close(self) -> None:
        """Close the library's connection."""
        self._protocol.close()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure.with_traceback(None)

    def _made(self, method: Callable[..., Iterable[ClientIn | End]], *args: Any) -> Iterable[Any]:
        # Now, and not when the first result is asked for: what it was called with is with the library then.
        try:
            events = method(*args)
            if type(events) is not list:
                events = _iterator(events, self._protocol, method)
            return self._shown(events)
        except Exception as error:
            self._failure = error
            return self._failing(error)

    def _shown(self, events: Iterable[ClientIn | End]) -> Iterable[Any]:
        """The events, what the library writes among them."""
        if type(events) is list:
            data = self._protocol.data_to_send()
            replies = results(self._protocol, data) if data or self._protocol.sending_ended else ()
            if self._sifts and len(events) > 1:
                self._events = wanted = _Sifted(events, self._protocol.outdated)
                return chain(map(Reply, replies), wanted) if replies else wanted
            return [*map(Reply, replies), *events] if replies else events
        self._events = iter(events)
        return self._walk(self._events)

    def _walk(self, events: Iterator[ClientIn | End]) -> Iterator[Any]:
        try:
            for event in events:
                yield from map(Reply, _to_write(self._protocol))
                yield event
        except Exception as error:
            self._failure = error
            yield from self._failing(error)
        yield from map(Reply, _to_write(self._protocol))

    def _failing(self, error: Exception) -> Iterator[Any]:
        yield from map(Reply, _to_write(self._protocol))
        raise error


def _iterator(events: Any, protocol: SansIO[Any, Any], method: Callable[..., object]) -> Iterator[Any]:
    try:
        return iter(events)
    except TypeError:
        if inspect.iscoroutine(events):
            events.close()  # it is reported here; Python need not warn that nobody awaited it
        called = f"{protocol.name}.{method.__name__}()"
        what = "None" if events is None else type(events).__name__
        raise StageReturnError(
            f"{called} returned {what}. Return the events: a list or an iterator, () for none"
        ) from None


class LibraryInbound(FedInbound[ClientIn]):
    """The inbound half: it asks the library how it stands, each time."""

    @property
    def ready(self) -> bool:
        """Whether what is sent may go to the library."""
        return bool(self._protocol.ready)

    @property
    def wants_input(self) -> bool:
        """Whether the library may be fed."""
        return not self._protocol.paused


class _Sifted:
    """The events of a list but for those that are outdated when they are asked for, an iterator.

    It says how many are left, as a list's iterator does, since the pipeline goes a shorter way where that is known.
    """

    def __init__(self, events: list[Any], outdated: Callable[[Any], bool]) -> None:
        self._events, self._outdated = iter(events), outdated

    def __iter__(self) -> _Sifted:
        return self

    def __next__(self) -> Any:
        for event in self._events:
            if event is END or not self._outdated(event):
                return event
        raise StopIteration

    def __length_hint__(self) -> int:
        return length_hint(self._events)


class PollingInbound(LibraryInbound[ClientIn]):
    """The inbound half of a library that may have events without input; others need not be asked."""

    @property
    def has_more(self) -> bool:
        """Whether the library may have some now."""
        return bool(self._protocol.has_more) and self._failure is None

    def poll(self) -> Result[ClientIn]:
        """Give the events that need no input."""
        return () if self._failure is not None else self._made(self._protocol.poll)


class TimedInbound(LibraryInbound[ClientIn]):
    """The inbound half of a library that has timers; a chain without any is spared asking for them."""

    @property
    def deadline(self) -> float | None:
        """When the library's next timer is due."""
        due: float | None = None if self._failure is not None else self._protocol.deadline
        return due

    async def on_timer(self, now: float, /) -> Result[ClientIn]:
        """Let the library act."""
        return self._made(self._protocol.on_timer, now)


class TimedPollingInbound(TimedInbound[ClientIn], PollingInbound[ClientIn]):
    """Both."""


INBOUND: Final[dict[tuple[bool, bool], type[LibraryInbound[Any]]]] = {
    (False, False): LibraryInbound,
    (True, False): PollingInbound,
    (False, True): TimedInbound,
    (True, True): TimedPollingInbound,
}
"""By whether it polls, and whether it has timers."""


class LibraryOutbound(Outbound[ClientOut, bytes]):
    """The outbound half: gives the library what the client sends, and writes what it becomes."""

    holds = 0
    keeps_outbound_state = True

    def __init__(self, protocol: SansIO[Any, ClientOut]) -> None:
        self.name = f"{protocol.name}.outbound"
        self._protocol: Any = protocol

    @property
    def end_waits(self) -> bool:
        """Whether the end waits while the stage is not ready."""
        waits: bool = self._protocol.end_waits
        return waits

    def process_sync(self, event: ClientOut, /) -> Result[bytes]:
        """Let the library make bytes of an event."""
        protocol = self._protocol
        try:
            data = protocol.send_event(event)
        except Exception as error:
            return self._failing(error)
        if data is None:
            data = protocol.data_to_send()
        if protocol.sending_ended:
            return results(protocol, data)
        return [data] if data else ()

    async def finish(self) -> Result[bytes]:
        """Let the library end in good order."""
        try:
            self._protocol.send_eof()
        except Exception as error:
            return self._failing(error)
        return _to_write(self._protocol)

    def _failing(self, error: Exception) -> Iterator[bytes]:
        written = _to_write(self._protocol)
        if not written:
            raise error
        return _and_raise(written, error)


def _to_write(protocol: SansIO[Any, Any]) -> list[Any]:
    """What the library has to write, as results of outbound."""
    return results(protocol, protocol.data_to_send())


def results(protocol: SansIO[Any, Any], data: bytes) -> list[Any]:
    """What was to be written, and the end where that is all, as results of outbound."""
    found: list[Any] = [data] if data else []
    if protocol.sending_ended and not protocol._end_was_given:
        protocol._end_was_given = True
        found.append(END)
    return found


def _and_raise(results: list[Any], error: Exception) -> Iterator[Any]:
    yield from results
    raise error
