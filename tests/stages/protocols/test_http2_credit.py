"""The receiving windows of `HTTP2`; what they do to a connection is in `test_http2.py`."""

from __future__ import annotations

import h2.events

from stages.protocols._http2_credit import LARGEST_WINDOW, Credit
from tests.stages.protocols.http2_peer import POST, Peer


def credit(window: int = 65535) -> tuple[Credit, Peer, Peer]:
    """What gives credit, its connection, and the client that gets it, with stream 1 open."""
    client, server = Peer(), Peer(client=False)
    client.send_headers(1, POST)
    server.receive_data(client.data_to_send())
    client.receive_data(server.data_to_send())
    found = Credit(server, window)
    found.open(1)
    return found, server, client


def updates(server: Peer, client: Peer) -> list[tuple[int, int]]:
    """The credit that is given."""
    events = client.receive_data(server.data_to_send())
    return [(event.stream_id, event.delta) for event in events if isinstance(event, h2.events.WindowUpdated)]


def test_all_streams_together_have_a_larger_window_than_one() -> None:
    found, server, client = credit()
    found.begin()
    assert [(0, 15 * 65535)] == updates(server, client)
    found, server, client = credit(LARGEST_WINDOW)
    found.begin()
    assert [(0, LARGEST_WINDOW - 65535)] == updates(server, client)


def test_the_window_of_all_opens_as_data_comes() -> None:
    found, server, client = credit()
    half = 16 * 65535 // 2
    found.came(half - 1)
    assert [] == updates(server, client)
    found.came(1)
    assert [(0, half)] == updates(server, client)
    found.came(half - 1)
    assert [] == updates(server, client)


def test_the_window_of_a_stream_opens_by_halves_as_data_is_taken() -> None:
    found, server, client = credit()
    assert 0 == found.due(1, 32766)
    assert 32767 == found.due(1, 1)
    assert 0 == found.due(1, 32766)
    found.give(1, 32767)
    assert [(1, 32767)] == updates(server, client)


def test_a_stream_that_is_over_gets_no_credit() -> None:
    found, server, client = credit()
    assert [1] == found.unfinished
    found.close(1)
    found.close(1)
    assert [] == found.unfinished
    assert 0 == found.due(1, 65535)
    found.give(1, 65535)
    found.give(3, 65535)
    assert [] == updates(server, client)


def test_nothing_is_no_credit() -> None:
    found, server, client = credit()
    found.give(1, 0)
    assert [] == updates(server, client)
