"""`HTTP2`'s dealings with h2 itself: to import it, to set a connection up, to end one that has gone wrong."""

from __future__ import annotations

from typing import Any, Final

from .._extras import Extra

_GOAWAY_BYTES: Final = 300
"""How much a GOAWAY says of an error."""


def h2_library() -> Any:
    """Return h2, with the modules that are needed.

    Raises:
        ImportError: it is not there.
    """
    with Extra("HTTP2", "h2"):
        import h2.connection  # noqa: PLC0415 - an extra
        import h2.settings  # noqa: PLC0415
        import h2.utilities  # noqa: PLC0415
    return h2


def make_connection(library: Any, streams: int, window: int, header_bytes: int, *, client: bool) -> Any:
    """Return a connection that has not begun, with these limits for the peer."""
    config = library.config.H2Configuration(  # what is sent is looked at before, by `Headers`
        client_side=client, validate_outbound_headers=False, normalize_outbound_headers=False
    )
    connection = library.connection.H2Connection(config)
    codes = library.settings.SettingCodes
    connection.local_settings = library.settings.Settings(
        client=client,
        initial_values={
            codes.ENABLE_PUSH: 0,
            codes.INITIAL_WINDOW_SIZE: window,
            codes.MAX_CONCURRENT_STREAMS: streams,
            codes.MAX_HEADER_LIST_SIZE: header_bytes,
        },
    )
    connection.decoder.max_header_list_size = header_bytes
    return connection


def refuse(library: Any, connection: Any, failure: Exception, block_bytes: int, max_header_bytes: int) -> Any:
    """Say GOAWAY, unless h2 has; return the error with what it is about.

    Args:
        library: h2.
        connection: its connection.
        failure: what was raised.
        block_bytes: the size of the block of headers that was read last.
        max_header_bytes: the limit on what it unpacks to.
    """
    exceptions = library.exceptions
    said = connection.state_machine.state is library.connection.ConnectionState.CLOSED
    error: Any = failure
    if not isinstance(error, exceptions.ProtocolError):
        error = exceptions.ProtocolError(f"HTTP2: what the peer sent cannot be read: {error!r}")
    elif isinstance(error, exceptions.DenialOfServiceError) and said:
        error = exceptions.DenialOfServiceError(
            f"HTTP2: a block of headers of {block_bytes} bytes unpacks to more than the limit, "
            f"max_header_bytes={max_header_bytes}. Raise max_header_bytes if it is a right one"
        )
    elif isinstance(error, exceptions.NoSuchStreamError):
        error.args = (f"HTTP2: the peer sent what is wrong on stream {error.stream_id}, which is over or not open",)
    if not said:
        connection.close_connection(error.error_code, str(error).encode(errors="replace")[:_GOAWAY_BYTES])
    return error
