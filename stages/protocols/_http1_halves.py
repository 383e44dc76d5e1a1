"""The halves of `HTTP1`: what nearly every message is goes a straight way, past the adapter; all else goes through it.

They also know how the connection stands: when it may be fed, may be asked for more, and is free for the next cycle.
They need h11, so this is imported only when a stage is made.

Rules for this file: nothing but the calls made here and in `_http1` changes h11's states, so they are looked at when
they may have changed, and, on the straight ways, where h11 has them: its properties cost several times as much.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from h11 import (
    CLIENT,
    CLOSED,
    DONE,
    MUST_CLOSE,
    NEED_DATA,
    PAUSED,
    SEND_BODY,
    SEND_RESPONSE,
    SERVER,
    ConnectionClosed,
    Data,
    EndOfMessage,
    Event,
    RemoteProtocolError,
    Request,
    Response,
)
from h11._readers import ChunkedReader
from h11._state import MIGHT_SWITCH_PROTOCOL, SWITCHED_PROTOCOL

from pipeline import END, Result

from .._bytes import BytesLike
from ._http1 import MOST_AT_ONCE, REASONS
from ._sansio_halves import FedInbound, LibraryOutbound, results

if TYPE_CHECKING:
    from ._http1 import HTTP1

__all__ = ["ClientEventsIn", "EventsIn", "EventsOut"]

_PAUSING: Final = frozenset((DONE, MIGHT_SWITCH_PROTOCOL, SWITCHED_PROTOCOL))
"""States of the peer in which h11 waits for what is sent."""
_ASKED: Final = {CLIENT: DONE, SERVER: SEND_RESPONSE}
_BOTH_DONE: Final = {CLIENT: DONE, SERVER: DONE}


class EventsIn(FedInbound[Event]):
    """The inbound half of a server; of no server it is ever waited for that it may send.

    Attributes:
        wants_input: False: h11 pauses.
        has_more: whether the next request was received and is next, or there will be none.
    """

    never_expands = True
    wants_input = True
    has_more = False

    def __init__(self, protocol: HTTP1, max_header_bytes: int) -> None:
        super().__init__(protocol)
        self._connection: Any = protocol.connection
        self._enough = max_header_bytes - 1
        self.wants_input, self.has_more = True, False  # found faster than those of the class

    def process_sync(self, data: BytesLike, /) -> Result[Event]:
        """Feed h11, and give its events, as `HTTP1.parse` would."""
        if type(data) is not bytes or not data or self._failure is not None:
            return super().process_sync(data)
        connection = self._connection
        events: list[Any] = []
        try:
            connection.receive_data(data)
            if len(connection._receive_buffer._data) > self._enough and connection.their_state is not SEND_BODY:
                return self._shown(self._protocol.parse())
            while True:
                event = connection.next_event()
                kind = type(event)
                if kind is Request:
                    if type(connection._reader) is ChunkedReader:
                        self._protocol.check_end(event)
                    events.append(event)
                    if connection.client_is_waiting_for_100_continue or connection._cstate.pending_switch_proposals:
                        break
                elif kind is EndOfMessage:
                    events.append(event)
                    if connection._cstate.states == _ASKED and not connection._receive_buffer._data:
                        return events  # nothing else to note than before
                    return self._shown(self._ended(events))
                elif event is NEED_DATA or event is PAUSED or kind is ConnectionClosed:
                    self.wants_input = event is not PAUSED
                    self.look()
                    return self._shown(events)
                else:
                    events.append(event)
                    if len(events) == MOST_AT_ONCE:
                        break
        except RemoteProtocolError as error:
            ending = self._protocol.failing(self._protocol.explained(error))
        except Exception as error:
            self._failure = error
            self.look()
            return self._failing(error)
        else:
            ending = self._protocol.events()
        self.look()
        return self._shown(chain(events, ending))

    def _ended(self, events: list[Any]) -> Iterable[Any]:
        """A message is over; the next one may be there, or nothing more will come."""
        connection = self._connection
        theirs = connection.their_state
        if theirs is MUST_CLOSE:
            self.look()
            return [*events, END]
        waits = theirs is DONE and not self.begin_next()
        behind = len(connection._receive_buffer)
        if waits:
            self.wants_input = not behind  # as h11 would say
        self.look()
        return events if waits or (theirs is DONE and not behind) else chain(events, self._protocol.events())

    def poll(self) -> Result[Event]:
        """Give the events that need no input."""
        return () if self._failure is not None else self._made(self._protocol.poll)

    def begin_next(self) -> bool:
        """When both messages are over, the connection is free again; whether it is."""
        connection = self._connection
        if connection._cstate.states != _BOTH_DONE:
            return False
        connection.start_next_cycle()
        self.has_more = not self.wants_input
        return True

    def look(self) -> None:
        """Note what h11's states mean for the stage."""
        connection = self._connection
        states = connection._cstate.states
        ours, theirs = states[connection.our_role], states[connection.their_role]
        self._protocol.sending_ended = ours is MUST_CLOSE or ours is CLOSED
        # The next request was received and is next, or there will be none.
        self.has_more = theirs is MUST_CLOSE or (not self.wants_input and theirs not in _PAUSING)

    @property
    def is_excess(self) -> bool:
        """Whether the peer has sent more than was asked for."""
        return False


class ClientEventsIn(EventsIn):
    """The inbound half of a client.

    Attributes:
        ready: whether the response to what was sent has come, so that more may be sent.
    """

    ready = True

    def begin_next(self) -> bool:
        """The same, where nothing came behind the response: that cannot be an answer to what is asked next."""
        free = not self.is_excess and super().begin_next()
        self.ready = self.ready or free
        return free

    def look(self) -> None:
        """Note it, and whether the client may send."""
        super().look()
        ours = self._connection.our_state
        self.ready = not (ours is DONE or ours is MIGHT_SWITCH_PROTOCOL)
        self.has_more = self.has_more or self.is_excess

    @property
    def is_excess(self) -> bool:
        """Whether the server has sent more than this client has asked for."""
        connection = self._connection
        both_done = connection.our_state is DONE and connection.their_state is DONE
        return both_done and bool(connection._receive_buffer)


class EventsOut(LibraryOutbound[Event]):
    """The outbound half."""

    def __init__(self, protocol: HTTP1, inbound: EventsIn) -> None:
        super().__init__(protocol)
        self._send: Any = protocol.connection.send_with_data_passthrough
        self._inbound = inbound

    def process_sync(self, event: Any, /) -> Result[bytes]:
        """Let h11 make bytes of an event."""
        kind, send = type(event), self._send
        try:
            if kind is Data or kind is Request:
                data = b"".join(send(event))
            elif kind is EndOfMessage:
                data = b"".join(send(event))
                if not self._inbound.begin_next():
                    self._inbound.look()
                    return results(self._protocol, data)
            elif kind is Response and not event.reason:
                data = b"".join(send(event)).replace(b" \r\n", REASONS[event.status_code], 1)
            else:
                data = None
        except Exception as error:
            return self._failing(self._protocol.not_sent(error))
        if data:
            return [data]
        return super().process_sync(event) if data is None else ()
