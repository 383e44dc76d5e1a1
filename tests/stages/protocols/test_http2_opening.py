"""Which streams a client of `HTTP2` may open."""

from __future__ import annotations

import h2.events
import h2.exceptions
import pytest
from h2.settings import SettingCodes

from pipeline.testing import Harness
from stages import HTTP2, SendHeaders
from stages.protocols._http2_opening import Opening
from tests.stages.protocols.http2_peer import GET, OK, Peer


def test_a_client_uses_a_number_once() -> None:
    client = Harness(HTTP2("client"))
    client.send(SendHeaders(3, GET, end_stream=True))
    with pytest.raises(h2.exceptions.StreamClosedError, match="stream 1 is over"):
        client.send(SendHeaders(1, GET, end_stream=True))


def test_a_client_opens_as_many_streams_as_it_may() -> None:
    client, peer = Harness(HTTP2("client")), Peer(client=False, settings={SettingCodes.MAX_CONCURRENT_STREAMS: 2})
    client.receive(peer.data_to_send())
    client.send(SendHeaders(1, GET, end_stream=True), SendHeaders(3, GET, end_stream=True))
    with pytest.raises(h2.exceptions.TooManyStreamsError, match="HTTP2: 2 streams are open, and the peer allows 2 at"):
        client.send(SendHeaders(5, GET, end_stream=True))
    peer.receive_data(b"".join(client.sent))
    peer.send_headers(1, OK, end_stream=True)
    client.receive(peer.data_to_send())
    client.send(SendHeaders(5, GET, end_stream=True))


def test_a_client_opens_a_hundred_before_it_knows_how_many_it_may() -> None:
    client = Harness(HTTP2("client"))
    client.send(*[SendHeaders(2 * number + 1, GET, end_stream=True) for number in range(100)])
    with pytest.raises(h2.exceptions.TooManyStreamsError, match="100 streams are open, and the peer allows 100 at"):
        client.send(SendHeaders(201, GET, end_stream=True))


def test_numbers_are_of_one_side_and_used_once() -> None:
    client, server = (Opening(Peer(client=client), h2.exceptions, client=client) for client in (True, False))
    assert [1, 3] == [client.new_stream_id(), client.new_stream_id()]
    client.opened(1)
    assert 5 == client.new_stream_id()
    client.opened(9)
    assert 11 == client.new_stream_id()
    assert 2 == server.new_stream_id()
    assert [True, False] == [client.is_own(1), client.is_own(2)]
    assert [False, True] == [server.is_own(1), server.is_own(2)]


def test_behind_the_peers_goaway_none_is_opened() -> None:
    opening = Opening(Peer(), h2.exceptions, client=True)
    opening.check()
    opening.goaway = h2.events.ConnectionTerminated()
    with pytest.raises(h2.exceptions.TooManyStreamsError, match="wants no more streams on this connection"):
        opening.check()
    assert opening.has_room
