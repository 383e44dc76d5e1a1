"""How `HTTP2` sets up a connection of h2, and ends one."""

from __future__ import annotations

import sys
from typing import Any

import h2.connection
import h2.exceptions
import pytest
from h2.errors import ErrorCodes

from stages.protocols._http2_connection import h2_library, make_connection, refuse
from tests.stages.protocols.http2_peer import GOAWAY, Peer


def made(*, client: bool = False) -> Any:
    return make_connection(h2_library(), 7, 100_000, 5000, client=client)


def refused(connection: Any, failure: Exception) -> Any:
    return refuse(h2_library(), connection, failure, 100, 5000)


def test_the_limits_are_told_and_hold() -> None:
    server, peer = made(), Peer()
    server.initiate_connection()
    peer.receive_data(server.data_to_send())
    settings = peer.remote_settings
    assert (7, 100_000, 5000, 0) == (
        settings.max_concurrent_streams,
        settings.initial_window_size,
        settings.max_header_list_size,
        settings.enable_push,
    )
    assert 5000 == server.decoder.max_header_list_size
    assert made(client=True).config.client_side


def test_without_h2_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h2.connection", None)
    with pytest.raises(ImportError, match=r"HTTP2 needs h2: pip install 'penstock\[h2\]'"):
        h2_library()


def test_the_peer_is_told_once() -> None:
    connection = made()
    failure = h2.exceptions.FrameTooLargeError("too long")
    assert failure is refused(connection, failure)
    goaway = connection.data_to_send()
    assert (GOAWAY, ErrorCodes.FRAME_SIZE_ERROR) == (goaway[3], int.from_bytes(goaway[13:17], "big"))
    assert goaway.endswith(b"too long")
    refused(connection, failure)
    assert b"" == connection.data_to_send()


def test_a_goaway_is_short() -> None:
    connection = made()
    refused(connection, h2.exceptions.ProtocolError("x" * 10_000))
    assert 9 + 8 + 300 == len(connection.data_to_send())


def test_errors_say_what_they_are_about() -> None:
    connection = made()
    assert "what the peer sent cannot be read: KeyError(1)" in str(refused(connection, KeyError(1)))
    bomb = refused(connection, h2.exceptions.DenialOfServiceError("Oversized"))
    assert "of 100 bytes unpacks to more than the limit, max_header_bytes=5000. " in str(bomb)
    stream = refused(connection, h2.exceptions.NoSuchStreamError(5))
    assert "HTTP2: the peer sent what is wrong on stream 5, which is over or not open" == str(stream)
