"""`SansIO`: a stage of a protocol library that does no I/O itself ("sans-I/O": h11, wsproto, h2 …).

All of them have one shape: bytes in, events out; events to send in, bytes to write out; and after every call,
also one that failed, the library may have bytes to write. What is the same for each of them is done here. Source
of the shape: https://sans-io.readthedocs.io.

Rules for this file: it knows no library. What a library needs said is a method of `SansIO`, to be overridden.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from operator import length_hint
from typing import Any, Final, Generic

from typing_extensions import TypeVar

from pipeline import END, Duplex, End, Inbound, Outbound, Reply, Result

from .._bytes import BytesLike, as_bytes

__all__ = ["SansIO"]

ClientIn = TypeVar("ClientIn")
ClientOut = TypeVar("ClientOut")


class SansIO(Duplex[BytesLike, ClientIn, ClientOut, bytes], Generic[ClientIn, ClientOut]):
    """A stage of a sans-I/O library: subclass it, and say how the library's calls are named.

    in:  bytes cut anywhere        out:  the library's events

    `receive_data`, `send_event` and `data_to_send` must be there; all else is for libraries that have more. The two
    halves of the stage share the object, and so the library's connection. What the library has to write after a call
    goes out in one write; an error comes after it, so that the peer learns why.

    Raises:
        TypeError: `receive_data` is a generator function in a class with `leftover`: it would not run before its first
            event is asked for, and bytes that the library has not seen could not be given back.
    """

    ready: Any = True
    """bool: False while a handshake runs that needs nobody's decision; a `send()` waits for it. A property, mostly."""
    paused: Any = False
    """bool: while True the library must not be fed; `poll` gives events once it may be."""
    has_more: Any = True
    """bool: whether `poll` may have something now; where it is False, as it mostly should be, that is not called."""
    sending_ended: Any = False
    """bool: True once nothing will ever be sent any more: behind what is to be written, the wire is half-closed."""
    holds: Any = None
    """int | None: how many bytes of something unfinished the library holds; None: it does not say."""
    deadline: Any = None
    """float | None: when `on_timer` is due, in seconds on the pipeline's clock, `self.inbound.now()`."""
    peer_errors: Any = ()
    """tuple[type[Exception], ...]: what is raised for what the peer sent, and for nothing else."""
    close_waits: bool = False
    """Whether closing in good order reads on while the stage is not ready: what was sent waits for the peer."""
    end_waits: bool = True
    """Whether `send_eof()` and closing, too, wait while the stage is not ready."""

    def __init__(self) -> None:
        cls = type(self)
        if inspect.isgeneratorfunction(cls.receive_data) and cls.leftover is not SansIO.leftover:
            raise TypeError(
                f"{cls.__name__}.receive_data() is a generator, which does not run before its first event is asked "
                f"for; {cls.__name__}.leftover() would miss the bytes. Feed the library first, then return the "
                f"events: self.connection.receive_data(data); return self._events()"
            )
        self._end_was_given = False
        polls, timed = cls.poll is not SansIO.poll, cls.on_timer is not SansIO.on_timer
        super().__init__(_INBOUND[polls, timed](self), _Outbound(self))

    # ---- what a library must have

    def receive_data(self, data: bytes, /) -> Iterable[ClientIn | End]:
        """Feed the library, and return its events: a list, or an iterator that asks for them one by one.

        A list is faster. It is right where the library needs to know nothing between one event and the next, and
        where bytes do not become a great many of them.

        `data` is never empty: that means the end of the stream to some libraries. `END` among the events ends inbound.

        Raises:
            Exception: what the peer sent is wrong; when what is to be written is out, the stage stays failed.
        """
        raise NotImplementedError(f"{type(self).__qualname__} does not define receive_data")

    def send_event(self, event: ClientOut, /) -> bytes | None:
        """Give the library what the client sends.

        Returns:
            What it becomes, where the library says that at once; None: `data_to_send` is asked.

        Raises:
            Exception: it cannot be sent now, or never.
        """
        raise NotImplementedError(f"{type(self).__qualname__} does not define send_event")

    def data_to_send(self) -> bytes:
        """Take what the library has to write; called after every call that does not return it, or that failed."""
        raise NotImplementedError(f"{type(self).__qualname__} does not define data_to_send")

    # ---- what it may have

    def start(self) -> Iterable[ClientIn | End]:
        """Begin, before anything moves: a preface, a client's first flight."""
        return ()

    def receive_eof(self) -> Iterable[ClientIn | End]:
        """Tell the library that the peer ended the stream, and return its last events; or raise: it ended too early."""
        return ()

    def send_eof(self) -> None:
        """Tell the library that the client ends its direction in good order: a close frame."""

    def poll(self) -> Iterable[ClientIn | End]:
        """Give events that need no new input, such as those that waited while the library was `paused`.

        It is called often, and first of all: before the stage is fed and after anything was sent. `()`: there are none.
        """
        return ()

    def on_timer(self, now: float, /) -> Iterable[ClientIn | End]:
        """Act on the passed `deadline`, and move it; or raise: the peer took too long."""
        return ()

    def outdated(self, event: ClientIn, /) -> bool:
        """Whether an event of a list is of no use by the time it is asked for, and is left out, by what was sent since.

        For a library that returns lists although the client may have ended what an event in them belongs to.
        """
        return False

    def leftover(self) -> bytes | None:
        """Take out of the library the bytes that no event has come of, exactly; None: it cannot give them back."""
        return None

    def close(self) -> None:
        """Let go of what the library holds, however the pipeline ended."""


class _Inbound(Inbound[BytesLike, ClientIn]):
    """The inbound half: feeds the library, and gives its events."""

    def __init__(self, protocol: SansIO[ClientIn, Any]) -> None:
        self.name = f"{protocol.name}.inbound"
        self._protocol = protocol
        self._sifts = type(protocol).outdated is not SansIO.outdated
        self._failure: Exception | None = None
        self._events: Iterator[Any] = iter(())  # of the last call, not asked for yet

    @property
    def ready(self) -> bool:
        """Whether what is sent may go to the library."""
        return bool(self._protocol.ready)

    @property
    def close_waits(self) -> bool:
        """Whether closing reads on while the stage is not ready."""
        return self._protocol.close_waits

    @property
    def peer_errors(self) -> tuple[type[Exception], ...]:
        """What the library raises for what the peer sent."""
        errors: tuple[type[Exception], ...] = self._protocol.peer_errors
        return errors

    @property
    def wants_input(self) -> bool:
        """Whether the library may be fed."""
        return not self._protocol.paused

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
            if type(events) is list:
                data = self._protocol.data_to_send()
                replies = _results(self._protocol, data) if data or self._protocol.sending_ended else ()
                if self._sifts and len(events) > 1:
                    self._events = wanted = _Sifted(events, self._protocol.outdated)
                    return chain(map(Reply, replies), wanted) if replies else wanted
                return [*map(Reply, replies), *events] if replies else events
            self._events = iter(events)
        except Exception as error:
            self._failure = error
            return self._failing(error)
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


class _PollingInbound(_Inbound[ClientIn]):
    """The inbound half of a library that may have events without input; others need not be asked."""

    @property
    def has_more(self) -> bool:
        """Whether the library may have some now."""
        return bool(self._protocol.has_more) and self._failure is None

    def poll(self) -> Result[ClientIn]:
        """Give the events that need no input."""
        return () if self._failure is not None else self._made(self._protocol.poll)


class _TimedInbound(_Inbound[ClientIn]):
    """The inbound half of a library that has timers; a chain without any is spared asking for them."""

    @property
    def deadline(self) -> float | None:
        """When the library's next timer is due."""
        due: float | None = None if self._failure is not None else self._protocol.deadline
        return due

    async def on_timer(self, now: float, /) -> Result[ClientIn]:
        """Let the library act."""
        return self._made(self._protocol.on_timer, now)


class _TimedPollingInbound(_TimedInbound[ClientIn], _PollingInbound[ClientIn]):
    """Both."""


_INBOUND: Final[dict[tuple[bool, bool], type[_Inbound[Any]]]] = {
    (False, False): _Inbound,
    (True, False): _PollingInbound,
    (False, True): _TimedInbound,
    (True, True): _TimedPollingInbound,
}
"""By whether it polls, and whether it has timers."""


class _Outbound(Outbound[ClientOut, bytes]):
    """The outbound half: gives the library what the client sends, and writes what it becomes."""

    holds = 0
    keeps_outbound_state = True

    def __init__(self, protocol: SansIO[Any, ClientOut]) -> None:
        self.name = f"{protocol.name}.outbound"
        self._protocol = protocol

    @property
    def end_waits(self) -> bool:
        """Whether the end waits while the stage is not ready."""
        return self._protocol.end_waits

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
            return _results(protocol, data)
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
    return _results(protocol, protocol.data_to_send())


def _results(protocol: SansIO[Any, Any], data: bytes) -> list[Any]:
    results: list[Any] = [data] if data else []
    if protocol.sending_ended and not protocol._end_was_given:
        protocol._end_was_given = True
        results.append(END)
    return results


def _and_raise(results: list[Any], error: Exception) -> Iterator[Any]:
    yield from results
    raise error
