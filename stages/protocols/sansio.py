"""`SansIO`: a stage of a protocol library that does no I/O itself ("sans-I/O": h11, wsproto, h2 …).

All of them have one shape: bytes in, events out; events to send in, bytes to write out; and after every call,
also one that failed, the library may have bytes to write. What is the same for each of them is done here, and by the
halves in `_sansio_halves.py`. Source of the shape: https://sans-io.readthedocs.io.

Rules for this file: it knows no library. What a library needs said is a method of `SansIO`, to be overridden.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any, Generic

from typing_extensions import TypeVar

from pipeline import Duplex, End, Inbound, Outbound

from .._bytes import BytesLike
from ._sansio_halves import INBOUND, LibraryOutbound

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
        super().__init__(*self._halves())

    def _halves(self) -> tuple[Inbound[BytesLike, ClientIn], Outbound[ClientOut, bytes]]:
        """Make the halves; a stage that is to cost less than any library's has some of its own."""
        cls = type(self)
        polls, timed = cls.poll is not SansIO.poll, cls.on_timer is not SansIO.on_timer
        sifts = cls.outdated is not SansIO.outdated
        return INBOUND[polls, timed](self, sifts=sifts), LibraryOutbound(self)

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
